//! The update policy: which messages a waiting page is sent, and when. Pure: no I/O, no clock, no
//! randomness; time is an argument.
//!
//! - `policy`: the next message to a page, from the state of the line and the messages sent before.
//! - `countdown`: what a page shows between two messages, and when that needs a correction.
//! - `forecast`: how fast a line moves, and how long a wait is likely to take.
//! - `message`: the messages, as JSON (`docs/line-protocol.md`).

mod countdown;
mod forecast;
mod message;
mod policy;

pub use forecast::{Flow, Forecast, WaitOutlook, Within};
pub use message::{HEARTBEAT_S, LineMessage, Outcome, PageMessage, Wait, reconnect_within_ms};
pub use policy::{EndedWait, Inputs, SentState, differs_in_counts_only};
