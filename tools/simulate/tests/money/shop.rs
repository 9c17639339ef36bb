//! A shop: checkout's payments over a real Postgres and the model of the gateway, and what must
//! hold of their rows.

use checkout::testing::DirectPayments;
use fairline_payment_gateway::IntentStatus;
use fairline_private_servers::testing::database_url;
use fairline_sale::SaleId;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use uuid::Uuid;

use crate::gateway::{GatewayState, ModelGateway};

pub(crate) const AMOUNT_MINOR: i64 = 1234;
const UNITS: i32 = 4;
const HOLD_S: f64 = 300.0;
/// How long an unanswered payment may keep an expired hold, and the time that a seed has taken.
const KEEPS_HOLD_S: f64 = 900.0 + 60.0;

/// Wrong after each step: a captured payment without an order, and the reverse; a counter that
/// differs from its rows.
const WRONG: &str = "SELECT format('captured without an order: payment %s', payments.id) FROM payments \
    JOIN holds ON holds.id = hold_id LEFT JOIN orders ON orders.payment_id = payments.id \
    WHERE holds.sale_id = $1 AND payments.state = 'captured' AND orders.id IS NULL \
    UNION ALL SELECT format('order without a capture: %s', orders.id) FROM orders \
    JOIN payments ON payments.id = payment_id WHERE orders.sale_id = $1 AND payments.state <> 'captured' \
    UNION ALL SELECT format('stock differs: %s', to_json(stock)) FROM stock WHERE sale_id = $1 AND (\
    held <> (SELECT coalesce(sum(quantity), 0) FROM holds WHERE sale_id = stock.sale_id AND state = 'held') \
    OR sold <> (SELECT coalesce(sum(quantity), 0) FROM orders WHERE sale_id = stock.sale_id) OR held + sold > total)";

/// Whether an authorisation may begin: the units are held, and the payment is neither late nor
/// ended.
const MAY_BEGIN: &str = "SELECT payments.state = 'started' AND holds.state = 'held' \
    AND payments.created_at <= holds.expires_at \
    AND (holds.expires_at > now() OR payments.created_at > now() - make_interval(secs => $2)) \
    FROM payments JOIN holds ON holds.id = hold_id WHERE payments.id = $1";

/// Time passes by moving all times of a sale back.
const PASS: [&str; 3] = [
    "UPDATE payments SET created_at = created_at - make_interval(secs => $2), call_until = call_until - make_interval(secs => $2), \
     updated_at = updated_at - make_interval(secs => $2), settle_at = settle_at - make_interval(secs => $2) \
     WHERE hold_id IN (SELECT id FROM holds WHERE sale_id = $1)",
    "UPDATE holds SET expires_at = expires_at - make_interval(secs => $2) WHERE sale_id = $1",
    "UPDATE order_requests SET due_at = due_at - make_interval(secs => $2) WHERE sale_id = $1",
];

/// What is unfinished: payments that have not ended, settlements, requests.
const UNFINISHED: &str = "SELECT format('payment %s is %s, settle at %s', payments.id, payments.state, settle_at) FROM payments \
    JOIN holds ON holds.id = hold_id \
    WHERE sale_id = $1 AND (payments.state IN ('started', 'authorised', 'refund_due') OR settle_at IS NOT NULL) \
    UNION ALL SELECT format('request %s is due at %s', id, due_at) FROM order_requests WHERE sale_id = $1 AND state = 'requested'";

pub(crate) struct Shop {
    pool: PgPool,
    pub(crate) payments: DirectPayments,
    pub(crate) gateway: ModelGateway,
}

impl Shop {
    /// A shop with a database of its own, changed by these statements.
    pub(crate) async fn open(changes: String) -> Self {
        let url = tokio::task::spawn_blocking(database_url).await.expect("a database");
        let pool = PgPoolOptions::new().max_connections(1).connect(&url).await.expect("a connection");
        sqlx::migrate!("../../migrations").run(&pool).await.expect("a schema");
        sqlx::raw_sql(AssertSqlSafe(changes)).execute(&pool).await.expect("the changes");
        let gateway = ModelGateway::default();
        let payments = DirectPayments::open(&url, Box::new(gateway.clone())).expect("a URL");
        Self { pool, payments, gateway }
    }

    /// An open sale whose units are all held; in yield mode, two more are promised. Rows of earlier
    /// stories, which a violation has ended, are deleted.
    pub(crate) async fn sale(&self, is_yield: bool) -> (SaleId, Vec<Uuid>) {
        let empty = "TRUNCATE holds, payments, orders, order_requests CASCADE";
        sqlx::query(empty).execute(&self.pool).await.expect("an empty shop");
        let sale = Uuid::new_v4();
        let orders: Vec<Uuid> = (0..if is_yield { UNITS + 2 } else { UNITS }).map(|_| Uuid::new_v4()).collect();
        sqlx::query(
            "WITH sale AS (INSERT INTO sales (id, slug, name, price_minor, currency, per_shopper_limit, status, mode, \
             rate_cap_per_s, token_ttl_s, claim_window_s, hold_s, opens_at) VALUES ($1, 'drop-' || left($1::text, 8), 'The drop', \
             $2, 'EUR', 3, 'open', CASE WHEN $3 THEN 'yield' ELSE 'guarantee' END, 10, 120, 15, 300, now()) RETURNING id), \
             line AS (INSERT INTO lines (id, sale_id) SELECT id, id FROM sale), \
             item AS (INSERT INTO items (sale_id, item) SELECT id, 1 FROM sale), \
             counters AS (INSERT INTO sale_counters (sale_id) SELECT id FROM sale) \
             INSERT INTO stock (sale_id, item, total, promised, held, overbook) \
             SELECT id, 1, $4, CASE WHEN $3 THEN $4 + 2 ELSE 0 END, CASE WHEN $3 THEN 0 ELSE $4 END, $4 + 2 FROM sale",
        )
        .bind(sale)
        .bind(AMOUNT_MINOR)
        .bind(is_yield)
        .bind(UNITS)
        .execute(&self.pool)
        .await
        .expect("a sale");
        for (at, &order) in orders.iter().enumerate() {
            sqlx::query(
                "INSERT INTO holds (id, reserved_as, sale_id, visitor, quantity, amount_minor, currency, state, expires_at) \
                 VALUES ($1, $2, $3, uuid_send($1), 1, $4, 'EUR', CASE WHEN $5 THEN 'promised' ELSE 'held' END, now() + make_interval(secs => $6))",
            )
            .bind(order)
            .bind(format!("reservation {at}"))
            .bind(sale)
            .bind(AMOUNT_MINOR)
            .bind(is_yield)
            .bind(HOLD_S)
            .execute(&self.pool)
            .await
            .expect("a hold");
        }
        (SaleId(sale), orders)
    }

    pub(crate) async fn pass(&self, sale: SaleId, seconds: u64) {
        for statement in PASS {
            let passes = sqlx::query(statement).bind(sale.0).bind(seconds as f64);
            passes.execute(&self.pool).await.expect("time passes");
        }
        self.gateway.state().now_s += seconds;
    }

    /// Another shopper is promised a free unit.
    pub(crate) async fn promise(&self, sale: SaleId) {
        let statement =
            "UPDATE stock SET promised = promised + 1 WHERE sale_id = $1 AND promised + held + sold < total";
        sqlx::query(statement).bind(sale.0).execute(&self.pool).await.expect("a promise");
    }

    pub(crate) async fn close(&self, sale: SaleId) {
        let statement = "UPDATE sales SET status = 'closed' WHERE id = $1";
        sqlx::query(statement).bind(sale.0).execute(&self.pool).await.expect("closed");
    }

    /// All payments of an order so far.
    pub(crate) async fn payments_of(&self, order: Uuid) -> Vec<Uuid> {
        let ids = sqlx::query_scalar("SELECT id FROM payments WHERE hold_id = $1").bind(order);
        ids.fetch_all(&self.pool).await.expect("payments")
    }

    /// Checks what holds after each step.
    pub(crate) async fn check(&self, sale: SaleId) {
        let wrong: Vec<String> = sqlx::query_scalar(WRONG).bind(sale.0).fetch_all(&self.pool).await.expect("the rows");
        let begun = std::mem::take(&mut self.gateway.state().begun);
        for (payment, _) in begun {
            let may_begin = sqlx::query_scalar(MAY_BEGIN).bind(payment).bind(KEEPS_HOLD_S);
            let may_begin: bool = may_begin.fetch_one(&self.pool).await.expect("a payment");
            if !may_begin {
                let why = format!("begun too late: the authorisation of {payment} after the end of its hold");
                self.gateway.state().breaks(why);
            }
        }
        if let Some(wrong) = wrong.into_iter().next() {
            self.gateway.state().breaks(wrong);
        }
    }

    /// What has not come to rest.
    pub(crate) async fn unfinished(&self, sale: SaleId) -> Option<String> {
        sqlx::query_scalar(UNFINISHED).bind(sale.0).fetch_optional(&self.pool).await.expect("the rows")
    }

    /// Compares the rows with the gateway when everything is at rest.
    pub(crate) async fn check_at_rest(&self, sale: SaleId) {
        let rows: Vec<(Uuid, String, i64)> = sqlx::query_as(
            "SELECT payments.id, payments.state, refunded_minor FROM payments JOIN holds ON holds.id = hold_id WHERE sale_id = $1",
        )
        .bind(sale.0)
        .fetch_all(&self.pool)
        .await
        .expect("the payments");
        let mut state = self.gateway.state();
        let found = rows.iter().find_map(|row| difference(&state, row));
        found.into_iter().for_each(|why| state.breaks(why));
        rows.into_iter().for_each(|(_, ended, _)| *state.ended.entry(ended).or_default() += 1);
    }
}

/// The difference between a payment's row and its intent.
fn difference(gateway: &GatewayState, (id, state, refunded): &(Uuid, String, i64)) -> Option<String> {
    let Some(intent) = gateway.intents.get(id) else {
        let is_charged = matches!(state.as_str(), "captured" | "refunded");
        return is_charged.then(|| format!("order without a capture: {id} is {state}, and unknown to the gateway"));
    };
    let (returned, is_captured) = (intent.refunded(), intent.status == IntentStatus::Captured);
    let about = format!("{id} is {state}, its intent is {:?}, and {returned} are refunded", intent.status);
    if returned > intent.amount {
        return Some(format!("refund above the capture: {about}"));
    }
    match state.as_str() {
        "captured" if !is_captured => Some(format!("order without a capture: {about}")),
        "captured" if returned != *refunded => Some(format!("refund differs: {about}")),
        "captured" => None,
        _ if is_captured && returned < intent.amount => Some(format!("captured without an order: {about}")),
        _ if !is_captured && intent.status != IntentStatus::Cancelled => Some(format!("not released: {about}")),
        _ => None,
    }
}
