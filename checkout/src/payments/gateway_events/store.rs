//! Events of the payment gateway.

use fairline_payment_gateway::PaymentId;

use crate::{
    db::StoreError,
    payments::store::{Payment, PaymentRow, PaymentStore, payment_columns},
};

/// An event of the gateway.
#[derive(Debug)]
pub(crate) struct GatewayEvent<'a> {
    pub(crate) id: &'a str,
    /// The gateway's id of the payment.
    pub(crate) reference: &'a str,
    /// Our id of the payment, from the metadata.
    pub(crate) payment: Option<PaymentId>,
    /// The gateway has authorised or captured money.
    pub(crate) may_be_open: bool,
    /// A refund or a dispute.
    pub(crate) moves_money_back: bool,
}

/// The relation of a gateway event to our payments.
#[derive(Debug)]
pub(crate) enum GatewayReceipt {
    About(Payment),
    /// It concerns none of our payments.
    Foreign,
    /// It was received before.
    Repeated,
}

impl PaymentStore {
    /// The database's clock, in Unix seconds.
    pub(crate) async fn now_unix_s(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar("SELECT extract(epoch FROM now())::bigint").fetch_one(&self.requests).await?)
    }

    /// Stores an event of the gateway. If it is new, returns its payment, found by the gateway's id
    /// or by ours in the metadata. The same commit marks an ended payment for settlement, so that
    /// no crash loses the event. A payment that has not ended keeps the mark of a refund or dispute
    /// until it ends: the event may arrive before the response to the capture.
    pub(crate) async fn receive_gateway_event(&self, event: &GatewayEvent<'_>) -> Result<GatewayReceipt, StoreError> {
        let mut transaction = self.requests.begin().await?;
        let noted = sqlx::query("INSERT INTO gateway_events (id) VALUES ($1) ON CONFLICT DO NOTHING").bind(event.id);
        if noted.execute(&mut *transaction).await?.rows_affected() == 0 {
            return Ok(GatewayReceipt::Repeated);
        }
        let row: Option<PaymentRow> = sqlx::query_as(payment_columns!(
            "UPDATE payments SET gateway_ref = coalesce(gateway_ref, CASE WHEN state <> 'started' THEN $1 END), settle_no = settle_no + 1, \
             settle_at = CASE WHEN state IN ('declined', 'voided') AND $3 OR $4 THEN now() + make_interval(secs => 10) ELSE settle_at END \
             WHERE id = (SELECT id FROM payments WHERE gateway_ref = $1 OR id = $2 AND gateway_ref IS NULL LIMIT 1) RETURNING",
            ""
        ))
        .bind(event.reference)
        .bind(event.payment.map(|PaymentId(id)| id))
        .bind(event.may_be_open)
        .bind(event.moves_money_back)
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(row.map(Payment::try_from).transpose()?.map_or(GatewayReceipt::Foreign, GatewayReceipt::About))
    }
}
