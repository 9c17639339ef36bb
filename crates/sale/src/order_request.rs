//! Requests of operators and the merchant about an order, as `order_requests` stores them.

use serde::Serialize;
use strum::{EnumString, IntoStaticStr, VariantArray};
use utoipa::ToSchema;

/// The kind of a request about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum OrderRequestKind {
    /// Refund all or a part of it.
    Refund,
    /// Cancel it, with its pending payment.
    Cancel,
}

/// The state of a request about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum OrderRequestState {
    /// It is attempted until the payment gateway responds.
    Requested,
    /// It was executed.
    Done,
    /// It was refused.
    Failed,
}

impl OrderRequestKind {
    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl OrderRequestState {
    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_permits_these_words_only() {
        let schema = include_str!("../../../migrations/0004_orders_and_payments.sql");
        let list = |words: Vec<&str>| words.join("', '");
        let kinds = list(OrderRequestKind::VARIANTS.iter().map(|kind| kind.as_str()).collect());
        assert!(schema.contains(&format!("order_requests_kind_is_known CHECK (kind IN ('{kinds}'))")));
        let states = list(OrderRequestState::VARIANTS.iter().map(|state| state.as_str()).collect());
        assert!(schema.contains(&format!("order_requests_state_is_known CHECK (state IN ('{states}'))")));
    }
}
