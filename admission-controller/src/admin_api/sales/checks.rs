//! The checks of a sale's fields, shared by creating and changing one.

use fairline_sale::Theme;

use crate::error::{CommonError, check_field};

/// Whether a number of seconds is a valid time window.
pub(super) fn is_a_window(seconds: i32) -> bool {
    (1..=86_400).contains(&seconds)
}

pub(super) fn check_rate(rate: f64) -> Result<(), CommonError> {
    check_field("rate_cap_per_s", rate > 0.0 && rate <= 100_000.0, "be above 0 and at most 100000")
}

pub(super) fn check_total(total: i32) -> Result<(), CommonError> {
    check_field("total", (0..=10_000_000).contains(&total), "be between 0 and 10000000")
}

pub(super) fn check_grace(grace_s: Option<i32>) -> Result<(), CommonError> {
    check_field("grace_s", grace_s.is_none_or(is_a_window), "be between 1 and 86400, or null")
}

pub(super) fn check_in_checkout_max(in_checkout_max: Option<i32>) -> Result<(), CommonError> {
    let ok = in_checkout_max.is_none_or(|most| (1..=10_000_000).contains(&most));
    check_field("in_checkout_max", ok, "be between 1 and 10000000, or null")
}

pub(super) fn check_message(message: &str) -> Result<(), CommonError> {
    check_field("message", message.chars().count() <= 500, "be at most 500 characters")
}

pub(super) fn check_theme(theme: &Theme) -> Result<(), CommonError> {
    theme.check().map_err(|wrong| CommonError::InvalidField { field: wrong.field, must: wrong.must })
}

/// The theme as it is stored.
pub(super) fn stored(theme: &Theme) -> serde_json::Value {
    serde_json::to_value(theme).unwrap_or_default()
}
