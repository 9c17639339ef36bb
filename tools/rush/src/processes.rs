//! Divides a crowd among processes. The parent starts itself again for each part, sends the job to
//! its standard input, and reads progress and records from its standard output, one JSON document
//! per line.

use std::{process::Stdio, sync::Arc, time::Duration};

use fairline_server::raise_file_limit;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::{mpsc, watch},
    task::JoinSet,
    time::interval,
};

use crate::{
    RushError,
    crowd::{Crowd, Job},
    history::{EVENTS_BUFFERED, HistoryEvent, HistoryFile},
    record::ShopperRecord,
    shopper,
    stage_counts::Progress,
    statistics::counted,
};

const PROGRESS_EVERY: Duration = Duration::from_secs(1);
const RECORDS_BUFFERED: usize = 1_024;
/// Events written or sent in one batch.
const EVENTS_AT_ONCE: usize = 1_024;

/// Messages from a part to its parent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FromPart {
    Progress(Progress),
    Record(Box<ShopperRecord>),
    Events(Vec<HistoryEvent>),
    Lost(u64),
}

/// Divides a job into parts of nearly the same size.
fn divide(whole: &Job, parts: u32) -> Vec<Job> {
    let start_of = |part: u32| u32::try_from(u64::from(whole.shoppers) * u64::from(part) / u64::from(parts));
    let start_of = |part| start_of(part).expect("a part of the crowd is no larger than the crowd");
    let part = |part| Job {
        first: whole.first + start_of(part),
        shoppers: start_of(part + 1) - start_of(part),
        ..whole.clone()
    };
    (0..parts).map(part).collect()
}

/// Sends the crowd from one or more processes, and passes the progress to `show` each second.
/// Returns the records, and the number of events that the history lacks.
pub(crate) async fn send(
    job: Job,
    processes: u32,
    history: Option<HistoryFile>,
    show: impl Fn(Progress),
) -> Result<(Vec<ShopperRecord>, u64), RushError> {
    raise_file_limit();
    if processes <= 1 {
        send_from_here(job, history, show).await
    } else {
        send_from_parts(&job, processes, history, show).await
    }
}

fn write(history: &mut Option<HistoryFile>, events: &mut Vec<HistoryEvent>) -> Result<(), RushError> {
    let written = history.as_mut().map_or(Ok(()), |history| history.write(events));
    events.clear();
    written.map_err(|error| RushError::History(error.to_string()))
}

async fn send_from_here(
    job: Job,
    mut history: Option<HistoryFile>,
    show: impl Fn(Progress),
) -> Result<(Vec<ShopperRecord>, u64), RushError> {
    let (crowd, mut happened) = Crowd::new(job);
    let mut events = Vec::new();
    let (sender, mut records) = mpsc::channel(RECORDS_BUFFERED);
    let mut rush = JoinSet::new();
    rush.spawn(shopper::rush(Arc::clone(&crowd), sender));
    let mut seconds = interval(PROGRESS_EVERY);
    let mut all = Vec::with_capacity(crowd.job.shoppers as usize);
    loop {
        tokio::select! {
            record = records.recv() => match record {
                Some(record) => all.push(record),
                None => break,
            },
            _ = happened.recv_many(&mut events, EVENTS_AT_ONCE), if history.is_some() => write(&mut history, &mut events)?,
            _ = seconds.tick() => show(crowd.stage_counts.progress()),
        }
    }
    while let Ok(event) = happened.try_recv() {
        events.push(event);
    }
    write(&mut history, &mut events)?;
    show(crowd.stage_counts.progress());
    Ok((all, crowd.history.lost()))
}

async fn send_from_parts(
    job: &Job,
    processes: u32,
    mut history: Option<HistoryFile>,
    show: impl Fn(Progress),
) -> Result<(Vec<ShopperRecord>, u64), RushError> {
    let (sender, mut records) = mpsc::channel(RECORDS_BUFFERED);
    let (event_sender, mut happened) = mpsc::channel(EVENTS_BUFFERED);
    let mut events = Vec::new();
    let mut progresses = Vec::new();
    let mut parts = JoinSet::new();
    for job in divide(job, processes) {
        let (progress, known) = watch::channel(Progress { coming: job.shoppers, ..Progress::default() });
        progresses.push(known);
        parts.spawn(Part::start(&job).await?.read(job.shoppers, progress, sender.clone(), event_sender.clone()));
    }
    drop((sender, event_sender));
    let together = || progresses.iter().map(|known| *known.borrow()).fold(Progress::default(), Progress::plus);
    let mut seconds = interval(PROGRESS_EVERY);
    let mut all = Vec::with_capacity(job.shoppers as usize);
    loop {
        tokio::select! {
            record = records.recv() => match record {
                Some(record) => all.push(record),
                None => break,
            },
            _ = happened.recv_many(&mut events, EVENTS_AT_ONCE), if history.is_some() => write(&mut history, &mut events)?,
            _ = seconds.tick() => show(together()),
        }
    }
    let mut lost = 0;
    while let Some(ended) = parts.join_next().await {
        lost += ended.map_err(|error| RushError::Part(error.to_string()))??;
    }
    while happened.recv_many(&mut events, EVENTS_AT_ONCE).await > 0 {
        write(&mut history, &mut events)?;
    }
    show(together());
    Ok((all, lost))
}

/// A process with one part of the crowd. It ends when its standard input closes, so it never
/// outlives its parent.
struct Part {
    child: Child,
    lifeline: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Part {
    async fn start(job: &Job) -> Result<Part, RushError> {
        let failed = |error: std::io::Error| RushError::Part(error.to_string());
        let mut child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(["rush", "--part"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let mut lifeline = child.stdin.take().expect("standard input is piped, three lines above");
        let stdout = child.stdout.take().expect("standard output is piped, three lines above");
        let job = serde_json::to_string(job).expect("a job has no map with keys other than text");
        lifeline.write_all(format!("{job}\n").as_bytes()).await.map_err(failed)?;
        Ok(Part { child, lifeline, lines: BufReader::new(stdout).lines() })
    }

    async fn read(
        self,
        shoppers: u32,
        progress: watch::Sender<Progress>,
        records: mpsc::Sender<ShopperRecord>,
        events: mpsc::Sender<HistoryEvent>,
    ) -> Result<u64, RushError> {
        let failed = |error: std::io::Error| RushError::Part(error.to_string());
        let Part { mut child, lifeline, mut lines } = self;
        let (mut lifeline, mut known, mut lost) = (Some(lifeline), 0, 0);
        while let Some(line) = lines.next_line().await.map_err(failed)? {
            match serde_json::from_str(&line).map_err(|error| RushError::Part(error.to_string()))? {
                FromPart::Progress(now) => drop(progress.send(now)),
                FromPart::Record(record) => {
                    known += 1;
                    // The receiver is gone only when the whole rush has ended.
                    let _ = records.send(*record).await;
                }
                FromPart::Events(several) => {
                    for event in several {
                        let _ = events.send(event).await;
                    }
                }
                FromPart::Lost(events) => lost = events,
            }
            if known == shoppers {
                lifeline = None;
            }
        }
        drop(lifeline);
        let status = child.wait().await.map_err(failed)?;
        if known == shoppers {
            Ok(lost)
        } else {
            Err(RushError::Part(format!("{status}, {known} of {} known", counted(shoppers, "shopper", "shoppers"))))
        }
    }
}

/// Runs one part: the child's side.
pub(crate) async fn carry_part() -> Result<(), RushError> {
    raise_file_limit();
    let failed = |error: std::io::Error| RushError::Part(error.to_string());
    let mut stdin = BufReader::new(tokio::io::stdin());
    let mut line = String::new();
    stdin.read_line(&mut line).await.map_err(failed)?;
    let job: Job = serde_json::from_str(&line).map_err(|error| RushError::Part(error.to_string()))?;
    let (crowd, mut happened) = Crowd::new(job);
    let mut events = Vec::new();
    let (sender, mut records) = mpsc::channel(RECORDS_BUFFERED);
    let mut rush = JoinSet::new();
    rush.spawn(shopper::rush(Arc::clone(&crowd), sender));
    let mut stdout = tokio::io::stdout();
    let mut seconds = interval(PROGRESS_EVERY);
    let mut ignored = [0; 64];
    loop {
        let message = tokio::select! {
            record = records.recv() => match record {
                Some(record) => FromPart::Record(Box::new(record)),
                None => break,
            },
            _ = happened.recv_many(&mut events, EVENTS_AT_ONCE), if crowd.job.has_history => {
                FromPart::Events(std::mem::take(&mut events))
            }
            _ = seconds.tick() => FromPart::Progress(crowd.stage_counts.progress()),
            read = stdin.read(&mut ignored) => match read {
                // The parent needs no more, or has ended.
                Ok(0) | Err(_) => break,
                Ok(_) => continue,
            },
        };
        write_message(&mut stdout, &message).await.map_err(failed)?;
    }
    while let Ok(event) = happened.try_recv() {
        events.push(event);
    }
    for last in [FromPart::Events(events), FromPart::Lost(crowd.history.lost())] {
        write_message(&mut stdout, &last).await.map_err(failed)?;
    }
    write_message(&mut stdout, &FromPart::Progress(crowd.stage_counts.progress())).await.map_err(failed)
}

async fn write_message(stdout: &mut tokio::io::Stdout, message: &FromPart) -> std::io::Result<()> {
    let line = serde_json::to_string(message).expect("records have no map with keys other than text");
    stdout.write_all(format!("{line}\n").as_bytes()).await?;
    stdout.flush().await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::plan::CrowdProfile;

    fn job(shoppers: u32) -> Job {
        let profile = CrowdProfile {
            mix: "buy=1".parse().unwrap(),
            transports: "websocket=1".parse().unwrap(),
            payments: "visa=1".parse().unwrap(),
            arrive_within: Duration::ZERO,
            act_within: Duration::ZERO,
            disconnected: Duration::ZERO,
            think_up_to: Duration::ZERO,
            chance_percent: 50,
            faster: 1,
        };
        let time_limit = Duration::from_secs(1);
        let (waiting_rooms, checkouts) = (vec!["http://127.0.0.1:1".parse().unwrap()], Vec::new());
        Job {
            seed: 1,
            first: 0,
            shoppers,
            sale: Uuid::nil(),
            guests: None,
            per_shopper_limit: 1,
            waiting_rooms,
            checkouts,
            profile,
            starts_at_us: 0,
            time_limit,
            has_history: false,
        }
    }

    #[test]
    fn a_job_round_trips_through_json() {
        let text = serde_json::to_string(&job(3)).unwrap();
        assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job(3));
    }

    proptest! {
        #[test]
        fn every_shopper_is_in_one_part(shoppers in 1_u32..1_000_000, parts in 1_u32..64) {
            let mut next = 0;
            for part in divide(&job(shoppers), parts) {
                prop_assert_eq!(part.first, next);
                prop_assert!(part.shoppers.abs_diff(shoppers / parts) <= 1);
                next += part.shoppers;
            }
            prop_assert_eq!(next, shoppers);
        }
    }
}
