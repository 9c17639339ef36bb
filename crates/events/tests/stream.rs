//! The stream of events against a real Redis.

use std::time::Duration;

use fairline_events::{Event, EventKind, EventStream, stream::KEPT_MAX};
use fairline_private_servers::testing::redis_url;
use fairline_sale::SaleId;
use fred::{
    clients::Client,
    interfaces::{KeysInterface as _, LuaInterface as _, StreamsInterface as _},
    types::Value,
};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

async fn stream() -> (EventStream, Client) {
    let url = tokio::task::spawn_blocking(redis_url).await.expect("a Redis");
    let redis = fairline_redis::connect(&url).await.expect("a connection");
    let client = redis.primary_of("").expect("a client");
    (EventStream::new(redis), client)
}

fn events(sale: SaleId, numbers: std::ops::RangeInclusive<u64>) -> Vec<Event> {
    let data = json!({ "order_id": Uuid::nil() });
    let event = |number| Event {
        sale,
        number,
        kind: EventKind::InventoryReserved,
        time: OffsetDateTime::UNIX_EPOCH,
        data: data.clone(),
        trace: None,
    };
    numbers.map(event).collect()
}

fn numbers(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.number).collect()
}

async fn read_all(stream: &EventStream, sale: SaleId, consumer: &str) -> Vec<u64> {
    let read = stream.next(sale, "group", consumer, 100).await.expect("a response");
    stream.acknowledge(sale, "group", &numbers(&read)).await.expect("acknowledged");
    numbers(&read)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_appended_twice_are_there_once_and_in_order() {
    let (stream, _) = stream().await;
    let sale = SaleId(Uuid::new_v4());
    assert_eq!(read_all(&stream, sale, "a").await, [0; 0], "a sale without events");
    assert_eq!(stream.append(true, &events(sale, 1..=3)).await, Ok(3));
    assert_eq!(stream.append(true, &events(sale, 1..=2)).await, Ok(3), "late");
    assert_eq!(stream.append(false, &events(sale, 2..=5)).await, Ok(5), "overlapping");
    // Two relays that append the same events at the same time.
    let (six, seven) = (events(sale, 6..=40), events(sale, 6..=60));
    let both = tokio::join!(stream.append(false, &six), stream.append(false, &seven));
    assert!(both.0.is_ok_and(|top| top >= 40) && both.1 == Ok(60));
    assert_eq!(read_all(&stream, sale, "a").await, (1..=60).collect::<Vec<_>>());
    assert_eq!(read_all(&stream, sale, "a").await, [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn append_rejects_an_argument_that_it_does_not_know() {
    let (_, client) = stream().await;
    let key = format!("fairline:{{{}}}:events", Uuid::new_v4());
    let append = client.eval::<Value, _, _, _>(include_str!("../src/append.lua"), key, vec!["last", "1"]);
    let rejected = append.await.expect_err("not a name");
    assert!(rejected.details().contains("no argument is named last"), "{rejected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_redis_lost_are_appended_again() {
    let (stream, client) = stream().await;
    let sale = SaleId(Uuid::new_v4());
    assert_eq!(stream.append(true, &events(sale, 1..=3)).await, Ok(3));
    assert_eq!(read_all(&stream, sale, "a").await, [1, 2, 3]);
    let _: u64 = client.del(format!("fairline:{{{sale}}}:events")).await.expect("lost");
    assert_eq!(stream.append(false, &events(sale, 4..=5)).await, Ok(0), "the first three are missing");
    assert_eq!(stream.append(true, &events(sale, 2..=5)).await, Ok(5), "the first is not kept any more");
    assert_eq!(read_all(&stream, sale, "a").await, [2, 3, 4, 5], "to a group that Redis has lost, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_events_of_a_consumer_go_to_another() {
    let (stream, client) = stream().await;
    let sale = SaleId(Uuid::new_v4());
    stream.append(true, &events(sale, 1..=4)).await.expect("appended");
    let first = stream.next(sale, "group", "dies", 2).await.expect("a response");
    assert_eq!(numbers(&first), [1, 2]);
    assert_eq!(numbers(&stream.next(sale, "group", "lives", 1).await.expect("a response")), [3], "shared, not doubled");
    // Time passes, for the one that died.
    let key = format!("fairline:{{{sale}}}:events");
    let _: Value = client
        .xclaim(key, "group", "dies", 0, vec!["1-0", "2-0"], Some(100_000), None, None, true, false)
        .await
        .expect("claimed");
    assert_eq!(read_all(&stream, sale, "lives").await, [1, 2]);
    assert_eq!(read_all(&stream, sale, "lives").await, [4]);
    // Another group receives all events separately.
    let other = stream.next(sale, "others", "a", 10).await.expect("a response");
    assert_eq!(numbers(&other), [1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_an_unknown_kind_is_skipped() {
    let (stream, client) = stream().await;
    let sale = SaleId(Uuid::new_v4());
    let key = format!("fairline:{{{sale}}}:events");
    stream.append(true, &events(sale, 1..=1)).await.expect("appended");
    let _: String =
        client.xadd(&key, false, None::<()>, "2-0", vec![("event", r#"{"type":"Newer"}"#)]).await.expect("added");
    stream.append(false, &events(sale, 3..=3)).await.expect("appended");
    assert_eq!(read_all(&stream, sale, "a").await, [1, 3]);
    let pending: Vec<Value> = client.xpending(key, "group", ("-", "+", 10_u64)).await.expect("a response");
    assert!(pending.is_empty(), "{pending:?}");
}

/// Appends events in calls of a thousand, until the stream takes no more. Returns the number of the
/// last that it took.
async fn fill(stream: &EventStream, sale: SaleId, from: u64, to: u64) -> u64 {
    let mut there = from - 1;
    while there < to {
        let answered =
            stream.append(there == 0, &events(sale, there + 1..=(there + 1000).min(to))).await.expect("appended");
        if answered == there {
            break;
        }
        there = answered;
    }
    there
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_keeps_what_a_group_has_not_read() {
    let (stream, _) = stream().await;
    let (sale, most) = (SaleId(Uuid::new_v4()), u64::from(KEPT_MAX));
    let patient = stream.clone().waiting_for(vec!["group"]);
    assert_eq!(fill(&patient, sale, 1, most + 5000).await, most, "no group has read");
    // Read is not taken in.
    let read = stream.next(sale, "group", "a", 2000).await.expect("a response");
    assert_eq!((read[0].number, read.len()), (1, 2000));
    assert_eq!(patient.append(false, &events(sale, most + 1..=most + 1)).await, Ok(most));
    stream.acknowledge(sale, "group", &numbers(&read[1..])).await.expect("acknowledged");
    assert_eq!(patient.append(false, &events(sale, most + 1..=most + 1)).await, Ok(most), "the first is missing");
    stream.acknowledge(sale, "group", &numbers(&read[..1])).await.expect("acknowledged");
    assert_eq!(fill(&patient, sale, most + 1, most + 5000).await, most + 2000, "as far as it has got");
    // Events that are appended again while they wait are neither lost nor doubled.
    assert_eq!(patient.append(false, &events(sale, 2500..=2600)).await, Ok(most + 2000));
    let mut next = 2001;
    while next <= most + 2000 {
        let read = stream.next(sale, "group", "a", 10_000).await.expect("a response");
        assert_eq!(read.first().map(|event| event.number), Some(next), "none is missing");
        stream.acknowledge(sale, "group", &numbers(&read)).await.expect("acknowledged");
        next += read.len() as u64;
    }
    assert_eq!(fill(&patient, sale, most + 2001, most + 5000).await, most + 5000);
    // Without groups to wait for, the newest are kept.
    assert_eq!(fill(&stream, sale, most + 5001, most * 2 + 6000).await, most * 2 + 6000);
    assert!(stream.next(sale, "group", "a", 1).await.expect("a response")[0].number > most + 5001);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_consumers_are_deleted_unless_they_have_pending_events() {
    let (stream, client) = stream().await;
    let sale = SaleId(Uuid::new_v4());
    let forget = async |silent_for| stream.forget_consumers(sale, "group", silent_for).await;
    assert_eq!(forget(Duration::ZERO).await, Ok(0), "no stream");
    assert_eq!(stream.append(true, &events(sale, 1..=3)).await, Ok(3));
    assert_eq!(read_all(&stream, sale, "done").await, [1, 2, 3]);
    assert_eq!(stream.append(false, &events(sale, 4..=5)).await, Ok(5));
    assert_eq!(stream.next(sale, "group", "owes", 100).await.map(|owed| owed.len()), Ok(2));
    assert_eq!(forget(Duration::from_secs(3600)).await, Ok(0), "both have just read");
    assert_eq!(forget(Duration::ZERO).await, Ok(1));
    let key = format!("fairline:{{{sale}}}:events");
    let left: Value = client.xinfo_consumers(key, "group").await.expect("a response");
    assert!(format!("{left:?}").contains("owes") && !format!("{left:?}").contains("done"), "{left:?}");
}
