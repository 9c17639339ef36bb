//! Combinations of faults that once stopped a sale permanently: the sale recovers, and no promise
//! breaks.

use std::time::Duration;

use fairline_private_servers::testing::{Forwarding, LinkMode};
use tokio::time::{sleep, timeout};

use crate::shop::{CHECKOUTS, CONTROLLERS, Rush as _, Shop, WAITING_ROOMS, flows};

const UNITS: u32 = 90;
/// Only the order of shoppers who are never disconnected is checked, since Redis loses the line.
const CROWD: [&str; 7] = [
    "--shoppers=220",
    "--mix=buy=70,let-expire=5,leave=5,disconnect=5,reconnect=15",
    "--arrive-s=3",
    "--disconnected-s=8",
    "--think-ms=300",
    "--timeout-s=150",
    "--grace-s=0",
];
/// The bound of the chaos tests.
const FLOWS_WITHIN: Duration = Duration::from_secs(30);
const NOTICED_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(50);

fn ask_redis(shop: &Shop, command: &str) {
    let answer = shop.servers.redis.ask(command).expect("Redis answers");
    assert!(answer.starts_with("+OK"), "{command}: {answer}");
}

fn set_read_only(shop: &Shop, to: &str) {
    let set = format!("ALTER SYSTEM SET default_transaction_read_only = {to}; SELECT pg_reload_conf()");
    shop.servers.postgres.run(&set).expect("Postgres answers");
}

/// Both checkouts, Redis with its data, and Postgres with its sessions.
async fn kill_checkouts_redis_and_postgres(shop: &mut Shop) {
    CHECKOUTS.into_iter().for_each(|name| shop.kill(name));
    shop.servers.redis.restart_empty().expect("Redis starts again");
    shop.servers.postgres.kill().expect("Postgres runs");
    shop.servers.postgres.restart().expect("Postgres starts again");
    for name in CHECKOUTS {
        shop.restart(name).await;
    }
}

/// A Redis that takes no writes, links that end, a killed waiting room, a killed Postgres.
async fn refuse_writes_and_break_links(shop: &mut Shop) {
    ask_redis(shop, "REPLICAOF 127.0.0.1 1");
    shop.links().iter().filter(|link| link.to == "redis").for_each(|link| link.proxy.reset());
    shop.kill(WAITING_ROOMS[0]);
    CHECKOUTS.into_iter().for_each(|name| shop.link(name, "postgres").cut());
    shop.servers.postgres.kill().expect("Postgres runs");
    shop.servers.postgres.restart().expect("Postgres starts again");
    ask_redis(shop, "REPLICAOF NO ONE");
    shop.restart(WAITING_ROOMS[0]).await;
}

/// A Postgres that takes no writes, a Redis without memory, and slow links, until the controllers
/// are not ready.
async fn take_no_writes_over_slow_links(shop: &mut Shop) {
    let carry_all = |shop: &Shop, link: LinkMode| {
        let to_servers = shop.links().iter().filter(|link| ["redis", "postgres"].contains(&link.to));
        let services = to_servers.filter(|link| [WAITING_ROOMS, CONTROLLERS, CHECKOUTS].concat().contains(&link.from));
        services.for_each(|own| {
            own.proxy.set_new(Some(link));
            own.proxy.set_established(link);
        });
    };
    set_read_only(shop, "on");
    ask_redis(shop, "CONFIG SET maxmemory 1");
    carry_all(shop, LinkMode::both(Forwarding::Slowly));
    for name in CONTROLLERS {
        let noticed = async {
            while shop.unready(name).await.is_none() {
                sleep(POLL_EVERY).await;
            }
        };
        timeout(NOTICED_WITHIN, noticed).await.expect("a controller notices that it can't work");
    }
    set_read_only(shop, "off");
    ask_redis(shop, "CONFIG SET maxmemory 0");
    carry_all(shop, LinkMode::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_recovers_from_several_faults_at_once() {
    let mut shop = Shop::open_behind_proxies(UNITS).await;
    shop.cap(3.0).await;
    let report = shop
        .rush(&CROWD, async |shop| {
            shop.until_sold(5).await;
            kill_checkouts_redis_and_postgres(shop).await;
            flows(shop, "checkouts, Redis and Postgres killed", FLOWS_WITHIN).await;
            refuse_writes_and_break_links(shop).await;
            flows(shop, "Redis read-only, links broken, a waiting room and Postgres killed", FLOWS_WITHIN).await;
            take_no_writes_over_slow_links(shop).await;
            flows(shop, "Postgres read-only, Redis out of memory, links slow", FLOWS_WITHIN).await;
            shop.cap(25.0).await;
        })
        .await;
    assert!(report.ok, "{report}\n{}\n{}", report.to_json(), shop.logs());
    assert_eq!((report.sold, report.stock), (i64::from(UNITS), i64::from(UNITS)), "{report}\n{}", shop.logs());
    assert_eq!(report.order_honest, Some(true), "{report}");
    println!("{report}");
}
