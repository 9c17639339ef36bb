//! Promises 7 and 9: a pause, its end, and the end of the sale reach every open page in time.

use std::collections::HashMap;

use fairline_rush::{HistoryEvent, HistoryEventKind, SaleStatus};

use super::{
    AFTER_US, Evidence, Pause, SLACK_US,
    liveness::{TURN_US_MAX, UNKNOWN_US, connections},
    shoppers_were_cut_off,
};

/// Admissions flow again this soon after a pause, as after a fault.
const RESUMES_US_MAX: i64 = 3_000_000;
/// Samples of the stock are this close to each other.
const SAMPLED_US: i64 = 500_000;

/// Whether the page of a shopper shows a place at this moment.
fn waits(events: &[&HistoryEvent], at_us: i64) -> bool {
    let before = events.iter().take_while(|event| event.at_us <= at_us);
    before.fold(false, |waits, event| match event.what {
        HistoryEventKind::Place { .. } => true,
        HistoryEventKind::Turn { .. } | HistoryEventKind::Over { .. } | HistoryEventKind::Ended { .. } => false,
        _ => waits,
    })
}

/// Shoppers whose open page showed a place at this moment, and who did not see any of these events
/// in time. None while a fault excuses it.
fn unaware(
    evidence: &Evidence<'_>,
    shoppers: &HashMap<u32, Vec<&HistoryEvent>>,
    at_us: i64,
    is_news: impl Fn(&HistoryEventKind) -> bool,
) -> Vec<u32> {
    let till_us = at_us + TURN_US_MAX;
    if evidence.is_excused(at_us - AFTER_US, till_us) {
        return Vec::new();
    }
    let is_unaware = |events: &[&HistoryEvent]| {
        let was_connected = connections(events)
            .iter()
            .any(|(from, till)| *from <= at_us && *till >= till_us && !shoppers_were_cut_off(evidence, *from, till_us));
        let is_seen =
            |event: &&HistoryEvent| (at_us - AFTER_US..=till_us).contains(&event.at_us) && is_news(&event.what);
        was_connected && waits(events, at_us) && !events.iter().any(is_seen)
    };
    shoppers.iter().filter(|(_, events)| is_unaware(events)).map(|(shopper, _)| *shopper).collect()
}

/// Promise 7: pages that wait show a pause. A turn or an outcome takes precedence.
pub(super) fn late_pauses(evidence: &Evidence<'_>, shoppers: &HashMap<u32, Vec<&HistoryEvent>>) -> Vec<String> {
    use HistoryEventKind::{Over, Sale, Turn};
    let is_news =
        |what: &HistoryEventKind| matches!(what, Sale { status: SaleStatus::Paused } | Turn { .. } | Over { .. });
    let late = evidence.pauses.iter().flat_map(|pause| unaware(evidence, shoppers, pause.began_us, is_news));
    late.map(|shopper| format!("the open page of shopper {shopper} did not show a pause in time")).collect()
}

/// Promise 7: once all units are sold, pages that wait show it.
pub(super) fn late_endings(evidence: &Evidence<'_>, shoppers: &HashMap<u32, Vec<&HistoryEvent>>) -> Vec<String> {
    let sold_out = evidence.stock.iter().find(|(_, stock)| stock.sold >= stock.total);
    let Some((sold_out_us, _)) = sold_out else { return Vec::new() };
    let late = unaware(evidence, shoppers, *sold_out_us, |what| matches!(what, HistoryEventKind::Over { .. }));
    late.iter().map(|shopper| format!("the open page of shopper {shopper} did not show the end in time")).collect()
}

/// Promise 7: a sale that shoppers see as paused admits no one.
pub(super) fn admitted_in_a_pause(evidence: &Evidence<'_>) -> Vec<String> {
    let in_pause = |pause: &Pause, at_us: i64| pause.began_us + SLACK_US < at_us && at_us < pause.ended_us - SLACK_US;
    let found = evidence
        .admissions
        .iter()
        .filter(|admission| evidence.pauses.iter().any(|pause| in_pause(pause, admission.issued_at_us)));
    found.map(|admission| format!("ticket {} was admitted during a pause", admission.ordinal)).collect()
}

/// Promise 9: admissions flow again after a pause, while a unit is free and a shopper waits with an
/// open page.
pub(super) fn stalled_after_a_pause(
    evidence: &Evidence<'_>,
    shoppers: &HashMap<u32, Vec<&HistoryEvent>>,
) -> Vec<String> {
    let is_stalled = |pause: &&Pause| {
        let (from_us, till_us) = (pause.resumed_us, pause.resumed_us + RESUMES_US_MAX);
        let during = |at_us: i64| (from_us..=till_us).contains(&at_us);
        let samples: Vec<_> = evidence.stock.iter().filter(|(at_us, _)| during(*at_us)).collect();
        let is_known = samples.len() as i64 * SAMPLED_US >= RESUMES_US_MAX - UNKNOWN_US;
        let present = shoppers.values().any(|events| {
            waits(events, from_us)
                && waits(events, till_us)
                && connections(events).iter().any(|(from, till)| *from <= from_us && *till >= till_us)
        });
        is_known
            && present
            && samples.iter().all(|(_, stock)| stock.free() > 0)
            && !evidence.admissions.iter().any(|admission| during(admission.issued_at_us))
            && !evidence.is_excused(from_us, till_us)
    };
    let stalled = evidence.pauses.iter().filter(is_stalled);
    stalled.map(|pause| format!("no admission for 3 s after a pause that ended at {}", pause.resumed_us)).collect()
}
