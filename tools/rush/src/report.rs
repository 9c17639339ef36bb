//! The report: compares the shoppers' observations with the database, and judges every promise.
//! Pure.

mod database;
mod order;
mod shoppers;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use fairline_record::verify::{InvalidRecord, Verdict};
use fairline_sale::{LineOrder, SaleMode};
use serde::Serialize;

use self::{database::compare_with_database, shoppers::what_shoppers_saw};
use crate::{ledger::LedgerRows, messages::AdminSale, record::ShopperRecord, statistics::counted};

/// Maximum sentences of one kind in a report.
const SENTENCES_MAX: usize = 20;

/// The inputs of a report.
pub(crate) struct ReportInputs<'a> {
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
    pub(crate) records: &'a [ShopperRecord],
    /// `Ok(None)`: not requested. `Err`: it could not be read.
    pub(crate) ledger: Result<Option<&'a LedgerRows>, String>,
    pub(crate) admin: Option<Result<AdminSale, String>>,
    /// The verdict on the public record; `Err`: it could not be read.
    pub(crate) record: Option<Result<Result<Verdict, InvalidRecord>, String>>,
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
    pub notified_of_limit: u64,
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
    /// Shoppers whose hold expired.
    pub hold_expired: u64,
    /// Shoppers who got a refund.
    pub refunded: u64,
    /// Shoppers who cancelled their orders.
    pub cancelled: u64,
    /// Shoppers who left explicitly.
    pub left: u64,
    /// Shoppers whose ticket an operator removed.
    pub removed: u64,
    /// Shoppers who came back long after their turns.
    pub missed: u64,
    /// Shoppers who disconnected permanently.
    pub disconnected: u64,
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
    pub(crate) fn of(evidence: &ReportInputs<'_>) -> Report {
        let mut report = what_shoppers_saw(evidence);
        match &evidence.ledger {
            Ok(Some(ledger)) => compare_with_database(&mut report, evidence, ledger),
            Ok(None) => {}
            Err(error) => report.mismatches.push(format!("the database could not be read: {error}")),
        }
        match (&evidence.admin, &report.database) {
            (Some(Ok(admin)), Some(database)) => {
                let shown = [admin.promised, admin.held, admin.sold].map(i64::from);
                let counted = [database.promised, database.held, database.sold];
                if shown != counted {
                    let of = "promised, held and sold";
                    report
                        .mismatches
                        .push(format!("{of} differ: the admin API shows {shown:?}, the database {counted:?}"));
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
            report.broken.push(format!("promise 4: the record does not prove an honest line: {fault}"));
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

/// The broken promises of the design, by their numbers there.
fn broken_promises(report: &Report, mode: SaleMode) -> Vec<String> {
    let database = report.database.clone().unwrap_or_default();
    let risked = if mode == SaleMode::Yield { report.no_unit } else { 0 };
    let promises = [
        (1, u64::try_from(report.oversold).unwrap_or(0), "unit is", "units are", "held or sold beyond the stock"),
        (2, report.double_used, "token was", "tokens were", "accepted twice"),
        (2, report.forged_accepted, "forged token was", "forged tokens were", "accepted"),
        (2, report.stolen_accepted, "token was", "tokens were", "accepted from another shopper than their holder"),
        (2, report.expired_accepted, "token was", "tokens were", "accepted after they had expired"),
        (3, report.turned_away - risked, "shopper was", "shoppers were", "in time and turned away"),
        (
            4,
            report.inversions,
            "pair of shoppers who stayed was",
            "pairs of shoppers who stayed were",
            "admitted against their ordinals",
        ),
        (5, report.places_lost, "shopper", "shoppers", "lost their place"),
        (
            6,
            database.captured_without_order,
            "captured payment is",
            "captured payments are",
            "neither an order nor refunded",
        ),
        (6, database.payments_unfinished, "payment was", "payments were", "never completed"),
        (7, report.unresolved, "shopper", "shoppers", "never received an outcome"),
        (8, report.over_limit, "shopper has", "shoppers have", "more units than the limit per shopper"),
    ];
    let broken = promises.into_iter().filter(|(_, count, ..)| *count > 0);
    broken
        .map(|(promise, count, one, many, what)| format!("promise {promise}: {} {what}", counted(count, one, many)))
        .collect()
}

fn shorten(sentences: &mut Vec<String>) {
    if sentences.len() > SENTENCES_MAX {
        let more = sentences.len() - SENTENCES_MAX;
        sentences.truncate(SENTENCES_MAX);
        sentences.push(format!("and {more} more"));
    }
}

fn count_each<T: Ord + Clone>(items: impl Iterator<Item = impl std::ops::Deref<Target = T>>) -> BTreeMap<T, u64> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item.clone()).or_default() += 1;
    }
    counts
}
