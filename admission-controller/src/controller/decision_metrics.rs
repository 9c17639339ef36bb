//! The metrics and the log line of a decision. The console shows the last reason of each sale.

use fairline_admission::{Decision, Observation};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use tracing::debug;

use super::{line::LineRow, sale::SaleRow};

/// Describes the controller's metrics.
pub(crate) fn describe() {
    describe_counter!("admissions_total", "Admissions.");
    describe_counter!("admission_decisions_total", "Decisions, by what limits admissions.");
    describe_counter!("admission_tick_failures_total", "Failed ticks; the next one continues.");
    describe_counter!("admission_task_restarts_total", "Restarts of a sale's task that died or hung.");
    describe_gauge!(
        "admission_sales",
        "Sales that this controller ticks: scheduled and running ones, and closed ones that are not settled."
    );
    describe_histogram!("admission_tick_duration_seconds", Unit::Seconds, "Duration of a sale's tick.");
    describe_gauge!("admission_waiting_shoppers", "Waiting shoppers, by line.");
    describe_gauge!("admission_in_checkout_shoppers", "Visits under way, from the token to the payment.");
    describe_gauge!("admission_stock_units", "Units of the stock, by state.");
    describe_gauge!("admission_expected_purchase_units", "Units that the visits under way are expected to want.");
    describe_gauge!("admission_purchase_probability_ratio", "The learnt probability that a visit ends in an order.");
    describe_gauge!(
        "admission_sell_out_probability_ratio",
        "The probability that a shopper who wants to pay finds no unit."
    );
    describe_gauge!("sale_conversion_ratio", "The share of admitted tickets with a paid order.");
    describe_gauge!("db_pool_connections", "Connections to Postgres, by state.");
    describe_gauge!("db_pool_connections_max", "The maximum number of connections to Postgres.");
}

/// A decision, and what it was based on.
pub(crate) struct DecisionReport<'a> {
    pub(crate) observation: &'a Observation<'a>,
    pub(crate) decision: &'a Decision,
    /// The lines, and the shoppers who wait in each.
    pub(crate) lines: &'a [(&'a LineRow, u64)],
    /// The tickets that are admitted.
    pub(crate) planned: usize,
    /// What limits admissions.
    pub(crate) why: &'a str,
}

/// The label of a sale. Rehearsals share one, since their number is unlimited.
fn label(row: &SaleRow) -> String {
    if row.rehearsal_of.is_some() { "rehearsal".to_owned() } else { row.slug.clone() }
}

/// Counts admissions.
pub(crate) fn admitted(row: &SaleRow, admitted: u32) {
    if admitted > 0 {
        metrics::counter!("admissions_total", "sale" => label(row)).increment(u64::from(admitted));
    }
}

/// Records a decision. The label `sale` has a value for each sale that this controller has served,
/// and one for all rehearsals; `lane` is empty for a sale's own line.
pub(crate) fn decision(sale: &SaleRow, decided: &DecisionReport<'_>) {
    let DecisionReport { observation: seen, decision, lines, planned, why } = *decided;
    let slug = || label(sale);
    metrics::counter!("admissions_total", "sale" => slug()).increment(0);
    let reason = decision.reason.name();
    metrics::counter!("admission_decisions_total", "sale" => slug(), "reason" => reason).increment(1);
    for (line, waiting) in lines {
        let lane = line.lane.clone().unwrap_or_default();
        metrics::gauge!("admission_waiting_shoppers", "sale" => slug(), "lane" => lane).set(*waiting as f64);
    }
    let inside = seen.visits.under_way.all() + seen.visits.paying;
    metrics::gauge!("admission_in_checkout_shoppers", "sale" => slug()).set(inside);
    let stock = seen.stock;
    for (state, units) in
        [("total", stock.total), ("promised", stock.promised), ("held", stock.held), ("sold", stock.sold)]
    {
        metrics::gauge!("admission_stock_units", "sale" => slug(), "state" => state).set(units);
    }
    let tickets: i64 = lines.iter().map(|(line, _)| line.admitted).sum();
    if tickets > 0 {
        // As the console computes it.
        metrics::gauge!("sale_conversion_ratio", "sale" => slug()).set(sale.orders as f64 / tickets as f64);
    }
    let outlook = decision.outlook;
    metrics::gauge!("admission_expected_purchase_units", "sale" => slug()).set(outlook.wanted);
    metrics::gauge!("admission_purchase_probability_ratio", "sale" => slug()).set(outlook.chance);
    metrics::gauge!("admission_sell_out_probability_ratio", "sale" => slug()).set(outlook.surplus);
    debug!(
        sale = %sale.sale(), ?stock, lanes = ?seen.lanes, inside, checkout = ?seen.checkout, ?outlook,
        decided = ?decision.by_lane, planned, reason, why, "ticked"
    );
}
