//! Promises 7 and 9: what has to happen in time, while no fault excuses a delay.

use std::collections::HashMap;

use fairline_rush::{HistoryEvent, HistoryEventKind};
use uuid::Uuid;

use super::{AFTER_US, Evidence, Exit, Injected, SILENT_US_MAX, Ticket, shoppers_were_cut_off};

/// Servers send a page a message every 20 s at the latest, and a machine that is busy does so up to
/// 2 s later.
const HEARTBEAT_US_MAX: i64 = 22_000_000;
/// A turn is on an open page within this time: a page that polls does so 2 s after the last answer
/// at the latest, and the publication may take as long on a busy machine.
pub(super) const TURN_US_MAX: i64 = 4_000_000;
/// A line without an admission for this long has stalled, while a shopper waits without a fault:
/// one every 5 s is the least during back-off, a late claim delays it by 0.5 s, and the stock is
/// sampled every 0.5 s.
pub(super) const STALLED_US: i64 = 8_000_000;
/// Between two samples further apart than this, the stock is unknown: a sample is given up after
/// 2 s, and the next one comes 0.5 s later.
pub(super) const UNKNOWN_US: i64 = 2_500_000;
/// What a service exits with if it can't start, as without Redis. It is then started again.
const START_FAILED: i32 = 2;

/// Promise 7: a connected shopper receives messages of the line: the first one soon, the next no
/// later than the heartbeat. In checkout, messages are not recorded.
pub(super) fn silent_pages(evidence: &Evidence<'_>, shoppers: &HashMap<u32, Vec<&HistoryEvent>>) -> Vec<String> {
    let mut found = Vec::new();
    for (shopper, events) in shoppers {
        for pair in events.windows(2) {
            let [event, next] = pair else { continue };
            let (from_us, till_us) = (event.at_us, next.at_us);
            let is_late = match event.what {
                HistoryEventKind::Connected { .. } => {
                    let limit_us = from_us + SILENT_US_MAX;
                    till_us > limit_us && !evidence.is_excused(from_us, limit_us)
                        || lacks_a_heartbeat(evidence, from_us, till_us)
                }
                HistoryEventKind::Received | HistoryEventKind::Sale { .. } | HistoryEventKind::Place { .. } => {
                    lacks_a_heartbeat(evidence, from_us, till_us)
                }
                _ => false,
            };
            if is_late {
                let silent = (till_us - from_us) as f64 / 1e6;
                found.push(format!("shopper {shopper} was connected without a message for {silent:.1} s"));
            }
        }
    }
    found
}

/// Whether a silence lasted longer than heartbeats permit, while no fault excused it and no
/// shopper was cut off. A connection that was dead before has had its last message before, too.
fn lacks_a_heartbeat(evidence: &Evidence<'_>, from_us: i64, till_us: i64) -> bool {
    till_us - from_us > HEARTBEAT_US_MAX
        && !shoppers_were_cut_off(evidence, from_us, till_us)
        && evidence.unexcused(from_us, till_us).iter().any(|(began, ended)| ended - began > HEARTBEAT_US_MAX)
}

/// The connections of a shopper: begin and end.
pub(super) fn connections(events: &[&HistoryEvent]) -> Vec<(i64, i64)> {
    let (mut all, mut since) = (Vec::new(), None);
    for event in events {
        match event.what {
            HistoryEventKind::Connected { .. } => since = since.or(Some(event.at_us)),
            HistoryEventKind::Disconnected | HistoryEventKind::Ended { .. } => {
                all.extend(since.take().map(|since| (since, event.at_us)));
            }
            _ => {}
        }
    }
    all
}

/// Promise 7: a turn reaches an open page.
pub(super) fn late_turns(evidence: &Evidence<'_>, shoppers: &HashMap<u32, Vec<&HistoryEvent>>) -> Vec<String> {
    let mut tickets: HashMap<Ticket, u32> = HashMap::new();
    let mut seen: HashMap<Uuid, i64> = HashMap::new();
    for event in evidence.events {
        match event.what {
            HistoryEventKind::Place { ordinal } => {
                tickets.insert(evidence.ticket(event.shopper, ordinal), event.shopper);
            }
            HistoryEventKind::Turn { admission, .. } => drop(seen.entry(admission).or_insert(event.at_us)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for admission in evidence.admissions {
        let (from_us, till_us) = (admission.issued_at_us, admission.issued_at_us + TURN_US_MAX);
        let Some(shopper) = tickets.get(&admission.ticket()) else { continue };
        let was_connected = connections(&shoppers[shopper]).iter().any(|(from, till)| {
            *from <= from_us && *till >= till_us && !shoppers_were_cut_off(evidence, *from, till_us)
        });
        let is_late = seen.get(&admission.id).is_none_or(|at_us| *at_us > till_us);
        if was_connected && is_late && !evidence.is_excused(from_us - AFTER_US, till_us) {
            let took = seen.get(&admission.id).map(|at_us| (at_us - from_us) as f64 / 1e6);
            found.push(format!("the turn of shopper {shopper} was on the open page after {took:?} s"));
        }
    }
    found
}

/// Promise 9: without a fault, shoppers are admitted while one waits with an open page and a unit
/// is free.
pub(super) fn stalled_lines(evidence: &Evidence<'_>, shoppers: &HashMap<u32, Vec<&HistoryEvent>>) -> Vec<String> {
    // Begin and end of each wait with an open page.
    let mut changes: Vec<(i64, i32)> = Vec::new();
    for events in shoppers.values() {
        let (mut connected, mut waits, mut counted) = (false, false, false);
        for event in events {
            match event.what {
                HistoryEventKind::Connected { .. } => connected = true,
                HistoryEventKind::Disconnected => connected = false,
                HistoryEventKind::Place { .. } => waits = true,
                HistoryEventKind::Turn { .. } | HistoryEventKind::Over { .. } | HistoryEventKind::Ended { .. } => {
                    waits = false
                }
                _ => {}
            }
            let counts = connected && waits;
            if counts != counted {
                changes.push((event.at_us, if counts { 1 } else { -1 }));
                counted = counts;
            }
        }
    }
    changes.sort_unstable();
    let waiting =
        |at_us: i64| changes.iter().take_while(|(then_us, _)| *then_us <= at_us).map(|(_, by)| by).sum::<i32>();
    let mut admitted: Vec<i64> = evidence.admissions.iter().map(|admission| admission.issued_at_us).collect();
    admitted.sort_unstable();
    let mut found = Vec::new();
    let mut stalled_since = None;
    for pair in evidence.stock.windows(2) {
        let [(from_us, _), (till_us, stock)] = pair else { continue };
        let was_admitted =
            admitted.partition_point(|at_us| at_us < from_us) != admitted.partition_point(|at_us| at_us <= till_us);
        let is_known = till_us - from_us < UNKNOWN_US;
        if was_admitted
            || !is_known
            || stock.free() < 1
            || waiting(*till_us) < 1
            || evidence.is_excused(*from_us, *till_us)
        {
            stalled_since = None;
            continue;
        }
        let since_us = *stalled_since.get_or_insert(*from_us);
        if till_us - since_us >= STALLED_US {
            let (stalled, waiting, free) = ((till_us - since_us) as f64 / 1e6, waiting(*till_us), stock.free());
            found.push(format!(
                "no admission for {stalled:.1} s without a fault, while {waiting} shoppers waited and {free} units were free"
            ));
            stalled_since = None;
        }
    }
    found
}

/// Promise 9: no service ends unless a fault ends it. Only its start may fail, while a server or a
/// link is broken.
pub(super) fn ended_unexpectedly(evidence: &Evidence<'_>) -> Vec<String> {
    let failed_to_start = |exit: &Exit| {
        let breaks =
            |injected: &Injected| injected.has_effect(exit.at_us, exit.at_us) && injected.fault.may_fail_a_start();
        exit.status.code() == Some(START_FAILED) && evidence.faults.iter().any(breaks)
    };
    let found = evidence.ended.iter().filter(|exit| !failed_to_start(exit));
    found.map(|exit| format!("a service ended unexpectedly: {exit}")).collect()
}
