//! Deletion and anonymisation of old rows.

pub(crate) mod store;
