//! Background work: a failing sale, or payments that wait for the gateway, delay nothing else.

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse as _};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

use crate::test_checkout::{TestCheckout, eventually, listener};

async fn state_of(test: &TestCheckout, hold: Uuid) -> String {
    let state = sqlx::query_scalar("SELECT state FROM holds WHERE id = $1").bind(hold);
    state.fetch_one(&test.pool).await.expect("a hold")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_whose_holds_can_not_expire_delays_no_other() {
    let test = TestCheckout::open().await;
    let mut sales = Vec::new();
    for _ in 0..4 {
        sales.push(test.sale(3).await);
    }
    // Whichever the sweeper handles first, all but one have to get through.
    let mut holds = Vec::new();
    for &sale in &sales {
        holds.push(test.hold(sale).await.1);
    }
    test.change("UPDATE stock SET held = 0 WHERE sale_id = $1", sales[0].0).await;
    for &hold in &holds {
        test.change("UPDATE holds SET expires_at = now() WHERE id = $1", hold).await;
    }
    for &hold in &holds[1..] {
        eventually(|| async {
            let state = state_of(&test, hold).await;
            if state == "expired" { Ok(()) } else { Err(state) }
        })
        .await;
    }
    assert_eq!(state_of(&test, holds[0]).await, "held", "the control");
    // Repaired, it expires as the others did.
    test.change("UPDATE stock SET held = 1 WHERE sale_id = $1", sales[0].0).await;
    eventually(|| async {
        let state = state_of(&test, holds[0]).await;
        if state == "expired" { Ok(()) } else { Err(state) }
    })
    .await;
}

/// The payments that a gateway was called for, in order, and the highest concurrency.
#[derive(Clone, Default)]
struct PaymentLog {
    orders: Arc<Mutex<Vec<String>>>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

/// A slow gateway that does nothing: the payment stays as it is.
async fn slow(State(asked): State<PaymentLog>, body: String) -> axum::response::Response {
    let order = body.split('&').find_map(|field| field.split_once("order%5D=")).map(|(_, order)| order.to_owned());
    asked.orders.lock().expect("no panic").extend(order);
    let now = asked.now.fetch_add(1, Ordering::SeqCst) + 1;
    asked.most.fetch_max(now, Ordering::SeqCst);
    // Sleeps: a slow gateway.
    tokio::time::sleep(Duration::from_millis(30)).await;
    asked.now.fetch_sub(1, Ordering::SeqCst);
    let declined = r#"{"error":{"type":"card_error","code":"card_declined"}}"#;
    (StatusCode::PAYMENT_REQUIRED, declined).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_payments_resume_in_the_order_of_their_holds_expiry_with_a_limit() {
    const LEFT: i32 = 400;
    let (gateway, address) = listener().await;
    let asked = PaymentLog::default();
    let router = Router::new().fallback(slow).with_state(asked.clone());
    tokio::spawn(async move { axum::serve(gateway, router).await });
    let test = TestCheckout::open().await;
    let sale = test.sale(LEFT).await;
    // No sweep resumes them before all exist.
    test.shutdown.trigger();
    // As an outage leaves them: begun, without a response. Those that began first have the latest
    // deadlines.
    sqlx::query(
        "WITH admitted AS (INSERT INTO admissions (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, state, issued_at, claim_by, expires_at) \
         SELECT gen_random_uuid(), $1, $1, 1, nth, decode(md5(nth::text), 'hex'), 1, 'a', 'redeemed', now(), now(), now() \
         FROM generate_series(1, $2) AS nth RETURNING *), \
         held AS (INSERT INTO holds (id, admission_id, sale_id, visitor, quantity, amount_minor, currency, expires_at) \
         SELECT id, id, sale_id, visitor, 1, 1234, 'EUR', now() + make_interval(secs => 600 + ordinal) FROM admitted RETURNING *), \
         stocked AS (UPDATE stock SET held = $2 WHERE sale_id = $1) \
         INSERT INTO payments (id, hold_id, payment_method, amount_minor, currency, created_at, updated_at) \
         SELECT gen_random_uuid(), id, 'tok_visa', 1234, 'EUR', now() - interval '60 seconds', \
         now() - make_interval(secs => 20 + extract(epoch FROM expires_at - now())) FROM held",
    )
    .bind(sale.0)
    .bind(LEFT)
    .execute(&test.pool)
    .await
    .expect("left behind");
    let in_order: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM holds ORDER BY expires_at").fetch_all(&test.pool).await.expect("the holds");
    // This process uses the slow gateway.
    let mut settings = test.settings.clone();
    settings.gateway_url = format!("http://{address}");
    let shutdown = fairline_server::Shutdown::new();
    crate::test_checkout::start_checkout(&settings, &shutdown).await;
    eventually(|| async {
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM payments WHERE state = 'started'")
            .fetch_one(&test.pool)
            .await
            .expect("a count");
        let asked = asked.orders.lock().expect("no panic").len();
        if open == 0 { Ok(()) } else { Err((open, asked)) }
    })
    .await;
    shutdown.trigger();
    let asked_for = asked.orders.lock().expect("no panic").clone();
    let place = |order: &String| in_order.iter().position(|id| id.to_string() == *order).expect("a known order");
    let places: Vec<usize> = asked_for.iter().map(place).collect();
    assert!(places.len() >= LEFT as usize, "each was asked for: {}", places.len());
    // Concurrent payments may overtake each other.
    let at_once = asked.most.load(Ordering::SeqCst);
    assert!(at_once <= 32, "{at_once} at once");
    let first = &places[..LEFT as usize];
    // On a busy machine a few requests time out before the gateway has read them, and are repeated
    // after all others.
    let out_of_place = first.iter().enumerate().filter(|&(nth, &place)| nth.abs_diff(place) > 96).count();
    assert!(out_of_place <= LEFT as usize / 20, "{out_of_place}: {places:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_never_ends_is_retried_less_and_less_often() {
    let test = TestCheckout::open().await;
    let sale = test.sale(2).await;
    let (_, order) = test.hold(sale).await;
    let payment = Uuid::new_v4();
    // The gateway does not have the payment, and returns that each time.
    sqlx::query(
        "INSERT INTO payments (id, hold_id, payment_method, gateway_ref, state, amount_minor, currency, updated_at, recovery_attempts) \
         VALUES ($1, $2, 'tok_visa', 'pi_gone', 'refund_due', 1234, 'EUR', now() - interval '11 seconds', 1)",
    )
    .bind(payment)
    .bind(order)
    .execute(&test.pool)
    .await
    .expect("left behind");
    let recovery_attempts = async || -> i32 {
        sqlx::query_scalar("SELECT recovery_attempts FROM payments WHERE id = $1")
            .bind(payment)
            .fetch_one(&test.pool)
            .await
            .expect("a payment")
    };
    // Twice ten seconds have to pass since the last attempt: other due work shows that the sweeper
    // has run.
    let (_, other) = test.hold(sale).await;
    let looked = Uuid::new_v4();
    sqlx::query(
        "INSERT INTO payments (id, hold_id, payment_method, gateway_ref, state, amount_minor, currency, updated_at) \
         VALUES ($1, $2, 'tok_visa', 'pi_gone_too', 'refund_due', 1234, 'EUR', now() - interval '11 seconds')",
    )
    .bind(looked)
    .bind(other)
    .execute(&test.pool)
    .await
    .expect("left behind");
    eventually(|| async {
        let tried: i32 = sqlx::query_scalar("SELECT recovery_attempts FROM payments WHERE id = $1")
            .bind(looked)
            .fetch_one(&test.pool)
            .await
            .expect("a payment");
        if tried > 0 { Ok(()) } else { Err(tried) }
    })
    .await;
    assert_eq!(recovery_attempts().await, 1);
    test.change("UPDATE payments SET updated_at = now() - interval '21 seconds' WHERE id = $1", payment).await;
    eventually(|| async {
        let tried = recovery_attempts().await;
        if tried == 2 { Ok(()) } else { Err(tried) }
    })
    .await;
}
