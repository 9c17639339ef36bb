//! A database that is restored from a backup as docs/operations.md describes it, while pages hold
//! tickets that were issued since.

use std::{collections::BTreeSet, path::Path};

use fairline_line::{
    store::{JoinRequest, LineStore},
    ticket::{Ordinal, Ticket},
};
use fairline_private_servers::testing::programs;
use fairline_sale::{SaleId, VisitorId};
use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::{
    process::Command,
    time::{Duration, Instant, sleep},
};

use crate::shop::{CHECKOUTS, CONTROLLERS, Shop};

const UNITS: u32 = 10;
const WITHIN: Duration = Duration::from_secs(30);

/// Runs a program that succeeds.
async fn run(program: &Path, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().await.expect("the program runs");
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?}: {shown}", program.display());
}

/// The line of the shop's sale, and the shoppers who have joined it.
struct Shoppers {
    line: LineStore,
    sale: SaleId,
    tickets: Vec<Ticket>,
}

impl Shoppers {
    /// Lets 30 more shoppers join, as soon as the line is there.
    async fn join(&mut self) {
        let deadline = Instant::now() + WITHIN;
        let visitor = |nth: usize| VisitorId(u128::to_be_bytes((self.tickets.len() + nth) as u128));
        let joining: Vec<_> = (0..30).map(|nth| JoinRequest { visitor: visitor(nth), account: None }).collect();
        let batch = (self.tickets.len() as u64).to_be_bytes();
        loop {
            match self.line.join(self.sale, batch, &joining).await {
                Ok(tickets) => return self.tickets.extend(tickets),
                Err(error) => assert!(Instant::now() < deadline, "no shopper can join: {error}"),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn raise_total(shop: &Shop, total: u32) {
    let path = format!("/api/admin/sales/{}", shop.sale);
    let (status, sale) = shop.admin(Method::PATCH, &path, Some(json!({ "total": total }))).await;
    assert_eq!(status, StatusCode::OK, "{sale}");
    shop.until("admitted", total.into()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_gives_no_ordinal_twice_and_its_record_verifies() {
    let mut shop = Shop::open(UNITS).await;
    let line = LineStore::connect(&shop.servers.redis.url()).await.expect("Redis");
    let sale = SaleId(shop.sale.parse().expect("an id"));
    let mut shoppers = Shoppers { line, sale, tickets: Vec::new() };
    shoppers.join().await;
    shop.until("admitted", UNITS.into()).await;
    let url = shop.postgres_url().to_owned();
    let backup = shop.folder().join("backup.dump");
    let backup = backup.to_str().expect("UTF-8");
    let postgres = |name: &str| shop.servers.postgres.program(name);
    run(&postgres("pg_dump"), &["--format=custom", "--file", backup, &url]).await;
    let restore_backup = postgres("pg_restore");
    // The backup lacks these shoppers, and the turns of some who joined before.
    shoppers.join().await;
    raise_total(&shop, UNITS + 5).await;

    for name in [CONTROLLERS, CHECKOUTS].concat() {
        shop.kill(name);
    }
    run(&restore_backup, &["--clean", "--if-exists", "--no-owner", "--dbname", &url, backup]).await;
    let fairline = programs().join("fairline");
    let redis = shop.servers.redis.url();
    run(&fairline, &["restore", "--postgres-url", &url, "--redis-url", &redis]).await;
    shop.servers.redis.restart_empty().expect("Redis starts again");
    for name in [CONTROLLERS, CHECKOUTS].concat() {
        shop.restart(name).await;
    }
    shoppers.join().await;

    let ordinals: Vec<Ordinal> = shoppers.tickets.iter().map(|ticket| ticket.ordinal).collect();
    let distinct: BTreeSet<Ordinal> = ordinals.iter().copied().collect();
    assert_eq!(distinct.len(), ordinals.len(), "an ordinal was given twice: {ordinals:?}");
    assert!(ordinals[60..].iter().min() > ordinals[..60].iter().max(), "new shoppers are behind all: {ordinals:?}");
    // Their pages present all tickets, and every one gets a turn.
    shoppers.line.resume(sale, &shoppers.tickets[..60]).await.expect("a response");
    raise_total(&shop, 90).await;
    let admin = shop.arguments().into_iter().find_map(|argument| argument.strip_prefix("--admin=").map(str::to_owned));
    let record = format!("{}/api/flash-sales/{}/record", admin.expect("an address"), shop.sale);
    run(&fairline, &["verify", &record]).await;
}
