//! The record that the controller writes, read over HTTP and replayed; and the draw, which it proves.

use std::collections::BTreeSet;

use fairline_line::{change::Turn, ticket::Ticket};
use fairline_private_servers::testing::Servers;
use fairline_record::{
    Hash,
    draw::{self, Draw},
    entry::{Entry, Event},
    verify::{Fault, Holder, Verdict, Verifier},
};
use fairline_sale::{LineOrder, SaleId, Status, VisitorId};
use fairline_server::Shutdown;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::desk::Desk;

pub const FAR_AWAY: &str = "2999-01-01T00:00:00Z";

/// Reads what anybody may, as often as the controller asks to be patient.
async fn read(desk: &Desk, path: &str) -> String {
    let mut read = String::new();
    desk.until("an answer", async || {
        let (status, body) = desk.read(path).await;
        read = body;
        assert!(status == 200 || status == 429, "{status} {read}");
        status == 200
    })
    .await;
    read
}

pub async fn record(desk: &Desk, sale: SaleId) -> Vec<String> {
    read(desk, &format!("/api/flash-sales/{sale}/record")).await.lines().map(str::to_owned).collect()
}

async fn show(desk: &Desk, sale: SaleId) -> Value {
    let mut shown = Value::Null;
    desk.until("the sale to be shown", async || {
        shown = desk.show(sale).await;
        shown["id"] != Value::Null
    })
    .await;
    shown
}

pub fn replay(lines: &[String], holder: Option<Holder>) -> Result<Verdict, Fault> {
    let mut verifier = Verifier::new(holder, Vec::new());
    lines.iter().try_for_each(|line| verifier.take(line))?;
    verifier.finish()
}

/// What the record of a sale shows, once it has told of so many turns that were used.
pub async fn verified(desk: &Desk, sale: SaleId, redeemed: u64) -> Verdict {
    let mut verdict = None;
    desk.until("the record to tell everything", async || {
        let lines = record(desk, sale).await;
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

async fn story(desk: &Desk, ticket: &Ticket) -> Vec<String> {
    let verdict = replay(&record(desk, ticket.sale).await, holder(ticket)).expect("honest");
    verdict.story.into_iter().map(|told| told.2).collect()
}

#[tokio::test]
async fn what_happens_in_a_line_is_in_its_record_and_every_ticket_finds_itself() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 2, "claim_window_s": 1, "opens_at": FAR_AWAY })).await;
    let tickets = desk.join(sale, 5).await;
    desk.line.leave(&tickets[1]).await.expect("left");
    desk.act(sale, "open").await;
    desk.admitted(&tickets[0]).await;
    desk.buy(&tickets[0]).await;
    // The third and the fourth let their turns lapse; the third comes back, and is served before the fifth.
    desk.admitted(&tickets[2]).await;
    desk.until("a lapse", async || desk.turn(&tickets[2]).await == Turn::Waiting).await;
    desk.admitted(&tickets[2]).await;
    desk.buy(&tickets[2]).await;

    let verdict = verified(&desk, sale, 2).await;
    assert_eq!((verdict.sale, verdict.order, verdict.status), (sale, LineOrder::Fifo, Status::Open));
    assert_eq!((verdict.joined, verdict.losses, verdict.pool), (5, 0, None));
    assert_eq!(story(&desk, &tickets[0]).await, ["joined", "was admitted", "used its turn"]);
    assert_eq!(story(&desk, &tickets[1]).await, ["joined", "left"]);
    let third = story(&desk, &tickets[2]).await;
    assert!(
        third.iter().any(|told| told.contains("lapse")) && third.last().is_some_and(|told| told == "used its turn"),
        "{third:?}"
    );

    // The receipt of another does not fit, and nothing in the record tells who anybody is.
    let lines = record(&desk, sale).await;
    let thief = Holder { ordinal: 1, visitor: tickets[1].visitor };
    assert!(replay(&lines, Some(thief)).expect_err("another's ticket").why.contains("somebody else's"));
    assert!(tickets.iter().all(|ticket| !lines.join("").contains(&ticket.visitor.to_string())));

    // The head is public, and a part of the record can be asked for.
    let card = show(&desk, sale).await;
    let last = Entry::from_line(lines.last().expect("an entry")).expect("an entry").head;
    assert_eq!(card["record"], serde_json::to_value(last).expect("JSON"));
    let rest = read(&desk, &format!("/api/flash-sales/{sale}/record?after={}", last.seq - 2)).await;
    assert_eq!(rest.lines().collect::<Vec<_>>(), lines[lines.len() - 2..]);
    for unknown in [uuid::Uuid::nil().to_string(), "first-drop".to_owned()] {
        assert_eq!(desk.read(&format!("/api/flash-sales/{unknown}/record")).await.0, 404);
    }
}

#[tokio::test]
async fn the_database_refuses_to_change_a_record() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({})).await;
    desk.join(sale, 1).await;
    verified(&desk, sale, 0).await;
    for change in ["UPDATE record_entries SET body = '{}'", "DELETE FROM record_entries"] {
        let refused = sqlx::query(change).execute(&desk.pool).await.expect_err(change);
        let constraint = refused.as_database_error().and_then(|error| error.constraint()).map(str::to_owned);
        assert_eq!(constraint.as_deref(), Some("record_entries_are_kept"));
    }
}

#[tokio::test]
async fn a_crowd_that_two_controllers_let_in_is_recorded_in_one_chain() {
    let desk = Desk::open().await;
    let (second, third) = (Shutdown::new(), Shutdown::new());
    desk.another_controller(&second).await;
    desk.another_controller(&third).await;
    let sale = desk.sale(json!({ "total": 60, "rate_cap_per_s": 200.0 })).await;
    for _ in 0..20 {
        let tickets = desk.join(sale, 100).await;
        for ticket in tickets.iter().step_by(3) {
            desk.line.leave(ticket).await.expect("left");
        }
    }
    third.trigger();
    desk.until_decided(sale, "every unit is taken for now").await;
    desk.until("the record to tell of all", async || verified(&desk, sale, 0).await.joined == 2000).await;
    // More than there are units, where a shopper who leaves has been admitted by then: the unit goes to another.
    assert!(verified(&desk, sale, 0).await.admitted >= 60);
    second.trigger();
}

/// The order that the published facts of a sale prescribe, computed by somebody who has only them and the record.
async fn prescribed(desk: &Desk, sale: SaleId) -> Draw {
    let card = show(desk, sale).await;
    let seed: Hash = card["draw"]["seed"].as_str().expect("a seed").parse().expect("64 digits");
    assert_eq!(card["draw"]["commitment"], json!(draw::commitment(&seed.0).to_string()));
    let pool = card["draw"]["pool"].as_u64().expect("a pool");
    let lines = record(desk, sale).await;
    let entries: Vec<Entry> = lines.iter().map(|line| Entry::from_line(line).expect("an entry")).collect();
    let drawn = |entry: &Entry| matches!(entry.read().expect("a body").event, Event::Drawn { .. });
    let at = entries.iter().position(drawn).expect("the draw");
    Draw::new(draw::key(&seed.0, entries[at - 1].head.hash), pool).expect("small")
}

#[tokio::test]
async fn a_draw_shuffles_those_who_joined_before_the_opening_and_is_proven_afterwards() {
    let desk = Desk::open().await;
    let second = Shutdown::new();
    desk.another_controller(&second).await;
    let sale = desk.sale(json!({ "total": 40, "order": "draw", "opens_at": FAR_AWAY })).await;
    let early = desk.join(sale, 30).await;
    let before = show(&desk, sale).await;
    assert_eq!(
        (&before["order"], &before["draw"]["seed"], &before["draw"]["pool"]),
        (&json!("draw"), &json!(null), &json!(null))
    );
    desk.line.leave(&early[4]).await.expect("left");

    desk.act(sale, "open").await;
    desk.until("the draw", async || show(&desk, sale).await["draw"]["pool"] != json!(null)).await;
    let late = desk.join(sale, 20).await;
    desk.until_decided(sale, "every unit is taken for now").await;
    assert_eq!(show(&desk, sale).await["draw"]["commitment"], before["draw"]["commitment"]);

    let draw = prescribed(&desk, sale).await;
    assert_eq!(draw.pool(), 30);
    let drawn = (1..=30).map(|number| draw.ordinal_at(number)).filter(|&ordinal| ordinal != 5);
    let order: Vec<u64> = drawn.chain(late.iter().map(|ticket| ticket.ordinal)).take(40).collect();
    assert_eq!(admitted_in_order(&record(&desk, sale).await), order);
    assert_ne!(order[..29], (1..=30).filter(|&ordinal| ordinal != 5).collect::<Vec<_>>(), "a shuffle");
    let verdict = verified(&desk, sale, 0).await;
    assert_eq!((verdict.pool, verdict.admitted), (Some(30), 40));
    assert!(story(&desk, &early[0]).await.iter().any(|told| told.starts_with("drew number ")));
    second.trigger();
}

#[tokio::test]
async fn a_draw_includes_tickets_that_joined_after_a_tick_that_could_not_commit_it() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 3, "order": "draw", "opens_at": FAR_AWAY })).await;
    desk.join(sale, 2).await;
    // As a controller does that fails before it commits the draw.
    assert_eq!(desk.line.close_pool(sale).await, Ok(2));
    desk.join(sale, 1).await;
    desk.until("the record to contain all", async || verified(&desk, sale, 0).await.joined == 3).await;
    desk.act(sale, "open").await;
    desk.until("all to be admitted", async || desk.admissions(sale).await.len() == 3).await;
    assert_eq!((prescribed(&desk, sale).await.pool(), verified(&desk, sale, 0).await.pool), (3, Some(3)));
}

fn admitted_in_order(lines: &[String]) -> Vec<u64> {
    let read = |line: &String| Entry::from_line(line).expect("an entry").read().expect("a body").event;
    let admitted = |event| if let Event::Admitted { ordinals, .. } = event { ordinals } else { Vec::new() };
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
    let desk = Desk::open_at(&servers.redis.url()).await;
    let sale =
        desk.sale(json!({ "total": 6, "order": "draw", "opens_at": FAR_AWAY, "rate_cap_per_s": 100000.0 })).await;
    let first = desk.join(sale, 12).await;
    verified(&desk, sale, 0).await;

    let epoch = async || desk.line.revision(sale).await.map(|at| at.epoch);
    let before = epoch().await.expect("read");
    let servers = lose_redis(servers).await;
    desk.until("a new epoch", async || epoch().await.is_ok_and(|epoch| epoch > before)).await;
    // All of the first are back but one, and others join: all of them are in the draw.
    for ticket in first.iter().filter(|ticket| ticket.ordinal != 3) {
        assert_eq!(desk.turn(ticket).await, Turn::Waiting);
    }
    let others = desk.join(sale, 12).await;
    assert!(others[0].ordinal > 100_000);
    desk.act(sale, "open").await;
    desk.until("six to be let in", async || desk.admissions(sale).await.len() == 6).await;
    let draw = prescribed(&desk, sale).await;
    let mut everybody: Vec<u64> =
        first.iter().chain(&others).map(|ticket| ticket.ordinal).filter(|&o| o != 3).collect();
    everybody.sort_unstable_by_key(|&ordinal| draw.number_of(ordinal));
    assert_eq!(admitted_in_order(&record(&desk, sale).await), everybody[..6]);

    // Lost again: whoever is recalled keeps the drawn order, and goes before those who come now.
    let before = epoch().await.expect("read");
    let servers = lose_redis(servers).await;
    desk.until("a new epoch", async || epoch().await.is_ok_and(|epoch| epoch > before)).await;
    let newcomers = desk.join(sale, 3).await;
    let known: BTreeSet<u64> = everybody.iter().copied().collect();
    for ticket in first.iter().chain(&others).filter(|ticket| known.contains(&ticket.ordinal)) {
        desk.turn(ticket).await;
    }
    desk.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "total": 10 }))).await;
    desk.until("four more", async || desk.admissions(sale).await.len() == 10).await;
    assert_eq!(admitted_in_order(&record(&desk, sale).await), everybody[..10]);
    assert_eq!(desk.turn(&newcomers[0]).await, Turn::Waiting);
    let verdict = verified(&desk, sale, 0).await;
    assert_eq!((verdict.losses, verdict.pool), (2, Some(draw.pool())));
    assert_eq!(story(&desk, &newcomers[0]).await, ["joined"]);
    assert!(replay(&record(&desk, sale).await, Some(Holder { ordinal: 5, visitor: VisitorId([0; 16]) })).is_err());
    drop(servers);
}

#[tokio::test]
async fn a_draw_that_redis_was_not_told_of_is_told_again_and_is_the_same() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 0, "order": "draw", "opens_at": FAR_AWAY })).await;
    desk.join(sale, 50).await;
    desk.act(sale, "open").await;
    let is_drawn = async || desk.line.snapshot(sale).await.is_ok_and(|at| at.view.is_drawn());
    desk.until("the draw", is_drawn).await;
    let numbers = desk.line.numbers(sale).await.expect("read");
    // As if the controller had died between the commit and the publication, once before the table was there and once when
    // half of it was. In one step: a tick in between would say again what it has just seen.
    for half in ["", "redis.call('SETRANGE', KEYS[2], 200, 'x')"] {
        let forget = format!("redis.call('HSET', KEYS[1], 'drawn', 0) redis.call('DEL', KEYS[2]) {half} return 1");
        let keys = ["line", "drawn"].map(|key| format!("fairline:{{{sale}}}:{key}")).join(" ");
        desk.redis(&format!("EVAL \"{forget}\" 2 {keys}")).await;
        desk.until("the draw to be told again", is_drawn).await;
        assert_eq!(desk.line.numbers(sale).await.expect("read"), numbers);
    }
    desk.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "total": 50 }))).await;
    desk.until("everybody to be let in", async || desk.admissions(sale).await.len() == 50).await;
    let draw = prescribed(&desk, sale).await;
    let order: Vec<u64> = (1..=50).map(|number| draw.ordinal_at(number)).collect();
    assert_eq!(admitted_in_order(&record(&desk, sale).await), order);
    assert_eq!(verified(&desk, sale, 0).await.admitted, 50);
}

#[tokio::test]
async fn a_sale_that_nobody_has_joined_opens_with_a_draw_of_nobody() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "order": "draw" })).await;
    desk.until("the draw", async || show(&desk, sale).await["draw"]["pool"] == json!(0)).await;
    let tickets = desk.join(sale, 3).await;
    desk.admitted(&tickets[2]).await;
    assert_eq!(desk.admissions(sale).await, [1, 2, 3]);
    assert_eq!(verified(&desk, sale, 0).await.pool, Some(0));
}
