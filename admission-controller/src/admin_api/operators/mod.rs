//! Operators, as owners manage them, and their enrolment.

pub(crate) mod error;
pub(crate) mod routes;
pub(crate) mod store;
