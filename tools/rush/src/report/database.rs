//! What the database counts, and where the shoppers' observations disagree with it.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{
    DatabaseCount, Report, ReportInputs, count_each,
    order::inversions_in_the_database,
    shoppers::{Latencies, holds_seen},
};
use crate::{
    ledger::{Admission, LedgerRows, Payment},
    record::{ShopperRecord, VisitOutcome},
    statistics::counted,
};

pub(super) fn compare_with_database(report: &mut Report, evidence: &ReportInputs<'_>, ledger: &LedgerRows) {
    let records = evidence.records;
    let rows = Rows::of(ledger, records);
    let database = rows.count(evidence);
    let (total, units_ordered) = (i64::from(ledger.stock.total), rows.units_ordered());
    report.stock = total;
    report.sold = database.sold;
    report.oversold = [database.held + database.sold - total, units_ordered - total, report.oversold]
        .into_iter()
        .max()
        .unwrap_or(0)
        .max(0);
    report.double_used = report.double_used.max(database.double_used);
    report.inversions = database.inversions;
    let admissions = &rows.admissions;
    Latencies::of(records, |turn| admissions.get(&turn.admission).map(|row| row.issued_at_us)).into_report(report);
    report.turned_away += refused_in_time(records, admissions);
    report.over_limit = report.over_limit.max(over_the_limit(ledger, evidence.per_shopper_limit));
    report.t99_s = seconds_to_99_percent(ledger);
    for hold in &ledger.holds {
        let Some(admission) = admissions.get(&hold.admission_id) else { continue };
        report.expired_accepted += u64::from(hold.created_at_us > admission.expires_at_us);
        report.stolen_accepted += u64::from(hold.visitor != admission.visitor);
    }

    let mismatches = &mut report.mismatches;
    rows.compare_stock(&database, mismatches);
    rows.compare_payments(mismatches);
    records.iter().for_each(|record| rows.compare_shopper(record, mismatches));
    rows.compare_paid(records, mismatches);
    compare_ordinals(records, mismatches);
    if report.sold_out > 0 && database.sold < total {
        let notified = counted(report.sold_out, "shopper was", "shoppers were");
        let unsold = counted(total - database.sold, "unit is", "units are");
        mismatches.push(format!("{notified} notified that the sale is sold out, but {unsold} unsold"));
    }
    report.database = Some(database);
}

/// The rows of the ledger, by what they are looked up by.
struct Rows<'a> {
    ledger: &'a LedgerRows,
    admissions: HashMap<Uuid, &'a Admission>,
    /// The admission of each hold.
    holds: HashMap<Uuid, Uuid>,
    orders: HashSet<Uuid>,
    /// Of the shoppers who were simulated.
    visitors: HashSet<&'a str>,
}

impl<'a> Rows<'a> {
    fn of(ledger: &'a LedgerRows, records: &'a [ShopperRecord]) -> Self {
        let turns = records.iter().flat_map(|record| &record.turns);
        Self {
            ledger,
            admissions: ledger.admissions.iter().map(|row| (row.id, row)).collect(),
            holds: ledger.holds.iter().map(|row| (row.id, row.admission_id)).collect(),
            orders: ledger.orders.iter().map(|row| row.id).collect(),
            visitors: turns.map(|turn| turn.visitor.as_str()).collect(),
        }
    }

    fn units_ordered(&self) -> i64 {
        self.ledger.orders.iter().map(|row| i64::from(row.quantity)).sum()
    }

    fn captured(&self) -> impl Iterator<Item = &'a Payment> {
        self.ledger.payments.iter().filter(|payment| payment.state == "captured")
    }

    fn count(&self, evidence: &ReportInputs<'_>) -> DatabaseCount {
        let LedgerRows { stock, admissions, holds, orders, payments, .. } = self.ledger;
        let order_payments: HashSet<Uuid> = orders.iter().map(|row| row.payment_id).collect();
        let per_admission = count_each(holds.iter().map(|hold| &hold.admission_id));
        DatabaseCount {
            promised: i64::from(stock.promised),
            held: i64::from(stock.held),
            sold: i64::from(stock.sold),
            admissions: admissions.len() as u64,
            holds: holds.len() as u64,
            orders: orders.len() as u64,
            orders_of_others: orders.iter().filter(|row| !self.visitors.contains(row.visitor.as_str())).count() as u64,
            double_used: per_admission.values().filter(|holds| **holds > 1).count() as u64,
            inversions: inversions_in_the_database(evidence.records, evidence.grace_ms, admissions),
            captured_without_order: self.captured().filter(|payment| !order_payments.contains(&payment.id)).count()
                as u64,
            payments_unfinished: payments.iter().filter(|payment| payment.is_unfinished()).count() as u64,
            refunded: payments.iter().filter(|payment| payment.state == "refunded").count() as u64,
        }
    }

    fn compare_stock(&self, database: &DatabaseCount, mismatches: &mut Vec<String>) {
        let units = |rows: &mut dyn Iterator<Item = i32>| rows.map(i64::from).sum::<i64>();
        let promises = self.ledger.admissions.iter().filter(|row| row.state == "promised");
        let held_now = self.ledger.holds.iter().filter(|row| row.state == "held");
        // Visits to the checkout of a sale in yield mode.
        let visits = self.ledger.holds.iter().filter(|row| row.state == "promised");
        let promised = units(&mut promises.map(|row| row.quantity)) + units(&mut visits.map(|row| row.quantity));
        for (what, counter, rows) in [
            ("promised", database.promised, promised),
            ("held", database.held, units(&mut held_now.map(|row| row.quantity))),
            ("sold", database.sold, self.units_ordered()),
        ] {
            if counter != rows {
                let counter = counted(counter, "unit", "units");
                mismatches.push(format!("the stock counts {counter} {what}, its rows {rows}"));
            }
        }
    }

    /// Each payment is captured once, and published once.
    fn compare_payments(&self, mismatches: &mut Vec<String>) {
        for (hold, times) in count_each(self.captured().map(|payment| &payment.hold_id)) {
            if times > 1 {
                mismatches.push(format!("order {hold} was captured {times} times"));
            }
        }
        let published = count_each(self.ledger.published_orders.iter());
        for order in &self.ledger.orders {
            let times = published.get(&order.id).copied().unwrap_or(0);
            if times != 1 {
                mismatches.push(format!("the payment of the order {} was published {times} times", order.id));
            }
        }
    }

    /// What a shopper saw has its row.
    fn compare_shopper(&self, record: &ShopperRecord, mismatches: &mut Vec<String>) {
        let index = record.index;
        for turn in record.turns.iter().filter(|turn| !self.admissions.contains_key(&turn.admission)) {
            mismatches.push(format!("shopper {index} received a turn that is not an admission: {}", turn.admission));
        }
        let seen = holds_seen(record).filter(|(admission, order)| self.holds.get(order) != Some(admission));
        for (admission, order) in seen {
            mismatches.push(format!("shopper {index} received a hold that does not exist: {order} of {admission}"));
        }
        if let Some(paid) = record.paid.filter(|paid| !self.orders.contains(&paid.order)) {
            mismatches.push(format!("shopper {index} saw the order {} paid, which does not exist", paid.order));
        }
    }

    /// Each order of a simulated shopper was seen by one.
    fn compare_paid(&self, records: &[ShopperRecord], mismatches: &mut Vec<String>) {
        let paid_seen: HashSet<Uuid> = records.iter().filter_map(|record| record.paid).map(|paid| paid.order).collect();
        for order in self.ledger.orders.iter().filter(|row| self.visitors.contains(row.visitor.as_str())) {
            if !paid_seen.contains(&order.id) {
                mismatches.push(format!("the order {} was never seen paid by its shopper", order.id));
            }
        }
    }
}

fn compare_ordinals(records: &[ShopperRecord], mismatches: &mut Vec<String>) {
    let tickets: Vec<(Uuid, u64)> = records.iter().filter_map(|record| Some((record.line, record.ordinal?))).collect();
    for ((_, ordinal), times) in count_each(tickets.iter()).into_iter().filter(|(_, times)| *times > 1) {
        mismatches.push(format!("{times} shoppers were given the ordinal {ordinal}"));
    }
}

/// Visitors who bought or hold more units than the limit.
fn over_the_limit(ledger: &LedgerRows, limit: u32) -> u64 {
    let mut units: HashMap<&str, i64> = HashMap::new();
    for hold in ledger.holds.iter().filter(|hold| !matches!(hold.state.as_str(), "expired" | "cancelled")) {
        *units.entry(hold.visitor.as_str()).or_default() += i64::from(hold.quantity);
    }
    units.values().filter(|units| limit > 0 && **units > i64::from(limit)).count() as u64
}

/// Rejections of a live token: not yet due to be claimed, or claimed and not expired.
fn refused_in_time(records: &[ShopperRecord], admissions: &HashMap<Uuid, &Admission>) -> u64 {
    let in_time = |record: &&ShopperRecord| {
        record.rejections.iter().any(|rejection| {
            admissions.get(&rejection.admission).is_some_and(|row| {
                rejection.at_us < row.claim_by_us || (row.claimed && rejection.at_us < row.expires_at_us)
            })
        })
    };
    // Closing a sale may turn shoppers away.
    records.iter().filter(|record| record.outcome != Some(VisitOutcome::Closed)).filter(in_time).count() as u64
}

fn seconds_to_99_percent(ledger: &LedgerRows) -> Option<f64> {
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
