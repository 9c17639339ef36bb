//! A shop of real processes under random faults, and a check of every promise.
//!
//! - `plan` draws, from a seed, what stands behind the services and which faults happen when (pure).
//! - `fault` begins and ends each fault; `topology` is Redis and Postgres in their forms.
//! - `run` sends a crowd to a shop and carries a plan out meanwhile; `watch` reads the history of its shoppers as it is written.
//! - `check` gives the verdict from history, faults, database, payment company and record (pure); `report` the figures (pure).
//!
//! A fault is injected from outside: by signals, limits of processes, the clock, and the proxies that all links go through. The
//! services are those that ship, and know nothing of it.

pub mod books;
pub mod check;
pub mod fault;
pub mod plan;
pub mod report;
pub mod run;
pub mod topology;
pub mod watch;
