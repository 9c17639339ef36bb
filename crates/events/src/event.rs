//! An event, and how it is written: as CloudEvents 1.0 JSON, with the extensions `sequence` and `traceparent`.
//! `docs/events.asyncapi.json` is its schema.

use fairline_sale::SaleId;
use fairline_trace::{TraceContext, context::TRACEPARENT};
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
    /// Money of a payment went back to its shopper: all or a part.
    PaymentRefunded,
    /// A refund was not accepted by the bank.
    RefundFailed,
    /// A dispute of a payment began, changed or ended.
    PaymentDisputed,
    /// A hold of an account has little time left.
    HoldAboutToLapse,
    /// An account that asked for it will soon be let in.
    TurnIsNear,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 15] = [
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
        Self::RefundFailed,
        Self::PaymentDisputed,
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
            Self::RefundFailed => "RefundFailed",
            Self::PaymentDisputed => "PaymentDisputed",
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
    /// The trace of its cause, where that has one.
    pub trace: Option<TraceContext>,
}

/// Notes the trace of an event's cause in its data: so it stands in an outbox, whose rows may have many events of many causes.
pub fn note_trace(data: &mut Value, trace: Option<TraceContext>) {
    if let (Some(trace), Value::Object(fields)) = (trace, data) {
        fields.insert(TRACEPARENT.to_owned(), trace.to_string().into());
    }
}

/// Takes out what [`note_trace`] noted.
pub fn take_trace(data: &mut Value) -> Option<TraceContext> {
    data.as_object_mut()?.remove(TRACEPARENT)?.as_str()?.parse().ok()
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
        if let Some(trace) = self.trace {
            event[TRACEPARENT] = trace.to_string().into();
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
            traceparent: Option<String>,
        }
        let Envelope { id, kind, time, data, traceparent } = serde_json::from_str(json).ok()?;
        let (sale, number) = id.split_once('/')?;
        let trace = traceparent.and_then(|trace| trace.parse().ok());
        Some(Self { sale: sale.parse().ok()?, number: number.parse().ok()?, kind, time, data, trace })
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
            trace: Some(TraceContext::root(7, 8)),
        };
        let json: Value = serde_json::from_str(&event.to_json()).expect("JSON");
        assert_eq!(json["specversion"], "1.0");
        assert_eq!(json["id"], "0190a6a0-0000-7000-8000-000000000001/42");
        assert_eq!(json["source"], "/flash-sales/0190a6a0-0000-7000-8000-000000000001");
        assert_eq!((&json["type"], &json["sequence"]), (&json!("PurchaseCompleted"), &json!("000000000042")));
        assert_eq!((&json["time"], &json["subject"]), (&json!("1970-01-01T00:00:00Z"), &event.data["order_id"]));
        assert_eq!(json["traceparent"], "00-00000000000000000000000000000007-0000000000000008-01");
        assert_eq!(Event::from_json(&event.to_json()), Some(event));
        assert_eq!(Event::from_json("{}"), None);
    }

    #[test]
    fn an_outbox_keeps_the_trace_with_the_data() {
        let trace = Some(TraceContext::root(7, 8));
        let mut data = json!({ "quantity": 2 });
        note_trace(&mut data, trace);
        assert_eq!((take_trace(&mut data), &data), (trace, &json!({ "quantity": 2 })));
        note_trace(&mut data, None);
        assert_eq!(take_trace(&mut data), None);
        // As SQL writes it where there is none.
        let mut data = json!({ "quantity": 2, "traceparent": null });
        assert_eq!((take_trace(&mut data), data), (None, json!({ "quantity": 2 })));
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
