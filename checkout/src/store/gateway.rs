//! What the payment gateway has told of.

use super::{Payment, PaymentRow, Store, StoreError, payment_columns};

/// For longer than any company repeats itself.
const KEPT_DAYS: i32 = 7;
const FORGOTTEN_MAX: i64 = 5000;

impl Store {
    /// Notes an event of the gateway. Whether it is new.
    pub(crate) async fn note_gateway_event(&self, id: &str) -> Result<bool, StoreError> {
        let noted = sqlx::query("INSERT INTO gateway_events (id) VALUES ($1) ON CONFLICT DO NOTHING").bind(id);
        Ok(noted.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// The database's clock, in Unix seconds.
    pub(crate) async fn now_unix_s(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar("SELECT extract(epoch FROM now())::bigint").fetch_one(&self.pool).await?)
    }

    /// The payment that the gateway knows by this id.
    pub(crate) async fn payment_by_reference(&self, reference: &str) -> Result<Option<Payment>, StoreError> {
        let row: Option<PaymentRow> =
            sqlx::query_as(payment_columns!("SELECT", "FROM payments WHERE gateway_ref = $1 LIMIT 1"))
                .bind(reference)
                .fetch_optional(&self.pool)
                .await?;
        row.map(Payment::try_from).transpose()
    }

    /// Forgets events that were heard long ago.
    pub(crate) async fn forget_old_gateway_events(&self) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM gateway_events WHERE id IN (SELECT id FROM gateway_events \
             WHERE heard_at < now() - make_interval(days => $1) LIMIT $2)",
        )
        .bind(KEPT_DAYS)
        .bind(FORGOTTEN_MAX)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
