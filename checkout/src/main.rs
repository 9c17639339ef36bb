//! Checkout's process.

use std::process::ExitCode;

use checkout::{Settings, run};
use fairline_server::program;
use mimalloc::MiMalloc;

/// A rejection needs about a dozen small allocations and little else. With mimalloc it costs a
/// tenth less than with glibc's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    program("checkout", |settings: &Settings| (settings.listen, &settings.log), run).await
}
