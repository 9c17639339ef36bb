//! The record that the controller writes, read over HTTP and replayed; and the draw, which it
//! proves.

use std::collections::BTreeSet;

use fairline_line::{change::Turn, ticket::Ticket};
use fairline_private_servers::testing::Servers;
use fairline_record::{
    Hash,
    draw::{self, Draw},
    entry::{Entry, RecordEvent},
    verify::{Holder, InvalidRecord, Verdict, Verifier},
};
use fairline_sale::{LineOrder, SaleId, Status, VisitorId};
use fairline_server::Shutdown;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::test_controller::TestController;

pub const FAR_AWAY: &str = "2999-01-01T00:00:00Z";

/// Reads a public resource, again as long as the rate limit rejects it.
async fn read(controller: &TestController, path: &str) -> String {
    let mut read = String::new();
    controller
        .until("a response", async || {
            let (status, body) = controller.read(path).await;
            read = body;
            assert!(status == 200 || status == 429, "{status} {read}");
            status == 200
        })
        .await;
    read
}

pub async fn record(controller: &TestController, sale: SaleId) -> Vec<String> {
    read(controller, &format!("/api/flash-sales/{sale}/record")).await.lines().map(str::to_owned).collect()
}

async fn show(controller: &TestController, sale: SaleId) -> Value {
    let mut shown = Value::Null;
    controller
        .until("the sale to be shown", async || {
            shown = controller.show(sale).await;
            shown["id"] != Value::Null
        })
        .await;
    shown
}

pub fn replay(lines: &[String], holder: Option<Holder>) -> Result<Verdict, InvalidRecord> {
    let mut verifier = Verifier::new(holder, Vec::new());
    lines.iter().try_for_each(|line| verifier.take(line))?;
    verifier.finish()
}

/// The verdict on the record of a sale, once it has this many redeemed turns.
pub async fn verified(controller: &TestController, sale: SaleId, redeemed: u64) -> Verdict {
    let mut verdict = None;
    controller
        .until("the record to be complete", async || {
            let lines = record(controller, sale).await;
            let seen = replay(&lines, None).unwrap_or_else(|fault| panic!("{fault}\n{}", lines.join("\n")));
            let enough = seen.redeemed >= redeemed;
            verdict = Some(seen);
            enough
        })
        .await;
    verdict.expect("looked at")
}

fn holder(ticket: &Ticket) -> Option<Holder> {
    Some(Holder { ordinal: ticket.ordinal, visitor: ticket.visitor })
}

async fn story(controller: &TestController, ticket: &Ticket) -> Vec<String> {
    let verdict = replay(&record(controller, ticket.sale).await, holder(ticket)).expect("honest");
    verdict.story.into_iter().map(|event| event.2).collect()
}

#[tokio::test]
async fn what_happens_in_a_line_is_in_its_record_and_every_ticket_finds_itself() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 2, "claim_window_s": 1, "opens_at": FAR_AWAY })).await;
    let tickets = controller.join(sale, 5).await;
    controller.line.leave(&tickets[1]).await.expect("left");
    controller.act(sale, "open").await;
    controller.admitted(&tickets[0]).await;
    controller.buy(&tickets[0]).await;
    // The third and the fourth let their turns lapse; the third comes back, and is served before
    // the fifth.
    controller.admitted(&tickets[2]).await;
    controller.until("a lapse", async || controller.turn(&tickets[2]).await == Turn::Waiting).await;
    controller.admitted(&tickets[2]).await;
    controller.buy(&tickets[2]).await;

    let verdict = verified(&controller, sale, 2).await;
    assert_eq!((verdict.sale, verdict.order, verdict.status), (sale, LineOrder::Fifo, Status::Open));
    assert_eq!((verdict.joined, verdict.losses, verdict.pool), (5, 0, None));
    assert_eq!(story(&controller, &tickets[0]).await, ["joined", "was admitted", "used its turn"]);
    assert_eq!(story(&controller, &tickets[1]).await, ["joined", "left"]);
    let third = story(&controller, &tickets[2]).await;
    assert!(
        third.iter().any(|event| event.contains("lapse")) && third.last().is_some_and(|event| event == "used its turn"),
        "{third:?}"
    );

    // The receipt of another ticket does not match, and the record reveals no identity.
    let lines = record(&controller, sale).await;
    let thief = Holder { ordinal: 1, visitor: tickets[1].visitor };
    assert!(replay(&lines, Some(thief)).expect_err("another's ticket").why.contains("another visitor's"));
    assert!(tickets.iter().all(|ticket| !lines.join("").contains(&ticket.visitor.to_string())));

    // The head is public, and a part of the record can be requested.
    let card = show(&controller, sale).await;
    let last = Entry::from_line(lines.last().expect("an entry")).expect("an entry").head;
    assert_eq!(card["record"], serde_json::to_value(last).expect("JSON"));
    let rest = read(&controller, &format!("/api/flash-sales/{sale}/record?after={}", last.seq - 2)).await;
    assert_eq!(rest.lines().collect::<Vec<_>>(), lines[lines.len() - 2..]);
    for unknown in [uuid::Uuid::nil().to_string(), "first-drop".to_owned()] {
        assert_eq!(controller.read(&format!("/api/flash-sales/{unknown}/record")).await.0, 404);
    }
}

#[tokio::test]
async fn the_database_rejects_changes_of_a_record() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({})).await;
    controller.join(sale, 1).await;
    verified(&controller, sale, 0).await;
    for change in ["UPDATE record_entries SET body = '{}'", "DELETE FROM record_entries"] {
        let refused = sqlx::query(change).execute(&controller.pool).await.expect_err(change);
        let constraint = refused.as_database_error().and_then(|error| error.constraint()).map(str::to_owned);
        assert_eq!(constraint.as_deref(), Some("record_entries_are_append_only"));
    }
}

#[tokio::test]
async fn a_crowd_that_two_controllers_admit_is_recorded_in_one_chain() {
    let controller = TestController::open().await;
    let (second, third) = (Shutdown::new(), Shutdown::new());
    controller.another_controller(&second).await;
    controller.another_controller(&third).await;
    let sale = controller.sale(json!({ "total": 60, "rate_cap_per_s": 200.0 })).await;
    for _ in 0..20 {
        let tickets = controller.join(sale, 100).await;
        for ticket in tickets.iter().step_by(3) {
            controller.line.leave(ticket).await.expect("left");
        }
    }
    third.trigger();
    controller.until_decided(sale, "no unit is free").await;
    controller.until("the record to have all", async || verified(&controller, sale, 0).await.joined == 2000).await;
    // More than the stock: when an admitted shopper leaves, the unit goes to another.
    assert!(verified(&controller, sale, 0).await.admitted >= 60);
    second.trigger();
}

/// The order that the published facts of a sale prescribe, computed from nothing else
/// and the record.
async fn prescribed(controller: &TestController, sale: SaleId) -> Draw {
    let card = show(controller, sale).await;
    let seed: Hash = card["draw"]["seed"].as_str().expect("a seed").parse().expect("64 digits");
    assert_eq!(card["draw"]["commitment"], json!(draw::commitment(&seed.0).to_string()));
    let pool = card["draw"]["pool"].as_u64().expect("a pool");
    let lines = record(controller, sale).await;
    let entries: Vec<Entry> = lines.iter().map(|line| Entry::from_line(line).expect("an entry")).collect();
    let drawn = |entry: &Entry| matches!(entry.read().expect("a body").event, RecordEvent::Drawn { .. });
    let at = entries.iter().position(drawn).expect("the draw");
    Draw::new(draw::key(&seed.0, entries[at - 1].head.hash), pool).expect("small")
}

#[tokio::test]
async fn a_draw_shuffles_those_who_joined_before_the_opening_and_is_proven_afterwards() {
    let controller = TestController::open().await;
    let second = Shutdown::new();
    controller.another_controller(&second).await;
    let sale = controller.sale(json!({ "total": 40, "order": "draw", "opens_at": FAR_AWAY })).await;
    let early = controller.join(sale, 30).await;
    let before = show(&controller, sale).await;
    assert_eq!(
        (&before["order"], &before["draw"]["seed"], &before["draw"]["pool"]),
        (&json!("draw"), &json!(null), &json!(null))
    );
    controller.line.leave(&early[4]).await.expect("left");

    controller.act(sale, "open").await;
    controller.until("the draw", async || show(&controller, sale).await["draw"]["pool"] != json!(null)).await;
    let late = controller.join(sale, 20).await;
    controller.until_decided(sale, "no unit is free").await;
    assert_eq!(show(&controller, sale).await["draw"]["commitment"], before["draw"]["commitment"]);

    let draw = prescribed(&controller, sale).await;
    assert_eq!(draw.pool(), 30);
    let drawn = (1..=30).map(|number| draw.ordinal_at(number)).filter(|&ordinal| ordinal != 5);
    let order: Vec<u64> = drawn.chain(late.iter().map(|ticket| ticket.ordinal)).take(40).collect();
    assert_eq!(admitted_in_order(&record(&controller, sale).await), order);
    assert_ne!(order[..29], (1..=30).filter(|&ordinal| ordinal != 5).collect::<Vec<_>>(), "a shuffle");
    let verdict = verified(&controller, sale, 0).await;
    assert_eq!((verdict.pool, verdict.admitted), (Some(30), 40));
    assert!(story(&controller, &early[0]).await.iter().any(|event| event.starts_with("drew number ")));
    second.trigger();
}

#[tokio::test]
async fn a_draw_includes_tickets_that_joined_after_a_tick_that_could_not_commit_it() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 3, "order": "draw", "opens_at": FAR_AWAY })).await;
    controller.join(sale, 2).await;
    // As a controller does that fails before it commits the draw.
    assert_eq!(controller.line.close_pool(sale).await, Ok(2));
    controller.join(sale, 1).await;
    controller.until("the record to contain all", async || verified(&controller, sale, 0).await.joined == 3).await;
    controller.act(sale, "open").await;
    controller.until("all to be admitted", async || controller.admissions(sale).await.len() == 3).await;
    assert_eq!((prescribed(&controller, sale).await.pool(), verified(&controller, sale, 0).await.pool), (3, Some(3)));
}

fn admitted_in_order(lines: &[String]) -> Vec<u64> {
    let read = |line: &String| Entry::from_line(line).expect("an entry").read().expect("a body").event;
    let admitted = |event| if let RecordEvent::Admitted { ordinals, .. } = event { ordinals } else { Vec::new() };
    lines.iter().flat_map(|line| admitted(read(line))).collect()
}

async fn lose_redis(mut servers: Servers) -> Servers {
    spawn_blocking(move || {
        servers.redis.kill().expect("killed");
        servers.redis.restart_empty().expect("restarted");
        servers
    })
    .await
    .expect("no panic")
}

#[tokio::test]
async fn a_draw_keeps_its_order_through_a_loss_of_redis_before_and_after_it() {
    let servers = spawn_blocking(|| Servers::start().expect("a Redis of its own")).await.expect("no panic");
    let controller = TestController::open_at(&servers.redis.url()).await;
    let sale =
        controller.sale(json!({ "total": 6, "order": "draw", "opens_at": FAR_AWAY, "rate_cap_per_s": 100000.0 })).await;
    let first = controller.join(sale, 12).await;
    verified(&controller, sale, 0).await;

    let epoch = async || controller.line.revision(sale).await.map(|at| at.epoch);
    let before = epoch().await.expect("read");
    let servers = lose_redis(servers).await;
    controller.until("a new epoch", async || epoch().await.is_ok_and(|epoch| epoch > before)).await;
    // All of the first are back but one, and others join: all of them are in the draw.
    for ticket in first.iter().filter(|ticket| ticket.ordinal != 3) {
        assert_eq!(controller.turn(ticket).await, Turn::Waiting);
    }
    let others = controller.join(sale, 12).await;
    assert!(others[0].ordinal > 100_000);
    controller.act(sale, "open").await;
    controller.until("six to be let in", async || controller.admissions(sale).await.len() == 6).await;
    let draw = prescribed(&controller, sale).await;
    let mut all_tickets: Vec<u64> =
        first.iter().chain(&others).map(|ticket| ticket.ordinal).filter(|&o| o != 3).collect();
    all_tickets.sort_unstable_by_key(|&ordinal| draw.number_of(ordinal));
    assert_eq!(admitted_in_order(&record(&controller, sale).await), all_tickets[..6]);

    // Lost again: recalled tickets keep the drawn order, and come before new ones.
    let before = epoch().await.expect("read");
    let servers = lose_redis(servers).await;
    controller.until("a new epoch", async || epoch().await.is_ok_and(|epoch| epoch > before)).await;
    let newcomers = controller.join(sale, 3).await;
    let known: BTreeSet<u64> = all_tickets.iter().copied().collect();
    for ticket in first.iter().chain(&others).filter(|ticket| known.contains(&ticket.ordinal)) {
        controller.turn(ticket).await;
    }
    controller.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "total": 10 }))).await;
    controller.until("four more", async || controller.admissions(sale).await.len() == 10).await;
    assert_eq!(admitted_in_order(&record(&controller, sale).await), all_tickets[..10]);
    assert_eq!(controller.turn(&newcomers[0]).await, Turn::Waiting);
    let verdict = verified(&controller, sale, 0).await;
    assert_eq!((verdict.losses, verdict.pool), (2, Some(draw.pool())));
    assert_eq!(story(&controller, &newcomers[0]).await, ["joined"]);
    assert!(
        replay(&record(&controller, sale).await, Some(Holder { ordinal: 5, visitor: VisitorId([0; 16]) })).is_err()
    );
    drop(servers);
}

#[tokio::test]
async fn an_unpublished_draw_is_published_again_and_is_the_same() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 0, "order": "draw", "opens_at": FAR_AWAY })).await;
    controller.join(sale, 50).await;
    controller.act(sale, "open").await;
    let is_drawn = async || controller.line.snapshot(sale).await.is_ok_and(|at| at.view.is_drawn());
    controller.until("the draw", is_drawn).await;
    let numbers = controller.line.numbers(sale).await.expect("read");
    // As if the controller had died between the commit and the publication, once before the table
    // was there and once when half of it was. In one step: a tick in between would publish again
    // what it has just read.
    for half in ["", "redis.call('SETRANGE', KEYS[2], 200, 'x')"] {
        let forget = format!("redis.call('HSET', KEYS[1], 'drawn', 0) redis.call('DEL', KEYS[2]) {half} return 1");
        let keys = ["line", "drawn"].map(|key| format!("fairline:{{{sale}}}:{key}")).join(" ");
        controller.redis(&format!("EVAL \"{forget}\" 2 {keys}")).await;
        controller.until("the draw to be published again", is_drawn).await;
        assert_eq!(controller.line.numbers(sale).await.expect("read"), numbers);
    }
    controller.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "total": 50 }))).await;
    controller.until("everybody to be let in", async || controller.admissions(sale).await.len() == 50).await;
    let draw = prescribed(&controller, sale).await;
    let order: Vec<u64> = (1..=50).map(|number| draw.ordinal_at(number)).collect();
    assert_eq!(admitted_in_order(&record(&controller, sale).await), order);
    assert_eq!(verified(&controller, sale, 0).await.admitted, 50);
}

#[tokio::test]
async fn a_sale_without_shoppers_opens_with_an_empty_draw() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "order": "draw" })).await;
    controller.until("the draw", async || show(&controller, sale).await["draw"]["pool"] == json!(0)).await;
    let tickets = controller.join(sale, 3).await;
    controller.admitted(&tickets[2]).await;
    assert_eq!(controller.admissions(sale).await, [1, 2, 3]);
    assert_eq!(verified(&controller, sale, 0).await.pool, Some(0));
}
