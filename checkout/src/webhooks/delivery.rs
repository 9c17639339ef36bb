//! The signature of a delivery, and the outcome of an attempt.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::StatusCode;
use sha2::Sha256;

/// Pauses before the retries, by the number of attempts, in seconds. Then a delivery is given up.
const AGAIN_AFTER_S: [u64; 8] = [5, 60, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600];

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttemptOutcome {
    Delivered,
    /// It is retried after this pause, or given up.
    Failed {
        why: String,
        again_after: Option<Duration>,
    },
    /// The receiver has unsubscribed (410 Gone).
    Gone,
}

/// The `webhook-signature` of a delivery.
pub(super) fn signature(secret: &[u8], id: &str, unix_s: i64, body: &str) -> String {
    // HMAC accepts a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(format!("{id}.{unix_s}.{body}").as_bytes());
    format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
}

/// The outcome of an attempt, from its response. `jitter` is from 0 to 1.
pub(super) fn judge(answer: Result<StatusCode, String>, attempts: usize, jitter: f64) -> AttemptOutcome {
    let why = match answer {
        Ok(status) if status.is_success() => return AttemptOutcome::Delivered,
        Ok(StatusCode::GONE) => return AttemptOutcome::Gone,
        Ok(status) => format!("receiver returned {status}"),
        Err(why) => why,
    };
    let again = AGAIN_AFTER_S.get(attempts.saturating_sub(1)).map(|&after_s| after_s as f64 * (0.9 + 0.2 * jitter));
    AttemptOutcome::Failed { why, again_after: again.map(Duration::from_secs_f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_equals_that_of_the_reference_libraries() {
        let secret = BASE64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let signed = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_failed_delivery_is_retried_at_growing_intervals_and_then_given_up() {
        assert_eq!(judge(Ok(StatusCode::NO_CONTENT), 1, 0.0), AttemptOutcome::Delivered);
        assert_eq!(judge(Ok(StatusCode::GONE), 1, 0.0), AttemptOutcome::Gone);
        let again = |attempts, jitter| match judge(Ok(StatusCode::FOUND), attempts, jitter) {
            AttemptOutcome::Failed { again_after, .. } => again_after.map(|after| after.as_secs_f64()),
            other => panic!("{other:?}"),
        };
        assert_eq!((again(1, 0.5), again(2, 0.0), again(2, 1.0)), (Some(5.0), Some(54.0), Some(66.0)));
        let delays: Vec<f64> = (1..).map_while(|attempts| again(attempts, 0.5)).collect();
        assert_eq!(delays.len(), AGAIN_AFTER_S.len());
        assert!(delays.is_sorted());
        let why = judge(Err("no response within 10 s".to_owned()), 9, 0.5);
        assert_eq!(why, AttemptOutcome::Failed { why: "no response within 10 s".to_owned(), again_after: None });
    }
}
