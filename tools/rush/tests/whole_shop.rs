//! Two of everything, and each of them killed in the middle of a rush: no promise may break.
//!
//! Real processes, real sockets, SIGKILL. One shop at a time, each some twenty seconds. `fairline
//! rush` runs as a command.

mod combined;
mod growth;
mod restored;
mod shop;
mod silent_links;

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use fairline_private_servers::testing::programs;
use fairline_rush::Report;
use shop::{CHECKOUTS, CONTROLLERS, GATEWAY, Rush as _, Shop, WAITING_ROOMS};
use tokio::{process::Command, time::sleep};

/// How long a killed process stays away.
const DOWN_FOR: Duration = Duration::from_secs(1);
const UNITS: u32 = 60;
/// A few hundred shoppers of every kind, quick enough for a test.
const CROWD: [&str; 6] = [
    "--shoppers=250",
    "--mix=buy=40,buy-again=10,let-expire=5,leave=5,disconnect=10,reconnect=15,replay=8,forge=7",
    "--arrive-s=3",
    "--disconnected-s=8",
    "--think-ms=300",
    "--timeout-s=90",
];

/// More than five thousand shoppers who come within two seconds, most of whom wait to the end.
const LARGE_CROWD: [&str; 6] = [
    "--shoppers=5400",
    "--processes=1",
    "--mix=buy=95,let-expire=1,leave=1,disconnect=1,reconnect=2",
    "--arrive-s=2",
    "--think-ms=200",
    "--timeout-s=150",
];

/// A line that Redis lost may pass a disconnected shopper, so only the order of shoppers who are
/// never disconnected is checked.
fn connected<'a>(crowd: &[&'a str]) -> Vec<&'a str> {
    [crowd, &["--grace-s=0"]].concat()
}

fn assert_kept(report: &Report, shop: &Shop) {
    assert!(report.ok, "{report}\n{}\n{}", report.to_json(), shop.logs());
    assert_eq!((report.sold, report.stock), (i64::from(UNITS), i64::from(UNITS)), "{report}");
    assert_eq!((report.shoppers, report.order_honest), (250, Some(true)), "{report}");
    println!("{report}");
}

/// The time between a kill and the restart.
async fn outage() {
    // Sleeps: the outage lasts this long.
    sleep(DOWN_FOR).await;
}

/// Kills and restarts each of `names` in turn during the rush.
async fn kill_each(shop: &mut Shop, names: [&'static str; 2]) {
    for (name, sold) in names.into_iter().zip([10, 25]) {
        shop.until_sold(sold).await;
        shop.kill(name);
        outage().await;
        shop.restart(name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_everything_sell_every_unit_once() {
    let mut shop = Shop::open(UNITS).await;
    let report = shop.rush(&CROWD, async |_| {}).await;
    assert_kept(&report, &shop);
    assert!(report.forged_tried > 0 && report.stolen_tried > 0, "the crowd must try: {report}");
    assert!(report.unexpected.is_empty(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_waiting_rooms_lose_no_shopper() {
    let mut shop = Shop::open(UNITS).await;
    let report = shop.rush(&CROWD, async |shop| kill_each(shop, WAITING_ROOMS).await).await;
    assert_kept(&report, &shop);
    assert!(report.reconnects > 0, "the control: shoppers were connected to a killed waiting room");
    assert!(report.notified_of_limit > 0, "no shopper with an order came again: {report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_and_other_shoppers_share_one_stock_in_yield_mode_while_controllers_die() {
    let (mut shop, guests) = Shop::with_guests(UNITS, 80).await;
    let guests: Vec<&str> = guests.iter().map(String::as_str).collect();
    let crowd = [CROWD.as_slice(), &guests].concat();
    let report = shop.rush(&crowd, async |shop| kill_each(shop, CONTROLLERS).await).await;
    assert_kept(&report, &shop);
    assert!(report.unexpected.keys().all(|what| !what.starts_with("line: 4")), "{report}");
    let (others, from_the_lane) = shop.admitted().await;
    let share = from_the_lane as f64 / (others + from_the_lane) as f64;
    assert!((0.15..0.5).contains(&share), "{from_the_lane} guests and {others} others\n{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_controllers_promise_no_unit_twice() {
    let mut shop = Shop::open(UNITS).await;
    let report = shop.rush(&CROWD, async |shop| kill_each(shop, CONTROLLERS).await).await;
    assert_kept(&report, &shop);
}

/// Redis is lost before the draw and after it, and a controller dies in the moment of the draw.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draw_is_honest_while_services_are_killed() {
    let mut shop = Shop::ready_for_a_draw(UNITS).await;
    let trouble = async |shop: &mut Shop| {
        shop.until("waiting", 150).await;
        shop.servers.redis.kill().expect("Redis runs");
        shop.servers.redis.restart_empty().expect("Redis starts again");
        shop.until("waiting", 200).await;
        shop.open_sale().await;
        shop.kill(CONTROLLERS[0]);
        shop.until_sold(10).await;
        shop.restart(CONTROLLERS[0]).await;
        shop.servers.redis.kill().expect("Redis runs");
        shop.servers.redis.restart_empty().expect("Redis starts again");
    };
    let report = shop.rush(&CROWD, trouble).await;
    assert_kept(&report, &shop);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_checkouts_sell_no_unit_twice() {
    let mut shop = Shop::open(UNITS).await;
    let report = shop.rush(&CROWD, async |shop| kill_each(shop, CHECKOUTS).await).await;
    assert_kept(&report, &shop);
}

/// The sandbox forgets what it had authorised; a real gateway does not. No shopper pays without an
/// order either way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_gateway_takes_no_money_without_an_order() {
    let mut shop = Shop::open(UNITS).await;
    let report = shop.rush(&CROWD, async |shop| kill_each(shop, [GATEWAY, GATEWAY]).await).await;
    assert_kept(&report, &shop);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_loses_no_shopper() {
    let mut shop = Shop::open(UNITS).await;
    let trouble = async |shop: &mut Shop| {
        shop.until_sold(10).await;
        shop.servers.redis.kill().expect("Redis runs");
        outage().await;
        shop.servers.redis.restart().expect("Redis starts again");
    };
    let report = shop.rush(&connected(&CROWD), trouble).await;
    assert_kept(&report, &shop);
    assert!(report.stayed > 50, "{report}");
}

/// A failure in a sale with 5,000 waiting shoppers, none of whom loses the place.
async fn five_thousand_outlive(crowd: &[&str], happening: impl AsyncFnOnce(&mut Shop)) -> Report {
    let mut shop = Shop::open(UNITS).await;
    shop.cap(0.01).await;
    let trouble = async |shop: &mut Shop| {
        shop.until("waiting", 5_200).await;
        shop.cap(25.0).await;
        shop.until_sold(10).await;
        happening(shop).await;
    };
    let report = shop.rush(crowd, trouble).await;
    assert!(report.ok, "{report}\n{}\n{}", report.to_json(), shop.logs());
    assert_eq!((report.sold, report.places_lost, report.inversions), (i64::from(UNITS), 0, 0), "{report}");
    assert!(report.stayed > 1_000, "{report}");
    println!("{report}");
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_shoppers_of_a_killed_node_keep_their_places_at_another() {
    let [dying, _] = WAITING_ROOMS;
    let report = five_thousand_outlive(&LARGE_CROWD, async |shop| shop.kill(dying)).await;
    assert!(report.reconnects > 2_000, "the control: half of them were connected to it: {report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_shoppers_keep_their_places_when_redis_is_emptied() {
    five_thousand_outlive(&connected(&LARGE_CROWD), async |shop| {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, shop.servers.redis.port())).expect("Redis runs");
        stream.write_all(b"FLUSHALL\r\nFUNCTION FLUSH\r\nQUIT\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("a response");
        assert_eq!(answer, "+OK\r\n+OK\r\n+OK\r\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_shoppers_keep_their_places_when_redis_loses_its_append_only_file() {
    five_thousand_outlive(&connected(&LARGE_CROWD), async |shop| {
        shop.servers.redis.restart_empty().expect("Redis starts again");
    })
    .await;
}

/// A killed Redis may lose its last second, although its responses were delivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_lost_its_last_second_loses_no_shopper() {
    let mut shop = Shop::open(UNITS).await;
    let trouble = async |shop: &mut Shop| {
        shop.until("waiting", 30).await;
        let remembered = shop.servers.redis.moment().expect("Redis runs");
        // Sleeps: the lost second.
        sleep(Duration::from_secs(1)).await;
        shop.servers.redis.restart_as_of(&remembered).expect("Redis starts again");
    };
    let report = shop.rush(&connected(&CROWD), trouble).await;
    assert_kept(&report, &shop);
    assert!(report.stayed > 50, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgres_loses_no_unit() {
    let mut shop = Shop::open(UNITS).await;
    let trouble = async |shop: &mut Shop| {
        shop.until_sold(10).await;
        shop.servers.postgres.kill().expect("Postgres runs");
        outage().await;
        shop.servers.postgres.restart().expect("Postgres starts again");
    };
    let report = shop.rush(&CROWD, trouble).await;
    assert_kept(&report, &shop);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_several_processes_is_one_crowd() {
    let shop = Shop::open(20).await;
    let arguments = [
        "--shoppers=90",
        "--processes=3",
        "--arrive-s=1",
        "--mix=buy=1",
        "--payments=visa=1",
        "--think-ms=100",
        "--timeout-s=60",
    ];
    let mut rush = Command::new(programs().join("fairline"));
    rush.arg("rush").args(shop.arguments()).args(arguments).kill_on_drop(true);
    let output = rush.output().await.expect("the command line runs");
    let (stdout, shown) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{shown}\n{}", shop.logs());
    let last: serde_json::Value = serde_json::from_str(stdout.lines().last().expect("a last line")).expect("JSON");
    assert_eq!((&last["shoppers"], &last["paid"], &last["sold_out"]), (&90.into(), &20.into(), &70.into()), "{stdout}");
    assert!(shown.contains("paid 20"), "the progress of all processes together: {shown}");
}
