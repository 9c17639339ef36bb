//! The limit per shopper, before anybody is let in: who has it already hears so at once, and no unit waits for them.

use fairline_line::{
    change::Turn,
    store::Joining,
    ticket::{Ordinal, Ticket},
};
use fairline_sale::{SaleId, VisitorId};
use serde_json::json;

use crate::{desk::Desk, record::verified};

/// What checkout does when a token is redeemed for so many units.
async fn redeem(desk: &Desk, ticket: &Ticket, quantity: i32) {
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
    .execute(&desk.pool)
    .await
    .expect("redeemed");
    assert_eq!(done.rows_affected(), 1, "the token could be used");
}

/// What checkout does when a hold of a visitor is given back.
async fn give_back(desk: &Desk, visitor: VisitorId) {
    let done = sqlx::query(
        "WITH gone AS (UPDATE holds SET state = 'cancelled', cancelled_at = now() WHERE visitor = $1 AND state = 'held' \
         RETURNING sale_id, quantity) \
         UPDATE stock SET held = held - quantity FROM gone WHERE stock.sale_id = gone.sale_id",
    )
    .bind(&visitor.0[..])
    .execute(&desk.pool)
    .await
    .expect("given back");
    assert_eq!(done.rows_affected(), 1, "there was a hold");
}

/// The same shopper with a new ticket, as `rejoin=true` gives it.
async fn join_again(desk: &Desk, line: SaleId, visitor: VisitorId) -> Ticket {
    let batch = uuid::Uuid::new_v4().as_u64_pair().1.to_be_bytes();
    desk.line.join(line, batch, &[Joining { visitor, account: None }]).await.expect("joined").remove(0)
}

async fn hears_of_the_limit(desk: &Desk, ticket: &Ticket) {
    desk.until("the limit to be told", async || desk.turn(ticket).await == Turn::Limit).await;
}

#[tokio::test]
async fn who_has_bought_the_limit_hears_so_at_once_and_who_gave_it_back_may_come_again() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 2, "claim_window_s": 600, "token_ttl_s": 600 })).await;
    let tickets = desk.join(sale, 3).await;
    desk.admitted(&tickets[0]).await;
    // The other unit is out, so that no turn comes to anybody.
    desk.admitted(&tickets[1]).await;
    redeem(&desk, &tickets[0], 1).await;
    let again = join_again(&desk, sale, tickets[0].visitor).await;
    hears_of_the_limit(&desk, &again).await;
    assert_eq!(desk.turn(&tickets[2]).await, Turn::Waiting, "others wait on");
    desk.until("the line to be shorter", async || desk.show(sale).await["waiting"] == json!(1)).await;

    give_back(&desk, tickets[0].visitor).await;
    desk.admitted(&tickets[2]).await;
    redeem(&desk, &tickets[1], 1).await;
    give_back(&desk, tickets[1].visitor).await;
    let back = join_again(&desk, sale, tickets[0].visitor).await;
    desk.admitted(&back).await;
    assert_eq!(desk.turn(&again).await, Turn::Limit, "that ticket stays out");
    assert_eq!(desk.admissions(sale).await, [1, 2, 3, back.ordinal]);
    verified(&desk, sale, 2).await;
}

#[tokio::test]
async fn a_turn_promises_no_more_than_the_limit_leaves() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 10, "per_shopper_limit": 3 })).await;
    let tickets = desk.join(sale, 1).await;
    assert_eq!(desk.admitted(&tickets[0]).await.quantity, 3);
    redeem(&desk, &tickets[0], 2).await;
    let again = join_again(&desk, sale, tickets[0].visitor).await;
    assert_eq!(desk.admitted(&again).await.quantity, 1);
    redeem(&desk, &again, 1).await;
    hears_of_the_limit(&desk, &join_again(&desk, sale, tickets[0].visitor).await).await;
    assert_eq!(desk.show(sale).await["promised"], json!(0));
    verified(&desk, sale, 2).await;
}

#[tokio::test]
async fn who_waits_in_a_lane_as_well_has_the_limit_once() {
    let desk = Desk::open().await;
    let sale = desk.sale(json!({ "total": 10, "claim_window_s": 600, "token_ttl_s": 600 })).await;
    let lane = desk.lane(sale, "vip", 0.5).await;
    let own = desk.join(sale, 1).await.remove(0);
    let invited = join_again(&desk, lane, own.visitor).await;
    desk.admitted(&own).await;
    desk.admitted(&invited).await;
    assert_eq!(desk.show(sale).await["promised"], json!(2));
    // The other token is worth nothing from now on; its unit goes to the next.
    redeem(&desk, &invited, 1).await;
    hears_of_the_limit(&desk, &own).await;
    assert_eq!(desk.show(sale).await["promised"], json!(0));
    let states = async |line: SaleId| -> Vec<String> {
        sqlx::query_scalar("SELECT state FROM admissions WHERE line_id = $1")
            .bind(line.0)
            .fetch_all(&desk.pool)
            .await
            .expect("read")
    };
    assert_eq!((states(sale).await, states(lane).await), (vec!["lapsed".to_owned()], vec!["redeemed".to_owned()]));
    verified(&desk, sale, 0).await;
    verified(&desk, lane, 1).await;
}

#[tokio::test]
async fn a_lost_redis_hears_again_who_was_taken_out() {
    use fairline_private_servers::testing::Servers;
    use tokio::task::spawn_blocking;

    let servers = spawn_blocking(|| Servers::start().expect("a Redis of its own")).await.expect("no panic");
    let desk = Desk::open_at(&servers.redis.url()).await;
    let sale = desk.sale(json!({ "total": 5 })).await;
    let bought = desk.join(sale, 1).await.remove(0);
    desk.admitted(&bought).await;
    redeem(&desk, &bought, 1).await;
    let again = join_again(&desk, sale, bought.visitor).await;
    hears_of_the_limit(&desk, &again).await;
    let servers = spawn_blocking(move || {
        let mut servers = servers;
        servers.redis.kill().expect("killed");
        servers.redis.restart_empty().expect("restarted");
        servers
    })
    .await
    .expect("no panic");
    desk.until("the line to be there", async || desk.line.revision(sale).await.is_ok()).await;
    hears_of_the_limit(&desk, &again).await;
    let known: Vec<Ordinal> = desk.admissions(sale).await;
    assert_eq!(known, [bought.ordinal]);
    drop(servers);
}
