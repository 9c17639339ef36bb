//! Adapter for Stripe's HTTP API (<https://docs.stripe.com/api>, version below), and for the
//! sandbox gateway, which imitates it.
//!
//! A payment is a PaymentIntent with immediate confirmation and manual capture: money is captured
//! only after its unit is secured. Only tokens of payment methods are sent, never card numbers.

use std::time::Duration;

use fairline_sale::gateway_amount;
use fairline_server::{Secret, StartError};
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::{HeaderMap, Method, Request, StatusCode, header};
use serde::Deserialize;
use tokio::time::Instant;

use super::{Answer, Balance, Gateway, Intent, NoAnswer, Part, PartRefund, Standing};
use crate::{
    orders::order::PaymentId,
    outbound::{Answered, HttpClient, web_address},
    payments::store::Payment,
};

/// Pinned, so that a newer default of the account does not change the responses.
const VERSION: &str = "2024-06-20";
/// The gateway's time limit for one response.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest accepted reference.
const REFERENCE_CHARS_MAX: usize = 200;
/// The prefix of sandbox payments. A sandbox moves no money, and loses its payments in a restart.
const SANDBOX_REFERENCE: &str = "pi_sandbox_";

/// A gateway with Stripe's API.
pub(crate) struct Stripe {
    client: HttpClient,
    address: String,
    key: Secret,
}

impl Stripe {
    pub(crate) fn new(address: &str, key: Secret) -> Result<Self, StartError> {
        let wrong = || StartError::new(format!("The gateway URL `{address}` is not an http:// or https:// URL."));
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

    /// Reads the state of our refund, since the idempotency key replays its first answer all day.
    /// Manual refunds do not count.
    fn look_up_refund<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a> {
        let uri = format!("{}/v1/refunds?payment_intent={reference}&limit=100", self.address);
        self.ask(Step::LookUpRefund(payment), Request::get(uri).body(Full::default()))
    }

    /// Handles an unknown payment. A sandbox payment was never worth money. Any other may be
    /// captured, and known under another URL or key.
    async fn unless_forgotten<'a>(&'a self, reference: &'a str, answer: Answer<'a>) -> Result<Intent, NoAnswer> {
        match answer.await {
            Ok(Intent { standing: Standing::Unknown, .. }) if !reference.starts_with(SANDBOX_REFERENCE) => {
                Err(NoAnswer::Permanent(
                    "the gateway does not know the payment: check FAIRLINE_GATEWAY_URL and FAIRLINE_GATEWAY_KEY"
                        .to_owned(),
                ))
            }
            answer => answer,
        }
    }

    fn ask<'a>(&'a self, step: Step, request: hyper::http::Result<Request<Full<bytes::Bytes>>>) -> Answer<'a> {
        Box::pin(async move {
            let Answered { status, headers, body } = self.call(step, request).await?;
            read(step, status, &headers, &body)
        })
    }

    async fn call(
        &self,
        step: Step,
        request: hyper::http::Result<Request<Full<bytes::Bytes>>>,
    ) -> Result<Answered, NoAnswer> {
        // Our URL was validated, so only the gateway's reference can make it invalid.
        let permanent = |error| NoAnswer::Permanent(format!("the reference does not fit into a URL: {error}"));
        let mut request = request.map_err(permanent)?;
        let key = format!("Bearer {}", self.key.expose());
        let key = header::HeaderValue::from_str(&key)
            .map_err(|_| NoAnswer::Permanent("the key is not a valid header value".to_owned()))?;
        request.headers_mut().insert(header::AUTHORIZATION, key);
        request.headers_mut().insert("stripe-version", header::HeaderValue::from_static(VERSION));
        let started = Instant::now();
        let answer = self.client.call(request).await.map_err(|unanswered| NoAnswer::Unanswered(unanswered.why));
        let outcome = if answer.is_ok() { "answered" } else { "unanswered" };
        metrics::histogram!("checkout_gateway_call_duration_seconds", "call" => step.word(), "outcome" => outcome)
            .record(started.elapsed().as_secs_f64());
        answer
    }

    /// The list of an intent's refunds or disputes.
    async fn list<T: for<'de> Deserialize<'de>>(&self, what: &str, reference: &str) -> Result<Vec<T>, NoAnswer> {
        #[derive(Deserialize)]
        struct List<T> {
            data: Vec<T>,
        }
        let uri = format!("{}/v1/{what}?payment_intent={reference}&limit=100", self.address);
        let Answered { status, body, .. } = self.call(Step::Balance, Request::get(uri).body(Full::default())).await?;
        match status {
            StatusCode::OK => {
                let list: Result<List<T>, _> = serde_json::from_slice(&body);
                list.map(|list| list.data)
                    .map_err(|error| NoAnswer::Permanent(format!("parse list of {what} failed: {error}")))
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(NoAnswer::Failed(format!("the gateway answered {status}")))
            }
            // A restarted sandbox has lost it.
            StatusCode::NOT_FOUND if reference.starts_with(SANDBOX_REFERENCE) => Ok(Vec::new()),
            status => Err(NoAnswer::Permanent(format!("the gateway answered {status} when asked for {what}"))),
        }
    }
}

/// A gateway call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Authorise,
    LookUp,
    Find,
    Capture,
    Cancel,
    Refund,
    /// The lookup of our refund of this payment.
    LookUpRefund(PaymentId),
    RefundPart,
    Balance,
}

impl Step {
    fn word(self) -> &'static str {
        match self {
            Self::Authorise => "authorise",
            Self::LookUp => "look_up",
            Self::Find => "find",
            Self::Capture => "capture",
            Self::Cancel => "cancel",
            Self::Refund => "refund",
            Self::LookUpRefund(_) => "look_up_refund",
            Self::RefundPart => "refund_part",
            Self::Balance => "balance",
        }
    }
}

/// Encodes a form whose values need no escaping: numbers, ids, tokens.
fn form(fields: &[(&str, &str)]) -> String {
    let escaped = |name: &str| name.replace('[', "%5B").replace(']', "%5D");
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}={value}", escaped(name))).collect();
    fields.join("&")
}

impl Gateway for Stripe {
    fn authorise<'a>(&'a self, payment: &'a Payment) -> Answer<'a> {
        let Some(amount) = gateway_amount(payment.amount_minor, &payment.currency) else {
            let message = format!("the gateway has no amount of {} in {}", payment.amount_minor, payment.currency);
            let rejected = NoAnswer::Rejected { code: "amount_not_representable".to_owned(), message };
            return Box::pin(async { Err(rejected) });
        };
        let (id, order, amount) = (payment.id.to_string(), payment.order.0.to_string(), amount.to_string());
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
        let answer = self.ask(Step::LookUp, Request::get(uri).body(Full::default()));
        Box::pin(self.unless_forgotten(reference, answer))
    }

    fn find<'a>(&'a self, payment: PaymentId) -> Answer<'a> {
        let query = format!("metadata%5B%27payment%27%5D%3A%27{payment}%27&expand%5B%5D=data.latest_charge");
        let uri = format!("{}/v1/payment_intents/search?query={query}", self.address);
        self.ask(Step::Find, Request::get(uri).body(Full::default()))
    }

    fn capture<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a> {
        let path = format!("/v1/payment_intents/{reference}/capture");
        Box::pin(self.unless_forgotten(reference, self.change(Step::Capture, payment, &path, String::new())))
    }

    fn cancel<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a> {
        let path = format!("/v1/payment_intents/{reference}/cancel");
        Box::pin(self.unless_forgotten(reference, self.change(Step::Cancel, payment, &path, String::new())))
    }

    fn refund<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a> {
        // Refunds the rest if a part was refunded by hand.
        let whole = form(&[("payment_intent", reference), ("metadata[payment]", &payment.to_string())]);
        let refund = self.change(Step::Refund, payment, "/v1/refunds", whole);
        Box::pin(self.unless_forgotten(
            reference,
            Box::pin(async move {
                // Look up first: a failed refund is made by hand, and Stripe forgets an idempotency
                // key after a day.
                let before = self.look_up_refund(payment, reference).await?;
                if before.standing != Standing::Captured {
                    return Ok(before);
                }
                match refund.await {
                    Err(NoAnswer::NotYet(_) | NoAnswer::CachedFailure(_)) => {}
                    answer => return answer,
                }
                let after = self.look_up_refund(payment, reference).await?;
                if after.standing != Standing::Captured {
                    return Ok(after);
                }
                // The whole amount may have been refunded by hand.
                match self.look_up(reference).await? {
                    by_hand if by_hand.standing == Standing::Refunded => Ok(by_hand),
                    _ => Err(NoAnswer::NotYet("nothing is refunded yet".to_owned())),
                }
            }),
        ))
    }

    fn refund_part<'a>(&'a self, part: &'a Part) -> BoxFuture<'a, Result<PartRefund, NoAnswer>> {
        Box::pin(async move {
            let Part { request, reference, amount } = part;
            // Look up first: Stripe forgets an idempotency key after a day.
            let before: Vec<RefundObject> = self.list("refunds", reference).await?;
            let request = request.to_string();
            let ours = |refund: &&RefundObject| refund.metadata.request.as_deref() == Some(&request);
            if let Some(refund) = before.iter().find(ours) {
                return Ok(refund.became());
            }
            let amount = amount.to_string();
            let fields = form(&[("payment_intent", reference), ("amount", &amount), ("metadata[request]", &request)]);
            let post = Request::builder()
                .method(Method::POST)
                .uri(format!("{}/v1/refunds", self.address))
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header("idempotency-key", format!("{request}-refund"))
                .body(Full::from(fields));
            let Answered { status, body, .. } = self.call(Step::RefundPart, post).await?;
            let permanent = || NoAnswer::Permanent(format!("the gateway answered {status} with an invalid body"));
            match status {
                StatusCode::OK => {
                    let refund: RefundObject = serde_json::from_slice(&body).map_err(|_| permanent())?;
                    Ok(refund.became())
                }
                status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                    Err(NoAnswer::Failed(format!("the gateway answered {status}")))
                }
                StatusCode::CONFLICT => Err(NoAnswer::NotYet(format!("the gateway answered {status}"))),
                StatusCode::BAD_REQUEST | StatusCode::PAYMENT_REQUIRED | StatusCode::NOT_FOUND => {
                    let ErrorBody { error } = serde_json::from_slice(&body).map_err(|_| permanent())?;
                    let why = error.code.filter(|code| !code.is_empty()).unwrap_or(error.kind);
                    Ok(PartRefund::Refused(format!("the payment company rejects the refund: {why}")))
                }
                _ => Err(permanent()),
            }
        })
    }

    fn balance<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Balance, NoAnswer>> {
        Box::pin(async move {
            let refunds: Vec<RefundObject> = self.list("refunds", reference).await?;
            let disputes: Vec<DisputeObject> = self.list("disputes", reference).await?;
            let counted = refunds.iter().filter(|refund| refund.became() == PartRefund::Made);
            let taken = disputes.iter().filter(|dispute| dispute.has_taken_the_money());
            let word = |status: &String| status.chars().filter(|c| !c.is_control()).take(DISPUTE_CHARS_MAX).collect();
            Ok(Balance {
                refunded: counted.map(|refund| refund.amount).fold(0, i64::saturating_add),
                disputed: taken.map(|dispute| dispute.amount).fold(0, i64::saturating_add),
                dispute: disputes.first().map(|dispute| word(&dispute.status)),
            })
        })
    }
}

/// The longest stored state of a dispute.
const DISPUTE_CHARS_MAX: usize = 40;

/// A listed refund.
#[derive(Deserialize)]
struct RefundObject {
    status: String,
    amount: i64,
    #[serde(default)]
    metadata: RefundMetadata,
}

#[derive(Default, Deserialize)]
struct RefundMetadata {
    request: Option<String>,
}

impl RefundObject {
    fn became(&self) -> PartRefund {
        match self.status.as_str() {
            "failed" | "canceled" => PartRefund::Refused(format!("the bank did not accept it: {}", self.status)),
            _ => PartRefund::Made,
        }
    }
}

/// A listed dispute.
#[derive(Deserialize)]
struct DisputeObject {
    status: String,
    amount: i64,
}

impl DisputeObject {
    /// An inquiry withdraws nothing, and a won or prevented dispute is returned.
    fn has_taken_the_money(&self) -> bool {
        matches!(self.status.as_str(), "needs_response" | "under_review" | "lost")
    }
}

/// A list of refunds, the newest first.
#[derive(Deserialize)]
struct Found {
    data: Vec<Object>,
}

/// A PaymentIntent or a Refund.
#[derive(Deserialize)]
struct Object {
    object: String,
    id: String,
    status: String,
    client_secret: Option<String>,
    /// The id; the whole object if the request expanded it.
    latest_charge: Option<Charge>,
    metadata: Option<Metadata>,
}

/// Our metadata.
#[derive(Deserialize)]
struct Metadata {
    payment: Option<String>,
}

impl Object {
    fn is_of(&self, payment: PaymentId) -> bool {
        let written = self.metadata.as_ref().and_then(|metadata| metadata.payment.as_deref());
        written == Some(payment.to_string().as_str())
    }
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
    /// The invalid field.
    param: Option<String>,
    message: Option<String>,
    payment_intent: Option<Object>,
}

/// Whether an id has the form of a gateway id.
pub(super) fn is_reference(id: &str) -> bool {
    !id.is_empty() && id.len() <= REFERENCE_CHARS_MAX && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
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
        ("refund", "succeeded") => {
            return Ok(Intent { reference: None, standing: Standing::Refunded, client_secret: None });
        }
        // The refund may still fail.
        ("refund", "pending") => return Err(NoAnswer::NotYet("the refund is on its way".to_owned())),
        ("refund", status) => {
            return Err(NoAnswer::Permanent(format!("the refund is {status}: give the money back by hand")));
        }
        (object, status) => return Err(NoAnswer::Permanent(format!("a {object} that is {status}"))),
    };
    let id = object.id;
    if !is_reference(&id) {
        return Err(NoAnswer::Permanent("a payment with an invalid id".to_owned()));
    }
    let client_secret = object.client_secret.filter(|_| standing == Standing::NeedsAction);
    Ok(Intent { reference: Some(id), standing, client_secret })
}

/// Whether the shopper can fix the error with another card.
fn is_about_the_method(code: Option<&str>, param: &str) -> bool {
    let code = code.unwrap_or_default();
    param.starts_with("payment_method")
        || code == "token_already_used"
        || code == "resource_missing"
        || (code.starts_with("payment_method_") && code != "payment_method_unactivated")
}

/// The longest stored code and message of a rejection.
const CODE_CHARS_MAX: usize = 60;
const MESSAGE_CHARS_MAX: usize = 300;

fn rejected(code: Option<&str>, message: &str) -> NoAnswer {
    let plain = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_';
    let code: String = code.unwrap_or_default().chars().filter(plain).take(CODE_CHARS_MAX).collect();
    let message = message.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS_MAX).collect();
    NoAnswer::Rejected { code: if code.is_empty() { "invalid_request".to_owned() } else { code }, message }
}

pub(crate) fn read(step: Step, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Intent, NoAnswer> {
    let nothing = |standing| Ok(Intent { reference: None, standing, client_secret: None });
    let permanent = || NoAnswer::Permanent(format!("the gateway answered {status} with an invalid body"));
    let is_replayed = headers.get("idempotent-replayed").is_some_and(|value| value == "true");
    match status {
        StatusCode::OK => {
            let found = || serde_json::from_slice::<Found>(body).map_err(|_| permanent()).map(|found| found.data);
            return match step {
                Step::LookUpRefund(payment) => {
                    let ours = found()?.into_iter().find(|refund| refund.is_of(payment));
                    ours.map_or_else(|| nothing(Standing::Captured), intent)
                }
                Step::Find => found()?.into_iter().next().map_or_else(|| nothing(Standing::Unknown), intent),
                _ => intent(serde_json::from_slice(body).map_err(|_| permanent())?),
            };
        }
        // Stripe replays the stored response of a key, even a server error, all day. Nothing was
        // captured, and a possible authorisation expires by itself. The shopper may pay again.
        status if status.is_server_error() && is_replayed && step == Step::Authorise => {
            return nothing(Standing::Unknown);
        }
        status if status.is_server_error() && is_replayed => {
            return Err(NoAnswer::CachedFailure(format!("the gateway repeats that it answered {status}")));
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(NoAnswer::Failed(format!("the gateway answered {status}")));
        }
        // Another process is making the same call.
        StatusCode::CONFLICT => return Err(NoAnswer::NotYet(format!("the gateway answered {status}"))),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(NoAnswer::Permanent(format!("the gateway answered {status}: check FAIRLINE_GATEWAY_KEY")));
        }
        StatusCode::BAD_REQUEST | StatusCode::PAYMENT_REQUIRED | StatusCode::NOT_FOUND => {}
        other => return Err(NoAnswer::Permanent(format!("the gateway answered {other}"))),
    }
    let ErrorBody { error } = serde_json::from_slice(body).map_err(|_| permanent())?;
    let (param, message) = (error.param.unwrap_or_default(), error.message.unwrap_or_default());
    match (error.kind.as_str(), error.code.as_deref(), error.payment_intent) {
        // Without this code, the 404 may come from any other server.
        (_, Some("resource_missing"), _) if status == StatusCode::NOT_FOUND && step != Step::Authorise => {
            nothing(Standing::Unknown)
        }
        _ if status == StatusCode::NOT_FOUND => Err(permanent()),
        ("card_error", _, Some(declined)) if step == Step::Authorise => {
            Ok(Intent { standing: Standing::Declined, client_secret: None, ..intent(declined)? })
        }
        ("card_error", ..) if step == Step::Authorise => nothing(Standing::Declined),
        // The refund itself shows its author and its outcome.
        (_, Some("charge_already_refunded"), _) => Err(NoAnswer::NotYet("it is being refunded".to_owned())),
        // The error contains the state of the intent.
        (_, Some("payment_intent_unexpected_state"), Some(now)) => intent(now),
        ("idempotency_error", ..) => {
            Err(NoAnswer::Permanent("the gateway knows the idempotency key from another request".to_owned()))
        }
        // The intent was not created: the payment method is invalid or not accepted.
        ("invalid_request_error", code, _) if step == Step::Authorise && is_about_the_method(code, &param) => {
            nothing(Standing::Declined)
        }
        // The intent can't be created with any method: the shop has to act.
        ("invalid_request_error", code, _) if step == Step::Authorise => Err(rejected(code, &message)),
        _ => Err(permanent()),
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
        let payment = PaymentId(uuid::Uuid::from_u128(7));
        let look_up_refund = Step::LookUpRefund(payment);
        let refund = |status: &str| {
            format!(r#"{{"object":"refund","id":"re_1","status":"{status}","metadata":{{"payment":"{payment}"}}}}"#)
        };
        let by_hand = r#"{"object":"refund","id":"re_2","status":"succeeded","metadata":{}}"#;
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
            (LookUp, 404, error("invalid_request_error", "resource_missing", ""), said(None, S::Unknown)),
            (Capture, 404, error("invalid_request_error", "resource_missing", ""), said(None, S::Unknown)),
            (Authorise, 404, error("invalid_request_error", "resource_missing", ""), None),
            (LookUp, 404, String::new(), None),
            (LookUp, 404, "<html>No such page</html>".to_owned(), None),
            (Cancel, 404, error("invalid_request_error", "url_invalid", ""), None),
            (LookUp, 200, String::new(), None),
            (LookUp, 302, String::new(), None),
            (LookUp, 401, String::new(), None),
            (LookUp, 429, String::new(), None),
            (LookUp, 500, payment_intent("succeeded", ""), None),
            (Refund, 200, refund("succeeded"), said(None, S::Refunded)),
            (Refund, 200, refund("pending"), None),
            (Refund, 200, refund("failed"), None),
            (Refund, 400, error("invalid_request_error", "charge_already_refunded", ""), None),
            (look_up_refund, 200, format!(r#"{{"data":[{}]}}"#, refund("succeeded")), said(None, S::Refunded)),
            (look_up_refund, 200, format!(r#"{{"data":[{},{}]}}"#, refund("pending"), refund("succeeded")), None),
            (look_up_refund, 200, format!(r#"{{"data":[{}]}}"#, refund("failed")), None),
            (look_up_refund, 200, format!(r#"{{"data":[{by_hand}]}}"#), said(None, S::Captured)),
            (look_up_refund, 200, format!(r#"{{"data":[{by_hand},{}]}}"#, refund("pending")), None),
            (look_up_refund, 200, r#"{"data":[]}"#.to_owned(), said(None, S::Captured)),
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
        assert!(matches!(broken(Step::Capture), Err(NoAnswer::CachedFailure(_))));
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
