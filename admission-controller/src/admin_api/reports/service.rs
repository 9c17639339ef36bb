//! Reads the rows of a sale, replays its records, and creates the report.

use fairline_record::{entry::Entry, verify::Verifier};
use fairline_sale::SaleId;

use super::{
    report::{Fairness, FunnelReport, MinuteReport, OrdersReport, Replayed, Report, WaitTimes},
    store::ReportStore,
};
use crate::{
    admin_api::sales::service::Sales,
    controller::{records::store::RecordStore, sale::Sale},
    error::CommonError,
};

/// Entries of a record that are read per query.
const RECORD_PAGE: i64 = 500;
/// Entries of a record that one report replays at most; `fairline verify` has no such limit.
const RECORD_MAX: u64 = 200_000;

/// Dependencies of the routes of reports.
#[derive(Clone)]
pub(crate) struct Reports {
    pub(crate) store: ReportStore,
    pub(crate) records: RecordStore,
    pub(crate) sales: Sales,
}

impl Reports {
    async fn replay(&self, sale: &Sale) -> Result<Replayed, CommonError> {
        let mut all = Replayed { is_whole: true, ..Replayed::default() };
        for line in &sale.lines {
            self.replay_line(line.line(), &mut all).await?;
        }
        Ok(all)
    }

    async fn replay_line(&self, line: SaleId, all: &mut Replayed) -> Result<(), CommonError> {
        let (mut verifier, mut after) = (Verifier::new(None, Vec::new()), 0);
        loop {
            let entries = self.records.record(line, after, RECORD_PAGE).await?;
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

    /// The report on a sale.
    pub(super) async fn report(&self, id: &str) -> Result<Report, CommonError> {
        let sale = self.sales.find(id).await?;
        let which = sale.row.sale();
        let funnel = self.store.funnel(which).await?;
        let bought = self.store.bought(which).await?;
        let waits_s = WaitTimes::of(&self.store.waits(which).await?);
        let minutes = self.store.minutes(which).await?;
        let replayed = self.replay(&sale).await?;
        let (row, units) = (&sale.row, bought.units - bought.refunded_units);
        let in_order = row.held() + row.sold() <= row.total() && units <= i64::from(row.total());
        let fairness = Fairness::of(&replayed, in_order);
        Ok(Report {
            sale: sale.try_into()?,
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
                expired: bought.expired,
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
