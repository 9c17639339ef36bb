//! Readiness of a controller while Redis or Postgres is unreachable.

use fairline_private_servers::testing::{self, Proxy};
use serde_json::Value;

use crate::test_controller::TestController;

#[tokio::test]
async fn a_controller_without_redis_or_postgres_is_not_ready_until_it_is_back() {
    let (redis, redis_url) = Proxy::before(&testing::redis_url()).expect("a proxy");
    let (postgres, postgres_url) = Proxy::before(&testing::database_url()).expect("a proxy");
    let controller = TestController::open_on(&redis_url, &postgres_url).await;
    let ready = async || {
        let (status, body) = controller.read("/health/ready").await;
        (status, serde_json::from_str::<Value>(&body).unwrap_or_default()["detail"].to_string())
    };
    controller.until("readiness", async || ready().await.0 == 200).await;
    for (proxy, server) in [(&redis, "Redis"), (&postgres, "Postgres")] {
        for is_silent in [false, true] {
            if is_silent {
                proxy.swallow();
            } else {
                proxy.set_new(None);
                proxy.reset();
            }
            controller.until("the controller not to be ready", async || ready().await.0 == 503).await;
            let (status, reason) = ready().await;
            assert!(status == 503 && reason.contains(server), "{server}, silent: {is_silent}: {status} {reason}");
            proxy.heal();
            controller.until("readiness to return", async || ready().await.0 == 200).await;
        }
    }
}
