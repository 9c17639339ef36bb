use fairline_sale::VisitorId;

use super::*;
use crate::line::wake_up::Pending;

/// A room whose line has ten tickets, and no shopper connected.
pub(crate) fn room() -> Room {
    let sale = "00000000-0000-0000-0000-000000000001".parse().expect("a UUID");
    let card = SaleCard { id: sale, total: 100, remaining: 100, ..SaleCard::example() };
    Room::new(Snapshot { revision: rev(5), view: LineView::new(1, 0, 10), card }, WakeUp::default())
}

fn rev(rev: u64) -> Revision {
    Revision { epoch: 1, rev }
}

pub(crate) fn ticket(room: &Room, ordinal: Ordinal) -> Ticket {
    Ticket { sale: room.sale, epoch: 1, ordinal, visitor: VisitorId([0; 16]) }
}

fn place(room: &Room, ordinal: Ordinal) -> Option<u64> {
    let mut places = Vec::new();
    room.snapshot([ordinal], &mut places);
    places[0].map(|place| place.ahead)
}

#[tokio::test(start_paused = true)]
async fn an_empty_room_rests_and_makes_no_roll_call() {
    let room = room();
    assert!(room.rests() && room.calls_roll(), "shoppers of a node that has died may wait");
    room.record_request();
    assert!(!room.rests());
    tokio::time::advance(RESTS_AFTER + Duration::from_millis(1)).await;
    assert!(room.rests());
    room.shoppers.enter(&ticket(&room, 1), Browser::Desktop);
    assert!(!room.rests());
    let mut card = SaleCard::clone(&room.card());
    card.status = Status::Closed;
    room.apply(rev(6), Change::Card { card: serde_json::to_string(&card).expect("JSON") });
    assert!(!room.calls_roll(), "places no longer matter");
}

#[test]
fn a_missing_change_is_noticed_and_a_repeated_one_is_not_taken_twice() {
    let room = room();
    let gone = |ordinal| Change::Departed { ordinals: vec![ordinal] };
    assert!(!room.apply(rev(5), gone(1)).gap);
    assert!(!room.apply(rev(6), gone(2)).gap);
    assert_eq!(place(&room, 10), Some(8));
    assert!(room.apply(rev(8), gone(3)).gap);
    assert!(room.apply(Revision { epoch: 2, rev: 1 }, gone(3)).gap, "another epoch");
    assert_eq!(room.revision(), rev(6));
}

#[test]
fn the_numbers_of_a_draw_are_applied_once_and_only_in_its_epoch() {
    let room = room();
    let numbers = Numbers::from_bytes(&[10_u32, 9, 8, 7, 6, 5, 4, 3, 2, 1].map(u32::to_be_bytes).concat());
    room.apply(rev(6), Change::Departed { ordinals: vec![1] });
    room.draw(rev(7), numbers.clone());
    assert_eq!(place(&room, 2), Some(8));
    room.draw(rev(7), numbers.clone());
    assert_eq!(place(&room, 2), Some(8), "the departed ticket has number 10, and is not shuffled again");
    // The database was restored to before the draw while the numbers were read.
    let (revision, card) = (Revision { epoch: 1001, rev: 1 }, SaleCard::clone(&room.card()));
    room.restart(Snapshot { revision, view: LineView::new(1001, 0, 10), card });
    room.draw(rev(7), numbers);
    assert_eq!(place(&room, 2), Some(1));
}

#[test]
fn a_connected_shopper_resumes_a_departed_ticket() {
    let room = room();
    room.shoppers.enter(&ticket(&room, 3), Browser::Desktop);
    let gone = Change::Departed { ordinals: vec![2, 3] };
    assert_eq!(room.apply(rev(6), gone).resume, [ticket(&room, 3)]);
    let lapsed = Change::Moved { cursor: 3, highest: 10, turns: vec![(3, "lapsed".to_owned())] };
    assert_eq!(room.apply(rev(7), lapsed).resume, [ticket(&room, 3)]);
    assert_eq!(room.shoppers.turn(3), Turn::Lapsed);
    assert_eq!(room.wake_up.take(), Pending { moved: true, turns: vec![3], ..Pending::default() });
}

#[test]
fn an_answer_that_changes_have_overtaken_is_discarded() {
    let room = room();
    room.shoppers.enter(&ticket(&room, 1), Browser::Desktop);
    let live =
        r#"{"token":"a.b.c","quantity":1,"claim_by":"2026-11-27T09:00:15Z","expires_at":"2026-11-27T09:02:00Z"}"#;
    let moved = Change::Moved { cursor: 1, highest: 10, turns: vec![(1, live.to_owned())] };
    room.apply(rev(6), moved);
    room.resumed(1, Turn::Waiting, rev(5));
    assert!(matches!(room.shoppers.turn(1), Turn::Now(_)));
    assert_eq!(place(&room, 1), None);

    room.resumed(1, Turn::Waiting, rev(7));
    assert_eq!(room.shoppers.turn(1), Turn::Waiting, "its turn lapsed and comes again");
    assert_eq!(place(&room, 1), Some(0));
}

#[test]
fn a_ticket_that_was_given_at_another_node_has_a_place_though_its_answer_was_overtaken() {
    let room = room();
    room.shoppers.enter(&ticket(&room, 11), Browser::Desktop);
    room.apply(rev(6), Change::Left { ordinals: vec![3] });
    room.resumed(11, Turn::Waiting, rev(5));
    assert_eq!(place(&room, 11), Some(9));
    room.resumed(12, Turn::Waiting, Revision { epoch: 0, rev: 9 });
    assert_eq!(place(&room, 12), None, "of an earlier epoch");
}

#[test]
fn a_change_of_units_wakes_no_tab_and_any_other_wakes_all() {
    let room = room();
    let mut news = room.subscribe();
    let card = |change: fn(&mut SaleCard)| {
        let mut card = SaleCard::clone(&room.card());
        change(&mut card);
        Change::Card { card: serde_json::to_string(&card).expect("JSON") }
    };
    room.apply(rev(6), card(|card| card.remaining = 99));
    assert_eq!(room.card().remaining, 99);
    assert!(!news.has_changed().expect("the room is there") && !room.wake_up.take().news);
    assert_eq!(room.snapshot([], &mut Vec::new()).news, 0);
    room.apply(rev(7), card(|card| card.status = Status::Paused));
    assert!(news.has_changed().expect("the room is there") && room.wake_up.take().news);
    assert_eq!(room.snapshot([], &mut Vec::new()).news, 1);
    news.mark_unchanged();
    room.set_line_reachable(true);
    assert!(!news.has_changed().expect("the room is there"));
    room.set_line_reachable(false);
    assert!(!*news.borrow_and_update());
}
