//! Forged tokens. Pure.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use crate::{
    messages::{Claims, claims},
    plan::Dice,
};

/// A token that checkout must reject, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forgery {
    pub(crate) kind: &'static str,
    pub(crate) token: String,
    /// The sale at which it is tried.
    pub(crate) sale: Uuid,
}

/// Tokens that a shopper without a turn can forge.
pub(crate) fn out_of_nothing(sale: Uuid, now_s: i64, dice: &mut Dice) -> Vec<Forgery> {
    let visitor = URL_SAFE_NO_PAD.encode(&dice.bytes()[..16]);
    let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": "mine" });
    variants(&header, &made_up(sale, visitor, now_s, dice), now_s, dice)
}

/// Tokens that a shopper with a real token can derive from it.
pub(crate) fn out_of_a_real_one(token: &str, now_s: i64, dice: &mut Dice) -> Vec<Forgery> {
    let (Some(real), Some((signed, signature))) = (claims(token), token.rsplit_once('.')) else { return Vec::new() };
    let (Some(header), Ok(signature)) = (header(token), URL_SAFE_NO_PAD.decode(signature)) else { return Vec::new() };
    let (sale, other_sale) = (real.sale, new_id(dice));
    let altered = |change: &dyn Fn(&mut Claims)| {
        let mut claims = real.clone();
        change(&mut claims);
        join(&format!("{}.{}", encode(&header), encode(&json!(claims))), &signature)
    };
    let mut wrong_bit = signature.clone();
    if let Some(byte) = wrong_bit.first_mut() {
        *byte ^= 1;
    }
    let mut forgeries = variants(&header, &made_up(sale, real.sub.clone(), now_s, dice), now_s, dice);
    forgeries.extend([
        Forgery { kind: "quantity altered", token: altered(&|claims| claims.qty += 1), sale },
        Forgery { kind: "expiry altered", token: altered(&|claims| claims.exp += 86_400), sale },
        Forgery { kind: "id altered", token: altered(&|claims| claims.jti = other_sale), sale },
        Forgery { kind: "signature altered", token: join(signed, &wrong_bit), sale },
        Forgery { kind: "signature removed", token: join(signed, &[]), sale },
        Forgery { kind: "real, at another sale", token: token.to_owned(), sale: other_sale },
    ]);
    forgeries
}

fn variants(header: &Value, claims: &Claims, now_s: i64, dice: &mut Dice) -> Vec<Forgery> {
    let key = SigningKey::from_bytes(&dice.bytes());
    let public = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    let sale = claims.sale;
    let sign = |header: &Value, claims: &Claims| {
        let text = format!("{}.{}", encode(header), encode(&json!(claims)));
        join(&text, &key.sign(text.as_bytes()).to_bytes())
    };
    let with = |change: &[(&str, Value)]| {
        let mut header = header.clone();
        for (member, value) in change {
            header[*member] = value.clone();
        }
        header
    };
    let none = format!("{}.{}", encode(&with(&[("alg", json!("none"))])), encode(&json!(claims)));
    let embedded = with(&[("jwk", json!({ "kty": "OKP", "crv": "Ed25519", "x": public }))]);
    let shared = format!("{}.{}", encode(&with(&[("alg", json!("HS256"))])), encode(&json!(claims)));
    let kid = header["kid"].as_str().unwrap_or_default();
    let mut mac = Hmac::<Sha256>::new_from_slice(kid.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(shared.as_bytes());
    let expired = Claims { iat: now_s - 7_200, exp: now_s - 3_600, ..claims.clone() };
    let elsewhere = Claims { sale: new_id(dice), ..claims.clone() };
    vec![
        Forgery { kind: "signed by the shopper", token: sign(header, claims), sale },
        Forgery { kind: "signed by the shopper, key inside", token: sign(&embedded, claims), sale },
        Forgery { kind: "algorithm none", token: join(&none, &[]), sale },
        Forgery { kind: "algorithm HS256", token: join(&shared, &mac.finalize().into_bytes()), sale },
        Forgery { kind: "expired, signed by the shopper", token: sign(header, &expired), sale },
        Forgery { kind: "other sale, signed by the shopper", token: sign(header, &elsewhere), sale },
    ]
}

fn made_up(sale: Uuid, sub: String, now_s: i64, dice: &mut Dice) -> Claims {
    Claims {
        iss: "fairline".to_owned(),
        aud: "fairline-checkout".to_owned(),
        sub,
        jti: new_id(dice),
        sale,
        qty: 1,
        iat: now_s,
        exp: now_s + 3_600,
    }
}

fn new_id(dice: &mut Dice) -> Uuid {
    let bytes = dice.bytes();
    uuid::Builder::from_random_bytes(bytes[..16].try_into().expect("16 of 32 bytes")).into_uuid()
}

fn header(token: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?).ok()
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn join(signed: &str, signature: &[u8]) -> String {
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ed25519_dalek::{Signature, VerifyingKey};

    use super::*;

    fn real_token(key: &SigningKey) -> String {
        let mut dice = Dice::new(1, 1);
        let claims = made_up(new_id(&mut dice), "AAAAAAAAAAAAAAAAAAAAAA".to_owned(), 1_000, &mut dice);
        let text = format!("{}.{}", encode(&json!({"alg": "EdDSA", "typ": "JWT", "kid": "k"})), encode(&json!(claims)));
        join(&text, &key.sign(text.as_bytes()).to_bytes())
    }

    fn verifies(key: &VerifyingKey, token: &str) -> bool {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).ok().and_then(|bytes| Signature::from_slice(&bytes).ok());
        signature.is_some_and(|signature| key.verify_strict(signed.as_bytes(), &signature).is_ok())
    }

    #[test]
    fn only_the_forgery_for_another_sale_is_genuine() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let real = real_token(&key);
        assert!(verifies(&key.verifying_key(), &real), "the control: a real token verifies");
        let forgeries = out_of_a_real_one(&real, 1_000, &mut Dice::new(2, 2));
        let kinds: BTreeSet<&str> = forgeries.iter().map(|forgery| forgery.kind).collect();
        assert_eq!(kinds.len(), forgeries.len());
        assert_eq!(forgeries.len(), 12);
        let sale = claims(&real).unwrap().sale;
        for Forgery { kind, token, sale: tried_at } in &forgeries {
            let genuine = verifies(&key.verifying_key(), token);
            assert!(!genuine || *tried_at != sale, "{kind} is no forgery");
            assert!(claims(token).is_some(), "{kind} is refused for its form alone");
        }
    }

    #[test]
    fn a_shopper_without_a_turn_forges_too() {
        let forgeries = out_of_nothing(new_id(&mut Dice::new(3, 3)), 1_000, &mut Dice::new(4, 4));
        assert_eq!(forgeries.len(), 6);
    }
}
