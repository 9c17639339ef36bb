//! The items of a sale: what it offers, each with its own price, limit and stock.
//!
//! - An item has its own copy of the text and prices of a variant of the catalogue.
//! - Its number and its SKU never change and are never used again in its sale.
//! - Each change names the version of the item that it is based on; an import does not.

pub(crate) mod error;
pub(crate) mod fields;
pub(crate) mod import;
pub(crate) mod responses;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
