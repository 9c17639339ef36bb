//! The controller: decides for each sale how many shoppers are admitted, and publishes their
//! tokens.
//!
//! Calls Redis through `fairline-line`, and Postgres; depends on no API and no job. Any number of
//! controllers share the sales, and the row of a sale's own line is its lock.
//!
//! - [`schedule`] ticks each sale in a task of its own; [`tick`] is what happens then.
//! - [`ledger`] is the port to Postgres, [`postgres`] its implementation. The simulation has
//!   another one.
//! - [`sale`], [`line`](mod@line), [`turns`], [`agenda`] and [`ticket_actions`] are rows, and what
//!   follows from them. They are pure, as are [`lifecycle`], [`epochs`] and [`record`].

pub(crate) mod agenda;
pub(crate) mod clock;
pub(crate) mod columns;
pub(crate) mod decision_metrics;
pub(crate) mod epochs;
mod error;
pub(crate) mod keys;
pub(crate) mod ledger;
pub mod lifecycle;
pub(crate) mod line;
pub(crate) mod postgres;
pub(crate) mod record;
pub(crate) mod records {
    pub(crate) mod store;
}
pub(crate) mod restore;
pub(crate) mod sale;
pub(crate) mod schedule;
pub(crate) mod tick;
pub(crate) mod ticket_actions;
pub(crate) mod turns;
