//! The line and its admissions in a deterministic simulation with faults.
//!
//! What runs is the real code as far as it can be run without a network, a database or a clock:
//!
//! - the function library of the line, in PUC Lua 5.1 ([`script`]), over an in-memory model of Redis ([`redis`]);
//! - the line's store, through [`fairline_line::port`], so that arguments and answers are the real ones;
//! - a node's room, shoppers, upkeep and update policy, through [`waiting_room::simulated`];
//! - the control law, the recorder and the verifier of the record.
//!
//! What is a mirror of the real code, held against it by eye: the tick ([`controller`]), the ledger's statements ([`ledger`]), and the
//! loops of a node ([`node`]).
//!
//! [`world`] stops every task at each call, lock and commit; [`scheduler`] chooses what goes on, and what breaks; [`promises`] are
//! checked after each step; [`story`] finds the shortest way to break one. Everything follows from a seed.

pub mod bugs;
mod controller;
#[path = "../../../admission-controller/src/epochs.rs"]
#[allow(missing_docs, reason = "the controller's own")]
mod epochs;
pub mod event;
pub mod gate;
mod ledger;
mod msgpack;
mod node;
mod promises;
#[path = "../../../admission-controller/src/record.rs"]
#[allow(dead_code, missing_docs, reason = "the recorder of the controller itself, of which a part is used")]
mod recorder;
pub mod redis;
pub mod rng;
pub mod sale;
mod scheduler;
/// What [`epochs`] reads of a line.
mod store {
    /// The line's row.
    pub(crate) struct LineRow {
        pub(crate) epoch: i32,
        pub(crate) home: Option<String>,
        pub(crate) epoch_began_at: time::OffsetDateTime,
        pub(crate) restless: i32,
    }

    impl LineRow {
        #[cfg(test)]
        pub(crate) fn in_epoch(epoch: i32, home: &str, epoch_began_at: time::OffsetDateTime, restless: i32) -> Self {
            Self { epoch, home: Some(home.to_owned()), epoch_began_at, restless }
        }

        pub(crate) fn epoch(&self) -> u32 {
            self.epoch.unsigned_abs()
        }

        pub(crate) fn restless(&self) -> u32 {
            self.restless.unsigned_abs()
        }
    }
}
pub mod script;
pub mod server;
pub mod story;
mod world;
