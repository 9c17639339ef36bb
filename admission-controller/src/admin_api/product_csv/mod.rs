//! Products with their variants as CSV, for spreadsheets: export and import.
//!
//! - [`mod@format`] has the columns of the table. [`plan`] decides what an import changes. Both are
//!   pure.
//! - A row is a variant; the fields of its product are repeated, or given in one row.

pub(crate) mod error;
pub(crate) mod format;
mod plan;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
