//! Lines in a cluster, one of whose masters is down.

use fairline_line::store::{ChangeReader, LineEvent, LineStore};
use fairline_private_servers::{PrivateRedis, testing::RedisCluster};
use fairline_sale::SaleId;
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};

use crate::support::{Line, PATIENCE, joining};

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(act).await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_killed_master_fail_alone() {
    let mut cluster = blocking(|| RedisCluster::start().expect("a cluster")).await;
    let (mut lines, mut homes) = (Vec::new(), Vec::new());
    // Enough that every master has one, almost certainly.
    for _ in 0..16 {
        let mut line = Line::unpublished_at(&cluster.url()).await;
        line.begin().await;
        homes.push(line.home().await);
        lines.push(line);
    }
    let (mut cluster, dead_home) = blocking(move || {
        let master = cluster.masters().next().expect("a master");
        let home = run_id(master);
        master.kill().expect("killed");
        (cluster, home)
    })
    .await;
    let (dead, mut alive): (Vec<_>, Vec<_>) = lines.into_iter().zip(homes).partition(|(_, home)| *home == dead_home);
    assert!(!dead.is_empty() && !alive.is_empty(), "{} and {} lines", dead.len(), alive.len());

    // A process that starts now, and a controller that publishes.
    let store = LineStore::connect(&cluster.url()).await.expect("two masters suffice");
    let reader = ChangeReader::connect(&cluster.url()).await.expect("two masters suffice");
    store.ping().await.expect("fit");
    let mut inbox = reader.inbox();
    for (line, _) in &mut alive {
        reader.follow(line.card.id).await.expect("followed");
        line.join(3).await;
        line.publish(&[], &[]).await;
        let of_line =
            async { while !matches!(inbox.next().await, LineEvent::Change(sale, ..) if sale == line.card.id) {} };
        timeout(PATIENCE, of_line).await.expect("a change");
        store.home(line.card.id).await.expect("read");
    }
    for (line, _) in &dead {
        line.store.join(line.card.id, [9; 8], &[joining(9)]).await.expect_err("the killed master");
        store.home(line.card.id).await.expect_err("the killed master");
    }
    let ids = |lines: &[(Line, String)]| lines.iter().map(|(line, _)| line.card.id).collect::<Vec<SaleId>>();
    let listed = store.sales(1000).await.expect("listed");
    assert!(!listed.is_complete && ids(&alive).iter().all(|sale| listed.listed.contains(sale)), "{listed:?}");
    assert!(ids(&dead).iter().all(|sale| !listed.listed.contains(sale)), "{listed:?}");

    // The process that started meanwhile uses the master that is back.
    let cluster = blocking(move || {
        cluster.masters().next().expect("a master").restart().expect("restarted");
        cluster.settle().expect("complete again");
        cluster
    })
    .await;
    let back = Instant::now();
    loop {
        let listed = store.sales(1000).await.expect("listed");
        let homes = store.home(dead[0].0.card.id).await;
        if listed.is_complete && listed.listed.len() == dead.len() + alive.len() && homes.is_ok() {
            break;
        }
        assert!(back.elapsed() < PATIENCE, "{listed:?}, {homes:?}");
        sleep(std::time::Duration::from_millis(50)).await;
    }
    drop(cluster);
}

fn run_id(master: &PrivateRedis) -> String {
    let info = master.ask("INFO server").expect("answered");
    info.lines().find_map(|line| line.strip_prefix("run_id:")).expect("an id").trim().to_owned()
}
