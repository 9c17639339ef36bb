//! Requests ticket actions. The next tick executes them.

use fairline_line::store::{LineError, LineStore, TicketHolder};
use fairline_sale::{SaleId, Status};
use tracing::warn;

use super::{error::TicketActionError, store::TicketActionStore};
use crate::{
    admin_api::sales::{responses::AdminSale, service::Sales},
    controller::{schedule::TickNow, ticket_actions::TicketAction},
    db::Author,
    error::{CommonError, check_field},
};

/// Dependencies of the routes of ticket actions.
#[derive(Clone)]
pub(crate) struct TicketActions {
    pub(crate) store: TicketActionStore,
    pub(crate) sales: Sales,
    pub(crate) line: LineStore,
    pub(crate) tick_now: TickNow,
}

/// A ticket, as a request names it.
pub(super) struct TicketRef {
    pub(super) sale: String,
    /// The id of a lane; the sale's own line if it is `None`.
    pub(super) lane: Option<SaleId>,
    pub(super) ordinal: u64,
}

impl TicketActions {
    /// Removes or prefers a ticket.
    pub(super) async fn apply(
        &self,
        by: &Author,
        ticket: &TicketRef,
        what: TicketAction,
    ) -> Result<(), TicketActionError> {
        let sale = self.sales.find(&ticket.sale).await?;
        let line = ticket.lane.unwrap_or_else(|| sale.row.sale());
        let known = sale.lines.iter().find(|known| known.line() == line).ok_or(CommonError::LaneNotFound)?;
        let status = sale.row.shown_status();
        let is_served = what == TicketAction::Prefer;
        if status == Status::Closed || (is_served && (status == Status::SoldOut || sale.row.draw_is_due(known))) {
            return Err(CommonError::IllegalTransition { status }.into());
        }
        let visitor = match self.line.find(line, ticket.ordinal).await {
            Ok(TicketHolder::Waiting(visitor)) => visitor,
            Ok(TicketHolder::Gone) => return Err(TicketActionError::NotWaiting),
            Ok(TicketHolder::Unknown) | Err(LineError::NotPublished) => return Err(TicketActionError::TicketNotFound),
            Err(error) => {
                warn!(%error, "find ticket failed");
                return Err(TicketActionError::LineUnavailable);
            }
        };
        if !self.store.insert_ticket_action(by, &sale.row, what, (line, ticket.ordinal, visitor)).await? {
            return Err(TicketActionError::NotWaiting);
        }
        self.tick_now.sale(sale.row.sale());
        Ok(())
    }

    /// Admits extra shoppers immediately.
    pub(super) async fn admit_now(&self, by: &Author, sale: &str, count: i32) -> Result<AdminSale, TicketActionError> {
        check_field("count", (1..=100_000).contains(&count), "be between 1 and 100000")?;
        let row = self.sales.find(sale).await?.row;
        if row.shown_status() != Status::Open {
            return Err(CommonError::IllegalTransition { status: row.shown_status() }.into());
        }
        self.store.admit_now(by, &row, count).await?;
        self.tick_now.sale(row.sale());
        Ok(self.sales.show(sale).await?)
    }

    /// Revokes all outstanding tokens of a sale. Returns their number.
    pub(super) async fn revoke_tokens(&self, by: &Author, sale: &str) -> Result<i64, TicketActionError> {
        let row = self.sales.find(sale).await?.row;
        let revoked = self.store.revoke_tokens(by, &row).await?;
        self.tick_now.sale(row.sale());
        Ok(revoked)
    }
}
