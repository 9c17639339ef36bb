//! The controller through its HTTP API, over a real Postgres and a real Redis.

mod api;
mod clocks;
mod console;
mod items;
mod lanes;
mod limits;
mod operators;
mod orders;
mod pooler;
mod products;
mod readiness;
mod record;
mod recovery;
mod test_controller;
mod ticket_actions;
mod ticks;
mod webhooks;

use fairline_admission_token::verify;
use fairline_line::change::Turn;
use fairline_private_servers::testing::Servers;
use fairline_server::Shutdown;
use serde_json::json;
use test_controller::TestController;
use tokio::task::spawn_blocking;

#[tokio::test]
async fn shoppers_are_admitted_in_order_as_the_stock_allows_and_the_others_see_sold_out() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 3 })).await;
    let tickets = controller.join(sale, 5).await;
    for ticket in &tickets[..3] {
        controller.admitted(ticket).await;
    }
    controller.until_decided(sale, "no unit is free").await;
    assert_eq!(controller.turn(&tickets[3]).await, Turn::Waiting);
    assert_eq!(controller.admissions(sale).await, [1, 2, 3]);
    let shown = controller.show(sale).await;
    assert_eq!((&shown["promised"], &shown["waiting"], &shown["remaining"]), (&json!(3), &json!(2), &json!(0)));

    for ticket in &tickets[..3] {
        controller.buy(ticket).await;
    }
    controller
        .until("the card to show sold out", async || {
            let card = controller.line.snapshot(sale).await.expect("a snapshot").card;
            serde_json::to_value(card.status).expect("JSON") == json!("sold_out")
        })
        .await;
    assert_eq!(controller.turn(&tickets[0]).await, Turn::Bought);

    // A larger stock re-opens the sale, in order.
    controller.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "total": 4 }))).await;
    controller.admitted(&tickets[3]).await;
    assert_eq!(controller.show(sale).await["status"], json!("open"));
}

#[tokio::test]
async fn a_token_verifies_with_the_public_keys_and_promises_the_limit() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 5, "per_shopper_limit": 2 })).await;
    let tickets = controller.join(sale, 3).await;
    let keys = controller.key_set().await;
    for (ticket, quantity) in tickets.iter().zip([2, 2, 1]) {
        let turn = controller.admitted(ticket).await;
        let claims = verify(&turn.token, &keys, turn.expires_at.unix_timestamp() - 1).expect("genuine").claims;
        assert_eq!((claims.sale, claims.qty, turn.quantity), (sale, quantity, quantity));
        assert_eq!(claims.sub, ticket.visitor.to_string());
        assert!(verify(&turn.token, &keys, turn.expires_at.unix_timestamp()).is_err(), "it ends with the promise");
    }
}

#[tokio::test]
async fn signing_keys_rotate_without_a_gap_and_are_revoked_at_once() {
    let mut controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 10, "claim_window_s": 600 })).await;
    let tickets = controller.join(sale, 1).await;
    let old = controller.admitted(&tickets[0]).await;

    controller.prefer_a_new_key().await;
    let more = controller.join(sale, 1).await;
    let new = controller.admitted(&more[0]).await;
    assert_eq!(controller.admitted(&tickets[0]).await, old, "a token keeps its value for as long as its key is good");
    let keys = controller.key_set().await;
    let now = old.expires_at.unix_timestamp() - 1;
    let [old_kid, new_kid] = [&old, &new].map(|turn| verify(&turn.token, &keys, now).expect("both are shown").kid);
    assert_ne!(old_kid, new_kid);
    let uses = |answer: &serde_json::Value| {
        answer["keys"].as_array().map(|keys| keys.iter().map(|key| key["use"].clone()).collect::<Vec<_>>())
    };
    let (_, listed) = controller.admin("GET", "/api/admin/keys", None).await;
    assert_eq!(uses(&listed), Some(vec![json!("signs"), json!("shown")]));

    let (status, listed) = controller.admin("POST", &format!("/api/admin/keys/{new_kid}/revoke"), None).await;
    assert_eq!((status, uses(&listed)), (200, Some(vec![json!("revoked"), json!("signs")])));
    assert_eq!(controller.keys_of_promises(sale).await[0], old_kid);
    assert_ne!(controller.keys_of_promises(sale).await[1], new_kid, "no longer accepted, from the response on");
    controller.until("the shopper to have another token", async || controller.admitted(&more[0]).await != new).await;
    let keys = controller.key_set().await;
    let again = controller.admitted(&more[0]).await;
    assert_eq!(verify(&again.token, &keys, now).expect("genuine").kid, old_kid);
    assert!(verify(&new.token, &keys, now).is_err());
    assert_eq!(controller.show(sale).await["promised"], json!(2));

    // Without a key no shopper is admitted, and no token is valid; with another one admissions
    // continue.
    controller.admin("POST", &format!("/api/admin/keys/{old_kid}/revoke"), None).await;
    let last = controller.join(sale, 1).await;
    controller.until_decided(sale, "every signing key is revoked").await;
    assert_eq!(controller.turn(&last[0]).await, Turn::Waiting);
    assert_eq!(controller.keys_of_promises(sale).await, ["", ""]);
    controller.prefer_a_new_key().await;
    controller.admitted(&last[0]).await;
    let keys = controller.key_set().await;
    controller
        .until("all tokens to have the new key", async || {
            let token = controller.admitted(&tickets[0]).await.token;
            verify(&token, &keys, now).is_ok()
        })
        .await;
    assert_eq!(controller.admin("POST", "/api/admin/keys/unknown/revoke", None).await.0, 404);
}

#[tokio::test]
async fn an_unclaimed_token_lapses_and_its_unit_goes_to_the_next() {
    let controller = TestController::open().await;
    // Long enough for the second to claim, however busy the machine is.
    let sale = controller.sale(json!({ "total": 1, "claim_window_s": 3 })).await;
    let tickets = controller.join(sale, 2).await;
    controller.until("the next admission", async || controller.admissions(sale).await == [1, 2]).await;
    controller.line.claim(&tickets[1]).await.expect("claimed");
    // The first comes back late: recalled, and admitted when the second's turn is over.
    assert_eq!(controller.turn(&tickets[0]).await, Turn::Waiting);
    assert_eq!(
        controller.line.snapshot(sale).await.expect("a snapshot").view.place(1).map(|place| place.ahead),
        Some(0)
    );
    controller.line.leave(&tickets[1]).await.expect("left");
    controller.admitted(&tickets[0]).await;
    assert_eq!(controller.turn(&tickets[1]).await, Turn::Left);
}

#[tokio::test]
async fn a_claimed_token_expires_and_an_unclaimed_one_is_issued_three_times() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 1, "claim_window_s": 1, "token_ttl_s": 2 })).await;
    let tickets = controller.join(sale, 1).await;
    controller.admitted(&tickets[0]).await;
    controller.line.claim(&tickets[0]).await.expect("claimed");
    controller.until("the turn to run out", async || controller.turn(&tickets[0]).await == Turn::Expired).await;

    let tickets = controller.join(sale, 1).await;
    controller.until("the last turn to lapse", async || controller.turn(&tickets[0]).await == Turn::Expired).await;
    assert_eq!(controller.admissions(sale).await, [1, 2, 2, 2]);
    assert_eq!(controller.show(sale).await["promised"], json!(0));
}

#[tokio::test]
async fn two_controllers_and_a_third_that_dies_admit_no_ticket_twice() {
    let controller = TestController::open().await;
    let (second, third) = (Shutdown::new(), Shutdown::new());
    controller.another_controller(&second).await;
    controller.another_controller(&third).await;
    let sale = controller.sale(json!({ "total": 60 })).await;
    let tickets = controller.join(sale, 100).await;
    controller.admitted(&tickets[10]).await;
    third.trigger();
    controller.admitted(&tickets[59]).await;
    controller.until_decided(sale, "no unit is free").await;
    assert_eq!(controller.admissions(sale).await, (1..=60).collect::<Vec<_>>());
    assert_eq!(controller.turn(&tickets[60]).await, Turn::Waiting);
    second.trigger();
}

#[tokio::test]
async fn unpublished_admissions_are_published_again_and_a_token_has_one_value() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({})).await;
    let tickets = controller.join(sale, 2).await;
    let before = controller.admitted(&tickets[0]).await;
    // As if the controller had died between the commit and the publication.
    sqlx::query("UPDATE admissions SET published_state = NULL").execute(&controller.pool).await.expect("forgotten");
    controller
        .until("the publication", async || {
            let open: i64 =
                sqlx::query_scalar("SELECT count(*) FROM admissions WHERE published_state IS DISTINCT FROM state")
                    .fetch_one(&controller.pool)
                    .await
                    .expect("read");
            open == 0
        })
        .await;
    assert_eq!(controller.admitted(&tickets[0]).await, before);
}

#[tokio::test]
async fn a_line_that_redis_lost_begins_anew_above_every_ordinal_and_recalls_the_rest_in_order() {
    let servers = spawn_blocking(|| Servers::start().expect("a Redis of its own")).await.expect("no panic");
    let controller = TestController::open_at(&servers.redis.url()).await;
    let sale = controller.sale(json!({ "total": 3 })).await;
    let tickets = controller.join(sale, 6).await;
    let before = controller.admitted(&tickets[2]).await;
    controller.buy(&tickets[0]).await;
    controller.until_decided(sale, "no unit is free").await;

    let epoch = controller.line.revision(sale).await.expect("read").epoch;
    let mut servers = servers;
    servers = spawn_blocking(move || {
        servers.redis.kill().expect("killed");
        servers.redis.restart().expect("restarted");
        servers
    })
    .await
    .expect("no panic");
    controller
        .until("a new epoch", async || controller.line.revision(sale).await.is_ok_and(|at| at.epoch == epoch + 1))
        .await;
    let later = controller.join(sale, 1).await;
    assert_eq!(later[0].ordinal, 100_007, "above all that may have been given");
    assert_eq!(controller.turn(&tickets[2]).await, Turn::Now(before), "an earlier turn is kept");
    assert_eq!(controller.turn(&tickets[0]).await, Turn::Bought);
    for ticket in [&tickets[5], &tickets[3]] {
        assert_eq!(controller.turn(ticket).await, Turn::Waiting);
    }
    // One more unit while shoppers present their tickets: it waits for the first of them.
    controller.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "total": 5 }))).await;
    controller.until_decided(sale, "presenting their tickets again").await;
    assert_eq!(controller.turn(&tickets[4]).await, Turn::Waiting);
    controller.admitted(&tickets[4]).await;
    assert_eq!(controller.admissions(sale).await, [1, 2, 3, 4, 5]);
    assert_eq!(controller.turn(&later[0]).await, Turn::Waiting);
    assert_eq!(record::verified(&controller, sale, 1).await.losses, 1);
    drop(servers);
}

/// As docs/operations.md has it.
#[tokio::test]
async fn a_restored_database_over_an_emptied_redis_keeps_all_places() {
    let servers = spawn_blocking(|| Servers::start().expect("servers of its own")).await.expect("no panic");
    let mut controller = TestController::open_at(&servers.redis.url()).await;
    let sale = controller.sale(json!({ "total": 2 })).await;
    let tickets = controller.join(sale, 5).await;
    controller.admitted(&tickets[1]).await;
    controller.buy(&tickets[0]).await;
    controller.until_decided(sale, "no unit is free").await;
    let backup = controller.back_up(&servers);
    // After the backup one more unit is sold, which the backup does not have.
    controller.buy(&tickets[1]).await;
    let epoch = controller.line.revision(sale).await.expect("read").epoch;

    let servers = controller.restore(servers, &backup).await;
    controller
        .until("a new epoch", async || controller.line.revision(sale).await.is_ok_and(|at| at.epoch == epoch + 1))
        .await;
    let later = controller.join(sale, 1).await;
    assert_eq!(later[0].ordinal, 100_006, "above all that may have been given");
    assert_eq!(controller.turn(&tickets[0]).await, Turn::Bought);
    assert!(matches!(controller.turn(&tickets[1]).await, Turn::Now(_)), "what the backup promised is promised still");
    for ticket in tickets[2..].iter().rev() {
        assert_eq!(controller.turn(ticket).await, Turn::Waiting);
    }
    controller.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "total": 4 }))).await;
    controller.admitted(&tickets[3]).await;
    assert_eq!(controller.admissions(sale).await, [1, 2, 3, 4], "in the old order");
    assert_eq!(controller.turn(&later[0]).await, Turn::Waiting);
    drop(servers);
}

#[tokio::test]
async fn a_pause_holds_the_line_and_a_close_ends_it() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 5, "opens_at": "2999-01-01T00:00:00Z" })).await;
    assert_eq!(controller.show(sale).await["status"], json!("scheduled"));
    let tickets = controller.join(sale, 2).await;
    assert_eq!(controller.act(sale, "pause").await.0, 409);
    assert_eq!(controller.act(sale, "open").await.1["status"], json!("open"));
    controller.admitted(&tickets[1]).await;
    assert_eq!(controller.act(sale, "pause").await.1["status"], json!("paused"));
    let late = controller.join(sale, 1).await;
    controller.until_decided(sale, "the sale is not open").await;
    assert_eq!(controller.turn(&late[0]).await, Turn::Waiting);
    assert_eq!(controller.act(sale, "resume").await.1["status"], json!("open"));
    controller.admitted(&late[0]).await;
    assert_eq!(controller.act(sale, "close").await.1["status"], json!("closed"));
    assert_eq!(controller.act(sale, "open").await.0, 409);
    controller
        .until("outstanding tokens to be taken back", async || controller.show(sale).await["promised"] == json!(0))
        .await;
    controller
        .until("the line to be updated", async || {
            let card = controller.line.snapshot(sale).await.expect("a snapshot").card;
            serde_json::to_value(card.status).expect("JSON") == json!("closed")
        })
        .await;
    let mut events =
        vec!["FlashSaleScheduled", "FlashSaleStarted", "FlashSalePaused", "FlashSaleResumed", "FlashSaleEnded"];
    assert_eq!(controller.events().await, events);
    controller.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "message": "Thank you" }))).await;
    events.push("FlashSaleChanged");
    assert_eq!(controller.events().await, events);
}

#[tokio::test]
async fn a_sale_ends_by_the_clock_once_its_last_token_is_used() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 1 })).await;
    let tickets = controller.join(sale, 2).await;
    controller.admitted(&tickets[0]).await;
    sqlx::query("UPDATE sales SET opens_at = now() - interval '1 hour', ends_at = now()")
        .execute(&controller.pool)
        .await
        .expect("ended");
    controller.until("the end to show", async || controller.show(sale).await["status"] == json!("closed")).await;
    let stored = async || -> String {
        sqlx::query_scalar("SELECT status FROM sales").fetch_one(&controller.pool).await.expect("read")
    };
    assert_eq!(stored().await, "open", "admitted shoppers may still buy");
    controller.buy(&tickets[0]).await;
    controller.until("the sale to close", async || stored().await == "closed").await;
    assert_eq!(controller.events().await, ["FlashSaleScheduled", "FlashSaleStarted", "FlashSaleEnded"]);
}

#[tokio::test]
async fn yield_mode_promises_more_than_the_stock_once_it_has_learnt() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 40, "mode": "yield", "risk": 0.01, "token_ttl_s": 600 })).await;
    let tickets = controller.join(sale, 300).await;
    let promised = async || controller.show(sale).await["promised"].as_u64().expect("a number");
    controller.until("about one admission for each unit", async || promised().await >= 35).await;
    controller.ticks(sale, 5).await;
    let (first, shown) = (promised().await, controller.show(sale).await);
    assert!(first <= 55, "cautious: {shown}");
    assert_eq!((&shown["remaining"], &shown["mode"]), (&json!(40), &json!("yield")), "a promise takes no unit away");
    // Most give their tokens back at once: more may be under way than there are units.
    for ticket in &tickets[..usize::try_from(first).expect("small") - 4] {
        controller.admitted(ticket).await;
        controller.line.leave(ticket).await.expect("left");
    }
    controller.until("more to be promised than there is", async || promised().await > 60).await;
    let (promised, overbook): (i32, i32) = sqlx::query_as("SELECT promised, overbook FROM stock WHERE sale_id = $1")
        .bind(sale.0)
        .fetch_one(&controller.pool)
        .await
        .expect("read");
    assert!(promised - 40 <= overbook, "{promised} {overbook}");
}

#[tokio::test]
async fn a_sale_with_a_prior_sale_begins_with_what_was_learnt() {
    let controller = TestController::open().await;
    let earlier = controller.sale(json!({ "total": 700, "mode": "yield", "risk": 0.01, "token_ttl_s": 600 })).await;
    controller.join(earlier, 480).await;
    controller.until("all to be admitted", async || controller.show(earlier).await["promised"] == json!(480)).await;
    let run = async |statement: &'static str| {
        sqlx::query(statement).bind(earlier.0).execute(&controller.pool).await.expect("done");
    };
    run("UPDATE admissions SET claimed_at = now() - ordinal / 4 % 16 * interval '1 s' WHERE sale_id = $1").await;
    controller.ticks(earlier, 5).await;
    // A quarter of them buys.
    run("WITH bought AS (UPDATE admissions SET state = 'redeemed' WHERE sale_id = $1 AND ordinal % 4 = 0 RETURNING *), \
         gone AS (UPDATE admissions SET state = 'lapsed', left_at = now() WHERE sale_id = $1 AND ordinal % 4 > 0), \
         paid AS (INSERT INTO holds (id, admission_id, sale_id, visitor, quantity, amount_minor, currency, state, expires_at) \
         SELECT gen_random_uuid(), id, sale_id, visitor, quantity, 4900, 'EUR', 'paid', now() FROM bought) \
         UPDATE stock SET promised = 0, sold = 120 WHERE sale_id = $1")
    .await;
    controller.until("their visits to be taken in", async || {
        let bought: f64 = sqlx::query_scalar(
            "SELECT coalesce((SELECT sum(visits::float8) FROM jsonb_array_elements_text(memory #> '{learned,moved_on,1}') \
             AS visits), 0) FROM lines WHERE sale_id = $1",
        )
        .bind(earlier.0)
        .fetch_one(&controller.pool)
        .await
        .expect("read");
        bought > 100.0
    })
    .await;

    let sale =
        controller.sale(json!({ "total": 40, "mode": "yield", "risk": 0.01, "prior_sale": earlier.to_string() })).await;
    assert_eq!(controller.show(sale).await["prior_sale"], json!(earlier.to_string()));
    controller.join(sale, 300).await;
    // A sale without a prior sale admits about one shopper for each unit.
    controller
        .until("more to be promised than there is", async || {
            controller.show(sale).await["promised"].as_u64() > Some(60)
        })
        .await;
}

#[tokio::test]
async fn a_full_or_unhealthy_checkout_slows_admissions() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 1000, "in_checkout_max": 3 })).await;
    let tickets = controller.join(sale, 900).await;
    controller.until_decided(sale, "the cap of 3 shoppers in checkout").await;
    assert_eq!(controller.admissions(sale).await, [1, 2, 3]);
    controller.buy(&tickets[0]).await;
    controller.admitted(&tickets[3]).await;
    assert_eq!(controller.admissions(sale).await.len(), 4);

    let heartbeat = "INSERT INTO checkouts (id, heartbeat_at, answered, failed, slow) VALUES (gen_random_uuid(), now() + $1, 100, $2, $3)";
    for (ahead_s, failed, slow, words) in
        [(600.0, 50, 0, "failed too often"), (600.0, 0, 30, "was slow"), (-20.0, 0, 0, "could not be reached")]
    {
        sqlx::query("DELETE FROM checkouts").execute(&controller.pool).await.expect("emptied");
        let ahead = sqlx::postgres::types::PgInterval { microseconds: (ahead_s * 1e6) as i64, ..Default::default() };
        sqlx::query(heartbeat).bind(ahead).bind(failed).bind(slow).execute(&controller.pool).await.expect("written");
        let change = json!({ "in_checkout_max": null, "rate_cap_per_s": 40.0 });
        controller.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&change)).await;
        controller.until_decided(sale, words).await;
    }
    sqlx::query("DELETE FROM checkouts").execute(&controller.pool).await.expect("emptied");
    let before = controller.admissions(sale).await.len();
    controller.until("admissions to continue", async || controller.admissions(sale).await.len() > before).await;
}

#[tokio::test]
async fn missing_heartbeats_do_not_count_during_an_outage_of_the_database() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 1000, "rate_cap_per_s": 20.0 })).await;
    let outage = "INSERT INTO checkouts (id, heartbeat_at, answered, failed, slow) VALUES (gen_random_uuid(), now() - interval '20 s', 0, 0, 0); \
                  UPDATE lines SET unreachable_from = now() - interval '20 s', unreachable_until = now()";
    sqlx::raw_sql(outage).execute(&controller.pool).await.expect("noted");
    let tickets = controller.join(sale, 900).await;
    // For an unreachable checkout, only 0.2 shoppers per second would be admitted.
    controller.admitted(&tickets[19]).await;
    controller.until_decided(sale, "could not be reached").await;
}

#[tokio::test]
async fn the_rate_cap_holds_over_two_controllers() {
    let controller = TestController::open().await;
    let second = Shutdown::new();
    controller.another_controller(&second).await;
    let sale = controller.sale(json!({ "total": 1000, "rate_cap_per_s": 20.0 })).await;
    controller.join(sale, 1000).await;
    controller.until("the line to move for a while", async || controller.admissions(sale).await.len() > 100).await;
    // Batches, each with the seconds since the one before.
    let batches: Vec<(i64, Option<f64>)> = sqlx::query_as(
        "SELECT count(*), extract(epoch FROM issued_at - lag(issued_at) OVER (ORDER BY issued_at))::float8 \
         FROM admissions WHERE sale_id = $1 GROUP BY issued_at ORDER BY issued_at",
    )
    .bind(sale.0)
    .fetch_all(&controller.pool)
    .await
    .expect("read");
    let admitted: i64 = batches.iter().map(|(made, _)| made).sum();
    let seconds: f64 = batches.iter().filter_map(|(_, gap)| *gap).sum();
    // Half a second's worth may be carried over.
    assert!(admitted as f64 <= 20.0 * (seconds + 0.5) + 1.0, "{admitted} in {seconds} s");
    // A gap earns two seconds at most. A tick decides some time before it writes, and keeps a part
    // of an admission.
    let followed: i64 = batches.iter().filter_map(|(made, gap)| gap.and(Some(made))).sum();
    let earning_s: f64 = batches.iter().filter_map(|(_, gap)| gap.map(|gap| gap.min(2.0))).sum();
    assert!(followed as f64 >= 20.0 * (earning_s - 0.2) - 1.0, "only {followed} in {earning_s} s: {batches:?}");
    second.trigger();
}
