//! Event streams, polls and pages.

use axum::http::StatusCode;
use serde_json::json;

use crate::support::{Answer, TestWaitingRoom, check};

#[tokio::test]
async fn event_streams_and_polls_receive_the_same() {
    let mut room = TestWaitingRoom::open().await;
    let mut first = room.join().await;
    first.receive("place").await;

    let mut events = room.events("").await;
    assert_eq!(events.receive("sale").await["sale"]["id"], json!(room.card.id));
    assert_eq!(events.receive("place").await["ordinal"], json!(2));

    let poll = room.get("/api/flash-sales/{id}/line", &[("accept", "application/json")]).await;
    assert_eq!(poll.status, StatusCode::OK);
    let cookie = poll.cookie().expect("a ticket");
    let kinds = |poll: &Answer| -> Vec<String> {
        let messages = poll.body["messages"].as_array().cloned().unwrap_or_default();
        messages
            .iter()
            .inspect(|message| check(message))
            .map(|message| message["type"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(kinds(&poll), ["sale", "place"]);
    assert_eq!(poll.body["messages"][1]["ordinal"], json!(3));
    let again = room.get("/api/flash-sales/{id}/line", &[("cookie", &cookie)]).await;
    assert_eq!(again.body["messages"][1]["ordinal"], json!(3));

    room.admit(3).await;
    assert_eq!(events.receive("turn").await["token"], json!("token.of.2"));
    let polled = room.get("/api/flash-sales/{id}/line", &[("cookie", &cookie)]).await;
    assert_eq!(kinds(&polled), ["sale", "turn"]);
    let claimed = room.request("POST", "/api/flash-sales/{id}/line/claim", &[("cookie", &cookie)]).await;
    assert_eq!(claimed.status, StatusCode::NO_CONTENT);
    room.wait_for_claim(3).await;
    let left = room.request("DELETE", "/api/flash-sales/{id}/line", &[("cookie", &cookie)]).await;
    assert_eq!(left.status, StatusCode::NO_CONTENT);
    // The ticket stays: the shopper keeps the visitor id.
    assert_eq!(left.header("set-cookie"), "");
    let over = room.get("/api/flash-sales/{id}/line", &[("cookie", &cookie)]).await;
    assert_eq!(kinds(&over), ["sale", "over"]);
}

#[tokio::test]
async fn without_javascript_there_is_a_page_that_refreshes_itself() {
    let mut room = TestWaitingRoom::open().await;
    let _ahead = room.join().await;
    let joined = room.request("POST", "/sales/{slug}/line", &[("cookie", "fairline_cookies=1")]).await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER);
    let cookie = joined.cookie().expect("a ticket");
    let cookies = [("cookie", cookie.as_str())];

    let line = room.get("/sales/{slug}/line", &cookies).await;
    assert_eq!(line.status, StatusCode::OK);
    let refreshed = format!("/sales/{}/line?refreshed=true", room.card.slug);
    assert_eq!(line.header("refresh"), format!("3; url={refreshed}"));
    assert!(line.text.contains("person") && line.text.contains("ahead of you"), "{}", line.text);

    room.admit(2).await;
    // A tab that refreshes itself may be hidden: it shows the turn, and does not claim it.
    room.until("the page to show the turn", async || room.get(&refreshed, &cookies).await.text.contains("your turn"))
        .await;
    let seen = room.get(&refreshed, &cookies).await;
    assert_eq!(seen.header("refresh"), format!("3; url={refreshed}"));
    assert!(seen.text.contains(">Continue</a>") && !seen.text.contains("Go to checkout"), "{}", seen.text);
    let upcoming = room.upcoming(0).await.expect("read");
    assert_eq!(upcoming.claims, []);
    let continued = room.get("/sales/{slug}/line", &cookies).await;
    assert!(continued.text.contains("Go to checkout"), "{}", continued.text);
    // Later refreshes still link to the checkout.
    let claimed = continued.header("refresh").trim_start_matches("3; url=").to_owned();
    assert!(room.get(&claimed, &cookies).await.text.contains("Go to checkout"), "{claimed}");
    room.wait_for_claim(2).await;

    let left = room.request("POST", "/sales/{slug}/line/leave", &cookies).await;
    assert_eq!(left.status, StatusCode::SEE_OTHER);
    assert_eq!(left.header("location"), format!("/sales/{}/line", room.card.slug));
    assert_eq!(left.header("set-cookie"), "", "the page shows the outcome by the ticket");
    let line = room.get("/sales/{slug}/line", &cookies).await;
    assert!(line.text.contains("You left the line"));
    assert_eq!(line.header("refresh"), "", "the page refreshes no more");
    let stranger = room.get("/sales/{slug}/line", &[]).await;
    assert_eq!(stranger.header("location"), format!("/sales/{}", room.card.slug));
}

#[tokio::test]
async fn shoppers_are_sent_to_the_own_checkout_of_a_shop_with_their_token() {
    let own = |settings: &mut waiting_room::Settings| {
        settings.checkout_url = Some("https://shop.example/checkout/?from=line".to_owned());
    };
    let mut room = TestWaitingRoom::open_with(own).await;
    let sale = room.get("/sales/{slug}", &[]).await;
    let before_the_token = "https://shop.example/checkout/?from=line&#38;fairline_token=";
    assert!(sale.text.contains(&format!("data-own-checkout=\"{before_the_token}\"")), "{}", sale.text);
    let joined = room.request("POST", "/sales/{slug}/line", &[("cookie", "fairline_cookies=1")]).await;
    let cookie = joined.cookie().expect("a ticket");
    room.admit(1).await;
    let link = format!("href=\"{before_the_token}");
    room.until("the link to the checkout", async || {
        let text = room.get("/sales/{slug}/line", &[("cookie", cookie.as_str())]).await.text;
        text.split(&link).nth(1).is_some_and(|token| token.len() > 10 && !token.starts_with('"'))
    })
    .await;
}

#[tokio::test]
async fn pages_and_cards_show_the_sale() {
    let room = TestWaitingRoom::open().await;
    let home = room.get("/", &[]).await;
    assert!(home.text.contains(&room.card.slug));
    let page = room.get("/sales/{slug}", &[]).await;
    assert!(page.text.contains("bold") && !page.text.contains("<b>bold"), "texts of the shop are escaped");
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
    assert!(page.text.contains(r#"data-joined="false""#));
    let script = page.text.split('"').find(|part| part.starts_with("/assets/shopper") && part.ends_with(".js"));
    let script = room.get(script.expect("a script"), &[("accept-encoding", "gzip")]).await;
    assert!(script.header("cache-control").contains("immutable"));
    assert_eq!(script.header("content-encoding"), "gzip");

    let status = room.get("/api/flash-sales/{id}/status", &[]).await;
    assert_eq!((&status.body["remaining"], status.header("cache-control").as_str()), (&json!(10), "public, max-age=1"));
    let active = room.get("/api/flash-sales/active", &[]).await;
    let sales = active.body["sales"].as_array().cloned().unwrap_or_default();
    assert!(sales.iter().any(|sale| sale["id"] == json!(room.card.id)));
}

#[tokio::test]
async fn a_rehearsal_is_listed_nowhere() {
    let mut room = TestWaitingRoom::open().await;
    room.card.rehearsal = true;
    room.publish(&[]).await;
    let is_listed = async || {
        let listed = room.get("/api/flash-sales/active", &[]).await.body["sales"].as_array().cloned();
        listed.expect("sales").iter().any(|sale| sale["id"] == json!(room.card.id))
    };
    room.until("no list to show it", async || !is_listed().await).await;
    assert!(!room.get("/", &[]).await.text.contains(&room.card.slug));
    assert_eq!(room.get("/api/flash-sales/{id}/status", &[]).await.status, StatusCode::OK);
    room.join().await.receive("place").await;
}
