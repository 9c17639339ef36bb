//! The waiting room through its outermost door, over a real Redis. The part of the controller is played by publications.

mod house;
mod requests;
mod sockets;

use std::time::Duration;

use axum::http::StatusCode;
use fairline_line::{change::Turn, invitation::InvitationKey, ticket::Ticket};
use fairline_private_servers::testing::{self, RedisCluster, RedisSentinel};
use fairline_sale::{DrawFacts, LaneFacts, LineOrder, RecordHead, SaleId, Status, VisitorId};
use fairline_server::Secret;
use house::{House, account_token, live};
use serde_json::json;
use tokio::{task::spawn_blocking, time::sleep};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use waiting_room::Settings;

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
async fn old_sales_hide_no_new_one_and_cost_no_calls() {
    let servers = spawn_blocking(|| testing::Servers::start().expect("a Redis of its own")).await.expect("no panic");
    let house = House::open_at(&servers.redis.url(), |_| {}).await;
    house.closed_sales(1_010).await;
    let status = |house: &House| format!("/api/flash-sales/{}/status", house.card.id);
    // One that starts beside them, and one that comes when the house is full.
    let late = house.another_node().await;
    assert_eq!(late.get(&status(&house), &[]).await.status, StatusCode::OK);
    let new = late.another_sale().await;
    assert_eq!(late.get(&status(&new), &[]).await.status, StatusCode::OK);
    // Nobody is in any of them.
    house
        .until("all of them to rest", async || {
            let before = house.calls().await;
            // Sleeps: calls are counted for this time.
            sleep(Duration::from_secs(1)).await;
            house.calls().await - before < 50
        })
        .await;
    let mut shopper = late.join().await;
    assert_eq!(shopper.hear("place").await["place"], json!(0), "and one that somebody comes to is awake");
    drop(servers);
}

#[tokio::test]
async fn before_a_draw_shoppers_hear_how_many_they_are_and_after_it_their_place() {
    let mut house = House::open().await;
    (house.card.order, house.card.status) = (LineOrder::Draw, Status::Scheduled);
    house.card.draw = Some(DrawFacts { commitment: "0".repeat(64), pool: None, seed: None });
    house.card.record = Some(RecordHead { seq: 1, hash: "0".repeat(64) });
    house.publish(&[]).await;
    let mut watcher = house.join().await;
    let status = format!("/api/flash-sales/{}/status", house.card.id);
    house
        .until("the room to know of the draw", async || house.get(&status, &[]).await.text.contains("commitment"))
        .await;
    let mut shoppers = Vec::new();
    for ordinal in 2..=8 {
        let mut shopper = house.join().await;
        let told = shopper.hear("draw").await;
        assert_eq!((&told["ordinal"], &told["participants"]), (&json!(ordinal), &json!(ordinal)));
        shoppers.push(shopper);
    }
    let draw = house.make_draw().await;
    for (ordinal, shopper) in (2..).zip(&mut shoppers) {
        assert_eq!(shopper.hear("place").await["place"], json!(draw.number_of(ordinal) - 1));
    }
    house.admit(1).await;
    let first = draw.ordinal_at(1);
    let lucky = if first == 1 { &mut watcher } else { &mut shoppers[usize::try_from(first).expect("few") - 2] };
    assert_eq!(lucky.hear("turn").await["token"], json!(format!("token.of.{first}")));
    // A reload finds the same place, and a node that knew nothing finds the draw.
    let mut again = house.resume(&shoppers[6].cookie).await;
    if first != 8 {
        assert_eq!(again.hear("place").await["place"], json!(draw.number_of(8) - 2));
    }
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
    // Whoever has left is the same shopper still.
    assert_eq!(left.header("set-cookie"), "");
    let over = house.get("/api/flash-sales/{id}/line", &[("cookie", &cookie)]).await;
    assert_eq!(kinds(&over), ["sale", "over"]);
}

#[tokio::test]
async fn without_javascript_there_is_a_page_that_looks_again() {
    let mut house = House::open().await;
    let _ahead = house.join().await;
    let joined = house.request("POST", "/sales/{slug}/line", &[("cookie", "fairline_cookies=1")]).await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER);
    let cookie = joined.cookie().expect("a ticket");
    let cookies = [("cookie", cookie.as_str())];

    let line = house.get("/sales/{slug}/line", &cookies).await;
    assert_eq!(line.status, StatusCode::OK);
    let refreshed = format!("/sales/{}/line?refreshed=true", house.card.slug);
    assert_eq!(line.header("refresh"), format!("3; url={refreshed}"));
    assert!(line.text.contains("person") && line.text.contains("ahead of you"), "{}", line.text);

    house.admit(2).await;
    // A tab that refreshes itself may be hidden: it shows the turn, and does not claim it.
    house
        .until("the page to show the turn", async || house.get(&refreshed, &cookies).await.text.contains("your turn"))
        .await;
    let seen = house.get(&refreshed, &cookies).await;
    assert_eq!(seen.header("refresh"), format!("3; url={refreshed}"));
    assert!(seen.text.contains(">Continue</a>") && !seen.text.contains("Go to checkout"), "{}", seen.text);
    let upcoming = house.store.upcoming(house.card.id, 0, 0, 0).await.expect("read");
    assert_eq!(upcoming.claims, []);
    let continued = house.get("/sales/{slug}/line", &cookies).await;
    assert!(continued.text.contains("Go to checkout"), "{}", continued.text);
    // What refreshes itself afterwards shows the way to the checkout still.
    let claimed = continued.header("refresh").trim_start_matches("3; url=").to_owned();
    assert!(house.get(&claimed, &cookies).await.text.contains("Go to checkout"), "{claimed}");
    house.wait_for_claim(2).await;

    let left = house.request("POST", "/sales/{slug}/line/leave", &cookies).await;
    assert_eq!(left.status, StatusCode::SEE_OTHER);
    assert_eq!(left.header("location"), format!("/sales/{}/line", house.card.slug));
    assert_eq!(left.header("set-cookie"), "", "the ticket is what the page tells the outcome by");
    let line = house.get("/sales/{slug}/line", &cookies).await;
    assert!(line.text.contains("You left the line"));
    assert_eq!(line.header("refresh"), "", "nothing more to look for");
    let nobody = house.get("/sales/{slug}/line", &[]).await;
    assert_eq!(nobody.header("location"), format!("/sales/{}", house.card.slug));
}

#[tokio::test]
async fn a_shop_with_a_checkout_of_its_own_has_its_shoppers_sent_there_with_their_token() {
    let own = |settings: &mut waiting_room::Settings| {
        settings.checkout_url = Some("https://shop.example/checkout/?from=line".to_owned());
    };
    let mut house = House::open_with(own).await;
    let sale = house.get("/sales/{slug}", &[]).await;
    let before_the_token = "https://shop.example/checkout/?from=line&#38;fairline_token=";
    assert!(sale.text.contains(&format!("data-own-checkout=\"{before_the_token}\"")), "{}", sale.text);
    let joined = house.request("POST", "/sales/{slug}/line", &[("cookie", "fairline_cookies=1")]).await;
    let cookie = joined.cookie().expect("a ticket");
    house.admit(1).await;
    let link = format!("href=\"{before_the_token}");
    house
        .until("the link to the checkout", async || {
            let text = house.get("/sales/{slug}/line", &[("cookie", cookie.as_str())]).await.text;
            text.split(&link).nth(1).is_some_and(|token| token.len() > 10 && !token.starts_with('"'))
        })
        .await;
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
async fn a_rehearsal_is_found_by_its_crowd_alone() {
    let mut house = House::open().await;
    house.card.rehearsal = true;
    house.publish(&[]).await;
    let is_listed = async || {
        let listed = house.get("/api/flash-sales/active", &[]).await.body["sales"].as_array().cloned();
        listed.expect("sales").iter().any(|sale| sale["id"] == json!(house.card.id))
    };
    house.until("no list to show it", async || !is_listed().await).await;
    assert!(!house.get("/", &[]).await.text.contains(&house.card.slug));
    assert_eq!(house.get("/api/flash-sales/{id}/status", &[]).await.status, StatusCode::OK);
    house.join().await.hear("place").await;
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
    // With health and metrics.
    assert_eq!((paths.len(), operations), (7, 8), "{paths:?}");
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
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| (2..=10).contains(&seconds)));
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
    house.begin(&[]).await;
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
    house.begin(&[(1, live(1))]).await;
    house.until("everybody to be known again", async || house.next().await == [2, 3, 4, 5]).await;
    let place = shoppers[4].hear_until("place", |message| message["place"] == json!(3)).await;
    assert_eq!(place["ordinal"], json!(5));
    let mut newcomer = house.join().await;
    assert_eq!(newcomer.hear("place").await["ordinal"], json!(100_001), "no ordinal is given twice");
}

#[tokio::test]
async fn a_node_that_dies_without_a_word_loses_nobody_and_leaves_nobody_holding_the_line_up() {
    let short = |settings: &mut Settings| settings.grace_s = 1;
    let mut house = House::open_with(short).await;
    let (node, runtime) = house.node_to_die(short).await;
    let (mut returns, mut stays_away) = (node.join().await, node.join().await);
    returns.hear("place").await;
    stays_away.hear("place").await;
    let mut behind = house.join().await;
    behind.hear_until("place", |message| message["place"] == json!(2)).await;
    // Sleeps: longer than the grace period; connected shoppers stay in line.
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(house.store.sweep(house.card.id, 10).await, Ok(0));
    assert_eq!(house.next().await, [1, 2, 3]);

    runtime.shutdown_background();
    let mut returned = house.resume(&returns.cookie).await;
    assert_eq!(returned.hear("place").await["ordinal"], json!(1));
    house.depart(1).await;
    behind.hear_until("place", |message| message["place"] == json!(1)).await;
    assert_eq!(house.next().await, [1, 3]);
    house.admit(1).await;
    returned.hear("turn").await;
}

#[tokio::test]
async fn who_comes_back_too_late_hears_that_the_turn_was_missed_and_may_join_again() {
    let mut house = House::open_with(|settings| settings.grace_s = 1).await;
    house.recall_window = Duration::ZERO;
    let (gone, mut next) = (house.join().await, house.join().await);
    let cookie = gone.cookie.clone();
    drop(gone);
    house.depart(1).await;
    next.hear_until("place", |message| message["place"] == json!(0)).await;
    house.admit(1).await;
    next.hear("turn").await;
    let mut late = house.resume(&cookie).await;
    assert_eq!(late.hear("over").await["outcome"], json!("missed"));
    let mut again = house.connect("?rejoin=true", &[("cookie", &cookie)]).await.expect("a new place");
    assert_eq!(again.hear("place").await["ordinal"], json!(3));
}

#[tokio::test]
async fn a_sale_says_for_how_long_a_silent_shopper_keeps_the_place_whatever_the_node_is_set_to() {
    let long = |settings: &mut Settings| settings.grace_s = 3600;
    let mut house = House::open_with(long).await;
    house.card.grace_s = Some(1);
    house.publish(&[]).await;
    house
        .until("the room to know it", async || {
            house.get("/api/flash-sales/{id}/status", &[]).await.body["grace_s"] == json!(1)
        })
        .await;
    let (node, runtime) = house.node_to_die(long).await;
    let (gone, _there) = (house.join().await, house.join().await);
    let lost = node.join().await;
    house.until("all three to wait", async || house.next().await == [1, 2, 3]).await;
    drop(gone);
    house.depart(1).await;
    // Nobody tells of these but the roll call of the node that is left.
    runtime.shutdown_background();
    drop(lost);
    house.depart(1).await;
    assert_eq!(house.next().await, [2]);
}

#[tokio::test]
async fn an_account_has_one_place_and_only_the_shop_names_accounts() {
    let key = "a key that the shop and the rooms share";
    let house = House::open_with(|settings| {
        settings.account_key = Some(Secret::new(key));
        settings.accounts_only = true;
    })
    .await;
    let anna = format!("?account={}", account_token(key, "anna"));
    let (phone, laptop) = (house.connect(&anna, &[]).await, house.connect(&anna, &[]).await);
    let (mut phone, mut laptop) = (phone.expect("a place"), laptop.expect("the same place"));
    assert_eq!(phone.hear("place").await["ordinal"], json!(1));
    assert_eq!(laptop.hear("place").await["ordinal"], json!(1));
    assert_eq!(phone.cookie, laptop.cookie, "the same ticket");
    let bert = format!("?account={}", account_token(key, "bert"));
    assert_eq!(house.connect(&bert, &[]).await.expect("a place").hear("place").await["ordinal"], json!(2));
    for wrong in
        [String::new(), format!("?account={}", account_token(&key.replace('a', "b"), "anna")), "?account=x".to_owned()]
    {
        let refused = house.connect(&wrong, &[]).await.expect_err("no account");
        assert_eq!((refused.status, refused.slug()), (StatusCode::UNAUTHORIZED, "no-account"));
    }
    // Whoever has a ticket needs no name.
    assert_eq!(house.resume(&phone.cookie).await.hear("place").await["ordinal"], json!(1));
    phone.say(json!({"type": "leave"})).await;
    laptop.hear("over").await;
    let mut again = house.connect(&anna.replace('?', "?rejoin=true&"), &[]).await.expect("a new place");
    assert_eq!(again.hear("place").await["ordinal"], json!(3));
    assert_eq!(visitor(&again.cookie), visitor(&phone.cookie), "on any device, an account is one shopper to the limit");
}

fn visitor(cookie: &str) -> VisitorId {
    let (_, signed) = cookie.split_once('=').expect("a cookie");
    Ticket::said_by(signed).expect("a ticket").1
}

#[tokio::test]
async fn a_shopper_is_the_same_again_in_every_line_of_the_sale_and_in_no_other() {
    let mut house = House::open().await;
    let mut own = house.join().await;
    own.say(json!({"type": "leave"})).await;
    own.hear("over").await;
    let mut again = house.connect("?rejoin=true", &[("cookie", &own.cookie)]).await.expect("a new place");
    assert_eq!(visitor(&again.cookie), visitor(&own.cookie));

    let other_sale = house.another_sale().await;
    let there = other_sale.connect("", &[("cookie", &own.cookie)]).await.expect("a place");
    assert_ne!(visitor(&there.cookie), visitor(&own.cookie), "sales are not linked");

    let key = InvitationKey::new(&[7; 32]);
    let mut lane = other_sale;
    let (id, sale) = (lane.card.id, house.card.id);
    lane.card.slug.push_str("--vip");
    lane.card.lane = Some(LaneFacts { sale, name: "vip".to_owned(), key: key.public() });
    lane.publish(&[]).await;
    lane.until("the lane to be known as one", async || {
        lane.get("/api/flash-sales/{id}/status", &[]).await.body["lane"]["sale"] == json!(sale)
    })
    .await;
    let invited = |number| format!("?invitation={}", key.invite(id, number));
    let in_lane = lane.connect(&invited(1), &[("cookie", &own.cookie)]).await.expect("invited");
    assert_eq!(visitor(&in_lane.cookie), visitor(&own.cookie), "the limit is that of the sale");
    let stranger = lane.connect(&invited(2), &[]).await.expect("invited");
    assert_ne!(visitor(&stranger.cookie), visitor(&own.cookie));
    // And the other way round.
    let back = house.connect("", &[("cookie", &stranger.cookie)]).await.expect("a place");
    assert_eq!(visitor(&back.cookie), visitor(&stranger.cookie));
    let forged = format!("{}A", &own.cookie[..own.cookie.len() - 1]);
    let nobody = lane.connect(&invited(3), &[("cookie", &forged)]).await.expect("invited");
    assert_ne!(visitor(&nobody.cookie), visitor(&own.cookie), "what is not genuine links nobody");

    // Who has the limit hears it, and may come again when units have gone back.
    house.publish(&[(2, Turn::Limit)]).await;
    assert_eq!(again.hear("over").await["outcome"], json!("limit"));
    let mut later = house.connect("?rejoin=true", &[("cookie", &again.cookie)]).await.expect("a new place");
    assert_eq!(later.hear("place").await["ordinal"], json!(4));
}

#[tokio::test]
async fn a_lane_takes_in_one_shopper_for_each_invitation() {
    let mut house = House::open().await;
    let key = InvitationKey::new(&[7; 32]);
    let (lane, own) = (house.card.id, SaleId(uuid::Uuid::new_v4()));
    house.card.slug.push_str("--vip");
    house.card.lane = Some(LaneFacts { sale: own, name: "vip".to_owned(), key: key.public() });
    house.publish(&[]).await;
    house.until("the lane to be shown", async || house.get("/sales/{slug}", &[]).await.status == StatusCode::OK).await;

    let invited = |number| format!("?invitation={}", key.invite(lane, number));
    let elsewhere = format!("?invitation={}", key.invite(own, 1));
    for wrong in ["", "?invitation=", "?invitation=x", elsewhere.as_str()] {
        let refused = house.connect(wrong, &[]).await.expect_err("no invitation");
        assert_eq!((refused.status, refused.slug()), (StatusCode::FORBIDDEN, "not-invited"), "{wrong}");
    }
    let mut anna = house.connect(&invited(1), &[]).await.expect("invited");
    assert_eq!(anna.hear("place").await["ordinal"], json!(1));
    let sale = house.get("/api/flash-sales/{id}/status", &[]).await.body;
    assert_eq!((&sale["id"], &sale["lane"]["sale"]), (&json!(lane), &json!(own)));
    let mut bert = house.connect(&invited(2), &[]).await.expect("invited");
    assert_eq!(bert.hear("place").await["ordinal"], json!(2));
    let mut on_another_device = house.connect(&invited(1), &[]).await.expect("invited");
    assert_eq!(on_another_device.hear("place").await["ordinal"], json!(1));
    assert_eq!(house.resume(&bert.cookie).await.hear("place").await["ordinal"], json!(2), "a ticket is enough");

    // An invitation has one turn.
    house.admit(1).await;
    house.publish(&[(1, Turn::Bought)]).await;
    let mut again = house.connect(&format!("{}&rejoin=true", invited(1)), &[]).await.expect("invited");
    assert_eq!(again.hear("over").await["outcome"], json!("bought"));

    // The page asks for the invitation, and joins with it; those who are not invited are not told of the lane.
    let page = house.get("/sales/{slug}", &[]).await.text;
    assert!(page.contains("name=\"invitation\"") && !page.contains("data-do=\"join\""), "{page}");
    let page = house.get("/sales/{slug}?invitation=x", &[]).await.text;
    assert!(page.contains("not valid for this line"), "{page}");
    let page = house.get(&format!("/sales/{{slug}}{}", invited(3)), &[]).await.text;
    assert!(page.contains("data-do=\"join\"") && page.contains(&format!("/line{}\"", invited(3))), "{page}");
    assert!(page.contains(&format!("data-leads-to=\"{own}\"")), "{page}");
    let joined = house
        .request("POST", &format!("/sales/{{slug}}/line{}", invited(3)), &[("cookie", "fairline_cookies=1")])
        .await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER);
    let active = house.get("/api/flash-sales/active", &[]).await.body;
    assert!(active["sales"].as_array().expect("sales").iter().all(|sale| sale["id"] != json!(lane)));
}

#[tokio::test]
async fn joins_at_two_nodes_whose_answers_are_late_give_no_ordinal_twice_and_leave_no_gap() {
    let servers = testing::Servers::start().expect("a Redis of its own");
    let house = House::open_at(&servers.redis.url(), |settings| settings.join_burst = 1000).await;
    let other = house.another_node_with(|settings| settings.join_burst = 1000).await;
    // Calls time out, and are carried out all the same when the pause is over; and then the functions are gone.
    let trouble = async {
        // Sleeps: some joins are under way.
        sleep(Duration::from_millis(5)).await;
        house.redis("CLIENT PAUSE 1300 ALL").await;
        for _ in 0..20 {
            house.redis("FUNCTION FLUSH").await;
            // Sleeps: the outage lasts for many calls.
            sleep(Duration::from_millis(20)).await;
        }
    };
    let joins = (0..200).map(|n| if n % 2 == 0 { house.connect("", &[]) } else { other.connect("", &[]) });
    let mut ordinals = Vec::new();
    let (joined, ()) = tokio::join!(futures_util::future::join_all(joins), trouble);
    for joined in joined {
        ordinals.push(joined.expect("a place").hear("place").await["ordinal"].as_u64().expect("a number"));
    }
    ordinals.sort_unstable();
    assert_eq!(ordinals, (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_cluster_holds_many_sales_and_a_killed_master_costs_nobody_the_place() {
    let mut cluster = spawn_blocking(|| RedisCluster::start().expect("a cluster")).await.expect("no panic");
    let mut house = House::open_at(&cluster.url(), |_| {}).await;
    let mut others = Vec::new();
    // As many sales as make it certain enough that every master has one.
    for _ in 0..12 {
        others.push(house.another_sale().await);
    }
    let mut shoppers = Vec::new();
    for other in &others {
        let mut shopper = other.join().await;
        assert_eq!(shopper.hear("place").await["ordinal"], json!(1));
        shoppers.push(shopper);
    }
    let mut first = house.join().await;
    first.hear("place").await;

    cluster = spawn_blocking(move || {
        let master = cluster.masters().next().expect("a master");
        master.kill().expect("killed");
        master.restart().expect("restarted");
        cluster.settle().expect("complete again");
        cluster
    })
    .await
    .expect("no panic");
    for (other, shopper) in others.iter_mut().zip(&mut shoppers) {
        other.begin_if_lost().await;
        other.until("the shopper to be next", async || other.next().await == [1]).await;
        other.admit(1).await;
        shopper.hear("turn").await;
    }
    house.begin_if_lost().await;
    house.until("the shopper to be next", async || house.next().await == [1]).await;
    drop(cluster);
}

#[tokio::test]
async fn a_failover_costs_nobody_the_place() {
    let mut sentinel = spawn_blocking(|| RedisSentinel::start().expect("a sentinel")).await.expect("no panic");
    let mut house = House::open_at(&sentinel.url(), |_| {}).await;
    let (mut first, mut second) = (house.join().await, house.join().await);
    first.hear("place").await;
    second.hear("place").await;
    sentinel = spawn_blocking(move || {
        sentinel.fail_over().expect("the replica takes over");
        sentinel
    })
    .await
    .expect("no panic");
    first.hear("reconnecting").await;
    house.begin_if_lost().await;
    assert_eq!(first.hear("place").await["place"], json!(0));
    assert_eq!(second.hear_until("place", |message| message["place"] == json!(1)).await["ordinal"], json!(2));
    assert!(house.join().await.hear("place").await["ordinal"].as_u64() > Some(100_000), "no ordinal is given twice");
    house.admit(2).await;
    first.hear("turn").await;
    second.hear("turn").await;
    drop(sentinel);
}
