//! The messages of the console's WebSocket.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::store::SampleRow;
use crate::admin_api::{rehearsals::responses::Rehearsal, sales::responses::AdminSale};

/// The state of a sale at a time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sample {
    #[serde(with = "time::serde::rfc3339")]
    pub(super) at: OffsetDateTime,
    /// Shoppers who wait, in all its lines.
    waiting: i64,
    /// Of these, the ones with the page open.
    present: i64,
    /// Visits under way, from the token to the payment.
    inside: i64,
    total: i32,
    promised: i32,
    held: i32,
    sold: i32,
    /// Tickets given so far.
    joined: i64,
    /// Admissions made so far.
    admitted: i64,
    /// Orders paid so far.
    orders: i64,
    /// Estimated wait of a shopper who joined then, in seconds, at the rate of the half minute
    /// before; null if no shopper was admitted in it.
    #[schema(required)]
    likely_wait_s: Option<i64>,
}

impl From<SampleRow> for Sample {
    fn from(row: SampleRow) -> Self {
        let SampleRow { at, waiting, present, inside, total, promised, held, sold, joined, admitted, orders, .. } = row;
        let likely_wait_s = row.likely_wait_s;
        Self { at, waiting, present, inside, total, promised, held, sold, joined, admitted, orders, likely_wait_s }
    }
}

/// A message of the console's WebSocket.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum LiveUpdate {
    /// Whether this controller can rehearse the sale.
    Stage {
        is_set: bool,
    },
    Sales {
        sales: Vec<AdminSale>,
    },
    Sale {
        sale: Box<AdminSale>,
    },
    Samples {
        samples: Vec<Sample>,
    },
    Rehearsal {
        rehearsal: Rehearsal,
    },
    /// Nothing has changed.
    Heartbeat,
}
