//! Recovery of a line whose Redis primary fails under Sentinel, twice in one sale.

use std::collections::BTreeSet;

use fairline_line::ticket::Ticket;
use fairline_private_servers::testing::RedisSentinel;
use fairline_sale::SaleId;
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::{record::verified, test_controller::TestController};

/// How a primary fails.
#[derive(Debug, Clone, Copy)]
enum Fails {
    /// It is killed, and returns as the replica.
    Killed,
    /// It stands still, and considers itself the primary when it continues.
    Stopped,
}

async fn fail_over(mut sentinel: RedisSentinel, fails: Fails) -> RedisSentinel {
    let fail_over = move || {
        match fails {
            Fails::Killed => {
                sentinel.fail_over().expect("the replica takes over");
                sentinel.restore().expect("the old primary follows");
            }
            Fails::Stopped => sentinel.fail_over_from_stopped().expect("the replica takes over"),
        }
        sentinel
    };
    spawn_blocking(fail_over).await.expect("no panic")
}

/// Presents tickets, as nodes do, until the line accepts them in an epoch after this one; returns
/// that epoch. Calls fail until the client has found the new primary.
async fn present(controller: &TestController, sale: SaleId, tickets: &[Ticket], after: u32) -> u32 {
    let mut epoch = after;
    controller
        .until("the tickets to be presented in a later epoch", async || {
            if let Ok(resumed) = controller.line.resume(sale, tickets).await {
                epoch = resumed.revision.epoch;
            }
            epoch > after
        })
        .await;
    epoch
}

#[tokio::test]
async fn admissions_continue_after_two_fail_overs_and_no_ordinal_is_given_twice() {
    for fails in [[Fails::Killed, Fails::Stopped], [Fails::Stopped, Fails::Killed]] {
        let mut sentinel = spawn_blocking(|| RedisSentinel::start().expect("a Sentinel")).await.expect("no panic");
        let controller = TestController::open_at(&sentinel.url()).await;
        let sale = controller.sale(json!({ "total": 1 })).await;
        let mut tickets = controller.join(sale, 4).await;
        controller.admitted(&tickets[0]).await;
        controller.buy(&tickets[0]).await;
        let mut epoch = 1;
        for (nth, fails) in (1..).zip(fails) {
            sentinel = fail_over(sentinel, fails).await;
            epoch = present(&controller, sale, &tickets[nth..], epoch).await;
            tickets.extend(controller.join(sale, 2).await);
            let terms = json!({ "total": nth + 1 });
            let (status, sale_now) = controller.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&terms)).await;
            assert_eq!(status, 200, "{sale_now}");
            controller.admitted(&tickets[nth]).await;
            controller.buy(&tickets[nth]).await;
        }
        assert_eq!(controller.admissions(sale).await, [1, 2, 3]);
        let ordinals: BTreeSet<_> = tickets.iter().map(|ticket| ticket.ordinal).collect();
        assert_eq!(ordinals.len(), tickets.len(), "{fails:?}: an ordinal was given twice: {tickets:?}");
        let verdict = verified(&controller, sale, 3).await;
        assert_eq!((verdict.losses, verdict.admitted), (epoch - 1, 3), "{fails:?}");
        let home: Option<String> = sqlx::query_scalar("SELECT home FROM lines WHERE id = $1")
            .bind(sale.0)
            .fetch_one(&controller.pool)
            .await
            .expect("read");
        let serving = controller.line.home(sale).await.expect("read").run_id;
        assert_eq!(home, Some(serving), "{fails:?}: the line lives in the Redis that serves it");
        drop(sentinel);
    }
}
