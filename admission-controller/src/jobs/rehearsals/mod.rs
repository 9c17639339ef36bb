//! The stage of a rehearsal: the crowd simulator, `fairline rush`, as a process of its own.

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

use self::store::{Beat, RehearsalRow};
use crate::db::Store;

/// A crowd that has not gone home after this time is sent home, in seconds.
const LASTS_S: u64 = 1800;
/// How often the database hears how it stands.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// How long the crowd may take to go.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
/// The longest sentence that is kept of its progress, in characters.
const PROGRESS_MAX: usize = 300;

/// Who comes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Crowd {
    pub(crate) shoppers: u32,
    pub(crate) arrival_s: u32,
    /// The part of them that does not go through with it.
    pub(crate) abandon: f64,
}

impl Crowd {
    /// What its members do, as `fairline rush --mix` takes it.
    fn mix(&self) -> String {
        let percent = (self.abandon * 100.0).round() as u32;
        let [leave, close, dawdle] = [percent / 3, percent / 3, percent - 2 * (percent / 3)];
        format!("buy={},leave={leave},close-lid={close},dawdle={dawdle}", 100 - percent)
    }
}

/// What a rehearsal needs.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) program: PathBuf,
    /// The waiting room, the checkout and the controller, behind one address.
    pub(crate) url: String,
    pub(crate) admin_token: Secret,
    pub(crate) postgres_url: Secret,
    pub(crate) shutdown: Shutdown,
}

/// How a rehearsal ended.
struct Ending {
    state: &'static str,
    why: Option<String>,
    report: Option<Value>,
}

impl Stage {
    /// Sends the crowd, and notes how it fares until it has gone home.
    pub(crate) fn begin(&self, store: Store, rehearsal: RehearsalRow, crowd: Crowd) {
        let stage = self.clone();
        self.shutdown.spawn(async move {
            let ending = stage.play(&store, &rehearsal, crowd).await.unwrap_or_else(|error| Ending {
                state: "failed",
                why: Some(format!("The crowd simulator could not be run: {error}.")),
                report: None,
            });
            let ended = store.end_rehearsal(rehearsal.id, ending.state, ending.why.as_deref(), ending.report).await;
            if let Err(error) = ended {
                error!(%error, rehearsal = %rehearsal.id, "the end of a rehearsal could not be noted");
            }
        });
    }

    fn command(&self, rehearsal: &RehearsalRow, crowd: Crowd) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["rush", "--waiting-room", &self.url, "--admin", &self.url]);
        command.args(["--sale", &rehearsal.sale_id.to_string(), "--mix", &crowd.mix()]);
        command.args(["--shoppers", &crowd.shoppers.to_string(), "--arrive-s", &crowd.arrival_s.to_string()]);
        command.args(["--timeout-s", &LASTS_S.to_string()]);
        // Arguments are seen by everybody on the machine.
        command.env("FAIRLINE_ADMIN_TOKEN", self.admin_token.expose());
        command.env("FAIRLINE_POSTGRES_URL", self.postgres_url.expose());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A large crowd is several processes, which go together.
        command.process_group(0).kill_on_drop(true);
        command
    }

    async fn play(&self, store: &Store, rehearsal: &RehearsalRow, crowd: Crowd) -> io::Result<Ending> {
        let mut child = self.command(rehearsal, crowd).spawn()?;
        let mut progress = lines(child.stderr.take())?;
        let mut said = lines(child.stdout.take())?;
        let (mut last, mut stands) = (String::new(), None);
        let mut beat = interval(BEAT_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = Instant::now() + Duration::from_secs(LASTS_S + 60);
        let stopped = loop {
            tokio::select! {
                () = self.shutdown.triggered() => break Some("The controller stops."),
                line = said.next_line() => match line? {
                    Some(line) => last = line,
                    None => break None,
                },
                Ok(Some(line)) = progress.next_line() => stands = Some(line.chars().take(PROGRESS_MAX).collect::<String>()),
                _ = beat.tick() => match store.beat_rehearsal(rehearsal.id, stands.as_deref()).await {
                    Ok(Beat::Stop) => break Some("It was stopped."),
                    Ok(Beat::GoOn) if Instant::now() > end => break Some("It took too long."),
                    Ok(Beat::GoOn) => {}
                    Err(error) => warn!(%error, "the progress of a rehearsal could not be noted"),
                },
            }
        };
        if let Some(why) = stopped {
            send_home(&mut child).await;
            return Ok(Ending { state: "stopped", why: Some(why.to_owned()), report: None });
        }
        let status =
            timeout(LEAVE_WITHIN, child.wait()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        let report = serde_json::from_str(&last).ok();
        let (state, why) = match (status.code(), &report) {
            (Some(0), Some(_)) => ("passed", None),
            (_, Some(_)) => ("failed", Some("A promise was broken: the report says which.".to_owned())),
            (_, None) => ("failed", stands),
        };
        Ok(Ending { state, why, report })
    }
}

fn lines<R: AsyncRead + Unpin>(pipe: Option<R>) -> io::Result<Lines<BufReader<R>>> {
    pipe.map(|pipe| BufReader::new(pipe).lines()).ok_or_else(|| io::Error::other("it has no output"))
}

/// Ends the crowd's processes: by its leader, and whoever stays by force.
async fn send_home(child: &mut Child) {
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
    fn a_crowd_is_divided_among_what_people_do() {
        let mix = |abandon: f64| Crowd { shoppers: 1, arrival_s: 0, abandon }.mix();
        assert_eq!(mix(0.2), "buy=80,leave=6,close-lid=6,dawdle=8");
        assert_eq!(mix(0.0), "buy=100,leave=0,close-lid=0,dawdle=0");
        assert_eq!(mix(1.0), "buy=0,leave=33,close-lid=33,dawdle=34");
    }
}
