//! The line and its admissions in a deterministic simulation with faults.
//!
//! These parts are the real code:
//!
//! - the function library of the line, in PUC Lua 5.1 ([`script`]), over an in-memory model of
//!   Redis ([`redis`]);
//! - the line's store, through [`fairline_line::port`], so that arguments and replies are the real
//!   ones;
//! - a node's room, shoppers, sync and update policy, through [`waiting_room::testing`];
//! - the controller's tick with the control law, through [`admission_controller::testing`], and
//!   the verifier of the record.
//!
//! These are mirrors of the real code and must be changed with it: the ledger's statements
//! ([`ledger`]), and the loops of a controller ([`controller`]) and of a node ([`node`]).
//!
//! [`world`] stops every task at each call, lock and commit; [`scheduler`] chooses the next event;
//! the promises and the order of admissions are checked after each step; [`story`] finds the
//! shortest way to break one, and [`kept`] is its text.
//! Everything follows from a seed.
//!
//! ```no_run
//! use fairline_simulate::story::{Subject, run, shortest};
//!
//! let subject = Subject::real();
//! let story = run(&subject, 7);
//! if let Some(broken) = &story.broken {
//!     panic!("{broken}, after {:?}", shortest(&subject, &story, 150).events);
//! }
//! ```

pub mod bugs;
mod controller;
pub mod event;
pub mod gate;
pub mod kept;
pub mod ledger;
mod msgpack;
mod node;
mod plan;
pub mod redis;
pub mod rng;
pub mod sale;
mod scheduler;
pub mod script;
pub mod server;
pub mod story;
mod world;
