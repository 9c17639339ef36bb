//! Ticks of many sales, of failing ones, and with clocks that jump.

mod shards;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fairline_line::{change::Turn, store::LineStore};
use fairline_private_servers::testing::{self, Forwarding, LinkMode, OwnServer, Proxy};
use fairline_sale::SaleId;
use fairline_server::Shutdown;
use futures_util::future::join_all;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

use crate::test_controller::TestController;

/// Forwards bytes to a server, until it is set to discard them.
async fn swallowing_proxy(to: String) -> (SocketAddr, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, swallows) = (listener.local_addr().expect("an address"), Arc::new(AtomicBool::new(false)));
    let shared = swallows.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(&to).await else { continue };
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            for (mut from, mut to) in [(from_client, to_server), (from_server, to_client)] {
                let swallows = shared.clone();
                tokio::spawn(async move {
                    let mut bytes = vec![0; 1 << 16];
                    while let Ok(count @ 1..) = from.read(&mut bytes).await {
                        if !swallows.load(Ordering::Relaxed) && to.write_all(&bytes[..count]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        }
    });
    (address, swallows)
}

async fn admitted(pool: &PgPool, sale: SaleId) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM admissions WHERE sale_id = $1");
    count.bind(sale.0).fetch_one(pool).await.expect("read")
}

/// The time until `more` further tickets are admitted.
async fn time_to_admit(controller: &TestController, sale: SaleId, more: i64) -> Duration {
    let (before, started) = (admitted(&controller.pool, sale).await, Instant::now());
    controller.until("further admissions", async || admitted(&controller.pool, sale).await >= before + more).await;
    started.elapsed()
}

/// Whether a session of a controller waits for a lock.
async fn a_tick_waits(controller: &TestController) -> bool {
    let waits = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name LIKE 'admission-controller%' AND wait_event_type = 'Lock')",
    );
    waits.fetch_one(&controller.pool).await.expect("read")
}

#[tokio::test]
async fn a_sale_whose_rows_are_locked_delays_no_other() {
    let controller = TestController::open().await;
    let well = controller.sale(json!({ "total": 1000, "rate_cap_per_s": 20.0 })).await;
    controller.join(well, 400).await;
    controller.until("the other sale to begin", async || admitted(&controller.pool, well).await > 0).await;
    let undisturbed = time_to_admit(&controller, well, 40).await;
    let sick = controller.sale(json!({ "total": 20, "claim_window_s": 5 })).await;
    let tickets = controller.join(sick, 1).await;
    controller.admitted(&tickets[0]).await;
    let mut stuck = controller.pool.begin().await.expect("begun");
    sqlx::query("SELECT FROM admissions WHERE sale_id = $1 FOR UPDATE")
        .bind(sick.0)
        .execute(&mut *stuck)
        .await
        .expect("locked");
    controller.until("the tick to wait for its lapse", async || a_tick_waits(&controller).await).await;
    let beside = time_to_admit(&controller, well, 40).await;
    assert!(beside < 2 * undisturbed, "{undisturbed:?} alone, {beside:?} beside a sale that is stuck");
    stuck.rollback().await.expect("let go");
}

#[tokio::test]
async fn more_locked_sales_than_connections_delay_no_other() {
    let controller = TestController::open().await;
    let well = controller.sale(json!({ "total": 2000, "rate_cap_per_s": 20.0 })).await;
    controller.join(well, 1500).await;
    let time_of_ticks = async |more| {
        let started = Instant::now();
        controller.ticks(well, more).await;
        started.elapsed()
    };
    let undisturbed = time_of_ticks(50).await;
    let mut sick = Vec::new();
    for _ in 0..40 {
        sick.push(controller.sale(json!({ "total": 20, "claim_window_s": 5 })).await);
    }
    let tickets = join_all(sick.iter().map(|sale| controller.join(*sale, 1))).await;
    for tickets in &tickets {
        controller.admitted(&tickets[0]).await;
    }
    let mut stuck = controller.pool.begin().await.expect("begun");
    let lock = sqlx::query("SELECT FROM admissions WHERE sale_id = ANY($1) FOR UPDATE");
    let ids: Vec<_> = sick.iter().map(|sale| sale.0).collect();
    let locked = lock.bind(&ids).execute(&mut *stuck).await.expect("locked").rows_affected();
    assert_eq!(locked, 40);
    let all_lapse = async || {
        let due = sqlx::query_scalar(
            "SELECT bool_and(claim_by < now() - interval '1 s') FROM admissions WHERE sale_id = ANY($1)",
        );
        due.bind(&ids).fetch_one(&controller.pool).await.expect("read")
    };
    controller.until("a tick of each to wait for its lapse", async || all_lapse().await).await;
    // Each failing sale may delay the others until its first tick has failed.
    controller.ticks(well, 5).await;
    let beside = time_of_ticks(50).await;
    assert!(beside < 4 * undisturbed, "{undisturbed:?} alone, {beside:?} beside sales that are stuck");
    stuck.rollback().await.expect("let go");
}

/// The plans of a new database are made while its tables are empty, and are kept while they grow.
#[tokio::test]
async fn the_first_sale_of_a_database_scans_no_table_that_grows() {
    let controller = TestController::open().await;
    let counts = async || -> Vec<(String, i64, i64)> {
        let counts = sqlx::query_as(
            "SELECT relname::text, seq_scan, idx_scan FROM pg_stat_user_tables \
             WHERE relname IN ('admissions', 'holds', 'orders', 'payments', 'record_entries') ORDER BY relname",
        );
        counts.fetch_all(&controller.pool).await.expect("read")
    };
    // The migrations scan, too.
    let before = counts().await;
    let sale = controller.sale(json!({ "total": 2000, "rate_cap_per_s": 200.0 })).await;
    controller.join(sale, 1500).await;
    controller.until("many plans to be used", async || counts().await[0].2 > 2_000).await;
    // Autovacuum would do so within a minute.
    let analysed = async || -> bool {
        let analysed = "SELECT last_analyze IS NOT NULL FROM pg_stat_user_tables WHERE relname = 'admissions'";
        sqlx::query_scalar(analysed).fetch_one(&controller.pool).await.expect("read")
    };
    controller.until("the grown table to be analysed", analysed).await;
    let after = counts().await;
    let scans = |counts: &[(String, i64, i64)]| counts.iter().map(|(_, scans, _)| *scans).collect::<Vec<_>>();
    assert_eq!(scans(&before), scans(&after), "table, scans, uses of its indexes: {after:?}");
}

#[tokio::test]
async fn a_controller_that_has_lost_redis_delays_no_other() {
    let redis = testing::redis_url();
    let controller = TestController::open_at(&redis).await;
    let to = redis.trim_start_matches("redis://").trim_end_matches('/').to_owned();
    let (proxy, swallows) = swallowing_proxy(to).await;
    let second = Shutdown::new();
    let url = format!("redis://{proxy}");
    let address = controller.controller_at(&url, &second).await;
    let sale = controller.sale(json!({ "total": 2000, "rate_cap_per_s": 20.0 })).await;
    controller.join(sale, 1000).await;
    controller.until("the line to move", async || admitted(&controller.pool, sale).await > 5).await;
    let is_ready = async || {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(b"GET /health/ready HTTP/1.0\r\nhost: here\r\n\r\n").await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("a response");
        answer.contains(" 200 ")
    };
    assert!(is_ready().await);
    let undisturbed = time_to_admit(&controller, sale, 60).await;
    swallows.store(true, Ordering::Relaxed);
    controller.until("readiness to follow", async || !is_ready().await).await;
    let without = time_to_admit(&controller, sale, 60).await;
    assert!(without < 2 * undisturbed, "{undisturbed:?} with Redis, {without:?} with one controller that has lost it");
    second.trigger();
}

#[tokio::test]
async fn a_controller_whose_postgres_is_read_only_is_not_ready() {
    let controller = TestController::open().await;
    let ready = async || controller.read("/health/ready").await.0;
    controller.until("readiness", async || ready().await == 200).await;
    let mut owner = controller.pool.acquire().await.expect("a connection");
    let alter = async |owner: &mut PgConnection, change: &str| {
        let name: String =
            sqlx::query_scalar("SELECT current_database()").fetch_one(&mut *owner).await.expect("a name");
        let alter = AssertSqlSafe(format!("ALTER DATABASE {name} {change}"));
        sqlx::raw_sql(alter).execute(&mut *owner).await.expect("altered");
    };
    alter(&mut owner, "SET default_transaction_read_only = on").await;
    // Only new sessions are read-only.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND application_name LIKE 'admission-controller%'";
    sqlx::raw_sql(end).execute(&mut *owner).await.expect("ended");
    controller.until("the controller not to be ready", async || ready().await == 503).await;
    let (_, reason) = controller.read("/health/ready").await;
    assert!(reason.contains("read-only"), "{reason}");
    alter(&mut owner, "RESET default_transaction_read_only").await;
    controller.until("readiness to return", async || ready().await == 200).await;
}

#[tokio::test]
async fn the_stock_is_locked_last_so_no_redemption_meets_a_deadlock() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 20, "claim_window_s": 600 })).await;
    let lane = controller.lane(sale, "vip", 0.5).await;
    let (own, vip) = (controller.join(sale, 1).await, controller.join(lane, 1).await);
    controller.admitted(&own[0]).await;
    controller.admitted(&vip[0]).await;
    // As a batch of redemptions: the admission first, then the stock.
    let mut batch = controller.pool.begin().await.expect("begun");
    let lock = sqlx::query("SELECT FROM admissions WHERE line_id = $1 FOR UPDATE").bind(lane.0);
    lock.execute(&mut *batch).await.expect("locked");
    controller.line.leave(&own[0]).await.expect("left");
    controller.line.claim(&vip[0]).await.expect("claimed");
    controller.until("the tick to wait for the batch", async || a_tick_waits(&controller).await).await;
    let stock =
        sqlx::query("UPDATE stock SET promised = promised - 1, sold = sold + 1 WHERE sale_id = $1").bind(sale.0);
    stock.execute(&mut *batch).await.expect("no deadlock");
    let used = sqlx::query("UPDATE admissions SET state = 'redeemed' WHERE line_id = $1").bind(lane.0);
    used.execute(&mut *batch).await.expect("used");
    batch.commit().await.expect("committed");
    controller
        .until("both removals to be published", async || {
            controller.turn(&vip[0]).await == Turn::Bought && controller.show(sale).await["promised"] == json!(0)
        })
        .await;
}

#[tokio::test]
async fn a_publication_that_arrives_late_undoes_no_purchase_in_yield_mode() {
    let redis = OwnServer::redis().expect("a Redis of its own");
    let direct = redis.server.url();
    let (proxy, through) = Proxy::before(&direct).expect("a proxy");
    let mut controller = TestController::open_at(&through).await;
    controller.line = LineStore::connect(&direct).await.expect("a Redis");
    let sale = controller
        .sale(json!({ "total": 1, "mode": "yield", "risk": 0.01, "claim_window_s": 600, "token_ttl_s": 600 }))
        .await;
    // The admission waits for the table; meanwhile the calls that follow it are held back.
    let mut reader = controller.pool.begin().await.expect("begun");
    sqlx::query("LOCK TABLE admissions IN SHARE MODE").execute(&mut *reader).await.expect("locked");
    let ticket = controller.join(sale, 1).await[0];
    controller.until("the admission to wait", async || a_tick_waits(&controller).await).await;
    proxy.set_new(None);
    proxy.set_established(LinkMode { there: Forwarding::Later, back: Forwarding::All });
    reader.rollback().await.expect("let go");

    let second = Shutdown::new();
    controller.controller_at(&direct, &second).await;
    controller.admitted(&ticket).await;
    controller.buy(&ticket).await;
    controller.until("the purchase", async || controller.turn(&ticket).await == Turn::Bought).await;
    proxy.set_established(LinkMode::default());
    let is_rejected = || redis.server.ask("INFO errorstats").is_ok_and(|stats| stats.contains("errorstat_LATE:"));
    controller.until("the late publication to be rejected", async || is_rejected()).await;
    assert_eq!(controller.turn(&ticket).await, Turn::Bought);
    second.trigger();
}

#[tokio::test]
async fn a_sale_closed_at_the_moment_of_its_opening_stays_closed() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "opens_at": "2999-01-01T00:00:00Z" })).await;
    controller.join(sale, 5).await;
    let soon = sqlx::query("UPDATE sales SET opens_at = now() + interval '2 s' WHERE id = $1");
    soon.bind(sale.0).execute(&controller.pool).await.expect("moved up");
    let mut operator = controller.pool.begin().await.expect("begun");
    let close = sqlx::query("UPDATE sales SET status = 'closed' WHERE id = $1 AND status = 'scheduled'").bind(sale.0);
    assert_eq!(close.execute(&mut *operator).await.expect("closed").rows_affected(), 1, "it has not opened yet");
    controller.until("the tick that opens it to wait", async || a_tick_waits(&controller).await).await;
    operator.commit().await.expect("committed");
    controller.until_decided(sale, "the sale is not open").await;
    controller
        .until("the sale to be settled", async || {
            let settled = sqlx::query_scalar("SELECT settled FROM lines WHERE id = $1").bind(sale.0);
            settled.fetch_one(&controller.pool).await.expect("read")
        })
        .await;
    assert_eq!(admitted(&controller.pool, sale).await, 0);
    assert_eq!(controller.show(sale).await["status"], json!("closed"));
}

#[tokio::test]
async fn revoked_turns_do_not_count_as_missed() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 1, "claim_window_s": 600 })).await;
    let tickets = controller.join(sale, 1).await;
    let mut last = controller.admitted(&tickets[0]).await;
    for nth in 0..4 {
        let why = json!({ "reason": "a leak" });
        let (status, answer) = controller.admin("POST", &format!("/api/admin/sales/{sale}/revoke"), Some(&why)).await;
        assert_eq!((status, &answer["revoked"]), (200, &json!(1)), "{nth}: {answer}");
        controller
            .until("another turn", async || match controller.turn(&tickets[0]).await {
                Turn::Now(turn) => turn != last,
                Turn::Expired => panic!("revoked {nth} times, and expired"),
                _ => false,
            })
            .await;
        last = controller.admitted(&tickets[0]).await;
    }
}

#[tokio::test]
async fn a_turn_that_no_page_could_claim_does_not_count_as_missed() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 1, "claim_window_s": 1 })).await;
    let tickets = controller.join(sale, 1).await;
    for _ in 0..4 {
        controller.admitted(&tickets[0]).await;
        // As if Redis had been down meanwhile: no tick from before the turn until after its
        // end.
        let away = sqlx::query(
            "UPDATE lines SET ticked_at = now() - interval '3 s', unreachable_from = NULL, unreachable_until = NULL WHERE id = $1",
        );
        away.bind(sale.0).execute(&controller.pool).await.expect("away");
        controller
            .until("the turn to lapse", async || {
                let out =
                    sqlx::query_scalar("SELECT count(*) FROM admissions WHERE sale_id = $1 AND state = 'promised'");
                let out: i64 = out.bind(sale.0).fetch_one(&controller.pool).await.expect("read");
                out == 0 || matches!(controller.turn(&tickets[0]).await, Turn::Waiting)
            })
            .await;
        assert_ne!(controller.turn(&tickets[0]).await, Turn::Expired);
    }
}

/// The rate cap counts from the moment that a tick has read, so that its own duration earns credit.
/// A tick that counted from its end would be later than the admissions that it made.
#[tokio::test]
async fn a_tick_counts_from_its_beginning() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 1000, "rate_cap_per_s": 10.0 })).await;
    controller.join(sale, 500).await;
    controller
        .until("a tick that made admissions", async || {
            let made = "SELECT ticked_at < (SELECT max(issued_at) FROM admissions WHERE line_id = lines.id) FROM lines WHERE id = $1";
            let made: Option<bool> = sqlx::query_scalar(made).bind(sale.0).fetch_one(&controller.pool).await.expect("read");
            made == Some(true)
        })
        .await;
}

#[tokio::test]
async fn a_clock_that_jumps_delays_no_tick_and_allows_no_burst() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 1000, "rate_cap_per_s": 10.0 })).await;
    controller.join(sale, 500).await;
    controller.until("the line to move", async || admitted(&controller.pool, sale).await > 3).await;
    for jump in ["25 s", "-25 s"] {
        let moved = sqlx::query(
            "UPDATE lines SET ticked_at = now() + $2::text::interval, observed_at = now() + $2::text::interval, \
             epoch_began_at = now() + $2::text::interval WHERE id = $1",
        );
        let before = admitted(&controller.pool, sale).await;
        moved.bind(sale.0).bind(jump).execute(&controller.pool).await.expect("moved");
        let jumped = Instant::now();
        // Ticks are 10 ms apart or more, so at least four admissions are due within these.
        controller.ticks(sale, 50).await;
        let more = admitted(&controller.pool, sale).await - before;
        assert!(more >= 3, "{jump}: {more} admissions in 50 ticks");
        // A sale that waits until the clock is back where the last tick was gets here too late.
        assert!(jumped.elapsed() < Duration::from_secs(25), "{jump}: {:?}", jumped.elapsed());
        let most = 10.0 * (jumped.elapsed().as_secs_f64() + 2.0) + 2.0;
        assert!((more as f64) <= most, "{jump}: a burst of {more}");
    }
}

/// A scheduled sale rests; any change wakes it, even one made through another controller.
#[tokio::test]
async fn a_sale_at_rest_is_woken_by_its_clock_by_its_line_and_by_any_controller() {
    let controller = TestController::open().await;
    let second = Shutdown::new();
    controller.another_controller(&second).await;
    let sale = controller.sale(json!({ "total": 10, "opens_at": "2999-01-01T00:00:00Z" })).await;
    let ticked = async || -> i64 {
        let ticked =
            sqlx::query_scalar("SELECT (extract(epoch FROM ticked_at) * 1e6)::bigint FROM lines WHERE id = $1");
        ticked.bind(sale.0).fetch_one(&controller.pool).await.expect("read")
    };
    let rests = async || {
        let before = ticked().await;
        // Sleeps: a sale rests if it is not ticked meanwhile.
        sleep(Duration::from_millis(1500)).await;
        ticked().await == before
    };
    controller.until("it to rest", rests).await;
    // Joins wake the sale, and departures are noted.
    let tickets = controller.join(sale, 3).await;
    controller.until("the join to be seen", async || controller.show(sale).await["waiting"] == json!(3)).await;
    controller.line.absent(sale, Duration::from_millis(100), false, &[2]).await.expect("absent");
    controller.until("the departure to be seen", async || controller.show(sale).await["waiting"] == json!(2)).await;
    controller.until("it to rest again", rests).await;
    // The clock opens it on time, although its opening was changed in the database.
    let moved = sqlx::query("UPDATE sales SET opens_at = now() + interval '3 s' WHERE id = $1");
    moved.bind(sale.0).execute(&controller.pool).await.expect("moved");
    controller.admitted(&tickets[0]).await;
    let late: f64 = sqlx::query_scalar(
        "SELECT extract(epoch FROM min(issued_at) - min(opens_at))::float8 FROM admissions JOIN sales ON sales.id = sale_id",
    )
    .fetch_one(&controller.pool)
    .await
    .expect("read");
    assert!((0.0..1.0).contains(&late), "{late} s after the opening");
    second.trigger();
}

#[tokio::test]
async fn old_sales_are_neither_read_nor_ticked() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 10 })).await;
    let tickets = controller.join(sale, 2).await;
    controller.admitted(&tickets[0]).await;
    controller.act(sale, "close").await;
    controller
        .until("the sale to be settled", async || {
            sqlx::query_scalar("SELECT settled FROM lines").fetch_one(&controller.pool).await.expect("read")
        })
        .await;
    sqlx::raw_sql(
        "WITH sale AS (INSERT INTO sales (id, slug, name, price_minor, currency, rate_cap_per_s, token_ttl_s, claim_window_s, hold_s, \
         opens_at, status) SELECT gen_random_uuid(), 'old-' || n, 'Old', 1, 'EUR', 1, 60, 10, 60, now(), 'closed' \
         FROM generate_series(1, 300) AS n RETURNING id), \
         line AS (INSERT INTO lines (id, sale_id, published_status, settled) SELECT id, id, 'closed', true FROM sale), \
         item AS (INSERT INTO items (sale_id, item) SELECT id, 1 FROM sale), \
         counters AS (INSERT INTO sale_counters (sale_id) SELECT id FROM sale) \
         INSERT INTO stock (sale_id, item, total) SELECT id, 1, 1 FROM sale; \
         INSERT INTO admissions (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, state, published_state, recorded_state, \
         issued_at, claim_by, expires_at) SELECT gen_random_uuid(), lines.id, lines.id, 1, n, decode(repeat('00', 16), 'hex'), 1, 'k', \
         'redeemed', 'redeemed', 'redeemed', now(), now(), now() FROM lines, generate_series(10, 40) AS n; ANALYZE",
    )
    .execute(&controller.pool)
    .await
    .expect("old sales");
    // Statistics are written only once a minute, so the test requests them.
    let read = async || -> i64 {
        sqlx::query("SELECT pg_stat_clear_snapshot()").execute(&controller.pool).await.expect("cleared");
        sqlx::query_scalar("SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_user_tables WHERE relname IN ('admissions', 'lines', 'sales')")
            .fetch_one(&controller.pool)
            .await
            .expect("read")
    };
    // Statistics are late: those of the insertion, too, must have been written.
    controller
        .until("the statistics of the insertion", async || {
            let inserted = "SELECT n_tup_ins >= 9000 FROM pg_stat_user_tables WHERE relname = 'admissions'";
            sqlx::query_scalar(inserted).fetch_one(&controller.pool).await.expect("read")
        })
        .await;
    let before = read().await;
    // Sleeps: rows are counted for this time.
    sleep(Duration::from_secs(3)).await;
    let rows = read().await - before;
    // The sampler reads the sales of the last hour each second, apart from the ticks.
    assert!(rows < 300 * 2 * 4 * 3, "{rows} rows in three seconds");
}
