//! What a tick saw, what it decided and why: for machines as metrics, for people as a line in the log. The console shows the
//! last reason of each sale.

use fairline_admission::{Decision, Lane, Observation};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use tracing::debug;

use super::sale::{Sale, SaleRow};

/// Says what the controller's metrics mean.
pub(crate) fn describe() {
    describe_counter!("admissions_total", "People let in.");
    describe_counter!("admission_decisions_total", "Decisions, by why no more were let in.");
    describe_counter!("admission_tick_failures_total", "Ticks that did not end; the next one continues.");
    describe_counter!("admission_task_restarts_total", "Sales whose task died or hung, and was started again.");
    describe_gauge!(
        "admission_sales",
        "Sales that this controller ticks: those that run or will, and closed ones with news."
    );
    describe_histogram!("admission_tick_duration_seconds", Unit::Seconds, "How long one sale's tick takes.");
    describe_gauge!("admission_waiting_shoppers", "People who wait, by line.");
    describe_gauge!("admission_inside_shoppers", "Visits under way, from the token to the payment.");
    describe_gauge!("admission_stock_units", "Units of the stock, by what has become of them.");
    describe_gauge!("admission_wanted_units", "Units that the visits under way are expected to want.");
    describe_gauge!("admission_purchase_chance_ratio", "The chance that a visit ends in an order, as learnt.");
    describe_gauge!("admission_surplus_chance_ratio", "The chance that somebody who wants to pay finds no unit.");
    describe_gauge!("sale_conversion_ratio", "Of those whose turn has come, the part that has paid.");
    describe_gauge!("db_pool_connections", "Connections to Postgres, by what they do.");
    describe_gauge!("db_pool_connections_max", "Connections to Postgres that there may be.");
}

/// What a sale is called in metrics: rehearsals have one name together, since there is no end of them.
fn label(row: &SaleRow) -> String {
    if row.rehearsal_of.is_some() { "rehearsal".to_owned() } else { row.slug.clone() }
}

/// Counts those who were let in.
pub(crate) fn admitted(row: &SaleRow, admitted: u32) {
    if admitted > 0 {
        metrics::counter!("admissions_total", "sale" => label(row)).increment(u64::from(admitted));
    }
}

/// Tells of a decision by which so many are let in. The label `sale` has as many values as there are sales that this
/// controller has served, rehearsals counting as one; `lane` is empty for a sale's own line.
pub(crate) fn decision(sale: &Sale, seen: &Observation<'_>, decision: &Decision, planned: usize, why: &str) {
    let slug = || label(&sale.row);
    metrics::counter!("admissions_total", "sale" => slug()).increment(0);
    let reason = decision.reason.name();
    metrics::counter!("admission_decisions_total", "sale" => slug(), "reason" => reason).increment(1);
    for (Lane { waiting, .. }, line) in seen.lanes.iter().zip(&sale.lines) {
        let lane = line.lane.clone().unwrap_or_default();
        metrics::gauge!("admission_waiting_shoppers", "sale" => slug(), "lane" => lane).set(*waiting as f64);
    }
    let inside = seen.visits.under_way.all() + seen.visits.paying;
    metrics::gauge!("admission_inside_shoppers", "sale" => slug()).set(inside);
    let stock = seen.stock;
    for (state, units) in
        [("total", stock.total), ("promised", stock.promised), ("held", stock.held), ("sold", stock.sold)]
    {
        metrics::gauge!("admission_stock_units", "sale" => slug(), "state" => state).set(units);
    }
    let tickets: i64 = sale.lines.iter().map(|line| line.admitted).sum();
    if tickets > 0 {
        // As the console has it.
        metrics::gauge!("sale_conversion_ratio", "sale" => slug()).set(sale.row.orders as f64 / tickets as f64);
    }
    let outlook = decision.outlook;
    metrics::gauge!("admission_wanted_units", "sale" => slug()).set(outlook.wanted);
    metrics::gauge!("admission_purchase_chance_ratio", "sale" => slug()).set(outlook.chance);
    metrics::gauge!("admission_surplus_chance_ratio", "sale" => slug()).set(outlook.surplus);
    debug!(
        sale = %sale.row.sale(), ?stock, lanes = ?seen.lanes, inside, checkout = ?seen.checkout, ?outlook,
        decided = ?decision.by_lane, planned, reason, why, "ticked"
    );
}
