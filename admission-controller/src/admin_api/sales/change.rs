//! Changing a sale: the fields that may change, and their checks.

use fairline_sale::{Status, Theme};
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    checks::{
        check_grace, check_in_checkout_max, check_message, check_rate, check_theme, check_total, is_a_window, stored,
    },
    store::SaleChange,
};
use crate::{
    controller::sale::SaleRow,
    error::{CommonError, check_field},
};

/// The changes of a sale. Fields that are left out stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeSale {
    /// The maximum admissions per second.
    rate_cap_per_s: Option<f64>,
    /// Units in the sale; at least those that are promised, held or sold.
    total: Option<i32>,
    /// Seconds after its turn for which a ticket is still recalled when its shopper comes back.
    recall_window_s: Option<i32>,
    /// Seconds for which a disconnected shopper keeps the place; null: the setting of the waiting
    /// rooms.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i32>)]
    grace_s: Option<Option<i32>>,
    /// The maximum number of shoppers in checkout and on the way there; null: no limit.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i32>)]
    in_checkout_max: Option<Option<i32>>,
    /// A message to all waiting shoppers; null removes it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    message: Option<Option<String>>,
    /// The colours and texts of its pages, which replace all existing ones.
    theme: Option<Theme>,
    /// When it opens; only while it is scheduled.
    #[serde(default, with = "time::serde::rfc3339::option")]
    opens_at: Option<OffsetDateTime>,
    /// When it ends; only while it is scheduled. Null: only when an operator closes it.
    #[serde(default, deserialize_with = "given_moment")]
    #[schema(value_type = Option<String>)]
    ends_at: Option<Option<OffsetDateTime>>,
}

/// Distinguishes `null` from a missing field.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn given_moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<OffsetDateTime>>, D::Error> {
    time::serde::rfc3339::option::deserialize(deserializer).map(Some)
}

impl ChangeSale {
    /// Checks the fields against a sale.
    pub(super) fn checked(self, row: &SaleRow) -> Result<SaleChange, CommonError> {
        let is_moved = self.opens_at.is_some() || self.ends_at.is_some();
        if is_moved && row.stored_status() != Status::Scheduled {
            return Err(CommonError::IllegalTransition { status: row.shown_status() });
        }
        let (opens_at, ends_at) = (self.opens_at.unwrap_or(row.opens_at), self.ends_at.unwrap_or(row.ends_at));
        let is_a_window = !is_moved || ends_at.is_none_or(|ends_at| ends_at > opens_at.max(row.now));
        check_field("ends_at", is_a_window, "be later than now and than opens_at, or null")?;
        Ok(SaleChange {
            opens_at: self.opens_at,
            ends_at: self.ends_at,
            rate_cap_per_s: self.rate_cap_per_s,
            total: self.total,
            recall_window_s: self.recall_window_s,
            grace_s: self.grace_s,
            in_checkout_max: self.in_checkout_max,
            message: self.message,
            theme: self.theme.as_ref().map(stored),
        })
    }

    /// Checks the fields that are valid or invalid for any sale.
    pub(super) fn check(&self) -> Result<(), CommonError> {
        self.rate_cap_per_s.map_or(Ok(()), check_rate)?;
        self.total.map_or(Ok(()), check_total)?;
        check_field("recall_window_s", self.recall_window_s.is_none_or(is_a_window), "be between 1 and 86400")?;
        check_grace(self.grace_s.flatten())?;
        check_in_checkout_max(self.in_checkout_max.flatten())?;
        self.message.iter().flatten().try_for_each(|message| check_message(message))?;
        self.theme.iter().try_for_each(check_theme)
    }
}
