//! Public routes: the records of sales, the keys that verify admission tokens, the images of
//! products, and the console's page.
//!
//! Needs no sign-in, and changes nothing.

pub(crate) mod console_page;
pub(crate) mod key_set;
pub(crate) mod media;
pub(crate) mod record {
    pub(crate) mod routes;
    pub(crate) mod service;
}
