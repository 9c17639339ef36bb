//! A mail server in memory, for the demo and for tests: it accepts e-mail over SMTP (RFC 5321) and
//! text messages over Twilio's API, lists them to any client, delivers none, and misbehaves on
//! request. The recipient selects a fault:
//!
//! | address begins with | behaviour |
//! |---|---|
//! | `busy` | the first attempt is rejected temporarily |
//! | `unknown` | rejected permanently |
//! | `silent` | accepted, but the connection is cut without a response |
//! | `slow` | accepted after 2 seconds |
//!
//! A phone number that ends in 1 is busy, in 2 rejected, in 3 silent.
//!
//! ```no_run
//! use fairline_sandbox_notifications::NotificationSandbox;
//! use fairline_server::Shutdown;
//! use tokio::net::TcpListener;
//!
//! # async fn send() -> std::io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:2525").await?;
//! let sandbox = NotificationSandbox::open(listener, &Shutdown::new());
//! // … a mail to ada@example.org …
//! assert_eq!(sandbox.notifications_to("ada@example.org").len(), 1);
//! # Ok(())
//! # }
//! ```

mod phones;
mod smtp;

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::{Query, State},
    routing::{get, post},
};
use fairline_server::Shutdown;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// Maximum stored messages, the newest.
const KEPT_MAX: usize = 1000;

/// An e-mail or text message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notification {
    /// The recipient.
    pub to: String,
    /// Its `TextMessage-ID`; empty for a text message.
    pub id: String,
    /// Its subject; empty for a text message.
    pub subject: String,
    /// Its text.
    pub text: String,
}

/// How a message is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SendScenario {
    Accepted,
    AcceptedLate,
    AcceptedSilently,
    Busy,
    Rejected,
}

#[derive(Default)]
struct Mailbox {
    notifications: VecDeque<Notification>,
    /// Recipients that were busy once.
    tried: HashSet<String>,
}

/// The sandbox mail server.
#[derive(Clone, Default)]
pub struct NotificationSandbox(Arc<Mutex<Mailbox>>);

impl NotificationSandbox {
    /// Starts a mail server on a listener, until shutdown.
    #[must_use]
    pub fn open(listener: TcpListener, shutdown: &Shutdown) -> Self {
        let sandbox = Self::default();
        let (mailbox, stop) = (sandbox.clone(), shutdown.clone());
        tokio::spawn(async move { smtp::serve(listener, mailbox, stop).await });
        sandbox
    }

    /// `POST /sandbox/messages` sends text messages; `GET /sandbox/notifications?to=…` lists
    /// messages.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/sandbox/messages", post(phones::send))
            .route("/sandbox/notifications", get(notifications))
            .with_state(self.clone())
    }

    /// The messages to a recipient, the oldest first.
    #[must_use]
    pub fn notifications_to(&self, to: &str) -> Vec<Notification> {
        self.mailbox(|mailbox| {
            mailbox.notifications.iter().filter(|notification| notification.to == to).cloned().collect()
        })
    }

    fn keep(&self, notification: Notification) {
        self.mailbox(|mailbox| {
            mailbox.notifications.push_back(notification);
            if mailbox.notifications.len() > KEPT_MAX {
                mailbox.notifications.pop_front();
            }
        });
    }

    fn outcome(&self, to: &str) -> SendScenario {
        let begins = |word: &str| to.starts_with(word);
        let ends = |digit: char| to.starts_with('+') && to.ends_with(digit);
        if begins("unknown") || ends('2') {
            SendScenario::Rejected
        } else if begins("silent") || ends('3') {
            SendScenario::AcceptedSilently
        } else if begins("slow") {
            SendScenario::AcceptedLate
        } else if (begins("busy") || ends('1')) && self.mailbox(|mailbox| mailbox.tried.insert(to.to_owned())) {
            SendScenario::Busy
        } else {
            SendScenario::Accepted
        }
    }

    fn mailbox<T>(&self, what: impl FnOnce(&mut Mailbox) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Deserialize)]
struct NotificationFilter {
    to: Option<String>,
}

async fn notifications(
    State(sandbox): State<NotificationSandbox>,
    Query(NotificationFilter { to }): Query<NotificationFilter>,
) -> axum::Json<Vec<Notification>> {
    axum::Json(match to {
        Some(to) => sandbox.notifications_to(&to),
        None => sandbox.mailbox(|mailbox| mailbox.notifications.iter().cloned().collect()),
    })
}
