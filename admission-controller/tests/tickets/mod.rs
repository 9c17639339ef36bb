//! What operators do to a running sale, ticket by ticket.

use fairline_line::{change::Turn, ticket::Ticket};
use fairline_sale::SaleId;
use serde_json::{Value, json};

use super::{
    desk::Desk,
    record::{FAR_AWAY, record, replay},
};

async fn moves(desk: &Desk, sale: SaleId, ticket: u64, how: &str, reason: &str) -> (u16, Value) {
    let path = format!("/api/admin/sales/{sale}/tickets/{ticket}/{how}");
    desk.admin("POST", &path, Some(&json!({ "reason": reason }))).await
}

async fn ahead(desk: &Desk, ticket: &Ticket) -> Option<u64> {
    let snapshot = desk.line.snapshot(ticket.sale).await.expect("a snapshot");
    snapshot.view.place(ticket.ordinal).map(|place| place.ahead)
}

#[tokio::test]
async fn a_ticket_that_is_removed_is_told_and_all_behind_move_up() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "slug": "tidy", "total": 10, "opens_at": FAR_AWAY })).await;
    let tickets = desk.join(sale, 4).await;
    assert_eq!(ahead(&desk, &tickets[3]).await, Some(3));
    assert_eq!(moves(&desk, sale, 2, "remove", " ").await.0, 422);
    assert_eq!(moves(&desk, sale, 9, "remove", "a robot").await.0, 404);
    let (status, moved) = moves(&desk, sale, 2, "remove", "a robot").await;
    assert_eq!((status, &moved["ordinal"]), (202, &json!(2)));
    desk.until("the ticket to be told", async || desk.turn(&tickets[1]).await == Turn::Removed).await;
    assert_eq!((ahead(&desk, &tickets[1]).await, ahead(&desk, &tickets[3]).await), (None, Some(2)));
    assert_eq!(moves(&desk, sale, 2, "remove", "twice").await.0, 409);
    assert_eq!(desk.turn(&tickets[1]).await, Turn::Removed, "coming back does not help");

    desk.act(sale, "open").await;
    desk.admitted(&tickets[3]).await;
    assert_eq!(desk.admissions(sale).await, [1, 3, 4]);
    assert_eq!(moves(&desk, sale, 3, "remove", "too late").await.0, 409, "it has a token");
    let verdict = replay(&record(&desk, sale).await, None).expect("honest");
    assert_eq!((verdict.removed, verdict.admitted, verdict.preferred), (1, 3, 0));
    let (_, audit) = desk.admin("GET", "/api/admin/audit", None).await;
    let entry =
        audit["entries"].as_array().and_then(|all| all.iter().find(|entry| entry["action"] == json!("remove_ticket")));
    let entry = entry.expect("noted");
    assert_eq!(
        (&entry["reason"], &entry["after"]["ticket"], &entry["subject"]),
        (&json!("a robot"), &json!(2), &json!("tidy"))
    );
}

#[tokio::test]
async fn who_was_removed_stays_so_when_redis_has_forgotten_the_line() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "opens_at": FAR_AWAY })).await;
    let tickets = desk.join(sale, 3).await;
    moves(&desk, sale, 2, "remove", "a robot").await;
    desk.until("the ticket to be told", async || desk.turn(&tickets[1]).await == Turn::Removed).await;
    desk.redis(&format!("DEL fairline:{{{sale}}}:line fairline:{{{sale}}}:turns")).await;
    desk.until("the line to begin anew", async || {
        desk.line.snapshot(sale).await.is_ok_and(|snapshot| snapshot.view.epoch() == 2)
    })
    .await;
    desk.until("the ticket to be told again", async || desk.turn(&tickets[1]).await == Turn::Removed).await;
    assert_eq!(desk.turn(&tickets[2]).await, Turn::Waiting);
}

#[tokio::test]
async fn a_ticket_that_is_preferred_is_served_first_and_the_record_says_so() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 4 })).await;
    desk.act(sale, "pause").await;
    let tickets = desk.join(sale, 6).await;
    assert_eq!(moves(&desk, sale, 5, "prefer", "our mistake").await.0, 202);
    desk.act(sale, "resume").await;
    desk.admitted(&tickets[4]).await;
    desk.until_decided(sale, "every unit is taken for now").await;
    let mut admitted = desk.admissions(sale).await;
    assert_eq!(admitted[0], 5);
    admitted.sort_unstable();
    assert_eq!(admitted, [1, 2, 3, 5]);
    desk.until("the place of the last to be right", async || ahead(&desk, &tickets[5]).await == Some(1)).await;

    // The stock is gone: whoever is preferred now is served next, and not before there is a unit.
    assert_eq!(moves(&desk, sale, 6, "prefer", "a friend").await.0, 202);
    assert_eq!(desk.turn(&tickets[5]).await, Turn::Waiting);
    desk.line.leave(&tickets[0]).await.expect("left");
    desk.admitted(&tickets[5]).await;
    assert_eq!(desk.turn(&tickets[3]).await, Turn::Waiting);
    let verdict = replay(&record(&desk, sale).await, None).expect("honest");
    assert_eq!((verdict.preferred, verdict.admitted), (2, 5));
    let (_, report) = desk.admin("GET", &format!("/api/admin/sales/{sale}/report"), None).await;
    assert_eq!((&report["fairness"]["preferred"], &report["fairness"]["out_of_order"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn more_are_let_in_at_once_above_the_rate_and_never_above_the_stock() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 5, "rate_cap_per_s": 0.001, "inside_max": 1 })).await;
    let path = format!("/api/admin/sales/{sale}/admit");
    desk.join(sale, 9).await;
    assert_eq!(desk.admin("POST", &path, Some(&json!({ "count": 0 }))).await.0, 422);
    assert_eq!(desk.admin("POST", &path, Some(&json!({ "count": 3 }))).await.0, 200);
    desk.until("three to be let in", async || desk.admissions(sale).await.len() >= 3).await;
    desk.ticks(sale, 3).await;
    assert!(desk.admissions(sale).await.len() <= 4, "the rate, and the three");
    desk.admin("POST", &path, Some(&json!({ "count": 100 }))).await;
    desk.until("every unit to be promised", async || desk.show(sale).await["promised"] == json!(5)).await;
    // What there was no unit for is forgotten.
    desk.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "total": 9 }))).await;
    desk.ticks(sale, 3).await;
    assert_eq!(desk.admissions(sale).await.len(), 5);
    desk.act(sale, "pause").await;
    assert_eq!(desk.admin("POST", &path, Some(&json!({ "count": 1 }))).await.0, 409);
}

#[tokio::test]
async fn what_two_operators_want_in_at_once_adds_up_and_a_pause_forgets_it() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 30, "rate_cap_per_s": 0.001 })).await;
    let path = format!("/api/admin/sales/{sale}/admit");
    desk.join(sale, 30).await;
    desk.until("the line to be seen", async || desk.show(sale).await["waiting"] != json!(0)).await;
    let before = desk.admissions(sale).await.len();
    // No tick comes in between: the lock of the sale is taken, and both wait for it.
    let mut lock = desk.pool.begin().await.expect("begun");
    sqlx::query("SELECT FROM lines WHERE id = $1 FOR UPDATE").bind(sale.0).execute(&mut *lock).await.expect("locked");
    let ten = json!({ "count": 10 });
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let let_go = async {
        desk.until("both to wait", async || {
            sqlx::query_scalar::<_, i64>(waiting).fetch_one(&desk.pool).await.expect("read") == 2
        })
        .await;
        lock.rollback().await.expect("let go");
    };
    let (one, other, ()) =
        tokio::join!(desk.admin("POST", &path, Some(&ten)), desk.admin("POST", &path, Some(&ten)), let_go);
    assert_eq!((one.0, other.0), (200, 200));
    desk.until("all twenty to be let in", async || desk.admissions(sale).await.len() >= before + 20).await;

    // What a tick has not served when the sale is paused does not rush in when it goes on.
    sqlx::query("UPDATE lines SET admit_now = 5 WHERE id = $1").bind(sale.0).execute(&desk.pool).await.expect("set");
    desk.act(sale, "pause").await;
    let left: i32 = sqlx::query_scalar("SELECT admit_now FROM lines WHERE id = $1")
        .bind(sale.0)
        .fetch_one(&desk.pool)
        .await
        .expect("read");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_ticket_that_comes_again_is_one_in_the_picture_and_in_the_report() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 1, "claim_window_s": 600 })).await;
    let tickets = desk.join(sale, 1).await;
    desk.admitted(&tickets[0]).await;
    let revoke = format!("/api/admin/sales/{sale}/revoke");
    assert_eq!(desk.admin("POST", &revoke, Some(&json!({ "reason": "a leak" }))).await.1["revoked"], json!(1));
    desk.until("the turn to come again", async || {
        matches!(desk.turn(&tickets[0]).await, Turn::Now(_)) && desk.admissions(sale).await.len() == 2
    })
    .await;
    let report = desk.admin("GET", &format!("/api/admin/sales/{sale}/report"), None).await.1;
    assert_eq!((&desk.show(sale).await["admitted"], &report["funnel"]["admitted"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn revoked_tokens_lapse_and_their_shoppers_are_served_first_again() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 2, "claim_window_s": 600 })).await;
    let tickets = desk.join(sale, 3).await;
    let first = desk.admitted(&tickets[0]).await;
    desk.admitted(&tickets[1]).await;
    desk.line.claim(&tickets[0]).await.expect("claimed");
    desk.act(sale, "pause").await;
    let (status, revoked) =
        desk.admin("POST", &format!("/api/admin/sales/{sale}/revoke"), Some(&json!({ "reason": "a leak" }))).await;
    assert_eq!((status, &revoked["revoked"]), (200, &json!(2)));
    assert_eq!(desk.show(sale).await["promised"], json!(0));
    desk.until("the turns to be over", async || desk.turn(&tickets[0]).await == Turn::Waiting).await;
    desk.until("both to wait again", async || desk.turn(&tickets[1]).await == Turn::Waiting).await;
    desk.act(sale, "resume").await;
    let again = desk.admitted(&tickets[0]).await;
    assert_ne!(first.token, again.token);
    desk.admitted(&tickets[1]).await;
    assert_eq!(desk.turn(&tickets[2]).await, Turn::Waiting);
    replay(&record(&desk, sale).await, None).expect("honest");
}

#[tokio::test]
async fn a_sale_has_a_look_of_its_own_if_that_can_be_read() {
    let desk = Desk::open().await;
    let look = json!({ "accent": "#7a0019", "waiting_text": "Tea is ready." });
    let sale = desk.sale(json!({ "look": look, "time_zone": "Europe/Berlin" })).await;
    let shown = desk.show(sale).await;
    assert_eq!((&shown["look"], &shown["time_zone"]), (&look, &json!("Europe/Berlin")));
    let card = desk.line.snapshot(sale).await.expect("a snapshot").card;
    assert_eq!(card.look.waiting_text.as_deref(), Some("Tea is ready."));
    let path = format!("/api/admin/sales/{sale}");
    let change = async |look: Value| desk.admin("PATCH", &path, Some(&json!({ "look": look }))).await;
    let (status, problem) = change(json!({ "accent": "#ffee00" })).await;
    assert_eq!((status, &problem["field"]), (422, &json!("accent")));
    assert_eq!(change(json!({ "accent": "red" })).await.0, 422);
    assert_eq!(change(json!({ "paper": "#ffffff" })).await.1["look"], json!({ "paper": "#ffffff" }));
}
