//! The content of notifications. `templates/notifications` has the texts: the first line of each is
//! the subject, and the whole text of an SMS.

use std::time::Duration;

use askama::Template;
use fairline_notification_channels::{Address, Message};
use fairline_telemetry::TraceContext;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::accounts::account::AccountKey;

/// A notification that is due.
#[derive(Debug, Clone)]
pub(crate) struct DueNotification {
    /// Identifies it: its event, or its sign-in.
    pub(crate) subject: String,
    pub(crate) address: Address,
    pub(crate) content: Content,
    /// Including this attempt.
    pub(crate) attempts: i32,
    /// The trace of its event.
    pub(crate) trace: Option<TraceContext>,
}

/// The outcome of sending a notification.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SendOutcome {
    /// The channel has accepted it.
    Sent,
    /// The channel stopped answering after it was sent.
    Unknown(String),
    /// The channel rejects it for good, or the attempts are used up.
    GivenUp(String),
    /// The channel rejects it for now.
    Retry { reason: String, after: Duration },
}

impl SendOutcome {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Unknown(_) => "unknown",
            Self::GivenUp(_) => "given_up",
            Self::Retry { .. } => "retry",
        }
    }
}

/// What a notification is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Content {
    /// A sign-in. The code is derived when the text is rendered.
    Code { sign_in: Uuid },
    /// An order was paid for.
    OrderConfirmed(Details),
    /// A hold will soon lapse.
    HoldAboutToLapse(Details),
    /// A shopper will soon be admitted.
    TurnIsNear(Details),
    /// A payment that came too late was refunded.
    Refunded(Details),
}

/// The sale, the order and its details.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Details {
    /// Name of the sale.
    pub(crate) sale: String,
    /// URL slug of the sale.
    pub(crate) slug: String,
    /// Empty if the notification is not about an order.
    #[serde(default)]
    pub(crate) order: String,
    #[serde(default)]
    pub(crate) quantity: i32,
    /// Formatted for people.
    #[serde(default)]
    pub(crate) amount: String,
    /// Formatted for people.
    #[serde(default)]
    pub(crate) until: String,
}

/// The sender.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub(crate) name: String,
    /// URL of its pages, without a trailing slash; empty if notifications have no links.
    pub(crate) url: String,
}

macro_rules! template {
    ($name:ident, $path:literal) => {
        #[derive(Template)]
        #[template(path = $path, escape = "none")]
        struct $name<'a> {
            sender: &'a Sender,
            details: &'a Details,
            link: &'a str,
        }
    };
}

template!(OrderConfirmed, "notifications/order_confirmed.txt");
template!(HoldAboutToLapse, "notifications/hold_about_to_lapse.txt");
template!(TurnIsNear, "notifications/turn_is_near.txt");
template!(Refunded, "notifications/refunded.txt");

#[derive(Template)]
#[template(path = "notifications/code.txt", escape = "none")]
struct Code<'a> {
    sender: &'a Sender,
    code: &'a str,
}

impl Content {
    /// Renders the text.
    pub(crate) fn render(&self, sender: &Sender, key: Option<&AccountKey>) -> Option<Message> {
        let to = |details: &Details| {
            if sender.url.is_empty() { String::new() } else { format!("{}/sales/{}", sender.url, details.slug) }
        };
        let (text, link) = match self {
            Self::Code { sign_in } => (Code { sender, code: &key?.code(*sign_in) }.render(), String::new()),
            Self::OrderConfirmed(details) => {
                (OrderConfirmed { sender, details, link: &to(details) }.render(), to(details))
            }
            Self::HoldAboutToLapse(details) => {
                (HoldAboutToLapse { sender, details, link: &to(details) }.render(), to(details))
            }
            Self::TurnIsNear(details) => (TurnIsNear { sender, details, link: &to(details) }.render(), to(details)),
            Self::Refunded(details) => (Refunded { sender, details, link: &to(details) }.render(), to(details)),
        };
        let text = text.ok()?;
        let (subject, text) = text.split_once('\n')?;
        // The shop chooses the name of a sale; a header must stay on one line.
        let subject = subject.chars().filter(|c| !c.is_control()).collect();
        Some(Message { subject, text: format!("{}\n", text.trim()), link })
    }
}

#[cfg(test)]
mod tests {
    use fairline_server::Secret;

    use super::*;

    #[test]
    fn every_notification_names_its_event_and_links_to_the_sale() {
        let sender = Sender { name: "Lamps & Co".to_owned(), url: "https://lamps.example".to_owned() };
        let key = AccountKey::new(&Secret::new("k".repeat(32))).expect("a key");
        let details = Details {
            sale: "A <small>\r\nBcc: lamp".to_owned(),
            slug: "lamp".to_owned(),
            order: "0190".to_owned(),
            quantity: 2,
            amount: "98.00 EUR".to_owned(),
            until: "18:05 UTC".to_owned(),
        };
        let render = |content: &Content| content.render(&sender, Some(&key)).expect("a message");
        for (content, subject, link) in [
            (
                Content::OrderConfirmed(details.clone()),
                "Your order at Lamps & Co: A <small>",
                "https://lamps.example/sales/lamp",
            ),
            (
                Content::HoldAboutToLapse(details.clone()),
                "Pay by 18:05 UTC: A <small>",
                "https://lamps.example/sales/lamp",
            ),
            (Content::TurnIsNear(details.clone()), "Your turn is near: A <small>", "https://lamps.example/sales/lamp"),
            (
                Content::Refunded(details.clone()),
                "Refund for order 0190: A <small>",
                "https://lamps.example/sales/lamp",
            ),
        ] {
            let message = render(&content);
            assert!(message.subject.starts_with(subject) && !message.subject.contains(['\r', '\n']), "{message:?}");
            assert_eq!(message.link, link);
            assert!(message.text.contains(link) && message.text.len() > 100, "{message:?}");
            let stored: Content =
                serde_json::from_value(serde_json::to_value(&content).expect("JSON")).expect("a content");
            assert_eq!(stored, content);
        }
        let sign_in = Uuid::from_u128(1);
        let code = render(&Content::Code { sign_in });
        assert_eq!(code.subject, format!("{} is your sign-in code for Lamps & Co", key.code(sign_in)));
        assert_eq!(Content::Code { sign_in }.render(&sender, None), None);
    }
}
