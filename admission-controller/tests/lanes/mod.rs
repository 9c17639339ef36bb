//! Lanes: lines beside a sale's own that lead to the same stock.

use fairline_admission_token::verify;
use fairline_line::{change::Turn, invitation};
use fairline_sale::{LineOrder, SaleId};
use serde_json::json;

use crate::{record::verified, test_controller::TestController};

async fn promised(controller: &TestController, sale: SaleId) -> u64 {
    controller.show(sale).await["promised"].as_u64().expect("a number")
}

#[tokio::test]
async fn a_lane_has_its_share_of_the_same_stock_and_its_own_order() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 20, "opens_at": "2999-01-01T00:00:00Z" })).await;
    let lane = controller.lane(sale, "vip", 0.25).await;
    let all_tickets = controller.join(sale, 30).await;
    let invited = controller.join(lane, 30).await;
    controller.act(sale, "open").await;
    controller.until("all units to be promised", async || promised(&controller, sale).await == 20).await;
    assert_eq!(controller.admissions(sale).await, (1..=15).collect::<Vec<_>>());
    assert_eq!(controller.admissions(lane).await, (1..=5).collect::<Vec<_>>());

    // Its token is for the sale, and its card names the sale.
    let turn = controller.admitted(&invited[0]).await;
    let claims = verify(&turn.token, &controller.key_set().await, claims_now()).expect("genuine").claims;
    assert_eq!((claims.sale, claims.sub), (sale, invited[0].visitor.to_string()));
    let card = controller.line.snapshot(lane).await.expect("a snapshot").card;
    let shown = controller.show(sale).await;
    let facts = card.lane.expect("a lane");
    assert_eq!((card.id, facts.sale, facts.name.as_str()), (lane, sale, "vip"));
    assert_eq!(json!(card.slug), shown["lanes"][0]["slug"]);
    assert_eq!((&shown["lanes"][0]["admitted"], &shown["lanes"][0]["waiting"]), (&json!(5), &json!(25)));
    // The sale's own figures are those of all its lines.
    assert_eq!((&shown["admitted"], &shown["waiting"], &shown["present"]), (&json!(20), &json!(40), &json!(40)));

    // A returned unit goes to either line, and both are updated when none is left.
    controller.line.leave(&invited[0]).await.expect("left");
    controller
        .until("the next", async || {
            controller.admissions(sale).await.len() + controller.admissions(lane).await.len() == 21
        })
        .await;
    for ticket in all_tickets.iter().chain(&invited) {
        if matches!(controller.turn(ticket).await, Turn::Now(_)) {
            controller.buy(ticket).await;
        }
    }
    controller
        .until("both lines to receive that it is sold out", async || {
            let status = async |line| controller.line.snapshot(line).await.expect("a snapshot").card.status;
            status(sale).await.is_over() && status(lane).await.is_over()
        })
        .await;
    assert_eq!(controller.show(sale).await["sold"], json!(20));
    // The returned unit went to one line or the other.
    let of_sale = controller.admissions(sale).await.len() as u64;
    let redeemed =
        verified(&controller, sale, of_sale).await.redeemed + verified(&controller, lane, 20 - of_sale).await.redeemed;
    assert_eq!(redeemed, 20, "each line has a record of its own");
}

fn claims_now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

#[tokio::test]
async fn a_lane_that_is_added_later_is_served_and_an_empty_one_delays_no_shopper() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 100, "rate_cap_per_s": 200.0 })).await;
    controller.join(sale, 10).await;
    controller.until("the first", async || promised(&controller, sale).await == 10).await;
    let lane = controller.lane(sale, "late", 1.0).await;
    let others = controller.join(sale, 10).await;
    controller.admitted(&others[9]).await;
    let invited = controller.join(lane, 3).await;
    controller.admitted(&invited[2]).await;
    assert_eq!(promised(&controller, sale).await, 23);

    let path = format!("/api/admin/sales/{sale}/lanes/late");
    let (status, shown) = controller.admin("PATCH", &path, Some(&json!({ "share": 0.0 }))).await;
    assert_eq!((status, &shown["lanes"][0]["share"]), (200, &json!(0.0)));
    let invited = controller.join(lane, 1).await;
    controller.admitted(&invited[0]).await;
}

#[tokio::test]
async fn all_lines_of_a_draw_are_drawn_at_once() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 100, "opens_at": "2999-01-01T00:00:00Z", "order": "draw" })).await;
    let lane = controller.lane(sale, "vip", 0.5).await;
    let (all_tickets, invited) = (controller.join(sale, 40).await, controller.join(lane, 10).await);
    controller.act(sale, "open").await;
    controller.admitted(&all_tickets[39]).await;
    controller.admitted(&invited[9]).await;
    for (line, pool) in [(sale, 40), (lane, 10)] {
        let card = controller.line.snapshot(line).await.expect("a snapshot").card;
        let draw = card.draw.expect("a draw");
        assert_eq!((card.order, draw.pool), (LineOrder::Draw, Some(pool)));
        assert!(draw.seed.is_some(), "shown once no ticket can join a draw");
        verified(&controller, line, 0).await;
    }
    let late = json!({ "name": "late", "share": 0.1 });
    let (status, problem) = controller.admin("POST", &format!("/api/admin/sales/{sale}/lanes"), Some(&late)).await;
    assert_eq!(status, 409, "{problem}");
}

#[tokio::test]
async fn invitations_verify_and_invalid_lanes_are_rejected() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({})).await;
    let lane = controller.lane(sale, "vip", 0.3).await;
    let key = controller.line.snapshot(lane).await.expect("a snapshot").card.lane.expect("a lane").key;
    let path = format!("/api/admin/sales/{sale}/lanes");
    let mut numbers = Vec::new();
    for count in [3, 1000] {
        let (status, made) =
            controller.admin("POST", &format!("{path}/vip/invitations"), Some(&json!({ "count": count }))).await;
        assert_eq!(status, 201, "{made}");
        let codes = made["codes"].as_array().expect("codes").iter().filter_map(|code| code.as_str());
        numbers.extend(codes.filter_map(|code| invitation::verify(lane, &key, code)));
    }
    assert_eq!(numbers, (0..1003).collect::<Vec<_>>(), "no number twice");
    assert_eq!(controller.show(sale).await["lanes"][0]["invitations"], json!(1003));

    for (method, path, body, status, slug) in [
        ("POST", path.clone(), json!({ "name": "vip", "share": 0.1 }), 409, "lane-taken"),
        ("POST", path.clone(), json!({ "name": "v i p", "share": 0.1 }), 422, "invalid-body"),
        ("POST", path.clone(), json!({ "name": "v--p", "share": 0.1 }), 422, "invalid-body"),
        ("POST", path.clone(), json!({ "name": "x".repeat(33), "share": 0.1 }), 422, "invalid-body"),
        ("POST", path.clone(), json!({ "name": "press", "share": 1.1 }), 422, "invalid-body"),
        ("POST", path.clone(), json!({ "name": "press", "share": -0.1 }), 422, "invalid-body"),
        ("POST", path.clone(), json!({ "name": "press", "share": 0.8 }), 409, "lane-rejected"),
        (
            "POST",
            format!("/api/admin/sales/{lane}/lanes"),
            json!({ "name": "press", "share": 0.1 }),
            404,
            "sale-not-found",
        ),
        ("PATCH", format!("{path}/vip"), json!({ "share": 2.0 }), 422, "invalid-body"),
        ("PATCH", format!("{path}/press"), json!({ "share": 0.1 }), 404, "lane-not-found"),
        ("POST", format!("{path}/press/invitations"), json!({ "count": 1 }), 404, "lane-not-found"),
        ("POST", format!("{path}/vip/invitations"), json!({ "count": 0 }), 422, "invalid-body"),
        ("POST", format!("{path}/vip/invitations"), json!({ "count": 1001 }), 422, "invalid-body"),
    ] {
        let (got, problem) = controller.admin(method, &path, Some(&body)).await;
        assert_eq!(got, status, "{path} {body}: {problem}");
        assert!(problem["type"].as_str().is_some_and(|kind| kind.ends_with(slug)), "{problem}");
    }
    for at in 0..6 {
        controller.lane(sale, &format!("lane-{at}"), 0.1).await;
    }
    let eighth = json!({ "name": "eighth", "share": 0.0 });
    let (status, problem) = controller.admin("POST", &path, Some(&eighth)).await;
    assert_eq!(status, 409, "{problem}");
    controller.act(sale, "close").await;
    let (status, problem) = controller.admin("POST", &path, Some(&eighth)).await;
    assert_eq!(status, 409, "{problem}");
}
