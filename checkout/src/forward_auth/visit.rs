//! How long a visit lasts. Pure.

use fairline_admission_token::Claims;

use crate::{orders::state::OrderStatus, redemption::outcome::AdmissionUse};

/// A visit that lasts.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) claims: Claims,
    /// When the visit ends, in Unix seconds.
    pub(super) until: i64,
    /// The order that the token became, once it is redeemed.
    pub(super) order: Option<String>,
}

impl Visit {
    /// The visit of a genuine token in the state of its admission, or none if it is over.
    pub(super) fn of(claims: Claims, kid: &str, state: &AdmissionUse) -> Option<Self> {
        match state {
            // The controller may have revoked the admission, or signed a new token because it
            // revoked the key.
            AdmissionUse::NotYet { kid: signed_by } if kid == signed_by => {
                Some(Self { until: claims.exp, claims, order: None })
            }
            AdmissionUse::NotYet { .. } | AdmissionUse::Nothing => None,
            AdmissionUse::Order { order, in_time } => {
                let order_id = order.id.0.to_string();
                let until = match order.status {
                    OrderStatus::Held | OrderStatus::Promised | OrderStatus::PaymentPending => {
                        order.hold_expires_at.unix_timestamp().max(claims.exp)
                    }
                    // A shopper who has paid may see the order until the token expires.
                    OrderStatus::Paid if *in_time => claims.exp,
                    _ => return None,
                };
                Some(Self { claims, until, order: Some(order_id) })
            }
        }
    }
}
