//! For tools, behind the feature `testing`. The service uses none of it.
//!
//! - [`TARGETS`]: the parsers that face the network, for `tools/fuzz`.
//! - [`DirectPayments`]: payments without HTTP, for `tools/simulate`.
//! - [`DirectRedemption`]: redemption without HTTP, for `tools/bench-redeem`.

mod fuzz;
mod payments;
mod redemption;

pub use fairline_postgres::StoreError;
pub use fairline_sale::OrderStatus;

pub use self::{
    fuzz::{FuzzTarget, TARGETS},
    payments::{DirectEvent, DirectPayments},
    redemption::DirectRedemption,
};
