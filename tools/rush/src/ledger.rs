//! The database's view of a sale, as plain data.

use uuid::Uuid;

/// The rows of one sale, read in one snapshot. Times are microseconds since 1970, visitors
/// base64url.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct LedgerRows {
    pub(crate) stock: Stock,
    pub(crate) admissions: Vec<Admission>,
    pub(crate) holds: Vec<Hold>,
    pub(crate) payments: Vec<Payment>,
    pub(crate) orders: Vec<Order>,
    /// Orders that were published as paid, once per publication.
    pub(crate) published_orders: Vec<Uuid>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, sqlx::FromRow)]
pub(crate) struct Stock {
    pub(crate) total: i32,
    pub(crate) promised: i32,
    pub(crate) held: i32,
    pub(crate) sold: i32,
}

#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct Admission {
    pub(crate) id: Uuid,
    pub(crate) line: Uuid,
    pub(crate) ordinal: i64,
    pub(crate) visitor: String,
    pub(crate) quantity: i32,
    pub(crate) state: String,
    pub(crate) issued_at_us: i64,
    pub(crate) claim_by_us: i64,
    pub(crate) claimed: bool,
    pub(crate) expires_at_us: i64,
}

#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct Hold {
    pub(crate) id: Uuid,
    pub(crate) admission_id: Uuid,
    pub(crate) visitor: String,
    pub(crate) quantity: i32,
    pub(crate) state: String,
    pub(crate) created_at_us: i64,
}

#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct Payment {
    pub(crate) id: Uuid,
    pub(crate) hold_id: Uuid,
    pub(crate) state: String,
}

#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct Order {
    pub(crate) id: Uuid,
    pub(crate) payment_id: Uuid,
    pub(crate) visitor: String,
    pub(crate) quantity: i32,
    pub(crate) paid_at_us: i64,
}

impl Payment {
    pub(crate) fn is_unfinished(&self) -> bool {
        matches!(self.state.as_str(), "started" | "authorised" | "refund_due")
    }
}
