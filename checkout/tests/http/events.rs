//! Published events: written in the transaction of their cause, in commit order, once.

use std::collections::BTreeSet;

use fairline_events::{Event, EventKind, EventStream, schema};
use fairline_private_servers::testing::Servers;
use fairline_sale::SaleId;
use fairline_server::Secret;
use serde_json::json;
use tokio::task::{JoinSet, spawn_blocking};
use uuid::Uuid;

use crate::test_checkout::{TestCheckout, eventually};

/// An external consumer of all events.
struct Listener(EventStream);

impl Listener {
    async fn of(test: &TestCheckout) -> Self {
        Self(EventStream::new(fairline_redis::connect(test.settings.redis_url.expose()).await.expect("a connection")))
    }

    /// Reads exactly `count` events of a sale.
    async fn receives(&self, sale: SaleId, count: usize) -> Vec<Event> {
        let mut received: Vec<Event> = Vec::new();
        // A new group reads from the beginning.
        let group = Uuid::new_v4().to_string();
        loop {
            let more = eventually(|| async {
                let more = self.0.next(sale, &group, "listener", 1000).await.expect("a response");
                if more.is_empty() { Err(received.clone()) } else { Ok(more) }
            })
            .await;
            received.extend(more);
            assert!(received.len() <= count, "{received:?}");
            if received.len() == count {
                let numbers: Vec<u64> = received.iter().map(|event| event.number).collect();
                assert_eq!(numbers, (1..=count as u64).collect::<Vec<_>>());
                for event in &received {
                    let wrong = schema::wrong(event);
                    assert!(wrong.is_empty(), "{wrong:?}");
                }
                return received;
            }
        }
    }

    async fn receives_kinds(&self, sale: SaleId, kinds: &[EventKind]) -> Vec<Event> {
        let received = self.receives(sale, kinds.len()).await;
        assert_eq!(received.iter().map(|event| event.kind).collect::<Vec<_>>(), kinds, "{received:?}");
        received
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_is_published_from_the_reservation_to_the_last_unit() {
    let test = TestCheckout::open().await;
    let listener = Listener::of(&test).await;
    let sale = test.sale(2).await;
    let shopper = test.admit(sale).await;
    let order = test.purchase(&shopper, 1).await.body["id"].clone();
    let id: Uuid = order.as_str().and_then(|id| id.parse().ok()).expect("an id");
    assert_eq!(test.pay(&shopper, id, "tok_declined").await.status, 402);
    assert_eq!(test.pay(&shopper, id, "tok_visa").await.status, 200);
    let (other, last) = test.hold(sale).await;
    assert_eq!(test.pay(&other, last, "tok_visa").await.status, 200);

    use EventKind::{FlashSaleSoldOut, InventoryReserved, PurchaseCompleted};
    let kinds = [InventoryReserved, PurchaseCompleted, InventoryReserved, PurchaseCompleted, FlashSaleSoldOut];
    let received = listener.receives_kinds(sale, &kinds).await;
    assert_eq!((&received[0].data["order_id"], &received[0].data["quantity"]), (&order, &json!(1)));
    assert!(received[0].data["hold_expires_at"].is_string());
    assert_eq!(received[1].data["order_id"], order);
    assert_eq!((&received[1].data["amount_minor"], &received[1].data["currency"]), (&json!(1234), &json!("EUR")));
    let texts: String = received.iter().map(Event::to_json).collect();
    assert!(!texts.contains(&shopper.claims.sub) && !texts.contains(&shopper.token), "no person is named");
}

#[tokio::test(flavor = "multi_thread")]
async fn released_units_are_published_with_the_reason() {
    let test = TestCheckout::open().await;
    let listener = Listener::of(&test).await;
    let sale = test.sale(1).await;
    let (_, order) = test.hold(sale).await;
    test.change("UPDATE holds SET expires_at = now() WHERE id = $1", order).await;
    let received = listener.receives_kinds(sale, &[EventKind::InventoryReserved, EventKind::InventoryReleased]).await;
    assert_eq!((&received[1].data["order_id"], &received[1].data["reason"]), (&json!(order), &json!("expired")));

    let sale = test.sale(1).await;
    test.change("UPDATE sales SET mode = 'yield' WHERE id = $1", sale.0).await;
    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_declined").await.status, 402);
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.status, 200);
    use EventKind::{FlashSaleSoldOut, InventoryReleased, InventoryReserved, PurchaseCompleted};
    let kinds = [InventoryReserved, InventoryReleased, InventoryReserved, PurchaseCompleted, FlashSaleSoldOut];
    let received = listener.receives_kinds(sale, &kinds).await;
    assert_eq!(received[1].data["reason"], json!("not_paid"), "in yield mode a unit is held for a payment only");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_relays_publish_each_event_once() {
    let test = TestCheckout::open().await;
    let second = test.one_more_checkout().await;
    let listener = Listener::of(&test).await;
    let sales = [test.sale(60).await, test.sale(60).await];
    let mut crowd = JoinSet::new();
    for at in 0..120 {
        let shopper = test.admit(sales[at % 2]).await;
        let (path, token) = (format!("/api/flash-sales/{}/purchase", shopper.claims.sale), shopper.token.clone());
        let checkout = if at % 3 == 0 { second } else { test.checkout };
        crowd.spawn(async move {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", bearer.as_str()), ("cookie", shopper.cookie.as_str())];
            let answer = crate::test_checkout::call(checkout, "POST", &path, &headers, r#"{"quantity":1}"#).await;
            assert_eq!(answer.expect("a response").status, 201);
        });
    }
    crowd.join_all().await;
    for sale in sales {
        let received = listener.receives(sale, 60).await;
        let orders: BTreeSet<String> = received.iter().map(|event| event.data["order_id"].to_string()).collect();
        assert_eq!(orders.len(), 60);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_shoppers_buy_and_events_wait_and_an_emptied_redis_is_refilled() {
    let mut servers = spawn_blocking(|| Servers::start().expect("servers")).await.expect("no panic");
    let url = servers.postgres.create_database("shop").expect("a database");
    let redis_url = Secret::new(servers.redis.url());
    let test = TestCheckout::open_on(&url, |settings| settings.redis_url = redis_url).await;
    let sale = test.sale(3).await;
    test.hold(sale).await;
    Listener::of(&test).await.receives_kinds(sale, &[EventKind::InventoryReserved]).await;

    servers = spawn_blocking(move || {
        servers.redis.kill().expect("killed");
        servers
    })
    .await
    .expect("no panic");
    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.status, 200);

    let _servers = spawn_blocking(move || {
        servers.redis.restart_empty().expect("restarted");
        servers
    })
    .await
    .expect("no panic");
    let listener = Listener::of(&test).await;
    listener
        .receives_kinds(
            sale,
            &[EventKind::InventoryReserved, EventKind::InventoryReserved, EventKind::PurchaseCompleted],
        )
        .await;
}
