//! A shop for one measurement: its own Redis and Postgres, a controller and waiting rooms. All are
//! real processes, which end with it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use fairline_admission_token::SigningKey;
use fairline_figures::bench::pause;
use fairline_private_servers::{Folder, PrivatePostgres, PrivateRedis, ServiceProcess, Survives, address_of};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Bench, Failure, clock::now_us, crowd::PagesToConnect, redis::RedisConnection};

const ADMIN_TOKEN: &str = "admin-token-of-the-measurements";
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const SHOWN_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(50);
/// Lifetime of tokens, which no shopper of this crowd uses.
const TOKEN_TTL_S: u64 = 10;
/// The maximum of a sale, so that the line never stops for lack of units.
const UNITS: u64 = 10_000_000;

/// A shop with one sale, which has not opened yet.
pub(crate) struct BenchShop {
    pub(crate) sale: String,
    pub(crate) nodes: Vec<ServiceProcess>,
    redis: PrivateRedis,
    redis_id: u32,
    /// Redis's memory before the first shopper.
    pub(crate) redis_bytes: u64,
    _controller: ServiceProcess,
    _postgres: PrivatePostgres,
    // Dropped last, in this order: servers and services write here.
    _claim: Folder,
    _folder: TempDir,
}

/// The address of the admission controller; its number is beyond those of the nodes.
fn controller() -> SocketAddr {
    address_of(999)
}

impl BenchShop {
    /// Starts a shop with this number of nodes, and a sale that will admit `rate_per_s` shoppers
    /// per second.
    pub(crate) fn start(bench: &Bench, nodes: u16, rate_per_s: f64) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("fairline-bench-").tempdir()?;
        let claim = Folder::claim(folder.path())?;
        // As in the demo: Redis syncs its log once a second, Postgres each commit.
        let redis = PrivateRedis::start(&claim, Survives::PowerLoss)?;
        let postgres = PrivatePostgres::start(&claim, Survives::PowerLoss)?;
        let key = folder.path().join("signing.pem");
        fs::write(&key, SigningKey::generate().to_pem())?;
        let redis_url = format!("--redis-url={}", redis.url());
        let start = |name: String, program: &str, address: SocketAddr, arguments: &[String]| {
            let arguments = [&[format!("--listen={address}")], arguments].concat();
            ServiceProcess::start(&name, &bench.binaries.join(program), &arguments, folder.path())?.listens(address)
        };
        let arguments = [
            redis_url.clone(),
            format!("--postgres-url={}", postgres.create_database("shop")?),
            format!("--signing-key-file={}", key.display()),
            format!("--admin-token={ADMIN_TOKEN}"),
            "--migrate=true".to_owned(),
        ];
        let controller = start("controller".to_owned(), "admission-controller", controller(), &arguments)?;
        let sale = create_sale(rate_per_s)?;
        let arguments = [
            redis_url,
            format!("--ticket-key={}", "5a".repeat(32)),
            "--secure-cookies=false".to_owned(),
            // The whole crowd arrives at once.
            "--join-rate-per-s=1000000".to_owned(),
            "--join-burst=1000000".to_owned(),
        ];
        let node = |nth| start(format!("waiting-room-{nth}"), "waiting-room", address_of(nth), &arguments);
        let nodes = (0..nodes).map(node).collect::<Result<_, _>>()?;
        let redis_id = RedisConnection::connect(address_of_redis(&redis))?.info("server")?["process_id"].parse();
        let mut shop = Self {
            sale,
            nodes,
            redis,
            redis_id: redis_id.map_err(|_| Failure::new("Redis does not say its process id"))?,
            redis_bytes: 0,
            _controller: controller,
            _postgres: postgres,
            _claim: claim,
            _folder: folder,
        };
        let path = format!("/api/flash-sales/{}/status", shop.sale);
        until("every node knows the sale", SHOWN_WITHIN, || {
            Ok((0..).zip(&shop.nodes).all(|(nth, _)| call(address_of(nth), "GET", &path, None).is_ok()))
        })?;
        shop.redis_bytes = shop.redis()?.used_bytes()?;
        Ok(shop)
    }

    /// The process ids of the nodes and of Redis, which bear the cost of waiting.
    pub(crate) fn line_ids(&self) -> Vec<u32> {
        self.nodes.iter().map(ServiceProcess::id).chain([self.redis_id]).collect()
    }

    /// The process id of Redis.
    pub(crate) fn redis_id(&self) -> u32 {
        self.redis_id
    }

    /// A connection to Redis.
    pub(crate) fn redis(&self) -> Result<RedisConnection, Failure> {
        RedisConnection::connect(address_of_redis(&self.redis))
    }

    /// Shoppers for the nth node.
    pub(crate) fn shoppers(&self, nth: u16, count: u32) -> PagesToConnect {
        let path = format!("/api/flash-sales/{}/line", self.sale);
        PagesToConnect { to: address_of(nth), path, count, wants_ticket: true, first_source: sources_of(nth) }
    }

    /// Performs an action on the sale: `open`, `pause`, `resume`.
    pub(crate) fn act(&self, action: &str) -> Result<Value, Failure> {
        call(controller(), "POST", &format!("/api/admin/sales/{}/{action}", self.sale), Some(&json!({})))
    }

    /// Changes the sale.
    pub(crate) fn change(&self, change: &Value) -> Result<Value, Failure> {
        call(controller(), "PATCH", &format!("/api/admin/sales/{}", self.sale), Some(change))
    }

    /// The state of the sale.
    pub(crate) fn show(&self) -> Result<Value, Failure> {
        call(controller(), "GET", &format!("/api/admin/sales/{}", self.sale), None)
    }
}

/// The first client address for the nth node.
pub(crate) fn sources_of(nth: u16) -> Ipv4Addr {
    // 65,536 each: more than a node can have sockets.
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 64, 0, 1).to_bits() + (u32::from(nth) << 16))
}

/// Waits until a condition holds.
pub(crate) fn until(
    what: &str,
    within: Duration,
    mut is_so: impl FnMut() -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let started_us = now_us();
    while !is_so()? {
        if Duration::from_micros(now_us() - started_us) > within {
            return Err(Failure::new(format!("gave up waiting until {what}")));
        }
        pause(POLL_EVERY);
    }
    Ok(())
}

fn address_of_redis(redis: &PrivateRedis) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, redis.port()))
}

fn create_sale(rate_per_s: f64) -> Result<String, Failure> {
    let sale = json!({
        "slug": "lamp", "name": "A lamp", "description": "One lamp.", "price_minor": 4_900, "currency": "EUR",
        "total": UNITS, "rate_cap_per_s": rate_per_s, "token_ttl_s": TOKEN_TTL_S, "claim_window_s": TOKEN_TTL_S,
        "hold_s": 60, "opens_at": "2100-01-01T00:00:00Z",
    });
    let created = call(controller(), "POST", "/api/admin/sales", Some(&sale))?;
    created["id"].as_str().map(str::to_owned).ok_or_else(|| Failure::new(format!("a sale without an id: {created}")))
}

/// One HTTP exchange; anything but success is a failure.
fn call(address: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.starts_with("HTTP/1.1 2") {
        return Err(Failure::new(format!("{method} {path}: {head} {body}")));
    }
    Ok(serde_json::from_str(body)?)
}
