//! Operators, as owners manage them, and their enrolment.

mod error;
pub(crate) mod routes;
mod store;
