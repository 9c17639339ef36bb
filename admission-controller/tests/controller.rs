//! The controller through its outermost doors, over a real Postgres and a real Redis.

mod console;
mod desk;
mod lanes;
mod operators;
mod orders;
mod people;
mod record;
mod recovery;
mod tickets;
mod ticks;
mod webhooks;

use std::collections::BTreeSet;

use desk::Desk;
use fairline_admission_token::verify;
use fairline_line::change::Turn;
use fairline_private_servers::testing::Servers;
use fairline_server::Shutdown;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

#[tokio::test]
async fn people_are_let_in_in_order_as_the_stock_allows_and_the_rest_hear_that_it_is_sold_out() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 3 })).await;
    let tickets = desk.join(sale, 5).await;
    for ticket in &tickets[..3] {
        desk.admitted(ticket).await;
    }
    desk.until_decided(sale, "every unit is taken for now").await;
    assert_eq!(desk.turn(&tickets[3]).await, Turn::Waiting);
    assert_eq!(desk.admissions(sale).await, [1, 2, 3]);
    let shown = desk.show(sale).await;
    assert_eq!((&shown["promised"], &shown["waiting"], &shown["remaining"]), (&json!(3), &json!(2), &json!(0)));

    for ticket in &tickets[..3] {
        desk.buy(ticket).await;
    }
    desk.until("everybody to hear that it is sold out", async || {
        let card = desk.line.snapshot(sale).await.expect("a snapshot").card;
        serde_json::to_value(card.status).expect("JSON") == json!("sold_out")
    })
    .await;
    assert_eq!(desk.turn(&tickets[0]).await, Turn::Bought);

    // A larger stock re-opens the sale, in order.
    desk.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "total": 4 }))).await;
    desk.admitted(&tickets[3]).await;
    assert_eq!(desk.show(sale).await["status"], json!("open"));
}

#[tokio::test]
async fn a_post_with_a_key_is_done_once_and_shows_what_a_sale_asks_for() {
    let desk = Desk::open().await;
    let body = json!({ "slug": "once", "name": "A", "price_minor": 100, "currency": "EUR", "total": 1, "per_account_limit": 2 });
    let create = async |key: &str, body: &serde_json::Value, token: &str| {
        let headers = format!("authorization: Bearer {token}\r\nidempotency-key: {key}\r\n");
        let (status, answer) = desk.request("POST", "/api/admin/sales", &headers, &body.to_string()).await;
        (status, serde_json::from_str::<serde_json::Value>(&answer).expect("JSON"))
    };
    let first = create("a-key", &body, desk::ADMIN_TOKEN).await;
    assert_eq!((first.0, &first.1["per_account_limit"]), (201, &json!(2)));
    assert_eq!(create("a-key", &body, desk::ADMIN_TOKEN).await, first, "not that the slug is taken");
    assert_eq!(create("another", &body, desk::ADMIN_TOKEN).await.0, 409, "the control");
    let mut other = body.clone();
    other["total"] = json!(2);
    let (status, reused) = create("a-key", &other, desk::ADMIN_TOKEN).await;
    assert!(status == 422 && reused["type"].as_str().is_some_and(|kind| kind.ends_with("idempotency-key-reused")));
    assert_eq!(create("a-key", &body, "somebody else's token").await.0, 401, "nobody else hears of it");
    let (_, list) = desk.admin("GET", "/api/admin/sales", None).await;
    assert_eq!(list["sales"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_token_is_what_the_public_keys_verify_and_promises_the_limit() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 5, "per_shopper_limit": 2 })).await;
    let tickets = desk.join(sale, 3).await;
    let keys = desk.key_set().await;
    for (ticket, quantity) in tickets.iter().zip([2, 2, 1]) {
        let turn = desk.admitted(ticket).await;
        let claims = verify(&turn.token, &keys, turn.expires_at.unix_timestamp() - 1).expect("genuine").claims;
        assert_eq!((claims.sale, claims.qty, turn.quantity), (sale, quantity, quantity));
        assert_eq!(claims.sub, ticket.visitor.to_string());
        assert!(verify(&turn.token, &keys, turn.expires_at.unix_timestamp()).is_err(), "it ends with the promise");
    }
}

#[tokio::test]
async fn signing_keys_rotate_without_a_gap_and_are_revoked_at_once() {
    let mut desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 10, "claim_window_s": 600 })).await;
    let tickets = desk.join(sale, 1).await;
    let old = desk.admitted(&tickets[0]).await;

    desk.prefer_a_new_key().await;
    let more = desk.join(sale, 1).await;
    let new = desk.admitted(&more[0]).await;
    assert_eq!(desk.admitted(&tickets[0]).await, old, "a token keeps its value for as long as its key is good");
    let keys = desk.key_set().await;
    let now = old.expires_at.unix_timestamp() - 1;
    let [old_kid, new_kid] = [&old, &new].map(|turn| verify(&turn.token, &keys, now).expect("both are shown").kid);
    assert_ne!(old_kid, new_kid);
    let uses = |answer: &serde_json::Value| {
        answer["keys"].as_array().map(|keys| keys.iter().map(|key| key["use"].clone()).collect::<Vec<_>>())
    };
    let (_, listed) = desk.admin("GET", "/api/admin/keys", None).await;
    assert_eq!(uses(&listed), Some(vec![json!("signs"), json!("shown")]));

    let (status, listed) = desk.admin("POST", &format!("/api/admin/keys/{new_kid}/revoke"), None).await;
    assert_eq!((status, uses(&listed)), (200, Some(vec![json!("revoked"), json!("signs")])));
    assert_eq!(desk.keys_of_promises(sale).await[0], old_kid);
    assert_ne!(desk.keys_of_promises(sale).await[1], new_kid, "checkout takes it no more, from the answer on");
    desk.until("the shopper to have another token", async || desk.admitted(&more[0]).await != new).await;
    let keys = desk.key_set().await;
    let again = desk.admitted(&more[0]).await;
    assert_eq!(verify(&again.token, &keys, now).expect("genuine").kid, old_kid);
    assert!(verify(&new.token, &keys, now).is_err());
    assert_eq!(desk.show(sale).await["promised"], json!(2));

    // Without a key nobody is let in, and no token is good; with another one everything goes on.
    desk.admin("POST", &format!("/api/admin/keys/{old_kid}/revoke"), None).await;
    let last = desk.join(sale, 1).await;
    desk.until_decided(sale, "every signing key is revoked").await;
    assert_eq!(desk.turn(&last[0]).await, Turn::Waiting);
    assert_eq!(desk.keys_of_promises(sale).await, ["", ""]);
    desk.prefer_a_new_key().await;
    desk.admitted(&last[0]).await;
    let keys = desk.key_set().await;
    desk.until("everybody to have a token of the new key", async || {
        let token = desk.admitted(&tickets[0]).await.token;
        verify(&token, &keys, now).is_ok()
    })
    .await;
    assert_eq!(desk.admin("POST", "/api/admin/keys/nobody/revoke", None).await.0, 404);
}

#[tokio::test]
async fn a_token_that_nobody_claims_lapses_and_its_unit_goes_to_the_next() {
    let desk = Desk::open().await;
    // Long enough for the second to claim, however busy the machine is.
    let sale = desk.sale(json!({ "total": 1, "claim_window_s": 3 })).await;
    let tickets = desk.join(sale, 2).await;
    desk.until("the next to be let in", async || desk.admissions(sale).await == [1, 2]).await;
    desk.line.claim(&tickets[1]).await.expect("claimed");
    // The first comes back late: recalled, and let in when the second's turn is over.
    assert_eq!(desk.turn(&tickets[0]).await, Turn::Waiting);
    assert_eq!(desk.line.snapshot(sale).await.expect("a snapshot").view.place(1).map(|place| place.ahead), Some(0));
    desk.line.leave(&tickets[1]).await.expect("left");
    desk.admitted(&tickets[0]).await;
    assert_eq!(desk.turn(&tickets[1]).await, Turn::Left);
}

#[tokio::test]
async fn a_claimed_token_that_runs_out_is_over_and_one_never_claimed_comes_three_times() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 1, "claim_window_s": 1, "token_ttl_s": 2 })).await;
    let tickets = desk.join(sale, 1).await;
    desk.admitted(&tickets[0]).await;
    desk.line.claim(&tickets[0]).await.expect("claimed");
    desk.until("the turn to run out", async || desk.turn(&tickets[0]).await == Turn::Expired).await;

    let tickets = desk.join(sale, 1).await;
    desk.until("the last turn to lapse", async || desk.turn(&tickets[0]).await == Turn::Expired).await;
    assert_eq!(desk.admissions(sale).await, [1, 2, 2, 2]);
    assert_eq!(desk.show(sale).await["promised"], json!(0));
}

#[tokio::test]
async fn two_controllers_and_a_third_that_dies_let_nobody_in_twice() {
    let desk = Desk::open().await;
    let (second, third) = (Shutdown::new(), Shutdown::new());
    desk.another_controller(&second).await;
    desk.another_controller(&third).await;
    let sale = desk.sale(json!({ "total": 60 })).await;
    let tickets = desk.join(sale, 100).await;
    desk.admitted(&tickets[10]).await;
    third.trigger();
    desk.admitted(&tickets[59]).await;
    desk.until_decided(sale, "every unit is taken for now").await;
    assert_eq!(desk.admissions(sale).await, (1..=60).collect::<Vec<_>>());
    assert_eq!(desk.turn(&tickets[60]).await, Turn::Waiting);
    second.trigger();
}

#[tokio::test]
async fn what_redis_was_not_told_is_told_again_and_a_token_has_one_value() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({})).await;
    let tickets = desk.join(sale, 2).await;
    let before = desk.admitted(&tickets[0]).await;
    // As if the controller had died between the commit and the publication.
    sqlx::query("UPDATE admissions SET published_state = NULL").execute(&desk.pool).await.expect("forgotten");
    desk.until("the publication", async || {
        let open: i64 =
            sqlx::query_scalar("SELECT count(*) FROM admissions WHERE published_state IS DISTINCT FROM state")
                .fetch_one(&desk.pool)
                .await
                .expect("read");
        open == 0
    })
    .await;
    assert_eq!(desk.admitted(&tickets[0]).await, before);
}

#[tokio::test]
async fn a_line_that_redis_lost_begins_anew_above_every_ordinal_and_recalls_the_rest_in_order() {
    let servers = spawn_blocking(|| Servers::start().expect("a Redis of its own")).await.expect("no panic");
    let desk = Desk::open_at(&servers.redis.url()).await;
    let sale = desk.sale(json!({ "total": 3 })).await;
    let tickets = desk.join(sale, 6).await;
    let before = desk.admitted(&tickets[2]).await;
    desk.buy(&tickets[0]).await;
    desk.until_decided(sale, "every unit is taken for now").await;

    let epoch = desk.line.revision(sale).await.expect("read").epoch;
    let mut servers = servers;
    servers = spawn_blocking(move || {
        servers.redis.kill().expect("killed");
        servers.redis.restart().expect("restarted");
        servers
    })
    .await
    .expect("no panic");
    desk.until("a new epoch", async || desk.line.revision(sale).await.is_ok_and(|at| at.epoch == epoch + 1)).await;
    let later = desk.join(sale, 1).await;
    assert_eq!(later[0].ordinal, 100_007, "above all that may have been given");
    assert_eq!(desk.turn(&tickets[2]).await, Turn::Now(before), "whoever had a turn still has it");
    assert_eq!(desk.turn(&tickets[0]).await, Turn::Bought);
    for ticket in [&tickets[5], &tickets[3]] {
        assert_eq!(desk.turn(ticket).await, Turn::Waiting);
    }
    // One more unit while shoppers show their tickets: it waits for those who were first.
    desk.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "total": 5 }))).await;
    desk.until_decided(sale, "presenting their tickets again").await;
    assert_eq!(desk.turn(&tickets[4]).await, Turn::Waiting);
    desk.admitted(&tickets[4]).await;
    assert_eq!(desk.admissions(sale).await, [1, 2, 3, 4, 5]);
    assert_eq!(desk.turn(&later[0]).await, Turn::Waiting);
    assert_eq!(record::verified(&desk, sale, 1).await.losses, 1);
    drop(servers);
}

/// As docs/operations.md has it.
#[tokio::test]
async fn a_restored_database_over_an_emptied_redis_keeps_all_places_and_what_it_remembers() {
    let servers = spawn_blocking(|| Servers::start().expect("servers of its own")).await.expect("no panic");
    let mut desk = Desk::open_at(&servers.redis.url()).await;
    let sale = desk.sale(json!({ "total": 2 })).await;
    let tickets = desk.join(sale, 5).await;
    desk.admitted(&tickets[1]).await;
    desk.buy(&tickets[0]).await;
    desk.until_decided(sale, "every unit is taken for now").await;
    let backup = desk.back_up(&servers);
    // After the backup a unit more is sold, which is forgotten.
    desk.buy(&tickets[1]).await;
    let epoch = desk.line.revision(sale).await.expect("read").epoch;

    let servers = desk.restore(servers, &backup).await;
    desk.until("a new epoch", async || desk.line.revision(sale).await.is_ok_and(|at| at.epoch == epoch + 1)).await;
    let later = desk.join(sale, 1).await;
    assert_eq!(later[0].ordinal, 100_006, "above all that may have been given");
    assert_eq!(desk.turn(&tickets[0]).await, Turn::Bought);
    assert!(matches!(desk.turn(&tickets[1]).await, Turn::Now(_)), "what the backup promised is promised still");
    for ticket in tickets[2..].iter().rev() {
        assert_eq!(desk.turn(ticket).await, Turn::Waiting);
    }
    desk.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "total": 4 }))).await;
    desk.admitted(&tickets[3]).await;
    assert_eq!(desk.admissions(sale).await, [1, 2, 3, 4], "in the old order");
    assert_eq!(desk.turn(&later[0]).await, Turn::Waiting);
    drop(servers);
}

#[tokio::test]
async fn a_pause_holds_the_line_and_a_close_ends_it() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 5, "opens_at": "2999-01-01T00:00:00Z" })).await;
    assert_eq!(desk.show(sale).await["status"], json!("scheduled"));
    let tickets = desk.join(sale, 2).await;
    assert_eq!(desk.act(sale, "pause").await.0, 409);
    assert_eq!(desk.act(sale, "open").await.1["status"], json!("open"));
    desk.admitted(&tickets[1]).await;
    assert_eq!(desk.act(sale, "pause").await.1["status"], json!("paused"));
    let late = desk.join(sale, 1).await;
    desk.until_decided(sale, "the sale is not open").await;
    assert_eq!(desk.turn(&late[0]).await, Turn::Waiting);
    assert_eq!(desk.act(sale, "resume").await.1["status"], json!("open"));
    desk.admitted(&late[0]).await;
    assert_eq!(desk.act(sale, "close").await.1["status"], json!("closed"));
    assert_eq!(desk.act(sale, "open").await.0, 409);
    desk.until("tokens that are out to be taken back", async || desk.show(sale).await["promised"] == json!(0)).await;
    desk.until("the line to hear of it", async || {
        let card = desk.line.snapshot(sale).await.expect("a snapshot").card;
        serde_json::to_value(card.status).expect("JSON") == json!("closed")
    })
    .await;
    let mut told =
        vec!["FlashSaleScheduled", "FlashSaleStarted", "FlashSalePaused", "FlashSaleResumed", "FlashSaleEnded"];
    assert_eq!(desk.told().await, told);
    desk.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&json!({ "message": "Thank you" }))).await;
    told.push("FlashSaleChanged");
    assert_eq!(desk.told().await, told);
}

#[tokio::test]
async fn a_sale_ends_by_the_clock_once_its_last_token_is_used() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 1 })).await;
    let tickets = desk.join(sale, 2).await;
    desk.admitted(&tickets[0]).await;
    sqlx::query("UPDATE sales SET opens_at = now() - interval '1 hour', ends_at = now()")
        .execute(&desk.pool)
        .await
        .expect("ended");
    desk.until("the end to show", async || desk.show(sale).await["status"] == json!("closed")).await;
    let stored = async || -> String {
        sqlx::query_scalar("SELECT status FROM sales").fetch_one(&desk.pool).await.expect("read")
    };
    assert_eq!(stored().await, "open", "whoever was let in may still buy");
    desk.buy(&tickets[0]).await;
    desk.until("the sale to close", async || stored().await == "closed").await;
    assert_eq!(desk.told().await, ["FlashSaleScheduled", "FlashSaleStarted", "FlashSaleEnded"]);
}

#[tokio::test]
async fn the_database_refuses_to_promise_more_than_there_is() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 2, "opens_at": "2999-01-01T00:00:00Z" })).await;
    for broken in ["promised = 3", "held = 2, sold = 1", "promised = 1, held = 1, sold = 1", "sold = -1"] {
        let update = sqlx::AssertSqlSafe(format!("UPDATE stock SET {broken} WHERE sale_id = '{sale}'"));
        let refused = sqlx::query(update).execute(&desk.pool).await.expect_err(broken);
        let constraint = refused.as_database_error().and_then(|error| error.constraint()).map(str::to_owned);
        assert!(constraint.is_some_and(|name| name.starts_with("stock_")), "{broken}: {refused}");
    }
}

#[tokio::test]
async fn yield_mode_promises_more_than_there_is_once_it_knows_these_shoppers() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 40, "mode": "yield", "risk": 0.01, "token_ttl_s": 600 })).await;
    let tickets = desk.join(sale, 300).await;
    let promised = async || desk.show(sale).await["promised"].as_u64().expect("a number");
    desk.until("about one to be let in for each unit", async || promised().await >= 35).await;
    desk.ticks(sale, 5).await;
    let (first, shown) = (promised().await, desk.show(sale).await);
    assert!(first <= 55, "cautious: {shown}");
    assert_eq!((&shown["remaining"], &shown["mode"]), (&json!(40), &json!("yield")), "a promise takes no unit away");
    // Most give their tokens back at once: more may be under way than there are units.
    for ticket in &tickets[..usize::try_from(first).expect("small") - 4] {
        desk.admitted(ticket).await;
        desk.line.leave(ticket).await.expect("left");
    }
    desk.until("more to be promised than there is", async || promised().await > 60).await;
    let (promised, overbook): (i32, i32) = sqlx::query_as("SELECT promised, overbook FROM stock WHERE sale_id = $1")
        .bind(sale.0)
        .fetch_one(&desk.pool)
        .await
        .expect("read");
    assert!(promised - 40 <= overbook, "{promised} {overbook}");
}

#[tokio::test]
async fn a_sale_like_an_earlier_one_begins_with_what_that_has_taught() {
    let desk = Desk::open().await;
    let earlier = desk.sale(json!({ "total": 700, "mode": "yield", "risk": 0.01, "token_ttl_s": 600 })).await;
    desk.join(earlier, 480).await;
    desk.until("all to be let in", async || desk.show(earlier).await["promised"] == json!(480)).await;
    let run = async |statement: &'static str| {
        sqlx::query(statement).bind(earlier.0).execute(&desk.pool).await.expect("done");
    };
    run("UPDATE admissions SET claimed_at = now() - ordinal / 4 % 16 * interval '1 s' WHERE sale_id = $1").await;
    desk.ticks(earlier, 5).await;
    // A quarter of them buys.
    run("WITH bought AS (UPDATE admissions SET state = 'redeemed' WHERE sale_id = $1 AND ordinal % 4 = 0 RETURNING *), \
         gone AS (UPDATE admissions SET state = 'lapsed', left_at = now() WHERE sale_id = $1 AND ordinal % 4 > 0), \
         paid AS (INSERT INTO holds (id, admission_id, sale_id, visitor, quantity, amount_minor, currency, state, expires_at) \
         SELECT gen_random_uuid(), id, sale_id, visitor, quantity, 4900, 'EUR', 'paid', now() FROM bought) \
         UPDATE stock SET promised = 0, sold = 120 WHERE sale_id = $1")
    .await;
    desk.until("their visits to be taken in", async || {
        let bought: f64 = sqlx::query_scalar(
            "SELECT coalesce((SELECT sum(visits::float8) FROM jsonb_array_elements_text(memory #> '{learned,moved_on,1}') \
             AS visits), 0) FROM lines WHERE sale_id = $1",
        )
        .bind(earlier.0)
        .fetch_one(&desk.pool)
        .await
        .expect("read");
        bought > 100.0
    })
    .await;

    let sale = desk.sale(json!({ "total": 40, "mode": "yield", "risk": 0.01, "like": earlier.to_string() })).await;
    assert_eq!(desk.show(sale).await["like"], json!(earlier.to_string()));
    desk.join(sale, 300).await;
    // A sale that knows nothing lets in about one for each unit.
    desk.until("more to be promised than there is", async || desk.show(sale).await["promised"].as_u64() > Some(60))
        .await;
}

#[tokio::test]
async fn a_full_checkout_and_an_ailing_one_hold_the_line_back() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 1000, "inside_max": 3 })).await;
    let tickets = desk.join(sale, 900).await;
    desk.until_decided(sale, "checkout is full: 3").await;
    assert_eq!(desk.admissions(sale).await, [1, 2, 3]);
    desk.buy(&tickets[0]).await;
    desk.admitted(&tickets[3]).await;
    assert_eq!(desk.admissions(sale).await.len(), 4);

    let ill = "INSERT INTO checkouts (id, beat_at, answered, failed, slow) VALUES (gen_random_uuid(), now() + $1, 100, $2, $3)";
    for (ahead_s, failed, slow, words) in
        [(600.0, 50, 0, "failed too often"), (600.0, 0, 30, "was slow"), (-20.0, 0, 0, "could not be reached")]
    {
        sqlx::query("DELETE FROM checkouts").execute(&desk.pool).await.expect("emptied");
        let ahead = sqlx::postgres::types::PgInterval { microseconds: (ahead_s * 1e6) as i64, ..Default::default() };
        sqlx::query(ill).bind(ahead).bind(failed).bind(slow).execute(&desk.pool).await.expect("told");
        let change = json!({ "inside_max": null, "rate_cap_per_s": 40.0 });
        desk.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&change)).await;
        desk.until_decided(sale, words).await;
    }
    sqlx::query("DELETE FROM checkouts").execute(&desk.pool).await.expect("emptied");
    let before = desk.admissions(sale).await.len();
    desk.until("people to be let in again", async || desk.admissions(sale).await.len() > before).await;
}

#[tokio::test]
async fn checkouts_are_not_missed_while_they_cannot_reach_the_database_to_report() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 1000, "rate_cap_per_s": 20.0 })).await;
    let outage = "INSERT INTO checkouts (id, beat_at, answered, failed, slow) VALUES (gen_random_uuid(), now() - interval '20 s', 0, 0, 0); \
                  UPDATE lines SET away_from = now() - interval '20 s', away_till = now()";
    sqlx::raw_sql(outage).execute(&desk.pool).await.expect("noted");
    let tickets = desk.join(sale, 900).await;
    // A fifth of one a second were let in of a checkout that is gone.
    desk.admitted(&tickets[19]).await;
    desk.until_decided(sale, "could not be reached").await;
}

#[tokio::test]
async fn the_rate_cap_holds_over_two_controllers() {
    let desk = Desk::open().await;
    let second = Shutdown::new();
    desk.another_controller(&second).await;
    let sale = desk.sale(json!({ "total": 1000, "rate_cap_per_s": 20.0 })).await;
    desk.join(sale, 1000).await;
    desk.until("the line to move for a while", async || desk.admissions(sale).await.len() > 40).await;
    let (admitted, seconds): (i64, f64) = sqlx::query_as(
        "SELECT count(*), extract(epoch FROM max(issued_at) - min(issued_at))::float8 FROM admissions WHERE sale_id = $1",
    )
    .bind(sale.0)
    .fetch_one(&desk.pool)
    .await
    .expect("read");
    // Half a second's worth may be carried over.
    assert!(admitted as f64 <= 20.0 * (seconds + 0.5) + 1.0, "{admitted} in {seconds} s");
    second.trigger();
}

#[tokio::test]
async fn a_window_is_moved_as_long_as_it_has_not_come() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "opens_at": "2999-01-02T00:00:00Z", "ends_at": "2999-01-03T00:00:00Z" })).await;
    let path = format!("/api/admin/sales/{sale}");
    let change = async |change: Value| desk.admin("PATCH", &path, Some(&change)).await;
    for wrong in [json!({ "ends_at": "2999-01-01T00:00:00Z" }), json!({ "opens_at": "2999-01-04T00:00:00Z" })] {
        let (status, problem) = change(wrong).await;
        assert_eq!((status, &problem["field"]), (422, &json!("ends_at")));
    }
    let (_, later) = change(json!({ "opens_at": "2999-02-02T00:00:00Z", "ends_at": null })).await;
    assert_eq!((&later["opens_at"], &later["ends_at"]), (&json!("2999-02-02T00:00:00Z"), &json!(null)));
    let (_, again) = change(json!({ "rate_cap_per_s": 5.0 })).await;
    assert_eq!(again["opens_at"], later["opens_at"], "what is left out stays");
    assert_eq!(change(json!({ "opens_at": "2020-01-01T00:00:00Z" })).await.0, 200);
    desk.until("the sale to open", async || desk.show(sale).await["status"] == json!("open")).await;
    let (status, problem) = change(json!({ "opens_at": "2999-02-02T00:00:00Z" })).await;
    assert!(status == 409 && problem["type"].as_str().is_some_and(|kind| kind.ends_with("illegal-transition")));
}

#[tokio::test]
async fn all_sales_are_listed_page_by_page_and_one_is_found_by_its_name() {
    let desk = Desk::open().await;
    sqlx::raw_sql(
        "WITH sale AS (INSERT INTO sales (id, slug, name, description, price_minor, currency, per_shopper_limit, rate_cap_per_s, \
         token_ttl_s, claim_window_s, hold_s, opens_at, recall_window_s, status) \
         SELECT gen_random_uuid(), 'old-' || n, 'Old', '', 1, 'EUR', 1, 1, 60, 10, 60, now(), 60, 'closed' \
         FROM generate_series(1, 203) AS n RETURNING id), \
         line AS (INSERT INTO lines (id, sale_id, published_status) SELECT id, id, 'closed' FROM sale) \
         INSERT INTO stock (sale_id, total) SELECT id, 1 FROM sale",
    )
    .execute(&desk.pool)
    .await
    .expect("old sales");
    let list = async |asked: &str| {
        let (status, page) = desk.admin("GET", &format!("/api/admin/sales{asked}"), None).await;
        assert_eq!(status, 200, "{page}");
        page
    };
    let slugs = |page: &Value| -> Vec<String> {
        let sales = page["sales"].as_array().expect("sales").iter();
        sales.map(|sale| sale["slug"].as_str().expect("a slug").to_owned()).collect()
    };
    let first = list("").await;
    let second = list(&format!("?before={}", first["next"].as_str().expect("more"))).await;
    assert_eq!((slugs(&first).len(), slugs(&second).len(), &second["next"]), (200, 3, &json!(null)));
    let all: BTreeSet<String> = slugs(&first).into_iter().chain(slugs(&second)).collect();
    assert_eq!(all.len(), 203);
    assert_eq!(slugs(&list("?slug=old-7").await), ["old-7"]);
    assert!(slugs(&list("?slug=nothing").await).is_empty());
}

#[tokio::test]
async fn every_operation_is_behind_the_token_and_what_is_wrong_is_refused_in_words() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "slug": "taken" })).await;
    let (_, document) = desk.request("GET", "/openapi/admission-controller.json", "", "").await;
    let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let mut operations = BTreeSet::new();
    let paths = document["paths"].as_object().expect("paths");
    for (path, methods) in paths.iter().filter(|(path, _)| path.starts_with("/api/admin/")) {
        for method in methods.as_object().expect("methods").keys() {
            let (method, path) =
                (method.to_uppercase(), path.replace("{id}", &sale.to_string()).replace("{lane}", "vip"));
            // Anybody may try to sign in, or to enrol.
            if method == "POST" && ["/api/admin/session", "/api/admin/enrolment"].contains(&path.as_str()) {
                continue;
            }
            for headers in ["", "authorization: Bearer wrong\r\n", "authorization: Basic x\r\n"] {
                let (status, body) = desk.request(&method, &path, headers, "{}").await;
                assert_eq!(status, 401, "{method} {path} {body}");
            }
            operations.insert(format!("{method} {path}"));
        }
    }
    assert_eq!(operations.len(), 45, "{operations:?}");
    // What is public: the record, the keys, health and metrics.
    assert_eq!(
        paths.keys().filter(|path| !path.starts_with("/api/admin/")).collect::<Vec<_>>(),
        ["/.well-known/jwks.json", "/api/flash-sales/{id}/record", "/health/live", "/health/ready", "/metrics"]
    );

    let good = json!({ "slug": "another", "name": "A", "price_minor": 100, "currency": "EUR", "total": 1 });
    for (change, status, field) in [
        (json!({ "slug": "taken" }), 409, "slug"),
        (json!({ "slug": "Not plain" }), 422, "slug"),
        (json!({ "slug": "a--b" }), 422, "slug"),
        (json!({ "name": "  " }), 422, "name"),
        (json!({ "price_minor": -1 }), 422, "price_minor"),
        // Below the least that the payment company takes, or an amount that it has not.
        (json!({ "price_minor": 49 }), 422, "price_minor"),
        (json!({ "price_minor": 17_499, "currency": "HUF" }), 422, "price_minor"),
        (json!({ "price_minor": 5124, "currency": "KWD" }), 422, "price_minor"),
        (json!({ "currency": "eur" }), 422, "currency"),
        (json!({ "total": -1 }), 422, "total"),
        (json!({ "total": "many" }), 422, "total"),
        (json!({ "per_shopper_limit": 0 }), 422, "per_shopper_limit"),
        (json!({ "per_account_limit": 0 }), 422, "per_account_limit"),
        (json!({ "rate_cap_per_s": 0.0 }), 422, "rate_cap_per_s"),
        (json!({ "hold_s": 0 }), 422, "hold_s"),
        (json!({ "order": "lifo" }), 422, "order"),
        (json!({ "mode": "hope" }), 422, "mode"),
        (json!({ "risk": 0.0 }), 422, "risk"),
        (json!({ "risk": 0.2 }), 422, "risk"),
        (json!({ "inside_max": 0 }), 422, "inside_max"),
        (json!({ "like": "00000000-0000-0000-0000-000000000001" }), 422, "like"),
        (json!({ "grace_s": 0 }), 422, "grace_s"),
        (json!({ "time_zone": "Nowhere/Nothing" }), 422, "time_zone"),
        (json!({ "time_zone": "posix/UTC" }), 422, "time_zone"),
        (json!({ "opens_at": "tomorrow" }), 422, "opens_at"),
        (json!({ "opens_at": "2999-01-02T00:00:00Z", "ends_at": "2999-01-01T00:00:00Z" }), 422, "ends_at"),
    ] {
        let mut body = good.clone();
        change.as_object().expect("an object").iter().for_each(|(name, value)| body[name] = value.clone());
        let (got, problem) = desk.admin("POST", "/api/admin/sales", Some(&body)).await;
        assert_eq!((got, &problem["field"]), (status, &json!(field)), "{change}: {problem}");
    }

    desk.join(sale, 1).await;
    desk.until("a promise", async || desk.show(sale).await["promised"] == json!(1)).await;
    let path = format!("/api/admin/sales/{sale}");
    for (change, status, slug) in [
        (json!({ "total": 0 }), 409, "stock-below-commitments"),
        (json!({ "rate_cap_per_s": -1.0 }), 422, "invalid-body"),
        (json!({ "message": "x".repeat(501) }), 422, "invalid-body"),
        (json!({ "colour": "red" }), 422, "invalid-body"),
        (json!({ "message": "x".repeat(17_000) }), 413, "body-too-large"),
    ] {
        let (got, problem) = desk.admin("PATCH", &path, Some(&change)).await;
        assert_eq!(got, status, "{problem}");
        assert!(problem["type"].as_str().is_some_and(|kind| kind.ends_with(slug)), "{problem}");
    }
    let (_, changed) = desk.admin("PATCH", &path, Some(&json!({ "message": "Hello", "rate_cap_per_s": 5.0 }))).await;
    assert_eq!(
        (&changed["message"], &changed["rate_cap_per_s"], &changed["total"]),
        (&json!("Hello"), &json!(5.0), &json!(10))
    );
    let (_, changed) = desk.admin("PATCH", &path, Some(&json!({ "message": null }))).await;
    assert_eq!(changed["message"], json!(null));
    assert_eq!(desk.admin("GET", "/api/admin/sales/nonsense", None).await.0, 404);
    let (_, list) = desk.admin("GET", "/api/admin/sales", None).await;
    assert_eq!(list["sales"].as_array().map(Vec::len), Some(1));
    let (status, console) = desk.request("GET", "/admin", "", "").await;
    assert!(status == 200 && console.contains("/admin/assets/"));
    for (path, wanted) in [
        ("/health/live", "live"),
        ("/health/ready", "ready"),
        ("/metrics", "admission_tick_duration"),
        ("/metrics", "# HELP admissions_total People let in."),
        ("/metrics", "sale_conversion_ratio{sale=\"taken\"} 0"),
        ("/metrics", "db_pool_connections_max{pool=\"admission-controller\"}"),
        ("/metrics", "admission_beats_total "),
        ("/metrics", "admission_decisions_total{sale=\"taken\",reason=\""),
        ("/metrics", "admission_waiting_shoppers{sale=\"taken\",lane=\"\"}"),
        ("/metrics", "admission_stock_units{sale=\"taken\",state=\"promised\"}"),
    ] {
        desk.until(wanted, async || {
            let (status, body) = desk.request("GET", path, "", "").await;
            status == 200 && body.contains(wanted)
        })
        .await;
    }
}
