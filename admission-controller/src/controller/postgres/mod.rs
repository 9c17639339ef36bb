//! The ledger in Postgres. Each part of a tick has its statements in a `store.rs`.

mod store;

mod agenda {
    mod store;
}
mod ticket_actions {
    mod store;
}
mod limits {
    mod store;
}
mod line_rows {
    pub(super) mod store;
}
mod lines {
    mod store;
}
mod record {
    mod store;
}
mod restore {
    pub(super) mod store;
}
mod visits {
    mod store;
}

pub use self::store::{LedgerStore, LockedSale};
pub(crate) use self::{line_rows::store::lines_of, restore::store::RestoreStore, store::sale_rows};
