//! Events and their wire format: CloudEvents 1.0 JSON with the extensions `sequence` and
//! `traceparent`. `docs/events.asyncapi.json` is the schema.

use fairline_sale::SaleId;
use fairline_telemetry::{TraceContext, context::TRACEPARENT};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strum::{EnumString, IntoStaticStr, VariantArray};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
pub enum EventKind {
    /// A sale was created.
    FlashSaleScheduled,
    /// A sale's stock, rate or message changed.
    FlashSaleChanged,
    /// A sale opened.
    FlashSaleStarted,
    /// Admissions paused.
    FlashSalePaused,
    /// Admissions resumed.
    FlashSaleResumed,
    /// Every unit was paid for.
    FlashSaleSoldOut,
    /// A sale was closed, or its window ended.
    FlashSaleEnded,
    /// Units were reserved for an order.
    InventoryReserved,
    /// Reserved units became free again.
    InventoryReleased,
    /// An order was paid for.
    PurchaseCompleted,
    /// A payment was refunded, in full or in part.
    PaymentRefunded,
    /// The bank rejected a refund.
    RefundFailed,
    /// A dispute of a payment was opened, changed or closed.
    PaymentDisputed,
    /// An account's hold is about to expire.
    HoldAboutToExpire,
    /// The turn of an account that requested a notification is near.
    TurnIsNear,
}

impl EventKind {
    /// The kind's name in the database, on the wire and in webhook settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// An event of a sale.
///
/// ```
/// use fairline_events::{Event, EventKind};
/// use serde_json::json;
/// use time::OffsetDateTime;
///
/// let event = Event {
///     sale: "3c6f7a52-0f5e-4c0e-9a39-6b8d3f5f6f10".parse().expect("a UUID"),
///     number: 7,
///     kind: EventKind::FlashSaleScheduled,
///     time: OffsetDateTime::UNIX_EPOCH,
///     data: json!({}),
///     trace: None,
/// };
/// assert_eq!(Event::from_json(&event.to_json()), Some(event));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The sale.
    pub sale: SaleId,
    /// The sequence number within the sale, from 1.
    pub number: u64,
    /// What happened.
    pub kind: EventKind,
    /// The approximate commit time.
    pub time: OffsetDateTime,
    /// The fields that the schema defines for each kind. They identify no person.
    pub data: Value,
    /// The trace of the request that caused it, if any.
    pub trace: Option<TraceContext>,
}

/// Stores the trace of an event's cause in its data: a row of the outbox may hold events of several
/// causes.
pub fn attach_trace(data: &mut Value, trace: Option<TraceContext>) {
    if let (Some(trace), Value::Object(fields)) = (trace, data) {
        fields.insert(TRACEPARENT.to_owned(), trace.to_string().into());
    }
}

/// Removes and returns the trace that [`attach_trace`] stored.
pub fn take_trace(data: &mut Value) -> Option<TraceContext> {
    data.as_object_mut()?.remove(TRACEPARENT)?.as_str()?.parse().ok()
}

impl Event {
    /// The globally unique id, by which consumers detect duplicates.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.sale, self.number)
    }

    /// Serialises the event as CloudEvents JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let order = self.data.get("order_id").cloned();
        let mut event = json!({
            "specversion": "1.0",
            "id": self.id(),
            "source": format!("/flash-sales/{}", self.sale),
            "type": self.kind.as_str(),
            "time": self.time.format(&Rfc3339).unwrap_or_default(),
            "datacontenttype": "application/json",
            // Zero-padded, since the extension is compared as text.
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

    /// Parses the output of [`Self::to_json`].
    #[must_use]
    pub fn from_json(json: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Envelope {
            id: String,
            #[serde(rename = "type")]
            kind: EventKind,
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
    fn an_event_is_a_cloud_event_and_round_trips() {
        let event = Event {
            sale: "0190a6a0-0000-7000-8000-000000000001".parse().expect("an id"),
            number: 42,
            kind: EventKind::PurchaseCompleted,
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
        attach_trace(&mut data, trace);
        assert_eq!((take_trace(&mut data), &data), (trace, &json!({ "quantity": 2 })));
        attach_trace(&mut data, None);
        assert_eq!(take_trace(&mut data), None);
        // SQL writes null where there is no trace.
        let mut data = json!({ "quantity": 2, "traceparent": null });
        assert_eq!((take_trace(&mut data), data), (None, json!({ "quantity": 2 })));
    }

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        for kind in EventKind::VARIANTS {
            assert_eq!(EventKind::try_from(kind.as_str()), Ok(*kind));
            assert_eq!(serde_json::to_value(kind).expect("a word"), kind.as_str());
        }
        assert!(EventKind::try_from("SomethingElse").is_err());
    }
}
