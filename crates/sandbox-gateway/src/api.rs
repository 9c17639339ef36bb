//! The company's HTTP API.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use fairline_service::{Json, Problem};
use serde::Deserialize;

use crate::{
    company::{Company, Delivery, Operation, Outcome},
    webhook::Webhook,
};

/// How late a late answer is.
const LATE_BY: Duration = Duration::from_secs(2);
/// After how long an answer that never comes gives its connection up.
const NEVER: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Office {
    company: Arc<Mutex<Company>>,
    webhook: Option<Webhook>,
}

pub(crate) fn routes(webhook: Option<Webhook>) -> Router {
    Router::new()
        .route("/v1/payment_intents", post(create))
        .route("/v1/payment_intents/{id}", get(show))
        .route("/v1/payment_intents/{id}/capture", post(capture))
        .route("/v1/payment_intents/{id}/cancel", post(cancel))
        .route("/v1/payment_intents/{id}/refund", post(refund))
        .with_state(Office { company: Arc::default(), webhook })
}

/// A new intent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewIntent {
    amount_minor: u64,
    currency: String,
    payment_method: String,
}

/// The `Idempotency-Key` that every call has that changes something.
struct IdempotencyKey(String);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let key = parts.headers.get("idempotency-key").and_then(|key| key.to_str().ok());
        key.filter(|key| (8..=255).contains(&key.len())).map(|key| Self(key.to_owned())).ok_or_else(|| {
            Problem::new(StatusCode::BAD_REQUEST, "no-idempotency-key", "No idempotency key")
                .detail("Send the header `Idempotency-Key` with 8 to 255 characters.")
        })
    }
}

async fn create(State(office): State<Office>, key: IdempotencyKey, Json(new): Json<NewIntent>) -> Response {
    let NewIntent { amount_minor, currency, payment_method } = new;
    office.answer(key, Operation::Create { amount_minor, currency, payment_method }).await
}

async fn capture(State(office): State<Office>, key: IdempotencyKey, Path(id): Path<String>) -> Response {
    office.answer(key, Operation::Capture(id)).await
}

async fn cancel(State(office): State<Office>, key: IdempotencyKey, Path(id): Path<String>) -> Response {
    office.answer(key, Operation::Cancel(id)).await
}

async fn refund(State(office): State<Office>, key: IdempotencyKey, Path(id): Path<String>) -> Response {
    office.answer(key, Operation::Refund(id)).await
}

async fn show(State(office): State<Office>, Path(id): Path<String>) -> Response {
    match office.company().find(&id, Instant::now()) {
        Some(intent) => axum::Json(intent).into_response(),
        None => unknown().into_response(),
    }
}

impl Office {
    fn company(&self) -> std::sync::MutexGuard<'_, Company> {
        self.company.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, key: IdempotencyKey, operation: Operation) -> Response {
        let (outcome, delivery) = self.company().perform(&key.0, operation, Instant::now());
        if let (Outcome::Done(intent), Some(webhook)) = (&outcome, &self.webhook) {
            webhook.tell(intent);
        }
        match delivery {
            Delivery::Now => {}
            Delivery::Late => tokio::time::sleep(LATE_BY).await,
            // The client has long hung up by then, which ends this sooner.
            Delivery::Never => tokio::time::sleep(NEVER).await,
        }
        match outcome {
            Outcome::Done(intent) => axum::Json(intent).into_response(),
            Outcome::NotNow(intent) => (StatusCode::CONFLICT, axum::Json(intent)).into_response(),
            Outcome::Unknown => unknown().into_response(),
            Outcome::UnknownMethod => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown-payment-method", "No such payment method")
                    .detail("Use tok_visa, tok_declined, tok_slow, tok_timeout, tok_flaky or tok_action.")
                    .into_response()
            }
            Outcome::KeyReused => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The key was used before")
                    .detail("This idempotency key belongs to a different request. Use a fresh one.")
                    .into_response()
            }
            Outcome::Hiccup => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong")
                .detail("A failure on purpose. Nothing was done; try again with the same key.")
                .into_response(),
        }
    }
}

fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown-payment-intent", "No such payment intent")
        .detail("It was never made, or this company has been restarted: it remembers nothing.")
}
