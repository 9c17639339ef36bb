//! Rejected requests, limits and full nodes.

use axum::http::StatusCode;
use fairline_line::store::JoinRequest;
use fairline_private_servers::testing::OwnServer;
use fairline_sale::{SaleId, VisitorId};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::{TestWaitingRoom, ticket_cookie};

#[tokio::test]
async fn invalid_requests_are_rejected_with_a_problem() {
    let room = TestWaitingRoom::open().await;
    let unknown = "00000000-0000-7000-8000-000000000000";
    for (method, path, headers, status, slug) in [
        ("GET", "/api/flash-sales/nonsense/status", &[][..], 404, "sale-not-found"),
        ("GET", &format!("/api/flash-sales/{unknown}/status"), &[], 404, "sale-not-found"),
        ("GET", &format!("/api/flash-sales/{unknown}/line"), &[], 404, "sale-not-found"),
        ("GET", "/api/flash-sales/{id}/line?join=false", &[], 404, "missing-ticket"),
        (
            "GET",
            "/api/flash-sales/{id}/line?join=false",
            &[("cookie", "fairline_ticket_x=y; a")],
            404,
            "missing-ticket",
        ),
        ("GET", "/api/flash-sales/{id}/line", &[("origin", "https://evil.example")], 403, "origin-not-allowed"),
        ("GET", "/api/flash-sales/{id}/line", &[("upgrade", "websocket")], 400, "invalid-handshake"),
        ("POST", "/api/flash-sales/{id}/line/claim", &[], 404, "missing-ticket"),
        ("POST", "/api/flash-sales/{id}/line/claim", &[("origin", "null")], 403, "origin-not-allowed"),
        ("DELETE", "/api/flash-sales/{id}/line", &[], 404, "missing-ticket"),
    ] {
        let answer = room.request(method, path, headers).await;
        assert_eq!((answer.status.as_u16(), answer.slug()), (status, slug), "{method} {path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let document = room.get("/openapi/waiting-room.json", &[]).await.body;
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let paths = document["paths"].as_object().expect("paths");
    let operations: usize = paths.values().filter_map(|path| path.as_object()).map(|path| path.len()).sum();
    // With health, metrics and problem types.
    assert_eq!((paths.len(), operations), (8, 9), "{paths:?}");
    let foreign = room.connect("", &[("origin", "https://evil.example")]).await.expect_err("rejected");
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    let own = format!("http://{}", room.address);
    room.connect("", &[("origin", &own)]).await.expect("our own page");
    assert_eq!(room.get("/sales/no-such-sale", &[]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_ticket_of_a_sale_that_the_node_does_not_know_is_retried() {
    let room = TestWaitingRoom::open().await;
    // As at a node that has started while Redis has no line of the sale.
    let lost = SaleId(uuid::Uuid::new_v4());
    let cookie = ticket_cookie(lost);
    for path in [format!("/api/flash-sales/{lost}/line"), format!("/api/flash-sales/{lost}/status")] {
        let answer = room.get(&path, &[("cookie", &cookie)]).await;
        assert_eq!((answer.status, answer.slug()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"), "{path}");
        assert_eq!(answer.header("retry-after"), "1");
        let forged = cookie.replace('=', "=x");
        assert_eq!(room.get(&path, &[("cookie", &forged)]).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_socket_with_invalid_messages_is_closed() {
    let room = TestWaitingRoom::open().await;
    for babble in ["{\"type\":\"buy\"}".to_owned(), "nonsense".to_owned(), "x".repeat(1025)] {
        let mut shopper = room.join().await;
        shopper.send_text(babble).await;
        assert_eq!(shopper.closed().await, Some(CloseCode::Policy));
    }
}

#[tokio::test]
async fn new_tickets_are_limited_by_address_and_resumed_places_are_not() {
    let room = TestWaitingRoom::open_with(|settings| {
        settings.join_rate_per_s = 0.01;
        settings.join_burst = 2;
    })
    .await;
    let first = room.join().await;
    let _second = room.join().await;
    let rejected = room.connect("", &[]).await.expect_err("too many");
    assert_eq!((rejected.status, rejected.slug()), (StatusCode::TOO_MANY_REQUESTS, "too-many-requests"));
    assert!(rejected.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 10));
    room.resume(&first.cookie).await;
    let forwarded = room.connect("", &[("x-forwarded-for", "192.0.2.1")]).await.expect_err("no proxy is trusted");
    assert_eq!(forwarded.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_full_node_rejects_sockets_and_no_place_is_lost() {
    let room = TestWaitingRoom::open_with(|settings| settings.sockets_max = 1).await;
    let shopper = room.join().await;
    let rejected = room.connect("", &[("cookie", &shopper.cookie)]).await.expect_err("full");
    assert_eq!(rejected.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(rejected.header("retry-after").parse::<u64>().is_ok_and(|seconds| (2..=10).contains(&seconds)));
    let cookie = shopper.cookie.clone();
    drop(shopper);
    room.until("the socket to be free", async || room.connect("", &[("cookie", &cookie)]).await.is_ok()).await;
}

#[tokio::test]
async fn a_join_without_a_granted_ordinal_is_rejected_after_one_call() {
    let redis = OwnServer::redis().expect("a Redis of its own");
    let room = TestWaitingRoom::open_at(&redis.server.url(), |_| {}).await;
    let thousand = [JoinRequest { visitor: VisitorId([1; 16]), account: None }; 1000];
    for batch in 0..100_u64 {
        room.store.join(room.card.id, batch.to_be_bytes(), &thousand).await.expect("joined");
    }
    let rejected = room.connect("", &[]).await.expect_err("all ordinals are given");
    assert_eq!(rejected.status, StatusCode::SERVICE_UNAVAILABLE, "{}", rejected.text);
    assert_eq!(room.errors("NOORDINAL").await, 1, "a retry would be as useless");
}
