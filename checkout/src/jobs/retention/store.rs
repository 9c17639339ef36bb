//! Retention: what is forgotten in time, and personal data that is forgotten on request. What leads to somebody is the visitor, whom a
//! ticket cookie names, what was paid with, and what the shop calls a reservation or a payment. Units and amounts stay, for the books.
//!
//! Every rule finds what is due by an index on its age, changes a bounded number of rows, and passes over rows that another process has
//! locked: any number of processes may keep the rules at once, and one with nothing to do costs a look at an index.

use fairline_postgres::PgConnection;
use tracing::warn;
use uuid::Uuid;

use crate::{
    accounts::account::AccountId,
    auth::caller::Holders,
    db::{Store, StoreError},
    orders::store::{account, column},
};

/// Rows that one statement changes at most.
const AT_ONCE: i64 = 5000;
/// How often a pass repeats a statement that has found so many.
const TIMES_MAX: u32 = 20;
/// The visitor that nobody is, since ids are random. The rules say it as text: an index is used where the condition is its own.
pub(crate) const NOBODY: [u8; 16] = [0; 16];

/// How long rows are kept as they are.
#[derive(Debug, Clone, Copy)]
enum Kept {
    Days(i32),
    /// As long as orders lead to those who made them.
    AsOrders,
}

/// What is done to the rows of a table that were kept long enough: with those older than `$1` days, `$2` of them at most.
struct Rule {
    table: &'static str,
    kept: Kept,
    statement: &'static str,
}

/// A rule for rows by their age. By physical addresses, so that no plan reads the table; in the order of an index on their age, so that
/// no estimate makes it do so either.
macro_rules! rule {
    ($kept:expr, $does:literal, $table:literal, $age:literal, $due:literal) => {
        Rule {
            table: $table,
            kept: $kept,
            statement: concat!(
                $does,
                " WHERE ctid = ANY (ARRAY (SELECT ctid FROM ",
                $table,
                " WHERE ",
                $age,
                " < now() - make_interval(days => $1) ",
                $due,
                " ORDER BY ",
                $age,
                " LIMIT $2 FOR UPDATE SKIP LOCKED))"
            ),
        }
    };
}

/// What becomes of rows that lead to somebody.
const UNLINKED: [Rule; 5] = [
    rule!(
        Kept::AsOrders,
        "UPDATE payments SET payment_method = ''",
        "payments",
        "created_at",
        "AND payment_method <> '' AND state NOT IN ('started', 'authorised', 'refund_due')"
    ),
    rule!(
        Kept::AsOrders,
        "UPDATE orders SET visitor = '\\x00000000000000000000000000000000', paid_as = CASE WHEN paid_as IS NOT NULL THEN 'forgotten' END",
        "orders",
        "paid_at",
        "AND (visitor <> '\\x00000000000000000000000000000000' OR paid_as <> 'forgotten')"
    ),
    rule!(
        Kept::AsOrders,
        "UPDATE holds SET visitor = '\\x00000000000000000000000000000000', account_id = NULL, \
         reserved_as = CASE WHEN reserved_as IS NOT NULL THEN 'forgotten ' || id END",
        "holds",
        "created_at",
        "AND state NOT IN ('promised', 'held') AND (visitor <> '\\x00000000000000000000000000000000' \
         OR account_id IS NOT NULL OR reserved_as <> 'forgotten ' || id::text)"
    ),
    rule!(
        Kept::AsOrders,
        "UPDATE interventions SET visitor = '\\x00000000000000000000000000000000'",
        "interventions",
        "at",
        "AND visitor <> '\\x00000000000000000000000000000000' AND (kind = 'removed' OR done)"
    ),
    rule!(
        Kept::AsOrders,
        "UPDATE admissions SET visitor = '\\x00000000000000000000000000000000'",
        "admissions",
        "issued_at",
        "AND visitor <> '\\x00000000000000000000000000000000' AND state <> 'promised'"
    ),
];

/// What becomes of accounts.
const ACCOUNTS: [Rule; 5] = [
    rule!(Kept::Days(1), "DELETE FROM sign_ins", "sign_ins", "created_at", ""),
    // A session ends with its last token.
    Rule {
        table: "refresh_tokens",
        kept: Kept::Days(0),
        statement: "WITH ended AS (DELETE FROM refresh_tokens WHERE ctid = ANY (ARRAY (SELECT ctid FROM refresh_tokens \
             WHERE expires_at < now() - make_interval(days => $1) ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)) \
             RETURNING session_id), \
             gone AS (DELETE FROM sessions WHERE id = ANY (ARRAY (SELECT DISTINCT session_id FROM ended)) AND NOT EXISTS ( \
                SELECT FROM refresh_tokens WHERE session_id = sessions.id AND expires_at >= now())) \
             SELECT FROM ended",
    },
    rule!(Kept::AsOrders, "DELETE FROM accounts", "accounts", "seen_at", ""),
    rule!(Kept::AsOrders, "DELETE FROM allowances", "allowances", "changed_at", ""),
    rule!(Kept::AsOrders, "DELETE FROM shopper_allowances", "shopper_allowances", "changed_at", ""),
];

/// What becomes of what was told, and of what was heard.
const MEMORIES: [Rule; 6] = [
    // For a Redis that has lost them; those that it was never told are kept until it is.
    Rule {
        table: "outbox",
        kept: Kept::Days(7),
        statement: "DELETE FROM outbox WHERE ctid = ANY (ARRAY (SELECT outbox.ctid FROM outbox JOIN relays USING (sale_id) \
             WHERE happened_at < now() - make_interval(days => $1) AND outbox.number <= relays.number \
             ORDER BY happened_at LIMIT $2 FOR UPDATE OF outbox SKIP LOCKED))",
    },
    rule!(Kept::Days(7), "DELETE FROM deliveries", "deliveries", "due_at", "AND state <> 'waiting'"),
    // Nobody waits for what a webhook was to be told that is switched off.
    Rule {
        table: "deliveries",
        kept: Kept::Days(0),
        statement: "UPDATE deliveries SET state = 'given_up', due_at = now() WHERE ctid = ANY (ARRAY (SELECT waiting.address FROM webhooks, \
             LATERAL (SELECT ctid AS address FROM deliveries WHERE webhook_id = webhooks.id AND state = 'waiting' LIMIT $2 \
                FOR UPDATE SKIP LOCKED) AS waiting WHERE off_at <= now() - make_interval(days => $1) LIMIT $2))",
    },
    // For so long none is said twice.
    rule!(Kept::Days(8), "DELETE FROM letters", "letters", "due_at", "AND state NOT IN ('waiting', 'sending')"),
    // For longer than any company repeats itself.
    rule!(Kept::Days(7), "DELETE FROM gateway_events", "gateway_events", "heard_at", ""),
    // Of sales that were closed. Reminders stand by lines, so that one look finds the next line that has any.
    Rule {
        table: "reminders",
        kept: Kept::Days(0),
        statement: "WITH RECURSIVE reminded (line_id) AS ( \
                (SELECT line_id FROM reminders ORDER BY line_id LIMIT 1) UNION ALL \
                SELECT (SELECT line_id FROM reminders WHERE line_id > reminded.line_id ORDER BY line_id LIMIT 1) \
                FROM reminded WHERE line_id IS NOT NULL \
             ) \
             DELETE FROM reminders WHERE ctid = ANY (ARRAY (SELECT over.address FROM reminded JOIN lines ON lines.id = line_id \
             JOIN sales ON sales.id = sale_id AND status = 'closed' AND $1 = 0, \
             LATERAL (SELECT ctid AS address FROM reminders WHERE line_id = lines.id ORDER BY line_id, account_id LIMIT $2) AS over LIMIT $2))",
    },
];

impl Store {
    /// Unlinks orders, and what led to them, from those who made them more than so many days ago: some of them. Gives how many
    /// rows that were.
    pub(crate) async fn unlink_old(&self, days: u32) -> Result<u64, StoreError> {
        self.keep(&UNLINKED, days).await
    }

    /// Forgets codes of yesterday and refresh tokens that have run out; accounts, and what they have bought, of which nothing was
    /// heard for so many days.
    pub(crate) async fn forget_old_accounts(&self, days: u32) -> Result<u64, StoreError> {
        self.keep(&ACCOUNTS, days).await
    }

    /// Forgets events, messages to webhooks, letters, reminders, and what the gateway has told of, that were kept long enough.
    pub(crate) async fn forget_memories(&self) -> Result<u64, StoreError> {
        self.keep(&MEMORIES, 0).await
    }

    /// Keeps each rule, whatever becomes of the others. Gives how many rows were changed, or what became of the last that failed.
    async fn keep(&self, rules: &[Rule], orders_kept_days: u32) -> Result<u64, StoreError> {
        let (mut changed, mut failed) = (0, None);
        for rule in rules {
            let days = match rule.kept {
                Kept::Days(days) => days,
                Kept::AsOrders => i32::try_from(orders_kept_days).unwrap_or(i32::MAX),
            };
            for _ in 0..TIMES_MAX {
                match sqlx::query(rule.statement).bind(days).bind(AT_ONCE).execute(&self.background).await {
                    Ok(done) => {
                        changed += done.rows_affected();
                        if done.rows_affected() < AT_ONCE.unsigned_abs() {
                            break;
                        }
                    }
                    Err(error) => {
                        warn!(table = rule.table, %error, "forget old rows failed");
                        failed = Some(error.into());
                        break;
                    }
                }
            }
        }
        failed.map_or(Ok(changed), Err)
    }

    /// Unlinks those orders of these holders that have ended. Gives how many that were.
    pub(crate) async fn forget(&self, holders: &Holders) -> Result<u64, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let ended: Vec<Uuid> = sqlx::query_scalar(
            "SELECT id FROM holds WHERE (visitor = ANY ($1) OR account_id = $2) AND state NOT IN ('promised', 'held') AND NOT EXISTS (SELECT FROM payments \
             WHERE hold_id = holds.id AND state IN ('started', 'authorised', 'refund_due'))",
        )
        .bind(column(holders))
        .bind(account(holders))
        .fetch_all(&mut *transaction)
        .await?;
        unlink(&mut transaction, &ended).await?;
        transaction.commit().await?;
        Ok(ended.len() as u64)
    }

    /// Forgets, for the shop, who made an order; or under an account's id the account, and who made its orders.
    pub(crate) async fn erase(&self, id: Uuid) -> Result<Erased, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let ended: Option<bool> = sqlx::query_scalar(
            "SELECT state NOT IN ('promised', 'held') AND NOT EXISTS (SELECT FROM payments WHERE hold_id = holds.id \
             AND state IN ('started', 'authorised', 'refund_due')) FROM holds WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
        match ended {
            Some(true) => {
                unlink(&mut transaction, &[id]).await?;
                transaction.commit().await?;
                return Ok(Erased::Orders(1));
            }
            Some(false) => return Ok(Erased::UnderWay),
            None => {}
        }
        let is_one: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM accounts WHERE id = $1) OR EXISTS (SELECT FROM holds WHERE account_id = $1)",
        )
        .bind(id)
        .fetch_one(&mut *transaction)
        .await?;
        drop(transaction);
        if !is_one {
            return Ok(Erased::Unknown);
        }
        Ok(self.forget_account(AccountId(id)).await?.map_or(Erased::UnderWay, Erased::Orders))
    }
}

/// What became of the shop's wish to have somebody forgotten.
#[derive(Debug)]
pub(crate) enum Erased {
    /// So many orders no longer lead to anybody.
    Orders(u64),
    /// One has not ended.
    UnderWay,
    /// There is neither an order nor an account under this id.
    Unknown,
}

/// Unlinks holds, and what led to them and came of them, from whoever made them.
pub(crate) async fn unlink(connection: &mut PgConnection, holds: &[Uuid]) -> Result<(), StoreError> {
    for visitors in [
        "UPDATE admissions SET visitor = $2 WHERE id IN (SELECT admission_id FROM holds WHERE id = ANY ($1))",
        "UPDATE interventions SET visitor = $2 WHERE visitor IN (SELECT visitor FROM holds WHERE id = ANY ($1)) AND (kind = 'removed' OR done)",
        "UPDATE holds SET visitor = $2, account_id = NULL, reserved_as = CASE WHEN reserved_as IS NOT NULL THEN 'forgotten ' || id END \
         WHERE id = ANY ($1)",
        "UPDATE orders SET visitor = $2, paid_as = CASE WHEN paid_as IS NOT NULL THEN 'forgotten' END WHERE id = ANY ($1)",
    ] {
        sqlx::query(visitors).bind(holds).bind(&NOBODY[..]).execute(&mut *connection).await?;
    }
    let paid_with = sqlx::query("UPDATE payments SET payment_method = '' WHERE hold_id = ANY ($1)");
    paid_with.bind(holds).execute(connection).await?;
    Ok(())
}
