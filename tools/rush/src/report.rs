//! The report: compares the shoppers' observations with the database, and judges every promise.
//! Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
};

use fairline_record::verify::{Fault, Verdict};
use fairline_sale::{LineOrder, SaleMode};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    count::{inversions, percentile},
    ledger::{Admission, Ledger},
    messages::AdminSale,
    plan::{Behaviour, Choice as _, Transport},
    record::{Outcome, Record, Turn},
};

/// Maximum sentences of one kind in a report.
const SENTENCES_MAX: usize = 20;

/// The inputs of a report.
pub(crate) struct Evidence<'a> {
    pub(crate) seed: u64,
    /// The stock on the sale's card, used without a database.
    pub(crate) total_on_card: u32,
    /// Units that one shopper may have; 0 if unknown.
    pub(crate) per_shopper_limit: u32,
    /// In yield mode an admitted shopper may find no unit.
    pub(crate) mode: SaleMode,
    /// A shopper who was away for no longer than this counts as having stayed.
    pub(crate) grace_ms: u64,
    pub(crate) elapsed_s: f64,
    pub(crate) records: &'a [Record],
    /// `Ok(None)`: not requested. `Err`: it could not be read.
    pub(crate) ledger: Result<Option<&'a Ledger>, String>,
    pub(crate) admin: Option<Result<AdminSale, String>>,
    /// The verdict on the public record; `Err`: it could not be read.
    pub(crate) record: Option<Result<Result<Verdict, Fault>, String>>,
}

/// The outcome of a rush. Printed as one JSON object on the last line of standard output.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Shoppers who came.
    pub shoppers: u64,
    /// Shoppers who got a place.
    pub joined: u64,
    /// Shoppers who got a turn.
    pub admitted: u64,
    /// Holds that shoppers got for their tokens.
    pub redeemed: u64,
    /// Orders that shoppers saw paid.
    pub paid: u64,
    /// Units in the sale.
    pub stock: i64,
    /// Units paid for.
    pub sold: i64,
    /// Units held or paid for beyond the stock.
    pub oversold: i64,
    /// Tokens that were accepted twice.
    pub double_used: u64,
    /// Forged tokens that bought something.
    pub forged_accepted: u64,
    /// Forged tokens tried.
    pub forged_tried: u64,
    /// Real tokens that bought something with another shopper's ticket.
    pub stolen_accepted: u64,
    /// Real tokens tried with another shopper's ticket.
    pub stolen_tried: u64,
    /// Tokens that bought something after their expiry.
    pub expired_accepted: u64,
    /// Shoppers with more units than the sale's limit per shopper.
    pub over_limit: u64,
    /// Shoppers at the limit who joined again and were notified of the limit.
    pub told_of_limit: u64,
    /// Shoppers who redeemed or paid in time and were rejected.
    pub turned_away: u64,
    /// Of these, shoppers who wanted to pay and found no unit: the risk of yield mode.
    pub no_unit: u64,
    /// Seconds from the first admission until 99 % of the units were paid for; `null` if they never
    /// were, or without a database.
    pub t99_s: Option<f64>,
    /// Pairs of shoppers who stayed that were admitted against their ordinals; by the database if
    /// available.
    pub inversions: u64,
    /// The same by the shoppers' observations, to the second; may include a turn that its page
    /// never received.
    pub inversions_seen: u64,
    /// Whether the public record proves an honest order; `null` without a controller.
    pub order_honest: Option<bool>,
    /// Shoppers who stayed, whose order is checked.
    pub stayed: u64,
    /// Shoppers whose ordinal changed.
    pub places_lost: u64,
    /// Shoppers who never received an outcome.
    pub unresolved: u64,
    /// Shoppers who were notified that the sale is sold out.
    pub sold_out: u64,
    /// Shoppers who were notified that the sale is closed.
    pub closed: u64,
    /// Shoppers whose token expired.
    pub expired: u64,
    /// Shoppers whose hold lapsed.
    pub lapsed: u64,
    /// Shoppers who got a refund.
    pub refunded: u64,
    /// Shoppers who left explicitly.
    pub left: u64,
    /// Shoppers whose ticket an operator removed.
    pub removed: u64,
    /// Shoppers who came back long after their turns.
    pub missed: u64,
    /// Shoppers who closed the lid for good.
    pub lids_closed: u64,
    /// Reconnections.
    pub reconnects: u64,
    /// Median time from first attempt to first place.
    pub join_p50_ms: Option<f64>,
    /// 99th percentile of the time from first attempt to first place.
    pub join_p99_ms: Option<f64>,
    /// Median time from admission to browser over an open connection.
    pub admission_p50_ms: Option<f64>,
    /// 99th percentile of the time from admission to browser over an open connection.
    pub admission_p99_ms: Option<f64>,
    /// 99th percentile of the time from admission to browser for pages that poll.
    pub admission_polled_p99_ms: Option<f64>,
    /// Median time from first purchase to hold.
    pub redeem_p50_ms: Option<f64>,
    /// 99th percentile of the time from first purchase to hold.
    pub redeem_p99_ms: Option<f64>,
    /// The seed, which repeats the crowd.
    pub seed: u64,
    /// Duration of the rush.
    pub elapsed_s: f64,
    /// The database's count; `null` without a database.
    pub database: Option<DatabaseCount>,
    /// Broken promises, in sentences.
    pub broken: Vec<String>,
    /// Disagreements between the shoppers, the database and the admin API.
    pub mismatches: Vec<String>,
    /// Shoppers without an outcome, and how far they came.
    pub unresolved_shoppers: Vec<String>,
    /// Responses that the documentation does not lead one to expect, with their number.
    pub unexpected: BTreeMap<String, u64>,
    /// Whether every promise was kept, and every count agrees.
    pub ok: bool,
}

/// The database's own count.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DatabaseCount {
    /// Units promised to tokens.
    pub promised: i64,
    /// Units in checkout.
    pub held: i64,
    /// Units paid for.
    pub sold: i64,
    /// Admissions.
    pub admissions: u64,
    /// Holds ever made.
    pub holds: u64,
    /// Orders.
    pub orders: u64,
    /// Orders of shoppers outside this crowd.
    pub orders_of_others: u64,
    /// Admissions with more than one hold.
    pub double_used: u64,
    /// Pairs of shoppers who stayed that were admitted against their ordinals.
    pub inversions: u64,
    /// Captured payments that are neither an order nor refunded.
    pub captured_without_order: u64,
    /// Payments that were never completed.
    pub payments_unfinished: u64,
    /// Refunded payments.
    pub refunded: u64,
}

impl Report {
    /// Judges a rush.
    pub(crate) fn of(evidence: &Evidence<'_>) -> Report {
        let mut report = what_shoppers_saw(evidence);
        match &evidence.ledger {
            Ok(Some(ledger)) => what_the_database_says(&mut report, evidence, ledger),
            Ok(None) => {}
            Err(error) => report.mismatches.push(format!("the database could not be read: {error}")),
        }
        match (&evidence.admin, &report.database) {
            (Some(Ok(admin)), Some(database)) => {
                let shown = [admin.promised, admin.held, admin.sold].map(i64::from);
                let counted = [database.promised, database.held, database.sold];
                if shown != counted {
                    let of = "promised, held and sold";
                    report.mismatches.push(format!("of {of} the admin API shows {shown:?}, the database {counted:?}"));
                }
            }
            (Some(Err(error)), _) => report.mismatches.push(format!("the admin API could not be read: {error}")),
            (Some(Ok(_)) | None, _) => {}
        }
        match &evidence.record {
            Some(Ok(Ok(verdict))) if verdict.order == LineOrder::Draw => {
                // With a draw, the order of joining is not the order of service; the record
                // verifies that of the draw.
                (report.inversions, report.inversions_seen, report.order_honest) = (0, 0, Some(true));
            }
            Some(Ok(proof)) => report.order_honest = Some(proof.is_ok()),
            Some(Err(error)) => report.mismatches.push(format!("the record could not be replayed: {error}")),
            None => {}
        }
        report.broken = broken_promises(&report, evidence.mode);
        if let Some(Ok(Err(fault))) = &evidence.record {
            report.broken.push(format!("promise 4: the record is not that of an honest line: {fault}"));
        }
        shorten(&mut report.mismatches);
        report.ok = report.broken.is_empty() && report.mismatches.is_empty();
        report
    }

    /// 0 if every promise was kept, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.ok)
    }

    /// The report as one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers, text and lists of text are JSON")
    }
}

fn what_shoppers_saw(evidence: &Evidence<'_>) -> Report {
    let records = evidence.records;
    let count = |is: &dyn Fn(&Record) -> bool| records.iter().filter(|record| is(record)).count() as u64;
    let ended = |outcome: Outcome| count(&|record| record.outcome == Some(outcome));
    let sum = |of: &dyn Fn(&Record) -> usize| records.iter().map(|record| of(record) as u64).sum::<u64>();
    let mut unexpected = BTreeMap::new();
    for (what, times) in records.iter().flat_map(|record| &record.unexpected) {
        *unexpected.entry(what.clone()).or_default() += u64::from(*times);
    }
    let units_paid: i64 = records.iter().filter_map(|record| record.paid).map(|paid| i64::from(paid.units)).sum();
    let stock = i64::from(evidence.total_on_card);
    let mut join_ms: Vec<f64> = records.iter().filter_map(|record| record.join_ms).collect();
    let mut redeem_ms: Vec<f64> = records
        .iter()
        .filter(|record| record.behaviour != Behaviour::Replay)
        .filter_map(|record| record.redemption.map(|redemption| redemption.took_ms))
        .collect();
    // Without the database, the token's whole seconds are the best available times.
    let latencies = Latencies::of(records, |turn| Some(turn.issued_at_s * 1_000_000));
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
        told_of_limit: count(&|record| record.told_of_limit),
        turned_away: count(&|record| record.lapsed_early || found_no_unit(record)),
        no_unit: count(&found_no_unit),
        inversions,
        inversions_seen: inversions,
        stayed: count(&|record| record.stayed(evidence.grace_ms)),
        places_lost: count(&|record| record.places_lost > 0),
        unresolved: count(&|record| record.outcome.is_none()),
        sold_out: ended(Outcome::SoldOut),
        closed: ended(Outcome::Closed),
        expired: ended(Outcome::Expired),
        lapsed: ended(Outcome::Lapsed),
        refunded: ended(Outcome::Refunded),
        left: ended(Outcome::Left),
        removed: ended(Outcome::Removed),
        missed: ended(Outcome::Missed),
        lids_closed: ended(Outcome::LidClosed),
        reconnects: sum(&|record| record.reconnects as usize),
        join_p50_ms: percentile(&mut join_ms, 50.0),
        join_p99_ms: percentile(&mut join_ms, 99.0),
        redeem_p50_ms: percentile(&mut redeem_ms, 50.0),
        redeem_p99_ms: percentile(&mut redeem_ms, 99.0),
        seed: evidence.seed,
        elapsed_s: evidence.elapsed_s,
        unexpected,
        ..Report::default()
    };
    latencies.into_report(&mut report);
    let unresolved = records.iter().filter(|record| record.outcome.is_none());
    report.unresolved_shoppers = unresolved.map(how_far_it_came).collect();
    shorten(&mut report.unresolved_shoppers);
    for (kind, times) in tally(records.iter().flat_map(|record| &record.forged_accepted)) {
        report.mismatches.push(format!("checkout accepted a forged token: {kind}, {times} times"));
    }
    let leaked = sum(&|record| record.leaked as usize);
    if leaked > 0 {
        report.mismatches.push(format!("checkout showed an order to another shopper, {leaked} times"));
    }
    for (order, times) in tally(records.iter().filter_map(|record| record.paid.as_ref().map(|paid| &paid.order))) {
        if times > 1 {
            report.mismatches.push(format!("{times} shoppers paid for the one order {order}"));
        }
    }
    report
}

fn what_the_database_says(report: &mut Report, evidence: &Evidence<'_>, ledger: &Ledger) {
    let records = evidence.records;
    let admissions: HashMap<Uuid, &Admission> = ledger.admissions.iter().map(|row| (row.id, row)).collect();
    let holds: HashMap<Uuid, Uuid> = ledger.holds.iter().map(|row| (row.id, row.admission_id)).collect();
    let orders: HashSet<Uuid> = ledger.orders.iter().map(|row| row.id).collect();
    let order_payments: HashSet<Uuid> = ledger.orders.iter().map(|row| row.payment_id).collect();
    let visitors: HashSet<&str> =
        records.iter().flat_map(|record| &record.turns).map(|turn| turn.visitor.as_str()).collect();
    let stock = ledger.stock;
    let [total, promised, held, sold] = [stock.total, stock.promised, stock.held, stock.sold].map(i64::from);
    let units_ordered: i64 = ledger.orders.iter().map(|row| i64::from(row.quantity)).sum();
    let captured: Vec<_> = ledger.payments.iter().filter(|payment| payment.state == "captured").collect();
    let per_admission = tally(ledger.holds.iter().map(|hold| &hold.admission_id));
    let database = DatabaseCount {
        promised,
        held,
        sold,
        admissions: ledger.admissions.len() as u64,
        holds: ledger.holds.len() as u64,
        orders: ledger.orders.len() as u64,
        orders_of_others: ledger.orders.iter().filter(|row| !visitors.contains(row.visitor.as_str())).count() as u64,
        double_used: per_admission.values().filter(|holds| **holds > 1).count() as u64,
        inversions: inversions_in_the_database(records, evidence.grace_ms, &ledger.admissions),
        captured_without_order: captured.iter().filter(|payment| !order_payments.contains(&payment.id)).count() as u64,
        payments_unfinished: ledger.payments.iter().filter(|payment| payment.is_unfinished()).count() as u64,
        refunded: ledger.payments.iter().filter(|payment| payment.state == "refunded").count() as u64,
    };
    report.stock = total;
    report.sold = sold;
    report.oversold =
        [held + sold - total, units_ordered - total, report.oversold].into_iter().max().unwrap_or(0).max(0);
    report.double_used = report.double_used.max(database.double_used);
    report.inversions = database.inversions;
    Latencies::of(records, |turn| admissions.get(&turn.admission).map(|row| row.issued_at_us)).into_report(report);
    report.turned_away += refused_in_time(records, &admissions);
    report.over_limit = report.over_limit.max(over_the_limit(ledger, evidence.per_shopper_limit));
    report.t99_s = seconds_to_99_percent(ledger);

    let mismatches = &mut report.mismatches;
    let units = |rows: &mut dyn Iterator<Item = i32>| rows.map(i64::from).sum::<i64>();
    let promises = ledger.admissions.iter().filter(|row| row.state == "promised");
    let held_now = ledger.holds.iter().filter(|row| row.state == "held");
    // Visits to the checkout of a sale in yield mode.
    let visits = ledger.holds.iter().filter(|row| row.state == "promised");
    for (what, counter, rows) in [
        (
            "promised",
            promised,
            units(&mut promises.map(|row| row.quantity)) + units(&mut visits.map(|row| row.quantity)),
        ),
        ("held", held, units(&mut held_now.map(|row| row.quantity))),
        ("sold", sold, units_ordered),
    ] {
        if counter != rows {
            mismatches.push(format!("the stock counts {counter} units {what}, its rows {rows}"));
        }
    }
    for hold in &ledger.holds {
        let Some(admission) = admissions.get(&hold.admission_id) else { continue };
        if hold.created_at_us > admission.expires_at_us {
            report.expired_accepted += 1;
        }
        if hold.visitor != admission.visitor {
            report.stolen_accepted += 1;
        }
    }
    for (hold, times) in tally(captured.iter().map(|payment| &payment.hold_id)) {
        if times > 1 {
            mismatches.push(format!("order {hold} was captured {times} times"));
        }
    }
    let told = tally(ledger.told.iter());
    for order in &ledger.orders {
        let times = told.get(&order.id).copied().unwrap_or(0);
        if times != 1 {
            mismatches.push(format!("the payment of the order {} was published {times} times", order.id));
        }
    }
    for record in records {
        let index = record.index;
        for turn in record.turns.iter().filter(|turn| !admissions.contains_key(&turn.admission)) {
            mismatches.push(format!("shopper {index} received a turn that is not an admission: {}", turn.admission));
        }
        for (admission, order) in holds_seen(record).filter(|(admission, order)| holds.get(order) != Some(admission)) {
            mismatches.push(format!("shopper {index} received a hold that does not exist: {order} of {admission}"));
        }
        if let Some(paid) = record.paid.filter(|paid| !orders.contains(&paid.order)) {
            mismatches.push(format!("shopper {index} saw the order {} paid, which does not exist", paid.order));
        }
    }
    let paid_seen: HashSet<Uuid> = records.iter().filter_map(|record| record.paid).map(|paid| paid.order).collect();
    for order in ledger.orders.iter().filter(|row| visitors.contains(row.visitor.as_str())) {
        if !paid_seen.contains(&order.id) {
            mismatches.push(format!("the order {} was never seen paid by its shopper", order.id));
        }
    }
    let tickets: Vec<(Uuid, u64)> = records.iter().filter_map(|record| Some((record.line, record.ordinal?))).collect();
    for ((_, ordinal), times) in tally(tickets.iter()).into_iter().filter(|(_, times)| *times > 1) {
        mismatches.push(format!("{times} shoppers were given the ordinal {ordinal}"));
    }
    if report.sold_out > 0 && sold < total {
        let told = report.sold_out;
        mismatches.push(format!("{told} shoppers were notified that all is sold, but {} units are not", total - sold));
    }
    report.database = Some(database);
}

/// Visitors who bought or hold more units than the limit.
fn over_the_limit(ledger: &Ledger, limit: u32) -> u64 {
    let mut units: HashMap<&str, i64> = HashMap::new();
    for hold in ledger.holds.iter().filter(|hold| !matches!(hold.state.as_str(), "lapsed" | "cancelled")) {
        *units.entry(hold.visitor.as_str()).or_default() += i64::from(hold.quantity);
    }
    units.values().filter(|units| limit > 0 && **units > i64::from(limit)).count() as u64
}

fn how_far_it_came(record: &Record) -> String {
    let Record { index, transport, behaviour, reconnects, .. } = record;
    let (transport, behaviour) = (transport.name(), behaviour.name());
    let ordinal = record.ordinal.map_or("no place".to_owned(), |ordinal| format!("ordinal {ordinal}"));
    let (turns, refusals) = (record.turns.len(), record.refusals.len());
    let held = if record.redemption.is_some() { ", held a unit" } else { "" };
    format!(
        "shopper {index} ({behaviour}, {transport}): {ordinal}, {turns} turns, {refusals} refusals, {reconnects} reconnects{held}"
    )
}

/// The broken promises of the design, by their numbers there.
fn broken_promises(report: &Report, mode: SaleMode) -> Vec<String> {
    let database = report.database.clone().unwrap_or_default();
    let risked = if mode == SaleMode::Yield { report.no_unit } else { 0 };
    let promises = [
        (1, u64::try_from(report.oversold).unwrap_or(0), "units are held or sold beyond the stock"),
        (2, report.double_used, "tokens were accepted twice"),
        (2, report.forged_accepted, "forged tokens were accepted"),
        (2, report.stolen_accepted, "tokens were accepted from another shopper than their holder"),
        (2, report.expired_accepted, "tokens were accepted after they had expired"),
        (3, report.turned_away - risked, "shoppers were in time and were turned away"),
        (4, report.inversions, "pairs of those who stayed were admitted against their ordinals"),
        (5, report.places_lost, "shoppers lost their place"),
        (6, database.captured_without_order, "captured payments are neither an order nor given back"),
        (6, database.payments_unfinished, "payments were never brought to an end"),
        (7, report.unresolved, "shoppers never learned an outcome"),
        (8, report.over_limit, "shoppers have more of the sale than its limit per shopper"),
    ];
    let broken = promises.into_iter().filter(|(_, count, _)| *count > 0);
    broken.map(|(promise, count, what)| format!("promise {promise}: {count} {what}")).collect()
}

fn shorten(sentences: &mut Vec<String>) {
    if sentences.len() > SENTENCES_MAX {
        let more = sentences.len() - SENTENCES_MAX;
        sentences.truncate(SENTENCES_MAX);
        sentences.push(format!("and {more} more"));
    }
}

fn tally<T: Ord + Clone>(items: impl Iterator<Item = impl std::ops::Deref<Target = T>>) -> BTreeMap<T, u64> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item.clone()).or_default() += 1;
    }
    counts
}

/// Every hold that a shopper received, with its admission.
fn holds_seen(record: &Record) -> impl Iterator<Item = (Uuid, Uuid)> {
    let accepted = record.accepted.iter().map(|accepted| (accepted.admission, accepted.order));
    accepted.chain(record.redemption.map(|redemption| (redemption.admission, redemption.order)))
}

fn orders_seen(records: &[Record]) -> HashSet<Uuid> {
    let held = records.iter().flat_map(holds_seen).map(|(_, order)| order);
    held.chain(records.iter().filter_map(|record| record.paid).map(|paid| paid.order)).collect()
}

/// Tokens with two 201 responses, or with two holds.
fn tokens_accepted_twice(records: &[Record]) -> u64 {
    let accepted = tally(records.iter().flat_map(|record| &record.accepted).map(|accepted| &accepted.admission));
    let mut holds: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
    for (admission, order) in records.iter().flat_map(holds_seen) {
        holds.entry(admission).or_default().insert(order);
    }
    let twice = |(admission, orders): &(&Uuid, &BTreeSet<Uuid>)| {
        orders.len() > 1 || accepted.get(*admission).is_some_and(|times| *times > 1)
    };
    holds.iter().filter(twice).count() as u64
}

/// Rejections of a live token: not yet due to be claimed, or claimed and not expired.
fn refused_in_time(records: &[Record], admissions: &HashMap<Uuid, &Admission>) -> u64 {
    let in_time = |record: &&Record| {
        record.refusals.iter().any(|refusal| {
            admissions.get(&refusal.admission).is_some_and(|row| {
                refusal.at_us < row.claim_by_us || (row.claimed && refusal.at_us < row.expires_at_us)
            })
        })
    };
    // Closing a sale may turn shoppers away.
    records.iter().filter(|record| record.outcome != Some(Outcome::Closed)).filter(in_time).count() as u64
}

/// Whether a shopper wanted to pay and found no unit.
fn found_no_unit(record: &Record) -> bool {
    record.no_unit && record.paid.is_none()
}

fn seconds_to_99_percent(ledger: &Ledger) -> Option<f64> {
    let opened_at_us = ledger.admissions.iter().map(|row| row.issued_at_us).min()?;
    let mut orders: Vec<(i64, i64)> =
        ledger.orders.iter().map(|row| (row.paid_at_us, i64::from(row.quantity))).collect();
    orders.sort_unstable();
    let mut left = (i64::from(ledger.stock.total) * 99 + 99) / 100;
    let last = orders.into_iter().find(|(_, quantity)| {
        left -= quantity;
        left <= 0
    });
    last.map(|(paid_at_us, _)| (paid_at_us - opened_at_us) as f64 / 1e6)
}

/// The lines in which these shoppers wait.
fn lines(records: &[Record]) -> BTreeSet<Uuid> {
    records.iter().map(|record| record.line).collect()
}

/// Inversions of the order in which shoppers who stayed were first admitted, in all lines. A
/// shopper who never was ranks behind all who were, so being passed over counts.
fn inversions_in_the_database(records: &[Record], grace_ms: u64, admissions: &[Admission]) -> u64 {
    lines(records).into_iter().map(|line| inversions_in_line(line, records, grace_ms, admissions)).sum()
}

fn inversions_in_line(line: Uuid, records: &[Record], grace_ms: u64, admissions: &[Admission]) -> u64 {
    let admissions: Vec<&Admission> = admissions.iter().filter(|row| row.line == line).collect();
    // Ordinals are unique in a line, across its epochs.
    let mut first_admitted: HashMap<i64, i64> = HashMap::new();
    for row in &admissions {
        let first = first_admitted.entry(row.ordinal).or_insert(row.issued_at_us);
        *first = row.issued_at_us.min(*first);
    }
    let tickets: HashMap<Uuid, i64> = admissions.iter().map(|row| (row.id, row.ordinal)).collect();
    let ticket = |record: &Record| {
        let by_turn = record.turns.first().and_then(|turn| tickets.get(&turn.admission).copied());
        by_turn.or_else(|| i64::try_from(record.ordinal?).ok())
    };
    let stayed = records.iter().filter(|record| record.line == line && record.stayed(grace_ms));
    let mut order: Vec<(i64, i64)> = stayed
        .filter_map(ticket)
        .map(|ordinal| (first_admitted.get(&ordinal).copied().unwrap_or(i64::MAX), ordinal))
        .collect();
    order.sort_unstable();
    inversions(&order.iter().map(|(_, ordinal)| *ordinal).collect::<Vec<_>>())
}

/// The same from the shoppers' tokens, whose times are whole seconds.
fn inversions_seen(records: &[Record], grace_ms: u64) -> u64 {
    let in_line = |line: Uuid| {
        let stayed = records.iter().filter(|record| record.line == line && record.stayed(grace_ms));
        let mut order: Vec<(i64, u64)> =
            stayed.filter_map(|record| Some((record.turns.first()?.issued_at_s, record.ordinal?))).collect();
        order.sort_unstable();
        inversions(&order.iter().map(|(_, ordinal)| *ordinal).collect::<Vec<_>>())
    };
    lines(records).into_iter().map(in_line).sum()
}

/// Latencies from an admission to the browser.
struct Latencies {
    pushed_ms: Vec<f64>,
    polled_ms: Vec<f64>,
}

impl Latencies {
    /// The latencies of all turns that were issued while their page was connected.
    fn of(records: &[Record], issued_at_us: impl Fn(&Turn) -> Option<i64>) -> Latencies {
        let mut latencies = Latencies { pushed_ms: Vec::new(), polled_ms: Vec::new() };
        for record in records {
            let connected = |turn: &&Turn| issued_at_us(turn).is_some_and(|at| turn.connected_at_us <= at);
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

    fn into_report(mut self, report: &mut Report) {
        report.admission_p50_ms = percentile(&mut self.pushed_ms, 50.0);
        report.admission_p99_ms = percentile(&mut self.pushed_ms, 99.0);
        report.admission_polled_p99_ms = percentile(&mut self.polled_ms, 99.0);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { shoppers, joined, admitted, redeemed, paid, .. } = self;
        writeln!(f, "A rush of {shoppers} shoppers, seed {}, {:.1} s", self.seed, self.elapsed_s)?;
        writeln!(f, "  the way        joined {joined} · admitted {admitted} · redeemed {redeemed} · paid {paid}")?;
        writeln!(
            f,
            "  the others     sold out {} · closed {} · token ran out {} · hold ran out {} · refunded {} · left {} · lid closed {} · never learned an outcome {}",
            self.sold_out,
            self.closed,
            self.expired,
            self.lapsed,
            self.refunded,
            self.left,
            self.lids_closed,
            self.unresolved
        )?;
        writeln!(f, "  the stock      {} units · sold {} · oversold {}", self.stock, self.sold, self.oversold)?;
        writeln!(
            f,
            "  the tokens     accepted twice {} · forged {} of {} · stolen {} of {} · expired {} · turned away {}",
            self.double_used,
            self.forged_accepted,
            self.forged_tried,
            self.stolen_accepted,
            self.stolen_tried,
            self.expired_accepted,
            self.turned_away
        )?;
        writeln!(
            f,
            "  the order      {} inversions among {} who stayed · places lost {} · reconnects {} · record {}",
            self.inversions,
            self.stayed,
            self.places_lost,
            self.reconnects,
            match self.order_honest {
                Some(true) => "honest",
                Some(false) => "NOT HONEST",
                None => "not read",
            }
        )?;
        let ms = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1} ms"));
        writeln!(
            f,
            "  the time       join p50 {} p99 {} · admission to browser p50 {} p99 {} · redeem p50 {} p99 {}",
            ms(self.join_p50_ms),
            ms(self.join_p99_ms),
            ms(self.admission_p50_ms),
            ms(self.admission_p99_ms),
            ms(self.redeem_p50_ms),
            ms(self.redeem_p99_ms)
        )?;
        match &self.database {
            Some(database) => writeln!(
                f,
                "  the database   admissions {} · holds {} · orders {} (of others {}) · promised {} · held {} · sold {} · refunded {} · captured without an order {}",
                database.admissions,
                database.holds,
                database.orders,
                database.orders_of_others,
                database.promised,
                database.held,
                database.sold,
                database.refunded,
                database.captured_without_order
            )?,
            None => writeln!(f, "  the database   was not asked (--postgres-url)")?,
        }
        for (what, times) in &self.unexpected {
            writeln!(f, "  unexpected     {what} ({times} times)")?;
        }
        for sentence in &self.unresolved_shoppers {
            writeln!(f, "  unresolved     {sentence}")?;
        }
        for sentence in self.broken.iter().chain(&self.mismatches) {
            writeln!(f, "  ✗ {sentence}")?;
        }
        write!(f, "{}", if self.ok { "  ✓ every promise was kept" } else { "  ✗ not every promise was kept" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{Hold, Order, Payment, Stock},
        record::{Accepted, Paid, Redemption, Refusal},
    };

    const SECOND: i64 = 1_000_000;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    /// The inputs that a test modifies before the verdict.
    struct World {
        records: Vec<Record>,
        ledger: Ledger,
        admin: AdminSale,
        record: Option<Result<Verdict, Fault>>,
        mode: SaleMode,
    }

    impl World {
        /// Two units, and four shoppers: the first lets its turn lapse, two buy, one is notified
        /// that all is sold.
        fn kept() -> World {
            let visitor = |ordinal: i64| format!("visitor-{ordinal}");
            let admission = |ordinal: i64, state: &str| Admission {
                id: id(100 + ordinal.unsigned_abs() as u128),
                line: id(1),
                ordinal,
                visitor: visitor(ordinal),
                quantity: 1,
                state: state.to_owned(),
                issued_at_us: ordinal * SECOND,
                claim_by_us: (ordinal + 15) * SECOND,
                claimed: true,
                expires_at_us: (ordinal + 120) * SECOND,
            };
            let ledger = Ledger {
                stock: Stock { total: 2, promised: 0, held: 0, sold: 2 },
                admissions: vec![admission(1, "lapsed"), admission(2, "redeemed"), admission(3, "redeemed")],
                holds: [2, 3]
                    .map(|n: i64| Hold {
                        id: id(200 + n.unsigned_abs() as u128),
                        admission_id: id(100 + n.unsigned_abs() as u128),
                        visitor: visitor(n),
                        quantity: 1,
                        state: "paid".to_owned(),
                        created_at_us: (n + 1) * SECOND,
                    })
                    .to_vec(),
                payments: [2, 3]
                    .map(|n| Payment { id: id(300 + n), hold_id: id(200 + n), state: "captured".to_owned() })
                    .to_vec(),
                orders: [2_i64, 3]
                    .map(|n| Order {
                        id: id(200 + n.unsigned_abs() as u128),
                        payment_id: id(300 + n.unsigned_abs() as u128),
                        visitor: visitor(n),
                        quantity: 1,
                        paid_at_us: (n + 2) * SECOND,
                    })
                    .to_vec(),
                told: vec![id(202), id(203)],
            };
            let turn = |n: i64| Turn {
                admission: id(100 + n.unsigned_abs() as u128),
                visitor: visitor(n),
                issued_at_s: n,
                connected_at_us: 0,
                seen_at_us: n * SECOND + 5_000,
            };
            let shopper = |index: u32, outcome: Outcome| {
                let mut record = Record::new(index, id(1), Behaviour::Buy, Transport::WebSocket);
                record.ordinal = Some(u64::from(index) + 1);
                record.join_ms = Some(f64::from(index) + 1.0);
                record.outcome = Some(outcome);
                record
            };
            let buyer = |index: u32| {
                let n = i64::from(index) + 1;
                let (admission, order) = (id(100 + n.unsigned_abs() as u128), id(200 + n.unsigned_abs() as u128));
                let mut record = shopper(index, Outcome::Paid);
                record.turns.push(turn(n));
                record.accepted.push(Accepted { admission, order });
                record.redemption = Some(Redemption { admission, order, took_ms: 7.0 });
                record.paid = Some(Paid { order, units: 1 });
                record
            };
            let mut dawdler = shopper(0, Outcome::Expired);
            dawdler.turns.push(turn(1));
            let records = vec![dawdler, buyer(1), buyer(2), shopper(3, Outcome::SoldOut)];
            let admin = AdminSale { id: id(1), slug: "sale".to_owned(), total: 2, promised: 0, held: 0, sold: 2 };
            World { records, ledger, admin, record: None, mode: SaleMode::Guarantee }
        }

        fn judged(&self) -> Report {
            Report::of(&Evidence {
                seed: 7,
                total_on_card: 2,
                per_shopper_limit: 1,
                mode: self.mode,
                grace_ms: 60_000,
                elapsed_s: 1.0,
                records: &self.records,
                ledger: Ok(Some(&self.ledger)),
                admin: Some(Ok(self.admin.clone())),
                record: self.record.clone().map(Ok),
            })
        }
    }

    #[test]
    fn kept_promises_are_ok() {
        let report = World::kept().judged();
        assert_eq!((report.broken.as_slice(), report.mismatches.as_slice()), (&[][..], &[][..]));
        assert!(report.ok);
        assert_eq!(report.exit_code(), 0);
        assert_eq!((report.shoppers, report.joined, report.admitted, report.redeemed, report.paid), (4, 4, 3, 2, 2));
        assert_eq!((report.stock, report.sold, report.stayed), (2, 2, 4));
        assert_eq!((report.admission_p50_ms, report.redeem_p99_ms), (Some(5.0), Some(7.0)));
    }

    /// The negative controls: one way to break each promise, and each disagreement, is detected and
    /// named.
    #[test]
    fn every_broken_promise_is_noticed() {
        type Break = fn(&mut World);
        let ways: &[(&str, Break)] = &[
            ("promise 1: 1 units", |world| world.ledger.stock.held = 1),
            ("promise 1: 1 units", |world| world.records[1].paid = Some(Paid { order: id(202), units: 2 })),
            ("promise 2: 1 tokens were accepted twice", |world| {
                let again = world.records[1].accepted[0];
                world.records[1].accepted.push(again);
            }),
            ("promise 2: 1 tokens were accepted twice", |world| {
                world.records[1].accepted[0].order = id(203);
            }),
            ("promise 2: 1 tokens were accepted twice", |world| world.ledger.holds[1].admission_id = id(102)),
            ("promise 2: 1 forged tokens", |world| world.records[0].forged_accepted.push("algorithm none".to_owned())),
            ("promise 2: 1 tokens were accepted from another shopper", |world| world.records[0].stolen_accepted = 1),
            ("promise 2: 1 tokens were accepted from another shopper", |world| {
                world.ledger.holds[0].visitor = "visitor-1".to_owned();
            }),
            ("promise 2: 1 tokens were accepted after", |world| world.records[0].expired_accepted = 1),
            ("promise 2: 1 tokens were accepted after", |world| world.ledger.holds[0].created_at_us = 500 * SECOND),
            ("promise 3: 1 shoppers", |world| world.records[2].lapsed_early = true),
            ("promise 3: 1 shoppers", |world| {
                let refusal = Refusal { admission: id(101), at_us: 2 * SECOND, why: "409 sale-not-open".to_owned() };
                world.records[0].refusals.push(refusal);
            }),
            ("promise 4: 1 pairs", |world| world.ledger.admissions[1].issued_at_us = 9 * SECOND),
            ("promise 4: 3 pairs", |world| {
                // Passed over: the first of the line is never let in, the others are.
                world.records[3].ordinal = Some(0);
            }),
            ("promise 5: 1 shoppers lost their place", |world| world.records[3].places_lost = 1),
            ("promise 6: 1 captured payments", |world| {
                let payment = Payment { id: id(309), hold_id: id(209), state: "captured".to_owned() };
                world.ledger.payments.push(payment);
            }),
            ("promise 6: 1 payments were never brought to an end", |world| {
                let payment = Payment { id: id(309), hold_id: id(209), state: "refund_due".to_owned() };
                world.ledger.payments.push(payment);
            }),
            ("promise 7: 1 shoppers", |world| world.records[3].outcome = None),
            ("captured 2 times", |world| {
                let payment = Payment { id: id(309), hold_id: id(202), state: "captured".to_owned() };
                world.ledger.payments.push(payment);
            }),
            ("was published 0 times", |world| world.ledger.told.truncate(1)),
            ("was published 2 times", |world| world.ledger.told.push(id(202))),
            ("counts 2 units sold, its rows 1", |world| drop(world.ledger.orders.pop())),
            ("counts 1 units promised, its rows 0", |world| world.ledger.stock.promised = 1),
            ("saw the order", |world| world.ledger.orders[0].id = id(999)),
            ("never seen paid by its shopper", |world| world.records[1].paid = None),
            ("a hold that does not exist", |world| world.ledger.holds[0].id = id(999)),
            ("a turn that is not an admission", |world| world.records[0].turns[0].admission = id(999)),
            ("shoppers were given the ordinal 4", |world| world.records[0].ordinal = Some(4)),
            ("2 shoppers paid for the one order", |world| world.records[1].paid = world.records[2].paid),
            ("were notified that all is sold, but 1 units are not", |world| world.ledger.stock.sold = 1),
            ("showed an order to another shopper", |world| world.records[0].leaked = 1),
            ("promise 8: 1 shoppers have more", |world| world.records[0].over_limit = 1),
            ("promise 8: 1 shoppers have more", |world| world.ledger.holds[0].quantity = 2),
            ("the admin API shows", |world| world.admin.sold = 1),
        ];
        for (sentence, break_it) in ways {
            let mut world = World::kept();
            break_it(&mut world);
            let report = world.judged();
            let said = [report.broken.as_slice(), report.mismatches.as_slice()].concat();
            assert!(said.iter().any(|said| said.contains(sentence)), "`{sentence}` is not in {said:#?}");
            assert!(!report.ok, "{sentence}");
            assert_eq!(report.exit_code(), 1, "{sentence}");
        }
    }

    #[test]
    fn the_record_has_the_last_word_on_the_order_of_a_draw() {
        let mut world = World::kept();
        world.ledger.admissions[1].issued_at_us = 9 * SECOND;
        let by_joining = world.judged();
        assert!(!by_joining.ok && by_joining.order_honest.is_none(), "the control: against the order of joining");
        let mut verdict = Verdict {
            sale: fairline_sale::SaleId(id(1)),
            order: LineOrder::Draw,
            head: fairline_record::entry::Head::default(),
            status: fairline_sale::Status::Open,
            joined: 4,
            admitted: 3,
            preferred: 0,
            removed: 0,
            redeemed: 2,
            lapsed: 1,
            losses: 0,
            pool: Some(4),
            story: Vec::new(),
        };
        world.record = Some(Ok(verdict.clone()));
        assert!(world.judged().ok);
        verdict.order = LineOrder::Fifo;
        world.record = Some(Ok(verdict));
        assert!(!world.judged().ok);
        world.record = Some(Err(Fault { seq: 7, why: "ticket 3 was let in, but".to_owned() }));
        let dishonest = world.judged();
        assert_eq!(dishonest.order_honest, Some(false));
        assert!(dishonest.broken.iter().any(|said| said.contains("entry 7: ticket 3")), "{:?}", dishonest.broken);
    }

    #[test]
    fn what_cannot_be_read_is_not_ok() {
        let World { records, admin, .. } = World::kept();
        let evidence = |ledger, admin| Evidence {
            seed: 7,
            total_on_card: 2,
            per_shopper_limit: 1,
            mode: SaleMode::Guarantee,
            grace_ms: 60_000,
            elapsed_s: 1.0,
            records: &records,
            ledger,
            admin,
            record: None,
        };
        let unread = Report::of(&evidence(Err("gone".to_owned()), None));
        assert_eq!((unread.ok, unread.mismatches.len()), (false, 1));
        let unread = Report::of(&evidence(Ok(None), Some(Err("gone".to_owned()))));
        assert_eq!((unread.ok, unread.mismatches.len()), (false, 1));
        let shoppers_alone = Report::of(&evidence(Ok(None), Some(Ok(admin))));
        assert!(shoppers_alone.ok && shoppers_alone.database.is_none());
    }

    #[test]
    fn a_shopper_who_finds_no_unit_is_a_broken_promise_only_where_a_unit_was_promised() {
        let mut world = World::kept();
        world.records[0].no_unit = true;
        assert_eq!((world.judged().ok, world.judged().turned_away), (false, 1));
        world.mode = SaleMode::Yield;
        assert_eq!((world.judged().ok, world.judged().no_unit), (true, 1));
        world.records[0].lapsed_early = true;
        assert_eq!(world.judged().turned_away, 1);
        // Rejected although in time, which either mode forbids.
        world.records[2].lapsed_early = true;
        assert!(!world.judged().ok);
        assert_eq!(world.judged().t99_s, Some(4.0), "from the first admission to the second of two orders");
    }

    #[test]
    fn each_line_has_an_order_of_its_own() {
        let mut world = World::kept();
        world.ledger.admissions[1].issued_at_us = 9 * SECOND;
        assert_eq!(world.judged().inversions, 1, "the control");
        // The second shopper is invited, with the first ordinal of a lane.
        (world.ledger.admissions[1].line, world.records[1].line) = (id(2), id(2));
        (world.ledger.admissions[1].ordinal, world.records[1].ordinal) = (1, Some(1));
        let report = world.judged();
        assert_eq!((report.inversions, report.mismatches.as_slice()), (0, &[][..]));
    }

    #[test]
    fn those_who_did_not_stay_may_come_in_any_order() {
        let late = |world: &mut World| world.ledger.admissions[1].issued_at_us = 9 * SECOND;
        let changes: [fn(&mut Record); 3] =
            [|record| record.walked_out = true, |record| record.away_ms_max = 60_001, |record| record.join_ms = None];
        for change in changes {
            let mut world = World::kept();
            late(&mut world);
            assert_eq!(world.judged().inversions, 1, "the control");
            change(&mut world.records[1]);
            assert_eq!(world.judged().inversions, 0);
        }
    }

    #[test]
    fn a_recalled_ticket_counts_by_its_first_admission() {
        let mut world = World::kept();
        let mut again = world.ledger.admissions[0].clone();
        (again.id, again.issued_at_us) = (id(150), 9 * SECOND);
        world.ledger.admissions.push(again);
        // Its page was away when the first turn came, and received the second.
        world.records[0].turns[0].admission = id(150);
        assert_eq!(world.judged().inversions, 0);
    }

    #[test]
    fn a_refusal_is_fair_once_the_claim_is_late() {
        let mut world = World::kept();
        let refusal = Refusal { admission: id(101), at_us: 20 * SECOND, why: "410 token-expired".to_owned() };
        world.records[0].refusals.push(refusal);
        assert_eq!(world.judged().turned_away, 1, "the control: it had claimed");
        world.ledger.admissions[0].claimed = false;
        assert!(world.judged().ok);
    }

    #[test]
    fn the_last_line_has_what_scripts_rely_on() {
        let json: serde_json::Value = serde_json::from_str(&World::kept().judged().to_json()).unwrap();
        let keys = "shoppers joined admitted redeemed paid stock sold oversold double_used forged_accepted inversions \
                    unresolved join_p50_ms join_p99_ms admission_p99_ms redeem_p99_ms ok seed expired left sold_out closed \
                    refunded database mismatches broken";
        for key in keys.split_whitespace() {
            assert!(json.get(key).is_some(), "{key} is missing");
        }
    }

    #[test]
    fn long_lists_are_cut() {
        let mut world = World::kept();
        world.records = (0..40)
            .map(|index| {
                let mut record = Record::new(index, id(1), Behaviour::Buy, Transport::Sse);
                record.paid = Some(Paid { order: id(1_000 + u128::from(index)), units: 1 });
                record
            })
            .collect();
        let report = world.judged();
        assert_eq!(report.mismatches.len(), SENTENCES_MAX + 1);
        assert!(report.mismatches.last().unwrap().starts_with("and "));
    }
}
