//! The waiting room's process.

use std::process::ExitCode;

use fairline_service::{Shutdown, StartError, init_logging, program};
use mimalloc::MiMalloc;
use tokio::net::TcpListener;
use waiting_room::{Settings, run};

/// A place that is asked for is some dozen small allocations: with this one they cost half of what they do with glibc's.
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
    let shutdown =
        Shutdown::on_signals().map_err(|error| StartError::new(format!("Signals can't be handled: {error}.")))?;
    run(settings, listener, shutdown).await
}
