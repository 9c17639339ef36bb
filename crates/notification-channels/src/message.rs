//! A message, and the port to mail servers, SMS providers and push services.

use futures_util::future::BoxFuture;

/// The text of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// One line.
    pub subject: String,
    /// All lines after the subject.
    pub text: String,
    /// The link, if there is one.
    pub link: String,
}

impl Message {
    /// The text of an SMS: the subject, and the link if there is one.
    #[must_use]
    pub fn sms(&self) -> String {
        if self.link.is_empty() { self.subject.clone() } else { format!("{} {}", self.subject, self.link) }
    }
}

/// Why a channel has not confirmed a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// The channel rejects it permanently.
    Refused(String),
    /// The recipient no longer exists.
    Gone(String),
    /// The channel certainly does not have it.
    NotNow(String),
    /// The channel fell silent.
    Silent(String),
}

/// The port to mail servers, SMS providers and push services.
pub trait Channel: Send + Sync {
    /// Sends a notification to an address. `about` identifies it: the same value is repeated only
    /// after an attempt that certainly failed.
    fn send<'a>(&'a self, about: &'a str, to: &'a str, message: &'a Message) -> BoxFuture<'a, Result<(), SendError>>;
}
