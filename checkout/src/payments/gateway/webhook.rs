//! Receives the payment gateway's events. An event is only a hint: the payment is looked up, so a
//! repeated, late, reordered or lost event changes only how soon we know.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use fairline_server::{Problem, ProblemBody, Secret};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use tracing::info;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::stripe::is_reference;
use crate::{
    error::CheckoutError,
    payments::{
        gateway::store::{GatewayEvent, Received},
        service::Payments,
    },
};

/// The largest difference between a signature's time and the database's clock, in either direction.
const TOLERANCE_S: u64 = 300;
/// Signatures of one event that are checked; Stripe sends two during a rotation.
const SIGNATURES_MAX: usize = 8;
/// The longest accepted event id.
const ID_CHARS_MAX: usize = 200;

#[derive(Deserialize)]
pub(crate) struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

impl Event {
    /// The intent of the event: for a charge, a refund or a dispute, the intent that it belongs to.
    fn reference(&self) -> Option<&str> {
        let object = &self.data.object;
        let name = if object["object"] == "payment_intent" { "id" } else { "payment_intent" };
        object[name].as_str().filter(|id| is_reference(id))
    }

    /// Our id of the payment, if the event is about an intent with our metadata.
    fn payment(&self) -> Option<Uuid> {
        let object = &self.data.object;
        let named = object["metadata"]["payment"].as_str().filter(|_| object["object"] == "payment_intent");
        named.and_then(|id| Uuid::try_parse(id).ok())
    }

    fn moves_money_back(&self) -> bool {
        ["charge.refund", "charge.dispute.", "refund."].iter().any(|prefix| self.kind.starts_with(prefix))
    }

    /// Whether the intent is authorised or captured, or will be once its shopper has authenticated.
    fn may_be_open(&self) -> bool {
        const KINDS: [&str; 3] = ["amount_capturable_updated", "succeeded", "requires_action"];
        self.kind.strip_prefix("payment_intent.").is_some_and(|what| KINDS.contains(&what))
    }
}

/// The time of the signature, in Unix seconds, if one of the secrets made it. See
/// <https://docs.stripe.com/webhooks#verify-manually>.
pub(crate) fn signed_at(header: &str, body: &[u8], secrets: &[Secret]) -> Option<i64> {
    let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
    let moment = parts().find(|(name, _)| *name == "t").map(|(_, value)| value)?;
    let signed_at = moment.parse().ok()?;
    let signatures =
        parts().filter(|(name, _)| *name == "v1").filter_map(|(_, value)| from_hex(value)).take(SIGNATURES_MAX);
    let mut signatures = signatures.flat_map(|signature| secrets.iter().map(move |secret| (signature, secret)));
    let is_signed = signatures.any(|(signature, secret)| {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { return false };
        mac.update(moment.as_bytes());
        mac.update(b".");
        mac.update(body);
        // Compares in constant time.
        mac.verify_slice(&signature).is_ok()
    });
    is_signed.then_some(signed_at)
}

fn is_lately(signed_at: i64, now_unix_s: i64) -> bool {
    now_unix_s.abs_diff(signed_at) <= TOLERANCE_S
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

pub(crate) fn routes() -> OpenApiRouter<Arc<Payments>> {
    OpenApiRouter::new().routes(routes!(receive))
}

impl Payments {
    async fn receive(self: &Arc<Self>, event: Event) -> Result<(), CheckoutError> {
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
            _ => Received::Foreign,
        };
        let outcome = if matches!(received, Received::Repeated) { "repeated" } else { "received" };
        metrics::counter!("checkout_gateway_events_total", "outcome" => outcome).increment(1);
        let Received::About(mut payment) = received else { return Ok(()) };
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
    (status = 400, description = "The signature is missing, wrong or too old, or the body is not an event.", body = ProblemBody),
    (status = 413, description = "The body is too large.", body = ProblemBody),
    (status = 503, description = "The database does not answer: send it again.", body = ProblemBody),
))]
async fn receive(State(payments): State<Arc<Payments>>, headers: HeaderMap, body: Bytes) -> Result<StatusCode, Problem> {
    let signature = headers.get("stripe-signature").and_then(|value| value.to_str().ok());
    let signed_at = signature.and_then(|header| signed_at(header, &body, &payments.webhook_secrets));
    let signed_at = signed_at.ok_or(CheckoutError::BadWebhook)?;
    if !is_lately(signed_at, payments.store.now_unix_s().await.map_err(CheckoutError::from)?) {
        return Err(CheckoutError::BadWebhook.into());
    }
    let event = serde_json::from_slice(&body).map_err(|_| CheckoutError::BadWebhook)?;
    payments.receive(event).await?;
    Ok(StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn sign(secret: &str, at: i64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
        mac.update(format!("{at}.{body}").as_bytes());
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn only_events_signed_with_a_configured_secret_are_accepted() {
        let secrets = [Secret::new("whsec_new"), Secret::new("whsec_old")];
        let good = sign("whsec_new", NOW, "{}");
        let old = sign("whsec_old", NOW, "{}");
        let foreign = sign("whsec_other", NOW, "{}");
        for (header, body, accepted) in [
            (format!("t={NOW},v1={good}"), "{}", true),
            (format!("t={NOW},v1={old}"), "{}", true),
            (format!("t={NOW},v1={foreign},v1={good}"), "{}", true),
            (format!("v1={good}, t={NOW}, v0=abc"), "{}", true),
            (format!("t={NOW},v1={good}"), "{ }", false),
            (format!("t={NOW},v1={foreign}"), "{}", false),
            (format!("t={},v1={good}", NOW + 1), "{}", false),
            (format!("t={NOW},v0={good}"), "{}", false),
            (format!("t={NOW},v1={}", &good[..63]), "{}", false),
            (format!("t={NOW},v1={}", good.replace(&good[..1], "ä")), "{}", false),
            (format!("v1={good}"), "{}", false),
            ("t=now,v1=abc".to_owned(), "{}", false),
            (String::new(), "{}", false),
        ] {
            assert_eq!(signed_at(&header, body.as_bytes(), &secrets), accepted.then_some(NOW), "{header}");
        }
        for (at, accepted) in [(NOW - 300, true), (NOW - 301, false), (NOW + 300, true), (NOW + 301, false)] {
            assert_eq!(is_lately(at, NOW), accepted, "{at}");
        }
        assert_eq!(
            signed_at(&format!("t={NOW},v1={}", sign("", NOW, "{}")), b"{}", &[]),
            None,
            "without a secret, every signature is rejected"
        );
    }
}
