//! What one shopper's click sets off, followed through the services: browser, waiting room, checkout, outbox, Redis stream, webhook.
//!
//! [`context`] is what is handed on, as the W3C has it; [`current`] says in which trace the running task works; an [`Operation`] is
//! one step of it, which is told when it ends: in the log, and, where [`export`] was started, to a collector over OTLP. Of those that went
//! well a share is told; of those that failed, all.

pub mod context;
pub mod current;
pub mod export;
mod operation;

pub use context::TraceContext;
pub use current::{carried, current, within};
pub use operation::{Kind, Operation, Told};
