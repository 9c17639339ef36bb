//! A waiting room for one test: a real one, on a port of its own, with a line in a real Redis.

use std::{collections::VecDeque, net::SocketAddr, sync::LazyLock, time::Duration};

use axum::http::StatusCode;
use clap::Parser as _;
use fairline_line::{
    change::{LiveTurn, Revision, Turn},
    store::{Claim, LineError, LineStore, Publication},
    ticket::Ordinal,
};
use fairline_private_servers::testing;
use fairline_record::{Hash, draw::Draw};
use fairline_sale::{SaleCard, SaleId, Status};
use fairline_server::Shutdown;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::{TcpListener, TcpStream},
    runtime::{Handle, Runtime},
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest as _, protocol::frame::coding::CloseCode},
};
use waiting_room::{Settings, run};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(60);

static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema = include_str!("../../../docs/line-protocol.schema.json");
    let schema = serde_json::from_str(schema).expect("the schema is JSON");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("the schema is a schema")
});

/// Holds a message against the schema of the protocol.
pub fn check(message: &Value) {
    let errors: Vec<_> = SCHEMA.iter_errors(message).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{message}: {errors:?}");
}

/// A token as a shop would sign it for one of its shoppers.
pub fn account_token(key: &str, account: &str) -> String {
    let claims = json!({ "sub": account, "exp": OffsetDateTime::now_utc().unix_timestamp() + 60 });
    let key = jsonwebtoken::EncodingKey::from_secret(key.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("signed")
}

pub fn live(ordinal: Ordinal) -> Turn {
    let at = OffsetDateTime::now_utc() + Duration::from_secs(60);
    Turn::Now(LiveTurn { token: format!("token.of.{ordinal}"), quantity: 1, claim_by: at, expires_at: at })
}

/// A waiting room and its line. `publish` and `admit` play the controller.
pub struct House {
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

impl House {
    pub async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    pub async fn open_with(set: impl FnOnce(&mut Settings)) -> Self {
        Self::open_at(&testing::redis_url(), set).await
    }

    pub async fn open_at(redis_url: &str, set: impl FnOnce(&mut Settings)) -> Self {
        let store = LineStore::connect(redis_url).await.expect("a Redis");
        let mut house = Self::of_a_sale(store, redis_url).await;
        house.start(set).await;
        house
    }

    /// Another sale in the same house.
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
        let mut house = Self {
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
        house.begin(&[]).await;
        house
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
            &"ab".repeat(32),
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

    /// Publishes so many sales more that are closed.
    pub async fn closed_sales(&self, count: u32) {
        for _ in 0..count {
            let mut other = self.same_line();
            (other.publication, other.epoch, other.cursor, other.granted) = (0, 0, 0, 0);
            other.card.id = SaleId(uuid::Uuid::new_v4());
            other.card.slug = format!("old-{}", other.card.id.0.simple());
            other.card.status = Status::Closed;
            other.begin(&[]).await;
        }
    }

    /// How often functions of the line were called so far, by all who share this test's Redis.
    pub async fn calls(&self) -> u64 {
        let address = self.redis_url.trim_start_matches("redis://").trim_end_matches('/');
        let mut stream = BufReader::new(TcpStream::connect(address).await.expect("a Redis"));
        stream.write_all(b"INFO commandstats\r\n").await.expect("sent");
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("a length");
        let mut answer = vec![0; line[1..].trim().parse().expect("a number")];
        stream.read_exact(&mut answer).await.expect("an answer");
        let answer = String::from_utf8(answer).expect("text");
        let calls =
            answer.lines().find_map(|line| line.strip_prefix("cmdstat_fcall:calls=")?.split(',').next()?.parse().ok());
        calls.unwrap_or(0)
    }

    /// A second node on the same line, that can die without a word: its runtime is dropped.
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

    /// Waits for a condition, and fails with what was waited for.
    pub async fn until(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let started = Instant::now();
        while !condition().await {
            assert!(started.elapsed() < PATIENCE, "gave up waiting for {what}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Begins a new epoch, as the controller does when Redis does not know the line.
    pub async fn begin(&mut self, turns: &[(Ordinal, Turn)]) {
        self.epoch += 1;
        (self.cursor, self.granted) = (self.granted, self.granted + 100_000);
        self.publish_as(true, turns).await;
    }

    /// Begins a new epoch if Redis does not know the line, once it can say so.
    pub async fn begin_if_lost(&mut self) {
        let lost = async || match self.store.revision(self.card.id).await {
            Ok(_) => Some(false),
            Err(LineError::NotPublished) => Some(true),
            Err(_) => None,
        };
        self.until("Redis to answer", async || lost().await.is_some()).await;
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
            noted: Revision::default(),
            granted: self.granted,
            recall_window: self.recall_window,
            card: &self.card,
            heard: &[],
            turns,
        };
        self.store.publish(&publication).await.expect("published");
    }

    /// Makes the draw of a sale that begins with one.
    pub async fn make_draw(&mut self) -> Draw {
        let pool = self.store.close_pool(self.card.id).await.expect("closed");
        let draw = Draw::new(Hash([1; 32]), pool).expect("small");
        self.store.lay_down(self.card.id, &draw).await.expect("laid down");
        (self.drawn, self.card.status) = (pool, Status::Open);
        self.card.draw.as_mut().expect("a draw").pool = Some(pool);
        self.publish(&[]).await;
        draw
    }

    /// Lets the next `count` in.
    pub async fn admit(&mut self, count: u64) {
        let upcoming = self.store.upcoming(self.card.id, self.cursor, count, 1000).await.expect("read");
        assert_eq!(upcoming.tickets.len() as u64, count, "so many wait");
        self.cursor = upcoming.cursor;
        let turns: Vec<_> = upcoming.tickets.iter().map(|&(ordinal, _)| (ordinal, live(ordinal))).collect();
        self.publish(&turns).await;
    }

    /// The ordinals that would be let in next.
    pub async fn next(&self) -> Vec<Ordinal> {
        let upcoming = self.store.upcoming(self.card.id, self.cursor, 100, 1000).await;
        upcoming.map(|upcoming| upcoming.tickets.into_iter().map(|ticket| ticket.0).collect()).unwrap_or_default()
    }

    pub async fn wait_for_claim(&self, ordinal: Ordinal) {
        self.until("the claim", async || {
            let upcoming = self.store.upcoming(self.card.id, self.cursor, 0, 0).await.expect("read");
            upcoming.claims.contains(&(ordinal, Claim::Claimed))
        })
        .await;
    }

    /// Takes everything out of this test's own Redis.
    pub async fn empty_redis(&self) {
        self.redis("FLUSHALL").await;
        self.redis("FUNCTION FLUSH").await;
    }

    /// Has this test's own Redis do something that it answers with OK.
    pub async fn redis(&self, command: &str) {
        let address = self.redis_url.trim_start_matches("redis://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).await.expect("a Redis");
        stream.write_all(format!("{command}\r\n").as_bytes()).await.expect("sent");
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await.expect("answered");
        assert_eq!(&answer, b"+OK\r\n");
    }

    /// Waits until so many grace periods have run out, as the controller sees to.
    pub async fn depart(&self, mut count: u64) {
        self.until("departures", async || {
            count -= self.store.sweep(self.card.id, count).await.expect("swept");
            count == 0
        })
        .await;
    }

    pub async fn join(&self) -> Shopper {
        self.connect("", &[]).await.expect("the line takes people in")
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
        let connected = timeout(PATIENCE, tokio_tungstenite::connect_async(request)).await.expect("an answer in time");
        match connected {
            Ok((socket, response)) => {
                let answer = Answer::new(response.status(), response.headers().clone(), Vec::new());
                let cookie = answer.cookie().unwrap_or_default();
                Ok(Shopper { socket, cookie, heard: VecDeque::new() })
            }
            Err(Error::Http(response)) => {
                let (parts, body) = response.into_parts();
                Err(Answer::new(parts.status, parts.headers, body.unwrap_or_default()))
            }
            Err(error) => panic!("no answer: {error}"),
        }
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.request("GET", path, headers).await
    }

    pub async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut reader = self.send(method, path, headers, "close").await;
        let mut bytes = Vec::new();
        timeout(PATIENCE, reader.read_to_end(&mut bytes)).await.expect("an answer in time").expect("an answer");
        Answer::read(&bytes)
    }

    /// Opens the line as Server-Sent Events.
    pub async fn events(&self, cookie: &str) -> Events {
        let headers = [("accept", "text/event-stream"), ("cookie", cookie)];
        let reader = self.send("GET", "/api/flash-sales/{id}/line", &headers, "keep-alive").await;
        Events { lines: BufReader::new(reader).lines() }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], connection: &str) -> TcpStream {
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

impl Drop for House {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// An answer that is not a stream.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    headers: axum::http::HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Answer {
    fn new(status: StatusCode, headers: axum::http::HeaderMap, body: Vec<u8>) -> Self {
        let body_json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Self { status, headers, text: String::from_utf8_lossy(&body).into_owned(), body: body_json }
    }

    fn read(bytes: &[u8]) -> Self {
        let split = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an HTTP answer");
        let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let mut headers = axum::http::HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let name: axum::http::HeaderName = name.parse().expect("a header");
            headers.append(name, value.parse().expect("a header"));
        }
        Self::new(status.parse().expect("a status"), headers, bytes[split + 4..].to_vec())
    }

    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
    }

    pub fn slug(&self) -> &str {
        self.body["type"].as_str().and_then(|kind| kind.rsplit('/').next()).unwrap_or_default()
    }

    /// The cookie that it sets, as a browser would send it back.
    pub fn cookie(&self) -> Option<String> {
        self.header("set-cookie").split(';').next().filter(|pair| pair.contains('=')).map(str::to_owned)
    }
}

/// A shopper's socket. Every message that it hears is held against the schema.
#[derive(Debug)]
pub struct Shopper {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub cookie: String,
    heard: VecDeque<String>,
}

impl Shopper {
    /// The next message of a kind; others are passed over.
    pub async fn hear(&mut self, kind: &str) -> Value {
        self.hear_until(kind, |_| true).await
    }

    /// The next message of a kind that is as wanted; others are passed over.
    pub async fn hear_until(&mut self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let listening = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        self.heard.push_back(text.to_string());
                        let message: Value = serde_json::from_str(&text).expect("JSON");
                        check(&message);
                        if message["type"] == kind && wanted(&message) {
                            return message;
                        }
                    }
                    Some(Ok(_)) => {}
                    ended => panic!("the socket ended ({ended:?}) before `{kind}`; heard {:?}", self.heard),
                }
            }
        };
        let heard = timeout(PATIENCE, listening).await;
        heard.unwrap_or_else(|_| panic!("no `{kind}` in time; heard {:?}", self.heard))
    }

    pub async fn say(&mut self, message: Value) {
        self.say_text(message.to_string()).await;
    }

    pub async fn say_text(&mut self, text: String) {
        self.socket.send(Message::text(text)).await.expect("sent");
    }

    /// Waits until the other side closes, and gives its code.
    pub async fn closed(&mut self) -> Option<CloseCode> {
        let closing = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        };
        timeout(PATIENCE, closing).await.expect("closed in time")
    }
}

/// A stream of events.
pub struct Events {
    lines: Lines<BufReader<TcpStream>>,
}

impl Events {
    /// The next message of a kind; others are passed over.
    pub async fn hear(&mut self, kind: &str) -> Value {
        let listening = async {
            while let Some(line) = self.lines.next_line().await.expect("a line") {
                let Some(data) = line.strip_prefix("data: ") else { continue };
                let message: Value = serde_json::from_str(data).expect("JSON");
                check(&message);
                if message["type"] == kind {
                    return message;
                }
            }
            panic!("the stream ended before `{kind}`");
        };
        timeout(PATIENCE, listening).await.unwrap_or_else(|_| panic!("no `{kind}` in time"))
    }

    /// Waits until the stream ends.
    pub async fn ended(&mut self) {
        let ending = async { while matches!(self.lines.next_line().await, Ok(Some(_))) {} };
        timeout(PATIENCE, ending).await.expect("ended in time");
    }
}
