//! A checkout to test with: its own database, a gateway, a checkout, and admitted shoppers.

use std::{collections::BTreeSet, fmt::Debug, future::Future, net::SocketAddr, time::Duration};

use checkout::{ProcessRole, Settings};
use fairline_admission_token::{AUDIENCE, Claims, ISSUER, Jwk, Jwks, SigningKey};
use fairline_events::schema::{self, StoredEvents};
use fairline_line::ticket::{Ticket, TicketKey, cookie_name};
use fairline_notification_channels::ChannelSettings;
use fairline_postgres::PostgresSettings;
use fairline_private_servers::testing::{database_url, redis_url};
use fairline_sale::{SaleId, VisitorId};
use fairline_server::{LogFormat, LogSettings, ProxySettings, Secret, Shutdown};
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Request};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tempfile::NamedTempFile;
use time::OffsetDateTime;
use tokio::{net::TcpListener, time::Instant};
use uuid::Uuid;

const TICKET_KEY: &str = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e";
/// The secret that signs the sandbox gateway's webhooks.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_test";

/// The key of the merchant's systems.
pub(crate) const MERCHANT_KEY: &str = "a key that only the merchant's systems have";

/// The key that proves accounts.
pub(crate) const SIGN_IN_KEY: &str = "a key that only the checkouts have, long enough";

/// The response that a client received.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    /// The slug of a problem: the last part of its `type`.
    pub(crate) fn slug(&self) -> &str {
        self.body["type"].as_str().and_then(|kind| kind.rsplit('/').next()).unwrap_or_default()
    }
}

/// Waits until `look` succeeds; panics with the last error.
pub(crate) async fn eventually<T, S: Debug, F: Future<Output = Result<T, S>>>(mut look: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) if Instant::now() > deadline => panic!("not within 60 s; seen last: {seen:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// The four counters of a stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct StockCounts {
    pub(crate) total: i32,
    pub(crate) promised: i32,
    pub(crate) held: i32,
    pub(crate) sold: i32,
}

/// An admitted shopper.
#[derive(Debug, Clone)]
pub(crate) struct Shopper {
    pub(crate) claims: Claims,
    pub(crate) token: String,
    pub(crate) cookie: String,
}

/// How the next shopper is admitted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdmissionSetup {
    pub(crate) quantity: i32,
    /// Seconds from now, in the token and in the database.
    pub(crate) token_expires_in: i64,
    pub(crate) row_expires_in: i64,
}

impl Default for AdmissionSetup {
    fn default() -> Self {
        Self { quantity: 1, token_expires_in: 120, row_expires_in: 120 }
    }
}

pub(crate) fn client() -> Client<HttpConnector, Full<bytes::Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// One request and its response; none if there was none.
pub(crate) async fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<Reply> {
    let mut request = Request::builder().method(method).uri(format!("http://{address}{path}"));
    if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::from(body.to_owned())).expect("a request");
    let response = client().request(request).await.ok()?;
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.ok()?.to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
    Some(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
}

pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Starts a sandbox gateway.
pub(crate) fn start_gateway(listener: TcpListener, shutdown: &Shutdown) {
    start_gateway_with(listener, None, shutdown);
}

/// Starts a sandbox gateway that sends webhooks.
pub(crate) fn start_gateway_with_webhooks(listener: TcpListener, webhook_url: &str, shutdown: &Shutdown) {
    start_gateway_with(listener, Some(webhook_url.to_owned()), shutdown);
}

fn start_gateway_with(listener: TcpListener, webhook_url: Option<String>, shutdown: &Shutdown) {
    let settings = fairline_sandbox_gateway::Settings {
        listen: listener.local_addr().expect("an address"),
        webhook_urls: webhook_url.into_iter().collect(),
        webhook_secret: Secret::new(WEBHOOK_SECRET),
        log: log(),
    };
    tokio::spawn(fairline_sandbox_gateway::run(settings, listener, shutdown.clone()));
}

fn log() -> LogSettings {
    LogSettings { format: LogFormat::Text, ..LogSettings::default() }
}

pub(crate) struct TestCheckout {
    pub(crate) pool: PgPool,
    pub(crate) checkout: SocketAddr,
    pub(crate) gateway: SocketAddr,
    pub(crate) key: SigningKey,
    pub(crate) settings: Settings,
    pub(crate) shutdown: Shutdown,
    jwks: NamedTempFile,
}

impl Drop for TestCheckout {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl TestCheckout {
    /// A shop on its own database.
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    /// A shop on its own database, with other settings.
    pub(crate) async fn open_with(change: impl FnOnce(&mut Settings)) -> Self {
        let postgres_url = tokio::task::spawn_blocking(database_url).await.expect("a database");
        Self::open_on(&postgres_url, change).await
    }

    pub(crate) async fn open_on(postgres_url: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let pool = PgPoolOptions::new().max_connections(4).connect(postgres_url).await.expect("a connection");
        sqlx::migrate!("../migrations").run(&pool).await.expect("a schema");

        let redis_url = tokio::task::spawn_blocking(redis_url).await.expect("a Redis");
        let key = SigningKey::generate();
        let jwks = NamedTempFile::new().expect("a file");
        let keys = Jwks::new(vec![Jwk::new(&key.verifying_key())]).expect("a key");
        std::fs::write(jwks.path(), keys.to_json()).expect("written");

        let shutdown = Shutdown::new();
        let (gateway_listener, gateway) = listener().await;
        let mut settings = Settings {
            role: ProcessRole::All,
            listen: gateway,
            postgres_url: Secret::new(postgres_url),
            postgres: PostgresSettings::default(),
            redemption_connections: checkout::REDEMPTION_CONNECTIONS,
            payment_connections: checkout::PAYMENT_CONNECTIONS,
            request_connections: checkout::REQUEST_CONNECTIONS,
            background_connections: checkout::BACKGROUND_CONNECTIONS,
            heartbeat_connections: checkout::HEARTBEAT_CONNECTIONS,
            redis_url: Secret::new(&redis_url),
            jwks: jwks.path().display().to_string(),
            ticket_key: Secret::new(TICKET_KEY),
            gateway_url: format!("http://{gateway}"),
            gateway_key: Secret::new("sk_test"),
            webhook_secrets: vec![Secret::new(WEBHOOK_SECRET)],
            merchant_key: Some(Secret::new(MERCHANT_KEY)),
            sign_in_key: Some(Secret::new(SIGN_IN_KEY)),
            oidc_issuer: None,
            oidc_audience: None,
            channels: ChannelSettings::default(),
            shop_name: "Lamps & Co".to_owned(),
            allowed_origins: vec!["https://lamps.example".to_owned()],
            pages_url: Some("https://lamps.example/".to_owned()),
            waiting_room_url: None,
            secure_cookies: true,
            proxy: ProxySettings::default(),
            purchase_rate_per_s: 1_000_000.0,
            purchase_burst: 1_000_000,
            code_rate_per_s: 1.0,
            code_burst: 60,
            phone_code_rate_per_s: 0.02,
            phone_code_burst: 10,
            orders_kept_days: 365,
            log: log(),
        };
        change(&mut settings);
        start_gateway(gateway_listener, &shutdown);
        let checkout = start_checkout(&settings, &shutdown).await;
        Self { pool, checkout, gateway, key, settings, shutdown, jwks }
    }

    /// One more checkout on the same database.
    pub(crate) async fn one_more_checkout(&self) -> SocketAddr {
        start_checkout(&self.settings, &self.shutdown).await
    }

    /// One more checkout process with a role.
    pub(crate) async fn one_more_as(&self, role: ProcessRole) -> SocketAddr {
        start_checkout(&Settings { role, ..self.settings.clone() }, &self.shutdown).await
    }

    /// The file with this shop's public keys.
    pub(crate) fn jwks_path(&self) -> &std::path::Path {
        self.jwks.path()
    }

    /// An open sale of `total` units at 12.34 EUR, three for each shopper.
    pub(crate) async fn sale(&self, total: i32) -> SaleId {
        let id = Uuid::new_v4();
        sqlx::query(
            "WITH sale AS (INSERT INTO sales (id, slug, name, price_minor, currency, per_shopper_limit, status, \
             rate_cap_per_s, token_ttl_s, claim_window_s, hold_s, opens_at) \
             VALUES ($1, 'drop-' || left($1::text, 8), 'The drop', 1234, 'EUR', 3, 'open', 10, 120, 15, 300, now()) RETURNING id), \
             line AS (INSERT INTO lines (id, sale_id) SELECT id, id FROM sale), \
             item AS (INSERT INTO items (sale_id, item) SELECT id, 1 FROM sale), \
             counters AS (INSERT INTO sale_counters (sale_id) SELECT id FROM sale) \
             INSERT INTO stock (sale_id, item, total) SELECT id, 1, $2 FROM sale",
        )
        .bind(id)
        .bind(total)
        .execute(&self.pool)
        .await
        .expect("a sale");
        SaleId(id)
    }

    /// Admits a shopper, as the controller does.
    pub(crate) async fn admit(&self, sale: SaleId) -> Shopper {
        self.admit_as(sale, AdmissionSetup::default()).await
    }

    pub(crate) async fn admit_as(&self, sale: SaleId, admission: AdmissionSetup) -> Shopper {
        self.admit_visitor(sale, admission, VisitorId(*Uuid::new_v4().as_bytes())).await
    }

    /// Admits a shopper once more, with another ticket.
    pub(crate) async fn admit_again(&self, shopper: &Shopper, quantity: i32) -> Shopper {
        let visitor = shopper.claims.sub.parse().expect("a visitor");
        self.admit_visitor(shopper.claims.sale, AdmissionSetup { quantity, ..AdmissionSetup::default() }, visitor).await
    }

    async fn admit_visitor(&self, sale: SaleId, admission: AdmissionSetup, visitor: VisitorId) -> Shopper {
        let id = Uuid::new_v4();
        let mut transaction = self.pool.begin().await.expect("a transaction");
        // First, since it also keeps two from getting the same ordinal.
        sqlx::query("UPDATE stock SET promised = promised + $2 WHERE sale_id = $1")
            .bind(sale.0)
            .bind(admission.quantity)
            .execute(&mut *transaction)
            .await
            .expect("a promise");
        let ordinal: i64 = sqlx::query_scalar(
            "INSERT INTO admissions (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, issued_at, claim_by, claimed_at, expires_at) \
             SELECT $1, $2, $2, 1, coalesce(max(ordinal), 0) + 1, $3, $4, $5, now(), now(), now(), now() + make_interval(secs => $6) \
             FROM admissions WHERE sale_id = $2 RETURNING ordinal",
        )
        .bind(id)
        .bind(sale.0)
        .bind(&visitor.0[..])
        .bind(admission.quantity)
        .bind(self.key.kid())
        .bind(admission.row_expires_in as f64)
        .fetch_one(&mut *transaction)
        .await
        .expect("an admission");
        transaction.commit().await.expect("committed");

        let now = OffsetDateTime::now_utc().unix_timestamp();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: visitor.to_string(),
            jti: id,
            sale,
            qty: admission.quantity.unsigned_abs(),
            iat: now,
            exp: now + admission.token_expires_in,
        };
        let ticket = Ticket { sale, epoch: 1, ordinal: ordinal.unsigned_abs(), visitor };
        let key: TicketKey = TICKET_KEY.parse().expect("a ticket key");
        let cookie = format!("{}={}", cookie_name(sale), key.sign(&ticket));
        Shopper { token: self.key.mint(&claims), claims, cookie }
    }

    /// Redeems a shopper's token for `quantity` units.
    pub(crate) async fn purchase(&self, shopper: &Shopper, quantity: i32) -> Reply {
        self.purchase_at(self.checkout, shopper, quantity).await.expect("a response")
    }

    pub(crate) async fn purchase_at(&self, checkout: SocketAddr, shopper: &Shopper, quantity: i32) -> Option<Reply> {
        let path = format!("/api/flash-sales/{}/purchase", shopper.claims.sale);
        let bearer = format!("Bearer {}", shopper.token);
        let headers = [("authorization", bearer.as_str()), ("cookie", shopper.cookie.as_str())];
        call(checkout, "POST", &path, &headers, &format!(r#"{{"quantity":{quantity}}}"#)).await
    }

    /// A shopper with a hold on one unit, and the id of the order.
    pub(crate) async fn hold(&self, sale: SaleId) -> (Shopper, Uuid) {
        let shopper = self.admit(sale).await;
        let answer = self.purchase(&shopper, 1).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let id = answer.body["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        (shopper, id)
    }

    pub(crate) async fn pay(&self, shopper: &Shopper, order: Uuid, payment_method: &str) -> Reply {
        let path = format!("/api/orders/{order}/payment");
        let body = format!(r#"{{"payment_method":"{payment_method}"}}"#);
        call(self.checkout, "POST", &path, &[("cookie", &shopper.cookie)], &body).await.expect("a response")
    }

    pub(crate) async fn order(&self, shopper: &Shopper, order: Uuid) -> Reply {
        let path = format!("/api/orders/{order}");
        call(self.checkout, "GET", &path, &[("cookie", &shopper.cookie)], "").await.expect("a response")
    }

    /// Waits until an order has this status.
    pub(crate) async fn order_becomes(&self, shopper: &Shopper, order: Uuid, status: &str) {
        eventually(|| async {
            let answer = self.order(shopper, order).await;
            if answer.body["status"] == status { Ok(()) } else { Err(answer.body) }
        })
        .await;
    }

    pub(crate) async fn stock(&self, sale: SaleId) -> StockCounts {
        let stock = sqlx::query_as("SELECT total, promised, held, sold FROM stock WHERE sale_id = $1").bind(sale.0);
        stock.fetch_one(&self.pool).await.expect("a stock")
    }

    /// Changes the database as only time, or another actor, would.
    pub(crate) async fn change(&self, sql: &'static str, id: Uuid) {
        let done = sqlx::query(sql).bind(id).execute(&self.pool).await.expect("done");
        assert!(done.rows_affected() > 0, "nothing was changed: {sql}");
    }

    /// The states of an order's payments, the oldest first.
    pub(crate) async fn payments(&self, order: Uuid) -> Vec<String> {
        let states =
            sqlx::query_scalar("SELECT state FROM payments WHERE hold_id = $1 ORDER BY created_at").bind(order);
        states.fetch_all(&self.pool).await.expect("payments")
    }

    /// The gateway's states of an order's payments that it knows.
    pub(crate) async fn at_the_gateway(&self, order: Uuid) -> Vec<String> {
        let references: Vec<String> = sqlx::query_scalar(
            "SELECT gateway_ref FROM payments WHERE hold_id = $1 AND gateway_ref IS NOT NULL ORDER BY created_at",
        )
        .bind(order)
        .fetch_all(&self.pool)
        .await
        .expect("references");
        let distinct: BTreeSet<&String> = references.iter().collect();
        assert_eq!(distinct.len(), references.len());
        let mut seen = Vec::new();
        for reference in references {
            let path = format!("/v1/payment_intents/{reference}");
            let intent = call(self.gateway, "GET", &path, &[("authorization", "Bearer sk_test")], "").await;
            let intent = intent.expect("a response").body;
            let is_refunded = intent["latest_charge"]["refunded"] == true;
            seen.push(if is_refunded { "refunded" } else { intent["status"].as_str().expect("a status") }.to_owned());
        }
        seen
    }

    /// Waits until the gateway reports these states for an order's payments.
    pub(crate) async fn gateway_shows(&self, order: Uuid, intents: &[&str]) {
        eventually(|| async {
            let seen = self.at_the_gateway(order).await;
            if seen == intents { Ok(()) } else { Err(seen) }
        })
        .await;
    }

    /// The published events of an order, as kind and data, in order.
    pub(crate) async fn events_of(&self, order: Uuid) -> Vec<(String, Value)> {
        sqlx::query_as(
            "SELECT kind, event::jsonb - 'traceparent' FROM outbox, json_array_elements(data) AS event \
             WHERE event->>'order_id' = $1 ORDER BY number",
        )
        .bind(order.to_string())
        .fetch_all(&self.pool)
        .await
        .expect("the outbox")
    }

    /// The invariants of every sale, whatever was done to it: each counter equals the sum of its
    /// rows, every captured payment is an order, and each event was published once, as documented.
    pub(crate) async fn stock_is_reconciled(&self) {
        let wrong: Vec<String> = sqlx::query_scalar(
            "SELECT format('%s: %s', stock.sale_id, to_json(stock)) FROM stock WHERE \
             promised <> (SELECT coalesce(sum(quantity), 0) FROM admissions WHERE sale_id = stock.sale_id AND state = 'promised') \
             + (SELECT coalesce(sum(quantity), 0) FROM holds WHERE sale_id = stock.sale_id AND state = 'promised') \
             OR held <> (SELECT coalesce(sum(quantity), 0) FROM holds WHERE sale_id = stock.sale_id AND state = 'held') \
             OR sold <> (SELECT coalesce(sum(quantity), 0) FROM orders WHERE sale_id = stock.sale_id) \
             OR held + sold > total \
             UNION ALL SELECT format('account %s has %s of %s', account_id, units, most) FROM allowances WHERE units <> ( \
             SELECT coalesce(sum(quantity), 0) FROM holds WHERE holds.sale_id = allowances.sale_id \
             AND holds.account_id = allowances.account_id AND state NOT IN ('expired', 'cancelled')) \
             UNION ALL SELECT format('visitor %s has %s of %s', encode(visitor, 'hex'), units, most) FROM shopper_allowances, \
             LATERAL (SELECT coalesce(sum(quantity), 0) AS held FROM holds WHERE holds.sale_id = shopper_allowances.sale_id \
             AND admission_id IS NOT NULL AND holds.visitor = shopper_allowances.visitor AND state NOT IN ('expired', 'cancelled')) AS rows \
             WHERE units < rows.held OR units > rows.held AND NOT EXISTS ( \
             SELECT FROM holds WHERE holds.sale_id = shopper_allowances.sale_id AND visitor = decode(repeat('00', 16), 'hex')) \
             UNION ALL SELECT format('payment %s is %s', payments.id, payments.state) FROM payments \
             LEFT JOIN orders ON orders.payment_id = payments.id WHERE (payments.state = 'captured') <> (orders.id IS NOT NULL) \
             UNION ALL SELECT format('hold %s is %s', holds.id, holds.state) FROM holds \
             LEFT JOIN orders ON orders.id = holds.id WHERE (holds.state = 'paid') <> (orders.id IS NOT NULL) \
             UNION ALL SELECT format('payment %s is %s, published %s times', payments.id, payments.state, published.times) FROM payments, \
             LATERAL (SELECT count(*) AS times FROM outbox, json_array_elements(data) AS event WHERE event->>'payment_id' = payments.id::text \
             AND kind = CASE payments.state WHEN 'captured' THEN 'PurchaseCompleted' ELSE 'PaymentRefunded' END) AS published \
             WHERE published.times <> (payments.state IN ('captured', 'refunded'))::integer \
             UNION ALL SELECT format('payment %s gave back %s, published %s', payments.id, refunded_minor, published.minor) FROM payments, \
             LATERAL (SELECT coalesce(sum(CASE kind WHEN 'PaymentRefunded' THEN 1 ELSE -1 END * (event->>'amount_minor')::bigint), 0) AS minor \
                FROM outbox, json_array_elements(data) AS event WHERE event->>'payment_id' = payments.id::text \
                AND kind IN ('PaymentRefunded', 'RefundFailed')) AS published WHERE published.minor <> refunded_minor \
             UNION ALL SELECT format('%s has %s events, of which %s are kept', counters.sale_id, events, kept.count) \
             FROM sale_counters AS counters, \
             LATERAL (SELECT coalesce(sum(json_array_length(data)), 0) AS count FROM outbox WHERE sale_id = counters.sale_id) AS kept \
             WHERE events <> kept.count \
             UNION ALL SELECT format('%s counts %s orders and has %s', counters.sale_id, orders, paid.count) \
             FROM sale_counters AS counters, \
             LATERAL (SELECT count(*) AS count FROM orders WHERE sale_id = counters.sale_id) AS paid WHERE orders <> paid.count",
        )
        .fetch_all(&self.pool)
        .await
        .expect("the reconciliation");
        assert!(wrong.is_empty(), "{wrong:#?}");
        let seen: Vec<(Uuid, i64, String, Value, OffsetDateTime)> =
            sqlx::query_as("SELECT sale_id, number, kind, data, happened_at FROM outbox")
                .fetch_all(&self.pool)
                .await
                .expect("the outbox");
        let undocumented: Vec<String> = seen
            .iter()
            .flat_map(|(sale, number, kind, data, time)| {
                let row = StoredEvents { sale: SaleId(*sale), number: *number, kind, data, time: *time };
                schema::wrong_in_row(row)
            })
            .collect();
        assert!(undocumented.is_empty(), "{undocumented:#?}");
    }
}

/// Starts a checkout, and waits until it responds.
pub(crate) async fn start_checkout(settings: &Settings, shutdown: &Shutdown) -> SocketAddr {
    let (listener, address) = listener().await;
    let running = tokio::spawn(checkout::run(settings.clone(), listener, shutdown.clone()));
    eventually(|| async {
        assert!(!running.is_finished(), "checkout did not start");
        call(address, "GET", "/health/live", &[], "").await.map(drop).ok_or("no response")
    })
    .await;
    address
}
