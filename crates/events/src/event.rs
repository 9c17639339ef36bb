//! An event, and how it is written: as CloudEvents 1.0 JSON, with the `sequence` extension. `docs/events.asyncapi.json` is its schema.

use fairline_sale::SaleId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A sale was made.
    FlashSaleScheduled,
    /// Its stock, its rate or its message is another now.
    FlashSaleChanged,
    /// A sale opened.
    FlashSaleStarted,
    /// Nobody is let in for now.
    FlashSalePaused,
    /// People are let in again.
    FlashSaleResumed,
    /// Every unit is paid for.
    FlashSaleSoldOut,
    /// A sale was closed, or its window has ended.
    FlashSaleEnded,
    /// Units are held for an order.
    InventoryReserved,
    /// Units that were held are free again.
    InventoryReleased,
    /// An order was paid for.
    PurchaseCompleted,
    /// A payment that came too late went back.
    PaymentRefunded,
    /// A hold of an account has little time left.
    HoldAboutToLapse,
    /// An account that asked for it will soon be let in.
    TurnIsNear,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::FlashSaleScheduled,
        Self::FlashSaleChanged,
        Self::FlashSaleStarted,
        Self::FlashSalePaused,
        Self::FlashSaleResumed,
        Self::FlashSaleSoldOut,
        Self::FlashSaleEnded,
        Self::InventoryReserved,
        Self::InventoryReleased,
        Self::PurchaseCompleted,
        Self::PaymentRefunded,
        Self::HoldAboutToLapse,
        Self::TurnIsNear,
    ];

    /// The word for it, in the database, on the wire and in the settings of webhooks.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::FlashSaleScheduled => "FlashSaleScheduled",
            Self::FlashSaleChanged => "FlashSaleChanged",
            Self::FlashSaleStarted => "FlashSaleStarted",
            Self::FlashSalePaused => "FlashSalePaused",
            Self::FlashSaleResumed => "FlashSaleResumed",
            Self::FlashSaleSoldOut => "FlashSaleSoldOut",
            Self::FlashSaleEnded => "FlashSaleEnded",
            Self::InventoryReserved => "InventoryReserved",
            Self::InventoryReleased => "InventoryReleased",
            Self::PurchaseCompleted => "PurchaseCompleted",
            Self::PaymentRefunded => "PaymentRefunded",
            Self::HoldAboutToLapse => "HoldAboutToLapse",
            Self::TurnIsNear => "TurnIsNear",
        }
    }

    /// The kind that a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// An event of a sale.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The sale.
    pub sale: SaleId,
    /// Its number among those of the sale, from 1.
    pub number: u64,
    /// What happened.
    pub kind: Kind,
    /// When it was committed, about.
    pub time: OffsetDateTime,
    /// To what, and how: the schema says which fields each kind has. Nothing in it says who somebody is.
    pub data: Value,
}

impl Event {
    /// Its id, which no other event of any sale has: whoever gets it twice knows by it.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.sale, self.number)
    }

    /// As CloudEvents JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let order = self.data.get("order_id").cloned();
        let mut event = json!({
            "specversion": "1.0",
            "id": self.id(),
            "source": format!("/flash-sales/{}", self.sale),
            "type": self.kind.word(),
            "time": self.time.format(&Rfc3339).unwrap_or_default(),
            "datacontenttype": "application/json",
            // Padded, since the extension compares it as text.
            "sequence": format!("{:012}", self.number),
            "data": self.data,
        });
        if let Some(order) = order {
            event["subject"] = order;
        }
        event.to_string()
    }

    /// Reads what [`Self::to_json`] wrote.
    #[must_use]
    pub fn from_json(json: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Envelope {
            id: String,
            #[serde(rename = "type")]
            kind: Kind,
            #[serde(with = "time::serde::rfc3339")]
            time: OffsetDateTime,
            data: Value,
        }
        let Envelope { id, kind, time, data } = serde_json::from_str(json).ok()?;
        let (sale, number) = id.split_once('/')?;
        Some(Self { sale: sale.parse().ok()?, number: number.parse().ok()?, kind, time, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_cloud_event_and_comes_back() {
        let event = Event {
            sale: "0190a6a0-0000-7000-8000-000000000001".parse().expect("an id"),
            number: 42,
            kind: Kind::PurchaseCompleted,
            time: OffsetDateTime::UNIX_EPOCH,
            data: json!({ "order_id": "0190a6a0-0000-7000-8000-000000000002", "quantity": 2 }),
        };
        let json: Value = serde_json::from_str(&event.to_json()).expect("JSON");
        assert_eq!(json["specversion"], "1.0");
        assert_eq!(json["id"], "0190a6a0-0000-7000-8000-000000000001/42");
        assert_eq!(json["source"], "/flash-sales/0190a6a0-0000-7000-8000-000000000001");
        assert_eq!((&json["type"], &json["sequence"]), (&json!("PurchaseCompleted"), &json!("000000000042")));
        assert_eq!((&json["time"], &json["subject"]), (&json!("1970-01-01T00:00:00Z"), &event.data["order_id"]));
        assert_eq!(Event::from_json(&event.to_json()), Some(event));
        assert_eq!(Event::from_json("{}"), None);
    }

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_word(kind.word()), Some(kind));
            assert_eq!(serde_json::to_value(kind).expect("a word"), kind.word());
        }
        assert_eq!(Kind::from_word("SomethingElse"), None);
    }
}
