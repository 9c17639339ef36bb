//! Shared by the routes of several features.

use axum::http::{HeaderName, header};
use uuid::Uuid;

use crate::{error::CommonError, orders::order::OrderId};

/// No cache may store an order or a payment.
pub(crate) const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// Parses the id of an order. An invalid one names no order.
pub(crate) fn order_id(text: &str) -> Result<OrderId, CommonError> {
    Uuid::try_parse(text).map(OrderId).map_err(|_| CommonError::OrderNotFound)
}
