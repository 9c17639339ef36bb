//! Public routes: what sales offer, their records, the keys that verify admission tokens, images,
//! and the console's page.
//!
//! Needs no sign-in, and changes nothing.

pub(crate) mod console_page;
mod entity_tag;
pub(crate) mod items {
    pub(crate) mod routes;
    pub(crate) mod service;
    pub(crate) mod store;
}
pub(crate) mod key_set;
pub(crate) mod media;
pub(crate) mod record {
    pub(crate) mod routes;
    pub(crate) mod service;
}
