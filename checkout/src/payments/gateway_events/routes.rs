//! Receives the payment gateway's events.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use fairline_payment_gateway::webhook::{WebhookEvent, is_recent, signed_at};
use fairline_server::Problem;
use tracing::info;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::payments::{
    error::PaymentError,
    gateway_events::store::{GatewayEvent, GatewayReceipt},
    service::Payments,
};

/// The longest accepted event id.
const ID_CHARS_MAX: usize = 200;

pub(crate) fn routes() -> OpenApiRouter<Arc<Payments>> {
    OpenApiRouter::new().routes(routes!(receive))
}

impl Payments {
    async fn receive(self: &Arc<Self>, event: WebhookEvent) -> Result<(), PaymentError> {
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

/// Receives events of the payment gateway: Stripe webhooks. Each event is processed once.
#[utoipa::path(post, path = "/webhooks/stripe", request_body(content = String, content_type = "application/json"),
    params(("Stripe-Signature" = String, Header, description = "Stripe's signature.")), responses(
    (status = 200, description = "The event was accepted, is a repetition, or concerns no payment of this shop."),
    (status = 400, description = "The signature is missing, wrong or too old, or the body is not an event."),
    (status = 503, description = "The database does not answer: send it again."),
))]
async fn receive(
    State(payments): State<Arc<Payments>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let signature = headers.get("stripe-signature").and_then(|value| value.to_str().ok());
    let signed_at = signature.and_then(|header| signed_at(header, &body, &payments.webhook_secrets));
    let signed_at = signed_at.ok_or(PaymentError::BadWebhook)?;
    if !is_recent(signed_at, payments.store.now_unix_s().await.map_err(PaymentError::from)?) {
        return Err(PaymentError::BadWebhook.into());
    }
    let event = serde_json::from_slice(&body).map_err(|_| PaymentError::BadWebhook)?;
    payments.receive(event).await?;
    Ok(StatusCode::OK)
}
