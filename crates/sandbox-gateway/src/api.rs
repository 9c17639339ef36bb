//! The company's HTTP API: Stripe's, as far as a shop needs it to take a payment (<https://docs.stripe.com/api>).

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
    company::{ACTION_TAKES, Company, Delivery, Intent, Operation, Outcome, Refund, Status},
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
        .route("/v1/refunds", post(refund).get(list_refunds))
        .with_state(Office { company: Arc::default(), webhook })
}

type Fields = HashMap<String, String>;

/// An error, as Stripe says it.
struct Refused {
    status: StatusCode,
    kind: &'static str,
    code: &'static str,
    message: &'static str,
    intent: Option<Intent>,
}

impl Refused {
    const fn new(status: StatusCode, kind: &'static str, code: &'static str, message: &'static str) -> Self {
        Self { status, kind, code, message, intent: None }
    }

    const UNKNOWN: Self = Self::new(
        StatusCode::NOT_FOUND,
        "invalid_request_error",
        "resource_missing",
        "No such payment_intent: it was never made, or this company has been restarted. It remembers nothing.",
    );
}

impl IntoResponse for Refused {
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

/// An intent, as Stripe says it, with its charge expanded.
pub(crate) fn to_json(intent: &Intent) -> Value {
    let Intent { id, status, amount, currency } = intent;
    let word = match status {
        Status::RequiresAction => "requires_action",
        Status::RequiresCapture => "requires_capture",
        // A charge that was given back is the charge's affair.
        Status::Succeeded | Status::Refunded => "succeeded",
        Status::Canceled => "canceled",
        Status::Declined => "requires_payment_method",
    };
    let is_refunded = *status == Status::Refunded;
    let mut said = json!({
        "id": id,
        "object": "payment_intent",
        "status": word,
        "amount": amount,
        "currency": currency,
        "capture_method": "manual",
        "client_secret": format!("{id}_secret_sandbox"),
        "latest_charge": null,
        "last_payment_error": null,
    });
    match status {
        Status::RequiresAction => said["next_action"] = json!({ "type": "use_stripe_sdk" }),
        Status::Declined => {
            said["last_payment_error"] = json!({ "type": "card_error", "code": "card_declined" });
        }
        Status::RequiresCapture | Status::Succeeded | Status::Refunded => {
            let charge = id.replacen("pi_", "ch_", 1);
            said["latest_charge"] = json!({ "id": charge, "object": "charge", "refunded": is_refunded });
        }
        Status::Canceled => {}
    }
    said
}

/// The secret key of an account: any that looks like one will do.
struct Account;

impl<S: Sync> FromRequestParts<S> for Account {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        given.and_then(|value| value.strip_prefix("Bearer sk_")).filter(|key| !key.is_empty()).map(|_| Self).ok_or(
            Refused::new(
                StatusCode::UNAUTHORIZED,
                "invalid_request_error",
                "",
                "You did not provide an API key: send `Authorization: Bearer sk_…`.",
            ),
        )
    }
}

/// The `Idempotency-Key` that every call has that changes something.
struct IdempotencyKey(String);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let key = parts.headers.get("idempotency-key").and_then(|key| key.to_str().ok());
        key.filter(|key| (8..=255).contains(&key.len())).map(|key| Self(key.to_owned())).ok_or(Refused::new(
            StatusCode::BAD_REQUEST,
            "invalid_request_error",
            "",
            "Stricter than Stripe: send the header `Idempotency-Key` with 8 to 255 characters.",
        ))
    }
}

async fn create(
    State(office): State<Office>,
    _: Account,
    key: IdempotencyKey,
    Form(mut fields): Form<Fields>,
) -> Response {
    let missing = || {
        let words = "Send amount, currency, payment_method or payment_method_data[card][token], confirm=true, and capture_method=manual.";
        Refused::new(StatusCode::BAD_REQUEST, "invalid_request_error", "parameter_missing", words).into_response()
    };
    let is = |name: &str, value: &str| fields.get(name).is_some_and(|given| given == value);
    let is_whole = is("confirm", "true") && is("capture_method", "manual");
    let is_token = is("payment_method_data[type]", "card");
    let amount = fields.get("amount").and_then(|amount| amount.parse().ok());
    let currency =
        fields.remove("currency").filter(|code| code.len() == 3 && code.chars().all(|c| c.is_ascii_lowercase()));
    let token = fields.remove("payment_method_data[card][token]").filter(|_| is_token);
    let payment_method = fields.remove("payment_method").or(token);
    match (amount, currency, payment_method) {
        (Some(amount), Some(currency), Some(payment_method)) if is_whole => {
            office.answer(key, Operation::Create { amount, currency, payment_method }).await
        }
        _ => missing(),
    }
}

async fn capture(State(office): State<Office>, _: Account, key: IdempotencyKey, Path(id): Path<String>) -> Response {
    office.answer(key, Operation::Capture(id)).await
}

async fn cancel(State(office): State<Office>, _: Account, key: IdempotencyKey, Path(id): Path<String>) -> Response {
    office.answer(key, Operation::Cancel(id)).await
}

async fn refund(
    State(office): State<Office>,
    _: Account,
    key: IdempotencyKey,
    Form(mut fields): Form<Fields>,
) -> Response {
    match fields.remove("payment_intent") {
        Some(id) => office.answer(key, Operation::Refund(id, fields.remove("metadata[payment]"))).await,
        None => {
            Refused::new(StatusCode::BAD_REQUEST, "invalid_request_error", "parameter_missing", "Send payment_intent.")
                .into_response()
        }
    }
}

async fn show(State(office): State<Office>, _: Account, Path(id): Path<String>) -> Response {
    match office.company().find(&id, Instant::now()) {
        Some(intent) => axum::Json(to_json(&intent)).into_response(),
        None => Refused::UNKNOWN.into_response(),
    }
}

/// The refunds of an intent: it has one at most.
async fn list_refunds(State(office): State<Office>, _: Account, Query(mut fields): Query<Fields>) -> Response {
    let Some(id) = fields.remove("payment_intent") else {
        return Refused::new(
            StatusCode::BAD_REQUEST,
            "invalid_request_error",
            "parameter_missing",
            "Send payment_intent.",
        )
        .into_response();
    };
    let company = office.company();
    let refund = company.find_refund(&id, Instant::now());
    let refund = refund.map(|refund| refund_to_json(&id, refund, company.refund_payment(&id)));
    let data: Vec<Value> = refund.into_iter().collect();
    axum::Json(json!({ "object": "list", "data": data, "has_more": false })).into_response()
}

/// A refund, as Stripe says it.
fn refund_to_json(intent: &str, refund: Refund, payment: Option<&str>) -> Value {
    let word = match refund {
        Refund::Pending => "pending",
        Refund::Succeeded => "succeeded",
        Refund::Failed => "failed",
    };
    let metadata = payment.map_or_else(|| json!({}), |payment| json!({ "payment": payment }));
    let id = intent.replacen("pi_", "re_", 1);
    json!({ "id": id, "object": "refund", "status": word, "payment_intent": intent, "metadata": metadata })
}

impl Office {
    fn company(&self) -> std::sync::MutexGuard<'_, Company> {
        self.company.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, intent: &Intent) {
        let Some(webhook) = &self.webhook else { return };
        let telling = self.company().telling(&intent.id);
        webhook.tell(intent, telling);
    }

    /// The shopper proves who they are, after a while.
    fn tell_of_action(&self, intent: Intent) {
        let office = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(ACTION_TAKES).await;
            let now = office.company().find(&intent.id, Instant::now());
            if let Some(proved) = now.filter(|now| now.status == Status::RequiresCapture) {
                office.tell(&proved);
            }
        });
    }

    async fn answer(&self, IdempotencyKey(key): IdempotencyKey, operation: Operation) -> Response {
        let is_refund = matches!(operation, Operation::Refund(..));
        let (was_known, (outcome, delivery)) = {
            let mut company = self.company();
            (company.knows(&key), company.perform(&key, operation, Instant::now()))
        };
        if let Outcome::Done(intent) = &outcome
            && !was_known
        {
            self.tell(intent);
            if intent.status == Status::RequiresAction && self.webhook.is_some() {
                self.tell_of_action(intent.clone());
            }
        }
        match delivery {
            Delivery::Now => {}
            Delivery::Late => tokio::time::sleep(LATE_BY).await,
            // The client has long hung up by then, which ends this sooner.
            Delivery::Never => tokio::time::sleep(NEVER).await,
        }
        let mut response = match outcome {
            Outcome::Done(intent) if is_refund => {
                let company = self.company();
                let refund = company.refund_said(&intent.id);
                axum::Json(refund_to_json(&intent.id, refund, company.refund_payment(&intent.id))).into_response()
            }
            outcome => said(outcome, is_refund),
        };
        if was_known {
            response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}

fn said(outcome: Outcome, is_refund: bool) -> Response {
    let bad = |code, message| Refused::new(StatusCode::BAD_REQUEST, "invalid_request_error", code, message);
    match outcome {
        Outcome::Done(intent) if intent.status == Status::Declined => Refused {
            intent: Some(intent),
            ..Refused::new(StatusCode::PAYMENT_REQUIRED, "card_error", "card_declined", "Your card was declined.")
        }
        .into_response(),
        Outcome::Done(intent) => axum::Json(to_json(&intent)).into_response(),
        Outcome::NotNow(intent) if is_refund && intent.status == Status::Refunded => {
            bad("charge_already_refunded", "The charge has already been refunded.").into_response()
        }
        Outcome::NotNow(intent) => Refused {
            intent: Some(intent),
            ..bad("payment_intent_unexpected_state", "The PaymentIntent's status does not allow this.")
        }
        .into_response(),
        Outcome::Uncapturable(intent) => Refused {
            intent: Some(intent),
            ..Refused::new(
                StatusCode::PAYMENT_REQUIRED,
                "card_error",
                "capture_charge_authorization_expired",
                "The bank has let go of the money.",
            )
        }
        .into_response(),
        Outcome::Unknown => Refused::UNKNOWN.into_response(),
        Outcome::UnknownMethod => {
            bad("resource_missing", "No such payment method. The README lists the sandbox's.").into_response()
        }
        Outcome::KeyReused => Refused::new(
            StatusCode::BAD_REQUEST,
            "idempotency_error",
            "",
            "Keys for idempotent requests can only be used with the same parameters they were first used with.",
        )
        .into_response(),
        Outcome::Hiccup | Outcome::Broken => {
            Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "api_error", "", "A failure on purpose. Nothing was done.")
                .into_response()
        }
    }
}
