//! Who asks: the bearer of the admin token, a program with a token of its own, or an operator whose browser has the cookie of a
//! session.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use fairline_server::{ClientAddress, Json, Problem, ProblemBody, cookies_named};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::spawn_blocking,
    time::timeout,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Admin, field};
use crate::{
    operator::{
        ApiToken, Codes, Role, SessionKey, attempt, code_attempt, is_kept_password, is_password, keep_password,
    },
    problem::AdminError,
    store::{Attempt, By, OperatorChange},
};

const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");
/// How long a session lasts, in seconds: a working day.
const SESSION_S: f64 = 12.0 * 3600.0;
/// The name under which the bearer of the admin token is noted.
const TOKEN_BEARER: &str = "admin token";
/// Passwords that are looked at at the same time: each takes 19 MiB and 20 ms of a processor.
static PASSWORDS: Semaphore = Semaphore::const_new(2);
/// Those that are looked at, and those that wait for it.
static COMING: Semaphore = Semaphore::const_new(32);
const WAITS_MAX: Duration = Duration::from_secs(2);
/// The password hash that an unknown operator is compared with, so that the answer takes as long.
static NOBODY: LazyLock<String> = LazyLock::new(|| keep_password("nobody's password", [0; 16]));

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Operator {
    pub(super) name: Arc<str>,
    pub(super) role: Role,
    known_by: KnownBy,
}

/// The credential of a caller, of which the digest is stored.
#[derive(Debug, Clone, Copy)]
enum KnownBy {
    AdminToken,
    Token([u8; 32]),
    Session([u8; 32]),
}

impl Operator {
    /// Whose changes these are.
    pub(super) fn by(&self) -> By {
        By { who: self.name.to_string(), why: None }
    }

    /// Whose changes these are, and why, in at most 500 characters.
    pub(super) fn because(&self, reason: &str) -> Result<By, AdminError> {
        let reason = reason.trim();
        field("reason", (1..=500).contains(&reason.chars().count()), "have 1 to 500 characters")?;
        Ok(By { who: self.name.to_string(), why: Some(reason.to_owned()) })
    }

    /// Whether the session or the token that it asks with is good still.
    pub(super) async fn is_here(&self, admin: &Admin) -> bool {
        // A database that does not answer ends no session.
        match self.known_by {
            KnownBy::AdminToken => true,
            KnownBy::Token(digest) => admin.store.token(digest).await.map_or(true, |token| token.is_some()),
            KnownBy::Session(digest) => admin.store.session(digest).await.map_or(true, |session| session.is_some()),
        }
    }
}

/// Anybody may try to sign in.
pub(super) fn open_routes() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(sign_in))
}

/// The routes of a session, for any operator who is signed in: read it, end it, change the password.
pub(super) fn routes() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(show_session, sign_out)).routes(routes!(change_password))
}

/// What one signs in with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    name: String,
    password: String,
    /// The six digits that the authenticator app shows.
    code: String,
}

/// A session of an operator.
#[derive(Debug, Serialize, ToSchema)]
struct Session {
    name: String,
    role: Role,
    /// To be sent as `x-csrf-token` with every request that changes something.
    csrf: String,
    /// When one has to sign in again.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// Another password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    old: String,
    /// 12 characters at least.
    new: String,
}

/// Authenticates requests and rejects others: viewers may read, operators may change.
pub(super) async fn signed_in(
    State(admin): State<Admin>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let operator = admin.asker(request.headers(), changes).await?;
    // One's own session and password are anybody's to end and to change.
    let is_own = request.uri().path().starts_with("/api/admin/session");
    if changes && !is_own && operator.role < Role::Operator {
        return Err(AdminError::Role { needed: Role::Operator }.into());
    }
    request.extensions_mut().insert(operator);
    Ok(next.run(request).await)
}

/// The layer of what only owners may do.
pub(super) async fn owners_only(request: Request, next: Next) -> Result<Response, Problem> {
    match request.extensions().get::<Operator>() {
        Some(operator) if operator.role >= Role::Owner => Ok(next.run(request).await),
        _ => Err(AdminError::Role { needed: Role::Owner }.into()),
    }
}

impl Admin {
    async fn asker(&self, headers: &HeaderMap, changes: bool) -> Result<Operator, AdminError> {
        if let Some(given) = headers.get(header::AUTHORIZATION) {
            let given =
                given.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")).ok_or(AdminError::NoToken)?;
            if bool::from(given.as_bytes().ct_eq(self.token.expose().as_bytes())) {
                return Ok(Operator { name: TOKEN_BEARER.into(), role: Role::Owner, known_by: KnownBy::AdminToken });
            }
            let digest = ApiToken::from_bearer(given).ok_or(AdminError::WrongToken)?.digest();
            let (name, role) = self.store.token(digest).await?.ok_or(AdminError::WrongToken)?;
            let (name, role) = (format!("token {name}").into(), Role::of(&role));
            return Ok(Operator { name, role, known_by: KnownBy::Token(digest) });
        }
        let key = self.session_key(headers).ok_or(AdminError::NoToken)?;
        let session = self.store.session(key.digest()).await?.ok_or(AdminError::NoSession)?;
        let given = headers.get(CSRF).map_or(&[][..], HeaderValue::as_bytes);
        if changes && !bool::from(given.ct_eq(key.csrf().as_bytes())) {
            return Err(AdminError::Csrf);
        }
        let (name, role) = (session.name.into(), Role::of(&session.role));
        Ok(Operator { name, role, known_by: KnownBy::Session(key.digest()) })
    }

    /// A browser keeps a cookie of the first name for itself: no other host, and no page that is not served over TLS, can set it.
    fn cookie_name(&self) -> &'static str {
        if self.secure_cookies { "__Host-fairline-admin" } else { "fairline-admin" }
    }

    fn session_key(&self, headers: &HeaderMap) -> Option<SessionKey> {
        cookies_named(headers, self.cookie_name()).next().map(SessionKey::from_cookie)
    }

    fn set_cookie(&self, value: &str, lasts_s: f64) -> HeaderValue {
        let secure = if self.secure_cookies { "; Secure" } else { "" };
        let cookie =
            format!("{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={lasts_s:.0}{secure}", self.cookie_name());
        HeaderValue::try_from(cookie).expect("base64 and ASCII words are a header's value")
    }

    /// Signs in, or says no to whatever was wrong in the same words, after as long.
    async fn try_to_sign_in(&self, try_: SignIn, from: ClientAddress) -> Result<(SessionKey, Session), AdminError> {
        let turn = turn().await?;
        let attempt = attempt(&try_.name, from.network());
        let failures = self.begin_attempt(attempt).await?;
        let known = self.store.credentials(&try_.name).await?;
        let kept = known.as_ref().map_or_else(|| NOBODY.clone(), |known| known.password.clone());
        let is_right = compare(turn, try_.password, kept).await;
        let Some(known) = known else { return Err(AdminError::WrongCredentials) };
        let code_attempt = code_attempt(&known.name);
        if is_right {
            self.begin_attempt(code_attempt).await?;
        }
        let now_s = u64::try_from(known.now_s).unwrap_or(0);
        let step = Codes::of(&known.name, &known.totp_secret).step(&try_.code, now_s, known.totp_step);
        if let Some(step) = step.filter(|_| is_right) {
            let key = SessionKey::new(rand::random());
            if let Some(expires_at) = self.store.sign_in(&known.name, step, key.digest(), SESSION_S).await? {
                self.store.forget_attempts(attempt).await?;
                self.store.forget_attempts(code_attempt).await?;
                let (csrf, role) = (key.csrf(), Role::of(&known.role));
                return Ok((key, Session { name: known.name, role, csrf, expires_at }));
            }
        }
        self.store.note_failed_attempt(&known.name, failures).await?;
        Err(AdminError::WrongCredentials)
    }

    /// Counts an attempt, unless so many have failed that one has to wait. Gives how many there were.
    async fn begin_attempt(&self, attempt: [u8; 32]) -> Result<i32, AdminError> {
        match self.store.begin_attempt(attempt).await? {
            Attempt::Counted(failures) => Ok(failures),
            Attempt::Wait(wait_s) => Err(AdminError::TooManyAttempts { wait_s: wait_s.ceil().max(1.0) as u64 }),
        }
    }
}

/// The turn of one password, among all that wait to be looked at.
type Turn = (SemaphorePermit<'static>, SemaphorePermit<'static>);

/// Waits for a password's turn, if there is room to wait.
async fn turn() -> Result<Turn, AdminError> {
    let coming = COMING.try_acquire().map_err(|_| AdminError::TooManySignIns)?;
    match timeout(WAITS_MAX, PASSWORDS.acquire()).await {
        Ok(Ok(turn)) => Ok((coming, turn)),
        _ => Err(AdminError::TooManySignIns),
    }
}

/// Whether a password is the kept one; elsewhere, since it takes long. The turn ends with the work, not with who hangs up.
async fn compare(turn: Turn, password: String, kept: String) -> bool {
    let compared = spawn_blocking(move || (is_kept_password(&password, &kept), drop(turn)).0);
    compared.await.unwrap_or(false)
}

/// What is kept of a new password.
pub(super) async fn keep(name: &'static str, password: String) -> Result<String, AdminError> {
    field(name, is_password(&password), "have at least 12 characters, and at most 200 bytes")?;
    let turn = turn().await?;
    let kept = spawn_blocking(move || (keep_password(&password, rand::random()), drop(turn)).0).await;
    kept.map_err(|_| AdminError::Failed)
}

/// Sign in. The answer sets the cookie of the session.
#[utoipa::path(post, path = "/api/admin/session", request_body = SignIn, responses(
    (status = 200, description = "The session; its cookie is HttpOnly and SameSite=Strict.", body = Session),
    (status = 401, description = "The name, the password or the code is wrong, or the code was used already.", body = ProblemBody),
    (status = 429, description = "Too many attempts with this name have failed from this address.", body = ProblemBody),
    (status = 503, description = "Too many try to sign in at this moment.", body = ProblemBody),
))]
async fn sign_in(
    State(admin): State<Admin>,
    from: ClientAddress,
    Json(try_): Json<SignIn>,
) -> Result<Response, Problem> {
    let (key, session) = admin.try_to_sign_in(try_, from).await?;
    let headers = [
        (header::SET_COOKIE, admin.set_cookie(key.cookie(), SESSION_S)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, axum::Json(session)).into_response())
}

/// The session that the cookie belongs to.
#[utoipa::path(get, path = "/api/admin/session", security(("session" = [])), responses(
    (status = 200, description = "The session.", body = Session),
    (status = 401, description = "There is none, or it has ended.", body = ProblemBody),
))]
async fn show_session(State(admin): State<Admin>, headers: HeaderMap) -> Result<axum::Json<Session>, Problem> {
    let key = admin.session_key(&headers).ok_or(AdminError::NoSession)?;
    let row = admin.store.session(key.digest()).await.map_err(AdminError::from)?.ok_or(AdminError::NoSession)?;
    let role = Role::of(&row.role);
    Ok(axum::Json(Session { name: row.name, role, csrf: key.csrf(), expires_at: row.expires_at }))
}

/// Sign out.
#[utoipa::path(delete, path = "/api/admin/session", security((), ("session" = [], "csrf" = [])), responses(
    (status = 204, description = "The session has ended."),
))]
async fn sign_out(State(admin): State<Admin>, headers: HeaderMap) -> Result<Response, Problem> {
    if let Some(key) = admin.session_key(&headers) {
        admin.store.sign_out(key.digest()).await.map_err(AdminError::from)?;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, admin.set_cookie("", 0.0))]).into_response())
}

/// Change one's own password. All of one's sessions end.
#[utoipa::path(post, path = "/api/admin/session/password", request_body = ChangePassword,
    security(("session" = [], "csrf" = [])), responses(
    (status = 204, description = "It is changed: sign in again."),
    (status = 401, description = "The old password is wrong.", body = ProblemBody),
    (status = 422, description = "The new one is too short.", body = ProblemBody),
    (status = 429, description = "The old one was wrong too often.", body = ProblemBody),
))]
async fn change_password(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    from: ClientAddress,
    Json(change): Json<ChangePassword>,
) -> Result<StatusCode, Problem> {
    let known = admin.store.credentials(&operator.name).await.map_err(AdminError::from)?;
    let known = known.ok_or(AdminError::NoSession)?;
    let turn = turn().await?;
    let attempt = attempt(&known.name, from.network());
    let failures = admin.begin_attempt(attempt).await?;
    if !compare(turn, change.old, known.password).await {
        admin.store.note_failed_attempt(&known.name, failures).await.map_err(AdminError::from)?;
        return Err(AdminError::WrongCredentials.into());
    }
    admin.store.forget_attempts(attempt).await.map_err(AdminError::from)?;
    let password = keep("new", change.new).await?;
    let change = OperatorChange { password: Some(&password), ..OperatorChange::default() };
    let by = operator.by();
    admin.store.change_operator(&by, "change_password", &known.name, &change).await.map_err(AdminError::from)?;
    Ok(StatusCode::NO_CONTENT)
}
