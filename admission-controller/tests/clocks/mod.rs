//! A controller process whose clock is off (libfaketime): its clock decides nothing.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use fairline_private_servers::testing::libfaketime;
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
};

use crate::test_controller::TestController;

/// A controller on the same database, with a clock that is `seconds` ahead.
async fn controller_ahead(controller: &TestController, seconds: i64) -> (Child, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let child = Command::new(env!("CARGO_BIN_EXE_admission-controller"))
        .args(controller.arguments(&controller.redis_url))
        .args(["--listen", &address.to_string()])
        // The library instead of its wrapper, which would stay between the test and the process.
        .env("LD_PRELOAD", libfaketime())
        .env("FAKETIME", format!("{seconds:+}s"))
        // Timeouts and intervals stay as they are.
        .env("DONT_FAKE_MONOTONIC", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the controller starts");
    (child, address)
}

#[tokio::test]
async fn a_sale_opens_and_ends_by_the_clock_of_the_database() {
    let mut controller = TestController::open().await;
    let in_time =
        |seconds| (OffsetDateTime::now_utc() + Duration::from_secs(seconds)).format(&Rfc3339).expect("a time");
    for ahead in [70, -70] {
        let (_process, address) = controller_ahead(&controller, ahead).await;
        controller.until("the process to listen", async || std::net::TcpStream::connect(address).is_ok()).await;
        controller.address = address;
        let sale = controller.sale(json!({ "ends_at": in_time(60) })).await;
        controller.until("the sale to open", async || controller.show(sale).await["status"] == json!("open")).await;
        let opened =
            sqlx::query_scalar("SELECT opens_at BETWEEN now() - interval '60 s' AND now() FROM sales WHERE id = $1");
        let opened: bool = opened.bind(sale.0).fetch_one(&controller.pool).await.expect("read");
        assert!(opened, "{ahead}");
        let over = json!({
            "slug": format!("over-{}", ahead.abs()),
            "name": "A sale",
            "price_minor": 4900,
            "currency": "EUR",
            "total": 10,
            "ends_at": (OffsetDateTime::now_utc() - Duration::from_secs(5)).format(&Rfc3339).expect("a time"),
        });
        let (status, refused) = controller.admin("POST", "/api/admin/sales", Some(&over)).await;
        assert_eq!((status, &refused["field"]), (422, &json!("ends_at")), "{ahead}: {refused}");
    }
}
