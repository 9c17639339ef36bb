//! Readiness of both roles while Postgres is unreachable or read-only.
//!
//! Redis is not part of it: without Redis, checkout sells from Postgres alone.

use std::net::SocketAddr;

use checkout::ProcessRole;
use fairline_private_servers::testing::{Proxy, database_url};
use fairline_server::Secret;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::task::spawn_blocking;

use crate::test_checkout::{Reply, TestCheckout, call, eventually};

/// The processes of a test, by role.
type Processes = [(&'static str, SocketAddr); 2];

async fn all_are_ready(processes: &Processes) {
    for (role, address) in processes {
        eventually(|| async {
            let answer = ready(*address).await;
            if answer.status == 200 { Ok(()) } else { Err((role, answer)) }
        })
        .await;
    }
}

async fn none_is_ready(processes: &Processes, reason: &str) {
    for (role, address) in processes {
        // Another reason may come first, such as the end of a session.
        let answer = eventually(|| async {
            let answer = ready(*address).await;
            let is_reason = answer.body["detail"].as_str().is_some_and(|detail| detail.contains(reason));
            if answer.status != 200 && is_reason { Ok(answer) } else { Err((role, answer)) }
        })
        .await;
        assert!(answer.status == 503 && answer.slug() == "unavailable", "{role}: {answer:?}");
    }
}

async fn alter(owner: &mut PgConnection, change: &str) {
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&mut *owner).await.expect("a name");
    let alter = AssertSqlSafe(format!("ALTER DATABASE {name} {change}"));
    sqlx::raw_sql(alter).execute(owner).await.expect("altered");
}

async fn ready(address: SocketAddr) -> Reply {
    call(address, "GET", "/health/ready", &[], "").await.expect("a response")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_without_a_writable_postgres_is_not_ready_until_it_is_back() {
    let url = spawn_blocking(database_url).await.expect("a database");
    let (proxy, through) = Proxy::before(&url).expect("a proxy");
    let test = TestCheckout::open_on(&url, |settings| {
        settings.role = ProcessRole::Serve;
        settings.postgres_url = Secret::new(&through);
    })
    .await;
    let processes = [("serve", test.checkout), ("worker", test.one_more_as(ProcessRole::Worker).await)];
    all_are_ready(&processes).await;

    proxy.set_new(None);
    proxy.reset();
    none_is_ready(&processes, "Postgres").await;
    proxy.heal();
    all_are_ready(&processes).await;

    proxy.swallow();
    none_is_ready(&processes, "Postgres").await;
    proxy.heal();
    all_are_ready(&processes).await;

    // A session from before, which stays writable.
    let mut owner = test.pool.acquire().await.expect("a session");
    alter(&mut owner, "SET default_transaction_read_only = on").await;
    // Only new sessions are read-only.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND application_name LIKE 'checkout%'";
    sqlx::raw_sql(end).execute(&mut *owner).await.expect("ended");
    none_is_ready(&processes, "read-only").await;
    alter(&mut owner, "RESET default_transaction_read_only").await;
    all_are_ready(&processes).await;
}
