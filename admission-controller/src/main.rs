//! The admission controller's process.

use std::process::ExitCode;

use admission_controller::{Settings, run};
use fairline_server::{Shutdown, StartError, init_logging, program};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    program(|settings: &Settings| settings.listen, start).await
}

async fn start(settings: Settings) -> Result<(), StartError> {
    init_logging("admission-controller", &settings.log)?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|error| StartError::new(format!("Can't listen on {}: {error}.", settings.listen)))?;
    let shutdown =
        Shutdown::on_signals().map_err(|error| StartError::new(format!("Signals can't be handled: {error}.")))?;
    run(settings, listener, shutdown).await
}
