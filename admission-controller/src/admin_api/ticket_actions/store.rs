//! Requested ticket actions. A tick executes them.

use fairline_line::ticket::Ordinal;
use fairline_sale::{SaleId, VisitorId};
use serde_json::json;

use crate::{
    controller::{sale::SaleRow, ticket_actions::TicketAction},
    db::{Author, Database, NewAuditEntry, StoreError, audit},
};

/// The maximum of extra admissions that wait to be made.
const AT_ONCE_MAX: i32 = 1_000_000;

/// Actions on tickets and tokens.
#[derive(Clone)]
pub(crate) struct TicketActionStore(pub(crate) Database);

impl TicketActionStore {
    /// Adds extra admissions to those that are still to be made. Only open sales have them.
    pub async fn admit_now(&self, by: &Author, sale: &SaleRow, count: i32) -> Result<(), StoreError> {
        let mut transaction = self.0.begin(by, "admit_now").await?;
        sqlx::query("UPDATE lines SET admit_now = least(admit_now + $2, $3) WHERE id = $1")
            .bind(sale.id)
            .bind(count)
            .bind(AT_ONCE_MAX)
            .execute(&mut *transaction)
            .await?;
        let after = Some(json!({ "count": count }));
        audit(
            &mut transaction,
            by,
            NewAuditEntry { action: "admit_now", subject: &sale.slug, sale: Some(sale.id), after },
        )
        .await?;
        Ok(transaction.commit().await?)
    }

    /// Removes or prefers a ticket, between two ticks. `false` if the ticket has a token or has
    /// used one.
    pub async fn insert_ticket_action(
        &self,
        by: &Author,
        sale: &SaleRow,
        what: TicketAction,
        (line, ticket, visitor): (SaleId, Ordinal, VisitorId),
    ) -> Result<bool, StoreError> {
        let mut transaction = self.0.begin(by, what.action()).await?;
        let number = i64::try_from(ticket).unwrap_or(i64::MAX);
        sqlx::query("SELECT FROM lines WHERE id = $1 FOR UPDATE").bind(sale.id).execute(&mut *transaction).await?;
        let done = sqlx::query(
            "INSERT INTO ticket_actions (line_id, ordinal, kind, visitor) SELECT $1, $2, $3, $4 \
             WHERE NOT EXISTS (SELECT FROM admissions WHERE line_id = $1 AND ordinal = $2 AND state <> 'lapsed') \
             ON CONFLICT (line_id, ordinal, kind) DO UPDATE SET done = false, published = false, published_epoch = 0",
        )
        .bind(line.0)
        .bind(number)
        .bind(what.as_str())
        .bind(visitor.0.to_vec())
        .execute(&mut *transaction)
        .await?
        .rows_affected()
            == 1;
        if done {
            let after = Some(json!({ "ticket": number }));
            let entry = NewAuditEntry { action: what.action(), subject: &sale.slug, sale: Some(sale.id), after };
            audit(&mut transaction, by, entry).await?;
            transaction.commit().await?;
        }
        Ok(done)
    }

    /// Expires all outstanding tokens of a sale as if they were not claimed: their shoppers wait
    /// again, at the front. These turns don't count as missed. Returns the number of tokens.
    pub async fn revoke_tokens(&self, by: &Author, sale: &SaleRow) -> Result<i64, StoreError> {
        let mut transaction = self.0.begin(by, "revoke_tokens").await?;
        sqlx::query("SELECT FROM lines WHERE id = $1 FOR UPDATE").bind(sale.id).execute(&mut *transaction).await?;
        let (revoked, units): (i64, i64) = sqlx::query_as(
            "WITH lapsed AS (UPDATE admissions SET state = 'lapsed', claimed_at = NULL, excused = true WHERE sale_id = $1 AND state = 'promised' \
             RETURNING quantity) SELECT count(*), coalesce(sum(quantity), 0) FROM lapsed",
        )
        .bind(sale.id)
        .fetch_one(&mut *transaction)
        .await?;
        sqlx::query("UPDATE stock SET promised = promised - $2::integer WHERE sale_id = $1 AND item = 1")
            .bind(sale.id)
            .bind(units)
            .execute(&mut *transaction)
            .await?;
        let after = Some(json!({ "tokens": revoked }));
        let entry = NewAuditEntry { action: "revoke_tokens", subject: &sale.slug, sale: Some(sale.id), after };
        audit(&mut transaction, by, entry).await?;
        transaction.commit().await?;
        Ok(revoked)
    }
}
