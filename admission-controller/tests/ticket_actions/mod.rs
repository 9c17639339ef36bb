//! What operators do to the tickets of a running sale.

use fairline_line::{change::Turn, ticket::Ticket};
use fairline_sale::SaleId;
use serde_json::{Value, json};

use super::{
    record::{FAR_AWAY, record, replay},
    test_controller::TestController,
};

async fn moves(controller: &TestController, sale: SaleId, ticket: u64, how: &str, reason: &str) -> (u16, Value) {
    let path = format!("/api/admin/sales/{sale}/tickets/{ticket}/{how}");
    controller.admin("POST", &path, Some(&json!({ "reason": reason }))).await
}

async fn ahead(controller: &TestController, ticket: &Ticket) -> Option<u64> {
    let snapshot = controller.line.snapshot(ticket.sale).await.expect("a snapshot");
    snapshot.view.place(ticket.ordinal).map(|place| place.ahead)
}

#[tokio::test]
async fn a_removed_ticket_is_notified_and_all_behind_it_move_up() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "slug": "tidy", "total": 10, "opens_at": FAR_AWAY })).await;
    let tickets = controller.join(sale, 4).await;
    assert_eq!(ahead(&controller, &tickets[3]).await, Some(3));
    assert_eq!(moves(&controller, sale, 2, "remove", " ").await.0, 422);
    assert_eq!(moves(&controller, sale, 9, "remove", "a robot").await.0, 404);
    let (status, moved) = moves(&controller, sale, 2, "remove", "a robot").await;
    assert_eq!((status, &moved["ordinal"]), (202, &json!(2)));
    controller.until("the removal to be published", async || controller.turn(&tickets[1]).await == Turn::Removed).await;
    assert_eq!((ahead(&controller, &tickets[1]).await, ahead(&controller, &tickets[3]).await), (None, Some(2)));
    assert_eq!(moves(&controller, sale, 2, "remove", "twice").await.0, 409);
    assert_eq!(controller.turn(&tickets[1]).await, Turn::Removed, "coming back does not help");

    controller.act(sale, "open").await;
    controller.admitted(&tickets[3]).await;
    assert_eq!(controller.admissions(sale).await, [1, 3, 4]);
    assert_eq!(moves(&controller, sale, 3, "remove", "too late").await.0, 409, "it has a token");
    let verdict = replay(&record(&controller, sale).await, None).expect("honest");
    assert_eq!((verdict.removed, verdict.admitted, verdict.preferred), (1, 3, 0));
    let (_, audit) = controller.admin("GET", "/api/admin/audit", None).await;
    let entry =
        audit["entries"].as_array().and_then(|all| all.iter().find(|entry| entry["action"] == json!("remove_ticket")));
    let entry = entry.expect("noted");
    assert_eq!(
        (&entry["reason"], &entry["after"]["ticket"], &entry["subject"]),
        (&json!("a robot"), &json!(2), &json!("tidy"))
    );
}

#[tokio::test]
async fn a_removed_ticket_stays_removed_after_a_loss_of_redis() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "opens_at": FAR_AWAY })).await;
    let tickets = controller.join(sale, 3).await;
    moves(&controller, sale, 2, "remove", "a robot").await;
    controller.until("the removal to be published", async || controller.turn(&tickets[1]).await == Turn::Removed).await;
    controller.redis(&format!("DEL fairline:{{{sale}}}:line fairline:{{{sale}}}:turns")).await;
    controller
        .until("the line to restart", async || {
            controller.line.snapshot(sale).await.is_ok_and(|snapshot| snapshot.view.epoch() == 2)
        })
        .await;
    controller
        .until("the removal to be published again", async || controller.turn(&tickets[1]).await == Turn::Removed)
        .await;
    assert_eq!(controller.turn(&tickets[2]).await, Turn::Waiting);
}

#[tokio::test]
async fn a_preferred_ticket_is_served_first_and_the_record_shows_it() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 4 })).await;
    controller.act(sale, "pause").await;
    let tickets = controller.join(sale, 6).await;
    assert_eq!(moves(&controller, sale, 5, "prefer", "our mistake").await.0, 202);
    controller.act(sale, "resume").await;
    controller.admitted(&tickets[4]).await;
    controller.until_decided(sale, "no unit is free").await;
    let mut admitted = controller.admissions(sale).await;
    assert_eq!(admitted[0], 5);
    admitted.sort_unstable();
    assert_eq!(admitted, [1, 2, 3, 5]);
    controller
        .until("the place of the last to be right", async || ahead(&controller, &tickets[5]).await == Some(1))
        .await;

    // The stock is gone: a preferred ticket is served next, as soon as a unit is free.
    assert_eq!(moves(&controller, sale, 6, "prefer", "a friend").await.0, 202);
    assert_eq!(controller.turn(&tickets[5]).await, Turn::Waiting);
    controller.line.leave(&tickets[0]).await.expect("left");
    controller.admitted(&tickets[5]).await;
    assert_eq!(controller.turn(&tickets[3]).await, Turn::Waiting);
    let verdict = replay(&record(&controller, sale).await, None).expect("honest");
    assert_eq!((verdict.preferred, verdict.admitted), (2, 5));
    let (_, report) = controller.admin("GET", &format!("/api/admin/sales/{sale}/report"), None).await;
    assert_eq!((&report["fairness"]["preferred"], &report["fairness"]["out_of_order"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn extra_admissions_exceed_the_rate_but_never_the_stock() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 5, "rate_cap_per_s": 0.001, "in_checkout_max": 1 })).await;
    let path = format!("/api/admin/sales/{sale}/admit");
    controller.join(sale, 9).await;
    assert_eq!(controller.admin("POST", &path, Some(&json!({ "count": 0 }))).await.0, 422);
    assert_eq!(controller.admin("POST", &path, Some(&json!({ "count": 3 }))).await.0, 200);
    controller.until("three to be let in", async || controller.admissions(sale).await.len() >= 3).await;
    controller.ticks(sale, 3).await;
    assert!(controller.admissions(sale).await.len() <= 4, "the rate, and the three");
    controller.admin("POST", &path, Some(&json!({ "count": 100 }))).await;
    controller.until("every unit to be promised", async || controller.show(sale).await["promised"] == json!(5)).await;
    // Extra admissions without a unit are dropped.
    controller.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "total": 9 }))).await;
    controller.ticks(sale, 3).await;
    assert_eq!(controller.admissions(sale).await.len(), 5);
    controller.act(sale, "pause").await;
    assert_eq!(controller.admin("POST", &path, Some(&json!({ "count": 1 }))).await.0, 409);
}

#[tokio::test]
async fn extra_admissions_of_two_operators_add_up_and_end_with_a_pause() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 30, "rate_cap_per_s": 0.001 })).await;
    let path = format!("/api/admin/sales/{sale}/admit");
    controller.join(sale, 30).await;
    controller.until("the line to be seen", async || controller.show(sale).await["waiting"] != json!(0)).await;
    let before = controller.admissions(sale).await.len();
    // No tick comes in between: the lock of the sale is taken, and both wait for it.
    let mut lock = controller.pool.begin().await.expect("begun");
    sqlx::query("SELECT FROM lines WHERE id = $1 FOR UPDATE").bind(sale.0).execute(&mut *lock).await.expect("locked");
    let ten = json!({ "count": 10 });
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let let_go = async {
        controller
            .until("both to wait", async || {
                sqlx::query_scalar::<_, i64>(waiting).fetch_one(&controller.pool).await.expect("read") == 2
            })
            .await;
        lock.rollback().await.expect("let go");
    };
    let (one, other, ()) =
        tokio::join!(controller.admin("POST", &path, Some(&ten)), controller.admin("POST", &path, Some(&ten)), let_go);
    assert_eq!((one.0, other.0), (200, 200));
    controller.until("all twenty to be let in", async || controller.admissions(sale).await.len() >= before + 20).await;

    // Extra admissions that are left when the sale pauses are not made after it resumes.
    sqlx::query("UPDATE lines SET admit_now = 5 WHERE id = $1")
        .bind(sale.0)
        .execute(&controller.pool)
        .await
        .expect("set");
    controller.act(sale, "pause").await;
    let left: i32 = sqlx::query_scalar("SELECT admit_now FROM lines WHERE id = $1")
        .bind(sale.0)
        .fetch_one(&controller.pool)
        .await
        .expect("read");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_ticket_that_is_admitted_again_counts_once_in_the_console_and_the_report() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 1, "claim_window_s": 600 })).await;
    let tickets = controller.join(sale, 1).await;
    controller.admitted(&tickets[0]).await;
    let revoke = format!("/api/admin/sales/{sale}/revoke");
    assert_eq!(controller.admin("POST", &revoke, Some(&json!({ "reason": "a leak" }))).await.1["revoked"], json!(1));
    controller
        .until("the turn to come again", async || {
            matches!(controller.turn(&tickets[0]).await, Turn::Now(_)) && controller.admissions(sale).await.len() == 2
        })
        .await;
    let report = controller.admin("GET", &format!("/api/admin/sales/{sale}/report"), None).await.1;
    assert_eq!((&controller.show(sale).await["admitted"], &report["funnel"]["admitted"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn revoked_tokens_lapse_and_their_shoppers_are_served_first_again() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 2, "claim_window_s": 600 })).await;
    let tickets = controller.join(sale, 3).await;
    let first = controller.admitted(&tickets[0]).await;
    controller.admitted(&tickets[1]).await;
    controller.line.claim(&tickets[0]).await.expect("claimed");
    controller.act(sale, "pause").await;
    let (status, revoked) = controller
        .admin("POST", &format!("/api/admin/sales/{sale}/revoke"), Some(&json!({ "reason": "a leak" })))
        .await;
    assert_eq!((status, &revoked["revoked"]), (200, &json!(2)));
    assert_eq!(controller.show(sale).await["promised"], json!(0));
    controller.until("the turns to be over", async || controller.turn(&tickets[0]).await == Turn::Waiting).await;
    controller.until("both to wait again", async || controller.turn(&tickets[1]).await == Turn::Waiting).await;
    controller.act(sale, "resume").await;
    let again = controller.admitted(&tickets[0]).await;
    assert_ne!(first.token, again.token);
    controller.admitted(&tickets[1]).await;
    assert_eq!(controller.turn(&tickets[2]).await, Turn::Waiting);
    replay(&record(&controller, sale).await, None).expect("honest");
}

#[tokio::test]
async fn a_sale_has_its_own_theme_if_it_is_legible() {
    let controller = TestController::open().await;
    let theme = json!({ "accent": "#7a0019", "waiting_text": "Tea is ready." });
    let sale = controller.sale(json!({ "theme": theme, "time_zone": "Europe/Berlin" })).await;
    let shown = controller.show(sale).await;
    assert_eq!((&shown["theme"], &shown["time_zone"]), (&theme, &json!("Europe/Berlin")));
    let card = controller.line.snapshot(sale).await.expect("a snapshot").card;
    assert_eq!(card.theme.waiting_text.as_deref(), Some("Tea is ready."));
    let path = format!("/api/admin/sales/{sale}");
    let change = async |theme: Value| controller.admin("PATCH", &path, Some(&json!({ "theme": theme }))).await;
    let (status, problem) = change(json!({ "accent": "#ffee00" })).await;
    assert_eq!((status, &problem["field"]), (422, &json!("accent")));
    assert_eq!(change(json!({ "accent": "red" })).await.0, 422);
    assert_eq!(change(json!({ "paper": "#ffffff" })).await.1["theme"], json!({ "paper": "#ffffff" }));
}
