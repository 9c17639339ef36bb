//! Operators, as owners manage them, and their enrolment.

pub(crate) mod error;
mod responses;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
