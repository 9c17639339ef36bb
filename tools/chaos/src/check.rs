//! The verdict on one shop, from the history of its shoppers, its database, its payment gateway and
//! its public record. Pure.
//!
//! The report of `fairline rush` judges counts. This module adds checks that need the times of
//! faults, messages and charges. A promise that takes time is not checked during a fault, nor until
//! the shop has recovered.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use fairline_rush::{Behaviour, Event, Happening, Plan, Profile, Report};
use fairline_shop::SHOPPERS;
use uuid::Uuid;

use crate::{
    books::{Admission, Charge, Payment, Stock},
    fault::Fault,
};

/// A connected shopper receives a message of the line within this time.
const SILENT_US_MAX: i64 = 3_000_000;
/// A turn is on an open page within this time: a page that polls does so every two seconds, and the
/// machine is busy.
const TURN_US_MAX: i64 = 6_000_000;
/// A line without an admission for this long has stalled, while a shopper waits without a fault.
/// While checkout is slow, one shopper is admitted every five seconds.
const STALLED_US: i64 = 12_000_000;
/// Between two samples further apart than this, the stock is unknown.
const UNKNOWN_US: i64 = 2_500_000;
/// Precision of clocks and logs.
const SLACK_US: i64 = 250_000;
/// Effects of a fault may appear this long after the recovery.
const AFTER_US: i64 = 2_000_000;
/// A returning shopper may still be passed for the duration of a tick and a publication.
const BACK_US: i64 = 1_500_000;
/// A shopper who is away for longer loses the place.
const GRACE_US: i64 = 60_000_000;
/// The end of the report's sentence on inversions, which `passed` checks more precisely.
const PASSED: &str = "admitted against their ordinals";
/// Maximum reported violations of one promise.
const REPORTED_MAX: usize = 5;

/// An injected fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// The fault.
    pub fault: Fault,
    /// When it began, in microseconds since 1970.
    pub began_us: i64,
    /// When it ended.
    pub ended_us: i64,
    /// When admissions and messages had resumed, and all services were ready.
    pub recovered_us: i64,
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Injected { fault, began_us, ended_us, recovered_us } = self;
        let (lasted, recovered) = (ended_us.saturating_sub(*began_us), recovered_us.saturating_sub(*ended_us));
        let s = |us: i64| us as f64 / 1e6;
        write!(f, "{:.3} for {:.2} s, recovered after {:.2} s: {fault}", s(*began_us), s(lasted), s(recovered))
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The number of the promise; 0: two sources disagree.
    pub promise: u8,
    /// The violation.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.promise {
            0 => write!(f, "sources disagree: {}", self.what),
            promise => write!(f, "promise {promise}: {}", self.what),
        }
    }
}

/// The inputs of a verdict.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The seed of the crowd.
    pub seed: u64,
    /// The parameters of the crowd.
    pub profile: &'a Profile,
    /// The report of `fairline rush`.
    pub report: &'a Report,
    /// The history.
    pub events: &'a [Event],
    /// The faults.
    pub faults: &'a [Injected],
    /// The database's admissions.
    pub admissions: &'a [Admission],
    /// The database's payments.
    pub payments: &'a [Payment],
    /// The payment gateway's charges.
    pub charges: &'a [Charge],
    /// Samples of the stock, two per second, with their times.
    pub stock: &'a [(i64, Stock)],
}

/// Every promise that was broken.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let shoppers = by_shopper(evidence.events);
    let mut violations = of_the_report(evidence.report);
    for (promise, found) in [
        (4, passed(evidence, &shoppers)),
        (5, lost_without_a_fault(evidence, &shoppers)),
        (6, charges_without_order(evidence)),
        (6, charged_after_the_end(evidence)),
        (7, silent_pages(evidence, &shoppers)),
        (7, late_turns(evidence, &shoppers)),
        (9, stalled_lines(evidence, &shoppers)),
        (1, oversold(evidence)),
    ] {
        let more = found.len().saturating_sub(REPORTED_MAX);
        violations.extend(found.into_iter().take(REPORTED_MAX).map(|what| Violation { promise, what }));
        if more > 0 {
            violations.push(Violation { promise, what: format!("and {more} more of this kind") });
        }
    }
    violations
}

/// The report names each promise with its number.
fn of_the_report(report: &Report) -> Vec<Violation> {
    let broken = report.broken.iter().filter(|sentence| !sentence.ends_with(PASSED)).map(|sentence| {
        let rest = sentence.strip_prefix("promise ").and_then(|rest| rest.split_once(": "));
        let promise = rest.and_then(|(number, _)| number.parse().ok());
        Violation { promise: promise.unwrap_or(0), what: rest.map_or(sentence.as_str(), |(_, what)| what).to_owned() }
    });
    let mismatches = report.mismatches.iter().map(|what| Violation { promise: 0, what: what.clone() });
    let unproved = (report.order_honest == Some(false) && !report.broken.iter().any(|what| what.contains("record")))
        .then(|| Violation { promise: 10, what: "the public record does not prove an honest line".to_owned() });
    broken.chain(mismatches).chain(unproved).collect()
}

fn by_shopper(events: &[Event]) -> HashMap<u32, Vec<&Event>> {
    let mut shoppers: HashMap<u32, Vec<&Event>> = HashMap::new();
    for event in events {
        shoppers.entry(event.shopper).or_default().push(event);
    }
    for events in shoppers.values_mut() {
        events.sort_by_key(|event| event.at_us);
    }
    shoppers
}

impl Evidence<'_> {
    /// Whether a fault lasted, or had not recovered, during this time.
    fn is_excused(&self, from_us: i64, till_us: i64) -> bool {
        self.faults
            .iter()
            .any(|injected| injected.began_us <= till_us && injected.recovered_us.saturating_add(AFTER_US) >= from_us)
    }
}

/// Whether the links of shoppers were broken during this time. A page detects a dead connection
/// after 28 s, as documented.
fn shoppers_were_cut_off(evidence: &Evidence<'_>, from_us: i64, till_us: i64) -> bool {
    let of_shoppers = |fault: &Fault| matches!(fault, Fault::Link { from, .. } if *from == SHOPPERS);
    evidence
        .faults
        .iter()
        .any(|injected| of_shoppers(&injected.fault) && injected.began_us <= till_us && injected.ended_us >= from_us)
}

/// Periods in which a shopper was disconnected, or without a message since the beginning of a fault
/// that cuts shoppers off.
fn away(evidence: &Evidence<'_>, events: &[&Event]) -> Vec<(i64, i64)> {
    let cuts_off = |fault: &Fault| match fault {
        Fault::Link { from, to, .. } => *from == SHOPPERS && to.starts_with("waiting-room"),
        Fault::Kill(name) | Fault::Stop(name) | Fault::Roll(name) | Fault::Files(name) => {
            name.starts_with("waiting-room")
        }
        _ => false,
    };
    let cut_off = evidence.faults.iter().filter(|injected| cuts_off(&injected.fault)).map(|injected| injected.began_us);
    let disconnected = events.iter().filter(|event| matches!(event.what, Happening::Disconnected));
    let begins = cut_off.chain(disconnected.map(|event| event.at_us));
    let hears = |event: &&&Event| {
        matches!(
            event.what,
            Happening::Heard | Happening::Place { .. } | Happening::Turn { .. } | Happening::Over { .. }
        )
    };
    begins
        .map(|from| {
            let till = events.iter().filter(hears).map(|event| event.at_us).find(|at_us| *at_us > from);
            (from, till.unwrap_or(i64::MAX))
        })
        .collect()
}

/// Promise 4: admissions follow the line. A line that Redis lost waits ten seconds for its
/// shoppers; a shopper who is away for longer is passed, and served first after returning.
fn passed(evidence: &Evidence<'_>, shoppers: &HashMap<u32, Vec<&Event>>) -> Vec<String> {
    let mut first: HashMap<i64, i64> = HashMap::new();
    for admission in evidence.admissions {
        let at_us = first.entry(admission.ordinal).or_insert(admission.issued_at_us);
        *at_us = admission.issued_at_us.min(*at_us);
    }
    let losses: Vec<(i64, i64)> = evidence
        .faults
        .iter()
        .filter(|injected| injected.fault.kind().starts_with("redis"))
        .map(|injected| (injected.began_us, injected.recovered_us.saturating_add(AFTER_US)))
        .collect();
    let mut found = Vec::new();
    for (shopper, events) in shoppers {
        let place = events.iter().find_map(|event| match event.what {
            Happening::Place { ordinal } => Some(i64::try_from(ordinal).unwrap_or(0)),
            _ => None,
        });
        let Some(ordinal) = place else { continue };
        let ended = |event: &&&Event| matches!(event.what, Happening::Over { .. } | Happening::Ended { .. });
        let waited_till_us = events.iter().find(ended).map_or(i64::MAX, |event| event.at_us);
        let waited_till_us = first.get(&ordinal).map_or(waited_till_us, |at_us| waited_till_us.min(*at_us));
        let joined_us = events.first().map_or(0, |event| event.at_us);
        let absences = away(evidence, events);
        if absences.iter().any(|&(from, till)| from < waited_till_us && till.min(waited_till_us) - from > GRACE_US) {
            continue;
        }
        let is_excused = |at_us: i64| {
            absences.iter().any(|&(from, till)| {
                from <= at_us
                    && till.saturating_add(BACK_US) >= at_us
                    && losses.iter().any(|&(began, recovered)| began <= at_us && recovered >= from)
            })
        };
        let by = first.iter().filter(|&(other, at_us)| {
            *other > ordinal && *at_us > joined_us && *at_us < waited_till_us && !is_excused(*at_us)
        });
        if let Some((other, at_us)) = by.min_by_key(|(_, at_us)| **at_us) {
            let at_s = *at_us as f64 / 1e6;
            found.push(format!("ticket {ordinal} of shopper {shopper} was passed by {other} at {at_s:.3}"));
        }
    }
    found
}

/// Promise 5: a shopper who was in time lost the turn without a fault.
fn lost_without_a_fault(evidence: &Evidence<'_>, shoppers: &HashMap<u32, Vec<&Event>>) -> Vec<String> {
    let mut found = Vec::new();
    for (shopper, events) in shoppers {
        let behaviour = Plan::new(evidence.seed, *shopper, evidence.profile).behaviour;
        if !matches!(behaviour, Behaviour::Buy | Behaviour::Again | Behaviour::Replay | Behaviour::Forge) {
            continue;
        }
        let lost = events.iter().find(|event| {
            matches!(&event.what, Happening::Over { outcome } if ["Expired", "Missed"].contains(&outcome.as_str()))
        });
        let Some(lost) = lost else { continue };
        let turn =
            events.iter().rev().find(|event| matches!(event.what, Happening::Turn { .. }) && event.at_us <= lost.at_us);
        let from_us = turn.map_or(lost.at_us, |turn| turn.at_us) - SILENT_US_MAX;
        if !evidence.is_excused(from_us, lost.at_us) {
            found.push(format!("shopper {shopper} ({behaviour:?}) lost the turn without a fault: {:?}", lost.what));
        }
    }
    found
}

/// Promise 6: captured money without order and refund, or captured twice for one order.
fn charges_without_order(evidence: &Evidence<'_>) -> Vec<String> {
    let payments: HashMap<Uuid, &Payment> = evidence.payments.iter().map(|payment| (payment.id, payment)).collect();
    let mut found = Vec::new();
    let mut kept: HashMap<Uuid, u32> = HashMap::new();
    for charge in last_seen(evidence.charges) {
        if charge.captured_at_us.is_none() || charge.refunded >= charge.amount {
            continue;
        }
        match charge.payment.and_then(|id| payments.get(&id)) {
            Some(payment) if payment.has_order => *kept.entry(payment.hold_id).or_default() += 1,
            Some(payment) => found.push(format!("{} is captured, but its payment is {}", charge.id, payment.state)),
            None => found.push(format!("{} is captured, but has no payment", charge.id)),
        }
    }
    found.extend(
        kept.iter().filter(|(_, times)| **times > 1).map(|(order, times)| format!("{order} is paid {times} times")),
    );
    found
}

/// The last observation of each charge.
fn last_seen(charges: &[Charge]) -> impl Iterator<Item = &Charge> {
    let last: HashMap<&str, usize> = charges.iter().enumerate().map(|(at, charge)| (charge.id.as_str(), at)).collect();
    let mut at: Vec<usize> = last.into_values().collect();
    at.sort_unstable();
    at.into_iter().map(|at| &charges[at])
}

/// Promise 6: the first authorisation comes before the shopper is notified that the order is gone.
fn charged_after_the_end(evidence: &Evidence<'_>) -> Vec<String> {
    let mut gone: HashMap<Uuid, i64> = HashMap::new();
    for event in evidence.events {
        if let Happening::Order { order, status } = &event.what
            && ["lapsed", "refunded"].contains(&status.as_str())
        {
            let first = gone.entry(*order).or_insert(event.at_us);
            *first = event.at_us.min(*first);
        }
    }
    let payments: HashMap<Uuid, &Payment> = evidence.payments.iter().map(|payment| (payment.id, payment)).collect();
    let mut found = Vec::new();
    for charge in last_seen(evidence.charges) {
        let Some(payment) = charge.payment.and_then(|id| payments.get(&id)) else { continue };
        let after = |moment_us: i64| (charge.made_at_us - moment_us) as f64 / 1e6;
        if let Some(gone_us) = gone.get(&payment.hold_id)
            && charge.made_at_us > gone_us + SLACK_US
        {
            let late = after(*gone_us);
            found.push(format!(
                "{} was authorised {late:.1} s after the shopper was notified that the order is gone",
                charge.id
            ));
        }
    }
    found
}

/// Promise 7: a connected shopper receives messages of the line.
fn silent_pages(evidence: &Evidence<'_>, shoppers: &HashMap<u32, Vec<&Event>>) -> Vec<String> {
    let mut found = Vec::new();
    for (shopper, events) in shoppers {
        let mut connected_us = None;
        for event in events {
            if let Some(since_us) = connected_us
                && event.at_us - since_us > SILENT_US_MAX
                && !evidence.is_excused(since_us, since_us + SILENT_US_MAX)
            {
                let silent = (event.at_us - since_us) as f64 / 1e6;
                found.push(format!("shopper {shopper} was connected without a message for {silent:.1} s"));
            }
            connected_us = matches!(event.what, Happening::Connected { .. }).then_some(event.at_us);
        }
    }
    found
}

/// The connections of a shopper: begin and end.
fn connections(events: &[&Event]) -> Vec<(i64, i64)> {
    let (mut all, mut since) = (Vec::new(), None);
    for event in events {
        match event.what {
            Happening::Connected { .. } => since = since.or(Some(event.at_us)),
            Happening::Disconnected | Happening::Ended { .. } => {
                all.extend(since.take().map(|since| (since, event.at_us)));
            }
            _ => {}
        }
    }
    all
}

/// Promise 7: a turn reaches an open page.
fn late_turns(evidence: &Evidence<'_>, shoppers: &HashMap<u32, Vec<&Event>>) -> Vec<String> {
    let mut tickets: HashMap<i64, u32> = HashMap::new();
    let mut seen: HashMap<Uuid, i64> = HashMap::new();
    for event in evidence.events {
        match event.what {
            Happening::Place { ordinal } => drop(tickets.insert(i64::try_from(ordinal).unwrap_or(0), event.shopper)),
            Happening::Turn { admission, .. } => drop(seen.entry(admission).or_insert(event.at_us)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for admission in evidence.admissions {
        let (from_us, till_us) = (admission.issued_at_us, admission.issued_at_us + TURN_US_MAX);
        let Some(shopper) = tickets.get(&admission.ordinal) else { continue };
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
fn stalled_lines(evidence: &Evidence<'_>, shoppers: &HashMap<u32, Vec<&Event>>) -> Vec<String> {
    // Begin and end of each wait with an open page.
    let mut changes: Vec<(i64, i32)> = Vec::new();
    for events in shoppers.values() {
        let (mut connected, mut waits, mut counted) = (false, false, false);
        for event in events {
            match event.what {
                Happening::Connected { .. } => connected = true,
                Happening::Disconnected => connected = false,
                Happening::Place { .. } => waits = true,
                Happening::Turn { .. } | Happening::Over { .. } | Happening::Ended { .. } => waits = false,
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

/// Promise 1, in each sample.
fn oversold(evidence: &Evidence<'_>) -> Vec<String> {
    let broken = evidence.stock.iter().filter(|(_, stock)| stock.free() < 0);
    broken.map(|(_, stock)| format!("promised, held and sold exceed the stock: {stock:?}")).collect()
}

/// Kinds of faults.
#[must_use]
pub fn kinds(faults: &[Injected]) -> HashSet<String> {
    faults.iter().map(|injected| injected.fault.kind()).collect()
}
