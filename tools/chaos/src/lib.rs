//! A shop of real processes under random faults, and a check of every promise.
//!
//! - `plan` draws the topology and the faults from a seed (pure).
//! - `fault` begins and ends each fault; `topology` is Redis and Postgres in their forms.
//! - `run` sends a crowd to a shop and executes a plan; `watch` reads the history of its shoppers;
//!   `outcome` has the result.
//! - `check` gives the verdict from history, faults, database, payment gateway and record (pure);
//!   `report` the figures (pure).
//!
//! Faults are injected from outside: by signals, process limits, the clock, and the proxies of all
//! links. The services are unmodified.
//!
//! ```
//! use fairline_chaos::plan::ShopPlan;
//!
//! let plan = ShopPlan::new(7, 24, None);
//! assert_eq!(plan.rounds.len(), 24);
//! assert_eq!(plan, ShopPlan::new(7, 24, None), "a seed repeats its plan");
//! ```

pub mod check;
pub mod fault;
pub mod ledger_reader;
pub mod outcome;
pub mod plan;
pub mod report;
pub mod run;
pub mod topology;
pub mod watch;
