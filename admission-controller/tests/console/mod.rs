//! The data of the console: live updates, samples, reports.

use std::time::Duration;

use fairline_line::change::Turn;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

use super::test_controller::{ADMIN_TOKEN, TestController};

/// A console's end of the WebSocket, byte by byte.
struct Socket(BufReader<TcpStream>);

impl Socket {
    async fn open(controller: &TestController, path: &str, headers: &str) -> Result<Self, String> {
        let mut stream = TcpStream::connect(controller.address).await.expect("a connection");
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: here\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a response"));
        }
        let head = String::from_utf8(head).expect("text");
        if head.starts_with("HTTP/1.1 101") { Ok(Self(BufReader::new(stream))) } else { Err(head) }
    }

    /// The next message of a type that satisfies a condition.
    async fn receives(&mut self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let listening = async {
            loop {
                let frame = self.0.read_u16().await.expect("a frame");
                let length = match frame & 0x7f {
                    126 => u64::from(self.0.read_u16().await.expect("a length")),
                    127 => self.0.read_u64().await.expect("a length"),
                    short => u64::from(short),
                };
                let mut payload = vec![0; usize::try_from(length).expect("small")];
                self.0.read_exact(&mut payload).await.expect("a payload");
                if frame & 0x0f00 != 0x0100 {
                    continue;
                }
                let message: Value = serde_json::from_slice(&payload).expect("JSON");
                if message["type"] == json!(kind) && wanted(&message) {
                    return message;
                }
            }
        };
        timeout(Duration::from_secs(15), listening).await.unwrap_or_else(|_| panic!("no such {kind}"))
    }
}

#[tokio::test]
async fn a_console_receives_every_change_at_once() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 2 })).await;
    let mut all = Socket::open(&controller, "/api/admin/live", "").await.expect("a socket");
    let mut one = Socket::open(&controller, &format!("/api/admin/live?sale={sale}"), "origin: http://here\r\n")
        .await
        .expect("a socket");
    all.receives("sales", |message| message["sales"][0]["id"] == json!(sale)).await;
    one.receives("stage", |message| message["is_set"] == json!(false)).await;
    one.receives("sale", |message| message["sale"]["status"] == json!("open")).await;
    one.receives("samples", |_| true).await;
    controller.act(sale, "pause").await;
    one.receives("sale", |message| message["sale"]["status"] == json!("paused")).await;
    all.receives("sales", |message| message["sales"][0]["status"] == json!("paused")).await;

    let tickets = controller.join(sale, 3).await;
    one.receives("sale", |message| message["sale"]["waiting"] == json!(3) && message["sale"]["present"] == json!(3))
        .await;
    controller.line.absent(sale, Duration::from_secs(60), false, &[tickets[2].ordinal]).await.expect("noted");
    one.receives("sale", |message| message["sale"]["present"] == json!(2)).await;
    controller.act(sale, "resume").await;
    one.receives("samples", |message| {
        message["samples"].as_array().is_some_and(|samples| {
            samples.iter().any(|sample| {
                (&sample["joined"], &sample["admitted"], &sample["inside"], &sample["promised"])
                    == (&json!(3), &json!(2), &json!(2), &json!(2))
            })
        })
    })
    .await;
    controller
        .until("the sample to be in the picture", async || controller.show(sale).await["inside"] == json!(2))
        .await;
    let (_, kept) = controller.admin("GET", &format!("/api/admin/sales/{sale}/samples"), None).await;
    let kept = kept["samples"].as_array().expect("samples").clone();
    assert!(kept.windows(2).all(|pair| pair[0]["at"].as_str() < pair[1]["at"].as_str()), "{kept:?}");
    let last = kept.last().expect("one")["at"].as_str().expect("a moment");
    let (_, later) = controller.admin("GET", &format!("/api/admin/sales/{sale}/samples?after={last}"), None).await;
    let newer = |sample: &Value| sample["at"].as_str() > Some(last);
    assert!(later["samples"].as_array().is_some_and(|samples| samples.iter().all(newer)));
}

#[tokio::test]
async fn a_console_receives_heartbeats_while_nothing_changes() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 2 })).await;
    controller.act(sale, "close").await;
    let mut all = Socket::open(&controller, "/api/admin/live", "").await.expect("a socket");
    all.receives("sales", |message| message["sales"][0]["status"] == json!("closed")).await;
    all.receives("heartbeat", |_| true).await;
}

#[tokio::test]
async fn pages_of_other_sites_and_too_many_consoles_are_rejected() {
    let controller = TestController::open().await;
    let elsewhere = Socket::open(&controller, "/api/admin/live", "origin: https://evil.example\r\n").await;
    assert!(elsewhere.err().is_some_and(|head| head.starts_with("HTTP/1.1 403")));
    let nowhere = Socket::open(&controller, &format!("/api/admin/live?sale={}", uuid::Uuid::new_v4()), "").await;
    assert!(nowhere.err().is_some_and(|head| head.starts_with("HTTP/1.1 404")));
    let mut consoles = Vec::new();
    for _ in 0..50 {
        consoles.push(Socket::open(&controller, "/api/admin/live", "").await.expect("a socket"));
    }
    let one_too_many = Socket::open(&controller, "/api/admin/live", "").await;
    assert!(one_too_many.err().is_some_and(|head| head.starts_with("HTTP/1.1 503")));
    drop(consoles);
    controller
        .until("there to be room again", async || Socket::open(&controller, "/api/admin/live", "").await.is_ok())
        .await;
}

#[tokio::test]
async fn a_report_has_the_funnel_and_the_result_of_the_replay() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "slug": "reported", "total": 3 })).await;
    let path = format!("/api/admin/sales/{sale}/report");
    let (_, empty) = controller.admin("GET", &path, None).await;
    assert_eq!(
        (&empty["waits_s"], &empty["conversion"], &empty["funnel"]["joined"]),
        (&Value::Null, &Value::Null, &json!(0))
    );
    let tickets = controller.join(sale, 5).await;
    for ticket in &tickets[..3] {
        controller.admitted(ticket).await;
        controller.line.claim(ticket).await.expect("claimed");
    }
    controller.line.leave(&tickets[0]).await.expect("left");
    controller
        .until("the fourth to be let in", async || matches!(controller.turn(&tickets[3]).await, Turn::Now(_)))
        .await;
    controller.buy(&tickets[1]).await;
    let counted = async || controller.admin("GET", &path, None).await.1;
    controller
        .until("the samples and the record to have it", async || {
            let report = counted().await;
            report["waits_s"]["count"] == json!(4)
                && report["funnel"]["redeemed"] == json!(1)
                && report["funnel"]["left"] == json!(1)
        })
        .await;
    let report = counted().await;
    assert_eq!((&report["funnel"]["joined"], &report["funnel"]["admitted"]), (&json!(5), &json!(4)));
    let fairness = &report["fairness"];
    assert_eq!((&fairness["checked"], &fairness["out_of_order"]), (&json!(true), &json!(0)), "{fairness}");
    assert_eq!((&fairness["admissions"], &fairness["stock_in_order"]), (&json!(4), &json!(true)), "{fairness}");
    assert!(report["waits_s"]["max"].as_f64().is_some_and(|longest| (0.0..60.0).contains(&longest)));
    assert!(report["minutes"].as_array().is_some_and(|minutes| !minutes.is_empty()));
    let token = format!("authorization: Bearer {ADMIN_TOKEN}\r\n");
    let (_, head, table) = controller.exchange("GET", &format!("{path}.csv"), &token, "").await;
    assert!(head.contains("filename=\"reported-report.csv\"") && table.contains("admitted,4\r\n"), "{table}");

    // A change in the database removes a turn: the chain of the record shows it.
    sqlx::raw_sql("ALTER TABLE record_entries DISABLE TRIGGER ALL; UPDATE record_entries SET body = replace(body, '[1', '[2') WHERE seq > 1")
        .execute(&controller.pool)
        .await
        .expect("forged");
    let forged = counted().await;
    assert_eq!(forged["fairness"]["out_of_order"], json!(1), "{}", forged["fairness"]);
    assert!(
        forged["fairness"]["sentence"].as_str().is_some_and(|sentence| sentence.contains("The record shows a fault"))
    );
}

#[tokio::test]
async fn rehearsals_need_a_setup_and_fail_without_a_crowd() {
    let mut controller = TestController::open().await;
    let sale = controller.sale(json!({ "grace_s": 45 })).await;
    let rehearsals = format!("/api/admin/sales/{sale}/rehearsals");
    let (status, problem) = controller.admin("POST", &rehearsals, Some(&json!({ "shoppers": 10 }))).await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(controller.admin("POST", &rehearsals, Some(&json!({ "shoppers": 20_001 }))).await.0, 422);

    // A program that ends at once, without a report.
    let stage = ["--rehearsal-program", "/bin/false", "--rehearsal-url", "http://127.0.0.1:9"];
    let other = fairline_server::Shutdown::new();
    controller.address = controller.controller_with(&other, &stage).await;
    controller.until("the other controller", async || TcpStream::connect(controller.address).await.is_ok()).await;
    let (status, begun) = controller.admin("POST", &rehearsals, Some(&json!({ "shoppers": 10 }))).await;
    assert_eq!((status, &begun["state"]), (202, &json!("running")), "{begun}");
    let copy = begun["sale_id"].as_str().expect("a copy").to_owned();
    controller
        .until("it to have failed", async || {
            let (_, listed) = controller.admin("GET", &rehearsals, None).await;
            listed["rehearsals"][0]["state"] == json!("failed")
        })
        .await;
    let (_, shown) = controller.admin("GET", &format!("/api/admin/sales/{copy}"), None).await;
    assert_eq!((&shown["rehearsal_of"], &shown["status"]), (&json!(sale), &json!("closed")));
    assert_eq!((&shown["rehearsal"], &shown["grace_s"]), (&json!(true), &json!(45)));
    let events = events_of(&controller, &copy).await;
    let ends = (events.first().map(String::as_str), events.last().map(String::as_str));
    assert_eq!(ends, (Some("FlashSaleScheduled"), Some("FlashSaleEnded")), "{events:?}");

    // The audit log has the rehearsal, also under the copied sale.
    let (_, audit) = controller.admin("GET", &format!("/api/admin/audit?sale={sale}"), None).await;
    let entries = audit["entries"].as_array().expect("entries");
    let rehearse: Vec<_> = entries.iter().filter(|entry| entry["action"] == json!("rehearse")).collect();
    assert_eq!(rehearse.len(), 2, "of the sale, and of its copy: {entries:?}");
    let crowd = json!({ "rehearsal": copy, "shoppers": 10, "arrival_s": 10, "abandon": 0.2 });
    assert_eq!((&rehearse[0]["sale"], &rehearse[0]["after"]), (&json!(sale), &crowd));
    assert_eq!(
        (&rehearse[1]["sale"], &rehearse[1]["after"]["rehearsal_of"]),
        (&json!(copy), &json!(sale)),
        "{rehearse:?}"
    );
    other.trigger();
}

#[tokio::test]
async fn the_report_of_a_long_sale_is_fast() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "opens_at": "2999-01-01T00:00:00Z" })).await;
    // Half an hour with a sample every second. In each, as many join as are admitted a minute
    // later.
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "UPDATE sales SET opens_at = now() - interval '1 hour', status = 'closed' WHERE id = '{sale}'; \
         UPDATE lines SET highest_ordinal = 49999 WHERE id = '{sale}'; \
         INSERT INTO samples (sale_id, at, waiting, present, inside, total, promised, held, sold, joined, admitted, orders, highest) \
         SELECT '{sale}', now() - interval '1 hour' + n * interval '1 second', 0, 0, 0, 0, 0, 0, 0, n * 28, 0, 0, n * 28 \
         FROM generate_series(1, 1800) AS n; \
         INSERT INTO admissions (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, state, published_state, recorded_state, \
         issued_at, claim_by, expires_at) \
         SELECT gen_random_uuid(), '{sale}', '{sale}', 1, n, decode(repeat('00', 16), 'hex'), 1, '', 'lapsed', 'lapsed', 'lapsed', \
         now() - interval '59 minutes' + ceil(n / 28.0) * interval '1 second', now(), now() FROM generate_series(1, 50000) AS n"
    )))
    .execute(&controller.pool)
    .await
    .expect("a long sale");
    let (status, report) = controller.admin("GET", &format!("/api/admin/sales/{sale}/report"), None).await;
    assert_eq!(status, 200, "{report}");
    let waits = &report["waits_s"];
    assert_eq!(
        (&waits["count"], &waits["p50"], &waits["max"]),
        (&json!(50_000), &json!(60.0), &json!(60.0)),
        "{waits}"
    );
}

/// The events of a sale, in order.
async fn events_of(controller: &TestController, sale: &str) -> Vec<String> {
    let kinds = sqlx::query_scalar("SELECT kind FROM outbox WHERE sale_id = $1::uuid ORDER BY number").bind(sale);
    kinds.fetch_all(&controller.pool).await.expect("the outbox")
}

#[tokio::test]
async fn a_rehearsal_can_be_stopped_and_ends_with_its_controller() {
    let mut controller = TestController::open().await;
    let sale = controller.sale(json!({ "slug": "original" })).await;
    let rehearsals = format!("/api/admin/sales/{sale}/rehearsals");
    // A crowd that does nothing until it is stopped.
    let idle = tempfile::NamedTempFile::new().expect("a file").into_temp_path();
    std::fs::write(&idle, "#!/bin/sh\nexec sleep 600\n").expect("written");
    std::fs::set_permissions(&idle, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its permissions");
    let program = idle.to_str().expect("a path").to_owned();
    let stage = ["--rehearsal-program", &program, "--rehearsal-url", "http://127.0.0.1:9"];
    let other = fairline_server::Shutdown::new();
    controller.address = controller.controller_with(&other, &stage).await;
    controller.until("the other controller", async || TcpStream::connect(controller.address).await.is_ok()).await;
    let (_, begun) = controller.admin("POST", &rehearsals, Some(&json!({ "shoppers": 10 }))).await;
    let state = async || controller.admin("GET", &rehearsals, None).await.1["rehearsals"][0]["state"].clone();
    // The number of rehearsals is unlimited, and the number of metric labels must not be.
    controller
        .until("the copy to be counted", async || {
            let (_, metrics) = controller.request("GET", "/metrics", "", "").await;
            assert!(!metrics.contains("sale=\"rehearsal-"), "{metrics}");
            metrics.contains("admission_waiting_shoppers{sale=\"rehearsal\"")
        })
        .await;
    let stop = format!("/api/admin/rehearsals/{}", begun["id"].as_str().expect("an id"));
    assert_eq!(controller.admin("DELETE", &stop, None).await.0, 204);
    controller.until("it to have stopped", async || state().await == json!("stopped")).await;
    assert_eq!(controller.admin("DELETE", &stop, None).await.0, 404);
    let (_, audit) = controller.admin("GET", &format!("/api/admin/audit?sale={sale}"), None).await;
    let stopped = &audit["entries"][0];
    assert_eq!(
        (&stopped["action"], &stopped["who"], &stopped["subject"], &stopped["after"]["rehearsal"]),
        (&json!("stop_rehearsal"), &json!("admin token"), &json!("original"), &begun["sale_id"])
    );

    // The controller of a rehearsal has died: another controller ends the rehearsal, even if no new
    // one begins.
    let (dead, copy) = (uuid::Uuid::new_v4(), controller.sale(json!({})).await);
    sqlx::query(
        "INSERT INTO rehearsals (id, sale_id, original_id, shoppers, heartbeat_at) VALUES ($1, $2, $3, 5, now() - interval '1 minute')",
    )
    .bind(dead)
    .bind(copy.0)
    .bind(sale.0)
    .execute(&controller.pool)
    .await
    .expect("written");
    controller.until("it to have failed", async || state().await == json!("failed")).await;
    assert_eq!(controller.show(copy).await["status"], json!("closed"));
    assert_eq!(events_of(&controller, &copy.to_string()).await.last().map(String::as_str), Some("FlashSaleEnded"));
    other.trigger();
}
