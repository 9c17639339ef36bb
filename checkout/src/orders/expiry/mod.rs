//! Holds whose time has run out.

pub(crate) mod store;
