//! Ticks of many sales, of sick ones, and by clocks that jump.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fairline_line::change::Turn;
use fairline_private_servers::testing;
use fairline_sale::SaleId;
use fairline_server::Shutdown;
use serde_json::json;
use sqlx::PgPool;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

use crate::desk::Desk;

/// Forwards bytes to a server, until it is told to swallow them.
async fn swallowing_proxy(to: String) -> (SocketAddr, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, swallows) = (listener.local_addr().expect("an address"), Arc::new(AtomicBool::new(false)));
    let told = swallows.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(&to).await else { continue };
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            for (mut from, mut to) in [(from_client, to_server), (from_server, to_client)] {
                let swallows = told.clone();
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
async fn time_to_admit(desk: &Desk, sale: SaleId, more: i64) -> Duration {
    let (before, started) = (admitted(&desk.pool, sale).await, Instant::now());
    desk.until("further admissions", async || admitted(&desk.pool, sale).await >= before + more).await;
    started.elapsed()
}

/// Whether a session of a controller waits for a lock.
async fn a_tick_waits(desk: &Desk) -> bool {
    let waits = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name LIKE 'admission-controller%' AND wait_event_type = 'Lock')",
    );
    waits.fetch_one(&desk.pool).await.expect("read")
}

#[tokio::test]
async fn a_sale_whose_rows_are_locked_delays_no_other() {
    let desk = Desk::open().await;
    let well = desk.sale(json!({ "total": 1000, "rate_cap_per_s": 20.0 })).await;
    desk.join(well, 400).await;
    desk.until("the other sale to begin", async || admitted(&desk.pool, well).await > 0).await;
    let undisturbed = time_to_admit(&desk, well, 40).await;
    let sick = desk.sale(json!({ "total": 20, "claim_window_s": 5 })).await;
    let tickets = desk.join(sick, 1).await;
    desk.admitted(&tickets[0]).await;
    let mut stuck = desk.pool.begin().await.expect("begun");
    sqlx::query("SELECT FROM admissions WHERE sale_id = $1 FOR UPDATE")
        .bind(sick.0)
        .execute(&mut *stuck)
        .await
        .expect("locked");
    desk.until("the tick to wait for its lapse", async || a_tick_waits(&desk).await).await;
    let beside = time_to_admit(&desk, well, 40).await;
    assert!(beside < 2 * undisturbed, "{undisturbed:?} alone, {beside:?} beside a sale that is stuck");
    stuck.rollback().await.expect("let go");
}

#[tokio::test]
async fn a_controller_that_has_lost_redis_holds_up_nobody() {
    let redis = testing::redis_url();
    let desk = Desk::open_at(&redis).await;
    let to = redis.trim_start_matches("redis://").trim_end_matches('/').to_owned();
    let (proxy, swallows) = swallowing_proxy(to).await;
    let second = Shutdown::new();
    let url = format!("redis://{proxy}");
    let address = desk.controller_at(&url, &second).await;
    let sale = desk.sale(json!({ "total": 2000, "rate_cap_per_s": 20.0 })).await;
    desk.join(sale, 1000).await;
    desk.until("the line to move", async || admitted(&desk.pool, sale).await > 5).await;
    let is_ready = async || {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(b"GET /health/ready HTTP/1.0\r\nhost: here\r\n\r\n").await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer.contains(" 200 ")
    };
    assert!(is_ready().await);
    let undisturbed = time_to_admit(&desk, sale, 60).await;
    swallows.store(true, Ordering::Relaxed);
    desk.until("readiness to follow", async || !is_ready().await).await;
    let without = time_to_admit(&desk, sale, 60).await;
    assert!(without < 2 * undisturbed, "{undisturbed:?} with Redis, {without:?} with one controller that has lost it");
    second.trigger();
}

#[tokio::test]
async fn the_stock_is_locked_last_so_no_redemption_meets_a_deadlock() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 20, "claim_window_s": 600 })).await;
    let lane = desk.lane(sale, "vip", 0.5).await;
    let (own, vip) = (desk.join(sale, 1).await, desk.join(lane, 1).await);
    desk.admitted(&own[0]).await;
    desk.admitted(&vip[0]).await;
    // As a batch of redemptions: the admission first, then the stock.
    let mut batch = desk.pool.begin().await.expect("begun");
    let lock = sqlx::query("SELECT FROM admissions WHERE line_id = $1 FOR UPDATE").bind(lane.0);
    lock.execute(&mut *batch).await.expect("locked");
    desk.line.leave(&own[0]).await.expect("left");
    desk.line.claim(&vip[0]).await.expect("claimed");
    desk.until("the tick to wait for the batch", async || a_tick_waits(&desk).await).await;
    let stock =
        sqlx::query("UPDATE stock SET promised = promised - 1, sold = sold + 1 WHERE sale_id = $1").bind(sale.0);
    stock.execute(&mut *batch).await.expect("no deadlock");
    let used = sqlx::query("UPDATE admissions SET state = 'redeemed' WHERE line_id = $1").bind(lane.0);
    used.execute(&mut *batch).await.expect("used");
    batch.commit().await.expect("committed");
    desk.until("both to be told", async || {
        desk.turn(&vip[0]).await == Turn::Bought && desk.show(sale).await["promised"] == json!(0)
    })
    .await;
}

#[tokio::test]
async fn an_operator_who_closes_a_sale_in_the_moment_it_opens_is_heeded() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "opens_at": "2999-01-01T00:00:00Z" })).await;
    desk.join(sale, 5).await;
    let soon = sqlx::query("UPDATE sales SET opens_at = now() + interval '2 s' WHERE id = $1");
    soon.bind(sale.0).execute(&desk.pool).await.expect("moved up");
    let mut operator = desk.pool.begin().await.expect("begun");
    let close = sqlx::query("UPDATE sales SET status = 'closed' WHERE id = $1 AND status = 'scheduled'").bind(sale.0);
    assert_eq!(close.execute(&mut *operator).await.expect("closed").rows_affected(), 1, "it has not opened yet");
    desk.until("the tick that opens it to wait", async || a_tick_waits(&desk).await).await;
    operator.commit().await.expect("committed");
    desk.until_decided(sale, "the sale is not open").await;
    desk.until("the sale to be settled", async || {
        let settled = sqlx::query_scalar("SELECT settled FROM lines WHERE id = $1").bind(sale.0);
        settled.fetch_one(&desk.pool).await.expect("read")
    })
    .await;
    assert_eq!(admitted(&desk.pool, sale).await, 0);
    assert_eq!(desk.show(sale).await["status"], json!("closed"));
}

#[tokio::test]
async fn revoked_turns_are_not_counted_among_those_that_a_shopper_missed() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 1, "claim_window_s": 600 })).await;
    let tickets = desk.join(sale, 1).await;
    let mut last = desk.admitted(&tickets[0]).await;
    for nth in 0..4 {
        let why = json!({ "reason": "a leak" });
        let (status, told) = desk.admin("POST", &format!("/api/admin/sales/{sale}/revoke"), Some(&why)).await;
        assert_eq!((status, &told["revoked"]), (200, &json!(1)), "{nth}: {told}");
        desk.until("another turn", async || match desk.turn(&tickets[0]).await {
            Turn::Now(turn) => turn != last,
            Turn::Expired => panic!("revoked {nth} times, and expired"),
            _ => false,
        })
        .await;
        last = desk.admitted(&tickets[0]).await;
    }
}

#[tokio::test]
async fn a_turn_that_nobody_could_claim_is_not_counted_as_missed() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 1, "claim_window_s": 1 })).await;
    let tickets = desk.join(sale, 1).await;
    for _ in 0..4 {
        desk.admitted(&tickets[0]).await;
        // As if Redis had been away meanwhile: nothing ticked from before the turn until after its end.
        let away = sqlx::query(
            "UPDATE lines SET ticked_at = now() - interval '3 s', away_from = NULL, away_till = NULL WHERE id = $1",
        );
        away.bind(sale.0).execute(&desk.pool).await.expect("away");
        desk.until("the turn to lapse", async || {
            let out = sqlx::query_scalar("SELECT count(*) FROM admissions WHERE sale_id = $1 AND state = 'promised'");
            let out: i64 = out.bind(sale.0).fetch_one(&desk.pool).await.expect("read");
            out == 0 || matches!(desk.turn(&tickets[0]).await, Turn::Waiting)
        })
        .await;
        assert_ne!(desk.turn(&tickets[0]).await, Turn::Expired);
    }
}

#[tokio::test]
async fn a_clock_that_jumps_either_way_delays_nothing_and_gives_no_burst() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 1000, "rate_cap_per_s": 10.0 })).await;
    desk.join(sale, 500).await;
    desk.until("the line to move", async || admitted(&desk.pool, sale).await > 3).await;
    for jump in ["25 s", "-25 s"] {
        let moved = sqlx::query(
            "UPDATE lines SET ticked_at = now() + $2::text::interval, observed_at = now() + $2::text::interval, \
             epoch_began_at = now() + $2::text::interval WHERE id = $1",
        );
        let before = admitted(&desk.pool, sale).await;
        moved.bind(sale.0).bind(jump).execute(&desk.pool).await.expect("moved");
        let jumped = Instant::now();
        // Before the clock is back where the last tick was: a sale that waits for that gets here too late.
        let clock_is_back = jumped + Duration::from_secs(25);
        desk.until("further admissions", async || admitted(&desk.pool, sale).await >= before + 10).await;
        assert!(Instant::now() < clock_is_back, "{jump}: {:?}", jumped.elapsed());
        let more = admitted(&desk.pool, sale).await - before;
        let most = 10.0 * (jumped.elapsed().as_secs_f64() + 2.0) + 2.0;
        assert!((more as f64) <= most, "{jump}: a burst of {more}");
    }
}

/// A scheduled sale rests; it is woken by whatever happens, also where another controller is told of it.
#[tokio::test]
async fn a_sale_at_rest_is_woken_by_its_clock_by_its_line_and_by_any_controller() {
    let desk = Desk::open().await;
    let second = Shutdown::new();
    desk.another_controller(&second).await;
    let sale = desk.sale(json!({ "total": 10, "opens_at": "2999-01-01T00:00:00Z" })).await;
    let ticked = async || -> i64 {
        let ticked =
            sqlx::query_scalar("SELECT (extract(epoch FROM ticked_at) * 1e6)::bigint FROM lines WHERE id = $1");
        ticked.bind(sale.0).fetch_one(&desk.pool).await.expect("read")
    };
    let rests = async || {
        let before = ticked().await;
        // Sleeps: a sale rests if it is not ticked meanwhile.
        sleep(Duration::from_millis(1500)).await;
        ticked().await == before
    };
    desk.until("it to rest", rests).await;
    // Who joins is heard of, and who goes is noted.
    let tickets = desk.join(sale, 3).await;
    desk.until("the join to be seen", async || desk.show(sale).await["waiting"] == json!(3)).await;
    desk.line.absent(sale, Duration::from_millis(100), false, &[2]).await.expect("absent");
    desk.until("the departure to be seen", async || desk.show(sale).await["waiting"] == json!(2)).await;
    desk.until("it to rest again", rests).await;
    // The clock opens it to the second: it was moved behind the controllers' backs.
    let moved = sqlx::query("UPDATE sales SET opens_at = now() + interval '3 s' WHERE id = $1");
    moved.bind(sale.0).execute(&desk.pool).await.expect("moved");
    desk.admitted(&tickets[0]).await;
    let late: f64 = sqlx::query_scalar(
        "SELECT extract(epoch FROM min(issued_at) - min(opens_at))::float8 FROM admissions JOIN sales ON sales.id = sale_id",
    )
    .fetch_one(&desk.pool)
    .await
    .expect("read");
    assert!((0.0..1.0).contains(&late), "{late} s after the opening");
    second.trigger();
}

#[tokio::test]
async fn old_sales_are_neither_read_nor_ticked() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 10 })).await;
    let tickets = desk.join(sale, 2).await;
    desk.admitted(&tickets[0]).await;
    desk.act(sale, "close").await;
    desk.until("the sale to be settled", async || {
        sqlx::query_scalar("SELECT settled FROM lines").fetch_one(&desk.pool).await.expect("read")
    })
    .await;
    sqlx::raw_sql(
        "WITH sale AS (INSERT INTO sales (id, slug, name, price_minor, currency, rate_cap_per_s, token_ttl_s, claim_window_s, hold_s, \
         opens_at, status) SELECT gen_random_uuid(), 'old-' || n, 'Old', 1, 'EUR', 1, 60, 10, 60, now(), 'closed' \
         FROM generate_series(1, 300) AS n RETURNING id), \
         line AS (INSERT INTO lines (id, sale_id, published_status, settled) SELECT id, id, 'closed', true FROM sale) \
         INSERT INTO stock (sale_id, total) SELECT id, 1 FROM sale; \
         INSERT INTO admissions (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, state, published_state, recorded_state, \
         issued_at, claim_by, expires_at) SELECT gen_random_uuid(), lines.id, lines.id, 1, n, decode(repeat('00', 16), 'hex'), 1, 'k', \
         'redeemed', 'redeemed', 'redeemed', now(), now(), now() FROM lines, generate_series(10, 40) AS n; ANALYZE",
    )
    .execute(&desk.pool)
    .await
    .expect("old sales");
    // A minute's wait for the statistics would be too long: they are asked for at once.
    let read = async || -> i64 {
        sqlx::query("SELECT pg_stat_clear_snapshot()").execute(&desk.pool).await.expect("cleared");
        sqlx::query_scalar("SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_user_tables WHERE relname IN ('admissions', 'lines', 'sales')")
            .fetch_one(&desk.pool)
            .await
            .expect("read")
    };
    // Sleeps: statistics are a second late.
    sleep(Duration::from_secs(2)).await;
    let before = read().await;
    // Sleeps: rows are counted for this time.
    sleep(Duration::from_secs(3)).await;
    let rows = read().await - before;
    // The sampler looks at the sales of the last hour each second, which is none of the ticks' business.
    assert!(rows < 300 * 2 * 4 * 3, "{rows} rows in three seconds");
}
