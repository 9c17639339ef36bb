//! Distributed tracing of one shopper's action through the services: browser, waiting room,
//! checkout, outbox, Redis stream, webhook.
//!
//! - [`context`]: the propagated W3C trace context.
//! - [`current()`]: the trace of the running task.
//! - [`Operation`]: one span. When it ends it is logged and, if [`export`] was started, sent to a
//!   collector over OTLP. All failed spans are reported, and a share of the successful ones.

pub mod context;
pub mod current;
pub mod export;
mod operation;

pub use context::TraceContext;
pub use current::{carried, current, within};
pub use operation::{Operation, OperationKind, SpanReport};
