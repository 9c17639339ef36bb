//! The bodies of requests.

use std::num::NonZeroU16;

use fairline_sale::SaleId;
use serde::Deserialize;
use utoipa::ToSchema;

/// How long units are reserved for the merchant by default, in seconds.
const RESERVED_FOR_S: i32 = 600;

/// The merchant's name of something: printable text of up to 200 bytes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 200, example = "invoice-2026-1187")]
pub(crate) struct Reference(pub(super) String);

impl TryFrom<String> for Reference {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_one = (1..=200).contains(&text.len()) && !text.trim().is_empty() && !text.chars().any(char::is_control);
        if is_one { Ok(Self(text)) } else { Err("a reference has 1 to 200 bytes of visible text") }
    }
}

/// An admission token that a shopper has brought.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedeemRequest {
    /// The sale.
    pub(super) sale_id: SaleId,
    /// The admission token.
    pub(super) token: String,
    /// Units, up to the quantity of the admission.
    #[schema(value_type = u16, minimum = 1)]
    pub(super) quantity: NonZeroU16,
    /// The merchant's name of the shopper's account, for sales with a limit per account. The
    /// merchant vouches for it.
    pub(super) account: Option<Reference>,
}

/// A payment that the merchant received.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmRequest {
    /// The merchant's name of the payment. It may be repeated.
    pub(super) reference: Reference,
}

/// The amount and the reason of a refund.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundRequest {
    /// In the currency's minor unit; default: the whole remaining amount.
    #[schema(minimum = 1)]
    pub(super) amount_minor: Option<i64>,
    /// Kept for accounting.
    pub(super) reason: Reference,
}

/// A reservation for the merchant itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReserveRequest {
    /// The sale.
    pub(super) sale_id: SaleId,
    /// Units.
    #[schema(value_type = u16, minimum = 1)]
    pub(super) quantity: NonZeroU16,
    /// The merchant's name of the reservation. It may be repeated.
    pub(super) reference: Reference,
    /// Seconds until the units are free again, unless confirmed: up to a week.
    #[serde(default = "reserved_for_s")]
    #[schema(minimum = 1, maximum = 604_800, default = 600)]
    pub(super) held_for_s: i32,
}

fn reserved_for_s() -> i32 {
    RESERVED_FOR_S
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_short_and_visible() {
        for (text, is_one) in [("a", true), ("Rechnung 2026/7 ✓", true), ("", false), ("  ", false), ("a\nb", false)]
        {
            assert_eq!(Reference::try_from(text.to_owned()).is_ok(), is_one, "{text:?}");
        }
        assert!(Reference::try_from("a".repeat(200)).is_ok() && Reference::try_from("a".repeat(201)).is_err());
    }
}
