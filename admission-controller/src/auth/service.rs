//! Authentication: identifies callers, signs operators in and out, and changes passwords.

use std::sync::{Arc, LazyLock};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use fairline_server::{ClientAddress, Secret, cookies_named};
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;

use super::{
    credentials::{ApiToken, Codes, SessionKey, attempt, code_attempt, hash_password},
    error::AdminAuthError,
    operator::{Credential, Operator},
    password_queue::{hash, turn, verify},
    role::Role,
    store::{Attempt, AuthStore, OperatorChange},
};

const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");
/// How long a session lasts, in seconds: a working day.
const SESSION_S: f64 = 12.0 * 3600.0;
/// The author of changes that the bearer of the admin token makes.
const ADMIN_TOKEN: &str = "admin token";
/// The hash that the password of an unknown operator is compared with, so that the answer takes as
/// long.
static UNKNOWN_OPERATOR: LazyLock<String> = LazyLock::new(|| hash_password("no operator's password", [0; 16]));

/// What authentication needs.
#[derive(Clone)]
pub(crate) struct Auth {
    pub(crate) store: AuthStore,
    pub(crate) admin_token: Arc<Secret>,
    pub(crate) secure_cookies: bool,
}

/// The name, password and code of an operator who signs in.
pub(super) struct SignInAttempt {
    pub(super) name: String,
    pub(super) password: String,
    pub(super) code: String,
}

/// A session that an operator has begun or that a cookie belongs to.
pub(super) struct OpenSession {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) key: SessionKey,
    pub(super) expires_at: OffsetDateTime,
}

impl Auth {
    /// The caller of a request, which must have a CSRF token if it `changes` something with a
    /// session.
    pub(super) async fn authenticate(&self, headers: &HeaderMap, changes: bool) -> Result<Operator, AdminAuthError> {
        if let Some(given) = headers.get(header::AUTHORIZATION) {
            let given =
                given.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")).ok_or(AdminAuthError::NoToken)?;
            if bool::from(given.as_bytes().ct_eq(self.admin_token.expose().as_bytes())) {
                return Ok(Operator {
                    name: ADMIN_TOKEN.into(),
                    role: Role::Owner,
                    credential: Credential::AdminToken,
                });
            }
            let digest = ApiToken::from_bearer(given).ok_or(AdminAuthError::WrongToken)?.digest();
            let (name, role) = self.store.token(digest).await?.ok_or(AdminAuthError::WrongToken)?;
            let (name, role) = (format!("token {name}").into(), Role::of(&role));
            return Ok(Operator { name, role, credential: Credential::ApiToken(digest) });
        }
        let key = self.session_key(headers).ok_or(AdminAuthError::NoToken)?;
        let session = self.store.session(key.digest()).await?.ok_or(AdminAuthError::NoSession)?;
        let given = headers.get(CSRF).map_or(&[][..], HeaderValue::as_bytes);
        if changes && !bool::from(given.ct_eq(key.csrf().as_bytes())) {
            return Err(AdminAuthError::Csrf);
        }
        let (name, role) = (session.name.into(), Role::of(&session.role));
        Ok(Operator { name, role, credential: Credential::Session(key.digest()) })
    }

    /// Whether the credential of a caller is still valid. A database that does not answer ends no
    /// session.
    pub(crate) async fn is_still_valid(&self, operator: &Operator) -> bool {
        match operator.credential {
            Credential::AdminToken => true,
            Credential::ApiToken(digest) => self.store.token(digest).await.map_or(true, |token| token.is_some()),
            Credential::Session(digest) => self.store.session(digest).await.map_or(true, |session| session.is_some()),
        }
    }

    /// With the prefix, browsers accept the cookie only from this host and over TLS.
    fn cookie_name(&self) -> &'static str {
        if self.secure_cookies { "__Host-fairline-admin" } else { "fairline-admin" }
    }

    fn session_key(&self, headers: &HeaderMap) -> Option<SessionKey> {
        cookies_named(headers, self.cookie_name()).next().map(SessionKey::from_cookie)
    }

    /// The `Set-Cookie` header that begins a session; without a key, the one that ends it.
    pub(super) fn set_cookie(&self, key: Option<&SessionKey>) -> HeaderValue {
        let (value, lasts_s) = key.map_or(("", 0.0), |key| (key.cookie(), SESSION_S));
        let secure = if self.secure_cookies { "; Secure" } else { "" };
        let cookie =
            format!("{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={lasts_s:.0}{secure}", self.cookie_name());
        HeaderValue::try_from(cookie).expect("base64 and ASCII words are a header's value")
    }

    /// Signs in. Whatever was wrong, the answer is the same and takes as long.
    pub(super) async fn sign_in(
        &self,
        given: SignInAttempt,
        from: ClientAddress,
    ) -> Result<OpenSession, AdminAuthError> {
        let turn = turn().await?;
        let attempt = attempt(&given.name, from.network());
        let failures = self.begin_attempt(attempt).await?;
        let known = self.store.credentials(&given.name).await?;
        let stored = known.as_ref().map_or_else(|| UNKNOWN_OPERATOR.clone(), |known| known.password.clone());
        let is_right = verify(turn, given.password, stored).await;
        let Some(known) = known else { return Err(AdminAuthError::WrongCredentials) };
        let code_attempt = code_attempt(&known.name);
        if is_right {
            self.begin_attempt(code_attempt).await?;
        }
        let now_s = u64::try_from(known.now_s).unwrap_or(0);
        let step = Codes::of(&known.name, &known.totp_secret).step(&given.code, now_s, known.totp_step);
        if let Some(step) = step.filter(|_| is_right) {
            let key = SessionKey::new(rand::random());
            if let Some(expires_at) = self.store.sign_in(&known.name, step, key.digest(), SESSION_S).await? {
                self.store.forget_attempts(attempt).await?;
                self.store.forget_attempts(code_attempt).await?;
                return Ok(OpenSession { name: known.name, role: Role::of(&known.role), key, expires_at });
            }
        }
        self.store.note_failed_attempt(&known.name, failures).await?;
        Err(AdminAuthError::WrongCredentials)
    }

    /// Counts an attempt, and gives the number of attempts. Fails if too many have failed.
    async fn begin_attempt(&self, attempt: [u8; 32]) -> Result<i32, AdminAuthError> {
        match self.store.begin_attempt(attempt).await? {
            Attempt::Counted(failures) => Ok(failures),
            Attempt::Wait(wait_s) => Err(AdminAuthError::TooManyAttempts { wait_s: wait_s.ceil().max(1.0) as u64 }),
        }
    }

    /// The session that the cookie of a request belongs to.
    pub(super) async fn show_session(&self, headers: &HeaderMap) -> Result<OpenSession, AdminAuthError> {
        let key = self.session_key(headers).ok_or(AdminAuthError::NoSession)?;
        let row = self.store.session(key.digest()).await?.ok_or(AdminAuthError::NoSession)?;
        Ok(OpenSession { name: row.name, role: Role::of(&row.role), key, expires_at: row.expires_at })
    }

    /// Ends the session of a request, if it has one.
    pub(super) async fn sign_out(&self, headers: &HeaderMap) -> Result<(), AdminAuthError> {
        match self.session_key(headers) {
            Some(key) => Ok(self.store.sign_out(key.digest()).await?),
            None => Ok(()),
        }
    }

    /// Changes an operator's own password, and ends all sessions of the operator.
    pub(super) async fn change_password(
        &self,
        operator: &Operator,
        from: ClientAddress,
        (old, new): (String, String),
    ) -> Result<(), AdminAuthError> {
        let known = self.store.credentials(&operator.name).await?.ok_or(AdminAuthError::NoSession)?;
        let turn = turn().await?;
        let attempt = attempt(&known.name, from.network());
        let failures = self.begin_attempt(attempt).await?;
        if !verify(turn, old, known.password).await {
            self.store.note_failed_attempt(&known.name, failures).await?;
            return Err(AdminAuthError::WrongCredentials);
        }
        self.store.forget_attempts(attempt).await?;
        let password = hash("new", new).await?;
        let change = OperatorChange { password: Some(&password), ..OperatorChange::default() };
        self.store.change_operator(&operator.by(), "change_password", &known.name, &change).await?;
        Ok(())
    }
}
