//! The admission controller's process.

use std::process::ExitCode;

use admission_controller::{Settings, run};
use fairline_server::program;

#[tokio::main]
async fn main() -> ExitCode {
    program("admission-controller", |settings: &Settings| (settings.listen, &settings.log), run).await
}
