//! The waiting room's process.

use std::process::ExitCode;

use fairline_server::{Shutdown, StartError, init_logging, program};
use mimalloc::MiMalloc;
use tokio::net::TcpListener;
use waiting_room::{Settings, run};

/// A request for a place makes a few dozen small allocations; mimalloc halves their cost compared
/// with glibc's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    program(|settings: &Settings| settings.listen, start).await
}

async fn start(settings: Settings) -> Result<(), StartError> {
    init_logging("waiting-room", &settings.log)?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|error| StartError::new(format!("Can't listen on {}: {error}.", settings.listen)))?;
    let shutdown = Shutdown::on_signals()
        .map_err(|error| StartError::new(format!("The signal handlers can't be installed: {error}.")))?;
    run(settings, listener, shutdown).await
}
