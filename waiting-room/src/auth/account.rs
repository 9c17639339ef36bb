//! Shopper accounts that the shop asserts. One account has one place in a line, on any device.
//!
//! The shop's server signs a JSON Web Token (RFC 7519) with the key that it shares with the waiting
//! rooms, and the shop's page passes it on. The only algorithm is HS256; the claims are `sub` (the
//! account, 1 to 128 bytes) and `exp` (Unix time in seconds).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fairline_sale::SaleId;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use time::OffsetDateTime;

/// Permitted difference between the shop's clock and ours, in seconds.
const CLOCK_SLACK_S: i64 = 300;
/// Minimum key length in bytes: the length of the hash (RFC 7518, section 3.2).
const KEY_BYTES_MIN: usize = 32;
const ACCOUNT_BYTES_MAX: usize = 128;
/// Longer tokens are rejected unread.
const TOKEN_BYTES_MAX: usize = 2048;

/// The shared key with which the shop signs account tokens.
#[derive(Clone)]
pub(crate) struct ShopAccountKey(Hmac<Sha256>);

#[derive(Deserialize)]
struct AccountTokenHeader {
    alg: String,
}

#[derive(Deserialize)]
struct AccountClaims {
    sub: String,
    exp: i64,
}

impl ShopAccountKey {
    /// # Errors
    /// When the key is shorter than [`KEY_BYTES_MIN`].
    pub(crate) fn new(key: &str) -> Result<Self, String> {
        if key.len() < KEY_BYTES_MIN {
            return Err(format!("the account key has {} bytes; it needs {KEY_BYTES_MIN} at least", key.len()));
        }
        Ok(Self(Hmac::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length")))
    }

    /// Verifies a token and returns the digest of its account; `None` if it is forged or expired.
    pub(crate) fn digest(&self, sale: SaleId, token: &str, now: OffsetDateTime) -> Option<[u8; 16]> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: AccountTokenHeader = serde_json::from_slice(&decoded(header)?).ok()?;
        let mut mac = self.0.clone();
        mac.update(signed.as_bytes());
        mac.verify_slice(&decoded(signature)?).ok()?;
        let claims: AccountClaims = serde_json::from_slice(&decoded(claims)?).ok()?;
        let good = header.alg == "HS256" && (1..=ACCOUNT_BYTES_MAX).contains(&claims.sub.len());
        if !good || claims.exp <= now.unix_timestamp() - CLOCK_SLACK_S {
            return None;
        }
        // Keyed, so that read access to Redis reveals no account.
        let mut mac = self.0.clone();
        mac.update(b"fairline account");
        mac.update(sale.0.as_bytes());
        mac.update(claims.sub.as_bytes());
        let mut digest = [0; 16];
        digest.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        Some(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "a key that the shop and the rooms share";

    fn token(key: &str, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any length");
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    fn digest(token: &str) -> Option<[u8; 16]> {
        let sale = "00000000-0000-0000-0000-000000000001".parse().expect("a UUID");
        let now = OffsetDateTime::from_unix_timestamp(1000 + CLOCK_SLACK_S).expect("a moment");
        ShopAccountKey::new(KEY).expect("long enough").digest(sale, token, now)
    }

    #[test]
    fn an_account_is_as_the_shop_asserts() {
        let hs256 = r#"{"alg":"HS256","typ":"JWT"}"#;
        let anna = digest(&token(KEY, hs256, r#"{"sub":"anna","exp":1001}"#));
        assert!(anna.is_some());
        assert_eq!(anna, digest(&token(KEY, hs256, r#"{"sub":"anna","exp":2000,"name":"Anna"}"#)));
        assert_ne!(anna, digest(&token(KEY, hs256, r#"{"sub":"bert","exp":1001}"#)));
        let long = format!(r#"{{"sub":"{}","exp":1001}}"#, "a".repeat(129));
        for wrong in [
            token(KEY, hs256, r#"{"sub":"anna","exp":1000}"#),
            token(KEY, hs256, r#"{"sub":"","exp":1001}"#),
            token(KEY, hs256, r#"{"exp":1001}"#),
            token(KEY, hs256, r#"{"sub":"anna"}"#),
            token(KEY, hs256, &long),
            token(KEY, r#"{"alg":"none"}"#, r#"{"sub":"anna","exp":1001}"#),
            token("another key, which is as long as a key is", hs256, r#"{"sub":"anna","exp":1001}"#),
            format!("{}.{}.", URL_SAFE_NO_PAD.encode(hs256), URL_SAFE_NO_PAD.encode(r#"{"sub":"anna","exp":1001}"#)),
            "x".repeat(TOKEN_BYTES_MAX + 1),
            String::new(),
        ] {
            assert_eq!(digest(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_short_key_is_rejected() {
        assert!(ShopAccountKey::new("short").is_err());
    }
}
