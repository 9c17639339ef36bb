//! What has become of a sale, for those who ran it.

use axum::{extract::State, response::Response};
use fairline_record::{entry::Entry, verify::Verifier};
use fairline_sale::SaleId;
use fairline_server::{Path, Problem, ProblemBody};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Admin, AdminSale, audit::download, told};
use crate::{csv::Table, problem::AdminError, store::Sale};

/// Entries of a record that are read at once, and replayed for one report at most; `fairline verify` has no such bound.
const RECORD_PAGE: i64 = 500;
const RECORD_MAX: u64 = 200_000;

pub(super) fn routes() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(show_report)).routes(routes!(report_table))
}

/// How many came how far.
#[derive(Debug, Serialize, ToSchema)]
struct FunnelReport {
    /// Tickets given.
    joined: i64,
    /// Tickets whose turn came.
    admitted: i64,
    /// Those whose page took the token.
    claimed: i64,
    /// Those who went to checkout with it.
    redeemed: i64,
    /// Those who paid.
    paid: i64,
    /// Those who gave the token back.
    left: i64,
    /// Tickets that an operator has removed.
    removed: u64,
}

/// How long tickets of the sale's own line waited, in seconds: from joining, or from the opening if that was later, to
/// their turn.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct Waits {
    /// Tickets that were measured.
    count: usize,
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

/// What was bought.
#[derive(Debug, Serialize, ToSchema)]
struct OrdersReport {
    paid: i64,
    units: i64,
    /// Refunded as a whole, by whomever.
    refunded: i64,
    refunded_units: i64,
    /// Disputed by the bank, now or before.
    disputed: i64,
    /// Holds whose time ran out.
    lapsed: i64,
    /// Holds that were given back.
    cancelled: i64,
}

/// A minute of the sale.
#[derive(Debug, Serialize, ToSchema)]
struct MinuteReport {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    joined: i64,
    admitted: i64,
    orders: i64,
}

/// Whether the line was served as it must be: the public records of all its lines, replayed.
#[derive(Debug, Serialize, ToSchema)]
struct Fairness {
    /// Whether the records were replayed to their ends.
    checked: bool,
    /// Turns that were given.
    admissions: u64,
    /// Turns that were given out of order; a replay ends at the first.
    out_of_order: u64,
    /// Tickets that an operator has put in front.
    preferred: u64,
    /// Whether no more was sold than there was.
    stock_in_order: bool,
    /// All that in words.
    sentence: String,
}

/// A sale, looked back on.
#[derive(Debug, Serialize, ToSchema)]
struct Report {
    sale: AdminSale,
    funnel: FunnelReport,
    /// Null if no shopper was admitted, or no wait was measured.
    #[schema(required)]
    waits_s: Option<Waits>,
    orders: OrdersReport,
    /// In the currency's minor unit, without what was paid back or is disputed.
    revenue_minor: i64,
    /// Refunded, all or a part, by whomever.
    refunded_minor: i64,
    /// Taken back by banks, and not given back since.
    disputed_minor: i64,
    /// Of those whose turn came, the part that paid.
    #[schema(required)]
    conversion: Option<f64>,
    /// By minute, the oldest first; a day at most.
    minutes: Vec<MinuteReport>,
    fairness: Fairness,
}

/// What replays have shown.
#[derive(Debug, Default)]
struct Replayed {
    admissions: u64,
    preferred: u64,
    removed: u64,
    fault: Option<String>,
    is_whole: bool,
}

impl Waits {
    /// Of sorted seconds.
    fn of(sorted: &[f64]) -> Option<Self> {
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
    fn of(replayed: &Replayed, stock_in_order: bool) -> Self {
        let Replayed { admissions, preferred, .. } = *replayed;
        let mut sentence = match &replayed.fault {
            Some(fault) => format!("The record is not that of an honest line: {fault}."),
            None if !replayed.is_whole => {
                "The record is too long to be replayed here. `fairline verify` replays it.".to_owned()
            }
            None => format!("The record was replayed: {admissions} turns were given, each to whoever was next."),
        };
        if preferred > 0 {
            sentence.push_str(&format!(" Operators have put {preferred} tickets in front; the audit log says why."));
        }
        sentence.push_str(if stock_in_order { " No unit was sold twice." } else { " More was sold than there was!" });
        let checked = replayed.is_whole || replayed.fault.is_some();
        let out_of_order = u64::from(replayed.fault.is_some());
        Self { checked, admissions, out_of_order, preferred, stock_in_order, sentence }
    }
}

impl Admin {
    async fn replay(&self, sale: &Sale) -> Result<Replayed, AdminError> {
        let mut all = Replayed { is_whole: true, ..Replayed::default() };
        for line in &sale.lines {
            self.replay_line(line.line(), &mut all).await?;
        }
        Ok(all)
    }

    async fn replay_line(&self, line: SaleId, all: &mut Replayed) -> Result<(), AdminError> {
        let (mut verifier, mut after) = (Verifier::new(None, Vec::new()), 0);
        loop {
            let entries = self.store.record(line, after, RECORD_PAGE).await?;
            let Some(last) = entries.last().map(|entry| entry.head.seq) else { break };
            for entry in &entries {
                let taken = Entry::to_line(entry).map_err(|error| error.to_string());
                let taken = taken.and_then(|line| verifier.take(&line).map_err(|fault| fault.to_string()));
                if let Err(fault) = taken {
                    all.fault = Some(fault);
                    return Ok(());
                }
            }
            after = last;
            if after >= RECORD_MAX {
                all.is_whole = false;
                return Ok(());
            }
        }
        // A sale that has not begun has an empty record.
        if after > 0 {
            match verifier.finish() {
                Ok(verdict) => {
                    all.admissions += verdict.admitted;
                    all.preferred += verdict.preferred;
                    all.removed += verdict.removed;
                }
                Err(fault) => all.fault = Some(fault.to_string()),
            }
        }
        Ok(())
    }

    async fn report(&self, id: &str) -> Result<Report, AdminError> {
        let sale = self.sale(id).await?;
        let which = sale.row.sale();
        let funnel = self.store.funnel(which).await?;
        let bought = self.store.bought(which).await?;
        let waits_s = Waits::of(&self.store.waits(which).await?);
        let minutes = self.store.minutes(which).await?;
        let replayed = self.replay(&sale).await?;
        let (row, units) = (&sale.row, bought.units - bought.refunded_units);
        let in_order = row.held() + row.sold() <= row.total() && units <= i64::from(row.total());
        let fairness = Fairness::of(&replayed, in_order);
        Ok(Report {
            sale: told(sale)?,
            conversion: (funnel.admitted > 0).then(|| funnel.paid as f64 / funnel.admitted as f64),
            funnel: FunnelReport {
                joined: funnel.joined,
                admitted: funnel.admitted,
                claimed: funnel.claimed,
                redeemed: funnel.redeemed,
                paid: funnel.paid,
                left: funnel.left,
                removed: replayed.removed,
            },
            waits_s,
            orders: OrdersReport {
                paid: bought.paid,
                units: bought.units,
                refunded: bought.refunded,
                refunded_units: bought.refunded_units,
                disputed: bought.disputed,
                lapsed: bought.lapsed,
                cancelled: bought.cancelled,
            },
            revenue_minor: bought.revenue_minor,
            refunded_minor: bought.refunded_minor,
            disputed_minor: bought.disputed_minor,
            minutes: minutes
                .into_iter()
                .map(|minute| MinuteReport {
                    at: minute.at,
                    joined: minute.joined,
                    admitted: minute.admitted,
                    orders: minute.orders,
                })
                .collect(),
            fairness,
        })
    }
}

/// What has become of a sale so far.
#[utoipa::path(get, path = "/api/admin/sales/{id}/report", params(("id" = String, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The report.", body = Report),
    (status = 404, description = "There is no such sale.", body = ProblemBody),
))]
async fn show_report(State(admin): State<Admin>, Path(id): Path<String>) -> Result<axum::Json<Report>, Problem> {
    Ok(axum::Json(admin.report(&id).await?))
}

/// The report as a table: what, and how much; then the minutes.
#[utoipa::path(get, path = "/api/admin/sales/{id}/report.csv", params(("id" = String, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The report.", content_type = "text/csv", body = String),
    (status = 404, description = "There is no such sale.", body = ProblemBody),
))]
async fn report_table(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Response, Problem> {
    let report = admin.report(&id).await?;
    let name = format!("{}-report.csv", report.sale.card.slug);
    Ok(download(&name, table(&report)))
}

fn table(report: &Report) -> Table {
    let mut table = Table::default();
    let mut row = |what: &str, much: String| table.row([what, &much]);
    row("what", "value".to_owned());
    row("sale", report.sale.card.slug.clone());
    row("name", report.sale.card.name.clone());
    row("currency", report.sale.card.currency.clone());
    let FunnelReport { joined, admitted, claimed, redeemed, paid, left, removed } = report.funnel;
    for (what, many) in [
        ("joined", joined),
        ("admitted", admitted),
        ("claimed", claimed),
        ("redeemed", redeemed),
        ("paid", paid),
        ("left", left),
        ("orders paid", report.orders.paid),
        ("units sold", report.orders.units),
        ("orders refunded", report.orders.refunded),
        ("units refunded", report.orders.refunded_units),
        ("orders disputed", report.orders.disputed),
        ("holds lapsed", report.orders.lapsed),
        ("holds cancelled", report.orders.cancelled),
        ("revenue (minor units)", report.revenue_minor),
        ("refunded (minor units)", report.refunded_minor),
        ("disputed (minor units)", report.disputed_minor),
    ] {
        row(what, many.to_string());
    }
    row("removed", removed.to_string());
    row("conversion", report.conversion.map(|part| format!("{part:.4}")).unwrap_or_default());
    if let Some(waits) = &report.waits_s {
        for (what, seconds) in
            [("mean", waits.mean), ("p50", waits.p50), ("p90", waits.p90), ("p99", waits.p99), ("max", waits.max)]
        {
            row(&format!("wait {what} (s)"), format!("{seconds:.1}"));
        }
    }
    row("fairness", report.fairness.sentence.clone());
    table.row(["minute", "joined", "admitted", "orders"]);
    for minute in &report.minutes {
        let at = minute.at.format(&Rfc3339).unwrap_or_default();
        let counts = [minute.joined, minute.admitted, minute.orders].map(|count| count.to_string());
        table.row([&at, &counts[0], &counts[1], &counts[2]].map(String::as_str));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_by_the_nearest_rank() {
        assert_eq!(Waits::of(&[]), None);
        let sorted: Vec<f64> = (1..=200).map(f64::from).collect();
        let waits = Waits::of(&sorted).expect("some");
        assert_eq!((waits.count, waits.mean, waits.p50), (200, 100.5, 100.0));
        assert_eq!((waits.p90, waits.p99, waits.max), (180.0, 198.0, 200.0));
        assert_eq!(Waits::of(&[7.0]).map(|waits| (waits.p50, waits.max)), Some((7.0, 7.0)));
    }

    #[test]
    fn a_fault_is_said_and_so_is_what_was_not_looked_at() {
        let fault = Replayed { fault: Some("entry 3: 5 was let in before 4".to_owned()), ..Replayed::default() };
        let told = Fairness::of(&fault, true);
        assert!(told.checked && told.out_of_order == 1 && told.sentence.contains("entry 3"));
        let long = Fairness::of(&Replayed::default(), true);
        assert!(!long.checked && long.sentence.contains("fairline verify"));
        let fair = Replayed { is_whole: true, admissions: 7, preferred: 2, ..Replayed::default() };
        let told = Fairness::of(&fair, false);
        assert!(told.checked && told.out_of_order == 0);
        assert!(
            told.sentence.contains("7 turns")
                && told.sentence.contains("2 tickets in front")
                && told.sentence.contains('!')
        );
    }
}
