//! Verification of tokens with public keys.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::Signature;
use serde::Deserialize;

use crate::{AUDIENCE, Claims, ISSUER, Jwks};

/// Maximum length of a token in bytes. Genuine tokens have about 500.
const TOKEN_BYTES_MAX: usize = 2048;

/// Why a token is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts of base64url with the right JSON in them, or too long.
    #[error("the token is malformed")]
    Malformed,
    /// Unsigned, or signed with an algorithm other than EdDSA.
    #[error("the token is not signed with EdDSA")]
    WrongAlgorithm,
    /// Signed with a key that is not, or no longer, in the key set.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The signature does not match the claims.
    #[error("the token's signature is wrong")]
    InvalidSignature,
    /// Validly signed, but not issued by the controller for checkout.
    #[error("the token was not issued for this checkout")]
    WrongAudience,
    /// Genuine but expired. It may have been used before, so the claims are included.
    #[error("the token has expired")]
    Expired(Box<Claims>),
}

/// A genuine token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    /// Its claims.
    pub claims: Claims,
    /// The key that signed it.
    pub kid: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

/// Verifies a token that must not have expired at `now_unix_s`.
///
/// The header does not choose the algorithm: anything but EdDSA is rejected, and strict
/// verification accepts only one encoding of a signature.
///
/// # Errors
/// See [`TokenError`].
pub fn verify(token: &str, jwks: &Jwks, now_unix_s: i64) -> Result<VerifiedToken, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;

    let header: Header = part(header)?;
    if header.alg != "EdDSA" {
        return Err(TokenError::WrongAlgorithm);
    }
    let key = jwks.key(&header.kid).ok_or(TokenError::UnknownKey)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed)?;
    let signature = Signature::from_slice(&signature).map_err(|_| TokenError::Malformed)?;
    key.verify_strict(signed.as_bytes(), &signature).map_err(|_| TokenError::InvalidSignature)?;

    let claims: Claims = part(claims)?;
    if claims.iss != ISSUER || claims.aud != AUDIENCE {
        return Err(TokenError::WrongAudience);
    }
    if claims.exp <= now_unix_s {
        return Err(TokenError::Expired(Box::new(claims)));
    }
    Ok(VerifiedToken { claims, kid: header.kid })
}

/// The holder that a token names, before its signature is verified.
#[must_use]
pub fn named_holder(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        sub: String,
    }
    let claims = token.split('.').nth(1).filter(|_| token.len() <= TOKEN_BYTES_MAX)?;
    part::<Named>(claims).ok().map(|named| named.sub)
}

fn part<T: for<'de> Deserialize<'de>>(encoded: &str) -> Result<T, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests {
    use fairline_sale::{SaleId, VisitorId};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::{Jwk, SigningKey};

    const NOW: i64 = 1_800_000_000;

    fn claims() -> Claims {
        Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: VisitorId([7; 16]).to_string(),
            jti: Uuid::from_u128(1),
            sale: SaleId(Uuid::from_u128(2)),
            qty: 1,
            iat: NOW - 1,
            exp: NOW + 1,
        }
    }

    fn keys() -> (SigningKey, Jwks) {
        let key = SigningKey::generate();
        let jwks = Jwks::new(vec![Jwk::new(&key.verifying_key())]).expect("a good key");
        (key, jwks)
    }

    fn encode(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn a_minted_token_is_accepted_until_it_expires() {
        let (key, jwks) = keys();
        let token = key.mint(&claims());
        assert_eq!(token, key.mint(&claims()), "one admission has one token");
        assert_eq!(named_holder(&token), Some(claims().sub));
        assert_eq!(verify(&token, &jwks, NOW), Ok(VerifiedToken { claims: claims(), kid: key.kid().to_owned() }));
        assert_eq!(verify(&token, &jwks, NOW + 1), Err(TokenError::Expired(Box::new(claims()))));
    }

    #[test]
    fn a_key_is_read_back_from_its_file() {
        let (key, jwks) = keys();
        let again = SigningKey::from_pem(&key.to_pem()).expect("our own PEM");
        assert!(verify(&again.mint(&claims()), &jwks, NOW).is_ok_and(|genuine| genuine.claims == claims()));
        assert!(SigningKey::from_pem("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n").is_err());
        assert!(!format!("{key:?}").contains(&key.to_pem()[30..60]));
    }

    #[test]
    fn every_way_to_forge_a_token_fails() {
        let (key, jwks) = keys();
        let token = key.mint(&claims());
        let (stranger, _) = keys();
        let parts: Vec<&str> = token.split('.').collect();
        let kid = key.kid();

        let unsigned = format!("{}.{}.", encode(&format!(r#"{{"alg":"none","kid":"{kid}"}}"#)), parts[1]);
        let hmac = format!("{}.{}.{}", encode(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#)), parts[1], parts[2]);
        let more = serde_json::to_string(&Claims { qty: 9, ..claims() }).expect("claims");
        let altered = format!("{}.{}.{}", parts[0], encode(&more), parts[2]);
        let elsewhere = key.mint(&Claims { aud: "another-shop".to_owned(), ..claims() });
        let long = format!("{token}{}", "A".repeat(TOKEN_BYTES_MAX));

        for (forged, expected) in [
            (unsigned, TokenError::WrongAlgorithm),
            (hmac, TokenError::WrongAlgorithm),
            (altered, TokenError::InvalidSignature),
            (stranger.mint(&claims()), TokenError::UnknownKey),
            (elsewhere, TokenError::WrongAudience),
            (long, TokenError::Malformed),
            (String::new(), TokenError::Malformed),
            ("a.b".to_owned(), TokenError::Malformed),
        ] {
            assert_eq!(verify(&forged, &jwks, NOW), Err(expected), "{forged}");
        }
    }

    proptest! {
        #[test]
        fn a_token_with_any_byte_changed_is_refused(at in 0usize..4096, to in "[A-Za-z0-9_.-]") {
            let (key, jwks) = keys();
            let token = key.mint(&claims());
            let at = at % token.len();
            let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
            prop_assume!(changed != token);
            prop_assert!(verify(&changed, &jwks, NOW).is_err());
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,300}") {
            let (_, jwks) = keys();
            prop_assert!(verify(&text, &jwks, NOW).is_err());
            prop_assert_eq!(named_holder(&text), None);
        }
    }

    /// An independent implementation verifies our tokens.
    #[test]
    fn jsonwebtoken_agrees() {
        let (key, jwks) = keys();
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&jwks.to_json()).expect("a key set");
        let public = jsonwebtoken::DecodingKey::from_jwk(set.find(key.kid()).expect("our key")).expect("Ed25519");
        let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
        rules.set_audience(&[AUDIENCE]);
        rules.set_issuer(&[ISSUER]);
        rules.validate_exp = false;
        let read = jsonwebtoken::decode::<Claims>(key.mint(&claims()), &public, &rules).expect("a valid token");
        assert_eq!(read.claims, claims());
    }
}
