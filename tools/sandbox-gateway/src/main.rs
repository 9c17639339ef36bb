//! The sandbox gateway's process.

use std::process::ExitCode;

use clap::Parser as _;
use fairline_sandbox_gateway::{Settings, run};
use fairline_server::{Shutdown, StartError, init_logging};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    match start(Settings::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

async fn start(settings: Settings) -> Result<(), StartError> {
    init_logging("sandbox-gateway", &settings.log)?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|error| StartError::new(format!("Can't listen on {}: {error}.", settings.listen)))?;
    let shutdown = Shutdown::on_signals()
        .map_err(|error| StartError::new(format!("The signal handlers can't be installed: {error}.")))?;
    run(settings, listener, shutdown).await
}
