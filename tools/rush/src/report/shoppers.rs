//! What the shoppers observed, counted.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use uuid::Uuid;

use super::{Report, ReportInputs, count_each, order::inversions_seen, shorten};
use crate::{
    plan::{Choice as _, ShopperModel, Transport},
    record::{ObservedTurn, ShopperRecord, VisitOutcome},
    statistics::{counted, percentile},
};

pub(super) fn what_shoppers_saw(evidence: &ReportInputs<'_>) -> Report {
    let records = evidence.records;
    let count = |is: &dyn Fn(&ShopperRecord) -> bool| records.iter().filter(|record| is(record)).count() as u64;
    let ended = |outcome: VisitOutcome| count(&|record| record.outcome == Some(outcome));
    let sum = |of: &dyn Fn(&ShopperRecord) -> usize| records.iter().map(|record| of(record) as u64).sum::<u64>();
    let units_paid: i64 = records.iter().filter_map(|record| record.paid).map(|paid| i64::from(paid.units)).sum();
    let stock = i64::from(evidence.total_on_card);
    let mut join_ms: Vec<f64> = records.iter().filter_map(|record| record.join_ms).collect();
    let mut redeem_ms: Vec<f64> = records
        .iter()
        .filter(|record| record.model != ShopperModel::Replay)
        .filter_map(|record| record.redemption.map(|redemption| redemption.took_ms))
        .collect();
    let inversions = inversions_seen(records, evidence.grace_ms);
    let mut report = Report {
        shoppers: records.len() as u64,
        joined: count(&|record| record.join_ms.is_some()),
        admitted: count(&|record| !record.turns.is_empty()),
        redeemed: orders_seen(records).len() as u64,
        paid: count(&|record| record.paid.is_some()),
        stock,
        sold: units_paid,
        oversold: (units_paid - stock).max(0),
        double_used: tokens_accepted_twice(records),
        forged_accepted: sum(&|record| record.forged_accepted.len()),
        forged_tried: sum(&|record| record.forged_tried as usize),
        stolen_accepted: sum(&|record| record.stolen_accepted as usize),
        stolen_tried: sum(&|record| record.stolen_tried as usize),
        expired_accepted: sum(&|record| record.expired_accepted as usize),
        over_limit: count(&|record| record.over_limit > 0),
        notified_of_limit: count(&|record| record.notified_of_limit),
        turned_away: count(&|record| record.expired_early || found_no_unit(record)),
        no_unit: count(&found_no_unit),
        inversions,
        inversions_seen: inversions,
        stayed: count(&|record| record.stayed(evidence.grace_ms)),
        places_lost: count(&|record| record.places_lost > 0),
        unresolved: count(&|record| record.outcome.is_none()),
        sold_out: ended(VisitOutcome::SoldOut),
        closed: ended(VisitOutcome::Closed),
        expired: ended(VisitOutcome::Expired),
        hold_expired: ended(VisitOutcome::HoldExpired),
        refunded: ended(VisitOutcome::Refunded),
        cancelled: ended(VisitOutcome::Cancelled),
        left: ended(VisitOutcome::Left),
        removed: ended(VisitOutcome::Removed),
        missed: ended(VisitOutcome::Missed),
        disconnected: ended(VisitOutcome::Disconnected),
        reconnects: sum(&|record| record.reconnects as usize),
        join_p50_ms: percentile(&mut join_ms, 50.0),
        join_p99_ms: percentile(&mut join_ms, 99.0),
        redeem_p50_ms: percentile(&mut redeem_ms, 50.0),
        redeem_p99_ms: percentile(&mut redeem_ms, 99.0),
        seed: evidence.seed,
        elapsed_s: evidence.elapsed_s,
        unexpected: unexpected(records),
        ..Report::default()
    };
    // Without the database, the token's whole seconds are the best available times.
    Latencies::of(records, |turn| Some(turn.issued_at_s * 1_000_000)).into_report(&mut report);
    name_mismatches(&mut report, records);
    report
}

fn unexpected(records: &[ShopperRecord]) -> BTreeMap<String, u64> {
    let mut unexpected = BTreeMap::new();
    for (what, times) in records.iter().flat_map(|record| &record.unexpected) {
        *unexpected.entry(what.clone()).or_default() += u64::from(*times);
    }
    unexpected
}

/// Names the shoppers without an outcome, and what checkout did wrong by their observations alone.
fn name_mismatches(report: &mut Report, records: &[ShopperRecord]) {
    let unresolved = records.iter().filter(|record| record.outcome.is_none());
    report.unresolved_shoppers = unresolved.map(describe_progress).collect();
    shorten(&mut report.unresolved_shoppers);
    for (kind, times) in count_each(records.iter().flat_map(|record| &record.forged_accepted)) {
        let times = counted(times, "time", "times");
        report.mismatches.push(format!("checkout accepted a forged token: {kind}, {times}"));
    }
    let leaked = records.iter().map(|record| u64::from(record.leaked)).sum::<u64>();
    if leaked > 0 {
        let times = counted(leaked, "time", "times");
        report.mismatches.push(format!("checkout showed an order to another shopper, {times}"));
    }
    for (order, times) in count_each(records.iter().filter_map(|record| record.paid.as_ref().map(|paid| &paid.order))) {
        if times > 1 {
            report.mismatches.push(format!("{times} shoppers paid for the one order {order}"));
        }
    }
}

fn describe_progress(record: &ShopperRecord) -> String {
    let ShopperRecord { index, transport, model, .. } = record;
    let (transport, model) = (transport.name(), model.name());
    let ordinal = record.ordinal.map_or("no place".to_owned(), |ordinal| format!("ordinal {ordinal}"));
    let turns = counted(record.turns.len(), "turn", "turns");
    let rejections = counted(record.rejections.len(), "rejection", "rejections");
    let reconnects = counted(record.reconnects, "reconnect", "reconnects");
    let held = if record.redemption.is_some() { ", held a unit" } else { "" };
    format!("shopper {index} ({model}, {transport}): {ordinal}, {turns}, {rejections}, {reconnects}{held}")
}

/// Every hold that a shopper received, with its admission.
pub(super) fn holds_seen(record: &ShopperRecord) -> impl Iterator<Item = (Uuid, Uuid)> {
    let accepted = record.accepted.iter().map(|accepted| (accepted.admission, accepted.order));
    accepted.chain(record.redemption.map(|redemption| (redemption.admission, redemption.order)))
}

fn orders_seen(records: &[ShopperRecord]) -> HashSet<Uuid> {
    let held = records.iter().flat_map(holds_seen).map(|(_, order)| order);
    held.chain(records.iter().filter_map(|record| record.paid).map(|paid| paid.order)).collect()
}

/// Tokens with two 201 responses, or with two holds.
fn tokens_accepted_twice(records: &[ShopperRecord]) -> u64 {
    let accepted = count_each(records.iter().flat_map(|record| &record.accepted).map(|accepted| &accepted.admission));
    let mut holds: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
    for (admission, order) in records.iter().flat_map(holds_seen) {
        holds.entry(admission).or_default().insert(order);
    }
    let twice = |(admission, orders): &(&Uuid, &BTreeSet<Uuid>)| {
        orders.len() > 1 || accepted.get(*admission).is_some_and(|times| *times > 1)
    };
    holds.iter().filter(twice).count() as u64
}

/// Whether a shopper wanted to pay and found no unit.
fn found_no_unit(record: &ShopperRecord) -> bool {
    record.no_unit && record.paid.is_none()
}

/// Latencies from an admission to the browser.
pub(super) struct Latencies {
    pushed_ms: Vec<f64>,
    polled_ms: Vec<f64>,
}

impl Latencies {
    /// The latencies of all turns that were issued while their page was connected.
    pub(super) fn of(records: &[ShopperRecord], issued_at_us: impl Fn(&ObservedTurn) -> Option<i64>) -> Latencies {
        let mut latencies = Latencies { pushed_ms: Vec::new(), polled_ms: Vec::new() };
        for record in records {
            let connected = |turn: &&ObservedTurn| issued_at_us(turn).is_some_and(|at| turn.connected_at_us <= at);
            for turn in record.turns.iter().filter(connected) {
                let took_us = turn.seen_at_us - issued_at_us(turn).unwrap_or(turn.seen_at_us);
                let into = if record.transport == Transport::Poll {
                    &mut latencies.polled_ms
                } else {
                    &mut latencies.pushed_ms
                };
                into.push(took_us.max(0) as f64 / 1_000.0);
            }
        }
        latencies
    }

    pub(super) fn into_report(mut self, report: &mut Report) {
        report.admission_p50_ms = percentile(&mut self.pushed_ms, 50.0);
        report.admission_p99_ms = percentile(&mut self.pushed_ms, 99.0);
        report.admission_polled_p99_ms = percentile(&mut self.polled_ms, 99.0);
    }
}
