//! The shoppers of one process.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};
use uuid::Uuid;

use crate::{
    history::{EVENTS_BUFFERED, Event, History},
    plan::{Plan, Profile},
    record::Record,
    shopper::{FoundCookies, Shopper, now_us},
    tally::Tally,
    wire::Target,
};

/// The job of one process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) seed: u64,
    /// Index of the first shopper.
    pub(crate) first: u32,
    pub(crate) shoppers: u32,
    pub(crate) sale: Uuid,
    /// The lane in which the first shoppers wait, and an invitation for each of them.
    pub(crate) guests: Option<Guests>,
    /// Units that one shopper may have; 0 if unknown.
    pub(crate) per_shopper_limit: u32,
    pub(crate) waiting_rooms: Vec<Target>,
    pub(crate) checkouts: Vec<Target>,
    pub(crate) profile: Profile,
    /// Common start time of all processes, in microseconds since 1970.
    pub(crate) starts_at_us: i64,
    pub(crate) time_limit: Duration,
    /// Whether each shopper's history is recorded.
    pub(crate) has_history: bool,
}

/// The invited shoppers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Guests {
    pub(crate) lane: Uuid,
    pub(crate) invitations: Vec<String>,
}

impl Job {
    /// The line in which a shopper waits, and the invitation if that line needs one.
    pub(crate) fn line(&self, index: u32) -> (Uuid, Option<&str>) {
        let invited = self.guests.as_ref().and_then(|guests| {
            let invitation = guests.invitations.get(index as usize)?;
            Some((guests.lane, Some(invitation.as_str())))
        });
        invited.unwrap_or((self.sale, None))
    }
}

/// Shared state of the shoppers of one process.
#[derive(Debug)]
pub(crate) struct Crowd {
    pub(crate) job: Job,
    pub(crate) tally: Tally,
    pub(crate) found_cookies: FoundCookies,
    pub(crate) history: History,
}

impl Crowd {
    /// Creates the crowd, and the receiver of its history events.
    pub(crate) fn new(job: Job) -> (Arc<Crowd>, mpsc::Receiver<Event>) {
        let (sender, events) = mpsc::channel(EVENTS_BUFFERED);
        let history = if job.has_history { History::to(sender) } else { History::default() };
        let (tally, found_cookies) = (Tally::new(job.shoppers), FoundCookies::default());
        (Arc::new(Crowd { tally, found_cookies, job, history }), events)
    }

    /// Sends every shopper, and sends the record of each as it ends.
    pub(crate) async fn rush(self: Arc<Crowd>, records: mpsc::Sender<Record>) {
        let until_start = u64::try_from(self.job.starts_at_us - now_us()).unwrap_or(0);
        let start = Instant::now() + Duration::from_micros(until_start);
        let deadline = start + self.job.time_limit;
        let mut shoppers = JoinSet::new();
        for index in self.job.first..self.job.first + self.job.shoppers {
            let (crowd, records) = (Arc::clone(&self), records.clone());
            shoppers.spawn(async move {
                let plan = Plan::new(crowd.job.seed, index, &crowd.job.profile);
                sleep_until((start + plan.arrives_after).min(deadline)).await;
                let mut shopper = Shopper::new(&crowd, plan);
                let outcome = timeout_at(deadline, shopper.visit()).await.ok();
                // The receiver is gone once the rush has ended.
                let _ = records.send(shopper.leaves_with(outcome)).await;
            });
        }
        while shoppers.join_next().await.is_some() {}
    }
}
