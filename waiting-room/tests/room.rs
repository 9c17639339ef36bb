//! The waiting room through its outermost door, over a real Redis. The part of the controller is played by publications.

mod house;

use std::time::Duration;

use axum::http::StatusCode;
use fairline_line::change::Turn;
use fairline_private_servers::testing;
use fairline_sale::Status;
use house::{House, live};
use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

#[tokio::test]
async fn a_shopper_joins_waits_and_hears_of_the_turn() {
    let mut house = House::open().await;
    let mut first = house.join().await;
    assert_eq!(first.hear("sale").await["sale"]["slug"], json!(house.card.slug));
    let place = first.hear("place").await;
    assert_eq!((&place["ordinal"], &place["place"]), (&json!(1), &json!(0)));
    let mut second = house.join().await;
    let place = second.hear("place").await;
    assert_eq!((&place["ordinal"], &place["place"], &place["behind"]), (&json!(2), &json!(1), &json!(0)));

    house.admit(1).await;
    let turn = first.hear("turn").await;
    assert_eq!(turn["token"], json!("token.of.1"));
    assert_eq!(second.hear("place").await["place"], json!(0));

    first.say(json!({ "type": "claim" })).await;
    house.wait_for_claim(1).await;
    house.publish(&[(1, Turn::Bought)]).await;
    assert_eq!(first.hear("over").await["outcome"], json!("bought"));
    assert_eq!(first.closed().await, Some(CloseCode::Normal));
}

#[tokio::test]
async fn a_reload_a_second_tab_and_a_return_keep_the_place() {
    let house = House::open().await;
    let other = house.join().await;
    let mut tab = house.join().await;
    assert_eq!(tab.hear("place").await["ordinal"], json!(2));
    let mut second_tab = house.resume(&tab.cookie).await;
    assert_eq!(second_tab.hear("place").await["ordinal"], json!(2));
    let cookie = tab.cookie.clone();
    drop((tab, second_tab));
    let mut back = house.resume(&cookie).await;
    let place = back.hear("place").await;
    assert_eq!((&place["ordinal"], &place["place"]), (&json!(2), &json!(1)));
    drop(other);
}

#[tokio::test]
async fn who_leaves_shortens_the_wait_of_all_behind_in_every_tab() {
    let house = House::open().await;
    let mut first = house.join().await;
    let mut first_again = house.resume(&first.cookie).await;
    let mut second = house.join().await;
    assert_eq!(second.hear("place").await["place"], json!(1));
    first.say(json!({ "type": "leave" })).await;
    assert_eq!(first.hear("over").await["outcome"], json!("left"));
    assert_eq!(first.closed().await, Some(CloseCode::Normal));
    assert_eq!(first_again.hear("over").await["outcome"], json!("left"));
    assert_eq!(second.hear("place").await["place"], json!(0));

    // The ticket is used up; a new one starts at the end.
    let mut gone = house.resume(&first.cookie).await;
    assert_eq!(gone.hear("over").await["outcome"], json!("left"));
    let mut anew = house.connect("?rejoin=true", &[("cookie", &first.cookie)]).await.expect("accepted");
    assert_eq!(anew.hear("place").await["ordinal"], json!(3));
}

#[tokio::test]
async fn a_tab_on_another_node_contradicts_a_line_that_believes_its_shopper_gone() {
    let house = House::open().await;
    let other_node = house.another_node().await;
    let tab = house.join().await;
    let mut there = other_node.resume(&tab.cookie).await;
    assert_eq!(there.hear("place").await["ordinal"], json!(1));
    drop(tab);
    // As if the grace period of the closed tab had run out at once.
    house.store.absent(house.card.id, Duration::ZERO, true, &[1]).await.expect("noted");
    house.store.sweep(house.card.id, 10).await.expect("swept");
    house.until("the open tab to be believed", async || house.next().await == [1]).await;
}

#[tokio::test]
async fn news_reach_everybody_and_an_end_ends_it() {
    let mut house = House::open().await;
    let mut shopper = house.join().await;
    shopper.hear("place").await;
    house.card.status = Status::Paused;
    house.card.message = Some("Back in a minute".to_owned());
    house.publish(&[]).await;
    let sale = shopper.hear("sale").await;
    assert_eq!((&sale["sale"]["status"], &sale["sale"]["message"]), (&json!("paused"), &json!("Back in a minute")));
    house.card.status = Status::SoldOut;
    house.publish(&[]).await;
    assert_eq!(shopper.hear("over").await["outcome"], json!("sold_out"));
    let refused = house.connect("", &[]).await.expect_err("the line takes nobody in");
    assert_eq!((refused.status, refused.slug()), (StatusCode::CONFLICT, "sale-over"));
}

#[tokio::test]
async fn a_turn_that_lapses_while_its_shopper_is_here_comes_again() {
    let mut house = House::open().await;
    let mut shopper = house.join().await;
    house.admit(1).await;
    shopper.hear("turn").await;
    house.publish(&[(1, Turn::Lapsed)]).await;
    assert_eq!(shopper.hear("place").await["place"], json!(0));
    house.admit(1).await;
    shopper.hear("turn").await;
}

#[tokio::test]
async fn events_and_polls_say_the_same() {
    let mut house = House::open().await;
    let mut first = house.join().await;
    first.hear("place").await;

    let mut events = house.events("").await;
    assert_eq!(events.hear("sale").await["sale"]["id"], json!(house.card.id));
    assert_eq!(events.hear("place").await["ordinal"], json!(2));

    let poll = house.get("/api/flash-sales/{id}/line", &[("accept", "application/json")]).await;
    assert_eq!(poll.status, StatusCode::OK);
    let cookie = poll.cookie().expect("a ticket");
    let kinds = |poll: &house::Answer| -> Vec<String> {
        let messages = poll.body["messages"].as_array().cloned().unwrap_or_default();
        messages
            .iter()
            .inspect(|message| house::check(message))
            .map(|message| message["type"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(kinds(&poll), ["sale", "place"]);
    assert_eq!(poll.body["messages"][1]["ordinal"], json!(3));
    let again = house.get("/api/flash-sales/{id}/line", &[("cookie", &cookie)]).await;
    assert_eq!(again.body["messages"][1]["ordinal"], json!(3));

    house.admit(3).await;
    assert_eq!(events.hear("turn").await["token"], json!("token.of.2"));
    let polled = house.get("/api/flash-sales/{id}/line", &[("cookie", &cookie)]).await;
    assert_eq!(kinds(&polled), ["sale", "turn"]);
    let claimed = house.request("POST", "/api/flash-sales/{id}/line/claim", &[("cookie", &cookie)]).await;
    assert_eq!(claimed.status, StatusCode::NO_CONTENT);
    house.wait_for_claim(3).await;
    let left = house.request("DELETE", "/api/flash-sales/{id}/line", &[("cookie", &cookie)]).await;
    assert_eq!(left.status, StatusCode::NO_CONTENT);
    assert!(left.header("set-cookie").contains("Max-Age=0"));
}

#[tokio::test]
async fn without_javascript_there_is_a_page_that_looks_again() {
    let mut house = House::open().await;
    let _ahead = house.join().await;
    let joined = house.request("POST", "/sales/{slug}/line", &[]).await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER);
    let cookie = joined.cookie().expect("a ticket");
    let cookies = [("cookie", cookie.as_str())];

    let line = house.get("/sales/{slug}/line", &cookies).await;
    assert_eq!(line.status, StatusCode::OK);
    assert_eq!(line.header("refresh"), "3");
    assert!(line.text.contains("person") && line.text.contains("ahead of you"), "{}", line.text);

    house.admit(2).await;
    house
        .until("the page to show the turn", async || {
            house.get("/sales/{slug}/line", &cookies).await.text.contains("your turn")
        })
        .await;
    house.wait_for_claim(2).await;

    let left = house.request("POST", "/sales/{slug}/line/leave", &cookies).await;
    assert_eq!(left.status, StatusCode::SEE_OTHER);
    let line = house.get("/sales/{slug}/line", &cookies).await;
    assert!(line.text.contains("You have left the line"));
    assert_eq!(line.header("refresh"), "", "nothing more to look for");
    let nobody = house.get("/sales/{slug}/line", &[]).await;
    assert_eq!(nobody.header("location"), format!("/sales/{}", house.card.slug));
}

#[tokio::test]
async fn pages_and_cards_show_the_sale() {
    let house = House::open().await;
    let home = house.get("/", &[]).await;
    assert!(home.text.contains(&house.card.slug));
    let page = house.get("/sales/{slug}", &[]).await;
    assert!(page.text.contains("bold") && !page.text.contains("<b>bold"), "what the shop writes is text, never markup");
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
    assert!(page.text.contains(r#"data-joined="false""#));
    let script = page.text.split('"').find(|part| part.starts_with("/assets/shopper") && part.ends_with(".js"));
    let script = house.get(script.expect("a script"), &[("accept-encoding", "gzip")]).await;
    assert!(script.header("cache-control").contains("immutable"));
    assert_eq!(script.header("content-encoding"), "gzip");

    let status = house.get("/api/flash-sales/{id}/status", &[]).await;
    assert_eq!((&status.body["remaining"], status.header("cache-control").as_str()), (&json!(10), "public, max-age=1"));
    let active = house.get("/api/flash-sales/active", &[]).await;
    let sales = active.body["sales"].as_array().cloned().unwrap_or_default();
    assert!(sales.iter().any(|sale| sale["id"] == json!(house.card.id)));
}

#[tokio::test]
async fn what_is_wrong_is_refused_in_words() {
    let house = House::open().await;
    let unknown = "00000000-0000-7000-8000-000000000000";
    for (method, path, headers, status, slug) in [
        ("GET", "/api/flash-sales/nonsense/status", &[][..], 404, "unknown-sale"),
        ("GET", &format!("/api/flash-sales/{unknown}/status"), &[], 404, "unknown-sale"),
        ("GET", &format!("/api/flash-sales/{unknown}/line"), &[], 404, "unknown-sale"),
        ("GET", "/api/flash-sales/{id}/line?join=false", &[], 404, "no-ticket"),
        ("GET", "/api/flash-sales/{id}/line?join=false", &[("cookie", "fairline_ticket_x=y; a")], 404, "no-ticket"),
        ("GET", "/api/flash-sales/{id}/line", &[("origin", "https://evil.example")], 403, "foreign-origin"),
        ("GET", "/api/flash-sales/{id}/line", &[("upgrade", "websocket")], 400, "bad-handshake"),
        ("POST", "/api/flash-sales/{id}/line/claim", &[], 404, "no-ticket"),
        ("POST", "/api/flash-sales/{id}/line/claim", &[("origin", "null")], 403, "foreign-origin"),
        ("DELETE", "/api/flash-sales/{id}/line", &[], 404, "no-ticket"),
    ] {
        let answer = house.request(method, path, headers).await;
        assert_eq!((answer.status.as_u16(), answer.slug()), (status, slug), "{method} {path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let document = house.get("/openapi/waiting-room.json", &[]).await.body;
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let paths = document["paths"].as_object().expect("paths");
    let operations: usize = paths.values().filter_map(|path| path.as_object()).map(|path| path.len()).sum();
    assert_eq!((paths.len(), operations), (4, 5), "{paths:?}");
    let foreign = house.connect("", &[("origin", "https://evil.example")]).await.expect_err("refused");
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    let own = format!("http://{}", house.address);
    house.connect("", &[("origin", &own)]).await.expect("our own page");
    assert_eq!(house.get("/sales/no-such-sale", &[]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_page_that_babbles_is_hung_up_on() {
    let house = House::open().await;
    for babble in ["{\"type\":\"buy\"}".to_owned(), "nonsense".to_owned(), "x".repeat(1025)] {
        let mut shopper = house.join().await;
        shopper.say_text(babble).await;
        assert_eq!(shopper.closed().await, Some(CloseCode::Policy));
    }
}

#[tokio::test]
async fn new_tickets_are_limited_by_address_and_resumed_places_are_not() {
    let house = House::open_with(|settings| {
        settings.join_rate_per_s = 0.01;
        settings.join_burst = 2;
    })
    .await;
    let first = house.join().await;
    let _second = house.join().await;
    let refused = house.connect("", &[]).await.expect_err("too many");
    assert_eq!((refused.status, refused.slug()), (StatusCode::TOO_MANY_REQUESTS, "too-many-requests"));
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 10));
    house.resume(&first.cookie).await;
    let forwarded = house.connect("", &[("x-forwarded-for", "192.0.2.1")]).await.expect_err("no proxy is trusted");
    assert_eq!(forwarded.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_full_node_says_so_and_a_place_is_not_lost_by_it() {
    let house = House::open_with(|settings| settings.sockets_max = 1).await;
    let shopper = house.join().await;
    let refused = house.connect("", &[("cookie", &shopper.cookie)]).await.expect_err("full");
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.header("retry-after"), "3");
    let cookie = shopper.cookie.clone();
    drop(shopper);
    house.until("the socket to be free", async || house.connect("", &[("cookie", &cookie)]).await.is_ok()).await;
}

#[tokio::test]
async fn a_node_that_stops_tells_its_sockets_to_move() {
    let house = House::open().await;
    let mut shopper = house.join().await;
    shopper.hear("place").await;
    house.shutdown.trigger();
    assert_eq!(shopper.closed().await, Some(CloseCode::Restart));
    assert!(house.shutdown.finished(Duration::from_secs(10)).await);
    assert_eq!(house.next().await, [1], "the grace period runs");
}

#[tokio::test]
async fn redis_killed_and_back_costs_nobody_the_place() {
    let mut servers = testing::Servers::start().expect("a Redis of its own");
    let mut house = House::open_at(&servers.redis.url(), |_| {}).await;
    let mut shopper = house.join().await;
    assert_eq!(shopper.hear("place").await["ordinal"], json!(1));
    servers.redis.kill().expect("killed");
    shopper.hear("reconnecting").await;
    let refused = house.connect("", &[]).await.expect_err("no line");
    assert_eq!((refused.status, refused.slug()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert_eq!(refused.header("retry-after"), "2");
    servers.redis.restart().expect("restarted");
    assert_eq!(shopper.hear("place").await["ordinal"], json!(1));
    house.admit(1).await;
    shopper.hear("turn").await;
}

#[tokio::test]
async fn a_line_that_was_emptied_and_published_again_has_everybody_in_the_old_order() {
    let servers = testing::Servers::start().expect("a Redis of its own");
    let mut house = House::open_at(&servers.redis.url(), |_| {}).await;
    let mut shoppers = Vec::new();
    for _ in 0..5 {
        shoppers.push(house.join().await);
    }
    shoppers[4].hear("place").await;
    house.admit(1).await;
    house.empty_redis().await;
    house.publish(&[(1, live(1))]).await;
    house.until("everybody to be known again", async || house.next().await == [2, 3, 4, 5]).await;
    let place = shoppers[4].hear_until("place", |message| message["place"] == json!(3)).await;
    assert_eq!(place["ordinal"], json!(5));
    let mut newcomer = house.join().await;
    assert_eq!(newcomer.hear("place").await["ordinal"], json!(6), "no ordinal is given twice");
}
