//! Sign-in, sessions, and an operator's own password.

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use fairline_server::{ClientAddress, Json, Problem};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::AdminAuthError,
    operator::Operator,
    role::Role,
    service::{Auth, OpenSession, SignInAttempt},
};

/// The routes that are open to callers without a session.
pub(crate) fn open_routes() -> OpenApiRouter<Auth> {
    OpenApiRouter::new().routes(routes!(sign_in))
}

/// The routes of a session, for any operator who is signed in: read it, end it, change the
/// password.
pub(crate) fn routes() -> OpenApiRouter<Auth> {
    OpenApiRouter::new().routes(routes!(show_session, sign_out)).routes(routes!(change_password))
}

/// The credentials of an operator who signs in.
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
    /// Must be sent as `x-csrf-token` with every request that changes something.
    csrf: String,
    /// When the session ends.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

impl From<OpenSession> for Session {
    fn from(session: OpenSession) -> Self {
        let OpenSession { name, role, key, expires_at } = session;
        Self { name, role, csrf: key.csrf(), expires_at }
    }
}

/// The old and the new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    old: String,
    /// At least 12 characters.
    new: String,
}

/// Sign in. The response sets the session cookie.
#[utoipa::path(post, path = "/api/admin/session", request_body = SignIn, responses(
    (status = 200, description = "The session; its cookie is HttpOnly and SameSite=Strict.", body = Session),
    (status = 401, description = "The name, the password or the code is wrong, or the code was used already."),
    (status = 429, description = "Too many attempts with this name have failed from this address."),
    (status = 503, description = "Too many operators sign in at this moment."),
))]
async fn sign_in(
    State(auth): State<Auth>,
    from: ClientAddress,
    Json(SignIn { name, password, code }): Json<SignIn>,
) -> Result<Response, Problem> {
    let session = auth.sign_in(SignInAttempt { name, password, code }, from).await?;
    let headers = [
        (header::SET_COOKIE, auth.set_cookie(Some(&session.key))),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, axum::Json(Session::from(session))).into_response())
}

/// The session that the cookie belongs to.
#[utoipa::path(get, path = "/api/admin/session", security(("session" = [])), responses(
    (status = 200, description = "The session.", body = Session),
    (status = 401, description = "There is no session, or it has ended."),
))]
async fn show_session(State(auth): State<Auth>, headers: HeaderMap) -> Result<axum::Json<Session>, Problem> {
    let key = auth.session_key(&headers).ok_or(AdminAuthError::NoSession)?;
    Ok(axum::Json(auth.show_session(key).await?.into()))
}

/// Sign out.
#[utoipa::path(delete, path = "/api/admin/session", security((), ("session" = [], "csrf" = [])), responses(
    (status = 204, description = "The session has ended."),
))]
async fn sign_out(State(auth): State<Auth>, headers: HeaderMap) -> Result<Response, Problem> {
    if let Some(key) = auth.session_key(&headers) {
        auth.sign_out(&key).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, auth.set_cookie(None))]).into_response())
}

/// Change your own password. All your sessions end.
#[utoipa::path(post, path = "/api/admin/session/password", request_body = ChangePassword,
    security(("session" = [], "csrf" = [])), responses(
    (status = 204, description = "The password is changed: sign in again."),
    (status = 401, description = "The old password is wrong."),
    (status = 422, description = "The new password is too short."),
    (status = 429, description = "The old password was wrong too often."),
))]
async fn change_password(
    State(auth): State<Auth>,
    Extension(operator): Extension<Operator>,
    from: ClientAddress,
    Json(ChangePassword { old, new }): Json<ChangePassword>,
) -> Result<StatusCode, Problem> {
    auth.change_password(&operator, from, (old, new)).await?;
    Ok(StatusCode::NO_CONTENT)
}
