//! Accounts. An account is proved by a code sent to an address, by an ID token of the shop's own
//! issuer, or by the merchant's systems.
//!
//! - All proofs depend on one key, which every checkout process shares.
//! - The database stores neither codes nor tokens: a code is derived from the id of its sign-in, an
//!   access token is signed, a refresh token is stored as a digest.
//! - The id of an account is derived from its proof.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fairline_notification_channels::Address;
use fairline_server::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::CLOCK_SLACK_S;

/// Lifetime of an access token, in seconds.
pub(crate) const ACCESS_S: i64 = 15 * 60;
/// Lifetime of a refresh token, in seconds.
pub(crate) const REFRESH_S: i64 = 7 * 24 * 3600;
/// The shortest accepted key, in bytes: the length of the hash (RFC 7518, section 3.2).
const KEY_BYTES_MIN: usize = 32;
const ISSUER: &str = "fairline";
const AUDIENCE: &str = "fairline-account";

/// The id of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub(crate) struct AccountId(pub(crate) Uuid);

/// What identifies an account.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AccountProof<'a> {
    /// A code that was sent to this address.
    Address(&'a Address),
    /// The merchant's issuer, and the subject of its ID token.
    Issuer { issuer: &'a str, subject: &'a str },
    /// The merchant's systems, with their name for the account.
    Merchant(&'a str),
}

/// A refresh token. It can be exchanged once for the next one.
pub(crate) struct RefreshToken(String);

impl RefreshToken {
    pub(crate) fn new(random: [u8; 32]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(random))
    }

    pub(crate) fn given(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The digest under which the database stores the token.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

#[derive(Serialize, Deserialize)]
struct AccessClaims {
    iss: String,
    aud: String,
    sub: Uuid,
    iat: i64,
    exp: i64,
}

/// The key that proves accounts.
#[derive(Clone)]
pub(crate) struct SignInKey {
    mac: Hmac<Sha256>,
    signing: EncodingKey,
    verifying: DecodingKey,
}

impl SignInKey {
    /// # Errors
    /// Returns an error if the key is too short.
    pub(crate) fn new(key: &Secret) -> Result<Self, String> {
        let key = key.expose().as_bytes();
        if key.len() < KEY_BYTES_MIN {
            return Err(format!("it has {} characters and needs {KEY_BYTES_MIN} at least", key.len()));
        }
        let mac = Hmac::new_from_slice(key).expect("HMAC takes keys of any length");
        let signs = labelled(&mac, "access token", &[]);
        Ok(Self { signing: EncodingKey::from_secret(&signs), verifying: DecodingKey::from_secret(&signs), mac })
    }

    /// The account of a proof. The same proof always identifies the same account.
    pub(crate) fn account(&self, proof: AccountProof<'_>) -> AccountId {
        let digest = match proof {
            AccountProof::Address(address) => labelled(&self.mac, "account by address", &[address.as_str()]),
            AccountProof::Issuer { issuer, subject } => labelled(&self.mac, "account by issuer", &[issuer, subject]),
            AccountProof::Merchant(name) => labelled(&self.mac, "account by merchant", &[name]),
        };
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        AccountId(uuid::Builder::from_custom_bytes(id).into_uuid())
    }

    /// The six-digit code of a sign-in. Source: RFC 4226, section 5.3, with the sign-in's id as the
    /// counter, and SHA-256.
    pub(crate) fn code(&self, sign_in: Uuid) -> String {
        let digest = labelled(&self.mac, "code", &[&sign_in.to_string()]);
        let offset = usize::from(digest[31] & 0xf);
        let bytes = [digest[offset] & 0x7f, digest[offset + 1], digest[offset + 2], digest[offset + 3]];
        format!("{:06}", u32::from_be_bytes(bytes) % 1_000_000)
    }

    /// An access token that is valid from `now` (Unix time in seconds) for [`ACCESS_S`].
    pub(crate) fn access_token(&self, AccountId(sub): AccountId, now: i64) -> String {
        let claims =
            AccessClaims { iss: ISSUER.to_owned(), aud: AUDIENCE.to_owned(), sub, iat: now, exp: now + ACCESS_S };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing).expect("HMAC signs everything")
    }

    /// The account of a genuine access token that has not expired.
    pub(crate) fn account_of(&self, access_token: &str, now: i64) -> Option<AccountId> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        // The caller's clock decides, below.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<AccessClaims>(access_token, &self.verifying, &validation).ok()?.claims;
        (claims.exp > now - CLOCK_SLACK_S).then_some(AccountId(claims.sub))
    }
}

fn labelled(mac: &Hmac<Sha256>, label: &str, parts: &[&str]) -> [u8; 32] {
    let mut mac = mac.clone();
    for part in std::iter::once(&label).chain(parts) {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> SignInKey {
        SignInKey::new(&Secret::new(text.repeat(32))).expect("long enough")
    }

    #[test]
    fn an_account_id_depends_on_its_proof_only() {
        let ada = Address::email("ada@example.org").expect("an address");
        let proofs = [
            AccountProof::Address(&ada),
            AccountProof::Merchant("ada@example.org"),
            AccountProof::Issuer { issuer: "https://a", subject: "bc" },
            AccountProof::Issuer { issuer: "https://ab", subject: "c" },
        ];
        let ids: std::collections::HashSet<_> =
            proofs.iter().flat_map(|proof| [key("a").account(*proof), key("b").account(*proof)]).collect();
        assert_eq!(ids.len(), 8);
        assert_eq!(key("a").account(proofs[0]), key("a").account(proofs[0]));
    }

    #[test]
    fn an_access_token_is_valid_for_15_minutes_and_one_audience() {
        let (key, account) = (key("a"), AccountId(Uuid::from_u128(7)));
        let token = key.access_token(account, 1000);
        // The clocks of the signing and of the verifying process may differ.
        assert_eq!(key.account_of(&token, 1000 + 899 + CLOCK_SLACK_S), Some(account));
        assert_eq!(key.account_of(&token, 1000 + 900 + CLOCK_SLACK_S), None);
        assert_eq!(self::key("b").account_of(&token, 1000), None);
        assert_eq!(key.account_of(&format!("{token}x"), 1000), None);
        let unsigned =
            format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), token.split('.').nth(1).expect("claims"));
        assert_eq!(key.account_of(&unsigned, 1000), None);
        // Signed with the right key for another audience.
        let mut other: serde_json::Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("claims")).expect("base64"))
                .expect("JSON");
        other["aud"] = "another".into();
        let other = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &other, &key.signing).expect("signed");
        assert_eq!(key.account_of(&other, 1000), None);
    }

    #[test]
    fn a_code_has_six_digits_and_depends_on_its_sign_in() {
        let codes: std::collections::HashSet<String> = (0..200).map(|id| key("a").code(Uuid::from_u128(id))).collect();
        assert!(
            codes.len() > 195 && codes.iter().all(|code| code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()))
        );
        assert_ne!(key("a").code(Uuid::from_u128(1)), key("b").code(Uuid::from_u128(1)));
    }

    #[test]
    fn a_short_account_key_is_rejected() {
        assert!(SignInKey::new(&Secret::new("a".repeat(31))).is_err());
    }
}
