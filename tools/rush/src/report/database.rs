//! What the database counts, and where the shoppers' observations disagree with it.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{
    DatabaseCount, Evidence, Report, count_each,
    order::inversions_in_the_database,
    shoppers::{Latencies, holds_seen},
};
use crate::{
    ledger::{Admission, Ledger},
    record::{Outcome, Record},
    statistics::counted,
};

pub(super) fn compare_with_database(report: &mut Report, evidence: &Evidence<'_>, ledger: &Ledger) {
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
    let per_admission = count_each(ledger.holds.iter().map(|hold| &hold.admission_id));
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
            let counter = counted(counter, "unit", "units");
            mismatches.push(format!("the stock counts {counter} {what}, its rows {rows}"));
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
    for (hold, times) in count_each(captured.iter().map(|payment| &payment.hold_id)) {
        if times > 1 {
            mismatches.push(format!("order {hold} was captured {times} times"));
        }
    }
    let published = count_each(ledger.published_orders.iter());
    for order in &ledger.orders {
        let times = published.get(&order.id).copied().unwrap_or(0);
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
    for ((_, ordinal), times) in count_each(tickets.iter()).into_iter().filter(|(_, times)| *times > 1) {
        mismatches.push(format!("{times} shoppers were given the ordinal {ordinal}"));
    }
    if report.sold_out > 0 && sold < total {
        let notified = counted(report.sold_out, "shopper was", "shoppers were");
        let unsold = counted(total - sold, "unit is", "units are");
        mismatches.push(format!("{notified} notified that the sale is sold out, but {unsold} unsold"));
    }
    report.database = Some(database);
}

/// Visitors who bought or hold more units than the limit.
fn over_the_limit(ledger: &Ledger, limit: u32) -> u64 {
    let mut units: HashMap<&str, i64> = HashMap::new();
    for hold in ledger.holds.iter().filter(|hold| !matches!(hold.state.as_str(), "expired" | "cancelled")) {
        *units.entry(hold.visitor.as_str()).or_default() += i64::from(hold.quantity);
    }
    units.values().filter(|units| limit > 0 && **units > i64::from(limit)).count() as u64
}

/// Rejections of a live token: not yet due to be claimed, or claimed and not expired.
fn refused_in_time(records: &[Record], admissions: &HashMap<Uuid, &Admission>) -> u64 {
    let in_time = |record: &&Record| {
        record.rejections.iter().any(|rejection| {
            admissions.get(&rejection.admission).is_some_and(|row| {
                rejection.at_us < row.claim_by_us || (row.claimed && rejection.at_us < row.expires_at_us)
            })
        })
    };
    // Closing a sale may turn shoppers away.
    records.iter().filter(|record| record.outcome != Some(Outcome::Closed)).filter(in_time).count() as u64
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
