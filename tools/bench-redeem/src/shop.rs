//! A shop for one measurement: its own Redis and Postgres, which lose nothing in a power failure;
//! sales with admitted shoppers; and checkout as a process. All of them end with the measurement.

use std::{
    collections::HashMap,
    fs, io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use fairline_admission_token::{AUDIENCE, Claims, ISSUER, Jwk, Jwks, SigningKey};
use fairline_line::ticket::{Ticket, TicketKey, cookie_name};
use fairline_postgres::connect_for_tool;
use fairline_private_servers::{Folder, PrivatePostgres, PrivateRedis, ServiceProcess, Survives, address_of};
use fairline_sale::{SaleId, VisitorId};
use sqlx::PgPool;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::{Bench, Failure, client::RunResult};

const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Time for the effects of earlier work to complete before a measurement.
const AT_REST_WITHIN: Duration = Duration::from_secs(60);
/// Rows per insert.
const ROWS: usize = 10_000;
/// Longer than any run.
const TOKEN_TTL_S: i64 = 3_600;

/// The key that signs tickets.
const TICKET_KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

/// Starts one of our programs, and waits until it listens.
fn start(bench: &Bench, program: &str, address: SocketAddr, arguments: &[String]) -> io::Result<ServiceProcess> {
    let path = bench.binaries.join(program);
    ServiceProcess::start(program, &path, arguments, bench.folder.path())?.listens(address)
}

/// Starts the baseline of the rejections.
pub(crate) fn start_hello(bench: &Bench) -> io::Result<(ServiceProcess, SocketAddr)> {
    let address = address_of(2);
    Ok((start(bench, "bare-hello", address, &[address.to_string()])?, address))
}

/// The bearer token of the admin API.
pub(crate) const ADMIN_TOKEN: &str = "a token for measurements";

/// The other services of a shop.
pub(crate) struct OtherServices {
    pub(crate) admin: SocketAddr,
    pub(crate) waiting_room: SocketAddr,
    _processes: [ServiceProcess; 2],
}

impl OtherServices {
    pub(crate) fn start(bench: &Bench, shop: &BenchShop) -> Result<Self, Failure> {
        let (admin, waiting_room) = (address_of(4), address_of(5));
        let key = bench.folder.path().join("signing.pem");
        fs::write(&key, shop.key.to_pem())?;
        let controller = [
            format!("--listen={admin}"),
            format!("--redis-url={}", shop.redis.url()),
            format!("--postgres-url={}", shop.postgres_url),
            format!("--signing-key-file={}", key.display()),
            format!("--admin-token={ADMIN_TOKEN}"),
            "--log-level=error".to_owned(),
        ];
        let room = [
            format!("--listen={waiting_room}"),
            format!("--redis-url={}", shop.redis.url()),
            format!("--ticket-key={TICKET_KEY}"),
            // The whole crowd shares one address.
            "--join-rate-per-s=1000000".to_owned(),
            "--join-burst=1000000".to_owned(),
            "--log-level=error".to_owned(),
        ];
        let controller = start(bench, "admission-controller", admin, &controller)?;
        let room = start(bench, "waiting-room", waiting_room, &room)?;
        Ok(Self { admin, waiting_room, _processes: [controller, room] })
    }
}

/// An admitted shopper.
#[derive(Debug, Clone)]
pub(crate) struct AdmittedShopper {
    pub(crate) admission: Uuid,
    pub(crate) sale: SaleId,
    pub(crate) visitor: VisitorId,
}

/// Discrepancies between the database and the responses to clients.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Mismatches {
    /// Units held or sold beyond the stock, or that differ between the counters and the rows.
    pub(crate) oversold: i64,
    /// Orders that a client received and that the database does not contain.
    pub(crate) lost_acks: i64,
    /// Tokens with two orders, in responses or in the database.
    pub(crate) double_used: i64,
}

pub(crate) struct BenchShop {
    pub(crate) checkout_address: SocketAddr,
    checkout: Option<ServiceProcess>,
    arguments: Vec<String>,
    pub(crate) postgres_url: String,
    pub(crate) pool: PgPool,
    pub(crate) runtime: Runtime,
    pub(crate) key: SigningKey,
    ticket_key: TicketKey,
    pub(crate) postgres: PrivatePostgres,
    redis: PrivateRedis,
    // Dropped last, in this order: servers write here.
    _claim: Folder,
    _folder: TempDir,
}

impl BenchShop {
    pub(crate) fn start(bench: &Bench) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("fairline-bench-").tempdir()?;
        let claim = Folder::claim(folder.path())?;
        let redis = PrivateRedis::start(&claim, Survives::PowerLoss)?;
        let postgres = PrivatePostgres::start(&claim, Survives::PowerLoss)?;
        let postgres_url = postgres.create_database("shop")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let pool = runtime.block_on(async {
            let pool = connect_for_tool(&postgres_url, 2).await?;
            sqlx::migrate!("../../migrations").run(&pool).await?;
            for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
                let value: String =
                    sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&pool).await?;
                if value != "on" {
                    return Err(Failure::new(format!("{setting} is {value}: nothing that is measured would last")));
                }
            }
            Ok(pool)
        })?;
        let key = SigningKey::generate();
        let jwks = folder.path().join("jwks.json");
        let keys = Jwks::new(vec![Jwk::new(&key.verifying_key())]).map_err(|error| Failure::new(error.to_string()))?;
        fs::write(&jwks, keys.to_json())?;
        let ticket_key = TICKET_KEY;
        let checkout_address = address_of(1);
        let arguments = vec![
            format!("--listen={checkout_address}"),
            format!("--postgres-url={postgres_url}"),
            format!("--redis-url={}", redis.url()),
            format!("--jwks={}", jwks.display()),
            format!("--ticket-key={ticket_key}"),
            // No shopper pays in this benchmark.
            format!("--gateway-url=http://{}", address_of(3)),
            // The whole crowd shares one address.
            "--purchase-rate-per-s=1000000".to_owned(),
            "--purchase-burst=1000000".to_owned(),
            "--log-level=error".to_owned(),
        ];
        let checkout = Some(start(bench, "checkout", checkout_address, &arguments)?);
        let ticket_key = ticket_key.parse().map_err(Failure::new)?;
        Ok(Self {
            checkout_address,
            checkout,
            arguments,
            postgres_url,
            pool,
            runtime,
            key,
            ticket_key,
            postgres,
            redis,
            _claim: claim,
            _folder: folder,
        })
    }

    /// Kills checkout as `kill -9` does, and restarts it.
    pub(crate) fn crash_checkout(&mut self, bench: &Bench) -> Result<(), Failure> {
        self.checkout = None;
        self.checkout = Some(start(bench, "checkout", self.checkout_address, &self.arguments)?);
        Ok(())
    }

    /// Kills Postgres with all its sessions, and restarts it from the disk.
    pub(crate) fn crash_postgres(&mut self) -> Result<(), Failure> {
        self.postgres.kill()?;
        Ok(self.postgres.restart()?)
    }

    /// Admits a number of shoppers to a new sale with a unit for each, with the rows that the
    /// controller would write.
    pub(crate) fn admit(&self, count: usize) -> Result<Vec<AdmittedShopper>, Failure> {
        let sale = SaleId(Uuid::new_v4());
        let shoppers: Vec<AdmittedShopper> = (0..count)
            .map(|_| AdmittedShopper {
                admission: Uuid::now_v7(),
                sale,
                visitor: VisitorId(*Uuid::new_v4().as_bytes()),
            })
            .collect();
        self.runtime.block_on(async {
            sqlx::query(
                "WITH sale AS (INSERT INTO sales (id, slug, name, price_minor, currency, status, rate_cap_per_s, token_ttl_s, \
                 claim_window_s, hold_s, opens_at) VALUES ($1, left($1::text, 18), 'A lamp', 4900, 'EUR', 'open', 10, 3600, 3600, \
                 3600, now()) RETURNING id), line AS (INSERT INTO lines (id, sale_id) SELECT id, id FROM sale), \
                 item AS (INSERT INTO items (sale_id, item) SELECT id, 1 FROM sale), \
                 counters AS (INSERT INTO sale_counters (sale_id) SELECT id FROM sale) \
                 INSERT INTO stock (sale_id, item, total, promised) SELECT id, 1, $2, $2 FROM sale",
            )
            .bind(sale.0)
            .bind(i32::try_from(count).unwrap_or(i32::MAX))
            .execute(&self.pool)
            .await?;
            for (part, shoppers) in shoppers.chunks(ROWS).enumerate() {
                sqlx::query(
                    "INSERT INTO admissions (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, published_state, published_epoch, issued_at, \
                     claim_by, claimed_at, expires_at) SELECT id, $1, $1, 1, $2 + nth, visitor, 1, $3, 'promised', 1, now(), \
                     now() + interval '1 hour', now(), now() + interval '1 hour' \
                     FROM unnest($4::uuid[], $5::bytea[]) WITH ORDINALITY AS shoppers (id, visitor, nth)",
                )
                .bind(sale.0)
                .bind((part * ROWS) as i64)
                .bind(self.key.kid())
                .bind(shoppers.iter().map(|shopper| shopper.admission).collect::<Vec<_>>())
                .bind(shoppers.iter().map(|shopper| &shopper.visitor.0[..]).collect::<Vec<_>>())
                .execute(&self.pool)
                .await?;
            }
            self.settle().await
        })?;
        Ok(shoppers)
    }

    /// Expires admissions.
    pub(crate) fn run_out(&self, shoppers: &[AdmittedShopper]) -> Result<(), Failure> {
        let admissions: Vec<Uuid> = shoppers.iter().map(|shopper| shopper.admission).collect();
        self.runtime.block_on(async {
            let over = sqlx::query("UPDATE admissions SET expires_at = now() WHERE id = ANY ($1)").bind(admissions);
            over.execute(&self.pool).await?;
            self.settle().await
        })
    }

    /// Waits until the shop is idle, so that no measurement includes earlier work: all events have
    /// been relayed, and the database has nothing left to vacuum or to write.
    pub(crate) async fn settle(&self) -> Result<(), Failure> {
        self.until(
            "everything that happened has been relayed",
            "SELECT NOT EXISTS (SELECT FROM sale_counters LEFT JOIN relays USING (sale_id) WHERE events > coalesce(number, 0))",
        )
        .await?;
        sqlx::query("VACUUM ANALYZE").execute(&self.pool).await?;
        sqlx::query("CHECKPOINT").execute(&self.pool).await?;
        Ok(())
    }

    /// Waits until a controller has found the sales of this shop, has begun their lines, and has
    /// published all tokens.
    pub(crate) fn settle_with_controller(&self) -> Result<(), Failure> {
        self.runtime.block_on(async {
            self.until(
                "every line has begun, and every token has been published",
                "SELECT NOT EXISTS (SELECT FROM lines WHERE epoch = 0) \
                 AND NOT EXISTS (SELECT FROM admissions WHERE published_state IS DISTINCT FROM state OR recorded_state <> state)",
            )
            .await?;
            self.settle().await
        })
    }

    /// Waits until a query returns true.
    async fn until(&self, what: &str, query: &'static str) -> Result<(), Failure> {
        let deadline = Instant::now() + AT_REST_WITHIN;
        while !sqlx::query_scalar::<_, bool>(query).fetch_one(&self.pool).await? {
            if Instant::now() > deadline {
                return Err(Failure::new(format!("it is not yet so that {what}")));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// The token of an admission that ends in this many seconds.
    pub(crate) fn token(&self, shopper: &AdmittedShopper, ends_in_s: i64) -> String {
        mint(&self.key, shopper, ends_in_s)
    }

    /// The request to redeem a token, as a browser sends it: with the ticket cookie.
    pub(crate) fn request(&self, shopper: &AdmittedShopper, token: &str) -> Vec<u8> {
        let AdmittedShopper { sale, visitor, .. } = *shopper;
        let ticket = self.ticket_key.sign(&Ticket { sale, epoch: 1, ordinal: 1, visitor });
        format!(
            "POST /api/flash-sales/{sale}/purchase HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nCookie: {}={ticket}\r\n\
             Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{{\"quantity\":1}}",
            self.checkout_address,
            cookie_name(sale),
        )
        .into_bytes()
    }

    /// The request for the status of an order.
    pub(crate) fn status(&self, shopper: &AdmittedShopper, order: Uuid) -> Vec<u8> {
        let AdmittedShopper { sale, visitor, .. } = *shopper;
        let ticket = self.ticket_key.sign(&Ticket { sale, epoch: 1, ordinal: 1, visitor });
        format!(
            "GET /orders/{order}/status HTTP/1.1\r\nHost: {}\r\nCookie: {}={ticket}\r\n\r\n",
            self.checkout_address,
            cookie_name(sale),
        )
        .into_bytes()
    }

    /// The requests to redeem the shoppers' tokens.
    pub(crate) fn requests(&self, shoppers: &[AdmittedShopper]) -> Vec<Vec<u8>> {
        shoppers.iter().map(|shopper| self.request(shopper, &self.token(shopper, TOKEN_TTL_S))).collect()
    }

    /// Compares the responses to clients, in runs with the same shoppers, with the database.
    pub(crate) fn audit(&self, shoppers: &[AdmittedShopper], runs: &[&RunResult]) -> Result<Mismatches, Failure> {
        let mut answered: HashMap<Uuid, Uuid> = HashMap::new();
        let mut wrongs = Mismatches::default();
        for run in runs {
            for (shopper, answer) in shoppers.iter().zip(&run.answers) {
                // Either the redemption itself, or a repetition: both name the order.
                let Some(order) = answer.order.filter(|_| matches!(answer.status, 201 | 409)) else { continue };
                let before = answered.insert(shopper.admission, order);
                wrongs.double_used += i64::from(before.is_some_and(|before| before != order));
            }
        }
        let (admissions, orders): (Vec<Uuid>, Vec<Uuid>) = answered.into_iter().unzip();
        self.runtime.block_on(async {
            wrongs.lost_acks = sqlx::query_scalar(
                "SELECT count(*) FROM unnest($1::uuid[], $2::uuid[]) AS answered (admission, hold) \
                 WHERE NOT EXISTS (SELECT FROM holds WHERE id = answered.hold AND admission_id = answered.admission)",
            )
            .bind(admissions)
            .bind(orders)
            .fetch_one(&self.pool)
            .await?;
            let twice: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM (SELECT FROM holds GROUP BY admission_id HAVING count(*) > 1) AS twice",
            )
            .fetch_one(&self.pool)
            .await?;
            wrongs.double_used += twice;
            wrongs.oversold = sqlx::query_scalar(
                "SELECT coalesce(sum(greatest(held + sold - total, 0) + abs(held - (SELECT coalesce(sum(quantity), 0) FROM holds \
                 WHERE sale_id = stock.sale_id AND state = 'held'))), 0)::bigint FROM stock \
                 WHERE EXISTS (SELECT FROM admissions WHERE sale_id = stock.sale_id AND id = $1)",
            )
            .bind(shoppers.first().map(|shopper| shopper.admission))
            .fetch_one(&self.pool)
            .await?;
            Ok(wrongs)
        })
    }
}

/// A token of an admission that ends in this many seconds.
pub(crate) fn mint(key: &SigningKey, shopper: &AdmittedShopper, ends_in_s: i64) -> String {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    key.mint(&Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: shopper.visitor.to_string(),
        jti: shopper.admission,
        sale: shopper.sale,
        qty: 1,
        iat: now,
        exp: now + ends_in_s,
    })
}
