//! What is public: the records of sales, the keys that verify admission tokens, and the console's
//! page.

pub(crate) mod console;
pub(crate) mod key_set;
pub(crate) mod record {
    pub(crate) mod routes;
    mod store;
}
