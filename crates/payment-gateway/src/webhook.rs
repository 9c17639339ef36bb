//! Events of the payment gateway, and their signatures. An event is only a hint: the payment is
//! looked up, so a repeated, late, reordered or lost event changes only how soon we know.

use fairline_server::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use uuid::Uuid;

use crate::{PaymentId, stripe::is_reference};

/// The largest difference between a signature's time and the database's clock, in either direction.
const TOLERANCE_S: u64 = 300;
/// Signatures of one event that are checked; Stripe sends two during a rotation.
const SIGNATURES_MAX: usize = 8;

/// An event of the gateway.
#[derive(Debug, Deserialize)]
pub struct WebhookEvent {
    /// Its id, by which a repetition is recognised.
    pub id: String,
    /// Its kind, such as `payment_intent.succeeded`.
    #[serde(rename = "type")]
    pub kind: String,
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    object: Value,
}

impl WebhookEvent {
    /// The intent of the event: for a charge, a refund or a dispute, the intent that it belongs to.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        let object = &self.data.object;
        let name = if object["object"] == "payment_intent" { "id" } else { "payment_intent" };
        object[name].as_str().filter(|id| is_reference(id))
    }

    /// Our id of the payment, if the event is about an intent with our metadata.
    #[must_use]
    pub fn payment(&self) -> Option<PaymentId> {
        let object = &self.data.object;
        let named = object["metadata"]["payment"].as_str().filter(|_| object["object"] == "payment_intent");
        named.and_then(|id| Uuid::try_parse(id).ok().map(PaymentId))
    }

    /// Whether it is about a refund or a dispute.
    #[must_use]
    pub fn moves_money_back(&self) -> bool {
        ["charge.refund", "charge.dispute.", "refund."].iter().any(|prefix| self.kind.starts_with(prefix))
    }

    /// Whether the intent is authorised or captured, or will be once its shopper has authenticated.
    #[must_use]
    pub fn may_be_open(&self) -> bool {
        const KINDS: [&str; 3] = ["amount_capturable_updated", "succeeded", "requires_action"];
        self.kind.strip_prefix("payment_intent.").is_some_and(|what| KINDS.contains(&what))
    }
}

/// The time of the signature, in Unix seconds, if one of the secrets made it. See
/// <https://docs.stripe.com/webhooks#verify-manually>.
#[must_use]
pub fn signed_at(header: &str, body: &[u8], secrets: &[Secret]) -> Option<i64> {
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

/// Whether a signature is recent by the database's clock.
#[must_use]
pub fn is_recent(signed_at: i64, now_unix_s: i64) -> bool {
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
            assert_eq!(is_recent(at, NOW), accepted, "{at}");
        }
        assert_eq!(
            signed_at(&format!("t={NOW},v1={}", sign("", NOW, "{}")), b"{}", &[]),
            None,
            "without a secret, every signature is rejected"
        );
    }
}
