//! Accounts, visitors and lanes.

use axum::http::StatusCode;
use fairline_line::{change::Turn, invitation::InvitationKey, ticket::Ticket};
use fairline_sale::{LaneFacts, SaleId, VisitorId};
use fairline_server::Secret;
use serde_json::json;

use crate::support::{TestWaitingRoom, account_token};

#[tokio::test]
async fn an_account_has_one_place_and_only_the_shop_asserts_accounts() {
    let key = "a key that the shop and the rooms share";
    let room = TestWaitingRoom::open_with(|settings| {
        settings.account_key = Some(Secret::new(key));
        settings.accounts_only = true;
    })
    .await;
    let anna = format!("?account={}", account_token(key, "anna"));
    let (phone, laptop) = (room.connect(&anna, &[]).await, room.connect(&anna, &[]).await);
    let (mut phone, mut laptop) = (phone.expect("a place"), laptop.expect("the same place"));
    assert_eq!(phone.receive("place").await["ordinal"], json!(1));
    assert_eq!(laptop.receive("place").await["ordinal"], json!(1));
    assert_eq!(phone.cookie, laptop.cookie, "the same ticket");
    let bert = format!("?account={}", account_token(key, "bert"));
    assert_eq!(room.connect(&bert, &[]).await.expect("a place").receive("place").await["ordinal"], json!(2));
    for wrong in
        [String::new(), format!("?account={}", account_token(&key.replace('a', "b"), "anna")), "?account=x".to_owned()]
    {
        let rejected = room.connect(&wrong, &[]).await.expect_err("no account");
        assert_eq!((rejected.status, rejected.slug()), (StatusCode::UNAUTHORIZED, "invalid-account-token"));
    }
    // A ticket needs no account.
    assert_eq!(room.resume(&phone.cookie).await.receive("place").await["ordinal"], json!(1));
    phone.send(json!({"type": "leave"})).await;
    laptop.receive("over").await;
    let mut again = room.connect(&anna.replace('?', "?rejoin=true&"), &[]).await.expect("a new place");
    assert_eq!(again.receive("place").await["ordinal"], json!(3));
    assert_eq!(visitor(&again.cookie), visitor(&phone.cookie), "on any device, an account is one shopper to the limit");
}

fn visitor(cookie: &str) -> VisitorId {
    let (_, signed) = cookie.split_once('=').expect("a cookie");
    Ticket::parse_unverified(signed).expect("a ticket").1
}

#[tokio::test]
async fn a_shopper_is_one_visitor_in_all_lines_of_a_sale_and_in_no_other() {
    let mut room = TestWaitingRoom::open().await;
    let mut own = room.join().await;
    own.send(json!({"type": "leave"})).await;
    own.receive("over").await;
    let mut again = room.connect("?rejoin=true", &[("cookie", &own.cookie)]).await.expect("a new place");
    assert_eq!(visitor(&again.cookie), visitor(&own.cookie));

    let other_sale = room.another_sale().await;
    let there = other_sale.connect("", &[("cookie", &own.cookie)]).await.expect("a place");
    assert_ne!(visitor(&there.cookie), visitor(&own.cookie), "sales are not linked");

    let key = InvitationKey::new(&[7; 32]);
    let mut lane = other_sale;
    let (id, sale) = (lane.card.id, room.card.id);
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
    let back = room.connect("", &[("cookie", &stranger.cookie)]).await.expect("a place");
    assert_eq!(visitor(&back.cookie), visitor(&stranger.cookie));
    let forged = format!("{}A", &own.cookie[..own.cookie.len() - 1]);
    let forger = lane.connect(&invited(3), &[("cookie", &forged)]).await.expect("invited");
    assert_ne!(visitor(&forger.cookie), visitor(&own.cookie), "a forged ticket links no visitor");

    // A shopper at the limit receives that outcome, and may rejoin when units were returned.
    room.publish(&[(2, Turn::Limit)]).await;
    assert_eq!(again.receive("over").await["outcome"], json!("limit"));
    let mut later = room.connect("?rejoin=true", &[("cookie", &again.cookie)]).await.expect("a new place");
    assert_eq!(later.receive("place").await["ordinal"], json!(4));
}

#[tokio::test]
async fn a_lane_accepts_one_shopper_for_each_invitation() {
    let mut room = TestWaitingRoom::open().await;
    let key = InvitationKey::new(&[7; 32]);
    let (lane, own) = (room.card.id, SaleId(uuid::Uuid::new_v4()));
    room.card.slug.push_str("--vip");
    room.card.lane = Some(LaneFacts { sale: own, name: "vip".to_owned(), key: key.public() });
    room.publish(&[]).await;
    room.until("the lane to be shown", async || room.get("/sales/{slug}", &[]).await.status == StatusCode::OK).await;

    let invited = |number| format!("?invitation={}", key.invite(lane, number));
    let elsewhere = format!("?invitation={}", key.invite(own, 1));
    for wrong in ["", "?invitation=", "?invitation=x", elsewhere.as_str()] {
        let rejected = room.connect(wrong, &[]).await.expect_err("no invitation");
        assert_eq!((rejected.status, rejected.slug()), (StatusCode::FORBIDDEN, "not-invited"), "{wrong}");
    }
    let mut anna = room.connect(&invited(1), &[]).await.expect("invited");
    assert_eq!(anna.receive("place").await["ordinal"], json!(1));
    let sale = room.get("/api/flash-sales/{id}/status", &[]).await.body;
    assert_eq!((&sale["id"], &sale["lane"]["sale"]), (&json!(lane), &json!(own)));
    let mut bert = room.connect(&invited(2), &[]).await.expect("invited");
    assert_eq!(bert.receive("place").await["ordinal"], json!(2));
    let mut on_another_device = room.connect(&invited(1), &[]).await.expect("invited");
    assert_eq!(on_another_device.receive("place").await["ordinal"], json!(1));
    assert_eq!(room.resume(&bert.cookie).await.receive("place").await["ordinal"], json!(2), "a ticket is enough");

    // An invitation has one turn.
    room.admit(1).await;
    room.publish(&[(1, Turn::Bought)]).await;
    let mut again = room.connect(&format!("{}&rejoin=true", invited(1)), &[]).await.expect("invited");
    assert_eq!(again.receive("over").await["outcome"], json!("bought"));

    // The page requires the invitation, and joins with it. No list shows the lane.
    let page = room.get("/sales/{slug}", &[]).await.text;
    assert!(page.contains("name=\"invitation\"") && !page.contains("data-do=\"join\""), "{page}");
    let page = room.get("/sales/{slug}?invitation=x", &[]).await.text;
    assert!(page.contains("not valid for this line"), "{page}");
    let page = room.get(&format!("/sales/{{slug}}{}", invited(3)), &[]).await.text;
    assert!(page.contains("data-do=\"join\"") && page.contains(&format!("/line{}\"", invited(3))), "{page}");
    assert!(page.contains(&format!("data-leads-to=\"{own}\"")), "{page}");
    let joined =
        room.request("POST", &format!("/sales/{{slug}}/line{}", invited(3)), &[("cookie", "fairline_cookies=1")]).await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER);
    let active = room.get("/api/flash-sales/active", &[]).await.body;
    assert!(active["sales"].as_array().expect("sales").iter().all(|sale| sale["id"] != json!(lane)));
}
