//! Credentials: passwords, authenticator codes, enrolment codes, API tokens and session keys. Pure:
//! the clock and the randomness are passed in.

use std::net::IpAddr;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use sha2::{Digest as _, Sha256};
use totp_rs::{Builder, Secret, Totp};

/// The minimum length of a password in characters, and its maximum in bytes.
const PASSWORD_CHARS_MIN: usize = 12;
const PASSWORD_BYTES_MAX: usize = 200;
/// The issuer that authenticator apps show.
const ISSUER: &str = "Fairline";
/// Failed attempts to sign in before the caller has to wait for [`WAIT_S`] seconds.
pub const FREE_FAILURES: i32 = 5;
/// See [`FREE_FAILURES`].
pub const WAIT_S: f64 = 30.0;
/// The prefix of every API token, so that secret scanners find a leaked one.
const TOKEN_PREFIX: &str = "fairline_";

/// Whether a name is valid: lower-case letters, digits, and `._@-` after the first character.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&name.len())
        && plain(name.as_bytes()[0])
        && name.bytes().all(|byte| plain(byte) || b"._@-".contains(&byte))
}

/// Whether a password has a valid length.
#[must_use]
pub fn is_password(password: &str) -> bool {
    password.chars().count() >= PASSWORD_CHARS_MIN && password.len() <= PASSWORD_BYTES_MAX
}

/// Hashes a password: Argon2id with the costs that OWASP recommends (19 MiB, two passes). Takes
/// about 20 ms.
#[must_use]
pub fn hash_password(password: &str, salt: [u8; 16]) -> String {
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hash.expect("the default costs are valid, and 16 bytes are a salt").to_string()
}

/// Whether a password matches a hash. Takes about 20 ms.
#[must_use]
pub fn verify_password(password: &str, hash: &str) -> bool {
    password.len() <= PASSWORD_BYTES_MAX
        && PasswordHash::new(hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// The codes of an operator's authenticator app (RFC 6238, with the parameters that every app
/// supports).
pub struct Codes(Totp);

impl Codes {
    /// The codes of a secret of 20 bytes.
    #[must_use]
    pub fn of(operator: &str, secret: &[u8]) -> Self {
        let codes = Builder::new().with_secret(Secret::from(secret.to_vec()));
        Self(codes.with_account_name(operator).with_issuer(Some(ISSUER)).build_noncompliant())
    }

    /// The time step of a code, unless that or a later one was used. The steps before and after the
    /// current one are accepted too, for clocks that differ.
    #[must_use]
    pub fn step(&self, code: &str, now_s: u64, used: i64) -> Option<i64> {
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let step = self.0.check(&code, now_s).and_then(|step| i64::try_from(step).ok())?;
        (step > used).then_some(step)
    }

    /// The code at a time.
    #[must_use]
    pub fn at(&self, now_s: u64) -> String {
        self.0.generate(now_s).to_string()
    }

    /// The `otpauth://` URL, for a QR code or a link.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.to_url().unwrap_or_default()
    }
}

/// A secret as base32, to be typed into an app.
#[must_use]
pub fn secret_text(secret: &[u8]) -> String {
    Secret::from(secret.to_vec()).to_base32()
}

/// Reads a secret from base32, with or without spaces. `None` if it is not valid.
#[must_use]
pub fn secret_of(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_whitespace().collect();
    Secret::try_from_base32(text.to_uppercase()).ok().map(|secret| secret.as_bytes().to_vec())
}

/// The key under which failures to sign in are counted: a name, known or not, and the network of
/// the client. Guesses from one network don't lock out the operator in another.
#[must_use]
pub fn attempt(name: &str, network: IpAddr) -> [u8; 32] {
    Sha256::digest(format!("{network} tries {name}")).into()
}

/// The key under which wrong codes with the right password are counted: the name alone. Only a
/// caller who knows the password can lock it, and a thief of the password guesses no faster from
/// many networks.
#[must_use]
pub fn code_attempt(name: &str) -> [u8; 32] {
    Sha256::digest(format!("a code of {name}")).into()
}

/// The API token of a program.
pub struct ApiToken(String);

impl ApiToken {
    /// A new one, from random bytes.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(format!("{TOKEN_PREFIX}{}", BASE64.encode(random)))
    }

    /// The token in an `Authorization` header, if it has the prefix of one.
    #[must_use]
    pub fn from_bearer(bearer: &str) -> Option<Self> {
        bearer.starts_with(TOKEN_PREFIX).then(|| Self(bearer.to_owned()))
    }

    /// The value for the `Authorization` header.
    #[must_use]
    pub fn bearer(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

/// A single-use code with which an operator enrols.
pub struct NewEnrolmentCode(String);

impl NewEnrolmentCode {
    /// A new one, from random bytes.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(BASE64.encode(random))
    }

    /// A code as an operator has typed it.
    #[must_use]
    pub fn from_shown(code: &str) -> Self {
        Self(code.trim().to_owned())
    }

    /// The code, to be shown once.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

/// The key of a session, which its cookie holds.
pub struct SessionKey(String);

impl SessionKey {
    /// A new one, from random bytes.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(BASE64.encode(random))
    }

    /// The key in a cookie.
    #[must_use]
    pub fn from_cookie(value: &str) -> Self {
        Self(value.to_owned())
    }

    /// The cookie's value.
    #[must_use]
    pub fn cookie(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }

    /// The CSRF token that changing requests send in addition: a page of another site can send the
    /// cookie, but can't read this.
    #[must_use]
    pub fn csrf(&self) -> String {
        BASE64.encode(Sha256::digest(format!("csrf of {}", self.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hashed_password_verifies() {
        let hash = hash_password("correct horse battery", [7; 16]);
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify_password("correct horse battery", &hash));
        assert!(!verify_password("correct horse batterz", &hash));
        assert!(!verify_password("", &hash) && !verify_password("x", "not a hash"));
        assert_ne!(hash, hash_password("correct horse battery", [8; 16]));
        assert!(is_password("twelve chars") && !is_password("eleven char") && !is_password(&"x".repeat(201)));
    }

    #[test]
    fn codes_match_the_rfc_and_work_once() {
        // RFC 6238, appendix B: the last six of 94287082 at 59 s, of 07081804 at 1111111109 s.
        let codes = Codes::of("ada", b"12345678901234567890");
        assert_eq!(codes.step("287082", 59, 0), Some(1));
        assert_eq!(codes.step("081 804", 1_111_111_109, 0), Some(37_037_036));
        assert_eq!(codes.step("287082", 59, 1), None, "used");
        assert_eq!(codes.step("287082", 89, 0), Some(1), "a slow clock");
        assert_eq!(codes.step("287082", 120, 0), None, "too late");
        assert_eq!(codes.step("28708", 59, 0), None);
        assert_eq!(secret_text(b"12345678901234567890"), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(codes.at(59), "287082");
        assert_eq!(secret_of("gezd gnbv GY3TQOJQGEZDGNBVGY3TQOJQ").as_deref(), Some(&b"12345678901234567890"[..]));
        assert_eq!(secret_of("not base32!"), None);
        let url = codes.url();
        assert!(url.starts_with("otpauth://totp/Fairline:ada?secret=GEZDGNBVGY3TQOJQ"), "{url}");
    }

    #[test]
    fn guesses_are_counted_by_name_and_network() {
        let (here, there) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        assert_eq!(attempt("ada", here), attempt("ada", here));
        assert_ne!(attempt("ada", here), attempt("ada", there));
        assert_ne!(attempt("ada", here), attempt("bob", here));
    }

    #[test]
    fn a_token_is_identified_by_its_digest() {
        let token = ApiToken::new([7; 32]);
        assert!(token.bearer().starts_with("fairline_") && token.bearer().len() > 40);
        let sent = ApiToken::from_bearer(token.bearer()).expect("one");
        assert_eq!(sent.digest(), token.digest());
        assert!(ApiToken::from_bearer("a-token-for-the-tests").is_none());
    }

    #[test]
    fn names_of_operators_are_plain() {
        assert!(is_name("ada") && is_name("ada.l@shop.example") && is_name("9"));
        assert!(!is_name("") && !is_name("Ada") && !is_name("-a") && !is_name("a b") && !is_name(&"a".repeat(64)));
    }

    #[test]
    fn a_csrf_token_does_not_reveal_the_cookie() {
        let key = SessionKey::new([1; 32]);
        assert_eq!(SessionKey::from_cookie(key.cookie()).digest(), key.digest());
        assert_ne!(key.csrf(), SessionKey::new([2; 32]).csrf());
        assert!(!key.csrf().contains(key.cookie()));
    }
}
