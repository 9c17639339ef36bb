//! Searches orders, and requests refunds and cancellations, which a checkout executes.

use uuid::Uuid;

use super::{
    error::OrderError,
    store::{AdminOrderRow, AdminOrderStore, OrderAction, OrderSearch, RequestOutcome},
};
use crate::{admin_api::sales::service::Sales, db::Author, error::check_field};

/// Orders of one response.
pub(super) const PAGE: i64 = 50;
/// The longest text to search for.
const SEARCH_CHARS_MAX: usize = 254;

/// Dependencies of the routes of orders.
#[derive(Clone)]
pub(crate) struct SaleOrders {
    pub(crate) store: AdminOrderStore,
    pub(crate) sales: Sales,
}

impl SaleOrders {
    /// A page of a sale's orders: all, or those that match a text.
    pub(super) async fn search(
        &self,
        sale: &str,
        text: Option<&str>,
        before: Option<Uuid>,
    ) -> Result<Vec<AdminOrderRow>, OrderError> {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        let fits = text.is_none_or(|text| text.chars().count() <= SEARCH_CHARS_MAX && !text.contains('\0'));
        check_field("search", fits, "have at most 254 visible characters")?;
        let order = text.and_then(|text| Uuid::try_parse(text).ok());
        let ordinal = text.and_then(|text| text.trim_start_matches('#').parse().ok());
        let name = text.filter(|_| order.is_none() && ordinal.is_none());
        let sale = self.sales.find(sale).await?.row.sale();
        Ok(self.store.orders(sale, &OrderSearch { order, ordinal, name, before }, PAGE).await?)
    }

    /// Requests a refund or a cancellation. Returns the order with the request.
    pub(super) async fn request(
        &self,
        by: &Author,
        (sale, order): (String, Uuid),
        action: OrderAction,
    ) -> Result<AdminOrderRow, OrderError> {
        let is_positive = !matches!(action, OrderAction::Refund(Some(amount)) if amount <= 0);
        check_field("amount_minor", is_positive, "be at least 1, or null")?;
        let sale = self.sales.find(&sale).await?.row.sale();
        match self.store.request(by, sale, order, action).await? {
            RequestOutcome::Accepted => {}
            RequestOutcome::OrderNotFound => return Err(OrderError::OrderNotFound),
            RequestOutcome::NotRefundable { left_minor } => return Err(OrderError::NotRefundable { left_minor }),
            RequestOutcome::NotCancellable => return Err(OrderError::NotCancellable),
            RequestOutcome::UnderWay => return Err(OrderError::RequestInProgress),
        }
        let search = OrderSearch { order: Some(order), ..OrderSearch::default() };
        self.store.orders(sale, &search, 1).await?.pop().ok_or(OrderError::OrderNotFound)
    }
}
