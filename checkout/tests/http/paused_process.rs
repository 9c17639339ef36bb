//! A checkout process that is paused between reading a payment and calling the gateway.

use checkout::Settings;
use fairline_private_servers::testing::{Forwarding, LinkMode, Proxy, database_url};
use fairline_server::Secret;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::{
    test_checkout::{TestCheckout, call, eventually, start_checkout},
    withdrawal::found_at,
};

/// Keeps payments recent, so that no sweeper resumes them after ten seconds, however slow the
/// machine is.
pub(crate) const RESUMES_NOTHING: &str = "CREATE FUNCTION stay_recent() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    NEW.updated_at := now() + interval '1 hour'; RETURN NEW; END $$; \
    CREATE TRIGGER stay_recent BEFORE INSERT OR UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION stay_recent()";

/// Lets the statement that permits an authorisation wait for the test.
const WAITS_BEFORE_THE_CALL: &str = "CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    PERFORM pg_advisory_xact_lock_shared(6); RETURN NEW; END $$; \
    CREATE TRIGGER wait_for_test BEFORE UPDATE ON payments FOR EACH ROW \
    WHEN (NEW.call_until IS NOT NULL AND NEW.call_until IS DISTINCT FROM OLD.call_until) EXECUTE FUNCTION wait_for_test()";

const WAITING: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

async fn counts(test: &TestCheckout, query: &'static str, order: Option<Uuid>, expected: i64) {
    eventually(|| async {
        let mut counted = sqlx::query_scalar(query);
        if let Some(order) = order {
            counted = counted.bind(order);
        }
        let counted: i64 = counted.fetch_one(&test.pool).await.expect("a count");
        if counted == expected { Ok(()) } else { Err(counted) }
    })
    .await;
}

/// The process has read that the payment may be authorised. It learns of it only after another
/// process has confirmed the withdrawal, as after SIGSTOP.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_paused_before_its_call_does_not_call_after_the_withdrawal() {
    let url = spawn_blocking(database_url).await.expect("a database");
    let (proxy, through) = Proxy::before(&url).expect("a proxy");
    let test = TestCheckout::open_on(&url, |settings| {
        settings.postgres_url = Secret::new(&through);
        settings.postgres.postgres_statement_ms = 20_000;
    })
    .await;
    for sql in [RESUMES_NOTHING, WAITS_BEFORE_THE_CALL] {
        sqlx::raw_sql(sql).execute(&test.pool).await.expect("triggers");
    }
    let direct = Settings { postgres_url: Secret::new(&url), ..test.settings.clone() };
    let other = start_checkout(&direct, &test.shutdown).await;
    let sale = test.sale(1).await;
    let (shopper, order) = test.hold(sale).await;

    let mut lock = test.pool.begin().await.expect("a transaction");
    sqlx::query("SELECT pg_advisory_xact_lock(6)").execute(&mut *lock).await.expect("locked");
    tokio::join!(test.pay(&shopper, order, "tok_visa"), async {
        counts(&test, WAITING, None, 1).await;
        let held = LinkMode { back: Forwarding::Later, ..LinkMode::default() };
        proxy.set_new(Some(held));
        proxy.set_established(held);
        lock.rollback().await.expect("let go");
        let marked = "SELECT count(*) FROM payments WHERE hold_id = $1 AND call_until IS NOT NULL";
        counts(&test, marked, Some(order), 1).await;

        let path = format!("/api/orders/{order}/payment");
        let withdrawn = call(other, "DELETE", &path, &[("cookie", &shopper.cookie)], "").await.expect("a response");
        assert_eq!((withdrawn.status, &withdrawn.body["status"]), (200, &"held".into()), "{withdrawn:?}");
        proxy.heal();
        proxy.set_established(LinkMode::default());
    });
    eventually(|| async {
        let metrics = call(test.checkout, "GET", "/metrics", &[], "").await.expect("a response").body;
        let calls = "call=\"authorise\",outcome=\"unanswered\"";
        if metrics.as_str().is_some_and(|text| text.contains(calls)) {
            Ok(())
        } else {
            Err("the process has not continued")
        }
    })
    .await;
    assert_eq!(found_at(test.gateway, &test, order).await, [""; 0], "nothing was begun");
    assert_eq!(test.payments(order).await, ["voided"]);
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.body["status"], "paid");
    test.stock_is_reconciled().await;
}
