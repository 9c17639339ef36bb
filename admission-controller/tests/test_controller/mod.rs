//! A controller for one test: a real one, on its own port, over its own database and a real Redis.
//! The test takes the part of the waiting room through the line, and of checkout through SQL.

use std::{io::Write as _, net::SocketAddr, process::Command, time::Duration};

use admission_controller::{Settings, run};
use clap::Parser as _;
use fairline_admission_token::{Jwks, SigningKey};
use fairline_events::schema::{self, StoredEvents};
use fairline_line::{
    change::{LiveTurn, Turn},
    store::{JoinRequest, LineError, LineStore},
    ticket::{Ordinal, Ticket},
};
use fairline_private_servers::testing::{self, Servers};
use fairline_sale::{SaleId, VisitorId};
use fairline_server::Shutdown;
use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::NamedTempFile;
use time::OffsetDateTime;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

/// The time limit of every wait.
const PATIENCE: Duration = Duration::from_secs(60);
pub const ADMIN_TOKEN: &str = "a-token-for-the-tests";

pub struct TestController {
    pub address: SocketAddr,
    pub line: LineStore,
    pub pool: PgPool,
    shutdown: Shutdown,
    /// The preferred one first.
    keys: Vec<NamedTempFile>,
    postgres_url: String,
    pub redis_url: String,
}

impl TestController {
    pub async fn open() -> Self {
        Self::open_at(&testing::redis_url()).await
    }

    pub async fn open_at(redis_url: &str) -> Self {
        Self::open_on(redis_url, &testing::database_url()).await
    }

    pub async fn open_on(redis_url: &str, postgres_url: &str) -> Self {
        let mut controller = Self::without_controller(redis_url, postgres_url).await;
        controller.address = controller.another_controller(&controller.shutdown).await;
        controller
    }

    /// The controller reaches the database through a pooler; the test and the migrations do not.
    pub async fn open_through(pooler_url: &str, postgres_url: &str, more: &[&str]) -> Self {
        let mut controller = Self::without_controller(&testing::redis_url(), postgres_url).await;
        pooler_url.clone_into(&mut controller.postgres_url);
        controller.address = controller.controller_with(&controller.shutdown, more).await;
        controller
    }

    async fn without_controller(redis_url: &str, postgres_url: &str) -> Self {
        admission_controller::migrate(postgres_url).await.expect("migrated");
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            line: LineStore::connect(redis_url).await.expect("a Redis"),
            pool: PgPool::connect(postgres_url).await.expect("a Postgres"),
            shutdown: Shutdown::new(),
            keys: vec![new_key()],
            postgres_url: postgres_url.to_owned(),
            redis_url: redis_url.to_owned(),
        }
    }

    /// A controller on the same database, the same line and the same keys.
    pub async fn another_controller(&self, shutdown: &Shutdown) -> SocketAddr {
        self.controller_with(shutdown, &[]).await
    }

    /// A controller with more arguments.
    pub async fn controller_with(&self, shutdown: &Shutdown, more: &[&str]) -> SocketAddr {
        self.start_controller(&self.redis_url, shutdown, more).await
    }

    /// What stops the test's controllers.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// A controller on the same database, and on another Redis.
    pub async fn controller_at(&self, redis_url: &str, shutdown: &Shutdown) -> SocketAddr {
        self.start_controller(redis_url, shutdown, &[]).await
    }

    /// The arguments of a controller.
    pub fn arguments(&self, redis_url: &str) -> [String; 10] {
        let keys: Vec<_> = self.keys.iter().map(|key| key.path().to_str().expect("a path")).collect();
        [
            "--redis-url",
            redis_url,
            "--postgres-url",
            &self.postgres_url,
            "--signing-key-file",
            &keys.join(","),
            "--admin-token",
            ADMIN_TOKEN,
            "--tick-ms",
            "20",
        ]
        .map(str::to_owned)
    }

    async fn start_controller(&self, redis_url: &str, shutdown: &Shutdown, more: &[&str]) -> SocketAddr {
        let arguments = self.arguments(redis_url);
        let arguments = ["admission-controller"].into_iter().chain(arguments.iter().map(String::as_str));
        let settings = Settings::parse_from(arguments.chain(more.iter().copied()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let running = run(settings, listener, shutdown.clone());
        tokio::spawn(async move { running.await.expect("the controller starts") });
        address
    }

    /// Stops the controller and starts another one, with one more key, which is the preferred one.
    pub async fn prefer_a_new_key(&mut self) {
        let stopping = std::mem::replace(&mut self.shutdown, Shutdown::new());
        stopping.trigger();
        assert!(stopping.finished(PATIENCE).await, "the controller stops");
        self.keys.insert(0, new_key());
        self.address = self.another_controller(&self.shutdown).await;
        self.until("the controller to be there", async || TcpStream::connect(self.address).await.is_ok()).await;
    }

    /// A dump of the database.
    pub fn back_up(&self, servers: &Servers) -> NamedTempFile {
        let backup = NamedTempFile::new().expect("a file");
        let mut dump = Command::new(servers.postgres.program("pg_dump"));
        dump.args(["--format=custom", "--dbname", &self.postgres_url, "--file"]).arg(backup.path());
        assert!(dump.status().expect("pg_dump runs").success());
        backup
    }

    /// Stops the controller, restores a backup into another database, empties Redis, and starts a
    /// controller over both.
    pub async fn restore(&mut self, servers: Servers, backup: &NamedTempFile) -> Servers {
        self.restore_database(&servers, backup).await;
        self.start_over(servers).await
    }

    /// The same, with the lines raised before Redis is emptied, as `fairline restore` does it.
    pub async fn restore_raised(&mut self, servers: Servers, backup: &NamedTempFile, margin: Option<u32>) -> Servers {
        self.restore_database(&servers, backup).await;
        let raised = admission_controller::restore(&self.postgres_url, &self.redis_url, margin).await.expect("raised");
        assert_eq!(raised.len(), 1);
        self.start_over(servers).await
    }

    /// The same, and Redis is not emptied.
    pub async fn restore_beside_redis(&mut self, servers: Servers, backup: &NamedTempFile) -> Servers {
        self.restore_database(&servers, backup).await;
        admission_controller::restore(&self.postgres_url, &self.redis_url, None).await.expect("raised");
        self.start_again().await;
        servers
    }

    async fn restore_database(&mut self, servers: &Servers, backup: &NamedTempFile) {
        let stopping = std::mem::replace(&mut self.shutdown, Shutdown::new());
        stopping.trigger();
        assert!(stopping.finished(PATIENCE).await, "the controller stops");
        self.postgres_url = servers.postgres.create_database("restored").expect("a database");
        let mut restore = Command::new(servers.postgres.program("pg_restore"));
        restore.args(["--no-owner", "--exit-on-error", "--dbname", &self.postgres_url]).arg(backup.path());
        assert!(restore.status().expect("pg_restore runs").success());
        admission_controller::migrate(&self.postgres_url).await.expect("migrated");
    }

    async fn start_over(&mut self, mut servers: Servers) -> Servers {
        servers = spawn_blocking(move || {
            servers.redis.kill().expect("killed");
            servers.redis.restart_empty().expect("restarted");
            servers
        })
        .await
        .expect("no panic");
        self.start_again().await;
        servers
    }

    async fn start_again(&mut self) {
        self.pool = PgPool::connect(&self.postgres_url).await.expect("a Postgres");
        self.address = self.another_controller(&self.shutdown).await;
        self.until("the controller to be there", async || TcpStream::connect(self.address).await.is_ok()).await;
    }

    /// The public keys that verify tokens.
    pub async fn key_set(&self) -> Jwks {
        let (status, keys) = self.request("GET", "/.well-known/jwks.json", "", "").await;
        assert_eq!(status, 200);
        Jwks::from_json(keys.as_bytes()).expect("a key set")
    }

    /// The keys of outstanding tokens, by ordinal: checkout compares a token's key with them.
    pub async fn keys_of_promises(&self, sale: SaleId) -> Vec<String> {
        sqlx::query_scalar("SELECT kid FROM admissions WHERE sale_id = $1 AND state = 'promised' ORDER BY ordinal")
            .bind(sale.0)
            .fetch_all(&self.pool)
            .await
            .expect("read")
    }

    /// A sale, created through the API and published.
    pub async fn sale(&self, changes: Value) -> SaleId {
        let mut sale = json!({
            "slug": format!("sale-{}", uuid::Uuid::new_v4().simple()),
            "name": "A sale",
            "price_minor": 4900,
            "currency": "EUR",
            "total": 10,
            "rate_cap_per_s": 1000.0,
        });
        for (field, value) in changes.as_object().expect("changes are an object") {
            sale[field] = value.clone();
        }
        let (status, created) = self.admin("POST", "/api/admin/sales", Some(&sale)).await;
        assert_eq!(status, 201, "{created}");
        let sale: SaleId = created["id"].as_str().expect("an id").parse().expect("a UUID");
        self.until("the line to be published", async || self.line.snapshot(sale).await.is_ok()).await;
        sale
    }

    pub async fn join(&self, sale: SaleId, count: u64) -> Vec<Ticket> {
        let joining = |_| JoinRequest { visitor: VisitorId(*uuid::Uuid::new_v4().as_bytes()), account: None };
        let joining: Vec<_> = (0..count).map(joining).collect();
        self.line.join(sale, rand_batch(), &joining).await.expect("joined")
    }

    /// Joins a number of shoppers; no tickets if the controller has granted too few ordinals yet.
    pub async fn join_if_granted(&self, sale: SaleId, count: u64) -> Vec<Ticket> {
        let joining = |_| JoinRequest { visitor: VisitorId(*uuid::Uuid::new_v4().as_bytes()), account: None };
        let joining: Vec<_> = (0..count).map(joining).collect();
        match self.line.join(sale, rand_batch(), &joining).await {
            Err(LineError::NoOrdinals) => Vec::new(),
            joined => joined.expect("joined"),
        }
    }

    pub async fn turn(&self, ticket: &Ticket) -> Turn {
        self.line.resume(ticket.sale, &[*ticket]).await.expect("resumed").turns.remove(0)
    }

    /// Waits for a ticket's turn.
    pub async fn admitted(&self, ticket: &Ticket) -> LiveTurn {
        let started = Instant::now();
        loop {
            match self.turn(ticket).await {
                Turn::Now(turn) => return turn,
                other => assert!(started.elapsed() < PATIENCE, "{ticket:?} was not admitted: {other:?}"),
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for a condition, and fails with its description.
    pub async fn until(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let started = Instant::now();
        while !condition().await {
            assert!(started.elapsed() < PATIENCE, "gave up waiting for {what}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the sale has been ticked `more` times.
    pub async fn ticks(&self, sale: SaleId, more: usize) {
        let mut last = None;
        for _ in 0..=more {
            self.until("a further tick", async || {
                let ticked = sqlx::query_scalar("SELECT ticked_at FROM lines WHERE id = $1").bind(sale.0);
                let ticked: OffsetDateTime = ticked.fetch_one(&self.pool).await.expect("read");
                last.replace(ticked) != Some(ticked)
            })
            .await;
        }
    }

    pub async fn until_decided(&self, sale: SaleId, words: &str) {
        self.until(words, async || {
            let sale = self.show(sale).await;
            sale["last_decision"].as_str().is_some_and(|decision| decision.contains(words))
        })
        .await;
    }

    /// The kinds of all events, in order. Checks that they match the schema.
    pub async fn events(&self) -> Vec<String> {
        let events = sqlx::query_as("SELECT sale_id, number, kind, data, happened_at FROM outbox ORDER BY number");
        let events: Vec<(Uuid, i64, String, Value, OffsetDateTime)> =
            events.fetch_all(&self.pool).await.expect("the outbox");
        for (sale, number, kind, data, time) in &events {
            let row = StoredEvents { sale: SaleId(*sale), number: *number, kind, data, time: *time };
            let wrong = schema::wrong_in_row(row);
            assert!(wrong.is_empty(), "{wrong:?}");
        }
        events.into_iter().map(|(_, _, kind, ..)| kind).collect()
    }

    pub async fn show(&self, sale: SaleId) -> Value {
        self.admin("GET", &format!("/api/admin/sales/{sale}"), None).await.1
    }

    pub async fn act(&self, sale: SaleId, action: &str) -> (u16, Value) {
        self.admin("POST", &format!("/api/admin/sales/{sale}/{action}"), None).await
    }

    /// What checkout does when a token is redeemed and paid: the promise becomes a sold unit.
    pub async fn buy(&self, ticket: &Ticket) {
        let done = sqlx::query(
            "WITH used AS (UPDATE admissions SET state = 'redeemed' WHERE line_id = $1 AND ordinal = $2 \
             AND state = 'promised' RETURNING sale_id, quantity) \
             UPDATE stock SET promised = promised - quantity, sold = sold + quantity FROM used \
             WHERE stock.sale_id = used.sale_id",
        )
        .bind(ticket.sale.0)
        .bind(i64::try_from(ticket.ordinal).expect("small"))
        .execute(&self.pool)
        .await
        .expect("bought");
        assert_eq!(done.rows_affected(), 1, "the token could be used");
    }

    /// Gives a sale a lane, through the API, and waits until it is published.
    pub async fn lane(&self, sale: SaleId, name: &str, share: f64) -> SaleId {
        let new = json!({ "name": name, "share": share });
        let (status, sale_with_lane) = self.admin("POST", &format!("/api/admin/sales/{sale}/lanes"), Some(&new)).await;
        assert_eq!(status, 201, "{sale_with_lane}");
        let lanes = sale_with_lane["lanes"].as_array().expect("lanes");
        let lane = lanes.iter().find(|lane| lane["name"] == json!(name)).expect("the lane");
        let lane: SaleId = lane["id"].as_str().expect("an id").parse().expect("a UUID");
        self.until("the lane to be published", async || self.line.snapshot(lane).await.is_ok()).await;
        lane
    }

    /// The ordinals admitted so far, in the order of their admissions.
    pub async fn admissions(&self, line: SaleId) -> Vec<Ordinal> {
        let rows: Vec<i64> =
            sqlx::query_scalar("SELECT ordinal FROM admissions WHERE line_id = $1 ORDER BY issued_at, ordinal")
                .bind(line.0)
                .fetch_all(&self.pool)
                .await
                .expect("read");
        rows.into_iter().map(|ordinal| ordinal.try_into().expect("positive")).collect()
    }

    /// Executes a Redis command that returns a number.
    pub async fn redis(&self, command: &str) {
        let address = self.redis_url.trim_start_matches("redis://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).await.expect("a Redis");
        stream.write_all(format!("{command}\r\n").as_bytes()).await.expect("sent");
        let mut answer = [0; 1];
        stream.read_exact(&mut answer).await.expect("answered");
        assert_eq!(&answer, b":", "{command}");
    }

    pub async fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = self.request(method, path, &format!("authorization: Bearer {ADMIN_TOKEN}\r\n"), &body).await;
        (answer.0, serde_json::from_str(&answer.1).unwrap_or(Value::Null))
    }

    pub async fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let (status, _, body) = self.exchange(method, path, headers, body).await;
        (status, body)
    }

    /// The status, the headers, and the body.
    pub async fn exchange(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        let length = body.len();
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    /// Reads a public resource, with HTTP/1.0 to receive the body without chunks.
    pub async fn read(&self, path: &str) -> (u16, String) {
        let (status, _, body) = self.send(&format!("GET {path} HTTP/1.0\r\nhost: here\r\n\r\n")).await;
        (status, body)
    }

    /// Sends a body of any type as the administrator, with HTTP/1.0 to receive the response without
    /// chunks.
    pub async fn upload(&self, path: &str, kind: &str, body: &[u8]) -> (u16, Value) {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.0\r\nhost: here\r\ncontent-type: {kind}\r\nauthorization: Bearer {ADMIN_TOKEN}\r\ncontent-length: {length}\r\n\r\n"
        );
        let (status, _, body) = self.send_bytes(&[head.as_bytes(), body].concat()).await;
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Reads a resource with more headers; the body may be binary.
    pub async fn download(&self, path: &str, headers: &str) -> (u16, String, Vec<u8>) {
        self.send_bytes(format!("GET {path} HTTP/1.0\r\nhost: here\r\n{headers}\r\n").as_bytes()).await
    }

    async fn send(&self, request: &str) -> (u16, String, String) {
        let (status, head, body) = self.send_bytes(request.as_bytes()).await;
        (status, head, String::from_utf8(body).expect("text"))
    }

    async fn send_bytes(&self, request: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.write_all(request).await.expect("sent");
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("in time").expect("a response");
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an HTTP response");
        let head = String::from_utf8(answer[..end].to_vec()).expect("text");
        let status = head.split(' ').nth(1).expect("a status line").parse().expect("a status");
        (status, head, answer.split_off(end + 4))
    }
}

fn rand_batch() -> [u8; 8] {
    let id = Uuid::new_v4();
    let (random, _) = id.as_bytes().split_at(8);
    random.try_into().expect("eight bytes")
}

fn new_key() -> NamedTempFile {
    let mut key = NamedTempFile::new().expect("a file");
    key.write_all(SigningKey::generate().to_pem().as_bytes()).expect("written");
    key
}

impl Drop for TestController {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}
