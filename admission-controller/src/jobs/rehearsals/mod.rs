//! Runs the crowd simulator, `fairline rush`, for a rehearsal, as a process of its own.

pub(crate) mod state;
pub(crate) mod store;

use std::{io, path::PathBuf, process::Stdio, time::Duration};

use fairline_server::{Secret, Shutdown};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines},
    process::{Child, Command},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tracing::{error, warn};

use self::{
    state::RehearsalState,
    store::{RehearsalRow, RehearsalStore, RunState},
};

/// The maximum duration of a rehearsal, in seconds.
const LASTS_S: u64 = 1800;
/// How often the progress is written.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// The time for the crowd to stop.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
/// The longest stored progress, in characters.
const PROGRESS_MAX: usize = 300;

/// The crowd of a rehearsal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RehearsalCrowd {
    pub(crate) shoppers: u32,
    pub(crate) arrival_s: u32,
    /// The share of shoppers who do not complete a purchase.
    pub(crate) abandon: f64,
}

impl RehearsalCrowd {
    /// The shares of shopper models, for `fairline rush --mix`.
    fn mix(&self) -> String {
        let percent = (self.abandon * 100.0).round() as u32;
        let [leave, disconnect, expire] = [percent / 3, percent / 3, percent - 2 * (percent / 3)];
        format!("buy={},leave={leave},disconnect={disconnect},let-expire={expire}", 100 - percent)
    }
}

/// Dependencies of rehearsals.
#[derive(Clone)]
pub(crate) struct RehearsalStage {
    pub(crate) program: PathBuf,
    /// The waiting room, the checkout and the controller, behind one address.
    pub(crate) url: String,
    pub(crate) admin_token: Secret,
    pub(crate) postgres_url: Secret,
    pub(crate) shutdown: Shutdown,
}

/// How a rehearsal ended.
struct Ending {
    state: RehearsalState,
    why: Option<String>,
    report: Option<Value>,
}

impl RehearsalStage {
    /// Sends the crowd, and writes its progress and its end.
    pub(crate) fn begin(&self, store: RehearsalStore, rehearsal: RehearsalRow, crowd: RehearsalCrowd) {
        let stage = self.clone();
        self.shutdown.spawn(async move {
            let ending = stage.play(&store, &rehearsal, crowd).await.unwrap_or_else(|error| Ending {
                state: RehearsalState::Failed,
                why: Some(format!("The crowd simulator could not be run: {error}.")),
                report: None,
            });
            let ended = store.end_rehearsal(rehearsal.id, ending.state, ending.why.as_deref(), ending.report).await;
            if let Err(error) = ended {
                error!(%error, rehearsal = %rehearsal.id, "end rehearsal failed");
            }
        });
    }

    fn command(&self, rehearsal: &RehearsalRow, crowd: RehearsalCrowd) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["rush", "--waiting-room", &self.url, "--admin", &self.url]);
        command.args(["--sale", &rehearsal.sale_id.to_string(), "--mix", &crowd.mix()]);
        command.args(["--shoppers", &crowd.shoppers.to_string(), "--arrive-s", &crowd.arrival_s.to_string()]);
        command.args(["--timeout-s", &LASTS_S.to_string()]);
        // Other users of the machine can see arguments, but not the environment.
        command.env("FAIRLINE_ADMIN_TOKEN", self.admin_token.expose());
        command.env("FAIRLINE_POSTGRES_URL", self.postgres_url.expose());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A large crowd consists of several processes.
        command.process_group(0).kill_on_drop(true);
        command
    }

    async fn play(
        &self,
        store: &RehearsalStore,
        rehearsal: &RehearsalRow,
        crowd: RehearsalCrowd,
    ) -> io::Result<Ending> {
        let mut child = self.command(rehearsal, crowd).spawn()?;
        let mut progress = lines(child.stderr.take())?;
        let mut output = lines(child.stdout.take())?;
        let (mut last, mut status_text) = (String::new(), None);
        let mut timer = interval(REPORT_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = Instant::now() + Duration::from_secs(LASTS_S + 60);
        let stopped = loop {
            tokio::select! {
                () = self.shutdown.triggered() => break Some("The controller was stopped."),
                line = output.next_line() => match line? {
                    Some(line) => last = line,
                    None => break None,
                },
                Ok(Some(line)) = progress.next_line() => status_text = Some(line.chars().take(PROGRESS_MAX).collect::<String>()),
                _ = timer.tick() => match store.report_rehearsal(rehearsal.id, status_text.as_deref()).await {
                    Ok(RunState::Stopped) => break Some("The rehearsal was stopped."),
                    Ok(RunState::Running) if Instant::now() > end => break Some("The rehearsal took too long."),
                    Ok(RunState::Running) => {}
                    Err(error) => warn!(%error, "write progress of rehearsal failed"),
                },
            }
        };
        if let Some(why) = stopped {
            stop_crowd(&mut child).await;
            return Ok(Ending { state: RehearsalState::Stopped, why: Some(why.to_owned()), report: None });
        }
        let status =
            timeout(LEAVE_WITHIN, child.wait()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        let report = serde_json::from_str(&last).ok();
        let (state, why) = match (status.code(), &report) {
            (Some(0), Some(_)) => (RehearsalState::Passed, None),
            (_, Some(_)) => (RehearsalState::Failed, Some("A promise was broken: see the report.".to_owned())),
            (_, None) => (RehearsalState::Failed, status_text),
        };
        Ok(Ending { state, why, report })
    }
}

fn lines<R: AsyncRead + Unpin>(pipe: Option<R>) -> io::Result<Lines<BufReader<R>>> {
    pipe.map(|pipe| BufReader::new(pipe).lines()).ok_or_else(|| io::Error::other("it has no output"))
}

/// Stops the crowd's processes: with SIGTERM, and with SIGKILL those that remain.
async fn stop_crowd(child: &mut Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        if let Some(group) = group {
            let _ = killpg(group, signal);
        }
        if timeout(LEAVE_WITHIN, child.wait()).await.is_ok() && signal == Signal::SIGKILL {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_of_a_crowd_follows_its_abandon_share() {
        let mix = |abandon: f64| RehearsalCrowd { shoppers: 1, arrival_s: 0, abandon }.mix();
        assert_eq!(mix(0.2), "buy=80,leave=6,disconnect=6,let-expire=8");
        assert_eq!(mix(0.0), "buy=100,leave=0,disconnect=0,let-expire=0");
        assert_eq!(mix(1.0), "buy=0,leave=33,disconnect=33,let-expire=34");
    }
}
