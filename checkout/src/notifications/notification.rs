//! The content of notifications. `templates/notifications` has the texts: the first line of each is
//! the subject, and the whole text of an SMS.

use std::time::Duration;

use askama::Template;
use fairline_notification_channels::{Address, Message};
use fairline_telemetry::TraceContext;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::auth::account::SignInKey;

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
    /// The channel stopped responding after it was sent.
    Unknown(String),
    /// The channel rejects it permanently, or the attempts are used up.
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
    /// A hold will soon expire.
    HoldAboutToExpire(Details),
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
template!(HoldAboutToExpire, "notifications/hold_about_to_expire.txt");
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
    pub(crate) fn render(&self, sender: &Sender, key: Option<&SignInKey>) -> Option<Message> {
        let to = |details: &Details| {
            if sender.url.is_empty() { String::new() } else { format!("{}/sales/{}", sender.url, details.slug) }
        };
        let (text, link) = match self {
            Self::Code { sign_in } => (Code { sender, code: &key?.code(*sign_in) }.render(), String::new()),
            Self::OrderConfirmed(details) => {
                (OrderConfirmed { sender, details, link: &to(details) }.render(), to(details))
            }
            Self::HoldAboutToExpire(details) => {
                (HoldAboutToExpire { sender, details, link: &to(details) }.render(), to(details))
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
    use fairline_snapshots::every_variant;
    use insta::assert_snapshot;

    use super::*;

    const SIGN_IN: Uuid = Uuid::from_u128(1);

    fn key() -> SignInKey {
        SignInKey::new(&Secret::new("k".repeat(32))).expect("a key")
    }

    fn lamps() -> Sender {
        Sender { name: "Lamps & Co".to_owned(), url: "https://lamps.example".to_owned() }
    }

    fn details() -> Details {
        Details {
            sale: "A <small> lamp".to_owned(),
            slug: "lamp".to_owned(),
            order: "0190c6a8-0000-7000-8000-000000000000".to_owned(),
            quantity: 2,
            amount: "€98.00".to_owned(),
            until: "18:05 UTC".to_owned(),
        }
    }

    fn every_content(details: &Details) -> [(&'static str, Content); 5] {
        every_variant!(Content {
            Code { sign_in: SIGN_IN },
            OrderConfirmed(details.clone()),
            HoldAboutToExpire(details.clone()),
            TurnIsNear(details.clone()),
            Refunded(details.clone()),
        })
    }

    /// Every notification about an order, as e-mail and as SMS.
    fn texts(sender: &Sender, details: &Details) -> String {
        let text = |(name, content): (&str, Content)| {
            let message = content.render(sender, Some(&key())).expect("a message");
            let mail = format!("Subject: {}\n\n{}", message.subject, message.text);
            format!("=== {name}, e-mail\n{mail}\n=== {name}, SMS\n{}\n\n", message.sms())
        };
        every_content(details).map(text).concat()
    }

    #[test]
    fn every_notification_has_its_texts() {
        // The shop has no name and no pages.
        let plain = Sender { name: "the shop".to_owned(), url: String::new() };
        let unit = Details { quantity: 1, amount: "€49.00".to_owned(), ..details() };
        let (full, minimal) = (texts(&lamps(), &details()), texts(&plain, &unit));
        assert_snapshot!("texts", format!("# With name and link\n\n{full}# Without name and link\n\n{minimal}"));
    }

    #[test]
    fn a_notification_is_stored_without_loss() {
        for (name, content) in every_content(&details()) {
            let stored = serde_json::to_value(&content).expect("JSON");
            assert_eq!(serde_json::from_value::<Content>(stored).expect(name), content);
        }
    }

    #[test]
    fn the_name_of_a_sale_adds_no_header_to_an_e_mail() {
        let sale = "A lamp\r\nBcc: all@lamps.example".to_owned();
        for (name, content) in every_content(&Details { sale, ..details() }) {
            let message = content.render(&lamps(), Some(&key())).expect("a message");
            assert!(!message.subject.contains(['\r', '\n']), "{name}: {message:?}");
        }
    }

    #[test]
    fn a_code_needs_the_key_of_accounts() {
        let code = Content::Code { sign_in: SIGN_IN };
        let message = code.render(&lamps(), Some(&key())).expect("a message");
        assert!(message.text.contains(&key().code(SIGN_IN)), "{message:?}");
        assert_eq!(code.render(&lamps(), None), None);
    }
}
