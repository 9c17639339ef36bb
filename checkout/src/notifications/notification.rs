//! What people are told by e-mail or message, and in which words. `templates/letters` has the words: the first line of each is its
//! subject, and all of a message to a phone.

use askama::Template;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::accounts::account::AccountKey;

/// What a letter is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "matter", rename_all = "snake_case")]
pub(crate) enum Matter {
    /// Somebody signs in. The code itself is made when the letter is written.
    Code { sign_in: Uuid },
    /// An order was paid for.
    OrderConfirmed(About),
    /// A hold has little time left.
    HoldAboutToLapse(About),
    /// Somebody will soon be let in.
    TurnIsNear(About),
    /// A payment that came too late went back.
    Refunded(About),
}

/// Of which sale, and what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    /// What the sale is called.
    pub(crate) sale: String,
    /// Its name in addresses.
    pub(crate) slug: String,
    /// Empty where it is about no order.
    #[serde(default)]
    pub(crate) order: String,
    #[serde(default)]
    pub(crate) quantity: i32,
    /// As people write it.
    #[serde(default)]
    pub(crate) amount: String,
    /// As people write it.
    #[serde(default)]
    pub(crate) until: String,
}

/// Who writes.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    pub(crate) name: String,
    /// Where its pages are, without a slash at the end; empty where letters have no links.
    pub(crate) url: String,
}

/// A letter, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// One line.
    pub(crate) subject: String,
    pub(crate) text: String,
    /// Where it leads, if anywhere.
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
    /// Puts it into words.
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
        // What a sale is called is the shop's to say; a header has one line.
        let subject = subject.chars().filter(|c| !c.is_control()).collect();
        Some(Written { subject, text: format!("{}\n", text.trim()), link })
    }
}

#[cfg(test)]
mod tests {
    use fairline_service::Secret;

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
