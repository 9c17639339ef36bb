//! Checkout's process.

use std::process::ExitCode;

use checkout::{Settings, run};
use fairline_server::{Shutdown, StartError, init_logging, program};
use mimalloc::MiMalloc;
use tokio::net::TcpListener;

/// A rejection needs about a dozen small allocations and little else. With mimalloc it costs a
/// tenth less than with glibc's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    program(|settings: &Settings| settings.listen, start).await
}

async fn start(settings: Settings) -> Result<(), StartError> {
    init_logging("checkout", &settings.log)?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|error| StartError::new(format!("Can't listen on {}: {error}.", settings.listen)))?;
    let shutdown =
        Shutdown::on_signals().map_err(|error| StartError::new(format!("Signals can't be handled: {error}.")))?;
    run(settings, listener, shutdown).await
}
