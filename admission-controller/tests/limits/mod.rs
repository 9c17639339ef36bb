//! The limit per shopper: a shopper who has reached it is taken out, and no unit waits for such a
//! shopper.

use fairline_line::{
    change::Turn,
    store::JoinRequest,
    ticket::{Ordinal, Ticket},
};
use fairline_sale::{SaleId, VisitorId};
use serde_json::json;

use crate::{record::verified, test_controller::TestController};

/// What checkout does when a token is redeemed for some units.
async fn redeem(controller: &TestController, ticket: &Ticket, quantity: i32) {
    let done = sqlx::query(
        "WITH used AS (UPDATE admissions SET state = 'redeemed' WHERE line_id = $1 AND ordinal = $2 \
         AND state = 'promised' RETURNING *), \
         made AS (INSERT INTO holds (id, admission_id, sale_id, visitor, quantity, amount_minor, currency, expires_at) \
         SELECT id, id, sale_id, visitor, $3, 1, 'EUR', now() + interval '10 minutes' FROM used) \
         UPDATE stock SET promised = promised - quantity, held = held + $3 FROM used WHERE stock.sale_id = used.sale_id",
    )
    .bind(ticket.sale.0)
    .bind(i64::try_from(ticket.ordinal).expect("small"))
    .bind(quantity)
    .execute(&controller.pool)
    .await
    .expect("redeemed");
    assert_eq!(done.rows_affected(), 1, "the token could be used");
}

/// What checkout does when a hold of a visitor is cancelled.
async fn cancel_hold(controller: &TestController, visitor: VisitorId) {
    let done = sqlx::query(
        "WITH gone AS (UPDATE holds SET state = 'cancelled', cancelled_at = now() WHERE visitor = $1 AND state = 'held' \
         RETURNING sale_id, quantity) \
         UPDATE stock SET held = held - quantity FROM gone WHERE stock.sale_id = gone.sale_id",
    )
    .bind(&visitor.0[..])
    .execute(&controller.pool)
    .await
    .expect("cancelled");
    assert_eq!(done.rows_affected(), 1, "there was a hold");
}

/// The same shopper with a new ticket, as `rejoin=true` gives it.
async fn join_again(controller: &TestController, line: SaleId, visitor: VisitorId) -> Ticket {
    let batch = uuid::Uuid::new_v4().as_u64_pair().1.to_be_bytes();
    controller.line.join(line, batch, &[JoinRequest { visitor, account: None }]).await.expect("joined").remove(0)
}

async fn reaches_the_limit(controller: &TestController, ticket: &Ticket) {
    controller.until("the limit to be published", async || controller.turn(ticket).await == Turn::Limit).await;
}

#[tokio::test]
async fn a_shopper_at_the_limit_is_taken_out_at_once_and_returns_after_giving_units_back() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 2, "claim_window_s": 600, "token_ttl_s": 600 })).await;
    let tickets = controller.join(sale, 3).await;
    controller.admitted(&tickets[0]).await;
    // The other unit is promised, so no ticket gets a turn.
    controller.admitted(&tickets[1]).await;
    redeem(&controller, &tickets[0], 1).await;
    let again = join_again(&controller, sale, tickets[0].visitor).await;
    reaches_the_limit(&controller, &again).await;
    assert_eq!(controller.turn(&tickets[2]).await, Turn::Waiting, "others wait on");
    controller.until("the line to be shorter", async || controller.show(sale).await["waiting"] == json!(1)).await;

    cancel_hold(&controller, tickets[0].visitor).await;
    controller.admitted(&tickets[2]).await;
    redeem(&controller, &tickets[1], 1).await;
    cancel_hold(&controller, tickets[1].visitor).await;
    let back = join_again(&controller, sale, tickets[0].visitor).await;
    controller.admitted(&back).await;
    assert_eq!(controller.turn(&again).await, Turn::Limit, "that ticket stays out");
    assert_eq!(controller.admissions(sale).await, [1, 2, 3, back.ordinal]);
    verified(&controller, sale, 2).await;
}

#[tokio::test]
async fn a_turn_promises_no_more_than_the_limit_leaves() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 10, "per_shopper_limit": 3 })).await;
    let tickets = controller.join(sale, 1).await;
    assert_eq!(controller.admitted(&tickets[0]).await.quantity, 3);
    redeem(&controller, &tickets[0], 2).await;
    let again = join_again(&controller, sale, tickets[0].visitor).await;
    assert_eq!(controller.admitted(&again).await.quantity, 1);
    redeem(&controller, &again, 1).await;
    reaches_the_limit(&controller, &join_again(&controller, sale, tickets[0].visitor).await).await;
    assert_eq!(controller.show(sale).await["promised"], json!(0));
    verified(&controller, sale, 2).await;
}

#[tokio::test]
async fn the_limit_counts_a_shopper_in_the_line_and_in_a_lane_once() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 10, "claim_window_s": 600, "token_ttl_s": 600 })).await;
    let lane = controller.lane(sale, "vip", 0.5).await;
    let own = controller.join(sale, 1).await.remove(0);
    let invited = join_again(&controller, lane, own.visitor).await;
    controller.admitted(&own).await;
    controller.admitted(&invited).await;
    assert_eq!(controller.show(sale).await["promised"], json!(2));
    // The other token is not valid any more; its unit goes to the next ticket.
    redeem(&controller, &invited, 1).await;
    reaches_the_limit(&controller, &own).await;
    assert_eq!(controller.show(sale).await["promised"], json!(0));
    let states = async |line: SaleId| -> Vec<String> {
        sqlx::query_scalar("SELECT state FROM admissions WHERE line_id = $1")
            .bind(line.0)
            .fetch_all(&controller.pool)
            .await
            .expect("read")
    };
    assert_eq!((states(sale).await, states(lane).await), (vec!["lapsed".to_owned()], vec!["redeemed".to_owned()]));
    verified(&controller, sale, 0).await;
    verified(&controller, lane, 1).await;
}

#[tokio::test]
async fn tickets_that_were_taken_out_are_published_again_after_a_loss_of_redis() {
    use fairline_private_servers::testing::Servers;
    use tokio::task::spawn_blocking;

    let servers = spawn_blocking(|| Servers::start().expect("a Redis of its own")).await.expect("no panic");
    let controller = TestController::open_at(&servers.redis.url()).await;
    let sale = controller.sale(json!({ "total": 5 })).await;
    let bought = controller.join(sale, 1).await.remove(0);
    controller.admitted(&bought).await;
    redeem(&controller, &bought, 1).await;
    let again = join_again(&controller, sale, bought.visitor).await;
    reaches_the_limit(&controller, &again).await;
    let servers = spawn_blocking(move || {
        let mut servers = servers;
        servers.redis.kill().expect("killed");
        servers.redis.restart_empty().expect("restarted");
        servers
    })
    .await
    .expect("no panic");
    controller.until("the line to be there", async || controller.line.revision(sale).await.is_ok()).await;
    reaches_the_limit(&controller, &again).await;
    let known: Vec<Ordinal> = controller.admissions(sale).await;
    assert_eq!(known, [bought.ordinal]);
    drop(servers);
}
