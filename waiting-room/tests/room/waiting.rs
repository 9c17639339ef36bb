//! Joining, waiting and turns.

use std::time::Duration;

use axum::http::StatusCode;
use fairline_line::change::Turn;
use fairline_sale::{DrawFacts, LineOrder, RecordHead, Status};
use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use waiting_room::Settings;

use crate::support::TestWaitingRoom;

#[tokio::test]
async fn a_shopper_joins_waits_and_receives_the_turn() {
    let mut room = TestWaitingRoom::open().await;
    let mut first = room.join().await;
    assert_eq!(first.receive("sale").await["sale"]["slug"], json!(room.card.slug));
    let place = first.receive("place").await;
    assert_eq!((&place["ordinal"], &place["place"]), (&json!(1), &json!(0)));
    let mut second = room.join().await;
    let place = second.receive("place").await;
    assert_eq!((&place["ordinal"], &place["place"], &place["behind"]), (&json!(2), &json!(1), &json!(0)));

    room.admit(1).await;
    let turn = first.receive("turn").await;
    assert_eq!(turn["token"], json!("token.of.1"));
    assert_eq!(second.receive("place").await["place"], json!(0));

    first.send(json!({ "type": "claim" })).await;
    room.wait_for_claim(1).await;
    room.publish(&[(1, Turn::Bought)]).await;
    assert_eq!(first.receive("over").await["outcome"], json!("bought"));
    assert_eq!(first.closed().await, Some(CloseCode::Normal));
}

#[tokio::test]
async fn shoppers_receive_the_participants_before_a_draw_and_their_place_after_it() {
    let mut room = TestWaitingRoom::open().await;
    (room.card.order, room.card.status) = (LineOrder::Draw, Status::Scheduled);
    room.card.draw = Some(DrawFacts { commitment: "0".repeat(64), pool: None, seed: None });
    room.card.record = Some(RecordHead { seq: 1, hash: "0".repeat(64) });
    room.publish(&[]).await;
    let mut watcher = room.join().await;
    let status = format!("/api/flash-sales/{}/status", room.card.id);
    room.until("the room to have the draw", async || room.get(&status, &[]).await.text.contains("commitment")).await;
    let mut shoppers = Vec::new();
    for ordinal in 2..=8 {
        let mut shopper = room.join().await;
        let draw = shopper.receive("draw").await;
        assert_eq!((&draw["ordinal"], &draw["participants"]), (&json!(ordinal), &json!(ordinal)));
        shoppers.push(shopper);
    }
    let draw = room.make_draw().await;
    for (ordinal, shopper) in (2..).zip(&mut shoppers) {
        assert_eq!(shopper.receive("place").await["place"], json!(draw.number_of(ordinal) - 1));
    }
    room.admit(1).await;
    let first = draw.ordinal_at(1);
    let lucky = if first == 1 { &mut watcher } else { &mut shoppers[usize::try_from(first).expect("few") - 2] };
    assert_eq!(lucky.receive("turn").await["token"], json!(format!("token.of.{first}")));
    // A reload finds the same place, and a node that knew nothing finds the draw.
    let mut again = room.resume(&shoppers[6].cookie).await;
    if first != 8 {
        assert_eq!(again.receive("place").await["place"], json!(draw.number_of(8) - 2));
    }
}

#[tokio::test]
async fn a_reload_a_second_tab_and_a_return_keep_the_place() {
    let room = TestWaitingRoom::open().await;
    let other = room.join().await;
    let mut tab = room.join().await;
    assert_eq!(tab.receive("place").await["ordinal"], json!(2));
    let mut second_tab = room.resume(&tab.cookie).await;
    assert_eq!(second_tab.receive("place").await["ordinal"], json!(2));
    let cookie = tab.cookie.clone();
    drop((tab, second_tab));
    let mut back = room.resume(&cookie).await;
    let place = back.receive("place").await;
    assert_eq!((&place["ordinal"], &place["place"]), (&json!(2), &json!(1)));
    drop(other);
}

#[tokio::test]
async fn a_shopper_who_leaves_ends_every_tab_and_shortens_the_line() {
    let room = TestWaitingRoom::open().await;
    let mut first = room.join().await;
    let mut first_again = room.resume(&first.cookie).await;
    let mut second = room.join().await;
    assert_eq!(second.receive("place").await["place"], json!(1));
    first.send(json!({ "type": "leave" })).await;
    assert_eq!(first.receive("over").await["outcome"], json!("left"));
    assert_eq!(first.closed().await, Some(CloseCode::Normal));
    assert_eq!(first_again.receive("over").await["outcome"], json!("left"));
    assert_eq!(second.receive("place").await["place"], json!(0));

    // The ticket is used up; a new one starts at the end.
    let mut gone = room.resume(&first.cookie).await;
    assert_eq!(gone.receive("over").await["outcome"], json!("left"));
    let mut anew = room.connect("?rejoin=true", &[("cookie", &first.cookie)]).await.expect("accepted");
    assert_eq!(anew.receive("place").await["ordinal"], json!(3));
}

#[tokio::test]
async fn a_tab_at_another_node_ends_the_departure_of_its_shopper() {
    let room = TestWaitingRoom::open().await;
    let other_node = room.another_node().await;
    let tab = room.join().await;
    let mut there = other_node.resume(&tab.cookie).await;
    assert_eq!(there.receive("place").await["ordinal"], json!(1));
    drop(tab);
    // As if the grace period of the closed tab had run out at once.
    room.store.absent(room.card.id, Duration::ZERO, true, &[1]).await.expect("a response");
    room.store.sweep(room.card.id, 10).await.expect("swept");
    room.until("the open tab to keep the place", async || room.next().await == [1]).await;
}

#[tokio::test]
async fn changes_of_a_sale_reach_its_shoppers_and_its_end_ends_the_line() {
    let mut room = TestWaitingRoom::open().await;
    let mut shopper = room.join().await;
    shopper.receive("place").await;
    room.card.status = Status::Paused;
    room.card.message = Some("Back in a minute".to_owned());
    room.publish(&[]).await;
    let sale = shopper.receive("sale").await;
    assert_eq!((&sale["sale"]["status"], &sale["sale"]["message"]), (&json!("paused"), &json!("Back in a minute")));
    room.card.status = Status::SoldOut;
    room.publish(&[]).await;
    assert_eq!(shopper.receive("over").await["outcome"], json!("sold_out"));
    let rejected = room.connect("", &[]).await.expect_err("the sale is over");
    assert_eq!((rejected.status, rejected.slug()), (StatusCode::CONFLICT, "sale-over"));
}

#[tokio::test]
async fn a_turn_that_lapses_while_its_shopper_is_here_comes_again() {
    let mut room = TestWaitingRoom::open().await;
    let mut shopper = room.join().await;
    room.admit(1).await;
    shopper.receive("turn").await;
    room.publish(&[(1, Turn::Lapsed)]).await;
    assert_eq!(shopper.receive("place").await["place"], json!(0));
    room.admit(1).await;
    shopper.receive("turn").await;
}

#[tokio::test]
async fn a_shopper_back_after_the_recall_window_missed_the_turn_and_may_rejoin() {
    let mut room = TestWaitingRoom::open_with(|settings| settings.grace_s = 1).await;
    room.recall_window = Duration::ZERO;
    let (gone, mut next) = (room.join().await, room.join().await);
    let cookie = gone.cookie.clone();
    drop(gone);
    room.depart(1).await;
    next.receive_until("place", |message| message["place"] == json!(0)).await;
    room.admit(1).await;
    next.receive("turn").await;
    let mut late = room.resume(&cookie).await;
    assert_eq!(late.receive("over").await["outcome"], json!("missed"));
    let mut again = room.connect("?rejoin=true", &[("cookie", &cookie)]).await.expect("a new place");
    assert_eq!(again.receive("place").await["ordinal"], json!(3));
}

#[tokio::test]
async fn the_grace_period_of_a_sale_overrides_that_of_the_node() {
    let long = |settings: &mut Settings| settings.grace_s = 3600;
    let mut room = TestWaitingRoom::open_with(long).await;
    room.card.grace_s = Some(1);
    room.publish(&[]).await;
    room.until("the room to know it", async || {
        room.get("/api/flash-sales/{id}/status", &[]).await.body["grace_s"] == json!(1)
    })
    .await;
    let (node, runtime) = room.node_to_die(long).await;
    let (gone, _there) = (room.join().await, room.join().await);
    let lost = node.join().await;
    room.until("all three to wait", async || room.next().await == [1, 2, 3]).await;
    drop(gone);
    room.depart(1).await;
    // Only the roll call of the remaining node finds this one.
    runtime.shutdown_background();
    drop(lost);
    room.depart(1).await;
    assert_eq!(room.next().await, [2]);
}
