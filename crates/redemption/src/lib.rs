//! The path of an admission token to the database, without SQL: rejections before a query, and many
//! redemptions in one commit.
//!
//! - [`Keys`] verifies tokens offline and remembers verified ones. [`ForgeryGuard`] ignores
//!   visitors with many forged tokens, [`RefusalCache`] remembers rejected tokens.
//! - [`FastReject`] applies them before the router. It decides nothing that the purchase would
//!   decide differently.
//! - [`Batcher`] collects requests that arrive together (group commit).

mod batcher;
mod credentials;
mod fast_reject;
mod forgery_guard;
mod generational_cache;
mod keys;
mod prepared;
mod refusal_cache;

pub use batcher::{Batcher, QueueFull, Slot, Waiting};
pub use credentials::{bearer, holds_ticket_of, tickets};
pub use fast_reject::{Checks, FastReject, FastRejectService, RateLimitChecked, Rejections};
pub use forgery_guard::ForgeryGuard;
pub use generational_cache::GenerationalCache;
pub use keys::{CachedClaims, ClaimsError, Keys};
pub use refusal_cache::{CachedRefusal, RefusalCache, UsedToken};
