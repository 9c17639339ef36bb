//! What the payment gateway has told of.

use super::{Payment, PaymentRow, Store, StoreError, payment_columns};

impl Store {
    /// Notes an event of the gateway. Whether it is new.
    pub(crate) async fn note_gateway_event(&self, id: &str) -> Result<bool, StoreError> {
        let noted = sqlx::query("INSERT INTO gateway_events (id) VALUES ($1) ON CONFLICT DO NOTHING").bind(id);
        Ok(noted.execute(&self.pool).await?.rows_affected() == 1)
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
}
