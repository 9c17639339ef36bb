//! The services' messages, as the documentation describes them.
//!
//! Deliberately shares no types with the services: a protocol change that the documentation lacks
//! fails a rush.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fairline_sale::SaleMode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// A message of the line, from the server.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum LineMessage {
    /// A draw counts as waiting, too.
    #[serde(alias = "draw")]
    Place {
        ordinal: u64,
    },
    Sale {
        sale: SaleCard,
    },
    Turn {
        token: String,
    },
    Over {
        outcome: Over,
    },
    Heartbeat {
        reconnect_within_ms: u32,
    },
    Reconnecting {},
}

/// How the line ends for one shopper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Over {
    SoldOut,
    Closed,
    Expired,
    Bought,
    Left,
    Removed,
    Missed,
    Limit,
}

/// The facts of a sale.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct SaleCard {
    pub(crate) id: Uuid,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) total: u32,
    pub(crate) remaining: u32,
    pub(crate) status: SaleStatus,
    #[serde(default)]
    pub(crate) mode: SaleMode,
    /// Units that one shopper may have; 0 if unknown.
    #[serde(default)]
    pub(crate) per_shopper_limit: u32,
}

/// The status of a sale, as pages show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SaleStatus {
    /// It has not opened.
    Scheduled,
    /// Shoppers are admitted.
    Open,
    /// An operator has stopped admissions for a time.
    Paused,
    /// Every unit is paid for.
    SoldOut,
    /// It is over.
    Closed,
}

/// Response of `GET /api/flash-sales/active`.
#[derive(Debug, Deserialize)]
pub(crate) struct ActiveSales {
    pub(crate) sales: Vec<SaleCard>,
}

/// One JSON snapshot of the line.
#[derive(Debug, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) messages: Vec<serde_json::Value>,
    pub(crate) poll_after_ms: u64,
}

/// A hold, and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: Uuid,
    pub(crate) status: OrderStatus,
    pub(crate) quantity: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) hold_expires_at: OffsetDateTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OrderStatus {
    Promised,
    Held,
    PaymentPending,
    Paid,
    Expired,
    Refunded,
    Cancelled,
}

impl OrderStatus {
    /// The name as serialised.
    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// Response of `GET /api/orders`.
#[derive(Debug, Deserialize)]
pub(crate) struct Orders {
    pub(crate) orders: Vec<Order>,
}

/// The members of an RFC 9457 problem that a client acts on.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Problem {
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) order: Option<Order>,
}

/// The counters that the admin API shows of a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AdminSale {
    pub(crate) id: Uuid,
    pub(crate) slug: String,
    pub(crate) total: u32,
    pub(crate) promised: u32,
    pub(crate) held: u32,
    pub(crate) sold: u32,
}

/// The claims of an admission token, unverified: a browser has no reason to verify it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) sub: String,
    pub(crate) jti: Uuid,
    pub(crate) sale: Uuid,
    pub(crate) qty: u32,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
}

/// Parses the claims of a token; `None` if it is not an admission token.
pub(crate) fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

/// Parses a message; ignores unknown members, and rejects unknown types.
pub(crate) fn message(text: &str) -> Result<LineMessage, serde_json::Error> {
    serde_json::from_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_documentation_are_understood() {
        let place = r#"{"type":"place","ordinal":42,"place":17,"behind":120,"recalled":0,"rate_per_s":0.6,
            "wait":{"likely_s":[20,40],"bounds_s":[10,90]},"beyond_stock":false,"remaining":58}"#;
        assert_eq!(message(place).unwrap(), LineMessage::Place { ordinal: 42 });
        let over = r#"{"type":"over","outcome":"sold_out"}"#;
        assert_eq!(message(over).unwrap(), LineMessage::Over { outcome: Over::SoldOut });
        let reconnecting = r#"{"type":"reconnecting","retry_after_ms":1500}"#;
        assert_eq!(message(reconnecting).unwrap(), LineMessage::Reconnecting {});
        assert!(message(r#"{"type":"surprise"}"#).is_err());
        assert!(message(r#"{"type":"over","outcome":"bored"}"#).is_err());
    }

    #[test]
    fn a_token_is_read_without_its_key() {
        let claims_text = r#"{"iss":"fairline","aud":"fairline-checkout","sub":"AAAAAAAAAAAAAAAAAAAAAA","jti":"01890a5d-ac96-774b-bcce-b302099a8057","sale":"01890a5d-ac96-774b-bcce-b302099a8058","qty":1,"iat":1,"exp":121}"#;
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims_text));
        assert_eq!(claims(&token).unwrap().exp, 121);
        assert!(claims("e30.e30.c2ln").is_none());
        assert!(claims("nonsense").is_none());
    }
}
