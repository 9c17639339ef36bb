//! HTTP routes of accounts: sign in, refresh, sign out, profile, reminders and push subscriptions.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{FromRequestParts, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{AppendHeaders, IntoResponse, Response},
};
use fairline_idempotency::Confidential;
use fairline_notification_channels::{Address, AddressKind};
use fairline_sale::SaleId;
use fairline_server::{Json, Path, Problem, cookies_named};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    accounts::{
        error::AccountError,
        service::{Accounts, CodeQueued, LogInOutcome, SessionTokens, SignInWay},
    },
    auth::{
        account::{ACCESS_S, AccountId, REFRESH_S, RefreshToken},
        caller::ACCOUNT_COOKIE,
        extract::SignedIn,
    },
    error::CommonError,
    http::NO_STORE,
};

/// The cookie with a browser's refresh token. Its path limits it to the routes below.
const REFRESH_COOKIE: &str = "fairline_refresh";
const REFRESH_PATH: &str = "/users";
/// The longest refresh token that is accepted, in bytes.
const REFRESH_BYTES_MAX: usize = 100;

/// Routes that sign in, or that cost a database write or a message.
pub(crate) fn signing_in() -> OpenApiRouter<Arc<Accounts>> {
    OpenApiRouter::new()
        .routes(routes!(log_in))
        .routes(routes!(enter_code))
        .routes(routes!(refresh))
        .routes(routes!(remind))
        .routes(routes!(show_push_key, subscribe, unsubscribe))
}

/// Routes of a signed-in account.
pub(crate) fn signed_in() -> OpenApiRouter<Arc<Accounts>> {
    // A repeated sign-out is harmless. A stored idempotent response would leave the cookies in
    // place.
    OpenApiRouter::new().routes(routes!(show_profile, forget_profile)).routes(routes!(log_out))
}

/// A sign-in, by exactly one of three ways.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogInRequest {
    /// E-mail address to send a code to.
    #[schema(format = Email, max_length = 254)]
    email: Option<String>,
    /// Phone number to send a code to, with the country code, such as +4930901820.
    phone: Option<String>,
    /// The ID token of the merchant's OpenID Connect issuer.
    id_token: Option<String>,
    /// Whether to return the tokens as cookies, which scripts can't read.
    #[serde(default)]
    cookies: bool,
}

/// A code that was received.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogInCodeRequest {
    /// The id from the response to `POST /users/login`.
    sign_in_id: Uuid,
    /// Six digits.
    #[schema(min_length = 6, max_length = 6)]
    code: String,
    /// Whether to return the tokens as cookies, which scripts can't read.
    #[serde(default)]
    cookies: bool,
}

/// A refresh token, unless it is in a cookie.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshRequest {
    refresh_token: Option<String>,
}

/// A push subscription, as `PushSubscription.toJSON` writes it.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SubscribeRequest {
    #[schema(max_length = 1000)]
    endpoint: String,
    keys: SubscriptionKeys,
}

/// The keys that messages to a browser are encrypted with: base64url.
#[derive(Debug, Deserialize, ToSchema)]
struct SubscriptionKeys {
    p256dh: String,
    auth: String,
}

/// A push subscription to remove.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnsubscribeRequest {
    endpoint: String,
}

/// The public key for push subscriptions.
#[derive(Debug, Serialize, ToSchema)]
struct PushKey {
    /// The `applicationServerKey`: base64url.
    public_key: String,
}

/// A code was sent.
#[derive(Debug, Serialize, ToSchema)]
struct CodeSent {
    sign_in_id: Uuid,
    /// When the code expires.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
struct AccountSession {
    account_id: AccountId,
    /// `Bearer`.
    token_type: &'static str,
    /// A JSON Web Token, for `Authorization: Bearer` or `Fairline-Account`; absent if it is in a
    /// cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    /// Lifetime of the access token, in seconds.
    expires_in: i64,
    /// Valid once, for the next two tokens, within a week; absent if it is in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

/// The profile of an account.
#[derive(Debug, Serialize, ToSchema)]
struct Profile {
    account_id: AccountId,
    /// The e-mail address or phone number for notifications.
    #[schema(required)]
    address: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

/// Sign in: have a code sent to an e-mail address or a phone, or present an ID token of the
/// merchant's own issuer. The response does not reveal whether an address has an account.
#[utoipa::path(post, path = "/users/login", request_body = LogInRequest, responses(
    (status = 200, description = "The ID token is valid: signed in.", body = AccountSession),
    (status = 202, description = "A code was sent; submit it with `POST /users/login/code`.", body = CodeSent),
    (status = 401, description = "The ID token is not accepted."),
    (status = 404, description = "Accounts are not offered here."),
    (status = 422, description = "Not exactly one way to sign in, an invalid address, or no channel for it."),
    (status = 429, description = "Too many requests from this network address, or codes to this recipient."),
    (status = 503, description = "The database or the issuer does not respond."),
))]
async fn log_in(
    State(accounts): State<Arc<Accounts>>,
    CodeRateLimit { from }: CodeRateLimit,
    Json(log_in): Json<LogInRequest>,
) -> Result<Response, Problem> {
    let in_cookies = log_in.cookies;
    let way = SignInWay::try_from(log_in)?;
    if let SignInWay::Code { address, .. } = &way
        && address.kind() == AddressKind::Phone
    {
        accounts.phone_codes.check(from)?;
    }
    match accounts.log_in(way).await? {
        LogInOutcome::CodeQueued(CodeQueued { sign_in_id, expires_at }) => {
            Ok((StatusCode::ACCEPTED, NO_STORE, axum::Json(CodeSent { sign_in_id, expires_at })).into_response())
        }
        LogInOutcome::Session(tokens) => Ok(session(&accounts, tokens, in_cookies)),
    }
}

impl TryFrom<LogInRequest> for SignInWay {
    type Error = AccountError;

    fn try_from(log_in: LogInRequest) -> Result<Self, AccountError> {
        let wrong = |field, wrong| AccountError::InvalidSignIn { field, wrong };
        match (log_in.email, log_in.phone, log_in.id_token) {
            (Some(email), None, None) => {
                let address = Address::email(&email).ok_or_else(|| wrong("email", "is not an e-mail address"))?;
                Ok(Self::Code { address, field: "email" })
            }
            (None, Some(phone), None) => {
                let address = Address::phone(&phone)
                    .ok_or_else(|| wrong("phone", "is not a phone number: write the country first, such as +49"))?;
                Ok(Self::Code { address, field: "phone" })
            }
            (None, None, Some(id_token)) => Ok(Self::IdToken(id_token)),
            _ => Err(wrong("email", "must be present, or `phone` or `id_token` instead; exactly one of them")),
        }
    }
}

/// Limits the codes that one client requests, whatever the recipients: the service must not be a
/// means to flood mailboxes.
struct CodeRateLimit {
    from: IpAddr,
}

impl FromRequestParts<Arc<Accounts>> for CodeRateLimit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, accounts: &Arc<Accounts>) -> Result<Self, Problem> {
        accounts.codes.check_parts(parts)?;
        Ok(Self { from: accounts.trusted_proxies.client_of(parts) })
    }
}

/// Submit a code and sign in. A code allows five attempts within ten minutes, and is valid once.
#[utoipa::path(post, path = "/users/login/code", request_body = LogInCodeRequest, responses(
    (status = 200, description = "Signed in.", body = AccountSession),
    (status = 401, description = "The code is wrong, was used, or has expired."),
    (status = 404, description = "Accounts are not offered here."),
))]
async fn enter_code(
    State(accounts): State<Arc<Accounts>>,
    Json(entered): Json<LogInCodeRequest>,
) -> Result<Response, Problem> {
    let LogInCodeRequest { sign_in_id, code, cookies } = entered;
    let tokens = accounts.enter_code(sign_in_id, &code).await?;
    Ok(session(&accounts, tokens, cookies))
}

/// Exchange a refresh token for the next two tokens. A token that is used twice ends its session.
#[utoipa::path(post, path = "/users/login/refresh", request_body = RefreshRequest, responses(
    (status = 200, description = "Still signed in.", body = AccountSession),
    (status = 401, description = "The session has ended: sign in again."),
    (status = 404, description = "Accounts are not offered here."),
    (status = 503, description = "The database does not respond; the token is still valid."),
))]
async fn refresh(
    State(accounts): State<Arc<Accounts>>,
    headers: HeaderMap,
    Json(RefreshRequest { refresh_token }): Json<RefreshRequest>,
) -> Result<Response, Problem> {
    let in_cookies = refresh_token.is_none();
    let tokens = accounts.refresh(given(&headers, refresh_token)).await?;
    Ok(session(&accounts, tokens, in_cookies))
}

/// Sign out: ends the session of the refresh token. The access token stays valid until it expires.
#[utoipa::path(post, path = "/users/logout", request_body = RefreshRequest, responses(
    (status = 204, description = "Signed out, now or before."),
))]
async fn log_out(
    State(accounts): State<Arc<Accounts>>,
    headers: HeaderMap,
    Json(RefreshRequest { refresh_token }): Json<RefreshRequest>,
) -> Result<Response, Problem> {
    if let Some(token) = given(&headers, refresh_token) {
        accounts.log_out(&token).await?;
    }
    Ok((StatusCode::NO_CONTENT, no_cookies(&accounts)).into_response())
}

/// The profile of the account.
#[utoipa::path(get, path = "/users/profile", security(("account" = [])), responses(
    (status = 200, description = "The account.", body = Profile),
    (status = 401, description = "Not signed in, or the account was erased."),
))]
async fn show_profile(
    State(accounts): State<Arc<Accounts>>,
    SignedIn(account_id): SignedIn,
) -> Result<impl IntoResponse, Problem> {
    let profile = accounts.profile(account_id).await?;
    let profile = Profile { account_id, address: profile.address, created_at: profile.created_at };
    Ok((NO_STORE, axum::Json(profile)))
}

/// Erase the account: its address, its sessions, and the link to its orders. It can't be undone.
#[utoipa::path(delete, path = "/users/profile", security(("account" = [])), responses(
    (status = 204, description = "Erased."),
    (status = 409, description = "An order is still open. Nothing was erased."),
    (status = 503, description = "The database does not respond; nothing was erased."),
))]
async fn forget_profile(
    State(accounts): State<Arc<Accounts>>,
    SignedIn(account): SignedIn,
) -> Result<Response, Problem> {
    accounts.forget(account).await?;
    Ok((StatusCode::NO_CONTENT, no_cookies(&accounts)).into_response())
}

/// Be notified by e-mail, SMS or Web Push when your turn in a line is near.
#[utoipa::path(post, path = "/users/reminders/{line}", params(("line" = String, Path, description = "The sale, or its lane.")),
    security(("account" = [], "ticket" = [])), responses(
    (status = 204, description = "A notification will be sent."),
    (status = 401, description = "Not signed in."),
    (status = 404, description = "Accounts are not offered here, or the request has no ticket for this line."),
    (status = 409, description = "The account has no address, or a draw decides the order of the line."),
))]
async fn remind(
    State(accounts): State<Arc<Accounts>>,
    Path(line): Path<String>,
    headers: HeaderMap,
    SignedIn(account): SignedIn,
) -> Result<StatusCode, Problem> {
    let line: SaleId = line.parse().map_err(|_| CommonError::SaleNotFound)?;
    let ticket = accounts.callers.ticket(&headers, line).ok_or(CommonError::SaleNotFound)?;
    accounts.remind(account, &ticket).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The public key for push subscriptions.
#[utoipa::path(get, path = "/users/push", responses(
    (status = 200, description = "The public key.", body = PushKey),
    (status = 404, description = "Web Push is not configured."),
))]
async fn show_push_key(State(accounts): State<Arc<Accounts>>) -> Result<axum::Json<PushKey>, Problem> {
    Ok(axum::Json(PushKey { public_key: accounts.push_key()?.to_owned() }))
}

/// Subscribe this browser to the notifications of the account. An account keeps its newest five
/// browsers.
#[utoipa::path(post, path = "/users/push", request_body = SubscribeRequest, security(("account" = [])), responses(
    (status = 204, description = "The browser is subscribed."),
    (status = 404, description = "Web Push is not configured."),
    (status = 422, description = "Not a subscription, or not at a permitted push service."),
))]
async fn subscribe(
    State(accounts): State<Arc<Accounts>>,
    SignedIn(account): SignedIn,
    Json(SubscribeRequest { endpoint, keys: SubscriptionKeys { p256dh, auth } }): Json<SubscribeRequest>,
) -> Result<StatusCode, Problem> {
    accounts.subscribe(account, &endpoint, &p256dh, &auth).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Unsubscribe this browser.
#[utoipa::path(delete, path = "/users/push", request_body = UnsubscribeRequest, security(("account" = [])), responses(
    (status = 204, description = "The browser is not subscribed."),
))]
async fn unsubscribe(
    State(accounts): State<Arc<Accounts>>,
    SignedIn(account): SignedIn,
    Json(UnsubscribeRequest { endpoint }): Json<UnsubscribeRequest>,
) -> Result<StatusCode, Problem> {
    accounts.unsubscribe(account, &endpoint).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn given(headers: &HeaderMap, body: Option<String>) -> Option<RefreshToken> {
    let mut given = body.as_deref().into_iter().chain(cookies_named(headers, REFRESH_COOKIE));
    given.find(|text| (1..=REFRESH_BYTES_MAX).contains(&text.len())).map(RefreshToken::given)
}

fn session(accounts: &Accounts, tokens: SessionTokens, in_cookies: bool) -> Response {
    let SessionTokens { account: account_id, access, refresh } = tokens;
    let session = |access_token, refresh_token| {
        axum::Json(AccountSession {
            account_id,
            token_type: "Bearer",
            access_token,
            expires_in: ACCESS_S,
            refresh_token,
        })
    };
    if in_cookies {
        let cookies = cookies(accounts, (&access, ACCESS_S), (refresh.expose(), REFRESH_S));
        return (Confidential, NO_STORE, cookies, session(None, None)).into_response();
    }
    let tokens = session(Some(access), Some(refresh.expose().to_owned()));
    (Confidential, NO_STORE, tokens).into_response()
}

fn no_cookies(accounts: &Accounts) -> impl IntoResponse + use<> {
    cookies(accounts, ("", 0), ("", 0))
}

/// Sets both cookies, each with its age in seconds. Only the routes of this module receive the
/// second one, and never with a request from another site.
fn cookies(
    accounts: &Accounts,
    (access, access_s): (&str, i64),
    (refresh, refresh_s): (&str, i64),
) -> AppendHeaders<[(header::HeaderName, HeaderValue); 2]> {
    let secure = if accounts.secure_cookies { "; Secure" } else { "" };
    let set = |cookie: String| {
        (header::SET_COOKIE, HeaderValue::from_str(&cookie).expect("base64, digits and our own words make a header"))
    };
    AppendHeaders([
        set(format!("{ACCOUNT_COOKIE}={access}; Path=/; Max-Age={access_s}; HttpOnly; SameSite=Lax{secure}")),
        set(format!(
            "{REFRESH_COOKIE}={refresh}; Path={REFRESH_PATH}; Max-Age={refresh_s}; HttpOnly; SameSite=Strict{secure}"
        )),
    ])
}
