//! Requests with foreign cookies, through proxies, and from shared addresses.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
};

use axum::http::StatusCode;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use waiting_room::Settings;

use crate::support::{Answer, TestWaitingRoom};

const LINE: &str = "/api/flash-sales/{id}/line";

fn ordinal(answer: &Answer) -> u64 {
    let place = answer.body["messages"].as_array().and_then(|messages| messages.last()).unwrap_or(&answer.body);
    place["ordinal"].as_u64().unwrap_or_else(|| panic!("no place: {answer:?}"))
}

#[tokio::test]
async fn a_foreign_cookie_hides_no_ticket() {
    let room = TestWaitingRoom::open().await;
    room.get(LINE, &[]).await;
    let joined = room.get(LINE, &[]).await;
    let (own, ticket) = (ordinal(&joined), joined.cookie().expect("a ticket"));
    let elsewhere = room.another_sale().await.get(LINE, &[]).await.cookie().expect("a ticket");
    let forged = format!("{}AAAA", &ticket[..ticket.len() - 4]);
    for lines in [
        vec![format!("promo=\u{e9}; {ticket}")],
        vec!["promo=\u{e9}".to_owned(), ticket.clone(), "theme=dark".to_owned()],
        vec![format!("{forged}; {ticket}")],
        vec![format!("{ticket}; {forged}")],
        vec![format!("{elsewhere}; {ticket};; =")],
    ] {
        let cookies: Vec<_> = lines.iter().map(|line| ("cookie", line.as_str())).collect();
        assert_eq!(ordinal(&room.get(LINE, &cookies).await), own, "{lines:?}");
        let page = room.get("/sales/{slug}", &cookies).await;
        assert!(page.text.contains("data-joined=\"true\""), "{lines:?}");
        let line = room.get("/sales/{slug}/line", &cookies).await;
        assert!(line.text.contains(&format!("<b>{own}</b>")), "{lines:?}: {}", line.text);
        let claimed = room.request("POST", &format!("{LINE}/claim"), &cookies).await;
        assert_eq!(claimed.status, StatusCode::NO_CONTENT, "{lines:?}");
    }
}

/// The responses to joins from these addresses, through a trusted proxy that writes them into this
/// header.
async fn join_from(
    settings: impl FnOnce(&mut Settings),
    header: &str,
    clients: impl Iterator<Item = String>,
) -> Vec<StatusCode> {
    let room = TestWaitingRoom::open_with(|all| {
        all.proxy.trusted_proxies = "127.0.0.1".parse().expect("an address");
        (all.join_rate_per_s, all.join_burst) = (0.01, 2);
        settings(all);
    })
    .await;
    let mut answers = Vec::new();
    for client in clients {
        answers.push(room.get(LINE, &[(header, &client)]).await.status);
    }
    answers
}

#[tokio::test]
async fn client_addresses_are_distinguished_in_every_notation_of_proxies() {
    let forwarded =
        |settings: &mut Settings| settings.proxy.forwarded_header = fairline_server::ForwardedHeader::Forwarded;
    let addresses = |n: u16| format!("198.51.100.{n}:{}", 40_000 + n);
    let all_in = |answers: Vec<StatusCode>| answers.iter().all(|status| *status == StatusCode::OK);
    assert!(all_in(join_from(|_| {}, "x-forwarded-for", (1..=120).map(addresses)).await));
    let of_rfc = (1..=120).map(|n| format!("by=_lb;FOR=\"[2001:db8:0:{n:x}::1]:{n}\";proto=https"));
    assert!(all_in(join_from(forwarded, "forwarded", of_rfc).await));

    // The port does not matter, and a header that the proxy does not set is ignored.
    for (header, written) in [
        ("x-forwarded-for", ["198.51.100.1:1", "::ffff:198.51.100.1", "198.51.100.1"]),
        ("forwarded", ["for=198.51.100.1", "for=198.51.100.2", "for=198.51.100.3"]),
        ("x-forwarded-for", ["unknown", "_hidden", "nonsense"]),
    ] {
        let answers = join_from(|_| {}, header, written.into_iter().map(str::to_owned)).await;
        let expected = [StatusCode::OK, StatusCode::OK, StatusCode::TOO_MANY_REQUESTS];
        assert_eq!(answers, expected, "{header}: {written:?}");
    }
}

#[tokio::test]
async fn shoppers_who_share_an_address_wait_no_longer_than_others() {
    let room = TestWaitingRoom::open_with(|settings| {
        settings.proxy.trusted_proxies = "127.0.0.1".parse().expect("an address")
    })
    .await;
    let (mut shared, mut others) = (Vec::new(), Vec::new());
    for n in 0..150 {
        let school = room.get(LINE, &[("x-forwarded-for", "203.0.113.7")]).await;
        assert_eq!(school.status, StatusCode::OK, "person {n} behind one address");
        shared.push(ordinal(&school));
        others.push(ordinal(&room.get(LINE, &[("x-forwarded-for", &format!("198.51.100.{n}"))]).await));
    }
    let (shared, others) = (shared[75], others[75]);
    assert!(shared.abs_diff(others) * 10 <= others, "medians: {shared} behind one address, {others} elsewhere");
}

/// nginx in front of a waiting room, with `proxy_pass` and nothing about the host. Dropped, it is
/// killed.
struct Nginx {
    address: SocketAddr,
    _nginx: Child,
    _folder: TempDir,
}

impl Nginx {
    async fn reserve() -> (SocketAddr, TempDir) {
        // nginx can't report a free port. No other process uses this address.
        let address = TcpListener::bind("127.9.9.8:0").and_then(|free| free.local_addr()).expect("a port");
        (address, TempDir::new().expect("a folder"))
    }

    async fn start((address, folder): (SocketAddr, TempDir), room: &TestWaitingRoom) -> Self {
        let conf = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n\
             client_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\nuwsgi_temp_path uwsgi;\n\
             scgi_temp_path scgi;\nserver {{\nlisten {address};\nlocation / {{\nproxy_http_version 1.1;\n\
             proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection $http_connection;\n\
             proxy_pass http://{};\n}}\n}}\n}}\n",
            room.address
        );
        std::fs::write(folder.path().join("nginx.conf"), conf).expect("written");
        let nginx = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"].into_iter();
        let nginx = nginx.into_iter().find(|path| Path::new(path).exists());
        let nginx = Command::new(nginx.expect("nginx is installed: scripts/setup.sh test"))
            .args(["-e", "stderr", "-c", "nginx.conf", "-p"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("nginx starts");
        let listens = async || tokio::net::TcpStream::connect(address).await.is_ok();
        room.until("nginx to listen", listens).await;
        Self { address, _nginx: nginx, _folder: folder }
    }
}

#[tokio::test]
async fn behind_a_proxy_that_rewrites_the_host_the_public_origin_counts() {
    let reserved = Nginx::reserve().await;
    let page = format!("http://{}", reserved.0);
    let mut room = TestWaitingRoom::open_with(|settings| settings.proxy.public_origins = vec![page.clone()]).await;
    let proxy = Nginx::start(reserved, &room).await;
    let direct = std::mem::replace(&mut room.address, proxy.address);
    let mut shopper = room.connect("", &[("origin", &page)]).await.expect("a socket of our own page");
    room.admit(1).await;
    shopper.receive("turn").await;
    let claim = format!("{LINE}/claim");
    let claimed = room.request("POST", &claim, &[("origin", &page), ("cookie", &shopper.cookie)]).await;
    assert_eq!(claimed.status, StatusCode::NO_CONTENT);
    room.wait_for_claim(1).await;
    // The host name that the proxy sends is no allowed origin.
    for foreign in ["https://evil.example".to_owned(), format!("http://{direct}")] {
        let rejected = room.request("POST", &claim, &[("origin", &foreign), ("cookie", &shopper.cookie)]).await;
        assert_eq!((rejected.status, rejected.slug()), (StatusCode::FORBIDDEN, "origin-not-allowed"), "{foreign}");
    }
}

#[tokio::test]
async fn a_page_behind_a_proxy_without_a_public_origin_is_rejected_at_once() {
    let mut room = TestWaitingRoom::open().await;
    let proxy = Nginx::start(Nginx::reserve().await, &room).await;
    room.address = proxy.address;
    let page = format!("http://{}", proxy.address);
    let socket = room.connect("", &[("origin", &page)]).await.expect_err("not known");
    // Browsers send no `Origin` with these; the page sends its own header.
    let poll = room.get(LINE, &[("fairline-origin", &page)]).await;
    let events = room.get(LINE, &[("fairline-origin", &page), ("accept", "text/event-stream")]).await;
    for rejected in [socket, poll, events] {
        assert_eq!((rejected.status, rejected.slug()), (StatusCode::FORBIDDEN, "origin-not-allowed"));
        let detail = rejected.body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("FAIRLINE_PUBLIC_ORIGINS"), "{detail}");
    }
    assert_eq!(room.next().await, [0; 0], "no place was given");
}

#[tokio::test]
async fn without_javascript_a_browser_without_cookies_is_rejected_before_it_joins() {
    let room = TestWaitingRoom::open().await;
    let sale = room.get("/sales/{slug}", &[]).await;
    let probe = sale.cookie().expect("the probe cookie");
    let rejected = room.request("POST", "/sales/{slug}/line", &[]).await;
    assert_eq!(rejected.status, StatusCode::FORBIDDEN);
    assert!(
        rejected.text.contains("Cookies are blocked") && rejected.text.contains("<form method=\"post\">"),
        "{}",
        rejected.text
    );
    assert_eq!(rejected.cookie(), Some(probe.clone()), "and may try again");
    assert_eq!(room.next().await, [0; 0], "no place was given");
    let joined = room.request("POST", "/sales/{slug}/line", &[("cookie", &probe)]).await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER);
    let ticket = joined.cookie().expect("a ticket");
    assert_eq!(room.request("POST", "/sales/{slug}/line", &[("cookie", &ticket)]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(room.get("/sales/{slug}", &[("cookie", &probe)]).await.cookie(), None, "it is set once");
}

#[tokio::test]
async fn a_tab_that_disconnects_at_its_turn_keeps_it_and_is_recalled_after_it() {
    let mut room = TestWaitingRoom::open().await;
    let mut shopper = room.join().await;
    room.admit(1).await;
    let turn = shopper.receive("turn").await;
    // The tab is hidden: it claims nothing, and disconnects.
    let cookie = shopper.cookie.clone();
    drop(shopper);
    let mut seen_in_time = room.resume(&cookie).await;
    assert_eq!(seen_in_time.receive("turn").await["token"], turn["token"]);
    drop(seen_in_time);
    room.publish(&[(1, fairline_line::change::Turn::Lapsed)]).await;
    room.join().await;
    // Seen again, it is served next, before later shoppers.
    let mut seen_later = room.resume(&cookie).await;
    assert_eq!(seen_later.receive("place").await["place"], json!(0));
    room.until("the line to serve it next", async || room.next().await.first() == Some(&1)).await;
    room.admit(1).await;
    seen_later.receive("turn").await;
    seen_later.send(json!({ "type": "claim" })).await;
    room.wait_for_claim(1).await;
}
