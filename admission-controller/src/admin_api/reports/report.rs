//! The report on a sale: its figures, how long shoppers waited, and whether the line was fair.
//! Pure.

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::ToSchema;

use crate::admin_api::{csv::CsvTable, sales::responses::AdminSale};

/// The number of tickets that reached each step.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FunnelReport {
    /// Tickets given.
    pub(super) joined: i64,
    /// Tickets whose turn came.
    pub(super) admitted: i64,
    /// Tickets whose page claimed the token.
    pub(super) claimed: i64,
    /// Tickets whose token was redeemed.
    pub(super) redeemed: i64,
    /// Tickets with a paid order.
    pub(super) paid: i64,
    /// Tickets whose token was given back.
    pub(super) left: i64,
    /// Tickets that an operator has removed.
    pub(super) removed: u64,
}

/// How long tickets of the sale's own line waited, in seconds: from joining, or from the opening if
/// that was later, to their turn.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct WaitTimes {
    /// Tickets that were measured.
    pub(super) count: usize,
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// Orders and holds.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrdersReport {
    pub(super) paid: i64,
    pub(super) units: i64,
    /// Orders that were refunded as a whole, here or by the payment gateway.
    pub(super) refunded: i64,
    pub(super) refunded_units: i64,
    /// Orders that a bank disputes or has disputed.
    pub(super) disputed: i64,
    /// Expired holds.
    pub(super) expired: i64,
    /// Cancelled holds.
    pub(super) cancelled: i64,
}

/// A minute of the sale.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MinuteReport {
    #[serde(with = "time::serde::rfc3339")]
    pub(super) at: OffsetDateTime,
    pub(super) joined: i64,
    pub(super) admitted: i64,
    pub(super) orders: i64,
}

/// Whether the lines were served in order, by a replay of their public records.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Fairness {
    /// Whether the records were replayed to their ends.
    pub(super) checked: bool,
    /// Turns that were given.
    pub(super) admissions: u64,
    /// Turns that were given out of order; a replay ends at the first one.
    pub(super) out_of_order: u64,
    /// Tickets that an operator has preferred.
    pub(super) preferred: u64,
    /// Whether at most the stock was sold.
    pub(super) stock_in_order: bool,
    /// The result in words.
    pub(super) sentence: String,
}

/// The report on a sale.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Report {
    pub(super) sale: AdminSale,
    pub(super) funnel: FunnelReport,
    /// Null if no shopper was admitted, or no wait was measured.
    #[schema(required)]
    pub(super) waits_s: Option<WaitTimes>,
    pub(super) orders: OrdersReport,
    /// In the currency's minor unit, without refunded and disputed amounts.
    pub(super) revenue_minor: i64,
    /// Refunded in whole or in part, here or by the payment gateway.
    pub(super) refunded_minor: i64,
    /// The disputed amount that banks have taken back and not returned.
    pub(super) disputed_minor: i64,
    /// The share of admitted tickets with a paid order.
    #[schema(required)]
    pub(super) conversion: Option<f64>,
    /// The minutes, the oldest first; at most one day.
    pub(super) minutes: Vec<MinuteReport>,
    pub(super) fairness: Fairness,
}

/// The result of replays.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    pub(super) admissions: u64,
    pub(super) preferred: u64,
    pub(super) removed: u64,
    pub(super) fault: Option<String>,
    pub(super) is_whole: bool,
}

impl WaitTimes {
    /// The statistics of sorted seconds.
    pub(super) fn of(sorted: &[f64]) -> Option<Self> {
        // The nearest rank.
        let at = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).max(1) - 1).copied();
        Some(Self {
            count: sorted.len(),
            mean: sorted.iter().sum::<f64>() / sorted.len().max(1) as f64,
            p50: at(50)?,
            p90: at(90)?,
            p99: at(99)?,
            max: at(100)?,
        })
    }
}

impl Fairness {
    pub(super) fn of(replayed: &Replayed, stock_in_order: bool) -> Self {
        let Replayed { admissions, preferred, .. } = *replayed;
        let mut sentence = match &replayed.fault {
            Some(fault) => format!("The record shows a fault: {fault}."),
            None if !replayed.is_whole => {
                "The record is too long to be replayed here. `fairline verify` replays it.".to_owned()
            }
            None => format!("The record was replayed: {admissions} turns were given, each to the next shopper."),
        };
        if preferred > 0 {
            let tickets = if preferred == 1 { "ticket" } else { "tickets" };
            sentence.push_str(&format!(
                " Operators moved {preferred} {tickets} to the front; the audit log has the reasons."
            ));
        }
        sentence.push_str(if stock_in_order {
            " No unit was sold twice."
        } else {
            " Oversold: more units were sold than were in stock."
        });
        let checked = replayed.is_whole || replayed.fault.is_some();
        let out_of_order = u64::from(replayed.fault.is_some());
        Self { checked, admissions, out_of_order, preferred, stock_in_order, sentence }
    }
}

impl Report {
    /// The report as a table: names and values, then the minutes.
    pub(super) fn table(&self) -> CsvTable {
        let mut table = CsvTable::default();
        let mut row = |metric: &str, value: String| table.row([metric, &value]);
        row("metric", "value".to_owned());
        row("sale", self.sale.card.slug.clone());
        row("name", self.sale.card.name.clone());
        row("currency", self.sale.card.currency.clone());
        let FunnelReport { joined, admitted, claimed, redeemed, paid, left, removed } = self.funnel;
        for (what, many) in [
            ("joined", joined),
            ("admitted", admitted),
            ("claimed", claimed),
            ("redeemed", redeemed),
            ("paid", paid),
            ("left", left),
            ("orders paid", self.orders.paid),
            ("units sold", self.orders.units),
            ("orders refunded", self.orders.refunded),
            ("units refunded", self.orders.refunded_units),
            ("orders disputed", self.orders.disputed),
            ("holds expired", self.orders.expired),
            ("holds cancelled", self.orders.cancelled),
            ("revenue (minor units)", self.revenue_minor),
            ("refunded (minor units)", self.refunded_minor),
            ("disputed (minor units)", self.disputed_minor),
        ] {
            row(what, many.to_string());
        }
        row("removed", removed.to_string());
        row("conversion", self.conversion.map(|part| format!("{part:.4}")).unwrap_or_default());
        if let Some(waits) = &self.waits_s {
            for (what, seconds) in
                [("mean", waits.mean), ("p50", waits.p50), ("p90", waits.p90), ("p99", waits.p99), ("max", waits.max)]
            {
                row(&format!("wait {what} (s)"), format!("{seconds:.1}"));
            }
        }
        row("fairness", self.fairness.sentence.clone());
        table.row(["minute", "joined", "admitted", "orders"]);
        for minute in &self.minutes {
            let at = minute.at.format(&Rfc3339).unwrap_or_default();
            let counts = [minute.joined, minute.admitted, minute.orders].map(|count| count.to_string());
            table.row([&at, &counts[0], &counts[1], &counts[2]].map(String::as_str));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_use_the_nearest_rank() {
        assert_eq!(WaitTimes::of(&[]), None);
        let sorted: Vec<f64> = (1..=200).map(f64::from).collect();
        let waits = WaitTimes::of(&sorted).expect("some");
        assert_eq!((waits.count, waits.mean, waits.p50), (200, 100.5, 100.0));
        assert_eq!((waits.p90, waits.p99, waits.max), (180.0, 198.0, 200.0));
        assert_eq!(WaitTimes::of(&[7.0]).map(|waits| (waits.p50, waits.max)), Some((7.0, 7.0)));
    }

    #[test]
    fn a_report_names_faults_and_unchecked_records() {
        let fault = Replayed { fault: Some("entry 3: 5 was admitted before 4".to_owned()), ..Replayed::default() };
        let fairness = Fairness::of(&fault, true);
        assert!(fairness.checked && fairness.out_of_order == 1 && fairness.sentence.contains("entry 3"));
        let long = Fairness::of(&Replayed::default(), true);
        assert!(!long.checked && long.sentence.contains("fairline verify"));
        let fair = Replayed { is_whole: true, admissions: 7, preferred: 2, ..Replayed::default() };
        let fairness = Fairness::of(&fair, false);
        assert!(fairness.checked && fairness.out_of_order == 0);
        assert!(
            fairness.sentence.contains("7 turns")
                && fairness.sentence.contains("moved 2 tickets to the front")
                && fairness.sentence.contains("Oversold")
        );
    }
}
