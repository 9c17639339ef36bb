//! The crowd of `--crowd`.

use std::{env, io, process::ExitCode, time::Duration};

use fairline_server::Shutdown;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{process::Command, time::timeout};

use super::Demo;
use crate::failure::CommandError;

const PATIENCE: Duration = Duration::from_secs(3);

/// Runs `fairline rush` and returns its exit code; stops it when the demo is stopped. In its own
/// process group, its sockets do not count against the services' open-file limit, and a stop
/// reaches all of its processes.
pub(super) async fn send(
    demo: &Demo,
    shoppers: u32,
    json: bool,
    shutdown: &Shutdown,
) -> Result<ExitCode, CommandError> {
    let failed = |error: io::Error| CommandError::new(format!("The crowd could not be sent: {error}."));
    let mut crowd = Command::new(env::current_exe().map_err(failed)?);
    crowd.args(["rush", "--shoppers", &shoppers.to_string(), "--demo"]).arg(demo.folder.path());
    if json {
        crowd.arg("--json");
    }
    let mut crowd = crowd.process_group(0).kill_on_drop(true).spawn().map_err(failed)?;
    let group = crowd.id().map(|id| Pid::from_raw(id.cast_signed()));
    tokio::select! {
        ended = crowd.wait() => {
            let code = ended.map_err(failed)?.code().and_then(|code| u8::try_from(code).ok());
            Ok(ExitCode::from(code.unwrap_or(1)))
        }
        () = shutdown.triggered() => {
            for signal in [Signal::SIGTERM, Signal::SIGKILL] {
                // The group may have ended already.
                let _ = group.map(|group| killpg(group, signal));
                if timeout(PATIENCE, crowd.wait()).await.is_ok() {
                    break;
                }
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
