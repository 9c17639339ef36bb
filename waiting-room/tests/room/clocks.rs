//! A node whose clock is off (libfaketime): its clock decides neither places nor turns.

use serde_json::json;

use crate::support::TestWaitingRoom;

#[tokio::test]
async fn a_node_with_a_wrong_clock_gives_places_and_turns() {
    let mut room = TestWaitingRoom::open().await;
    for (ordinal, ahead_s) in [(1, 400), (2, -400)] {
        let (node, _program) = room.node_with_clock(ahead_s).await;
        let mut shopper = node.join().await;
        let place = shopper.receive("place").await;
        assert_eq!((&place["ordinal"], &place["place"]), (&json!(ordinal), &json!(0)), "{ahead_s}");
        let mut again = node.resume(&shopper.cookie).await;
        assert_eq!(again.receive("place").await["ordinal"], json!(ordinal), "{ahead_s}");
        room.admit(1).await;
        let turn = shopper.receive("turn").await;
        assert_eq!(turn["token"], json!(format!("token.of.{ordinal}")), "{ahead_s}");
        shopper.send(json!({ "type": "claim" })).await;
        room.wait_for_claim(ordinal).await;
    }
}
