//! A crowd that is sent to a shop of real processes, with faults meanwhile.

use std::time::Duration;

use clap::Parser as _;
use fairline_rush::{Report, RushError, Settings, send_crowd};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

pub use fairline_shop::{CHECKOUTS, CONTROLLERS, GATEWAY, Opening, Shop, WAITING_ROOMS};

const RUSH_WITHIN: Duration = Duration::from_secs(180);

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    settings: Settings,
}

/// Waits until more are admitted, and then until more is sold, than there were. Fails if no shopper
/// is admitted within the time.
pub async fn flows(shop: &Shop, what: &str, within: Duration) {
    let begun = Instant::now();
    let (admitted, sold) = (shop.count("admitted").await, shop.count("sold").await);
    shop.until("admitted", admitted + 1).await;
    let admits = begun.elapsed();
    shop.until("sold", sold + 1).await;
    println!("{what}: admissions after {admits:?}, purchases after {:?}", begun.elapsed());
    assert!(admits < within, "{what}: no shopper was admitted for {admits:?}\n{}", shop.logs());
}

/// Sends a crowd to the shop's sale, without waiting for it.
pub fn send(shop: &Shop, arguments: &[&str]) -> JoinHandle<Result<Report, RushError>> {
    let own = shop.arguments();
    let line = ["rush"].into_iter().chain(own.iter().map(String::as_str)).chain(arguments.iter().copied());
    let settings = Line::parse_from(line).settings;
    tokio::spawn(async move { send_crowd(&settings).await })
}

pub trait Rush {
    /// Sends a crowd, and injects faults meanwhile. Fails if two transactions have deadlocked:
    /// locks are taken in one order.
    async fn rush(&mut self, arguments: &[&str], trouble: impl AsyncFnOnce(&mut Shop)) -> Report;
}

impl Rush for Shop {
    async fn rush(&mut self, arguments: &[&str], trouble: impl AsyncFnOnce(&mut Shop)) -> Report {
        let rush = send(self, arguments);
        trouble(self).await;
        let report = timeout(RUSH_WITHIN, rush).await.expect("a rush ends in time").expect("a rush does not panic");
        let deadlocks = self.servers.postgres.deadlocks().expect("the log of Postgres can be read");
        assert!(deadlocks.is_empty(), "{}", deadlocks.join("\n"));
        report.expect("the rush can be held")
    }
}
