//! Caller identity, and the key that proves accounts.

pub(crate) mod account;
pub(crate) mod caller;
pub(crate) mod error;
pub(crate) mod extract;

/// Tolerated difference between this process's clock and a signer's, in seconds, where the database
/// can't be queried. Elsewhere the database's clock decides.
pub(crate) const CLOCK_SLACK_S: i64 = 300;
