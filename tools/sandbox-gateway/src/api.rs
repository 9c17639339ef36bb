//! The payment gateway's HTTP API: the part of Stripe's that a shop needs to take a payment
//! (<https://docs.stripe.com/api>).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Form, Router,
    extract::{FromRequestParts, Path, Query, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use crate::{
    json::{dispute_to_json, refund_to_json, to_json},
    processor::{
        ACTION_TAKES, CreationOutcome, Disputed, GatewayOperation, Intent, IntentState, Processor, REFUND_TAKES,
        Refund, Refunded, ResultDelivery,
    },
    webhook::{self, WebhookSender},
};

/// Delay of a late response.
const LATE_BY: Duration = Duration::from_secs(2);
/// How long a response that never comes keeps its connection open.
const NEVER: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct SandboxState {
    processor: Arc<Mutex<Processor>>,
    webhook: Option<WebhookSender>,
}

pub(crate) fn routes(webhook: Option<WebhookSender>) -> Router {
    Router::new()
        .route("/v1/payment_intents", post(create))
        .route("/v1/payment_intents/search", get(search))
        .route("/v1/payment_intents/{id}", get(show))
        .route("/v1/payment_intents/{id}/capture", post(capture))
        .route("/v1/payment_intents/{id}/cancel", post(cancel))
        .route("/v1/refunds", post(refund).get(list_refunds))
        .route("/sandbox/charges", get(list_charges))
        .route("/v1/disputes", get(list_disputes))
        .route("/v1/disputes/{id}", post(answer_dispute))
        .route("/v1/disputes/{id}/close", post(close_dispute))
        .with_state(SandboxState { processor: Arc::default(), webhook })
}

type FormFields = HashMap<String, String>;

/// An error in Stripe's format.
struct StripeErrorResponse {
    status: StatusCode,
    kind: &'static str,
    code: &'static str,
    message: &'static str,
    intent: Option<Intent>,
}

impl StripeErrorResponse {
    const fn new(status: StatusCode, kind: &'static str, code: &'static str, message: &'static str) -> Self {
        Self { status, kind, code, message, intent: None }
    }

    const UNKNOWN: Self = Self::new(
        StatusCode::NOT_FOUND,
        "invalid_request_error",
        "resource_missing",
        "No such payment_intent: it was never created, or the sandbox was restarted and has lost it.",
    );
}

impl IntoResponse for StripeErrorResponse {
    fn into_response(self) -> Response {
        let mut error = json!({ "type": self.kind, "code": self.code, "message": self.message });
        if self.code == "card_declined" {
            error["decline_code"] = json!("generic_decline");
        }
        if let Some(intent) = &self.intent {
            error["payment_intent"] = to_json(intent);
        }
        (self.status, axum::Json(json!({ "error": error }))).into_response()
    }
}

/// The secret key of an account; any key with the right prefix is accepted.
struct ApiAccount;

impl<S: Sync> FromRequestParts<S> for ApiAccount {
    type Rejection = StripeErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StripeErrorResponse> {
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        given.and_then(|value| value.strip_prefix("Bearer sk_")).filter(|key| !key.is_empty()).map(|_| Self).ok_or(
            StripeErrorResponse::new(
                StatusCode::UNAUTHORIZED,
                "invalid_request_error",
                "",
                "You did not provide an API key: send `Authorization: Bearer sk_…`.",
            ),
        )
    }
}

/// The `Idempotency-Key`, which every modifying call requires.
struct IdempotencyKey(String);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = StripeErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StripeErrorResponse> {
        let key = parts.headers.get("idempotency-key").and_then(|key| key.to_str().ok());
        key.filter(|key| (8..=255).contains(&key.len())).map(|key| Self(key.to_owned())).ok_or(
            StripeErrorResponse::new(
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                "",
                "Stricter than Stripe: send the header `Idempotency-Key` with 8 to 255 characters.",
            ),
        )
    }
}

async fn create(
    State(gateway): State<SandboxState>,
    _: ApiAccount,
    key: IdempotencyKey,
    Form(mut fields): Form<FormFields>,
) -> Response {
    let missing = || {
        let words = "Send amount, currency, payment_method or payment_method_data[card][token], confirm=true, and capture_method=manual.";
        StripeErrorResponse::new(StatusCode::BAD_REQUEST, "invalid_request_error", "parameter_missing", words)
            .into_response()
    };
    let is = |name: &str, value: &str| fields.get(name).is_some_and(|given| given == value);
    let is_whole = is("confirm", "true") && is("capture_method", "manual");
    let is_token = is("payment_method_data[type]", "card");
    let amount = fields.get("amount").and_then(|amount| amount.parse().ok());
    let currency =
        fields.remove("currency").filter(|code| code.len() == 3 && code.chars().all(|c| c.is_ascii_lowercase()));
    let token = fields.remove("payment_method_data[card][token]").filter(|_| is_token);
    let payment_method = fields.remove("payment_method").or(token);
    let payment = fields.remove("metadata[payment]");
    match (amount, currency, payment_method) {
        (Some(amount), Some(currency), Some(payment_method)) if is_whole => {
            gateway.answer(key, GatewayOperation::Create { amount, currency, payment_method, payment }).await
        }
        _ => missing(),
    }
}

async fn capture(
    State(gateway): State<SandboxState>,
    _: ApiAccount,
    key: IdempotencyKey,
    Path(id): Path<String>,
) -> Response {
    gateway.answer(key, GatewayOperation::Capture(id)).await
}

async fn cancel(
    State(gateway): State<SandboxState>,
    _: ApiAccount,
    key: IdempotencyKey,
    Path(id): Path<String>,
) -> Response {
    gateway.answer(key, GatewayOperation::Cancel(id)).await
}

async fn refund(
    State(gateway): State<SandboxState>,
    _: ApiAccount,
    key: IdempotencyKey,
    Form(mut fields): Form<FormFields>,
) -> Response {
    let amount = fields.remove("amount");
    let (parsed, is_given) = (amount.as_deref().and_then(|amount| amount.parse().ok()), amount.is_some());
    match fields.remove("payment_intent").filter(|_| parsed.is_some() || !is_given) {
        Some(intent) => {
            let (payment, request) = (fields.remove("metadata[payment]"), fields.remove("metadata[request]"));
            gateway.answer(key, GatewayOperation::Refund { intent, amount: parsed, payment, request }).await
        }
        None => missing("Send payment_intent, and an amount that is a number, if any."),
    }
}

fn missing(words: &'static str) -> Response {
    StripeErrorResponse::new(StatusCode::BAD_REQUEST, "invalid_request_error", "parameter_missing", words)
        .into_response()
}

async fn show(State(gateway): State<SandboxState>, _: ApiAccount, Path(id): Path<String>) -> Response {
    match gateway.processor().find(&id, Instant::now()) {
        Some(intent) => axum::Json(to_json(&intent)).into_response(),
        None => StripeErrorResponse::UNKNOWN.into_response(),
    }
}

/// Searches intents by the merchant's metadata: `metadata['payment']:'…'`. No other search is
/// supported.
async fn search(State(gateway): State<SandboxState>, _: ApiAccount, Query(fields): Query<FormFields>) -> Response {
    let query = fields.get("query").map(String::as_str).unwrap_or_default();
    let payment = query.strip_prefix("metadata['payment']:'").and_then(|rest| rest.strip_suffix('\''));
    let Some(payment) = payment else { return missing("Search by metadata['payment']:'…'.") };
    let found = gateway.processor().search(payment);
    list(found.iter().map(to_json).collect())
}

/// Lists every intent with its times, which no real processor offers, to check what a shop has
/// charged, and when.
async fn list_charges(State(gateway): State<SandboxState>, _: ApiAccount) -> Response {
    let charges = gateway.processor().charges(Instant::now());
    let shown = |charge: &crate::processor::ChargeState| {
        let mut shown = to_json(&charge.intent);
        shown["made_ms_ago"] = json!(charge.made_ago.as_millis() as u64);
        shown["captured_ms_ago"] = json!(charge.captured_ago.map(|ago| ago.as_millis() as u64));
        shown
    };
    list(charges.iter().map(shown).collect())
}

/// Lists the refunds of an intent, the newest first.
async fn list_refunds(
    State(gateway): State<SandboxState>,
    _: ApiAccount,
    Query(mut fields): Query<FormFields>,
) -> Response {
    let Some(id) = fields.remove("payment_intent") else { return missing("Send payment_intent.") };
    let refunds = gateway.processor().refunds(&id, Instant::now());
    list(refunds.iter().map(|refund| refund_to_json(&id, refund)).collect())
}

/// Lists the disputes of an intent, at most one.
async fn list_disputes(
    State(gateway): State<SandboxState>,
    _: ApiAccount,
    Query(mut fields): Query<FormFields>,
) -> Response {
    let Some(id) = fields.remove("payment_intent") else { return missing("Send payment_intent.") };
    let intent = gateway.processor().find(&id, Instant::now());
    list(intent.as_ref().and_then(dispute_to_json).into_iter().collect())
}

fn list(data: Vec<Value>) -> Response {
    axum::Json(json!({ "object": "list", "data": data, "has_more": false })).into_response()
}

/// Submits evidence: as in Stripe's test mode, `winning_evidence` wins, and `losing_evidence`
/// loses.
async fn answer_dispute(
    State(gateway): State<SandboxState>,
    _: ApiAccount,
    Path(id): Path<String>,
    Form(fields): Form<FormFields>,
) -> Response {
    match fields.get("evidence[uncategorized_text]").map(String::as_str) {
        Some("winning_evidence") => gateway.end_dispute(&id, Disputed::Won),
        Some("losing_evidence") => gateway.end_dispute(&id, Disputed::Lost),
        _ => missing("Send evidence[uncategorized_text]: winning_evidence or losing_evidence."),
    }
}

/// Accepts a dispute as lost.
async fn close_dispute(State(gateway): State<SandboxState>, _: ApiAccount, Path(id): Path<String>) -> Response {
    gateway.end_dispute(&id, Disputed::Lost)
}

impl SandboxState {
    fn processor(&self) -> std::sync::MutexGuard<'_, Processor> {
        self.processor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self, intent: &Intent) {
        self.notify_all(intent, webhook::events_of(intent));
    }

    fn notify_all(&self, intent: &Intent, events: Vec<(&'static str, Value)>) {
        let Some(webhook) = &self.webhook else { return };
        let schedule = self.processor().schedule(&intent.id);
        for (kind, object) in events {
            webhook.send(kind, &object, schedule);
        }
    }

    fn end_dispute(&self, id: &str, status: Disputed) -> Response {
        let ended = self.processor().end_dispute(id, status);
        let Some((intent, dispute)) =
            ended.and_then(|intent| dispute_to_json(&intent).map(|dispute| (intent, dispute)))
        else {
            return StripeErrorResponse::UNKNOWN.into_response();
        };
        let mut events = vec![("charge.dispute.closed", dispute.clone())];
        if status == Disputed::Won {
            events.push(("charge.dispute.funds_reinstated", dispute.clone()));
        }
        self.notify_all(&intent, events);
        axum::Json(dispute).into_response()
    }

    /// Sends webhooks about a refund, and another one when the bank has decided.
    fn notify_refund(&self, intent: &Intent, refund: &Refund) {
        let object = refund_to_json(&intent.id, refund);
        let charge = to_json(intent)["latest_charge"].clone();
        self.notify_all(intent, vec![("refund.created", object), ("charge.refunded", charge)]);
        if refund.status != Refunded::Pending {
            return;
        }
        let (gateway, intent, id) = (self.clone(), intent.clone(), refund.id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(REFUND_TAKES).await;
            let refunds = gateway.processor().refunds(&intent.id, Instant::now());
            let Some(refund) = refunds.iter().find(|refund| refund.id == id) else { return };
            let kind = if refund.status == Refunded::Failed { "refund.failed" } else { "refund.updated" };
            gateway.notify_all(&intent, vec![(kind, refund_to_json(&intent.id, refund))]);
        });
    }

    /// Completes the shopper's authentication after a while.
    fn notify_action(&self, intent: Intent) {
        let gateway = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(ACTION_TAKES).await;
            let now = gateway.processor().find(&intent.id, Instant::now());
            if let Some(proved) = now.filter(|now| now.status == IntentState::RequiresCapture) {
                gateway.notify(&proved);
            }
        });
    }

    async fn answer(&self, IdempotencyKey(key): IdempotencyKey, operation: GatewayOperation) -> Response {
        let is_refund = matches!(operation, GatewayOperation::Refund { .. });
        let (was_known, (outcome, delivery)) = {
            let mut processor = self.processor();
            (processor.knows(&key), processor.perform(&key, operation, Instant::now()))
        };
        let refund = match &outcome {
            CreationOutcome::Done(intent) if is_refund => self.processor().refund_response(&intent.id, &key),
            _ => None,
        };
        if let (CreationOutcome::Done(intent), Some(refund), false) = (&outcome, &refund, was_known) {
            self.notify_refund(intent, refund);
        } else if let CreationOutcome::Done(intent) = &outcome
            && !was_known
        {
            self.notify(intent);
            if intent.status == IntentState::RequiresAction && self.webhook.is_some() {
                self.notify_action(intent.clone());
            }
        }
        match delivery {
            ResultDelivery::Now => {}
            ResultDelivery::Late => tokio::time::sleep(LATE_BY).await,
            // The client disconnects earlier, which ends this sooner.
            ResultDelivery::Never => tokio::time::sleep(NEVER).await,
        }
        let mut response = match (outcome, refund) {
            (CreationOutcome::Done(intent), Some(refund)) => {
                axum::Json(refund_to_json(&intent.id, &refund)).into_response()
            }
            (outcome, _) => response(outcome, is_refund),
        };
        if was_known {
            response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}

fn response(outcome: CreationOutcome, is_refund: bool) -> Response {
    let bad = |code, message| StripeErrorResponse::new(StatusCode::BAD_REQUEST, "invalid_request_error", code, message);
    match outcome {
        CreationOutcome::Done(intent) if intent.status == IntentState::Declined => StripeErrorResponse {
            intent: Some(intent),
            ..StripeErrorResponse::new(
                StatusCode::PAYMENT_REQUIRED,
                "card_error",
                "card_declined",
                "Your card was declined.",
            )
        }
        .into_response(),
        CreationOutcome::Done(intent) => axum::Json(to_json(&intent)).into_response(),
        CreationOutcome::NotNow(intent) if is_refund && intent.is_refunded() => {
            bad("charge_already_refunded", "The charge has already been refunded.").into_response()
        }
        CreationOutcome::NotNow(intent) => StripeErrorResponse {
            intent: Some(intent),
            ..bad("payment_intent_unexpected_state", "The PaymentIntent's status does not allow this.")
        }
        .into_response(),
        CreationOutcome::Uncapturable(intent) => StripeErrorResponse {
            intent: Some(intent),
            ..StripeErrorResponse::new(
                StatusCode::PAYMENT_REQUIRED,
                "card_error",
                "capture_charge_authorization_expired",
                "The authorization has expired.",
            )
        }
        .into_response(),
        CreationOutcome::Unknown => StripeErrorResponse::UNKNOWN.into_response(),
        CreationOutcome::TooSmall => {
            bad("amount_too_small", "The amount is below the minimum in this currency.").into_response()
        }
        CreationOutcome::TooMuch => {
            bad("amount_too_large", "The refund exceeds the remaining amount of the charge.").into_response()
        }
        CreationOutcome::UnknownMethod => {
            bad("resource_missing", "No such payment method. docs/payments.md lists those of the sandbox.")
                .into_response()
        }
        CreationOutcome::KeyReused => StripeErrorResponse::new(
            StatusCode::BAD_REQUEST,
            "idempotency_error",
            "",
            "Keys for idempotent requests can only be used with the same parameters they were first used with.",
        )
        .into_response(),
        CreationOutcome::Hiccup | CreationOutcome::Broken => StripeErrorResponse::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "api_error",
            "",
            "A simulated failure. Nothing was done.",
        )
        .into_response(),
    }
}
