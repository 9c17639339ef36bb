//! The update policy: which messages a waiting page is sent, and when. Pure: no I/O, no clock, no
//! randomness; time is an argument.
//!
//! - `policy`: the next message to a page, from the state of the line and the messages sent before.
//! - `countdown`: what a page shows between two messages, and when that needs a correction.
//! - `forecast`: how fast a line moves, and how long a wait is likely to take.
//! - `message`: the messages, as JSON (`docs/line-protocol.md`).
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use fairline_line::{change::Turn, places::Place};
//! use fairline_sale::SaleCard;
//! use fairline_update_policy::{Forecast, Inputs, LineMessage, SentState};
//!
//! let inputs = Inputs {
//!     ordinal: 7,
//!     card: &Arc::new(SaleCard::example()),
//!     news: 1,
//!     line_reachable: true,
//!     turn: &Turn::Waiting,
//!     place: Some(Place { ahead: 3, recalled: 0, behind: 9 }),
//!     in_draw: None,
//!     forecast: Forecast::default(),
//!     now: Duration::from_secs(1000),
//! };
//! let mut page = SentState::default();
//! assert!(matches!(page.next(&inputs), Some(LineMessage::Sale { .. })));
//! assert!(matches!(page.next(&inputs), Some(LineMessage::Place { place: 3, .. })));
//! assert_eq!(page.next(&inputs), None, "the page is up to date");
//! ```

mod countdown;
mod forecast;
mod message;
mod policy;

pub use forecast::{Flow, Forecast, WaitOutlook, WaitRange};
pub use message::{HEARTBEAT_S, LineMessage, Outcome, PageMessage, Wait, reconnect_within_ms};
pub use policy::{EndedWait, Inputs, SentState, differs_in_counts_only};
