//! The verdict on one shop, from the history of its shoppers, its database, its payment gateway and
//! its public record. Pure.
//!
//! The report of `fairline rush` judges counts. This module adds checks that need the times of
//! faults, messages and charges. A promise that takes time is not checked during a fault, nor until
//! the shop has recovered.

mod liveness;
mod money;
mod news;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    process::ExitStatus,
};

use fairline_rush::{CrowdProfile, HistoryEvent, HistoryEventKind, Report, ShopperModel, ShopperPlan};
use fairline_shop::SHOPPERS;

use self::{
    liveness::{ended_unexpectedly, late_turns, silent_pages, stalled_lines},
    money::{charged_after_the_end, charges_without_order, never_released},
    news::{admitted_in_a_pause, late_endings, late_pauses, stalled_after_a_pause},
};
use crate::{
    fault::Fault,
    ledger_reader::{GatewayCharge, IssuedAdmission, Payment, Stock},
    plan::SaleKind,
};

/// A connected shopper receives a message of the line within this time: a node sends one at once,
/// and the shopper's process and the node share two cores with the whole shop.
const SILENT_US_MAX: i64 = 2_000_000;
/// Precision of clocks and logs.
const SLACK_US: i64 = 250_000;
/// Effects of a fault may appear this long after the recovery: it is noticed at one node, and
/// another one may need 2.6 s from the end of the fault to replace a silent connection to Redis.
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

impl Injected {
    /// Whether it lasted, or the shop had not recovered from it, during this time.
    fn has_effect(&self, from_us: i64, till_us: i64) -> bool {
        self.began_us <= till_us && self.recovered_us.saturating_add(AFTER_US) >= from_us
    }
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Injected { fault, began_us, ended_us, recovered_us } = self;
        let (lasted, recovered) = (ended_us.saturating_sub(*began_us), recovered_us.saturating_sub(*ended_us));
        let s = |us: i64| us as f64 / 1e6;
        write!(f, "{:.3} for {:.2} s, recovered after {:.2} s: {fault}", s(*began_us), s(lasted), s(recovered))
    }
}

/// A service that ended although no fault ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The service.
    pub service: &'static str,
    /// When this was noticed, in microseconds since 1970.
    pub at_us: i64,
    /// How it ended.
    pub status: ExitStatus,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:.3}, {}", self.service, self.at_us as f64 / 1e6, self.status)
    }
}

/// A pause of the sale by an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// When the request to pause had succeeded, in microseconds since 1970.
    pub began_us: i64,
    /// When the request to resume was sent.
    pub ended_us: i64,
    /// When that had succeeded.
    pub resumed_us: i64,
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
    pub profile: &'a CrowdProfile,
    /// Which sale.
    pub sale: SaleKind,
    /// How many shoppers, from the first, wait in a lane.
    pub guests: u32,
    /// The report of `fairline rush`.
    pub report: &'a Report,
    /// The history.
    pub events: &'a [HistoryEvent],
    /// The faults.
    pub faults: &'a [Injected],
    /// The database's admissions.
    pub admissions: &'a [IssuedAdmission],
    /// The database's payments.
    pub payments: &'a [Payment],
    /// The payment gateway's charges.
    pub charges: &'a [GatewayCharge],
    /// Those whose money was reserved in the end, when it had to be captured or released.
    pub reserved: &'a [GatewayCharge],
    /// Samples of the stock, two per second, with their times.
    pub stock: &'a [(i64, Stock)],
    /// Pauses of the sale.
    pub pauses: &'a [Pause],
    /// Services that ended unexpectedly.
    pub ended: &'a [Exit],
    /// Deadlocks, as the log of Postgres has them. Since locks are taken in one order, no fault
    /// excuses one.
    pub deadlocks: &'a [String],
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
        (6, never_released(evidence)),
        (7, silent_pages(evidence, &shoppers)),
        (7, late_turns(evidence, &shoppers)),
        (7, late_pauses(evidence, &shoppers)),
        (7, late_endings(evidence, &shoppers)),
        (7, admitted_in_a_pause(evidence)),
        (9, stalled_lines(evidence, &shoppers)),
        (9, stalled_after_a_pause(evidence, &shoppers)),
        (9, ended_unexpectedly(evidence)),
        (9, evidence.deadlocks.to_vec()),
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

fn by_shopper(events: &[HistoryEvent]) -> HashMap<u32, Vec<&HistoryEvent>> {
    let mut shoppers: HashMap<u32, Vec<&HistoryEvent>> = HashMap::new();
    for event in events {
        shoppers.entry(event.shopper).or_default().push(event);
    }
    for events in shoppers.values_mut() {
        events.sort_by_key(|event| event.at_us);
    }
    shoppers
}

/// How much of a sale was without a fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quiet {
    /// The time in which promises that take time were checked, in seconds.
    pub quiet_s: f64,
    /// From the first event to the last admission, in seconds.
    pub whole_s: f64,
}

impl Quiet {
    /// Less than this share of a sale checks too little.
    const SHARE_MIN: f64 = 0.2;

    /// Whether promises that take time were checked for long enough.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.quiet_s >= self.whole_s * Quiet::SHARE_MIN
    }
}

/// A ticket: whether it is of the lane, and its ordinal there.
type Ticket = (bool, i64);

impl IssuedAdmission {
    fn ticket(&self) -> Ticket {
        (self.is_guest, self.ordinal)
    }
}

impl Evidence<'_> {
    /// The ticket of this shopper with this ordinal.
    fn ticket(&self, shopper: u32, ordinal: u64) -> Ticket {
        (shopper < self.guests, i64::try_from(ordinal).unwrap_or(0))
    }

    /// How much of the sale no fault excuses.
    #[must_use]
    pub fn quiet(&self) -> Quiet {
        let from_us = self.events.iter().map(|event| event.at_us).min().unwrap_or(0);
        let till_us = self.admissions.iter().map(|admission| admission.issued_at_us).max().unwrap_or(from_us);
        let quiet_us: i64 = self.unexcused(from_us, till_us).into_iter().map(|(from, till)| till - from).sum();
        let seconds = |us: i64| us.max(0) as f64 / 1e6;
        Quiet { quiet_s: seconds(quiet_us), whole_s: seconds(till_us - from_us) }
    }

    /// The parts of a time that no fault excuses.
    fn unexcused(&self, from_us: i64, till_us: i64) -> Vec<(i64, i64)> {
        let over_us = |injected: &Injected| injected.recovered_us.saturating_add(AFTER_US);
        let mut excused: Vec<(i64, i64)> =
            self.faults.iter().map(|injected| (injected.began_us, over_us(injected))).collect();
        excused.sort_unstable();
        excused.push((till_us, till_us));
        let (mut since_us, mut parts) = (from_us, Vec::new());
        for (began_us, over_us) in excused {
            let ends_us = began_us.min(till_us);
            if ends_us > since_us {
                parts.push((since_us, ends_us));
            }
            since_us = over_us.max(since_us);
        }
        parts
    }

    /// Whether a fault lasted, or had not recovered, during this time.
    fn is_excused(&self, from_us: i64, till_us: i64) -> bool {
        self.faults.iter().any(|injected| injected.has_effect(from_us, till_us))
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
fn away(evidence: &Evidence<'_>, events: &[&HistoryEvent]) -> Vec<(i64, i64)> {
    let cuts_off = |fault: &Fault| match fault {
        Fault::Link { from, to, .. } => *from == SHOPPERS && to.starts_with("waiting-room"),
        Fault::Kill(name) | Fault::Stop(name) | Fault::Roll(name) | Fault::Files(name) => {
            name.starts_with("waiting-room")
        }
        _ => false,
    };
    let cut_off = evidence.faults.iter().filter(|injected| cuts_off(&injected.fault)).map(|injected| injected.began_us);
    let disconnected = events.iter().filter(|event| matches!(event.what, HistoryEventKind::Disconnected));
    let begins = cut_off.chain(disconnected.map(|event| event.at_us));
    let is_message = |event: &&&HistoryEvent| {
        matches!(
            event.what,
            HistoryEventKind::Received
                | HistoryEventKind::Sale { .. }
                | HistoryEventKind::Place { .. }
                | HistoryEventKind::Turn { .. }
                | HistoryEventKind::Over { .. }
        )
    };
    begins
        .map(|from| {
            let till = events.iter().filter(is_message).map(|event| event.at_us).find(|at_us| *at_us > from);
            (from, till.unwrap_or(i64::MAX))
        })
        .collect()
}

/// Promise 4: admissions follow the line, or the lane; the order of a draw is in the record. A line
/// that Redis lost waits ten seconds for its shoppers; a shopper who is away for longer is passed,
/// and served first after returning.
fn passed(evidence: &Evidence<'_>, shoppers: &HashMap<u32, Vec<&HistoryEvent>>) -> Vec<String> {
    if evidence.sale == SaleKind::Draw {
        return Vec::new();
    }
    let mut first: HashMap<Ticket, i64> = HashMap::new();
    for admission in evidence.admissions {
        let at_us = first.entry(admission.ticket()).or_insert(admission.issued_at_us);
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
            HistoryEventKind::Place { ordinal } => Some(evidence.ticket(*shopper, ordinal)),
            _ => None,
        });
        let Some(ticket) = place else { continue };
        let ended = |event: &&&HistoryEvent| {
            matches!(event.what, HistoryEventKind::Over { .. } | HistoryEventKind::Ended { .. })
        };
        let waited_until_us = events.iter().find(ended).map_or(i64::MAX, |event| event.at_us);
        let waited_until_us = first.get(&ticket).map_or(waited_until_us, |at_us| waited_until_us.min(*at_us));
        let joined_us = events.first().map_or(0, |event| event.at_us);
        let absences = away(evidence, events);
        if absences.iter().any(|&(from, till)| from < waited_until_us && till.min(waited_until_us) - from > GRACE_US) {
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
            other.0 == ticket.0
                && other.1 > ticket.1
                && *at_us > joined_us
                && *at_us < waited_until_us
                && !is_excused(*at_us)
        });
        if let Some((other, at_us)) = by.min_by_key(|(_, at_us)| **at_us) {
            let (at_s, ordinal, other) = (*at_us as f64 / 1e6, ticket.1, other.1);
            found.push(format!("ticket {ordinal} of shopper {shopper} was passed by {other} at {at_s:.3}"));
        }
    }
    found
}

/// Promise 5: a shopper who was in time lost the turn without a fault.
fn lost_without_a_fault(evidence: &Evidence<'_>, shoppers: &HashMap<u32, Vec<&HistoryEvent>>) -> Vec<String> {
    let mut found = Vec::new();
    for (shopper, events) in shoppers {
        let model = ShopperPlan::new(evidence.seed, *shopper, evidence.profile).model;
        use ShopperModel::{Buy, BuyAgain, Cancel, Forge, Replay};
        if ![Buy, BuyAgain, Replay, Forge, Cancel].contains(&model) {
            continue;
        }
        let lost = events.iter().find(|event| {
            matches!(&event.what, HistoryEventKind::Over { outcome } if ["Expired", "Missed"].contains(&outcome.as_str()))
        });
        let Some(lost) = lost else { continue };
        let turn = events
            .iter()
            .rev()
            .find(|event| matches!(event.what, HistoryEventKind::Turn { .. }) && event.at_us <= lost.at_us);
        let from_us = turn.map_or(lost.at_us, |turn| turn.at_us) - SILENT_US_MAX;
        if !evidence.is_excused(from_us, lost.at_us) {
            found.push(format!("shopper {shopper} ({model:?}) lost the turn without a fault: {:?}", lost.what));
        }
    }
    found
}

/// Promise 1, in each sample.
fn oversold(evidence: &Evidence<'_>) -> Vec<String> {
    let broken = evidence.stock.iter().filter(|(_, stock)| stock.is_oversold());
    broken.map(|(_, stock)| format!("promised, held and sold exceed the stock: {stock:?}")).collect()
}

/// Kinds of faults.
#[must_use]
pub fn kinds(faults: &[Injected]) -> HashSet<String> {
    faults.iter().map(|injected| injected.fault.kind()).collect()
}
