//! The waiting room's process.

use std::process::ExitCode;

use fairline_server::program;
use mimalloc::MiMalloc;
use waiting_room::{Settings, run};

/// A request for a place makes a few dozen small allocations; mimalloc halves their cost compared
/// with glibc's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    program("waiting-room", |settings: &Settings| (settings.listen, &settings.log), run).await
}
