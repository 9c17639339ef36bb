//! Channels of notifications: e-mail, SMS and Web Push.
//!
//! - A [`Channel`] sends one [`Message`] to one address. It reports whether the message was
//!   accepted, was certainly not accepted, or may have arrived.
//! - Nothing is stored or retried here.

mod address;
mod channels;
mod message;
mod sms;
mod smtp;
mod web_push;

pub use address::{Address, AddressKind};
pub use channels::{ChannelSettings, Channels};
pub use message::{Channel, Message, SendError};
pub use web_push::{Push, PushServices, Subscription};
