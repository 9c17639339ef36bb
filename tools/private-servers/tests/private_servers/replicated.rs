//! Clusters, Sentinel and standbys, and the proxies in front of servers.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use fairline_private_servers::testing;

use crate::{ask, eventually, passable, servers_in, sql};

#[test]
fn a_cluster_of_three_shares_the_keys_and_serves_its_rest_while_one_is_down() {
    let mut cluster = testing::RedisCluster::start().expect("a cluster");
    let urls: Vec<String> = cluster.masters().map(|redis| redis.url()).collect();
    let ports: Vec<u16> = cluster.masters().map(|redis| redis.port()).collect();
    let [first, second, third] = ports[..] else { panic!("three: {ports:?}") };
    let url = format!("redis-cluster://127.0.0.1:{first}?node=127.0.0.1:{second}&node=127.0.0.1:{third}");
    assert_eq!(cluster.url(), url);
    // Keys of the first, the second and the last third of the slots.
    for (key, holder) in [("bar", 0), ("c", 1), ("foo", 2)] {
        for (nth, url) in urls.iter().enumerate() {
            let answer = ask(url, &format!("SET {key} 41"));
            assert_eq!(answer.starts_with("+OK"), nth == holder, "{key} at {nth}: {answer}");
        }
    }

    cluster.masters().nth(2).expect("a master").kill().expect("killed");
    eventually("the others notice", || ask(&urls[0], "CLUSTER INFO").contains("cluster_slots_ok:10922"));
    assert!(ask(&urls[0], "GET bar").contains("41"));
    cluster.masters().nth(2).expect("a master").restart().expect("restarted");
    cluster.settle().expect("complete again");
    assert!(ask(&urls[2], "GET foo").contains("41"));
}

#[test]
fn sentinel_swaps_primary_and_replica() {
    let mut servers = testing::RedisSentinel::start().expect("a Sentinel");
    assert!(servers.url().starts_with("redis-sentinel://127.0.0.1:"), "{}", servers.url());
    assert!(servers.url().ends_with("?sentinelServiceName=line"), "{}", servers.url());
    for term in 1..=2 {
        let before = servers.primary().url();
        // `WAIT` is sent with the write: what has not reached the replica, a failover loses.
        let answer = ask(&before, &format!("SET cursor {term}\r\nWAIT 1 5000"));
        assert!(answer.starts_with("+OK\r\n:1\r\n"), "{answer}");
        servers.fail_over().expect("the replica takes over");
        let after = servers.primary().url();
        assert_ne!(before, after);
        assert!(ask(&after, "GET cursor").contains(&format!("\r\n{term}\r\n")));
        assert!(ask(&after, "SET cursor 0").starts_with("+OK"));
        servers.restore().expect("the old primary follows");
        eventually("it forgets what it was", || ask(&before, "GET cursor").contains("\r\n0\r\n"));
    }
}

#[test]
fn a_standby_takes_over_with_all_that_was_acknowledged() {
    let mut pair = testing::PostgresPair::start().expect("a primary and a standby");
    let url = pair.primary().create_database("shop").expect("a database");
    sql(&url, "CREATE TABLE sold (n integer)");
    for term in 1..=2 {
        let url = pair.primary().database("shop");
        sql(&url, &format!("INSERT INTO sold VALUES ({term})"));
        pair.fail_over().expect("the standby takes over");
        let heir = pair.primary().database("shop");
        assert_ne!(url, heir);
        assert_eq!(sql(&heir, "SELECT count(*) FROM sold"), term.to_string());
        assert!(!pair.has_standby());
        pair.add_standby().expect("a new standby");
    }
}

#[test]
fn commits_wait_for_a_standby_whose_link_is_broken_until_it_is_back() {
    let mut pair = testing::PostgresPair::start().expect("a primary and a standby");
    let url = pair.primary().create_database("shop").expect("a database");
    sql(&url, "CREATE TABLE sold (n integer)");
    let link = pair.replication().expect("a standby has a link");
    link.set_new(None);
    link.reset();
    eventually("the standby is gone", || sql(&url, "SELECT count(*) FROM pg_stat_replication") == "0");
    thread::scope(|scope| {
        let commit = scope.spawn(|| sql(&url, "INSERT INTO sold VALUES (1)"));
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        eventually("the commit waits", || sql(&url, waits) == "1");
        link.heal();
        commit.join().expect("committed");
    });
    // Both ends give a silent connection up.
    link.freeze_established();
    sql(&url, "INSERT INTO sold VALUES (2)");
    assert_eq!(sql(&url, "SELECT count(*) FROM sold"), "2");
}

#[test]
fn clients_of_a_cluster_and_a_sentinel_can_use_proxies() {
    let cluster = testing::RedisCluster::start_behind_proxies().expect("a cluster");
    let doors: Vec<u16> = cluster.doors().map(|door| door.address().port()).collect();
    assert_eq!(doors.len(), 3);
    let first = format!("redis://127.0.0.1:{}", doors[0]);
    eventually("clients learn the doors", || {
        let slots = ask(&first, "CLUSTER SLOTS");
        doors.iter().all(|door| slots.contains(&format!(":{door}\r\n")))
    });

    let mut sentinel = testing::RedisSentinel::start_behind_proxies().expect("a Sentinel");
    let doors: Vec<u16> = sentinel.doors().map(|door| door.address().port()).collect();
    sentinel.fail_over_from_stopped().expect("the replica takes over");
    let after: Vec<u16> = sentinel.doors().map(|door| door.address().port()).collect();
    assert_eq!(after, [doors[1], doors[0]]);
}

/// What has passed through a link in one direction, up to its end.
fn passed(mut stream: &TcpStream) -> String {
    let mut read = String::new();
    let _ = stream.read_to_string(&mut read);
    read
}

#[test]
fn links_can_be_broken_for_one_process_alone() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let proxy = testing::Proxy::start(listener.local_addr().expect("an address")).expect("a proxy");
    let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat runs");
    let connect = || TcpStream::connect(proxy.address()).expect("a connection");
    let accept = || listener.accept().expect("a connection").0;
    let works = |mut near: &TcpStream, mut far: &TcpStream| {
        far.write_all(b"!").expect("sent");
        near.read_exact(&mut [0]).is_ok()
    };
    let (mut near, far) = (connect(), accept());
    eventually("the proxy has the link", || proxy.links() == 1);

    proxy.aim_at(Some(other.id()));
    proxy.set_new(None);
    proxy.reset();
    assert!(works(&near, &far), "it is not the other's");
    assert!(works(&connect(), &accept()), "it is not the other's");

    proxy.aim_at(Some(std::process::id()));
    proxy.reset();
    assert!(near.read(&mut [0]).is_err(), "it was reset");
    assert!(connect().read(&mut [0]).is_err(), "it was refused");
    other.kill().and_then(|()| other.wait()).expect("cat ends");
}

#[test]
fn a_link_can_be_broken_in_one_direction() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let proxy = testing::Proxy::start(listener.local_addr().expect("an address")).expect("a proxy");
    let link = || {
        let before = proxy.links();
        let near = TcpStream::connect(proxy.address()).expect("a connection");
        let (far, _) = listener.accept().expect("a connection");
        eventually("the proxy has the link", || proxy.links() > before);
        for stream in [&near, &far] {
            stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a time-out");
        }
        (near, far)
    };
    let write = |mut stream: &TcpStream, what: &str| stream.write_all(what.as_bytes()).expect("sent");

    let (near, far) = link();
    proxy.set_established(testing::LinkMode { there: testing::Forwarding::NoMore, back: testing::Forwarding::All });
    write(&far, "answer");
    assert_eq!((passed(&far), passed(&near)), (String::new(), "answer".to_owned()));

    let (near, far) = link();
    proxy.set_established(testing::LinkMode { there: testing::Forwarding::Later, back: testing::Forwarding::All });
    write(&near, "late");
    write(&far, "at once");
    assert_eq!((passed(&far), passed(&near)), (String::new(), "at once".to_owned()));
    proxy.set_established(testing::LinkMode::default());
    assert_eq!(passed(&far), "late");

    let (near, far) = link();
    proxy.set_established(testing::LinkMode { there: testing::Forwarding::All, back: testing::Forwarding::Never });
    write(&near, "question");
    write(&far, "lost");
    assert_eq!((passed(&far), passed(&near)), ("question".to_owned(), String::new()));
    proxy.set_established(testing::LinkMode::default());
    write(&far, "never well again");
    assert_eq!(passed(&near), "");

    // It arrives from where it was made.
    let near = TcpStream::connect(proxy.address()).expect("a connection");
    let (_, from) = listener.accept().expect("a connection");
    assert_eq!(near.local_addr().expect("an address").ip(), from.ip());
}

/// For the next test: another process, which owns one of everything until its input ends or it is
/// killed.
#[test]
#[ignore = "started by `clusters_and_sentinels_end_with_their_owner`, as a process of its own"]
fn own_a_cluster_and_a_sentinel() {
    let _owned = (testing::RedisCluster::start().expect("a cluster"), testing::RedisSentinel::start().expect("one"));
    println!("\n{READY}");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

const READY: &str = "ready";

#[test]
fn clusters_and_sentinels_end_with_their_owner() {
    for is_killed in [true, false] {
        let temporary = passable();
        let mut owner = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "replicated::own_a_cluster_and_a_sentinel", "--ignored", "--nocapture"])
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let output = BufReader::new(owner.stdout.as_mut().expect("its output")).lines();
        assert!(output.map_while(Result::ok).any(|line| line == READY), "it owns them");
        // More for a moment: a Redis that writes a file has a child do it.
        eventually("it owns six", || servers_in(temporary.path()) == 6);
        if is_killed {
            owner.kill().expect("killed");
            owner.wait().expect("ended");
            eventually("the servers end", || servers_in(temporary.path()) == 0);
        } else {
            drop(owner.stdin.take());
            assert!(owner.wait().expect("ended").success());
            assert_eq!(servers_in(temporary.path()), 0);
            assert_eq!(fs::read_dir(temporary.path()).expect("a folder").count(), 0, "nothing is left");
        }
    }
}
