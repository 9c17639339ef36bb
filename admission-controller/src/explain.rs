//! What a tick saw, what it decided and why: for machines as metrics, for people as a line in the log. The console shows the
//! last reason of each sale.

use fairline_admission::{Decision, Lane, Observation};
use tracing::debug;

use crate::store::LockedSale;

/// Tells of a decision of which so many admissions were made. The label `sale` has as many values as there are sales that this
/// controller has served; `lane` is empty for a sale's own line.
pub(crate) fn decision(sale: &LockedSale, seen: &Observation<'_>, decision: &Decision, admitted: u32, why: &str) {
    let slug = || sale.row.slug.clone();
    metrics::counter!("admissions_total", "sale" => slug()).increment(u64::from(admitted));
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
    let outlook = decision.outlook;
    metrics::gauge!("admission_wanted_units", "sale" => slug()).set(outlook.wanted);
    metrics::gauge!("admission_purchase_chance_ratio", "sale" => slug()).set(outlook.chance);
    metrics::gauge!("admission_surplus_chance_ratio", "sale" => slug()).set(outlook.surplus);
    debug!(
        sale = %sale.row.sale(), ?stock, lanes = ?seen.lanes, inside, checkout = ?seen.checkout, ?outlook,
        decided = ?decision.by_lane, admitted, reason, why, "ticked"
    );
}
