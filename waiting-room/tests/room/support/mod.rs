//! A waiting room for one test, on its own port, with a line in a real Redis.

mod clients;

use std::{collections::VecDeque, net::SocketAddr, process::Stdio, time::Duration};

use axum::http::StatusCode;
use clap::Parser as _;
use fairline_line::{
    change::{LiveTurn, Revision, Turn},
    store::{Claim, LineError, LineStore, Publication, Upcoming, UpcomingQuery},
    ticket::{Ordinal, Ticket, TicketKey, cookie_name},
};
use fairline_private_servers::testing;
use fairline_record::{Hash, draw::Draw};
use fairline_sale::{SaleCard, SaleId, Status, VisitorId};
use fairline_server::Shutdown;
use serde_json::json;
use time::OffsetDateTime;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    runtime::{Handle, Runtime},
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::tungstenite::{Error, client::IntoClientRequest as _};
use waiting_room::{Settings, run};

pub use self::clients::{Answer, Events, Shopper, check};

/// How long a test waits for a condition.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The key of the tickets, in hexadecimal digits, which all nodes share.
const TICKET_KEY: &str = "abababababababababababababababababababababababababababababababab";

/// An account token as a shop signs it.
pub fn account_token(key: &str, account: &str) -> String {
    let claims = json!({ "sub": account, "exp": OffsetDateTime::now_utc().unix_timestamp() + 60 });
    let key = jsonwebtoken::EncodingKey::from_secret(key.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("signed")
}

/// The cookie of a genuine ticket.
pub fn ticket_cookie(sale: SaleId) -> String {
    let key: TicketKey = TICKET_KEY.parse().expect("a key");
    let ticket = Ticket { sale, epoch: 1, ordinal: 1, visitor: VisitorId([1; 16]) };
    format!("{}={}", cookie_name(sale), key.sign(&ticket))
}

pub fn live(ordinal: Ordinal) -> Turn {
    let at = OffsetDateTime::now_utc() + Duration::from_secs(60);
    Turn::Now(LiveTurn { token: format!("token.of.{ordinal}"), quantity: 1, claim_by: at, expires_at: at })
}

/// A waiting room and its line. `publish` and `admit` do what a controller does.
pub struct TestWaitingRoom {
    pub address: SocketAddr,
    pub store: LineStore,
    pub card: SaleCard,
    pub shutdown: Shutdown,
    redis_url: String,
    publication: i64,
    epoch: u32,
    pub recall_window: Duration,
    cursor: Ordinal,
    granted: Ordinal,
    drawn: u64,
}

impl TestWaitingRoom {
    pub async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    pub async fn open_with(set: impl FnOnce(&mut Settings)) -> Self {
        Self::open_at(&testing::redis_url(), set).await
    }

    pub async fn open_at(redis_url: &str, set: impl FnOnce(&mut Settings)) -> Self {
        let store = LineStore::connect(redis_url).await.expect("a Redis");
        let mut room = Self::of_a_sale(store, redis_url).await;
        room.start(set).await;
        room
    }

    /// Another sale at the same node.
    pub async fn another_sale(&self) -> Self {
        let mut other = Self::of_a_sale(self.store.clone(), &self.redis_url).await;
        other.address = self.address;
        other.until_known().await;
        other
    }

    async fn of_a_sale(store: LineStore, redis_url: &str) -> Self {
        let id = SaleId(uuid::Uuid::new_v4());
        let card = SaleCard {
            id,
            slug: format!("sale-{}", id.0.simple()),
            name: "A sale".to_owned(),
            description: "Something <b>bold</b>".to_owned(),
            ..SaleCard::example()
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut room = Self {
            address,
            store,
            card,
            shutdown: Shutdown::new(),
            redis_url: redis_url.to_owned(),
            publication: 0,
            epoch: 0,
            recall_window: Duration::from_secs(600),
            cursor: 0,
            granted: 0,
            drawn: 0,
        };
        room.begin(&[]).await;
        room
    }

    async fn start(&mut self, set: impl FnOnce(&mut Settings)) {
        self.start_on(&Handle::current(), set).await;
    }

    async fn start_on(&mut self, runtime: &Handle, set: impl FnOnce(&mut Settings)) {
        let mut settings = Settings::parse_from([
            "waiting-room",
            "--redis-url",
            &self.redis_url,
            "--ticket-key",
            TICKET_KEY,
            "--secure-cookies",
            "false",
        ]);
        set(&mut settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        self.address = listener.local_addr().expect("an address");
        let running = run(settings, listener, self.shutdown.clone());
        runtime.spawn(async move { running.await.expect("the waiting room starts") });
        self.until_known().await;
    }

    async fn until_known(&self) {
        let status = format!("/api/flash-sales/{}/status", self.card.id);
        self.until("the waiting room to know the sale", async || self.get(&status, &[]).await.status == StatusCode::OK)
            .await;
    }

    /// Publishes `count` other sales with this status, which open `opens_in_days` days from now.
    /// Returns the last one.
    pub async fn other_sales(&self, count: u32, status: Status, opens_in_days: i64) -> Self {
        let mut other = self.same_line();
        for _ in 0..count {
            (other.publication, other.epoch, other.cursor, other.granted) = (0, 0, 0, 0);
            other.card.id = SaleId(uuid::Uuid::new_v4());
            other.card.slug = format!("other-{}", other.card.id.0.simple());
            other.card.status = status;
            other.card.opens_at = OffsetDateTime::now_utc() + time::Duration::days(opens_in_days);
            other.begin(&[]).await;
        }
        other
    }

    /// Calls of functions so far, of all clients of this test's Redis.
    pub async fn calls(&self) -> u64 {
        self.counted("commandstats", "cmdstat_fcall:calls=").await
    }

    /// Errors with this code so far, of all clients of this test's Redis.
    pub async fn errors(&self, code: &str) -> u64 {
        self.counted("errorstats", &format!("errorstat_{code}:count=")).await
    }

    async fn counted(&self, section: &str, field: &str) -> u64 {
        let address = self.redis_url.trim_start_matches("redis://").trim_end_matches('/');
        let mut stream = BufReader::new(TcpStream::connect(address).await.expect("a Redis"));
        stream.write_all(format!("INFO {section}\r\n").as_bytes()).await.expect("sent");
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("a length");
        let mut answer = vec![0; line[1..].trim().parse().expect("a number")];
        stream.read_exact(&mut answer).await.expect("a response");
        let answer = String::from_utf8(answer).expect("text");
        let count = answer.lines().find_map(|line| line.strip_prefix(field)?.split(',').next()?.parse().ok());
        count.unwrap_or(0)
    }

    /// A second node on the same line, which is killed by dropping its runtime.
    pub async fn node_to_die(&self, set: impl FnOnce(&mut Settings)) -> (Self, Runtime) {
        let runtime = Runtime::new().expect("a runtime");
        let mut node = self.same_line();
        node.start_on(runtime.handle(), set).await;
        (node, runtime)
    }

    /// A second node on the same line.
    pub async fn another_node(&self) -> Self {
        self.another_node_with(|_| {}).await
    }

    pub async fn another_node_with(&self, set: impl FnOnce(&mut Settings)) -> Self {
        let mut node = self.same_line();
        node.start(set).await;
        node
    }

    /// A second node on the same line, as a program whose clock is `ahead_s` seconds ahead.
    pub async fn node_with_clock(&self, ahead_s: i64) -> (Self, Child) {
        let mut node = self.same_line();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        node.address = listener.local_addr().expect("an address");
        drop(listener);
        let program = Command::new(env!("CARGO_BIN_EXE_waiting-room"))
            // Its wrapper would stay between the test and the program.
            .env("LD_PRELOAD", testing::libfaketime())
            .env("FAKETIME", format!("{ahead_s:+}s"))
            // Timeouts and intervals stay as they are.
            .env("DONT_FAKE_MONOTONIC", "1")
            .env("FAIRLINE_LISTEN", node.address.to_string())
            .env("FAIRLINE_REDIS_URL", &node.redis_url)
            .env("FAIRLINE_TICKET_KEY", TICKET_KEY)
            .env("FAIRLINE_SECURE_COOKIES", "false")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the waiting room starts");
        node.until("it to listen", async || TcpStream::connect(node.address).await.is_ok()).await;
        node.until_known().await;
        (node, program)
    }

    fn same_line(&self) -> Self {
        Self {
            address: self.address,
            store: self.store.clone(),
            card: self.card.clone(),
            shutdown: Shutdown::new(),
            redis_url: self.redis_url.clone(),
            publication: self.publication,
            epoch: self.epoch,
            recall_window: self.recall_window,
            cursor: self.cursor,
            granted: self.granted,
            drawn: self.drawn,
        }
    }

    /// Waits for a condition; fails with its name.
    pub async fn until(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let started = Instant::now();
        while !condition().await {
            assert!(started.elapsed() < PATIENCE, "timed out waiting for {what}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Begins a new epoch, as the controller does when Redis does not have the line.
    pub async fn begin(&mut self, turns: &[(Ordinal, Turn)]) {
        self.epoch += 1;
        (self.cursor, self.granted) = (self.granted, self.granted + 100_000);
        self.publish_as(true, turns).await;
    }

    /// Restores the database to before any admission: `fairline restore` deletes the line from
    /// Redis, and the controller begins a much later epoch.
    pub async fn restore(&mut self) {
        self.store.delete(self.card.id).await.expect("deleted");
        self.epoch += 1000;
        self.begin(&[]).await;
    }

    /// Begins a new epoch if Redis does not have the line, once Redis responds.
    pub async fn begin_if_lost(&mut self) {
        let lost = async || match self.store.revision(self.card.id).await {
            Ok(_) => Some(false),
            Err(LineError::NotPublished) => Some(true),
            Err(_) => None,
        };
        self.until("Redis to respond", async || lost().await.is_some()).await;
        if lost().await == Some(true) {
            self.begin(&[]).await;
        }
    }

    pub async fn publish(&mut self, turns: &[(Ordinal, Turn)]) {
        self.publish_as(false, turns).await;
    }

    async fn publish_as(&mut self, begins: bool, turns: &[(Ordinal, Turn)]) {
        self.publication += 1;
        let home = self.store.home(self.card.id).await.expect("read").run_id;
        let publication = Publication {
            number: self.publication,
            epoch: self.epoch,
            begins: begins.then_some(home.as_str()),
            above: self.cursor,
            cursor: self.cursor,
            drawn: self.drawn,
            recorded: Revision::default(),
            granted: self.granted,
            recall_window: self.recall_window,
            card: &self.card,
            handled_claims: &[],
            turns,
        };
        let publish = async || self.store.publish(&publication).await;
        match publish().await {
            // The client may be reconnecting. A call that was done after all is late when repeated.
            Err(LineError::Unavailable(_)) => {
                self.until("the publication", async || matches!(publish().await, Ok(()) | Err(LineError::Late))).await;
            }
            published => published.expect("published"),
        }
    }

    /// Makes the draw of a sale that begins with one.
    pub async fn make_draw(&mut self) -> Draw {
        let pool = self.store.close_pool(self.card.id).await.expect("closed");
        let draw = Draw::new(Hash([1; 32]), pool).expect("small");
        self.store.store_draw(self.card.id, self.epoch, &draw).await.expect("stored");
        (self.drawn, self.card.status) = (pool, Status::Open);
        self.card.draw.as_mut().expect("a draw").pool = Some(pool);
        self.publish(&[]).await;
        draw
    }

    /// Admits the next `count`.
    pub async fn admit(&mut self, count: u64) {
        let upcoming = self.upcoming(count).await.expect("read");
        assert_eq!(upcoming.tickets.len() as u64, count, "enough tickets wait");
        self.cursor = upcoming.cursor;
        let turns: Vec<_> = upcoming.tickets.iter().map(|&(ordinal, _)| (ordinal, live(ordinal))).collect();
        self.publish(&turns).await;
    }

    /// Up to `wanted` tickets that come next.
    pub async fn upcoming(&self, wanted: u64) -> Result<Upcoming, LineError> {
        let query = UpcomingQuery { cursor: self.cursor, wanted, reach: 1000, record: None };
        self.store.upcoming(self.card.id, &query).await
    }

    /// The ordinals that would be admitted next.
    pub async fn next(&self) -> Vec<Ordinal> {
        let upcoming = self.upcoming(100).await;
        upcoming.map(|upcoming| upcoming.tickets.into_iter().map(|ticket| ticket.0).collect()).unwrap_or_default()
    }

    pub async fn wait_for_claim(&self, ordinal: Ordinal) {
        self.until("the claim", async || {
            let upcoming = self.upcoming(0).await.expect("read");
            upcoming.claims.contains(&(ordinal, Claim::Claimed))
        })
        .await;
    }

    /// Empties this test's own Redis.
    pub async fn empty_redis(&self) {
        self.redis("FLUSHALL").await;
        self.redis("FUNCTION FLUSH").await;
    }

    /// Sends a command to this test's own Redis, which answers OK.
    pub async fn redis(&self, command: &str) {
        let address = self.redis_url.trim_start_matches("redis://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).await.expect("a Redis");
        stream.write_all(format!("{command}\r\n").as_bytes()).await.expect("sent");
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await.expect("answered");
        assert_eq!(&answer, b"+OK\r\n");
    }

    /// Waits until `count` grace periods have run out, and sweeps them as the controller does.
    pub async fn depart(&self, mut count: u64) {
        self.until("departures", async || {
            count -= self.store.sweep(self.card.id, count).await.expect("swept");
            count == 0
        })
        .await;
    }

    pub async fn join(&self) -> Shopper {
        self.connect("", &[]).await.expect("a place")
    }

    pub async fn resume(&self, cookie: &str) -> Shopper {
        self.connect("?join=false", &[("cookie", cookie)]).await.expect("the ticket is good")
    }

    pub async fn connect(&self, query: &str, headers: &[(&str, &str)]) -> Result<Shopper, Answer> {
        let url = format!("ws://{}/api/flash-sales/{}/line{query}", self.address, self.card.id);
        let mut request = url.into_client_request().expect("an address");
        for (name, value) in headers {
            let name: axum::http::HeaderName = name.parse().expect("a header");
            request.headers_mut().insert(name, value.parse().expect("a header"));
        }
        let connected = timeout(PATIENCE, tokio_tungstenite::connect_async(request)).await.expect("a response in time");
        match connected {
            Ok((socket, response)) => {
                let answer = Answer::new(response.status(), response.headers().clone(), Vec::new());
                let cookie = answer.cookie().unwrap_or_default();
                Ok(Shopper { socket, cookie, received: VecDeque::new() })
            }
            Err(Error::Http(response)) => {
                let (parts, body) = response.into_parts();
                Err(Answer::new(parts.status, parts.headers, body.unwrap_or_default()))
            }
            Err(error) => panic!("no response: {error}"),
        }
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.request("GET", path, headers).await
    }

    pub async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut reader = self.send_request(method, path, headers, "close").await;
        let mut bytes = Vec::new();
        timeout(PATIENCE, reader.read_to_end(&mut bytes)).await.expect("a response in time").expect("a response");
        Answer::read(&bytes)
    }

    /// Opens the line as Server-Sent Events.
    pub async fn events(&self, cookie: &str) -> Events {
        let headers = [("accept", "text/event-stream"), ("cookie", cookie)];
        let reader = self.send_request("GET", "/api/flash-sales/{id}/line", &headers, "keep-alive").await;
        Events { lines: BufReader::new(reader).lines() }
    }

    async fn send_request(&self, method: &str, path: &str, headers: &[(&str, &str)], connection: &str) -> TcpStream {
        let path = path.replace("{id}", &self.card.id.to_string()).replace("{slug}", &self.card.slug);
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: {connection}\r\n", self.address);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("content-length: 0\r\n\r\n");
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        stream
    }
}

impl Drop for TestWaitingRoom {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}
