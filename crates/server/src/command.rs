//! The command line of a service's program.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use clap::{Arg, ArgAction, Parser};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{LogSettings, Shutdown, StartError, init_logging};

/// Timeout of the readiness request.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
const ASKED: &[u8] = b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
const READY: &[u8] = b"HTTP/1.1 200";

/// Reads a service's settings, and runs the service until SIGTERM or Ctrl-C. `common` returns the
/// settings that every service has. With `--healthy`, runs the container health check instead:
/// exits with 0 if the local process with these settings is ready.
pub async fn program<S: Parser>(
    name: &'static str,
    common: fn(&S) -> (SocketAddr, &LogSettings),
    run: impl AsyncFnOnce(S, TcpListener, Shutdown) -> Result<(), StartError>,
) -> ExitCode {
    // An image without a shell has no other health probe.
    let healthy = Arg::new("healthy").long("healthy").action(ArgAction::SetTrue);
    let command =
        S::command().arg(healthy.help("Run the container health check: exit with 0 if the local process is ready"));
    let matches = command.get_matches();
    let settings = S::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let (listen, log) = common(&settings);
    if matches.get_flag("healthy") {
        return if is_ready(listen).await { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let prepared = prepare(name, listen, log).await;
    let finished = match prepared {
        Ok((listener, shutdown)) => run(settings, listener, shutdown).await,
        Err(error) => Err(error),
    };
    match finished {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

async fn prepare(
    name: &'static str,
    listen: SocketAddr,
    log: &LogSettings,
) -> Result<(TcpListener, Shutdown), StartError> {
    init_logging(name, log)?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| StartError::new(format!("Can't listen on {listen}: {error}.")))?;
    let shutdown = Shutdown::on_signals()
        .map_err(|error| StartError::new(format!("The signal handlers can't be installed: {error}.")))?;
    Ok((listener, shutdown))
}

async fn is_ready(listen: SocketAddr) -> bool {
    let mut address = listen;
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(ASKED).await?;
        let mut answer = [0; READY.len()];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer == READY)
    };
    matches!(timeout(ANSWERS_WITHIN, answer).await, Ok(Ok(true)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::{Router, routing::get};

    use super::*;
    use crate::{Readiness, ServeLimits, common_routes, serve};

    async fn server_with_readiness(ready: Result<(), String>) -> SocketAddr {
        let ready: Readiness = Arc::new(move || {
            let ready = ready.clone();
            Box::pin(async move { ready })
        });
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = Shutdown::new();
        let router = common_routes(Router::new().route("/", get(|| async { "in" })), ready, &shutdown);
        tokio::spawn(async move { serve(listener, router, ServeLimits::default(), &shutdown).await });
        address
    }

    #[tokio::test]
    async fn the_health_check_succeeds_only_for_a_ready_service() {
        assert!(is_ready(server_with_readiness(Ok(())).await).await);
        assert!(!is_ready(server_with_readiness(Err("Redis is away.".to_owned())).await).await);
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
        assert!(!is_ready(free).await);
    }
}
