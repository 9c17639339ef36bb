//! A whole shop whose established links go silent during a rush, while new ones work. The sale
//! continues within seconds, and no promise breaks.

use std::time::Duration;

use crate::shop::{CHECKOUTS, CONTROLLERS, Rush as _, Shop, WAITING_ROOMS, flows};
use fairline_rush::Report;
use tokio::time::sleep;

const UNITS: u32 = 60;
const CROWD: [&str; 6] = [
    "--shoppers=150",
    "--mix=buy=70,let-expire=5,leave=5,disconnect=5,reconnect=15",
    "--arrive-s=3",
    "--disconnected-s=8",
    "--think-ms=300",
    "--timeout-s=120",
];
/// The longest measured pause of a sale whose links fell silent is 5.4 s: the deadline of a
/// statement, that of the session that holds the lock, and a tick's pause. The aim is three
/// seconds.
const FLOWS_WITHIN: Duration = Duration::from_secs(10);
const REDIS_AWAY: Duration = Duration::from_secs(20);

fn assert_kept(report: &Report, shop: &Shop) {
    assert!(report.ok, "{report}\n{}\n{}", report.to_json(), shop.logs());
    assert_eq!((report.sold, report.stock), (i64::from(UNITS), i64::from(UNITS)), "{report}\n{}", shop.logs());
    assert_eq!(report.order_honest, Some(true), "{report}");
    println!("{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_links_to_postgres_delay_a_sale_for_seconds_only() {
    let mut shop = Shop::open_behind_proxies(UNITS).await;
    shop.cap(4.0).await;
    let report = shop
        .rush(&CROWD, async |shop| {
            shop.until_sold(5).await;
            for (what, names) in [("controllers", CONTROLLERS), ("checkouts", CHECKOUTS)] {
                for name in names {
                    shop.link(name, "postgres").freeze_established();
                }
                flows(shop, what, FLOWS_WITHIN).await;
            }
            for name in [CONTROLLERS, CHECKOUTS].concat() {
                shop.link(name, "postgres").freeze_established();
            }
            flows(shop, "all", FLOWS_WITHIN).await;
            shop.cap(25.0).await;
        })
        .await;
    assert_kept(&report, &shop);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_continues_after_redis_was_unreachable_for_twenty_seconds() {
    let mut shop = Shop::open_behind_proxies(UNITS).await;
    shop.cap(4.0).await;
    let everywhere = [WAITING_ROOMS, CONTROLLERS, CHECKOUTS].concat();
    let report = shop
        .rush(&CROWD, async |shop| {
            shop.until_sold(5).await;
            for name in &everywhere {
                shop.link(name, "redis").swallow();
            }
            // Sleeps: the outage lasts this long.
            sleep(REDIS_AWAY).await;
            for name in &everywhere {
                shop.link(name, "redis").heal();
            }
            flows(shop, "redis", FLOWS_WITHIN).await;
            shop.cap(25.0).await;
        })
        .await;
    assert_kept(&report, &shop);
}
