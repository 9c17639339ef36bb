//! Adapter for Stripe's HTTP API (<https://docs.stripe.com/api>, version below), and for the
//! sandbox gateway, which imitates it.
//!
//! A payment is a PaymentIntent with immediate confirmation and manual capture: money is captured
//! only after its unit is secured. Only tokens of payment methods are sent, never card numbers.

mod answers;

use std::time::Duration;

use fairline_http_client::{HttpClient, HttpResponse, NoResponse, web_address};
use fairline_sale::gateway_amount;
use fairline_server::{Secret, StartError};
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::{Method, Request, StatusCode, header};
use serde::Deserialize;
use tokio::time::Instant;

use crate::{
    Balance, Charge, Gateway, GatewayError, GatewayResult, Intent, IntentStatus, PartialRefund, PartialRefundOutcome,
    PaymentId,
};
use answers::{DISPUTE_CHARS_MAX, DisputeObject, ErrorBody, RefundObject};
pub use answers::{GatewayCall, is_reference, read};

/// Pinned, so that a newer default of the account does not change the responses.
const VERSION: &str = "2024-06-20";
/// The gateway's time limit for one response.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The prefix of sandbox payments. A sandbox moves no money, and loses its payments in a restart.
const SANDBOX_REFERENCE: &str = "pi_sandbox_";

/// A gateway with Stripe's API.
pub struct Stripe {
    client: HttpClient,
    address: String,
    key: Secret,
}

impl Stripe {
    /// A client of the API at a URL.
    ///
    /// # Errors
    /// Returns an error if the URL is invalid.
    pub fn new(address: &str, key: Secret) -> Result<Self, StartError> {
        let wrong = || StartError::new(format!("The gateway URL `{address}` is not an http:// or https:// URL."));
        web_address(address).ok_or_else(wrong)?;
        Ok(Self { client: HttpClient::new(CALL_TIMEOUT), address: address.trim_end_matches('/').to_owned(), key })
    }

    fn change<'a>(&'a self, step: GatewayCall, payment: PaymentId, path: &str, form: String) -> GatewayResult<'a> {
        self.ask(step, self.post(path, format!("{payment}-{}", step.as_str()), form))
    }

    fn post(&self, path: &str, key: String, form: String) -> hyper::http::Result<Request<Full<bytes::Bytes>>> {
        Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.address))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("idempotency-key", key)
            .body(Full::from(form))
    }

    /// Reads the state of our refund, since the idempotency key replays its first response all day.
    /// Manual refunds do not count.
    fn look_up_refund<'a>(&'a self, payment: PaymentId, reference: &'a str) -> GatewayResult<'a> {
        let uri = format!("{}/v1/refunds?payment_intent={reference}&limit=100", self.address);
        self.ask(GatewayCall::LookUpRefund(payment), Request::get(uri).body(Full::default()))
    }

    /// Handles an unknown payment. A sandbox payment was never worth money. Any other may be
    /// captured, and known under another URL or key.
    async fn unless_unknown<'a>(
        &'a self,
        reference: &'a str,
        answer: GatewayResult<'a>,
    ) -> Result<Intent, GatewayError> {
        match answer.await {
            Ok(Intent { status: IntentStatus::Unknown, .. }) if !reference.starts_with(SANDBOX_REFERENCE) => {
                Err(GatewayError::Permanent(
                    "the gateway does not know the payment: check FAIRLINE_GATEWAY_URL and FAIRLINE_GATEWAY_KEY"
                        .to_owned(),
                ))
            }
            answer => answer,
        }
    }

    fn ask<'a>(
        &'a self,
        step: GatewayCall,
        request: hyper::http::Result<Request<Full<bytes::Bytes>>>,
    ) -> GatewayResult<'a> {
        Box::pin(async move {
            let HttpResponse { status, headers, body } = self.call(step, request, None).await?;
            read(step, status, &headers, &body)
        })
    }

    async fn call(
        &self,
        step: GatewayCall,
        request: hyper::http::Result<Request<Full<bytes::Bytes>>>,
        send_by: Option<Instant>,
    ) -> Result<HttpResponse, GatewayError> {
        // Our URL was validated, so only the gateway's reference can make it invalid.
        let permanent = |error| GatewayError::Permanent(format!("the reference does not fit into a URL: {error}"));
        let mut request = request.map_err(permanent)?;
        let key = format!("Bearer {}", self.key.expose());
        let key = header::HeaderValue::from_str(&key)
            .map_err(|_| GatewayError::Permanent("the key is not a valid header value".to_owned()))?;
        request.headers_mut().insert(header::AUTHORIZATION, key);
        request.headers_mut().insert("stripe-version", header::HeaderValue::from_static(VERSION));
        let started = Instant::now();
        let answer = match send_by {
            Some(send_by) => self.client.call_before(send_by, request).await,
            None => self.client.call(request).await,
        };
        let is_late =
            |unsent: &NoResponse| unsent.never_left && send_by.is_some_and(|send_by| Instant::now() > send_by);
        let answer = answer.map_err(|error| match error {
            unsent if is_late(&unsent) => GatewayError::TooLate,
            unanswered => GatewayError::Unanswered(unanswered.why),
        });
        let outcome = if answer.is_ok() { "answered" } else { "unanswered" };
        metrics::histogram!("checkout_gateway_call_duration_seconds", "call" => step.as_str(), "outcome" => outcome)
            .record(started.elapsed().as_secs_f64());
        answer
    }

    /// The list of an intent's refunds or disputes.
    async fn list<T: for<'de> Deserialize<'de>>(&self, what: &str, reference: &str) -> Result<Vec<T>, GatewayError> {
        #[derive(Deserialize)]
        struct StripeList<T> {
            data: Vec<T>,
        }
        let uri = format!("{}/v1/{what}?payment_intent={reference}&limit=100", self.address);
        let HttpResponse { status, body, .. } =
            self.call(GatewayCall::Balance, Request::get(uri).body(Full::default()), None).await?;
        match status {
            StatusCode::OK => {
                let list: Result<StripeList<T>, _> = serde_json::from_slice(&body);
                list.map(|list| list.data)
                    .map_err(|error| GatewayError::Permanent(format!("parse list of {what} failed: {error}")))
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(GatewayError::Failed(format!("the gateway returned {status}")))
            }
            // A restarted sandbox has lost it.
            StatusCode::NOT_FOUND if reference.starts_with(SANDBOX_REFERENCE) => Ok(Vec::new()),
            status => Err(GatewayError::Permanent(format!("the gateway returned {status} for the request of {what}"))),
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
    fn authorise<'a>(&'a self, charge: &'a Charge<'a>) -> GatewayResult<'a> {
        let Some(amount) = gateway_amount(charge.amount_minor, charge.currency) else {
            let message = format!("the gateway has no amount of {} in {}", charge.amount_minor, charge.currency);
            let rejected = GatewayError::Rejected { code: "amount_not_representable".to_owned(), message };
            return Box::pin(async { Err(rejected) });
        };
        let (id, order, amount) = (charge.payment.to_string(), charge.order.to_string(), amount.to_string());
        let currency = charge.currency.to_ascii_lowercase();
        let method: &[(&str, &str)] = if charge.payment_method.starts_with("tok_") {
            &[("payment_method_data[type]", "card"), ("payment_method_data[card][token]", charge.payment_method)]
        } else {
            &[("payment_method", charge.payment_method)]
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
        let step = GatewayCall::Authorise;
        let post =
            self.post("/v1/payment_intents", format!("{id}-{}", step.as_str()), form(&[&always, method].concat()));
        Box::pin(async move {
            let HttpResponse { status, headers, body } = self.call(step, post, Some(charge.send_by)).await?;
            read(step, status, &headers, &body)
        })
    }

    fn look_up<'a>(&'a self, reference: &'a str) -> GatewayResult<'a> {
        let uri = format!("{}/v1/payment_intents/{reference}?expand%5B%5D=latest_charge", self.address);
        let answer = self.ask(GatewayCall::LookUp, Request::get(uri).body(Full::default()));
        Box::pin(self.unless_unknown(reference, answer))
    }

    fn find<'a>(&'a self, payment: PaymentId) -> GatewayResult<'a> {
        let query = format!("metadata%5B%27payment%27%5D%3A%27{payment}%27&expand%5B%5D=data.latest_charge");
        let uri = format!("{}/v1/payment_intents/search?query={query}", self.address);
        self.ask(GatewayCall::Find, Request::get(uri).body(Full::default()))
    }

    fn capture<'a>(&'a self, payment: PaymentId, reference: &'a str) -> GatewayResult<'a> {
        let path = format!("/v1/payment_intents/{reference}/capture");
        Box::pin(self.unless_unknown(reference, self.change(GatewayCall::Capture, payment, &path, String::new())))
    }

    fn cancel<'a>(&'a self, payment: PaymentId, reference: &'a str) -> GatewayResult<'a> {
        let path = format!("/v1/payment_intents/{reference}/cancel");
        Box::pin(self.unless_unknown(reference, self.change(GatewayCall::Cancel, payment, &path, String::new())))
    }

    fn refund<'a>(&'a self, payment: PaymentId, reference: &'a str) -> GatewayResult<'a> {
        // Refunds the rest if a part was refunded by hand.
        let whole = form(&[("payment_intent", reference), ("metadata[payment]", &payment.to_string())]);
        let refund = self.change(GatewayCall::Refund, payment, "/v1/refunds", whole);
        Box::pin(self.unless_unknown(
            reference,
            Box::pin(async move {
                // Look up first: a failed refund is made by hand, and Stripe forgets an idempotency
                // key after a day.
                let before = self.look_up_refund(payment, reference).await?;
                if before.status != IntentStatus::Captured {
                    return Ok(before);
                }
                match refund.await {
                    Err(GatewayError::NotYet(_) | GatewayError::CachedFailure(_)) => {}
                    answer => return answer,
                }
                let after = self.look_up_refund(payment, reference).await?;
                if after.status != IntentStatus::Captured {
                    return Ok(after);
                }
                // The whole amount may have been refunded by hand.
                match self.look_up(reference).await? {
                    by_hand if by_hand.status == IntentStatus::Refunded => Ok(by_hand),
                    _ => Err(GatewayError::NotYet("nothing is refunded yet".to_owned())),
                }
            }),
        ))
    }

    fn refund_part<'a>(&'a self, part: &'a PartialRefund) -> BoxFuture<'a, Result<PartialRefundOutcome, GatewayError>> {
        Box::pin(async move {
            let PartialRefund { request, reference, amount } = part;
            // Look up first: Stripe forgets an idempotency key after a day.
            let before: Vec<RefundObject> = self.list("refunds", reference).await?;
            let request = request.to_string();
            let ours = |refund: &&RefundObject| refund.metadata.request.as_deref() == Some(&request);
            if let Some(refund) = before.iter().find(ours) {
                return Ok(refund.outcome());
            }
            let amount = amount.to_string();
            let fields = form(&[("payment_intent", reference), ("amount", &amount), ("metadata[request]", &request)]);
            let post = self.post("/v1/refunds", format!("{request}-refund"), fields);
            let HttpResponse { status, body, .. } = self.call(GatewayCall::RefundPart, post, None).await?;
            let permanent = || GatewayError::Permanent(format!("the gateway returned {status} with an invalid body"));
            match status {
                StatusCode::OK => {
                    let refund: RefundObject = serde_json::from_slice(&body).map_err(|_| permanent())?;
                    Ok(refund.outcome())
                }
                status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                    Err(GatewayError::Failed(format!("the gateway returned {status}")))
                }
                StatusCode::CONFLICT => Err(GatewayError::NotYet(format!("the gateway returned {status}"))),
                StatusCode::BAD_REQUEST | StatusCode::PAYMENT_REQUIRED | StatusCode::NOT_FOUND => {
                    let ErrorBody { error } = serde_json::from_slice(&body).map_err(|_| permanent())?;
                    let why = error.code.filter(|code| !code.is_empty()).unwrap_or(error.kind);
                    Ok(PartialRefundOutcome::Refused(format!("the payment gateway rejects the refund: {why}")))
                }
                _ => Err(permanent()),
            }
        })
    }

    fn balance<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Balance, GatewayError>> {
        Box::pin(async move {
            let refunds: Vec<RefundObject> = self.list("refunds", reference).await?;
            let disputes: Vec<DisputeObject> = self.list("disputes", reference).await?;
            let counted = refunds.iter().filter(|refund| refund.outcome() == PartialRefundOutcome::Made);
            let taken = disputes.iter().filter(|dispute| dispute.has_withdrawn_money());
            let word = |status: &String| status.chars().filter(|c| !c.is_control()).take(DISPUTE_CHARS_MAX).collect();
            Ok(Balance {
                refunded: counted.map(|refund| refund.amount).fold(0, i64::saturating_add),
                disputed: taken.map(|dispute| dispute.amount).fold(0, i64::saturating_add),
                dispute: disputes.first().map(|dispute| word(&dispute.status)),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_url_is_explained() {
        for wrong in ["", "gateway", "ftp://pay.example"] {
            let refused = Stripe::new(wrong, Secret::new("sk_test")).err().expect(wrong).to_string();
            assert!(refused.contains("http://"), "{refused}");
        }
        let stripe = Stripe::new("https://api.stripe.com/", Secret::new("sk_test")).expect("an address");
        assert_eq!(stripe.address, "https://api.stripe.com");
    }

    #[test]
    fn field_names_of_a_form_are_escaped() {
        assert_eq!(form(&[("a[b][c]", "tok_visa"), ("d", "1")]), "a%5Bb%5D%5Bc%5D=tok_visa&d=1");
    }
}
