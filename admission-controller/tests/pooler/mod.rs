//! Ticks through a pooler that assigns a session to each transaction.

use fairline_line::change::Turn;
use fairline_private_servers::testing::{self, PgBouncer};
use futures_util::future::join_all;
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::{record::verified, test_controller::TestController};

/// More than the pooler has sessions, so that the transactions of their ticks share them.
const SALES: usize = 6;

/// The first turn lapses, the second is used, and the record proves both.
async fn sell_the_only_unit(controller: &TestController) {
    // Long enough for the second to claim, however busy the machine is.
    let sale = controller.sale(json!({ "total": 1, "claim_window_s": 5 })).await;
    let tickets = controller.join(sale, 2).await;
    controller.until("the first turn to lapse", async || controller.admissions(sale).await == [1, 2]).await;
    controller.line.claim(&tickets[1]).await.expect("claimed");
    controller.buy(&tickets[1]).await;
    controller.until("the purchase", async || controller.turn(&tickets[1]).await == Turn::Bought).await;
    let verdict = verified(controller, sale, 1).await;
    assert_eq!((verdict.admitted, verdict.lapsed, verdict.redeemed), (2, 1, 1));
}

async fn sales_through(settings: &'static str, pooler: &str) {
    let url = spawn_blocking(testing::database_url).await.expect("a database");
    let direct = url.clone();
    let bouncer = spawn_blocking(move || PgBouncer::start(&direct, settings)).await.expect("a pooler");
    let controller = TestController::open_through(bouncer.url(), &url, &["--postgres-pooler", pooler]).await;
    join_all((0..SALES).map(|_| sell_the_only_unit(&controller))).await;
}

#[tokio::test]
async fn sales_run_through_a_pooler_that_is_detected() {
    sales_through("", "auto").await;
}

#[tokio::test]
async fn sales_run_through_a_pooler_that_is_configured() {
    sales_through("ignore_startup_parameters = extra_float_digits, options, statement_timeout", "transaction").await;
}
