//! The port to the payment company, and its adapter for the sandbox gateway's HTTP API.
//!
//! Every call may be made again: what changes something carries an idempotency key made of the payment's own id, so
//! that a crash, a lost answer or two processes at once charge nobody twice. Every answer says how the intent stands,
//! also a refusal: whoever asks to cancel what was captured already learns just that.

use std::time::Duration;

use bytes::Bytes;
use fairline_service::StartError;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::{Method, Request, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    order::PaymentId,
    outbound::{HttpClient, Unanswered, http_address},
    store::Payment,
};

/// How long the gateway may take for one answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest reference that is believed.
const REFERENCE_CHARS_MAX: usize = 200;

/// How a payment stands at the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The shopper has to prove who they are first.
    NeedsAction,
    /// The money is kept ready.
    Authorised,
    /// The money was taken.
    Captured,
    /// The gateway said no.
    Declined,
    /// The money was let go.
    Cancelled,
    /// The money was given back.
    Refunded,
    /// The gateway knows no such payment.
    Unknown,
}

/// A payment at the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    /// The gateway's own id; none where it would not even begin.
    pub(crate) reference: Option<String>,
    pub(crate) standing: Standing,
}

/// What is asked of a gateway.
pub(crate) type Answer<'a> = BoxFuture<'a, Result<Intent, Unanswered>>;

/// A payment company.
pub(crate) trait Gateway: Send + Sync {
    /// Asks it to keep the money ready.
    fn authorise<'a>(&'a self, payment: &'a Payment) -> Answer<'a>;
    /// Asks how a payment stands.
    fn look_up<'a>(&'a self, reference: &'a str) -> Answer<'a>;
    /// Takes the money that is kept ready.
    fn capture<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a>;
    /// Lets the money go that is kept ready.
    fn cancel<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a>;
    /// Gives back the money that was taken.
    fn refund<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a>;
}

/// A gateway that speaks the sandbox gateway's API.
#[derive(Debug)]
pub(crate) struct HttpGateway {
    client: HttpClient,
    intents: String,
}

impl HttpGateway {
    pub(crate) fn new(address: &str) -> Result<Self, StartError> {
        let wrong = || StartError::new(format!("The gateway's address `{address}` is not an http:// one."));
        http_address(address).ok_or_else(wrong)?;
        let intents = format!("{}/v1/payment_intents", address.trim_end_matches('/'));
        Ok(Self { client: HttpClient::new(CALL_TIMEOUT), intents })
    }

    async fn call(&self, name: &'static str, request: Request<Full<Bytes>>) -> Result<Intent, Unanswered> {
        let started = Instant::now();
        let answer = self.client.call(request).await.and_then(|(status, body)| read(status, &body));
        let outcome = if answer.is_ok() { "answered" } else { "unanswered" };
        metrics::histogram!("checkout_gateway_call_duration_seconds", "call" => name, "outcome" => outcome)
            .record(started.elapsed().as_secs_f64());
        answer
    }

    fn change<'a>(&'a self, name: &'static str, payment: PaymentId, path: &str, body: &Value) -> Answer<'a> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.intents))
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", format!("{payment}-{name}"))
            .body(Full::new(body.to_string().into()));
        self.ask(name, request)
    }

    fn ask<'a>(&'a self, name: &'static str, request: hyper::http::Result<Request<Full<Bytes>>>) -> Answer<'a> {
        Box::pin(async move {
            // Our own address was checked, so it is the gateway's reference that does not fit into one.
            let request =
                request.map_err(|error| Unanswered(format!("the reference is no part of an address: {error}")))?;
            self.call(name, request).await
        })
    }
}

impl Gateway for HttpGateway {
    fn authorise<'a>(&'a self, payment: &'a Payment) -> Answer<'a> {
        let body = json!({
            "amount_minor": payment.amount_minor,
            "currency": payment.currency,
            "payment_method": payment.payment_method,
        });
        self.change("authorise", payment.id, "", &body)
    }

    fn look_up<'a>(&'a self, reference: &'a str) -> Answer<'a> {
        self.ask("look_up", Request::get(format!("{}/{reference}", self.intents)).body(Full::default()))
    }

    fn capture<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a> {
        self.change("capture", payment, &format!("/{reference}/capture"), &json!({}))
    }

    fn cancel<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a> {
        self.change("cancel", payment, &format!("/{reference}/cancel"), &json!({}))
    }

    fn refund<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a> {
        self.change("refund", payment, &format!("/{reference}/refund"), &json!({}))
    }
}

#[derive(Deserialize)]
struct IntentBody {
    id: String,
    status: String,
}

fn read(status: StatusCode, body: &[u8]) -> Result<Intent, Unanswered> {
    let nothing = |standing| Ok(Intent { reference: None, standing });
    match status {
        StatusCode::NOT_FOUND => return nothing(Standing::Unknown),
        // It would not begin: the payment method is none, or none that it takes.
        StatusCode::BAD_REQUEST | StatusCode::PAYMENT_REQUIRED | StatusCode::UNPROCESSABLE_ENTITY => {
            return nothing(Standing::Declined);
        }
        // A conflict tells how the intent stands instead.
        StatusCode::OK | StatusCode::CREATED | StatusCode::CONFLICT => {}
        other => return Err(Unanswered(format!("the gateway answered {other}"))),
    }
    let senseless = || Unanswered(format!("the gateway answered {status} with nothing that makes sense"));
    let IntentBody { id, status } = serde_json::from_slice(body).map_err(|_| senseless())?;
    let standing = match status.as_str() {
        "requires_action" => Standing::NeedsAction,
        "requires_capture" => Standing::Authorised,
        "succeeded" => Standing::Captured,
        "declined" => Standing::Declined,
        "canceled" => Standing::Cancelled,
        "refunded" => Standing::Refunded,
        _ => return Err(senseless()),
    };
    if id.is_empty() || id.len() > REFERENCE_CHARS_MAX || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(senseless());
    }
    Ok(Intent { reference: Some(id), standing })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_read_as_what_it_says() {
        let intent =
            |reference: Option<&str>, standing| Some(Intent { reference: reference.map(str::to_owned), standing });
        for (status, body, expected) in [
            (200, r#"{"id":"pi_1","status":"requires_capture"}"#, intent(Some("pi_1"), Standing::Authorised)),
            (201, r#"{"id":"pi_1","status":"requires_action"}"#, intent(Some("pi_1"), Standing::NeedsAction)),
            (409, r#"{"id":"pi_1","status":"succeeded","more":1}"#, intent(Some("pi_1"), Standing::Captured)),
            (409, r#"{"id":"pi_1","status":"canceled"}"#, intent(Some("pi_1"), Standing::Cancelled)),
            (409, r#"{"id":"pi_1","status":"refunded"}"#, intent(Some("pi_1"), Standing::Refunded)),
            (200, r#"{"id":"pi_1","status":"declined"}"#, intent(Some("pi_1"), Standing::Declined)),
            (422, "anything", intent(None, Standing::Declined)),
            (404, "anything", intent(None, Standing::Unknown)),
            (409, r#"{"title":"a request with this key is under way"}"#, None),
            (200, r#"{"id":"pi_1","status":"in_the_post"}"#, None),
            (200, r#"{"id":"../../admin","status":"succeeded"}"#, None),
            (200, "", None),
            (302, "", None),
            (401, "", None),
            (429, "", None),
            (500, r#"{"id":"pi_1","status":"succeeded"}"#, None),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(read(status, body.as_bytes()).ok(), expected, "{status} {body}");
        }
    }

    #[test]
    fn an_address_that_is_not_http_is_a_sentence() {
        for wrong in ["", "gateway", "https://pay.example", "ftp://pay.example"] {
            let error = HttpGateway::new(wrong).expect_err(wrong);
            assert!(error.to_string().contains("http://"), "{error}");
        }
        assert_eq!(
            HttpGateway::new("http://127.0.0.1:1/").expect("an address").intents,
            "http://127.0.0.1:1/v1/payment_intents"
        );
    }
}
