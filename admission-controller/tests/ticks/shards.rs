//! Ticks over a cluster of which one master is silent.

use fairline_private_servers::{PrivateRedis, testing::RedisCluster};
use fairline_sale::SaleId;
use serde_json::json;
use tokio::task::spawn_blocking;

use super::{admitted, time_to_admit};
use crate::test_controller::TestController;

/// The id of the master that serves a sale.
async fn home(controller: &TestController, sale: SaleId) -> String {
    controller.line.home(sale).await.expect("read").run_id
}

#[tokio::test]
async fn a_silent_master_of_a_cluster_delays_only_its_own_sales() {
    let start = || RedisCluster::start_behind_proxies().expect("a cluster");
    let mut cluster = spawn_blocking(start).await.expect("no panic");
    let controller = TestController::open_at(&cluster.url()).await;
    let terms = json!({ "total": 5000, "rate_cap_per_s": 20.0 });
    let sick = controller.sale(terms.clone()).await;
    let silent = home(&controller, sick).await;
    let well = loop {
        let sale = controller.sale(terms.clone()).await;
        if home(&controller, sale).await != silent {
            break sale;
        }
    };
    for sale in [sick, well] {
        controller.join(sale, 1000).await;
        controller.until("the sale to begin", async || admitted(&controller.pool, sale).await > 0).await;
    }
    let undisturbed = time_to_admit(&controller, well, 40).await;

    let is_silent = |master: &mut PrivateRedis| master.ask("INFO server").expect("answered").contains(&silent);
    let nth = cluster.masters().position(is_silent).expect("a master");
    cluster.doors().nth(nth).expect("a proxy").swallow();
    // Longer than the client takes to notice, and to reconnect in vain.
    let mut of_the_sick = Vec::new();
    for _ in 0..4 {
        let beside = time_to_admit(&controller, well, 40).await;
        assert!(beside < 2 * undisturbed, "{undisturbed:?} alone, {beside:?} beside a master that is silent");
        of_the_sick.push(admitted(&controller.pool, sick).await);
    }
    // A tick that was under way may have ended.
    assert_eq!(of_the_sick[1], of_the_sick[3], "the master is silent");

    cluster.doors().nth(nth).expect("a proxy").heal();
    time_to_admit(&controller, sick, 40).await;
    time_to_admit(&controller, well, 40).await;
    // Nothing was lost: the line continues in its epoch.
    controller
        .until("the line of the first epoch", async || {
            controller.line.revision(sick).await.is_ok_and(|at| at.epoch == 1)
        })
        .await;
    drop(cluster);
}
