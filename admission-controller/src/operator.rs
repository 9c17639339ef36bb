//! Who runs sales, and how they prove it: a role, a password, a code of the hour, and a session. Pure: the clock and the
//! randomness are passed in.

use std::net::IpAddr;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use totp_rs::{Builder, Secret, Totp};
use utoipa::ToSchema;

/// Characters of a password at least, and bytes at most.
const PASSWORD_CHARS_MIN: usize = 12;
const PASSWORD_BYTES_MAX: usize = 200;
/// The issuer that authenticator apps show.
const ISSUER: &str = "Fairline";
/// Attempts that may fail before one has to wait, for [`WAIT_S`] seconds.
pub const FREE_FAILURES: i32 = 5;
/// See [`FREE_FAILURES`].
pub const WAIT_S: f64 = 30.0;
/// What every token of a program begins with, so that one that lies about is known for what it is.
const TOKEN_PREFIX: &str = "fairline_";

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See everything but who the operators are.
    Viewer,
    /// Run sales.
    Operator,
    /// Decide who the operators are, who is told of events, and which keys are good.
    Owner,
}

impl Role {
    /// Its word in the database.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }

    /// The role of a word in the database; whoever has an unknown one may do the least.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "owner" => Self::Owner,
            "operator" => Self::Operator,
            _ => Self::Viewer,
        }
    }
}

/// Whether a name is one: lower-case letters, digits, and what e-mail addresses have.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&name.len())
        && plain(name.as_bytes()[0])
        && name.bytes().all(|byte| plain(byte) || b"._@-".contains(&byte))
}

/// Whether a password is long enough to be one.
#[must_use]
pub fn is_password(password: &str) -> bool {
    password.chars().count() >= PASSWORD_CHARS_MIN && password.len() <= PASSWORD_BYTES_MAX
}

/// What is kept of a password: Argon2id with the costs that OWASP recommends (19 MiB, twice). Takes some 20 ms.
#[must_use]
pub fn keep_password(password: &str, salt: [u8; 16]) -> String {
    let kept = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    kept.expect("the default costs are valid, and 16 bytes are a salt").to_string()
}

/// Whether a password is the one that was kept. Takes some 20 ms.
#[must_use]
pub fn is_kept_password(password: &str, kept: &str) -> bool {
    password.len() <= PASSWORD_BYTES_MAX
        && PasswordHash::new(kept)
            .is_ok_and(|kept| Argon2::default().verify_password(password.as_bytes(), &kept).is_ok())
}

/// The codes of an operator's authenticator app (RFC 6238, with the parameters that every app knows).
pub struct Codes(Totp);

impl Codes {
    /// Those of a secret of 20 bytes.
    #[must_use]
    pub fn of(operator: &str, secret: &[u8]) -> Self {
        let codes = Builder::new().with_secret(Secret::from(secret.to_vec()));
        Self(codes.with_account_name(operator).with_issuer(Some(ISSUER)).build_noncompliant())
    }

    /// The step whose code this is, unless that or a later one was used already: one before and one after now are
    /// good, too, for clocks that differ.
    #[must_use]
    pub fn step(&self, code: &str, now_s: u64, used: i64) -> Option<i64> {
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let step = self.0.check(&code, now_s).and_then(|step| i64::try_from(step).ok())?;
        (step > used).then_some(step)
    }

    /// The code at a moment.
    #[must_use]
    pub fn at(&self, now_s: u64) -> String {
        self.0.generate(now_s).to_string()
    }

    /// What one scans or follows.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.to_url().unwrap_or_default()
    }
}

/// A secret as one types it into an app.
#[must_use]
pub fn secret_text(secret: &[u8]) -> String {
    Secret::from(secret.to_vec()).to_base32()
}

/// The other way, with or without spaces; nothing if it is none.
#[must_use]
pub fn secret_of(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_whitespace().collect();
    Secret::try_from_base32(text.to_uppercase()).ok().map(|secret| secret.as_bytes().to_vec())
}

/// What failures to sign in are counted by: a name, whether it is anybody's or not, as tried from one network. So nobody's
/// guesses keep another one out.
#[must_use]
pub fn attempt(name: &str, network: IpAddr) -> [u8; 32] {
    Sha256::digest(format!("{network} tries {name}")).into()
}

/// What wrong codes beside the right password are counted by: the name alone. Who gets so far knows the password, so no stranger keeps
/// its owner out; and who has stolen it guesses no faster from many networks.
#[must_use]
pub fn code_attempt(name: &str) -> [u8; 32] {
    Sha256::digest(format!("a code of {name}")).into()
}

/// A token of a program: what its bearer sends, and what follows from that.
pub struct ApiToken(String);

impl ApiToken {
    /// A new one.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(format!("{TOKEN_PREFIX}{}", BASE64.encode(random)))
    }

    /// The one that somebody sends, if it may be one.
    #[must_use]
    pub fn from_bearer(bearer: &str) -> Option<Self> {
        bearer.starts_with(TOKEN_PREFIX).then(|| Self(bearer.to_owned()))
    }

    /// What its bearer sends.
    #[must_use]
    pub fn bearer(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

/// What an operator enrols with, once.
pub struct EnrolmentCode(String);

impl EnrolmentCode {
    /// A new one.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(BASE64.encode(random))
    }

    /// The one that somebody brings.
    #[must_use]
    pub fn from_shown(code: &str) -> Self {
        Self(code.trim().to_owned())
    }

    /// As it is shown.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

/// A session: what its cookie holds, and what follows from that.
pub struct SessionKey(String);

impl SessionKey {
    /// A new one.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(BASE64.encode(random))
    }

    /// The one in a cookie.
    #[must_use]
    pub fn from_cookie(value: &str) -> Self {
        Self(value.to_owned())
    }

    /// The cookie's value.
    #[must_use]
    pub fn cookie(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }

    /// What requests that change something have to bring besides: another site's page can send the cookie, but not read
    /// this.
    #[must_use]
    pub fn csrf(&self) -> String {
        BASE64.encode(Sha256::digest(format!("csrf of {}", self.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again_and_no_other() {
        let kept = keep_password("correct horse battery", [7; 16]);
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(is_kept_password("correct horse battery", &kept));
        assert!(!is_kept_password("correct horse batterz", &kept));
        assert!(!is_kept_password("", &kept) && !is_kept_password("x", "not a hash"));
        assert_ne!(kept, keep_password("correct horse battery", [8; 16]));
        assert!(is_password("twelve chars") && !is_password("eleven char") && !is_password(&"x".repeat(201)));
    }

    #[test]
    fn codes_are_those_of_the_rfc_and_good_once() {
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
    fn a_token_is_known_by_its_digest() {
        let token = ApiToken::new([7; 32]);
        assert!(token.bearer().starts_with("fairline_") && token.bearer().len() > 40);
        let sent = ApiToken::from_bearer(token.bearer()).expect("one");
        assert_eq!(sent.digest(), token.digest());
        assert!(ApiToken::from_bearer("a-token-for-the-tests").is_none());
    }

    #[test]
    fn names_are_plain_and_roles_ordered() {
        assert!(is_name("ada") && is_name("ada.l@shop.example") && is_name("9"));
        assert!(!is_name("") && !is_name("Ada") && !is_name("-a") && !is_name("a b") && !is_name(&"a".repeat(64)));
        for role in [Role::Viewer, Role::Operator, Role::Owner] {
            assert_eq!(Role::of(role.word()), role);
        }
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Owner && Role::of("?") == Role::Viewer);
    }

    #[test]
    fn a_session_tells_its_cookie_to_nobody() {
        let key = SessionKey::new([1; 32]);
        assert_eq!(SessionKey::from_cookie(key.cookie()).digest(), key.digest());
        assert_ne!(key.csrf(), SessionKey::new([2; 32]).csrf());
        assert!(!key.csrf().contains(key.cookie()));
    }
}
