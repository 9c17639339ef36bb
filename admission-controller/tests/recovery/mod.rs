//! Recovery of a line after a loss of Redis, or of the newest part of Postgres.

mod fail_over;

use std::time::Duration;

use fairline_line::{change::Turn, store::LineStore, ticket::Ticket};
use fairline_private_servers::testing::Servers;
use fairline_sale::{SaleId, VisitorId};
use fairline_server::Shutdown;
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::{
    record::{FAR_AWAY, verified},
    test_controller::TestController,
};

async fn servers() -> Servers {
    spawn_blocking(|| Servers::start().expect("servers of its own")).await.expect("no panic")
}

async fn lose_redis(mut servers: Servers, keeps_its_data: bool) -> Servers {
    let lose = move || {
        servers.redis.kill().expect("killed");
        let restarted = if keeps_its_data { servers.redis.restart() } else { servers.redis.restart_empty() };
        restarted.expect("restarted");
        servers
    };
    spawn_blocking(lose).await.expect("no panic")
}

async fn until_epoch(controller: &TestController, sale: SaleId, epoch: u32) {
    controller
        .until("a new epoch", async || controller.line.revision(sale).await.is_ok_and(|at| at.epoch == epoch))
        .await;
}

async fn count(controller: &TestController, what: &'static str) -> i64 {
    sqlx::query_scalar(what).fetch_one(&controller.pool).await.expect("counted")
}

#[tokio::test]
async fn a_second_turn_survives_a_loss_of_redis_and_delays_no_other() {
    for keeps_its_data in [true, false] {
        let servers = servers().await;
        let controller = TestController::open_at(&servers.redis.url()).await;
        let sale = controller.sale(json!({ "total": 2, "claim_window_s": 3, "token_ttl_s": 90 })).await;
        let tickets = controller.join(sale, 2).await;
        controller
            .until("both first turns to lapse", async || {
                count(&controller, "SELECT count(*) FROM admissions WHERE published_state = 'lapsed'").await == 2
            })
            .await;
        let mut turns = Vec::new();
        for ticket in &tickets {
            turns.push(controller.admitted(ticket).await);
            controller.line.claim(ticket).await.expect("claimed");
        }
        controller
            .until("both claims to be handled", async || {
                count(&controller, "SELECT count(*) FROM admissions WHERE claimed_at IS NOT NULL").await == 2
            })
            .await;
        let more = controller.join(sale, 3).await;
        let servers = lose_redis(servers, keeps_its_data).await;
        until_epoch(&controller, sale, 2).await;
        // At once, before anything is published again.
        for ticket in tickets.iter().chain(&more) {
            controller.turn(ticket).await;
        }
        controller.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "total": 5 }))).await;
        for ticket in &more {
            controller.admitted(ticket).await;
        }
        for (ticket, turn) in tickets.iter().zip(turns) {
            assert_eq!(controller.turn(ticket).await, Turn::Now(turn), "kept its data: {keeps_its_data}");
        }
        verified(&controller, sale, 0).await;
        drop(servers);
    }
}

#[tokio::test]
async fn a_line_that_was_lost_waits_for_the_shoppers_who_were_there() {
    let servers = servers().await;
    let controller = TestController::open_at(&servers.redis.url()).await;
    let sale = controller.sale(json!({ "total": 1 })).await;
    let tickets = controller.join(sale, 9).await;
    controller.admitted(&tickets[0]).await;
    controller.until("eight to be seen", async || count(&controller, "SELECT present FROM lines").await == 8).await;
    let servers = lose_redis(servers, false).await;
    until_epoch(&controller, sale, 2).await;
    controller.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "total": 9 }))).await;
    for ticket in &tickets[5..] {
        assert_eq!(controller.turn(ticket).await, Turn::Waiting);
    }
    for _ in 0..5 {
        let postpone = "UPDATE lines SET recovers_until = now() + interval '9 s'";
        sqlx::query(postpone).execute(&controller.pool).await.expect("postponed");
        controller.ticks(sale, 1).await;
        assert_eq!(controller.admissions(sale).await, [1]);
    }
    for ticket in &tickets[1..5] {
        controller.turn(ticket).await;
    }
    controller.admitted(&tickets[8]).await;
    assert_eq!(controller.admissions(sale).await, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    verified(&controller, sale, 0).await;
    drop(servers);
}

/// The exception to the order: one of two nodes is stopped while Redis loses the line, for longer
/// than the line waits.
#[tokio::test]
async fn late_shoppers_of_a_lost_line_are_served_first_in_their_old_order() {
    let servers = servers().await;
    let controller = TestController::open_at(&servers.redis.url()).await;
    let sale = controller.sale(json!({ "total": 1, "claim_window_s": 600, "token_ttl_s": 600 })).await;
    let raise = async |total: u32| {
        let terms = json!({ "total": total });
        let (status, answer) = controller.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&terms)).await;
        assert_eq!(status, 200, "{answer}");
    };
    let tickets = controller.join(sale, 9).await;
    let (of_stopped_node, of_other_node) = tickets[1..].split_at(4);
    controller.admitted(&tickets[0]).await;
    controller.until("eight to be seen", async || count(&controller, "SELECT present FROM lines").await == 8).await;
    let servers = lose_redis(servers, false).await;
    until_epoch(&controller, sale, 2).await;
    for ticket in of_other_node {
        assert_eq!(controller.turn(ticket).await, Turn::Waiting);
    }
    raise(3).await;
    // The ten seconds are over.
    sqlx::query("UPDATE lines SET recovers_until = now()").execute(&controller.pool).await.expect("ended");
    for ticket in &of_other_node[..2] {
        controller.admitted(ticket).await;
    }
    assert_eq!(controller.admissions(sale).await, [1, 6, 7], "those who are back do not wait longer");

    let newcomer = controller.join(sale, 1).await.remove(0);
    for ticket in of_stopped_node.iter().rev() {
        assert_eq!(controller.turn(ticket).await, Turn::Waiting, "a late ticket is kept");
    }
    raise(7).await;
    for ticket in of_stopped_node {
        controller.admitted(ticket).await;
    }
    assert_eq!(controller.admissions(sale).await, [1, 6, 7, 2, 3, 4, 5], "before all others who wait");
    raise(10).await;
    controller.admitted(&newcomer).await;
    assert_eq!(controller.admissions(sale).await[7..], [8, 9, newcomer.ordinal]);
    assert_eq!(verified(&controller, sale, 0).await.admitted, 10);
    drop(servers);
}

#[tokio::test]
async fn a_new_epoch_rewrites_no_admission_and_publishes_all_turns_again() {
    let servers = servers().await;
    let controller = TestController::open_at(&servers.redis.url()).await;
    let sale = controller.sale(json!({ "total": 12_002 })).await;
    let tickets = controller.join(sale, 1).await;
    controller.admitted(&tickets[0]).await;
    sqlx::query(
        "INSERT INTO admissions (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, state, published_state, recorded_state, \
         published_epoch, issued_at, claim_by, claimed_at, expires_at) \
         SELECT gen_random_uuid(), $1, $1, 1, n, decode(repeat('01', 16), 'hex'), 1, '', state, state, state, 1, now(), now(), now(), now() \
         FROM generate_series(1001, 13000) AS n, (VALUES ('lapsed'), ('redeemed')) AS states (state) \
         WHERE state = 'lapsed' OR n % 2 = 0",
    )
    .bind(sale.0)
    .execute(&controller.pool)
    .await
    .expect("inserted");
    let servers = lose_redis(servers, false).await;
    until_epoch(&controller, sale, 2).await;
    controller
        .until("all turns to be published again", async || {
            count(&controller, "SELECT count(*) FROM lines WHERE republish_below IS NOT NULL").await == 0
        })
        .await;
    let old = |ordinal| Ticket { sale, epoch: 1, ordinal, visitor: VisitorId([1; 16]) };
    for (ordinal, turn) in [(1001, Turn::Expired), (1002, Turn::Bought), (7500, Turn::Bought), (13_000, Turn::Bought)] {
        assert_eq!(controller.turn(&old(ordinal)).await, turn, "{ordinal}");
    }
    assert_eq!(count(&controller, "SELECT count(*) FROM admissions WHERE published_epoch = 1").await, 18_000);
    assert!(matches!(controller.turn(&tickets[0]).await, Turn::Now(_)));
    controller.admitted(&controller.join(sale, 1).await[0]).await;
    drop(servers);
}

#[tokio::test]
async fn an_honest_record_verifies_after_redis_was_restarted_twice_or_set_back() {
    let mut servers = servers().await;
    let controller = TestController::open_at(&servers.redis.url()).await;
    let sale = controller.sale(json!({ "total": 1 })).await;
    let tickets = controller.join(sale, 5).await;
    controller.admitted(&tickets[0]).await;
    controller.buy(&tickets[0]).await;
    let moment = servers.redis.moment().expect("a moment");
    for epoch in 2..=4 {
        servers = if epoch < 4 {
            lose_redis(servers, true).await
        } else {
            let moment = moment.clone();
            let set_back = move || {
                servers.redis.restart_as_of(&moment).expect("restarted");
                servers
            };
            spawn_blocking(set_back).await.expect("no panic")
        };
        until_epoch(&controller, sale, epoch).await;
        for ticket in &tickets[1..] {
            assert_eq!(controller.turn(ticket).await, Turn::Waiting);
        }
    }
    controller.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "total": 5 }))).await;
    for ticket in &tickets[1..] {
        controller.admitted(ticket).await;
    }
    assert_eq!(controller.admissions(sale).await, [1, 2, 3, 4, 5]);
    let verdict = verified(&controller, sale, 1).await;
    assert_eq!((verdict.losses, verdict.admitted), (3, 5));
    drop(servers);
}

#[tokio::test]
async fn two_redis_with_a_controller_each_do_not_take_the_line_from_each_other() {
    let (mut first, second) = (servers().await, servers().await);
    let controller = TestController::open_at(&first.redis.url()).await;
    let terms = json!({ "total": 1000, "rate_cap_per_s": 20.0, "claim_window_s": 600, "token_ttl_s": 600 });
    let sale = controller.sale(terms).await;
    let stop = Shutdown::new();
    controller.controller_at(&second.redis.url(), &stop).await;
    let tickets = controller.join(sale, 200).await;
    controller.until("a hundred to be let in", async || controller.admissions(sale).await.len() >= 100).await;
    let (epoch, granted): (i32, i64) =
        sqlx::query_as("SELECT epoch, granted FROM lines").fetch_one(&controller.pool).await.expect("read");
    assert_eq!((epoch, granted), (1, 100_200), "no epoch and no ordinal is used up");

    // The one that has the line dies, and the other takes it over.
    spawn_blocking(move || first.redis.kill().expect("killed")).await.expect("no panic");
    let line = LineStore::connect(&second.redis.url()).await.expect("a Redis");
    controller
        .until("the other Redis to have the line", async || line.revision(sale).await.is_ok_and(|at| at.epoch == 2))
        .await;
    let before = controller.admissions(sale).await.len();
    line.resume(sale, &tickets).await.expect("shown");
    controller.until("admissions to continue", async || controller.admissions(sale).await.len() > before + 10).await;
    assert_eq!(count(&controller, "SELECT epoch::bigint FROM lines").await, 2);
    let twice = "SELECT count(*) FROM (SELECT FROM admissions GROUP BY ordinal HAVING count(*) > 1) AS twice";
    assert_eq!(count(&controller, twice).await, 0);
    stop.trigger();
    drop(second);
}

#[tokio::test]
async fn no_removed_ticket_is_admitted_before_all_removals_are_published() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 10, "rate_cap_per_s": 100_000.0, "opens_at": FAR_AWAY })).await;
    controller.join(sale, 3010).await;
    verified(&controller, sale, 0).await;
    let mut transaction = controller.pool.begin().await.expect("begun");
    for change in [
        "INSERT INTO ticket_actions (line_id, ordinal, kind, visitor) \
         SELECT id, n, 'removed', decode(repeat('01', 16), 'hex') FROM lines, generate_series(1, 3000) AS n",
        "UPDATE sales SET opens_at = now()",
    ] {
        sqlx::query(change).execute(&mut *transaction).await.expect("changed");
    }
    transaction.commit().await.expect("committed");
    controller.until("the others to be let in", async || controller.admissions(sale).await.len() == 10).await;
    assert_eq!(controller.admissions(sale).await, (3001..=3010).collect::<Vec<_>>());
    let verdict = verified(&controller, sale, 0).await;
    assert_eq!(verdict.admitted, 10);
}

#[tokio::test]
async fn a_record_takes_more_turns_at_once_than_one_entry_holds() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 1500, "rate_cap_per_s": 100_000.0, "opens_at": FAR_AWAY })).await;
    controller.join(sale, 1500).await;
    verified(&controller, sale, 0).await;
    controller.act(sale, "open").await;
    controller.until("all to be admitted", async || controller.admissions(sale).await.len() == 1500).await;
    assert_eq!(verified(&controller, sale, 0).await.admitted, 1500);
}

#[tokio::test]
async fn a_restored_database_gives_no_ordinal_that_was_given_after_the_backup() {
    let servers = servers().await;
    let mut controller = TestController::open_at(&servers.redis.url()).await;
    let sale = controller.sale(json!({ "total": 2, "claim_window_s": 600, "token_ttl_s": 600 })).await;
    let early = controller.join(sale, 4).await;
    controller.admitted(&early[1]).await;
    controller.until_decided(sale, "no unit is free").await;
    let backup = controller.back_up(&servers);
    // The sale continues, until more have joined than the backup has granted ordinals for.
    let mut late = Vec::new();
    while late.len() < 101_000 {
        let joined = controller.join_if_granted(sale, 1000).await;
        if joined.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        late.extend(joined);
    }
    controller.buy(&early[0]).await;
    let highest = late.last().expect("many").ordinal;
    let epoch = controller.line.revision(sale).await.expect("read").epoch;

    let servers = controller.restore_raised(servers, &backup, None).await;
    controller
        .until("a new epoch", async || controller.line.revision(sale).await.is_ok_and(|at| at.epoch > epoch + 1))
        .await;
    let newcomers = controller.join(sale, 2).await;
    assert!(newcomers[0].ordinal > highest, "{} after {highest}", newcomers[0].ordinal);
    for ticket in [&late[100_500], &late[3], &early[3], &early[2]] {
        assert_eq!(controller.turn(ticket).await, Turn::Waiting);
    }
    controller.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "total": 7 }))).await;
    for ticket in [&early[2], &early[3], &late[3], &late[100_500], &newcomers[0]] {
        controller.admitted(ticket).await;
    }
    let order = controller.admissions(sale).await;
    assert_eq!(
        order[2..],
        [&early[2], &early[3], &late[3], &late[100_500], &newcomers[0]].map(|ticket| ticket.ordinal)
    );
    // The record that was restored continues, and replays; a head that was kept after the backup is
    // missed.
    let verdict = verified(&controller, sale, 0).await;
    assert_eq!((verdict.losses, verdict.admitted), (1, 7));
    drop(servers);
}

#[tokio::test]
async fn a_token_that_a_restored_database_does_not_know_leaves_redis() {
    let servers = servers().await;
    let mut controller = TestController::open_at(&servers.redis.url()).await;
    let sale = controller.sale(json!({ "total": 1, "claim_window_s": 600, "token_ttl_s": 600 })).await;
    let backup = controller.back_up(&servers);
    let tickets = controller.join(sale, 2).await;
    let lost = controller.admitted(&tickets[0]).await;
    // Redis keeps what it has: the operator does not empty it.
    let servers = controller.restore_beside_redis(servers, &backup).await;
    controller
        .until("a new epoch", async || controller.line.revision(sale).await.is_ok_and(|at| at.epoch > 1000))
        .await;
    for ticket in tickets.iter().rev() {
        assert_eq!(controller.turn(ticket).await, Turn::Waiting);
    }
    let turn = controller.admitted(&tickets[0]).await;
    assert_ne!(turn.token, lost.token, "checkout does not know the old one");
    assert_eq!(controller.turn(&tickets[1]).await, Turn::Waiting);
    verified(&controller, sale, 0).await;
    drop(servers);
}

#[tokio::test]
async fn the_newest_turn_is_published_after_the_clock_of_the_database_was_set_back() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 1, "claim_window_s": 1 })).await;
    // A turn that lapsed when the clock was a minute ahead.
    sqlx::query(
        "INSERT INTO admissions (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, state, published_state, recorded_state, \
         excused, published_epoch, issued_at, claim_by, expires_at) \
         SELECT gen_random_uuid(), $1, $1, 1, 1, decode(repeat('01', 16), 'hex'), 1, '', 'lapsed', 'lapsed', 'lapsed', true, 1, \
         moment, moment, moment FROM (SELECT now() + interval '1 minute' AS moment) AS ahead",
    )
    .bind(sale.0)
    .execute(&controller.pool)
    .await
    .expect("inserted");
    let tickets = controller.join(sale, 1).await;
    let first = controller.admitted(&tickets[0]).await;
    controller
        .until("the next turn", async || matches!(controller.turn(&tickets[0]).await, Turn::Now(turn) if turn != first))
        .await;
}

#[tokio::test]
async fn a_ticket_is_not_admitted_again_before_redis_knows_that_its_turn_lapsed() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 1, "claim_window_s": 600, "token_ttl_s": 600 })).await;
    let tickets = controller.join(sale, 2).await;
    controller.admitted(&tickets[0]).await;
    controller.act(sale, "pause").await;
    controller.admin("POST", &format!("/api/admin/sales/{sale}/revoke"), Some(&json!({ "reason": "a test" }))).await;
    controller.until("a recalled ticket", async || controller.turn(&tickets[0]).await == Turn::Waiting).await;
    verified(&controller, sale, 0).await;
    // Another turn of it was committed and revoked, and neither was published: in Redis it is still
    // recalled. All of it between two ticks.
    let mut between = controller.pool.begin().await.expect("a transaction");
    let lock = sqlx::query("SELECT FROM lines WHERE id = $1 FOR UPDATE").bind(sale.0);
    lock.execute(&mut *between).await.expect("locked");
    let committed = sqlx::query(
        "WITH opened AS (UPDATE sales SET status = 'open' WHERE id = $1 RETURNING id) \
         INSERT INTO admissions (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, state, published_state, recorded_state, \
         excused, published_epoch, issued_at, claim_by, expires_at) \
         SELECT gen_random_uuid(), id, id, 1, 1, decode(repeat('01', 16), 'hex'), 1, '', 'lapsed', 'promised', 'lapsed', true, 1, \
         now(), now(), now() FROM opened",
    );
    assert_eq!(committed.bind(sale.0).execute(&mut *between).await.expect("inserted").rows_affected(), 1);
    between.commit().await.expect("committed");
    controller.until("the second ticket to be admitted", async || controller.admissions(sale).await.contains(&2)).await;
    let made: i64 = sqlx::query_scalar("SELECT count(*) FROM admissions WHERE sale_id = $1 AND ordinal = 1")
        .bind(sale.0)
        .fetch_one(&controller.pool)
        .await
        .expect("counted");
    assert_eq!(made, 2, "the first ticket has to be recalled again");
    controller.admitted(&tickets[1]).await;
    verified(&controller, sale, 0).await;
}

#[tokio::test]
async fn a_ticket_whose_token_cannot_be_signed_keeps_its_place() {
    let mut controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 1, "claim_window_s": 600, "token_ttl_s": 600 })).await;
    let kid: String =
        serde_json::from_value(controller.admin("GET", "/api/admin/keys", None).await.1["keys"][0]["kid"].clone())
            .expect("a key");
    controller.admin("POST", &format!("/api/admin/keys/{kid}/revoke"), None).await;
    let tickets = controller.join(sale, 2).await;
    controller.until_decided(sale, "every signing key is revoked").await;
    controller
        .until("both tickets to be seen", async || count(&controller, "SELECT waiting FROM lines").await == 2)
        .await;
    // The key was revoked between the commit of an admission and its publication.
    sqlx::query(
        "WITH moved AS (UPDATE lines SET cursor = 1 WHERE id = $1), promised AS (UPDATE stock SET promised = 1 WHERE sale_id = $1) \
         INSERT INTO admissions (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, recorded_state, issued_at, claim_by, \
         expires_at) SELECT gen_random_uuid(), $1, $1, 1, 1, $2, 1, '', 'promised', now(), now() + interval '10 minutes', \
         now() + interval '10 minutes'",
    )
    .bind(sale.0)
    .bind(tickets[0].visitor.0.to_vec())
    .execute(&controller.pool)
    .await
    .expect("admitted");
    controller.ticks(sale, 5).await;
    let view = controller.line.snapshot(sale).await.expect("read").view;
    assert_eq!((view.cursor(), view.place(1).map(|place| place.ahead)), (0, Some(0)), "neither a place nor a turn");
    controller.prefer_a_new_key().await;
    controller.admitted(&tickets[0]).await;
    assert_eq!(controller.line.snapshot(sale).await.expect("read").view.cursor(), 1);
}

#[tokio::test]
async fn a_restored_database_leaves_a_margin_above_what_an_old_primary_knows() {
    let servers = servers().await;
    let mut controller = TestController::open_at(&servers.redis.url()).await;
    let sale = controller.sale(json!({ "total": 1 })).await;
    let granted = controller.line.home(sale).await.expect("read").granted;
    // Another process had later epochs of the line after the backup, and gave ordinals above all
    // that this one and the backup know.
    let lost = granted + 100_000;
    let backup = controller.back_up(&servers);
    let servers = controller.restore_beside_redis(servers, &backup).await;
    controller
        .until("a new epoch", async || controller.line.revision(sale).await.is_ok_and(|at| at.epoch > 1000))
        .await;
    assert!(controller.join(sale, 1).await[0].ordinal > lost);
    drop(servers);
}
