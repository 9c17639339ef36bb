//! For tools, behind the feature `testing`. The service uses none of it.
//!
//! - [`TARGETS`]: the parsers that face the network, for `tools/fuzz`.
//! - [`DirectPayments`]: payments without HTTP, for `tools/simulate`.
//! - [`DirectHolds`]: redemption and the expiry of holds, for the tests of the ledger of
//!   `tools/simulate`.
//! - [`DirectRedemption`]: redemption without HTTP, for `tools/bench-redeem`.

mod fuzz;
mod holds;
mod payments;
mod redemption;

pub use fairline_postgres::StoreError;
pub use fairline_sale::OrderStatus;

pub use self::{
    fuzz::{FuzzTarget, TARGETS},
    holds::{DirectHolds, DirectToken},
    payments::{DirectEvent, DirectPayments},
    redemption::DirectRedemption,
};
