//! Receives the payment gateway's events, each once, if they are signed.

use std::sync::Arc;

use fairline_payment_gateway::webhook::{WebhookEvent, is_recent, signed_at};
use tracing::info;

use crate::payments::{
    error::PaymentError,
    gateway_events::store::{GatewayEvent, GatewayReceipt},
    service::Payments,
};

/// The longest accepted event id.
const ID_CHARS_MAX: usize = 200;

impl Payments {
    /// Receives an event, with the signature that came with it.
    pub(super) async fn receive(self: &Arc<Self>, signature: Option<&str>, body: &[u8]) -> Result<(), PaymentError> {
        let signed_at = signature.and_then(|signature| signed_at(signature, body, &self.webhook_secrets));
        let signed_at = signed_at.ok_or(PaymentError::InvalidWebhook)?;
        if !is_recent(signed_at, self.store.now_unix_s().await?) {
            return Err(PaymentError::InvalidWebhook);
        }
        let event: WebhookEvent = serde_json::from_slice(body).map_err(|_| PaymentError::InvalidWebhook)?;
        let received = match event.reference() {
            Some(reference) if event.id.len() <= ID_CHARS_MAX => {
                let event = GatewayEvent {
                    id: &event.id,
                    reference,
                    payment: event.payment(),
                    may_be_open: event.may_be_open(),
                    moves_money_back: event.moves_money_back(),
                };
                self.store.receive_gateway_event(&event).await?
            }
            _ => GatewayReceipt::Foreign,
        };
        let outcome = if matches!(received, GatewayReceipt::Repeated) { "repeated" } else { "received" };
        metrics::counter!("checkout_gateway_events_total", "outcome" => outcome).increment(1);
        let GatewayReceipt::About(mut payment) = received else { return Ok(()) };
        info!(payment = %payment.id, kind = event.kind, "payment gateway event received");
        let payments = self.clone();
        // The gateway waits for the response, not for the consequences.
        self.shutdown.spawn(async move { payments.drive(&mut payment).await });
        Ok(())
    }
}
