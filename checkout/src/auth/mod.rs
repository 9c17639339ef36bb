//! Caller identity.

pub(crate) mod caller;
pub(crate) mod extract;
