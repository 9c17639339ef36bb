//! No key of a sale stays in Redis for ever.

use std::time::Duration;

use fairline_line::{
    change::Revision,
    store::{JoinRequest, LineAccount, LineStore, NodeReport, Publication},
    ticket::Ticket,
};
use fairline_private_servers::testing;
use fairline_sale::{SaleCard, SaleId, Status, VisitorId};
use fred::interfaces::KeysInterface as _;

const DAY_MS: i64 = 24 * 3600 * 1000;
/// Keys that expire, in the order of the library.
const KEYS: [&str; 14] = [
    "line", "arrivals", "departed", "recalled", "absent", "turns", "claims", "passed", "accounts", "present",
    "history", "drawn", "shown", "returned",
];

fn card(status: Status) -> SaleCard {
    SaleCard { id: SaleId(uuid::Uuid::new_v4()), status, ..SaleCard::example() }
}

fn publication<'a>(card: &'a SaleCard, number: i64, home: &'a str) -> Publication<'a> {
    Publication {
        number,
        epoch: 1,
        begins: (number == 1).then_some(home),
        above: 0,
        cursor: 1,
        drawn: 0,
        recorded: Revision::default(),
        granted: 1000,
        recall_window: Duration::from_secs(600),
        card,
        handled_claims: &[],
        turns: &[],
    }
}

/// The keys that there are, with how long each is kept: -1 for ever.
async fn kept_ms(sale: SaleId) -> Vec<(&'static str, i64)> {
    let client =
        fairline_redis::connect(&testing::redis_url()).await.expect("a Redis").primary_of("").expect("a client");
    let mut kept = Vec::new();
    for key in KEYS {
        let ms: i64 = client.pttl(format!("fairline:{{{sale}}}:{key}")).await.expect("a response");
        if ms != -2 {
            kept.push((key, ms));
        }
    }
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_and_closed_lines_are_deleted_with_all_that_is_written_later() {
    let url = tokio::task::spawn_blocking(testing::redis_url).await.expect("a Redis");
    let line = LineStore::connect(&url).await.expect("a Redis");
    let mut card = card(Status::Open);
    let sale = card.id;
    let home = line.home(sale).await.expect("a response").run_id;
    line.publish(&publication(&card, 1, &home)).await.expect("published");
    let joining: Vec<JoinRequest> = (1..=4_u128)
        .map(|n| JoinRequest {
            visitor: VisitorId(n.to_be_bytes()),
            account: (n == 4).then_some(LineAccount { digest: [4; 16], rejoins: false }),
        })
        .collect();
    let tickets: Vec<Ticket> = line.join(sale, [1; 8], &joining).await.expect("tickets");
    let open = kept_ms(sale).await;
    assert!(open.iter().all(|(key, ms)| *key != "line" || *ms > 29 * DAY_MS), "{open:?}");

    card.status = Status::Closed;
    line.publish(&publication(&card, 2, &home)).await.expect("published");
    let before = kept_ms(sale).await;
    line.absent(sale, Duration::ZERO, true, &[2, 3]).await.expect("noted");
    line.leave(&tickets[1]).await.expect("left");
    line.resume(sale, &tickets[..1]).await.expect("a response");
    line.sweep(sale, 10).await.expect("swept");
    let node = NodeReport { name: "node", up_for: Duration::from_secs(30), connected: vec![0b0001_0000] };
    line.present(sale, 1, node).await.expect("noted");
    line.claim(&tickets[1]).await.expect("noted");
    line.bind_account(&tickets[0], &LineAccount { digest: [1; 16], rejoins: false }).await.expect("noted");
    line.roll_call(sale, Duration::from_secs(60), 0).await.expect("a response");
    let after = kept_ms(sale).await;
    assert!(after.len() > before.len() + 2, "keys that were made later: {before:?}, {after:?}");
    let wrong: Vec<_> = after.iter().filter(|(_, ms)| !(1..=7 * DAY_MS).contains(ms)).collect();
    assert!(wrong.is_empty(), "kept for ever, or for longer than the sale: {wrong:?} of {after:?}");
}
