//! Shared by the routes of several features.

use axum::http::{HeaderName, header};

/// No cache may store an order or a payment.
pub(crate) const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];
