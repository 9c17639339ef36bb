//! The waiting room's program, over a Redis that speaks TLS alone.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    time::Duration,
};

use fairline_private_servers::testing::Authority;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

fn redis(port: u16, authority: &Authority) -> Child {
    let mut redis = Command::new("redis-server");
    redis.args(["--port", "0", "--bind", "127.0.0.1", "--save", "", "--tls-auth-clients", "no", "--tls-port"]);
    redis.arg(port.to_string()).arg("--tls-ca-cert-file").arg(authority.root());
    redis.arg("--tls-cert-file").arg(authority.certificate()).arg("--tls-key-file").arg(authority.key());
    redis.stdout(Stdio::null()).kill_on_drop(true).spawn().expect("redis-server starts")
}

/// The program, which trusts only the certificates in `believes`.
fn waiting_room(listen: u16, redis: u16, believes: &Path) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_waiting-room"));
    program.env("FAIRLINE_LISTEN", format!("127.0.0.1:{listen}"));
    program.env("FAIRLINE_REDIS_URL", format!("rediss://127.0.0.1:{redis}"));
    program.env("FAIRLINE_TICKET_KEY", "0b".repeat(32)).env("SSL_CERT_FILE", believes).kill_on_drop(true);
    program
}

#[tokio::test]
async fn redis_is_reached_over_tls_and_authenticated_by_its_certificate() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (listen, port) = (free_port(), free_port());
    let _redis = redis(port, &authority);
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(started.elapsed() < PATIENCE, "Redis does not listen");
        sleep(Duration::from_millis(10)).await;
    }
    let _running = waiting_room(listen, port, &authority.root()).stderr(Stdio::null()).spawn().expect("the program");
    let started = Instant::now();
    loop {
        let asked = waiting_room(listen, port, &authority.root()).arg("--healthy").status().await.expect("the program");
        if asked.success() {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "the waiting room never was ready: {asked}");
        sleep(Duration::from_millis(50)).await;
    }
    let refused = waiting_room(free_port(), port, &stranger.root()).output();
    let refused = timeout(PATIENCE, refused)
        .await
        .expect("it does not wait for a Redis that it can't believe")
        .expect("the program");
    let output = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && output.contains("Redis can't be reached"), "{output}");
}
