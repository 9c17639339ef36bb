//! Retention: deletes or anonymises old rows, and personal data on request.
//!
//! - Personal data: the visitor id of the ticket cookie, the payment method, and the merchant's own
//!   names of reservations and payments. Units and amounts are kept for accounting.
//! - Each rule finds due rows by an index on their age, changes a bounded number, and skips rows
//!   that another process has locked. So any number of processes may run the rules, and an idle run
//!   costs one index lookup.

use tracing::warn;

use crate::db::{PgPool, StoreError};

/// Rows that one statement changes, at most.
const AT_ONCE: i64 = 5000;
/// How often a run repeats a statement that has changed the maximum.
const TIMES_MAX: u32 = 20;
/// How long rows are kept unchanged.
#[derive(Debug, Clone, Copy)]
enum RetentionPeriod {
    Days(i32),
    /// For as long as orders are linked to their shoppers.
    AsOrders,
}

/// A statement for the expired rows of a table: rows older than `$1` days, at most `$2` of them.
struct Rule {
    table: &'static str,
    kept: RetentionPeriod,
    statement: &'static str,
}

/// A rule for rows by age. It selects by physical address, so that no plan scans the table, and in
/// the order of an index on the age, so that no bad estimate leads to a scan either.
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

/// A rule for the purchase counts of closed sales. Counts of a sale that is not closed are dated
/// anew, so that the limit per person holds in it for however long it is open.
macro_rules! counts_rule {
    ($table:literal) => {
        Rule {
            table: $table,
            kept: RetentionPeriod::AsOrders,
            statement: concat!(
                "WITH old AS (SELECT ctid AS address, sale_id FROM ",
                $table,
                " WHERE changed_at < now() - make_interval(days => $1) ORDER BY changed_at LIMIT $2 FOR UPDATE SKIP LOCKED), \
                 kept AS (UPDATE ",
                $table,
                " SET changed_at = now() WHERE ctid = ANY (ARRAY (SELECT address FROM old JOIN sales ON id = sale_id \
                 WHERE status <> 'closed'))) DELETE FROM ",
                $table,
                " WHERE ctid = ANY (ARRAY (SELECT address FROM old JOIN sales ON id = sale_id WHERE status = 'closed'))"
            ),
        }
    };
}

/// Rules that anonymise rows.
const UNLINKED: [Rule; 5] = [
    rule!(
        RetentionPeriod::AsOrders,
        "UPDATE payments SET payment_method = ''",
        "payments",
        "created_at",
        "AND payment_method <> '' AND state NOT IN ('started', 'authorised', 'refund_due')"
    ),
    rule!(
        RetentionPeriod::AsOrders,
        "UPDATE orders SET visitor = '\\x00000000000000000000000000000000', paid_as = CASE WHEN paid_as IS NOT NULL THEN 'forgotten' END",
        "orders",
        "paid_at",
        "AND (visitor <> '\\x00000000000000000000000000000000' OR paid_as <> 'forgotten')"
    ),
    rule!(
        RetentionPeriod::AsOrders,
        "UPDATE holds SET visitor = '\\x00000000000000000000000000000000', account_id = NULL, \
         reserved_as = CASE WHEN reserved_as IS NOT NULL THEN 'forgotten ' || id END",
        "holds",
        "created_at",
        "AND state NOT IN ('promised', 'held') AND (visitor <> '\\x00000000000000000000000000000000' \
         OR account_id IS NOT NULL OR reserved_as <> 'forgotten ' || id::text)"
    ),
    rule!(
        RetentionPeriod::AsOrders,
        "UPDATE ticket_actions SET visitor = '\\x00000000000000000000000000000000'",
        "ticket_actions",
        "at",
        "AND visitor <> '\\x00000000000000000000000000000000' AND (kind = 'removed' OR done)"
    ),
    rule!(
        RetentionPeriod::AsOrders,
        "UPDATE admissions SET visitor = '\\x00000000000000000000000000000000'",
        "admissions",
        "issued_at",
        "AND visitor <> '\\x00000000000000000000000000000000' AND state <> 'promised'"
    ),
];

/// Rules for accounts.
const ACCOUNTS: [Rule; 5] = [
    rule!(RetentionPeriod::Days(1), "DELETE FROM sign_ins", "sign_ins", "created_at", ""),
    // A session ends with its last token.
    Rule {
        table: "refresh_tokens",
        kept: RetentionPeriod::Days(0),
        statement: "WITH ended AS (DELETE FROM refresh_tokens WHERE ctid = ANY (ARRAY (SELECT ctid FROM refresh_tokens \
             WHERE expires_at < now() - make_interval(days => $1) ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)) \
             RETURNING session_id), \
             gone AS (DELETE FROM sessions WHERE id = ANY (ARRAY (SELECT DISTINCT session_id FROM ended)) AND NOT EXISTS ( \
                SELECT FROM refresh_tokens WHERE session_id = sessions.id AND expires_at >= now())) \
             SELECT FROM ended",
    },
    rule!(RetentionPeriod::AsOrders, "DELETE FROM accounts", "accounts", "seen_at", ""),
    counts_rule!("allowances"),
    counts_rule!("shopper_allowances"),
];

/// Rules for messages, sent and received.
const MESSAGES: [Rule; 6] = [
    // Events are kept in case Redis loses them, and until they have been relayed.
    Rule {
        table: "outbox",
        kept: RetentionPeriod::Days(7),
        statement: "DELETE FROM outbox WHERE ctid = ANY (ARRAY (SELECT outbox.ctid FROM outbox JOIN relays USING (sale_id) \
             WHERE happened_at < now() - make_interval(days => $1) AND outbox.number <= relays.number \
             ORDER BY happened_at LIMIT $2 FOR UPDATE OF outbox SKIP LOCKED))",
    },
    rule!(RetentionPeriod::Days(7), "DELETE FROM deliveries", "deliveries", "due_at", "AND state <> 'waiting'"),
    // A disabled webhook gets no pending deliveries.
    Rule {
        table: "deliveries",
        kept: RetentionPeriod::Days(0),
        statement: "UPDATE deliveries SET state = 'given_up', due_at = now() WHERE ctid = ANY (ARRAY (SELECT waiting.address FROM webhooks, \
             LATERAL (SELECT ctid AS address FROM deliveries WHERE webhook_id = webhooks.id AND state = 'waiting' LIMIT $2 \
                FOR UPDATE SKIP LOCKED) AS waiting WHERE disabled_at <= now() - make_interval(days => $1) LIMIT $2))",
    },
    // For this long, a notification is not repeated.
    rule!(
        RetentionPeriod::Days(8),
        "DELETE FROM notifications",
        "notifications",
        "due_at",
        "AND state NOT IN ('waiting', 'sending')"
    ),
    // Longer than any gateway repeats an event.
    rule!(RetentionPeriod::Days(7), "DELETE FROM gateway_events", "gateway_events", "received_at", ""),
    // Reminders of closed sales. They are ordered by line, so that one lookup finds the next line
    // with reminders.
    Rule {
        table: "reminders",
        kept: RetentionPeriod::Days(0),
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

/// Rows that were kept long enough.
#[derive(Clone)]
pub(crate) struct RetentionStore(pub(crate) PgPool);

impl RetentionStore {
    /// Removes the link between orders older than `days` and their shoppers, for a bounded number
    /// of rows. Returns the number of rows.
    pub(crate) async fn unlink_old(&self, days: u32) -> Result<u64, StoreError> {
        self.keep(&UNLINKED, days).await
    }

    /// Deletes sign-ins of yesterday, expired refresh tokens, and accounts with their purchase
    /// counts that have been inactive for `days`.
    pub(crate) async fn forget_old_accounts(&self, days: u32) -> Result<u64, StoreError> {
        self.keep(&ACCOUNTS, days).await
    }

    /// Deletes expired events, webhook deliveries, notifications, reminders and gateway events.
    pub(crate) async fn forget_old_messages(&self) -> Result<u64, StoreError> {
        self.keep(&MESSAGES, 0).await
    }

    /// Runs each rule, even if others fail. Returns the number of changed rows, or the last error.
    async fn keep(&self, rules: &[Rule], orders_kept_days: u32) -> Result<u64, StoreError> {
        let (mut changed, mut failed) = (0, None);
        for rule in rules {
            let days = match rule.kept {
                RetentionPeriod::Days(days) => days,
                RetentionPeriod::AsOrders => i32::try_from(orders_kept_days).unwrap_or(i32::MAX),
            };
            for _ in 0..TIMES_MAX {
                match sqlx::query(rule.statement).bind(days).bind(AT_ONCE).execute(&self.0).await {
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
}

#[cfg(test)]
mod tests {
    use fairline_snapshots::statement;
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn every_rule_matches_its_snapshot() {
        let rules = UNLINKED.iter().chain(&ACCOUNTS).chain(&MESSAGES);
        let text = |rule: &Rule| format!("{}, {:?}\n{}\n\n", rule.table, rule.kept, statement(rule.statement));
        assert_snapshot!("rules", rules.map(text).collect::<String>());
    }
}
