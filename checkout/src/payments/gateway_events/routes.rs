//! Receives the payment gateway's events.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use fairline_server::Problem;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::payments::service::Payments;

pub(crate) fn routes() -> OpenApiRouter<Arc<Payments>> {
    OpenApiRouter::new().routes(routes!(receive))
}

/// Receives events of the payment gateway: Stripe webhooks. Each event is processed once.
#[utoipa::path(post, path = "/webhooks/stripe", request_body(content = String, content_type = "application/json"),
    params(("Stripe-Signature" = String, Header, description = "Stripe's signature.")), responses(
    (status = 200, description = "The event was accepted, is a repetition, or concerns no payment of this shop."),
    (status = 400, description = "The signature is missing, wrong or too old, or the body is not an event."),
    (status = 503, description = "The database does not respond: send it again."),
))]
async fn receive(
    State(payments): State<Arc<Payments>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let signature = headers.get("stripe-signature").and_then(|value| value.to_str().ok());
    payments.receive(signature, &body).await?;
    Ok(StatusCode::OK)
}
