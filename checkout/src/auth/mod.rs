//! Caller identity, and the keys that verify admission tokens.

pub(crate) mod caller;
pub(crate) mod extract;
pub(crate) mod keys;
