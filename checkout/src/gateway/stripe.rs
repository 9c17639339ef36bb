//! Stripe, over its HTTP API (<https://docs.stripe.com/api>, version below), or the sandbox gateway, which behaves like it.
//!
//! A payment is one PaymentIntent that is confirmed at once and captured by hand: money is taken only when its unit is secured. We send
//! tokens of payment methods and never cards.

use std::time::Duration;

use fairline_service::{Secret, StartError};
use http_body_util::Full;
use hyper::{HeaderMap, Method, Request, StatusCode, header};
use serde::Deserialize;
use tokio::time::Instant;

use super::{Answer, Gateway, Intent, NoAnswer, Standing};
use crate::{
    order::PaymentId,
    outbound::{Answered, HttpClient, web_address},
    store::Payment,
};

/// Pinned, so that an account's newer default does not change what we read.
const VERSION: &str = "2024-06-20";
/// How long the gateway may take for one answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest reference that is believed.
const REFERENCE_CHARS_MAX: usize = 200;

/// A payment company that speaks Stripe's API.
pub(crate) struct Stripe {
    client: HttpClient,
    address: String,
    key: Secret,
}

impl Stripe {
    pub(crate) fn new(address: &str, key: Secret) -> Result<Self, StartError> {
        let wrong = || StartError::new(format!("The gateway's address `{address}` is not an http:// or https:// one."));
        web_address(address).ok_or_else(wrong)?;
        Ok(Self { client: HttpClient::new(CALL_TIMEOUT), address: address.trim_end_matches('/').to_owned(), key })
    }

    fn change<'a>(&'a self, step: Step, payment: PaymentId, path: &str, form: String) -> Answer<'a> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.address))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("idempotency-key", format!("{payment}-{}", step.word()))
            .body(Full::from(form));
        self.ask(step, request)
    }

    fn ask<'a>(&'a self, step: Step, request: hyper::http::Result<Request<Full<bytes::Bytes>>>) -> Answer<'a> {
        Box::pin(async move {
            // Our own address was checked, so it is the gateway's reference that does not fit into one.
            let senseless = |error| NoAnswer::Senseless(format!("the reference is no part of an address: {error}"));
            let mut request = request.map_err(senseless)?;
            let key = format!("Bearer {}", self.key.expose());
            let key = header::HeaderValue::from_str(&key)
                .map_err(|_| NoAnswer::Senseless("the key is no header".to_owned()))?;
            request.headers_mut().insert(header::AUTHORIZATION, key);
            request.headers_mut().insert("stripe-version", header::HeaderValue::from_static(VERSION));
            let started = Instant::now();
            let answer = self.client.call(request).await.map_err(|unanswered| NoAnswer::Unanswered(unanswered.why));
            let answer = answer.and_then(|Answered { status, headers, body }| read(step, status, &headers, &body));
            let outcome = if answer.is_ok() { "answered" } else { "unanswered" };
            metrics::histogram!("checkout_gateway_call_duration_seconds", "call" => step.word(), "outcome" => outcome)
                .record(started.elapsed().as_secs_f64());
            answer
        })
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Authorise,
    LookUp,
    Capture,
    Cancel,
    Refund,
}

impl Step {
    fn word(self) -> &'static str {
        match self {
            Self::Authorise => "authorise",
            Self::LookUp => "look_up",
            Self::Capture => "capture",
            Self::Cancel => "cancel",
            Self::Refund => "refund",
        }
    }
}

/// A form of fields whose values need no escapes: numbers, ids, tokens.
fn form(fields: &[(&str, &str)]) -> String {
    let escaped = |name: &str| name.replace('[', "%5B").replace(']', "%5D");
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}={value}", escaped(name))).collect();
    fields.join("&")
}

impl Gateway for Stripe {
    fn authorise<'a>(&'a self, payment: &'a Payment) -> Answer<'a> {
        let (id, order, amount) =
            (payment.id.to_string(), payment.order.0.to_string(), payment.amount_minor.to_string());
        let currency = payment.currency.to_ascii_lowercase();
        let method: &[(&str, &str)] = if payment.payment_method.starts_with("tok_") {
            &[("payment_method_data[type]", "card"), ("payment_method_data[card][token]", &payment.payment_method)]
        } else {
            &[("payment_method", &payment.payment_method)]
        };
        let always = [
            ("amount", amount.as_str()),
            ("currency", &currency),
            ("payment_method_types[]", "card"),
            ("capture_method", "manual"),
            ("confirm", "true"),
            ("metadata[payment]", &id),
            ("metadata[order]", &order),
        ];
        self.change(Step::Authorise, payment.id, "/v1/payment_intents", form(&[&always, method].concat()))
    }

    fn look_up<'a>(&'a self, reference: &'a str) -> Answer<'a> {
        let uri = format!("{}/v1/payment_intents/{reference}?expand%5B%5D=latest_charge", self.address);
        self.ask(Step::LookUp, Request::get(uri).body(Full::default()))
    }

    fn capture<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a> {
        self.change(Step::Capture, payment, &format!("/v1/payment_intents/{reference}/capture"), String::new())
    }

    fn cancel<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a> {
        self.change(Step::Cancel, payment, &format!("/v1/payment_intents/{reference}/cancel"), String::new())
    }

    fn refund<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a> {
        self.change(Step::Refund, payment, "/v1/refunds", form(&[("payment_intent", reference)]))
    }
}

/// A PaymentIntent or a Refund.
#[derive(Deserialize)]
struct Object {
    object: String,
    id: String,
    status: String,
    client_secret: Option<String>,
    /// Its id, or, where we have asked for it, all of it.
    latest_charge: Option<Charge>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Charge {
    Whole { refunded: bool },
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct ErrorBody {
    error: StripeError,
}

#[derive(Deserialize)]
struct StripeError {
    #[serde(rename = "type")]
    kind: String,
    code: Option<String>,
    payment_intent: Option<Object>,
}

fn intent(object: Object) -> Result<Intent, NoAnswer> {
    let is_refunded = matches!(object.latest_charge, Some(Charge::Whole { refunded: true }));
    let standing = match (object.object.as_str(), object.status.as_str()) {
        ("payment_intent", "requires_action") => Standing::NeedsAction,
        ("payment_intent", "requires_capture") => Standing::Authorised,
        ("payment_intent", "succeeded") if is_refunded => Standing::Refunded,
        ("payment_intent", "succeeded") => Standing::Captured,
        ("payment_intent", "canceled") => Standing::Cancelled,
        ("payment_intent", "requires_payment_method") => Standing::Declined,
        ("payment_intent", "processing") => return Err(NoAnswer::NotYet("it is being processed".to_owned())),
        // A refund that is pending is Stripe's to finish.
        ("refund", "succeeded" | "pending") => {
            return Ok(Intent { reference: None, standing: Standing::Refunded, client_secret: None });
        }
        (object, status) => return Err(NoAnswer::Senseless(format!("a {object} that is {status}"))),
    };
    let id = object.id;
    if id.is_empty() || id.len() > REFERENCE_CHARS_MAX || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(NoAnswer::Senseless("a payment whose id is none".to_owned()));
    }
    let client_secret = object.client_secret.filter(|_| standing == Standing::NeedsAction);
    Ok(Intent { reference: Some(id), standing, client_secret })
}

fn read(step: Step, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Intent, NoAnswer> {
    let nothing = |standing| Ok(Intent { reference: None, standing, client_secret: None });
    let senseless = || NoAnswer::Senseless(format!("the gateway answered {status} with nothing that makes sense"));
    let is_replayed = headers.get("idempotent-replayed").is_some_and(|value| value == "true");
    match status {
        StatusCode::OK => return intent(serde_json::from_slice(body).map_err(|_| senseless())?),
        StatusCode::NOT_FOUND => return nothing(Standing::Unknown),
        // Stripe keeps the answer to a key, a failure of its own too: it would say the same all day. Nothing was captured, and an
        // authorisation that it may have made lapses by itself; the shopper may pay again.
        status if status.is_server_error() && is_replayed && step == Step::Authorise => {
            return nothing(Standing::Unknown);
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(NoAnswer::Failed(format!("the gateway answered {status}")));
        }
        // It is at work on the same, for another of our processes.
        StatusCode::CONFLICT => return Err(NoAnswer::NotYet(format!("the gateway answered {status}"))),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(NoAnswer::Senseless(format!("the gateway answered {status}: look at FAIRLINE_GATEWAY_KEY")));
        }
        StatusCode::BAD_REQUEST | StatusCode::PAYMENT_REQUIRED => {}
        other => return Err(NoAnswer::Senseless(format!("the gateway answered {other}"))),
    }
    let ErrorBody { error } = serde_json::from_slice(body).map_err(|_| senseless())?;
    match (error.kind.as_str(), error.code.as_deref(), error.payment_intent) {
        ("card_error", _, Some(declined)) if step == Step::Authorise => {
            Ok(Intent { standing: Standing::Declined, client_secret: None, ..intent(declined)? })
        }
        ("card_error", ..) if step == Step::Authorise => nothing(Standing::Declined),
        (_, Some("charge_already_refunded"), _) => nothing(Standing::Refunded),
        // It says how the intent stands instead.
        (_, Some("payment_intent_unexpected_state"), Some(now)) => intent(now),
        ("idempotency_error", ..) => {
            Err(NoAnswer::Senseless("the gateway knows the key from something else".to_owned()))
        }
        // It would not begin: the payment method is none, or none that it takes.
        ("invalid_request_error", ..) if step == Step::Authorise => nothing(Standing::Declined),
        _ => Err(senseless()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment_intent(status: &str, more: &str) -> String {
        format!(r#"{{"object":"payment_intent","id":"pi_1","status":"{status}"{more}}}"#)
    }

    fn error(kind: &str, code: &str, more: &str) -> String {
        format!(r#"{{"error":{{"type":"{kind}","code":"{code}","message":"…"{more}}}}}"#)
    }

    #[test]
    fn every_answer_is_read_as_what_it_says() {
        use Standing as S;
        use Step::{Authorise, Cancel, Capture, LookUp, Refund};
        let said = |reference: Option<&str>, standing| Some((reference.map(str::to_owned), standing));
        let now = |status: &str| format!(r#","payment_intent":{}"#, payment_intent(status, ""));
        for (step, status, body, expected) in [
            (Authorise, 200, payment_intent("requires_capture", ""), said(Some("pi_1"), S::Authorised)),
            (
                Authorise,
                200,
                payment_intent("requires_action", r#","client_secret":"s""#),
                said(Some("pi_1"), S::NeedsAction),
            ),
            (
                Authorise,
                402,
                error("card_error", "card_declined", &now("requires_payment_method")),
                said(Some("pi_1"), S::Declined),
            ),
            (Authorise, 402, error("card_error", "expired_card", ""), said(None, S::Declined)),
            (Authorise, 400, error("invalid_request_error", "resource_missing", ""), said(None, S::Declined)),
            (Authorise, 400, error("idempotency_error", "", ""), None),
            (Capture, 200, payment_intent("succeeded", r#","latest_charge":"ch_1""#), said(Some("pi_1"), S::Captured)),
            (
                Capture,
                400,
                error("invalid_request_error", "payment_intent_unexpected_state", &now("canceled")),
                said(Some("pi_1"), S::Cancelled),
            ),
            (Capture, 400, error("invalid_request_error", "payment_intent_unexpected_state", ""), None),
            (Capture, 400, error("invalid_request_error", "amount_too_large", ""), None),
            (
                Cancel,
                400,
                error("invalid_request_error", "payment_intent_unexpected_state", &now("succeeded")),
                said(Some("pi_1"), S::Captured),
            ),
            (
                LookUp,
                200,
                payment_intent("succeeded", r#","latest_charge":{"refunded":false}"#),
                said(Some("pi_1"), S::Captured),
            ),
            (
                LookUp,
                200,
                payment_intent("succeeded", r#","latest_charge":{"refunded":true}"#),
                said(Some("pi_1"), S::Refunded),
            ),
            (LookUp, 200, payment_intent("canceled", r#","latest_charge":null"#), said(Some("pi_1"), S::Cancelled)),
            (LookUp, 200, payment_intent("processing", ""), None),
            (LookUp, 200, payment_intent("in_the_post", ""), None),
            (LookUp, 200, payment_intent("succeeded", "").replace("pi_1", "../../admin"), None),
            (LookUp, 404, String::new(), said(None, S::Unknown)),
            (LookUp, 200, String::new(), None),
            (LookUp, 302, String::new(), None),
            (LookUp, 401, String::new(), None),
            (LookUp, 429, String::new(), None),
            (LookUp, 500, payment_intent("succeeded", ""), None),
            (Refund, 200, r#"{"object":"refund","id":"re_1","status":"pending"}"#.to_owned(), said(None, S::Refunded)),
            (Refund, 200, r#"{"object":"refund","id":"re_1","status":"failed"}"#.to_owned(), None),
            (Refund, 400, error("invalid_request_error", "charge_already_refunded", ""), said(None, S::Refunded)),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let answer = read(step, status, &HeaderMap::new(), body.as_bytes());
            assert_eq!(
                answer.ok().map(|intent| (intent.reference, intent.standing)),
                expected,
                "{step:?} {status} {body}"
            );
        }
    }

    #[test]
    fn a_failure_that_is_repeated_for_ever_ends_what_has_not_begun_and_nothing_else() {
        let mut headers = HeaderMap::new();
        headers.insert("idempotent-replayed", header::HeaderValue::from_static("true"));
        let broken = |step| read(step, StatusCode::INTERNAL_SERVER_ERROR, &headers, b"");
        assert_eq!(broken(Step::Authorise).map(|intent| intent.standing), Ok(Standing::Unknown));
        assert!(matches!(broken(Step::Capture), Err(NoAnswer::Failed(_))));
    }

    #[test]
    fn an_address_that_is_none_is_a_sentence() {
        for wrong in ["", "gateway", "ftp://pay.example"] {
            let refused = Stripe::new(wrong, Secret::new("sk_test")).err().expect(wrong).to_string();
            assert!(refused.contains("http://"), "{refused}");
        }
        let stripe = Stripe::new("https://api.stripe.com/", Secret::new("sk_test")).expect("an address");
        assert_eq!(stripe.address, "https://api.stripe.com");
    }

    #[test]
    fn a_form_is_escaped_where_it_has_to_be() {
        assert_eq!(form(&[("a[b][c]", "tok_visa"), ("d", "1")]), "a%5Bb%5D%5Bc%5D=tok_visa&d=1");
    }
}
