//! The content of notifications. `templates/letters` has the texts: the first line of each is the
//! subject, and the whole text of an SMS.

use askama::Template;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::accounts::account::AccountKey;

/// The subject of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "matter", rename_all = "snake_case")]
pub(crate) enum Matter {
    /// A sign-in. The code is derived when the text is rendered.
    Code { sign_in: Uuid },
    /// An order was paid for.
    OrderConfirmed(About),
    /// A hold will soon lapse.
    HoldAboutToLapse(About),
    /// A shopper will soon be admitted.
    TurnIsNear(About),
    /// A payment that came too late was refunded.
    Refunded(About),
}

/// The sale, the order and its details.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
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
pub(crate) struct Shop {
    pub(crate) name: String,
    /// URL of its pages, without a trailing slash; empty if notifications have no links.
    pub(crate) url: String,
}

/// The text of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// One line.
    pub(crate) subject: String,
    pub(crate) text: String,
    /// The link, if there is one.
    pub(crate) link: String,
}

macro_rules! letter {
    ($name:ident, $path:literal) => {
        #[derive(Template)]
        #[template(path = $path, escape = "none")]
        struct $name<'a> {
            shop: &'a Shop,
            about: &'a About,
            link: &'a str,
        }
    };
}

letter!(OrderConfirmed, "letters/order_confirmed.txt");
letter!(HoldAboutToLapse, "letters/hold_about_to_lapse.txt");
letter!(TurnIsNear, "letters/turn_is_near.txt");
letter!(Refunded, "letters/refunded.txt");

#[derive(Template)]
#[template(path = "letters/code.txt", escape = "none")]
struct Code<'a> {
    shop: &'a Shop,
    code: &'a str,
}

impl Matter {
    /// Renders the text.
    pub(crate) fn write(&self, shop: &Shop, key: Option<&AccountKey>) -> Option<Written> {
        let to = |about: &About| {
            if shop.url.is_empty() { String::new() } else { format!("{}/sales/{}", shop.url, about.slug) }
        };
        let (text, link) = match self {
            Self::Code { sign_in } => (Code { shop, code: &key?.code(*sign_in) }.render(), String::new()),
            Self::OrderConfirmed(about) => (OrderConfirmed { shop, about, link: &to(about) }.render(), to(about)),
            Self::HoldAboutToLapse(about) => (HoldAboutToLapse { shop, about, link: &to(about) }.render(), to(about)),
            Self::TurnIsNear(about) => (TurnIsNear { shop, about, link: &to(about) }.render(), to(about)),
            Self::Refunded(about) => (Refunded { shop, about, link: &to(about) }.render(), to(about)),
        };
        let text = text.ok()?;
        let (subject, text) = text.split_once('\n')?;
        // The shop chooses the name of a sale; a header must stay on one line.
        let subject = subject.chars().filter(|c| !c.is_control()).collect();
        Some(Written { subject, text: format!("{}\n", text.trim()), link })
    }
}

#[cfg(test)]
mod tests {
    use fairline_server::Secret;

    use super::*;

    #[test]
    fn every_letter_says_what_has_happened_and_where_to_go() {
        let shop = Shop { name: "Lamps & Co".to_owned(), url: "https://lamps.example".to_owned() };
        let key = AccountKey::new(&Secret::new("k".repeat(32))).expect("a key");
        let about = About {
            sale: "A <small>\r\nBcc: lamp".to_owned(),
            slug: "lamp".to_owned(),
            order: "0190".to_owned(),
            quantity: 2,
            amount: "98.00 EUR".to_owned(),
            until: "18:05 UTC".to_owned(),
        };
        let write = |matter: &Matter| matter.write(&shop, Some(&key)).expect("a letter");
        for (matter, subject, link) in [
            (
                Matter::OrderConfirmed(about.clone()),
                "Your order at Lamps & Co: A <small>",
                "https://lamps.example/sales/lamp",
            ),
            (Matter::HoldAboutToLapse(about.clone()), "Pay soon: A <small>", "https://lamps.example/sales/lamp"),
            (Matter::TurnIsNear(about.clone()), "Your turn is near: A <small>", "https://lamps.example/sales/lamp"),
            (Matter::Refunded(about.clone()), "Your money comes back: A <small>", "https://lamps.example/sales/lamp"),
        ] {
            let written = write(&matter);
            assert!(written.subject.starts_with(subject) && !written.subject.contains(['\r', '\n']), "{written:?}");
            assert_eq!(written.link, link);
            assert!(written.text.contains(link) && written.text.len() > 100, "{written:?}");
            let stored: Matter =
                serde_json::from_value(serde_json::to_value(&matter).expect("JSON")).expect("a matter");
            assert_eq!(stored, matter);
        }
        let sign_in = Uuid::from_u128(1);
        let code = write(&Matter::Code { sign_in });
        assert_eq!(code.subject, format!("{} is your code for Lamps & Co", key.code(sign_in)));
        assert_eq!(Matter::Code { sign_in }.write(&shop, None), None);
    }
}
