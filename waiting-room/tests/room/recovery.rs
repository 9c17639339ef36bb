//! Stopped nodes, lost Redis processes and failovers.

use std::time::Duration;

use axum::http::StatusCode;
use fairline_private_servers::{PrivateRedis, testing, testing::RedisCluster, testing::RedisSentinel};
use fairline_sale::Status;
use futures_util::future::join_all;
use serde_json::json;
use tokio::{
    task::spawn_blocking,
    time::{Instant, interval, sleep},
};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use waiting_room::Settings;

use crate::support::{TestWaitingRoom, live};

#[tokio::test]
async fn closed_sales_hide_no_new_one_and_cost_no_calls() {
    let servers = spawn_blocking(|| testing::Servers::start().expect("a Redis of its own")).await.expect("no panic");
    let room = TestWaitingRoom::open_at(&servers.redis.url(), |_| {}).await;
    room.other_sales(1_010, Status::Closed, -1).await;
    let status = |room: &TestWaitingRoom| format!("/api/flash-sales/{}/status", room.card.id);
    // One that starts beside them, and one that starts when the node follows its maximum.
    let late = room.another_node().await;
    assert_eq!(late.get(&status(&room), &[]).await.status, StatusCode::OK);
    let new = late.another_sale().await;
    assert_eq!(late.get(&status(&new), &[]).await.status, StatusCode::OK);
    // No shopper is in any of them.
    room.until("all of them to rest", async || {
        let before = room.calls().await;
        // Sleeps: calls are counted for this time.
        sleep(Duration::from_secs(1)).await;
        room.calls().await - before < 50
    })
    .await;
    let mut shopper = late.join().await;
    assert_eq!(shopper.receive("place").await["place"], json!(0), "a requested sale is checked again");
    drop(servers);
}

#[tokio::test]
async fn scheduled_sales_hide_neither_an_open_one_nor_the_next_to_open() {
    let servers = spawn_blocking(|| testing::Servers::start().expect("a Redis of its own")).await.expect("no panic");
    let room = TestWaitingRoom::open_at(&servers.redis.url(), |_| {}).await;
    room.other_sales(1_100, Status::Scheduled, 30).await;
    let soon = room.other_sales(1, Status::Scheduled, 1).await;
    let mut last = room.other_sales(1, Status::Scheduled, 60).await;
    // It starts when the list is longer than what a node follows.
    let node = room.another_node().await;
    let status = async |of: &TestWaitingRoom| {
        let path = format!("/api/flash-sales/{}/status", of.card.id);
        node.get(&path, &[]).await.status
    };
    let mut shopper = node.join().await;
    assert_eq!(shopper.receive("place").await["place"], json!(0), "the open sale has its room");
    node.until("the room of the next to open", async || status(&soon).await == StatusCode::OK).await;
    assert_eq!(status(&last).await, StatusCode::NOT_FOUND, "the node follows as many as it can");
    last.card.status = Status::Open;
    last.publish(&[]).await;
    node.until("the room of the sale that has opened", async || status(&last).await == StatusCode::OK).await;
    drop(servers);
}

#[tokio::test]
async fn a_node_that_stops_closes_its_sockets_with_restart() {
    let room = TestWaitingRoom::open().await;
    let mut shopper = room.join().await;
    shopper.receive("place").await;
    room.shutdown.trigger();
    assert_eq!(shopper.closed().await, Some(CloseCode::Restart));
    assert!(room.shutdown.finished(Duration::from_secs(10)).await);
    assert_eq!(room.next().await, [1], "the grace period runs");
}

#[tokio::test]
async fn places_survive_a_killed_redis() {
    let mut servers = testing::Servers::start().expect("a Redis of its own");
    let mut room = TestWaitingRoom::open_at(&servers.redis.url(), |_| {}).await;
    let mut shopper = room.join().await;
    assert_eq!(shopper.receive("place").await["ordinal"], json!(1));
    servers.redis.kill().expect("killed");
    shopper.receive("reconnecting").await;
    let rejected = room.connect("", &[]).await.expect_err("no line");
    assert_eq!((rejected.status, rejected.slug()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert_eq!(rejected.header("retry-after"), "1");
    servers.redis.restart().expect("restarted");
    room.begin(&[]).await;
    assert_eq!(shopper.receive("place").await["ordinal"], json!(1));
    room.admit(1).await;
    shopper.receive("turn").await;
}

#[tokio::test]
async fn a_node_without_redis_is_not_ready_until_it_is_back() {
    let (proxy, through) = testing::Proxy::before(&testing::redis_url()).expect("a proxy");
    let room = TestWaitingRoom::open_at(&through, |_| {}).await;
    let ready = async || room.get("/health/ready", &[]).await;
    room.until("readiness", async || ready().await.status == StatusCode::OK).await;
    for is_silent in [false, true] {
        if is_silent {
            proxy.swallow();
        } else {
            proxy.set_new(None);
            proxy.reset();
        }
        room.until("the node not to be ready", async || ready().await.status != StatusCode::OK).await;
        let answer = ready().await;
        assert_eq!((answer.status, answer.slug()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
        assert!(answer.text.contains("Redis does not respond"), "silent: {is_silent}: {}", answer.text);
        proxy.heal();
        room.until("readiness to return", async || ready().await.status == StatusCode::OK).await;
    }
}

#[tokio::test]
async fn a_node_whose_redis_is_a_replica_is_not_ready() {
    let servers = testing::Servers::start().expect("a Redis of its own");
    let room = TestWaitingRoom::open_at(&servers.redis.url(), |_| {}).await;
    let ready = async || room.get("/health/ready", &[]).await.status;
    assert_eq!(ready().await, StatusCode::OK);
    room.redis("REPLICAOF 127.0.0.1 1").await;
    assert_eq!(ready().await, StatusCode::SERVICE_UNAVAILABLE);
    room.redis("REPLICAOF NO ONE").await;
    room.until("readiness to return", async || ready().await == StatusCode::OK).await;
}

#[tokio::test]
async fn a_republished_line_has_its_shoppers_in_the_old_order() {
    let servers = testing::Servers::start().expect("a Redis of its own");
    let mut room = TestWaitingRoom::open_at(&servers.redis.url(), |_| {}).await;
    let mut shoppers = Vec::new();
    for _ in 0..5 {
        shoppers.push(room.join().await);
    }
    shoppers[4].receive("place").await;
    room.admit(1).await;
    room.empty_redis().await;
    room.begin(&[(1, live(1))]).await;
    room.until("the tickets to be presented", async || room.next().await == [2, 3, 4, 5]).await;
    let place = shoppers[4].receive_until("place", |message| message["place"] == json!(3)).await;
    assert_eq!(place["ordinal"], json!(5));
    let mut newcomer = room.join().await;
    assert_eq!(newcomer.receive("place").await["ordinal"], json!(100_001), "no ordinal is given twice");
}

#[tokio::test]
async fn a_page_that_returns_while_redis_has_lost_the_line_waits_at_the_node() {
    let servers = testing::Servers::start().expect("a Redis of its own");
    let mut room = TestWaitingRoom::open_at(&servers.redis.url(), |_| {}).await;
    let (mut first, mut second) = (room.join().await, room.join().await);
    first.receive("place").await;
    second.receive("place").await;
    let cookie = second.cookie.clone();
    drop(second);
    room.empty_redis().await;
    first.receive("reconnecting").await;
    let mut returned = room.resume(&cookie).await;
    returned.receive("reconnecting").await;
    let ticket = [("cookie", cookie.as_str())];
    let polled = room.get("/api/flash-sales/{id}/line", &ticket).await;
    assert_eq!((polled.status, &polled.body["messages"][1]["type"]), (StatusCode::OK, &json!("reconnecting")));
    assert!(polled.body["poll_after_ms"].as_u64().is_some_and(|ms| ms <= 1000), "{}", polled.text);
    // A new ticket can't be given.
    for (query, headers) in [("", &[][..]), ("?rejoin=true", &ticket)] {
        let rejected = room.connect(query, headers).await.expect_err("no line");
        assert_eq!((rejected.status, rejected.header("retry-after").as_str()), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    }
    room.begin(&[]).await;
    assert_eq!(returned.receive("place").await["ordinal"], json!(2));
    room.until("the tickets to be presented", async || room.next().await == [1, 2]).await;
}

#[tokio::test]
async fn shoppers_of_a_killed_node_keep_their_places_or_depart() {
    let short = |settings: &mut Settings| settings.grace_s = 1;
    let mut room = TestWaitingRoom::open_with(short).await;
    let (node, runtime) = room.node_to_die(short).await;
    let (mut returns, mut stays_away) = (node.join().await, node.join().await);
    returns.receive("place").await;
    stays_away.receive("place").await;
    let mut behind = room.join().await;
    behind.receive_until("place", |message| message["place"] == json!(2)).await;
    // The grace period of a shopper who left after them runs out; connected shoppers stay.
    let mut gone = room.join().await;
    gone.receive("place").await;
    drop(gone);
    room.depart(1).await;
    assert_eq!(room.next().await, [1, 2, 3]);

    runtime.shutdown_background();
    let mut returned = room.resume(&returns.cookie).await;
    assert_eq!(returned.receive("place").await["ordinal"], json!(1));
    room.depart(1).await;
    behind.receive_until("place", |message| message["place"] == json!(1)).await;
    assert_eq!(room.next().await, [1, 3]);
    room.admit(1).await;
    returned.receive("turn").await;
}

#[tokio::test]
async fn joins_with_late_answers_at_two_nodes_give_no_ordinal_twice_and_leave_no_gap() {
    let servers = testing::Servers::start().expect("a Redis of its own");
    let room = TestWaitingRoom::open_at(&servers.redis.url(), |settings| settings.join_burst = 1000).await;
    let other = room.another_node_with(|settings| settings.join_burst = 1000).await;
    // Calls time out, and are executed after the pause all the same; then the functions are gone.
    room.redis("CLIENT PAUSE 1300 ALL").await;
    let trouble = async {
        for _ in 0..20 {
            room.redis("FUNCTION FLUSH").await;
            // Sleeps: the outage lasts for many calls.
            sleep(Duration::from_millis(20)).await;
        }
    };
    let joins = (0..200).map(|n| if n % 2 == 0 { room.connect("", &[]) } else { other.connect("", &[]) });
    let mut ordinals = Vec::new();
    let (joined, ()) = tokio::join!(join_all(joins), trouble);
    for joined in joined {
        ordinals.push(joined.expect("a place").receive("place").await["ordinal"].as_u64().expect("a number"));
    }
    ordinals.sort_unstable();
    assert_eq!(ordinals, (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn places_survive_a_killed_master_of_a_cluster() {
    let mut cluster = spawn_blocking(|| RedisCluster::start().expect("a cluster")).await.expect("no panic");
    let mut room = TestWaitingRoom::open_at(&cluster.url(), |_| {}).await;
    let mut others = Vec::new();
    // Enough sales that every master has one, almost certainly.
    for _ in 0..12 {
        others.push(room.another_sale().await);
    }
    let mut shoppers = Vec::new();
    for other in &others {
        let mut shopper = other.join().await;
        assert_eq!(shopper.receive("place").await["ordinal"], json!(1));
        shoppers.push(shopper);
    }
    let mut first = room.join().await;
    first.receive("place").await;

    cluster = spawn_blocking(move || {
        let master = cluster.masters().next().expect("a master");
        master.kill().expect("killed");
        master.restart().expect("restarted");
        cluster.settle().expect("complete again");
        cluster
    })
    .await
    .expect("no panic");
    for (other, shopper) in others.iter_mut().zip(&mut shoppers) {
        other.begin_if_lost().await;
        other.until("the shopper to be next", async || other.next().await == [1]).await;
        other.admit(1).await;
        shopper.receive("turn").await;
    }
    room.begin_if_lost().await;
    room.until("the shopper to be next", async || room.next().await == [1]).await;
    drop(cluster);
}

#[tokio::test]
async fn a_silent_master_of_a_cluster_delays_only_its_own_sales() {
    let mut cluster =
        spawn_blocking(|| RedisCluster::start_behind_proxies().expect("a cluster")).await.expect("no panic");
    // Presence is renewed every two seconds, and valid for six.
    let set = |settings: &mut Settings| (settings.grace_s, settings.join_burst) = (8, 1000);
    let room = TestWaitingRoom::open_at(&cluster.url(), set).await;
    let others = join_all((0..60).map(|_| room.another_sale())).await;
    let mut shoppers = join_all(others.iter().map(TestWaitingRoom::join)).await;
    for shopper in &mut shoppers {
        shopper.receive("place").await;
    }
    let home = async |room: &TestWaitingRoom| room.store.home(room.card.id).await.expect("read").run_id;
    let silent = home(&room).await;
    let is_silent = |master: &mut PrivateRedis| master.ask("INFO server").expect("answered").contains(&silent);
    let nth = cluster.masters().position(is_silent).expect("a master");
    let mut pairs = others.into_iter().zip(shoppers);
    let (mut healthy, mut shopper) = loop {
        let (other, shopper) = pairs.next().expect("a sale on another master");
        if home(&other).await != silent {
            break (other, shopper);
        }
    };
    let others: Vec<_> = pairs.collect();
    cluster.doors().nth(nth).expect("a proxy").swallow();

    // Twice as long as presence is valid.
    let (silent_since, mut rounds) = (Instant::now(), interval(Duration::from_millis(100)));
    while silent_since.elapsed() < Duration::from_secs(12) {
        rounds.tick().await;
        healthy.store.roll_call(healthy.card.id, Duration::ZERO, 0).await.expect("the healthy master");
        let departed = healthy.store.sweep(healthy.card.id, 10).await;
        assert_eq!(departed, Ok(0), "a connected shopper departed after {:?}", silent_since.elapsed());
    }
    healthy.until("the shopper to be next", async || healthy.next().await == [1]).await;
    healthy.admit(1).await;
    shopper.receive("turn").await;
    drop((others, cluster));
}

#[tokio::test]
async fn places_survive_two_failovers() {
    let mut sentinel = spawn_blocking(|| RedisSentinel::start().expect("a sentinel")).await.expect("no panic");
    let mut room = TestWaitingRoom::open_at(&sentinel.url(), |_| {}).await;
    let (mut first, mut second) = (room.join().await, room.join().await);
    first.receive("place").await;
    second.receive("place").await;
    // The ordinals that the first epoch may issue.
    let mut highest = Some(100_000);
    for term in 1..=2 {
        sentinel = spawn_blocking(move || {
            if term > 1 {
                sentinel.restore().expect("the old primary follows");
            }
            sentinel.fail_over().expect("the replica takes over");
            sentinel
        })
        .await
        .expect("no panic");
        first.receive("reconnecting").await;
        room.begin_if_lost().await;
        assert_eq!(first.receive("place").await["place"], json!(0));
        room.until("the tickets to be presented", async || room.next().await.starts_with(&[1, 2])).await;
        let newcomer = room.join().await.receive("place").await["ordinal"].as_u64();
        assert!(newcomer > highest, "an ordinal was given twice: {newcomer:?}");
        highest = newcomer;
    }
    assert_eq!(second.receive_until("place", |message| message["place"] == json!(1)).await["ordinal"], json!(2));
    room.admit(2).await;
    first.receive("turn").await;
    second.receive("turn").await;
    drop(sentinel);
}

#[tokio::test]
async fn a_page_loses_a_token_that_a_restored_database_does_not_know() {
    let mut room = TestWaitingRoom::open().await;
    let (mut first, mut second) = (room.join().await, room.join().await);
    second.receive("place").await;
    room.admit(1).await;
    first.receive("turn").await;
    second.receive_until("place", |message| message["place"] == json!(0)).await;
    room.restore().await;
    first.receive_until("place", |message| message["place"] == json!(0)).await;
    second.receive_until("place", |message| message["place"] == json!(1)).await;
    assert!(room.join().await.receive("place").await["ordinal"].as_u64() > Some(100_000), "no ordinal is given twice");
    room.until("the tickets to be presented", async || room.next().await.starts_with(&[1, 2])).await;
    room.admit(1).await;
    first.receive("turn").await;
}
