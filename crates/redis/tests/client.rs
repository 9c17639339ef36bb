//! What a client does when its links or its server fail.

use std::{sync::Arc, time::Duration};

use fairline_private_servers::testing::{Proxy, RedisCluster, Servers};
use fairline_redis::{Redis, Subscriber, SubscriberEvent, connect, connect_in_time};
use fred::{
    clients::Client,
    interfaces::{ClientLike as _, KeysInterface as _, PubsubInterface as _},
    types::{ClusterHash, CustomCommand, Value},
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

/// From the end of a fault on; a client probes twice, a second each.
const BACK_WITHIN: Duration = Duration::from_secs(15);

async fn servers() -> Servers {
    spawn_blocking(|| Servers::start().expect("servers")).await.expect("no panic")
}

async fn until(what: &str, within: Duration, mut holds: impl AsyncFnMut() -> Result<(), String>) -> Duration {
    let begun = Instant::now();
    loop {
        match holds().await {
            Ok(()) => return begun.elapsed(),
            Err(last) => assert!(begun.elapsed() < within, "{what} within {within:?}: {last}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn writes(redis: &Redis) -> Result<(), String> {
    let set = |client: Client| async move { client.set::<(), _, _>("key", 1, None, None, false).await };
    redis.run("key", set).await.map_err(|error| error.to_string())
}

/// Writes all the time, as a waiting room does: what fred calls unresponsive is never reached.
fn busy(client: &Redis) {
    let client = client.clone();
    tokio::spawn(async move {
        loop {
            let client = client.clone();
            tokio::spawn(async move { writes(&client).await });
            sleep(Duration::from_millis(20)).await;
        }
    });
}

#[tokio::test]
async fn silent_links_are_replaced_while_they_are_written_to() {
    let servers = servers().await;
    let (proxy, url) = Proxy::before(&servers.redis.url()).expect("a proxy");
    let client = connect(&url).await.expect("a client");
    busy(&client);
    writes(&client).await.expect("written");
    proxy.freeze_established();
    until("established links", Duration::from_millis(500) + BACK_WITHIN, async || writes(&client).await).await;
}

#[tokio::test]
async fn a_client_returns_at_once_after_a_black_hole() {
    let servers = servers().await;
    let (proxy, url) = Proxy::before(&servers.redis.url()).expect("a proxy");
    let proxy = Arc::new(proxy);
    let (client, late) = (connect(&url).await.expect("a client"), connect_in_time(&url).expect("an address"));
    busy(&client);
    let begun = Instant::now();
    proxy.swallow();
    until("it is noticed", Duration::from_secs(5), async || match writes(&client).await {
        Ok(()) => Err("it responds".to_owned()),
        Err(_) if begun.elapsed() < Duration::from_secs(10) => Ok(()),
        Err(error) => Err(error),
    })
    .await;
    // Through several attempts to connect, all of which are swallowed, too.
    until("time to pass", Duration::from_secs(30), async || {
        if begun.elapsed() < Duration::from_secs(20) { Err("not yet".to_owned()) } else { Ok(()) }
    })
    .await;
    proxy.set_established(Default::default());
    proxy.heal();
    until("the client", BACK_WITHIN, async || writes(&client).await).await;
    until("the other", BACK_WITHIN, async || writes(&late).await).await;
}

#[tokio::test]
async fn a_subscriber_replaces_a_silent_link() {
    let servers = servers().await;
    let (proxy, url) = Proxy::before(&servers.redis.url()).expect("a proxy");
    let subscriber = Subscriber::connect(&url).await.expect("a client");
    let publisher = connect(&servers.redis.url()).await.expect("a client").primary_of("news").expect("a client");
    let mut inbox = subscriber.inbox();
    subscriber.subscribe("news").await.expect("subscribed");
    proxy.freeze_established();
    let anew = tokio::time::timeout(BACK_WITHIN, inbox.recv()).await;
    assert!(matches!(anew, Ok(Ok(SubscriberEvent::Anew))), "it reconnects: {anew:?}");
    subscriber.subscribe("news").await.expect("subscribed");
    until("a published message", BACK_WITHIN, async || {
        let _: Value = publisher.spublish("news", "hello").await.map_err(|error| error.to_string())?;
        let received = tokio::time::timeout(Duration::from_millis(100), inbox.recv()).await;
        received.map(drop).map_err(|_| "nothing".to_owned())
    })
    .await;
}

async fn command(redis: &Redis, name: &'static str, args: &[&str]) -> Result<Value, fred::error::Error> {
    let client = redis.primary_of("")?;
    let args: Vec<Value> = args.iter().map(|arg| Value::from(*arg)).collect();
    client.custom(CustomCommand::new_static(name, ClusterHash::FirstKey, false), args).await
}

#[tokio::test]
async fn an_address_that_leads_to_a_replica_is_resolved_again() {
    let (first, second) = (servers().await, servers().await);
    let (proxy, url) = Proxy::before(&first.redis.url()).expect("a proxy");
    let client = connect(&url).await.expect("a client");
    client.probe().await.expect("a primary");
    let owner = connect(&first.redis.url()).await.expect("a client");
    let there = second.redis.port().to_string();
    let _ = command(&owner, "REPLICAOF", &["127.0.0.1", &there]).await.expect("demoted");
    let demoted = until("a replica is not fit", BACK_WITHIN, async || match client.probe().await {
        Ok(()) => Err("it is".to_owned()),
        Err(_) => Ok(()),
    });
    demoted.await;
    proxy.lead_to(std::net::SocketAddr::from(([127, 0, 0, 1], second.redis.port())));
    until("the new primary", BACK_WITHIN, async || writes(&client).await).await;
    client.probe().await.expect("a primary");
}

#[tokio::test]
async fn a_cluster_is_fit_while_one_primary_accepts_writes() {
    let start = || RedisCluster::start_behind_proxies().expect("a cluster");
    let cluster = spawn_blocking(start).await.expect("no panic");
    let client = connect(&cluster.url()).await.expect("a client");
    for door in cluster.doors().take(2) {
        client.probe().await.expect("a primary");
        door.swallow();
    }
    client.probe().await.expect("the third primary suffices");
    cluster.doors().for_each(Proxy::swallow);
    client.probe().await.expect_err("no primary responds");
}

#[tokio::test]
async fn a_redis_without_memory_is_not_fit_and_answers() {
    let servers = servers().await;
    let client = connect(&servers.redis.url()).await.expect("a client");
    let _ = command(&client, "CONFIG", &["SET", "maxmemory", "1"]).await.expect("set");
    let full = client.probe().await.expect_err("no memory");
    assert!(full.details().starts_with("OOM"), "{}", full.details());
    client.primary_of("").expect("a client").ping::<()>(None).await.expect("a response");
    let _ = command(&client, "CONFIG", &["SET", "maxmemory", "0"]).await.expect("set");
    client.probe().await.expect("fit");
}
