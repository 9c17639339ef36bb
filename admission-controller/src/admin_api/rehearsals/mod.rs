//! Rehearsals: a crowd of simulated shoppers is sent to a copy of a sale.

pub(crate) mod error;
pub(super) mod responses;
pub(crate) mod routes;
pub(crate) mod service;
mod store;
