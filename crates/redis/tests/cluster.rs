//! A cluster whose primaries fail alone, and whose slots move.

use std::{sync::Arc, time::Duration};

use fairline_private_servers::{
    PrivateRedis,
    testing::{Proxy, RedisCluster},
};
use fairline_redis::{Redis, Subscriber, SubscriberEvent, connect};
use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike as _, KeysInterface as _, PubsubInterface as _},
    types::{
        Builder, Value,
        cluster::ClusterRouting,
        config::{Config, ReconnectPolicy},
    },
};
use futures_util::future::join_all;
use tokio::{
    sync::broadcast::Receiver,
    task::{AbortHandle, spawn_blocking},
    time::{Instant, interval, sleep, timeout},
};

/// How long a fault lasts: longer than each deadline and interval of a client.
const FAULT: Duration = Duration::from_secs(8);
/// From the end of a fault on.
const BACK_WITHIN: Duration = Duration::from_secs(15);

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(act).await.expect("no panic")
}

async fn set(redis: &Redis, key: &str) -> Result<(), Error> {
    redis.run(key, |client| async move { client.set(key, 1, None, None, false).await }).await
}

async fn get(redis: &Redis, key: &str) -> Result<Option<u64>, Error> {
    redis.run(key, |client: Client| async move { client.get(key).await }).await
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> Result<(), Error>) {
    let begun = Instant::now();
    while let Err(last) = holds().await {
        assert!(begun.elapsed() < BACK_WITHIN, "{what} within {BACK_WITHIN:?}: {last:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A key that the nth of the three masters stores.
fn key_of(nth: u16) -> String {
    let is_there = |key: &String| ClusterRouting::hash_key(key.as_bytes()) / 5462 == nth;
    (0..1000).map(|n| format!("key-{n}")).find(is_there).expect("one of a thousand")
}

/// Writes to a key all the time, whatever comes of it.
fn write_on(redis: &Redis, key: String) -> AbortHandle {
    let redis = redis.clone();
    let writing = tokio::spawn(async move {
        loop {
            let (redis, key) = (redis.clone(), key.clone());
            tokio::spawn(async move { set(&redis, &key).await });
            sleep(Duration::from_millis(20)).await;
        }
    });
    writing.abort_handle()
}

/// Every write to the second and the third master succeeds, while the first is written to, too.
async fn the_others_serve(redis: &[&Redis], within: Duration) {
    let writers: Vec<_> = redis.iter().map(|redis| write_on(redis, key_of(0))).collect();
    let keys = [key_of(1), key_of(2)];
    let (begun, mut rounds) = (Instant::now(), interval(Duration::from_millis(50)));
    while begun.elapsed() < within {
        rounds.tick().await;
        let writes = redis.iter().flat_map(|redis| keys.iter().map(|key| set(redis, key)));
        for written in join_all(writes).await {
            assert!(written.is_ok(), "{written:?} after {:?}", begun.elapsed());
        }
    }
    writers.iter().for_each(AbortHandle::abort);
}

/// A client that starts while the first master is out of reach, and the time that this takes.
async fn start_late(url: &str) -> Redis {
    let begun = Instant::now();
    let late = connect(url).await.expect("two masters suffice");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    late
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_delays_no_other() {
    let mut cluster = blocking(|| RedisCluster::start().expect("a cluster")).await;
    let redis = connect(&cluster.url()).await.expect("a client");
    for nth in 0..3 {
        set(&redis, &key_of(nth)).await.expect("written");
    }
    let (mut cluster, killed) = blocking(move || {
        let killed = cluster.masters().next().expect("a master").kill();
        (cluster, killed)
    })
    .await;
    killed.expect("killed");
    the_others_serve(&[&redis], Duration::from_secs(3)).await;
    set(&redis, &key_of(0)).await.expect_err("the killed master");
    let late = start_late(&cluster.url()).await;
    redis.probe().await.expect("fit");
    the_others_serve(&[&redis, &late], FAULT).await;
    late.probe().await.expect("fit");

    let restart = blocking(move || {
        cluster.masters().next().expect("a master").restart().expect("restarted");
        cluster.settle().expect("complete again");
        cluster
    });
    let clients = [&redis, &late];
    let ((), cluster) = tokio::join!(the_others_serve(&clients, Duration::from_secs(4)), restart);
    for client in clients {
        until("the killed master", async || set(client, &key_of(0)).await).await;
    }
    drop(cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_whose_host_is_gone_delays_no_other() {
    let cluster = blocking(|| RedisCluster::start_behind_proxies().expect("a cluster")).await;
    let redis = connect(&cluster.url()).await.expect("a client");
    let door = cluster.doors().next().expect("a proxy");
    door.swallow();
    the_others_serve(&[&redis], Duration::from_secs(3)).await;
    let late = start_late(&cluster.url()).await;
    the_others_serve(&[&redis, &late], FAULT).await;
    door.set_established(Default::default());
    door.heal();
    the_others_serve(&[&redis, &late], Duration::from_secs(2)).await;
    for client in [&redis, &late] {
        until("the master that was gone", async || set(client, &key_of(0)).await).await;
    }
    cluster.doors().for_each(Proxy::swallow);
    redis.probe().await.expect_err("no primary responds");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_for_all_primaries_would_stop_with_one() {
    let mut cluster = blocking(|| RedisCluster::start().expect("a cluster")).await;
    let client = Builder::from_config(Config::from_url(&cluster.url()).expect("a URL"))
        .with_performance_config(|performance| performance.default_command_timeout = Duration::from_secs(1))
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 500, 2))
        .build()
        .expect("a client");
    let _running = client.init().await.expect("connected");
    let key = key_of(1);
    client.set::<(), _, _>(&key, 1, None, None, false).await.expect("written");
    let cluster = blocking(move || {
        cluster.masters().next().expect("a master").kill().expect("killed");
        cluster
    })
    .await;
    // If this is no longer so, the clients of the other primaries need not be separate.
    until("calls to another master fail", async || {
        let calls = [client.get::<Value, _>(&key).await, client.get(&key).await, client.get(&key).await];
        let answered = calls.iter().any(Result::is_ok);
        if answered { Err(Error::new(ErrorKind::Unknown, "it responds")) } else { Ok(()) }
    })
    .await;
    drop(cluster);
}

/// Sends a command, which must succeed.
fn command(master: &PrivateRedis, text: &str) -> String {
    let answer = master.ask(text).expect("a response");
    assert!(!answer.starts_with('-'), "{text}: {answer}");
    answer
}

fn id_of(master: &PrivateRedis) -> String {
    let answer = command(master, "CLUSTER MYID");
    answer.lines().nth(1).expect("an id").trim().to_owned()
}

/// Begins to move the slot of a key from the first master to the second, with this key.
fn begin_to_move(cluster: &mut RedisCluster, key: &str) {
    let slot = ClusterRouting::hash_key(key.as_bytes());
    let masters: Vec<_> = cluster.masters().collect();
    command(masters[1], &format!("CLUSTER SETSLOT {slot} IMPORTING {}", id_of(masters[0])));
    command(masters[0], &format!("CLUSTER SETSLOT {slot} MIGRATING {}", id_of(masters[1])));
    command(masters[0], &format!("MIGRATE 127.0.0.1 {} {key} 0 1000", masters[1].port()));
}

/// The second master serves the slot of a key from now on.
fn end_to_move(cluster: &mut RedisCluster, key: &str) {
    let slot = ClusterRouting::hash_key(key.as_bytes());
    let masters: Vec<_> = cluster.masters().collect();
    let id = id_of(masters[1]);
    for nth in [1, 0, 2] {
        command(masters[nth], &format!("CLUSTER SETSLOT {slot} NODE {id}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_is_followed() {
    let mut cluster = blocking(|| RedisCluster::start().expect("a cluster")).await;
    let redis = connect(&cluster.url()).await.expect("a client");
    let key = key_of(0);
    let new = format!("{{{key}}}:new");
    set(&redis, &key).await.expect("written");
    let cluster = {
        let key = key.clone();
        blocking(move || {
            begin_to_move(&mut cluster, &key);
            cluster
        })
    };
    let mut cluster = cluster.await;
    // While it moves, each call is redirected for the moment only.
    for _ in 0..20 {
        assert_eq!(get(&redis, &key).await.expect("read"), Some(1));
        set(&redis, &new).await.expect("written");
    }
    let before = redis.primary_of(&key).expect("a client");
    let refused = before.get::<Value, _>(&key).await.expect_err("not there");
    assert!(refused.is_ask(), "{refused:?}");
    let cluster = {
        let key = key.clone();
        blocking(move || {
            end_to_move(&mut cluster, &key);
            cluster
        })
    };
    let cluster = cluster.await;
    assert_eq!(get(&redis, &key).await.expect("read"), Some(1));
    assert_eq!(get(&redis, &new).await.expect("read"), Some(1));
    let refused = before.get::<Value, _>(&key).await.expect_err("not there");
    assert!(refused.is_moved(), "{refused:?}");
    // Without a redirection, soon.
    until("the new primary", async || {
        redis.primary_of(&key)?.get::<Value, _>(&key).await?;
        Ok(())
    })
    .await;
    drop(cluster);
}

async fn next_message(inbox: &mut Receiver<SubscriberEvent>) -> Option<String> {
    let next = async {
        loop {
            if let SubscriberEvent::Message(message) = inbox.recv().await.expect("open") {
                return message.value.as_string().expect("a text");
            }
        }
    };
    timeout(Duration::from_millis(200), next).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_that_move_are_followed_and_those_of_other_primaries_are_not_delayed() {
    let mut cluster = blocking(|| RedisCluster::start().expect("a cluster")).await;
    let (channel, other) = (Arc::new(key_of(0)), key_of(2));
    let redis = connect(&cluster.url()).await.expect("a client");
    let publish = async |channel: &str| {
        let send = |client: Client| async move { client.spublish::<Value, _, _>(channel, channel).await };
        redis.run(channel, send).await.map(drop)
    };
    let subscriber = Subscriber::connect(&cluster.url()).await.expect("a subscriber");
    let mut inbox = subscriber.inbox();
    subscriber.subscribe(&channel).await.expect("subscribed");
    publish(&channel).await.expect("published");
    assert_eq!(next_message(&mut inbox).await.as_ref(), Some(&*channel));

    let moved = channel.clone();
    let mut cluster = blocking(move || {
        end_to_move(&mut cluster, &moved);
        cluster
    })
    .await;
    let anew = async { while !matches!(inbox.recv().await.expect("open"), SubscriberEvent::Anew) {} };
    timeout(BACK_WITHIN, anew).await.expect("the subscriber notices");
    subscriber.subscribe(&channel).await.expect("subscribed");
    publish(&channel).await.expect("published");
    assert_eq!(next_message(&mut inbox).await.as_ref(), Some(&*channel));

    let cluster = blocking(move || {
        cluster.masters().nth(1).expect("a master").kill().expect("killed");
        cluster
    })
    .await;
    let late = Subscriber::connect(&cluster.url()).await.expect("two masters suffice");
    let mut inboxes = [inbox, late.inbox()];
    for subscriber in [&subscriber, &late] {
        subscriber.subscribe(&other).await.expect("subscribed");
        subscriber.subscribe(&channel).await.expect_err("the killed master");
    }
    publish(&other).await.expect("published");
    for inbox in &mut inboxes {
        assert_eq!(next_message(inbox).await.as_ref(), Some(&other));
    }
}
