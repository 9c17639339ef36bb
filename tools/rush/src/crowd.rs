//! The shoppers of one process.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    history::{EVENTS_BUFFERED, History, HistoryEvent},
    http::ServiceUrl,
    plan::CrowdProfile,
    stage_counts::StageCounts,
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
    pub(crate) waiting_rooms: Vec<ServiceUrl>,
    pub(crate) checkouts: Vec<ServiceUrl>,
    pub(crate) profile: CrowdProfile,
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
    pub(crate) stage_counts: StageCounts,
    pub(crate) found_cookies: FoundCookies,
    pub(crate) history: History,
}

impl Crowd {
    /// Creates the crowd, and the receiver of its history events.
    pub(crate) fn new(job: Job) -> (Arc<Crowd>, mpsc::Receiver<HistoryEvent>) {
        let (sender, events) = mpsc::channel(EVENTS_BUFFERED);
        let history = if job.has_history { History::to(sender) } else { History::default() };
        let (stage_counts, found_cookies) = (StageCounts::new(job.shoppers), FoundCookies::default());
        (Arc::new(Crowd { stage_counts, found_cookies, job, history }), events)
    }
}

/// The tickets of two shoppers, so that one of another shopper is always available.
#[derive(Debug, Default)]
pub(crate) struct FoundCookies(Mutex<VecDeque<(u32, String)>>);

impl FoundCookies {
    pub(crate) fn offer(&self, index: u32, cookie: &str) {
        let mut found = self.0.lock().expect("nothing panics while it holds this lock");
        if found.len() < 2 && found.iter().all(|(owner, _)| *owner != index) {
            found.push_back((index, cookie.to_owned()));
        }
    }

    /// The ticket of another shopper.
    pub(crate) fn of_another_shopper(&self, index: u32) -> Option<String> {
        let found = self.0.lock().expect("nothing panics while it holds this lock");
        found.iter().find(|(owner, _)| *owner != index).map(|(_, cookie)| cookie.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_found_cookie_belongs_to_another_shopper() {
        let found = FoundCookies::default();
        assert_eq!(found.of_another_shopper(1), None);
        found.offer(1, "a=1");
        assert_eq!(found.of_another_shopper(1), None);
        found.offer(2, "b=2");
        found.offer(3, "c=3");
        assert_eq!(found.of_another_shopper(1).as_deref(), Some("b=2"));
        assert_eq!(found.of_another_shopper(3).as_deref(), Some("a=1"));
    }
}
