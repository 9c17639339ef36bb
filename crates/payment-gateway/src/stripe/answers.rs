//! Reads Stripe's responses.

use hyper::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::{GatewayError, Intent, IntentStatus, PartialRefundOutcome, PaymentId};

/// The longest accepted reference.
const REFERENCE_CHARS_MAX: usize = 200;

/// A gateway call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayCall {
    /// Authorise the amount.
    Authorise,
    /// Read the state of a payment.
    LookUp,
    /// Search for a payment.
    Find,
    /// Capture the money.
    Capture,
    /// Release the authorisation.
    Cancel,
    /// Refund the whole payment.
    Refund,
    /// The lookup of our refund of this payment.
    LookUpRefund(PaymentId),
    /// Refund a part of it.
    RefundPart,
    /// Read its refunds and disputes.
    Balance,
}

impl GatewayCall {
    pub(super) fn as_str(self) -> &'static str {
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

/// The longest stored state of a dispute.
pub(super) const DISPUTE_CHARS_MAX: usize = 40;

/// A listed refund.
#[derive(Deserialize)]
pub(super) struct RefundObject {
    pub(super) status: String,
    pub(super) amount: i64,
    #[serde(default)]
    pub(super) metadata: RefundMetadata,
}

#[derive(Default, Deserialize)]
pub(super) struct RefundMetadata {
    pub(super) request: Option<String>,
}

impl RefundObject {
    pub(super) fn outcome(&self) -> PartialRefundOutcome {
        match self.status.as_str() {
            "failed" | "canceled" => {
                PartialRefundOutcome::Refused(format!("the bank did not accept it: {}", self.status))
            }
            _ => PartialRefundOutcome::Made,
        }
    }
}

/// A listed dispute.
#[derive(Deserialize)]
pub(super) struct DisputeObject {
    pub(super) status: String,
    pub(super) amount: i64,
}

impl DisputeObject {
    /// An inquiry withdraws nothing, and a won or prevented dispute is returned.
    pub(super) fn has_withdrawn_money(&self) -> bool {
        matches!(self.status.as_str(), "needs_response" | "under_review" | "lost")
    }
}

/// A list of refunds, the newest first.
#[derive(Deserialize)]
struct RefundList {
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
    latest_charge: Option<ChargeObject>,
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
enum ChargeObject {
    Whole { refunded: bool },
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
pub(super) struct ErrorBody {
    pub(super) error: StripeError,
}

#[derive(Deserialize)]
pub(super) struct StripeError {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) code: Option<String>,
    /// The invalid field.
    param: Option<String>,
    message: Option<String>,
    payment_intent: Option<Object>,
}

/// Whether an id has the form of a gateway id.
#[must_use]
pub fn is_reference(id: &str) -> bool {
    !id.is_empty() && id.len() <= REFERENCE_CHARS_MAX && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn intent(object: Object) -> Result<Intent, GatewayError> {
    let is_refunded = matches!(object.latest_charge, Some(ChargeObject::Whole { refunded: true }));
    let status = match (object.object.as_str(), object.status.as_str()) {
        ("payment_intent", "requires_action") => IntentStatus::NeedsAction,
        ("payment_intent", "requires_capture") => IntentStatus::Authorised,
        ("payment_intent", "succeeded") if is_refunded => IntentStatus::Refunded,
        ("payment_intent", "succeeded") => IntentStatus::Captured,
        ("payment_intent", "canceled") => IntentStatus::Cancelled,
        ("payment_intent", "requires_payment_method") => IntentStatus::Declined,
        ("payment_intent", "processing") => {
            return Err(GatewayError::NotYet("the payment is being processed".to_owned()));
        }
        ("refund", "succeeded") => {
            return Ok(Intent { reference: None, status: IntentStatus::Refunded, client_secret: None });
        }
        // The refund may still fail.
        ("refund", "pending") => return Err(GatewayError::NotYet("the refund is on its way".to_owned())),
        ("refund", status) => {
            return Err(GatewayError::Permanent(format!("refund ended as {status}; refund the shopper manually")));
        }
        (object, status) => return Err(GatewayError::Permanent(format!("unexpected status {status} of {object}"))),
    };
    let id = object.id;
    if !is_reference(&id) {
        return Err(GatewayError::Permanent("a payment with an invalid id".to_owned()));
    }
    let client_secret = object.client_secret.filter(|_| status == IntentStatus::NeedsAction);
    Ok(Intent { reference: Some(id), status, client_secret })
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

fn rejected(code: Option<&str>, message: &str) -> GatewayError {
    let plain = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_';
    let code: String = code.unwrap_or_default().chars().filter(plain).take(CODE_CHARS_MAX).collect();
    let message = message.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS_MAX).collect();
    GatewayError::Rejected { code: if code.is_empty() { "invalid_request".to_owned() } else { code }, message }
}

/// Reads the response to a call.
///
/// # Errors
/// Returns an error if the response is not a state of the payment.
pub fn read(step: GatewayCall, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Intent, GatewayError> {
    let nothing = |status| Ok(Intent { reference: None, status, client_secret: None });
    let permanent = || GatewayError::Permanent(format!("the gateway returned {status} with an invalid body"));
    let is_replayed = headers.get("idempotent-replayed").is_some_and(|value| value == "true");
    match status {
        StatusCode::OK => {
            let found = || serde_json::from_slice::<RefundList>(body).map_err(|_| permanent()).map(|found| found.data);
            return match step {
                GatewayCall::LookUpRefund(payment) => {
                    let ours = found()?.into_iter().find(|refund| refund.is_of(payment));
                    ours.map_or_else(|| nothing(IntentStatus::Captured), intent)
                }
                GatewayCall::Find => found()?.into_iter().next().map_or_else(|| nothing(IntentStatus::Unknown), intent),
                _ => intent(serde_json::from_slice(body).map_err(|_| permanent())?),
            };
        }
        // Stripe replays the stored response of a key, even a server error, all day. Nothing was
        // captured, and a possible authorisation expires on its own. The shopper may pay again.
        status if status.is_server_error() && is_replayed && step == GatewayCall::Authorise => {
            return nothing(IntentStatus::Unknown);
        }
        status if status.is_server_error() && is_replayed => {
            return Err(GatewayError::CachedFailure(format!("the gateway repeats its response {status}")));
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(GatewayError::Failed(format!("the gateway returned {status}")));
        }
        // Another process is making the same call.
        StatusCode::CONFLICT => return Err(GatewayError::NotYet(format!("the gateway returned {status}"))),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(GatewayError::Permanent(format!("the gateway returned {status}: check FAIRLINE_GATEWAY_KEY")));
        }
        StatusCode::BAD_REQUEST | StatusCode::PAYMENT_REQUIRED | StatusCode::NOT_FOUND => {}
        other => return Err(GatewayError::Permanent(format!("the gateway returned {other}"))),
    }
    let ErrorBody { error } = serde_json::from_slice(body).map_err(|_| permanent())?;
    let (param, message) = (error.param.unwrap_or_default(), error.message.unwrap_or_default());
    match (error.kind.as_str(), error.code.as_deref(), error.payment_intent) {
        // Without this code, the 404 may come from any other server.
        (_, Some("resource_missing"), _) if status == StatusCode::NOT_FOUND && step != GatewayCall::Authorise => {
            nothing(IntentStatus::Unknown)
        }
        _ if status == StatusCode::NOT_FOUND => Err(permanent()),
        ("card_error", _, Some(declined)) if step == GatewayCall::Authorise => {
            Ok(Intent { status: IntentStatus::Declined, client_secret: None, ..intent(declined)? })
        }
        ("card_error", ..) if step == GatewayCall::Authorise => nothing(IntentStatus::Declined),
        // The refund itself shows its author and its outcome.
        (_, Some("charge_already_refunded"), _) => Err(GatewayError::NotYet("it is being refunded".to_owned())),
        // The error contains the state of the intent.
        (_, Some("payment_intent_unexpected_state"), Some(now)) => intent(now),
        ("idempotency_error", ..) => {
            Err(GatewayError::Permanent("the idempotency key was used for another request".to_owned()))
        }
        // The intent was not created: the payment method is invalid or not accepted.
        ("invalid_request_error", code, _) if step == GatewayCall::Authorise && is_about_the_method(code, &param) => {
            nothing(IntentStatus::Declined)
        }
        // The intent can't be created with any method: the shop has to act.
        ("invalid_request_error", code, _) if step == GatewayCall::Authorise => Err(rejected(code, &message)),
        _ => Err(permanent()),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header;

    use super::*;

    fn payment_intent(status: &str, more: &str) -> String {
        format!(r#"{{"object":"payment_intent","id":"pi_1","status":"{status}"{more}}}"#)
    }

    fn error(kind: &str, code: &str, more: &str) -> String {
        format!(r#"{{"error":{{"type":"{kind}","code":"{code}","message":"…"{more}}}}}"#)
    }

    /// A response: the step, its status and body; and the reference and status that are read.
    type Response = (GatewayCall, u16, String, Option<(Option<String>, IntentStatus)>);

    fn is(reference: Option<&str>, status: IntentStatus) -> Option<(Option<String>, IntentStatus)> {
        Some((reference.map(str::to_owned), status))
    }

    fn are_read<const N: usize>(responses: [Response; N]) {
        for (step, status, body, expected) in responses {
            let status = StatusCode::from_u16(status).expect("a status");
            let answer = read(step, status, &HeaderMap::new(), body.as_bytes());
            assert_eq!(
                answer.ok().map(|intent| (intent.reference, intent.status)),
                expected,
                "{step:?} {status} {body}"
            );
        }
    }

    #[test]
    fn every_response_to_a_payment_has_its_status() {
        use GatewayCall::{Authorise, Cancel, Capture};
        use IntentStatus as S;
        let now = |status: &str| format!(r#","payment_intent":{}"#, payment_intent(status, ""));
        are_read([
            (Authorise, 200, payment_intent("requires_capture", ""), is(Some("pi_1"), S::Authorised)),
            (
                Authorise,
                200,
                payment_intent("requires_action", r#","client_secret":"s""#),
                is(Some("pi_1"), S::NeedsAction),
            ),
            (
                Authorise,
                402,
                error("card_error", "card_declined", &now("requires_payment_method")),
                is(Some("pi_1"), S::Declined),
            ),
            (Authorise, 402, error("card_error", "expired_card", ""), is(None, S::Declined)),
            (Authorise, 400, error("invalid_request_error", "resource_missing", ""), is(None, S::Declined)),
            (Authorise, 400, error("idempotency_error", "", ""), None),
            (Capture, 200, payment_intent("succeeded", r#","latest_charge":"ch_1""#), is(Some("pi_1"), S::Captured)),
            (
                Capture,
                400,
                error("invalid_request_error", "payment_intent_unexpected_state", &now("canceled")),
                is(Some("pi_1"), S::Cancelled),
            ),
            (Capture, 400, error("invalid_request_error", "payment_intent_unexpected_state", ""), None),
            (Capture, 400, error("invalid_request_error", "amount_too_large", ""), None),
            (
                Cancel,
                400,
                error("invalid_request_error", "payment_intent_unexpected_state", &now("succeeded")),
                is(Some("pi_1"), S::Captured),
            ),
            (Capture, 404, error("invalid_request_error", "resource_missing", ""), is(None, S::Unknown)),
            (Authorise, 404, error("invalid_request_error", "resource_missing", ""), None),
            (Cancel, 404, error("invalid_request_error", "url_invalid", ""), None),
        ]);
    }

    #[test]
    fn every_look_up_has_its_status() {
        use GatewayCall::LookUp;
        use IntentStatus as S;
        are_read([
            (
                LookUp,
                200,
                payment_intent("succeeded", r#","latest_charge":{"refunded":false}"#),
                is(Some("pi_1"), S::Captured),
            ),
            (
                LookUp,
                200,
                payment_intent("succeeded", r#","latest_charge":{"refunded":true}"#),
                is(Some("pi_1"), S::Refunded),
            ),
            (LookUp, 200, payment_intent("canceled", r#","latest_charge":null"#), is(Some("pi_1"), S::Cancelled)),
            (LookUp, 200, payment_intent("processing", ""), None),
            (LookUp, 200, payment_intent("in_the_post", ""), None),
            (LookUp, 200, payment_intent("succeeded", "").replace("pi_1", "../../admin"), None),
            (LookUp, 404, error("invalid_request_error", "resource_missing", ""), is(None, S::Unknown)),
            (LookUp, 404, String::new(), None),
            (LookUp, 404, "<html>No such page</html>".to_owned(), None),
            (LookUp, 200, String::new(), None),
            (LookUp, 302, String::new(), None),
            (LookUp, 401, String::new(), None),
            (LookUp, 429, String::new(), None),
            (LookUp, 500, payment_intent("succeeded", ""), None),
        ]);
    }

    #[test]
    fn every_response_to_a_refund_has_its_status() {
        use GatewayCall::Refund;
        use IntentStatus as S;
        let payment = PaymentId(uuid::Uuid::from_u128(7));
        let look_up_refund = GatewayCall::LookUpRefund(payment);
        let refund = |status: &str| {
            format!(r#"{{"object":"refund","id":"re_1","status":"{status}","metadata":{{"payment":"{payment}"}}}}"#)
        };
        let by_hand = r#"{"object":"refund","id":"re_2","status":"succeeded","metadata":{}}"#;
        are_read([
            (Refund, 200, refund("succeeded"), is(None, S::Refunded)),
            (Refund, 200, refund("pending"), None),
            (Refund, 200, refund("failed"), None),
            (Refund, 400, error("invalid_request_error", "charge_already_refunded", ""), None),
            (look_up_refund, 200, format!(r#"{{"data":[{}]}}"#, refund("succeeded")), is(None, S::Refunded)),
            (look_up_refund, 200, format!(r#"{{"data":[{},{}]}}"#, refund("pending"), refund("succeeded")), None),
            (look_up_refund, 200, format!(r#"{{"data":[{}]}}"#, refund("failed")), None),
            (look_up_refund, 200, format!(r#"{{"data":[{by_hand}]}}"#), is(None, S::Captured)),
            (look_up_refund, 200, format!(r#"{{"data":[{by_hand},{}]}}"#, refund("pending")), None),
            (look_up_refund, 200, r#"{"data":[]}"#.to_owned(), is(None, S::Captured)),
        ]);
    }

    #[test]
    fn a_replayed_failure_ends_only_a_payment_that_was_not_created() {
        let mut headers = HeaderMap::new();
        headers.insert("idempotent-replayed", header::HeaderValue::from_static("true"));
        let broken = |step| read(step, StatusCode::INTERNAL_SERVER_ERROR, &headers, b"");
        assert_eq!(broken(GatewayCall::Authorise).map(|intent| intent.status), Ok(IntentStatus::Unknown));
        assert!(matches!(broken(GatewayCall::Capture), Err(GatewayError::CachedFailure(_))));
    }
}
