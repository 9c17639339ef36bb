//! What is deleted or anonymised after its time.

pub(crate) mod store;
