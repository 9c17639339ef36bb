//! Caller identity.

pub(crate) mod caller;
pub(crate) mod error;
pub(crate) mod extract;
