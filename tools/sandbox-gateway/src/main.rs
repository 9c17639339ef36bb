//! The sandbox gateway's process.

use std::process::ExitCode;

use fairline_sandbox_gateway::{Settings, run};
use fairline_server::program;

#[tokio::main]
async fn main() -> ExitCode {
    program("sandbox-gateway", |settings: &Settings| (settings.listen, &settings.log), run).await
}
