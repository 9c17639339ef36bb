//! Validation against `docs/events.asyncapi.json`, for tests.

use std::{collections::HashMap, sync::LazyLock};

use fairline_sale::SaleId;
use jsonschema::Validator;
use serde_json::{Value, json};
use strum::VariantArray as _;
use time::OffsetDateTime;

use crate::event::{Event, EventKind, take_trace};

/// The document.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../docs/events.asyncapi.json")).expect("the document is JSON")
});

static VALIDATORS: LazyLock<HashMap<EventKind, Validator>> = LazyLock::new(|| {
    let validator = |kind: EventKind| {
        let mut schema = DOCUMENT.clone();
        schema["$ref"] = json!(format!("#/components/schemas/{}", kind.as_str()));
        jsonschema::options().should_validate_formats(true).build(&schema).expect("the schema is a schema")
    };
    EventKind::VARIANTS.iter().map(|kind| (*kind, validator(*kind))).collect()
});

/// The schema violations of an event.
#[must_use]
pub fn wrong(event: &Event) -> Vec<String> {
    let json = serde_json::from_str(&event.to_json()).expect("an event is JSON");
    let errors = VALIDATORS[&event.kind].iter_errors(&json);
    errors.map(|error| format!("{}: {error} in {json}", event.kind.as_str())).collect()
}

/// A row of the outbox, which holds one or more events of a kind.
#[derive(Debug, Clone, Copy)]
pub struct StoredEvents<'a> {
    /// Their sale.
    pub sale: SaleId,
    /// The number of the last one.
    pub number: i64,
    /// Their kind.
    pub kind: &'a str,
    /// The data of each.
    pub data: &'a Value,
    /// When they happened.
    pub time: OffsetDateTime,
}

/// The schema violations of an outbox row.
#[must_use]
pub fn wrong_in_row(row: StoredEvents<'_>) -> Vec<String> {
    let StoredEvents { sale, number, kind, data, time } = row;
    let Ok(kind) = EventKind::try_from(kind) else { return vec![format!("{kind} is not a kind of event")] };
    let all = data.as_array().map(Vec::as_slice).unwrap_or_default();
    let first = number.unsigned_abs() + 1 - all.len() as u64;
    let event = |(data, number): (&Value, u64)| {
        let mut data = data.clone();
        let trace = take_trace(&mut data);
        Event { sale, number, kind, time, data, trace }
    };
    all.iter().zip(first..).map(event).flat_map(|event| wrong(&event)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_is_documented_in_every_channel_and_no_other() {
        let kinds: BTreeSet<&str> = EventKind::VARIANTS.iter().map(|kind| kind.as_str()).collect();
        let keys = |value: &'static Value| value.as_object().expect("an object").keys().map(String::as_str).collect();
        let documented: BTreeSet<&str> = keys(&DOCUMENT["components"]["messages"]);
        assert_eq!(documented, kinds);
        for channel in ["events", "webhooks"] {
            let sent: BTreeSet<&str> = keys(&DOCUMENT["channels"][channel]["messages"]);
            assert_eq!(sent, kinds, "{channel}");
        }
    }

    #[test]
    fn violations_of_the_schema_are_found() {
        let sale: SaleId = "0190a6a0-0000-7000-8000-000000000001".parse().expect("an id");
        let wrong_in = |kind: &str, data: Value| {
            let row = StoredEvents { sale, number: 2, kind, data: &data, time: OffsetDateTime::UNIX_EPOCH };
            wrong_in_row(row).len()
        };
        assert_eq!(wrong_in("FlashSaleStarted", json!([{}, {}])), 0);
        assert_eq!(wrong_in("FlashSaleStarted", json!([{ "who": "Ada" }, {}])), 1);
        assert_eq!(wrong_in("InventoryReserved", json!([{}])), 3, "three fields are missing");
        assert_eq!(wrong_in("SomethingElse", json!([{}])), 1);
    }
}
