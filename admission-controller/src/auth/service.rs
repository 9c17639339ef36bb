//! Authentication: identifies callers, signs operators in and out, and changes passwords.

use std::sync::{Arc, LazyLock};

use fairline_server::{ClientAddress, Secret};
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

/// How long a session lasts, in seconds: a working day.
pub(super) const SESSION_S: f64 = 12.0 * 3600.0;
/// The author of changes that the bearer of the admin token makes.
const ADMIN_TOKEN: &str = "admin token";
/// The hash that the password of an unknown operator is compared with, so that the response takes
/// as long.
static UNKNOWN_OPERATOR: LazyLock<String> = LazyLock::new(|| hash_password("no operator's password", [0; 16]));

/// Dependencies of authentication.
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

/// The credentials that a request carries.
pub(super) enum GivenCredential<'a> {
    /// A token.
    Bearer(&'a str),
    /// A session, with the CSRF token beside it.
    Session { key: SessionKey, csrf: &'a [u8] },
}

impl Auth {
    /// The caller of a request, which must have a CSRF token if it `changes` something with a
    /// session.
    pub(super) async fn authenticate(
        &self,
        given: GivenCredential<'_>,
        changes: bool,
    ) -> Result<Operator, AdminAuthError> {
        match given {
            GivenCredential::Bearer(token) => self.bearer(token).await,
            GivenCredential::Session { key, csrf } => {
                let session = self.store.session(key.digest()).await?.ok_or(AdminAuthError::NoSession)?;
                if changes && !bool::from(csrf.ct_eq(key.csrf().as_bytes())) {
                    return Err(AdminAuthError::Csrf);
                }
                let (name, role) = (session.name.into(), Role::of(&session.role));
                Ok(Operator { name, role, credential: Credential::Session(key.digest()) })
            }
        }
    }

    /// The bearer of the admin token or of an API token.
    async fn bearer(&self, token: &str) -> Result<Operator, AdminAuthError> {
        if bool::from(token.as_bytes().ct_eq(self.admin_token.expose().as_bytes())) {
            return Ok(Operator { name: ADMIN_TOKEN.into(), role: Role::Owner, credential: Credential::AdminToken });
        }
        let digest = ApiToken::from_bearer(token).ok_or(AdminAuthError::InvalidToken)?.digest();
        let (name, role) = self.store.token(digest).await?.ok_or(AdminAuthError::InvalidToken)?;
        let (name, role) = (format!("token {name}").into(), Role::of(&role));
        Ok(Operator { name, role, credential: Credential::ApiToken(digest) })
    }

    /// Whether the credential of a caller is still valid. A database that does not respond ends no
    /// session.
    pub(crate) async fn is_still_valid(&self, operator: &Operator) -> bool {
        match operator.credential {
            Credential::AdminToken => true,
            Credential::ApiToken(digest) => self.store.token(digest).await.map_or(true, |token| token.is_some()),
            Credential::Session(digest) => self.store.session(digest).await.map_or(true, |session| session.is_some()),
        }
    }

    /// Signs in. Every failure returns the same error after the same time.
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
        let Some(known) = known else { return Err(AdminAuthError::InvalidCredentials) };
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
        self.store.record_failed_attempt(&known.name, failures).await?;
        Err(AdminAuthError::InvalidCredentials)
    }

    /// Counts an attempt, and returns the number of attempts. Fails if too many have failed.
    async fn begin_attempt(&self, attempt: [u8; 32]) -> Result<i32, AdminAuthError> {
        match self.store.begin_attempt(attempt).await? {
            Attempt::Counted(failures) => Ok(failures),
            Attempt::Wait(wait_s) => Err(AdminAuthError::TooManyAttempts { wait_s: wait_s.ceil().max(1.0) as u64 }),
        }
    }

    /// The session with a key.
    pub(super) async fn show_session(&self, key: SessionKey) -> Result<OpenSession, AdminAuthError> {
        let row = self.store.session(key.digest()).await?.ok_or(AdminAuthError::NoSession)?;
        Ok(OpenSession { name: row.name, role: Role::of(&row.role), key, expires_at: row.expires_at })
    }

    /// Ends the session with a key.
    pub(super) async fn sign_out(&self, key: &SessionKey) -> Result<(), AdminAuthError> {
        Ok(self.store.sign_out(key.digest()).await?)
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
            self.store.record_failed_attempt(&known.name, failures).await?;
            return Err(AdminAuthError::InvalidCredentials);
        }
        self.store.forget_attempts(attempt).await?;
        let password = hash("new", new).await?;
        let change = OperatorChange { password: Some(&password), ..OperatorChange::default() };
        self.store.change_operator(&operator.by(), "change_password", &known.name, &change).await?;
        Ok(())
    }
}
