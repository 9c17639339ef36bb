//! The way in for people: sign in, stay so, sign out, and be forgotten.

use std::net::IpAddr;

use axum::{
    extract::{FromRequestParts, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{AppendHeaders, IntoResponse, Response},
};
use fairline_once::Confidential;
use fairline_sale::SaleId;
use fairline_service::{Json, Path, Problem, ProblemBody, cookies_named};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    Checkout,
    accounts::{
        account::{ACCESS_S, AccountId, AccountKey, Address, Proof, REFRESH_S, RefreshToken},
        store::{CODE_GOOD_S, Refreshed},
    },
    auth::caller::{ACCOUNT_COOKIE, SignedIn},
    error::CheckoutError,
    notifications::web_push::Subscription,
    orders::routes::NO_STORE,
};

/// The cookie with the refresh token of a browser, for the addresses below this alone.
const REFRESH_COOKIE: &str = "fairline_refresh";
const REFRESH_PATH: &str = "/users";
/// The longest refresh token that is looked for.
const REFRESH_BYTES_MAX: usize = 100;

/// Routes that sign in, each of which costs something.
pub(crate) fn signing_in() -> OpenApiRouter<Checkout> {
    OpenApiRouter::new()
        .routes(routes!(log_in))
        .routes(routes!(enter_code))
        .routes(routes!(refresh))
        .routes(routes!(remind))
        .routes(routes!(show_push_key, subscribe, unsubscribe))
}

/// Routes of those who are.
pub(crate) fn signed_in() -> OpenApiRouter<Checkout> {
    // Signing out twice is signing out; a kept answer would leave the cookies.
    OpenApiRouter::new().routes(routes!(show_profile, forget_profile)).routes(routes!(log_out))
}

/// Who wants to sign in: one of the three.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogIn {
    /// Where to send a code.
    #[schema(format = Email, max_length = 254)]
    email: Option<String>,
    /// Where to send a code: with the country, such as +4930901820.
    phone: Option<String>,
    /// The ID token of the shop's own OpenID Connect issuer.
    id_token: Option<String>,
    /// Whether the tokens are to be cookies, which a browser's scripts can't read.
    #[serde(default)]
    cookies: bool,
}

/// A code that has come.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnterCode {
    /// As the answer to `POST /users/login` says.
    sign_in_id: Uuid,
    /// Six digits.
    #[schema(min_length = 6, max_length = 6)]
    code: String,
    /// Whether the tokens are to be cookies, which a browser's scripts can't read.
    #[serde(default)]
    cookies: bool,
}

/// A refresh token; none where it is in a cookie.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    refresh_token: Option<String>,
}

/// A browser that wants to be told, as `PushSubscription.toJSON` writes it.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Subscribe {
    #[schema(max_length = 1000)]
    endpoint: String,
    keys: SubscriptionKeys,
}

/// What messages to a browser are encrypted for: base64url.
#[derive(Debug, Deserialize, ToSchema)]
struct SubscriptionKeys {
    p256dh: String,
    auth: String,
}

/// A browser that no longer wants to be told.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Unsubscribe {
    endpoint: String,
}

/// What a browser subscribes with.
#[derive(Debug, Serialize, ToSchema)]
struct PushKey {
    /// The `applicationServerKey`: base64url.
    public_key: String,
}

/// A code is on its way.
#[derive(Debug, Serialize, ToSchema)]
struct CodeSent {
    sign_in_id: Uuid,
    /// Until when the code is good.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// Somebody is signed in.
#[derive(Debug, Serialize, ToSchema)]
struct Session {
    account_id: AccountId,
    /// `Bearer`.
    token_type: &'static str,
    /// A JSON Web Token, for `Authorization: Bearer` or `Fairline-Account`; not where it is in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    /// Seconds that the access token is good for.
    expires_in: i64,
    /// Good once, for the next two tokens, within a week; not where it is in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

/// What is known of an account.
#[derive(Debug, Serialize, ToSchema)]
struct Profile {
    account_id: AccountId,
    /// The e-mail address or phone number, where letters go.
    #[schema(required)]
    address: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

/// Sign in: have a code sent to an e-mail address or a phone, or show an ID token of the shop's own issuer. Whether an address has an
/// account, the answer does not tell.
#[utoipa::path(post, path = "/users/login", request_body = LogIn,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key has the same answer, for a day.")), responses(
    (status = 200, description = "The ID token is good: signed in.", body = Session),
    (status = 202, description = "A code is on its way; enter it with `POST /users/login/code`.", body = CodeSent),
    (status = 401, description = "The ID token is not accepted.", body = ProblemBody),
    (status = 404, description = "Accounts are not offered here.", body = ProblemBody),
    (status = 422, description = "Not one of the three, not an address, or nothing can be sent there.", body = ProblemBody),
    (status = 429, description = "Too many requests from this address, or codes to that one.", body = ProblemBody),
    (status = 503, description = "The database or the issuer does not answer.", body = ProblemBody),
))]
async fn log_in(
    State(checkout): State<Checkout>,
    SendsCodes { from }: SendsCodes,
    Json(log_in): Json<LogIn>,
) -> Result<Response, Problem> {
    let wrong = |field, wrong| CheckoutError::BadSignIn { field, wrong };
    match (log_in.email, log_in.phone, log_in.id_token) {
        (Some(email), None, None) => {
            let address = Address::email(&email).ok_or_else(|| wrong("email", "is not an e-mail address"))?;
            send_code(&checkout, &address, "email").await
        }
        (None, Some(phone), None) => {
            let address = Address::phone(&phone)
                .ok_or_else(|| wrong("phone", "is not a phone number: write the country first, such as +49"))?;
            checkout.phone_codes.check(from)?;
            send_code(&checkout, &address, "phone").await
        }
        (None, None, Some(id_token)) => {
            let key = checkout.account_key()?;
            let issuer = checkout.issuer.as_ref().ok_or(CheckoutError::NoCarrier { field: "id_token" })?;
            let vouched = issuer.vouch(&id_token).await?;
            let account = key.account(Proof::Issuer { issuer: issuer.name(), subject: &vouched.subject });
            let token = checkout.begin_session(None, account, vouched.address).await?;
            Ok(session(&checkout, account, &token.ok_or(CheckoutError::SignedOut)?, log_in.cookies)?)
        }
        _ => Err(wrong("email", "has to be there, or `phone`, or `id_token`, and one of them alone").into()),
    }
}

/// Somebody who has not had too many codes sent lately, to whomever: we are nobody's way to flood others with letters.
struct SendsCodes {
    from: IpAddr,
}

impl FromRequestParts<Checkout> for SendsCodes {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, checkout: &Checkout) -> Result<Self, Problem> {
        checkout.codes.check_parts(parts)?;
        Ok(Self { from: checkout.trusted_proxies.client_of(parts) })
    }
}

async fn send_code(checkout: &Checkout, address: &Address, field: &'static str) -> Result<Response, Problem> {
    checkout.account_key()?;
    checkout.channels.to(address.way()).ok_or(CheckoutError::NoCarrier { field })?;
    let (store, to) = (checkout.store.clone(), address.clone());
    let asked = checkout.shutdown.spawn(async move { store.ask_for_code(&to).await });
    let asked = asked.await.map_err(CheckoutError::from)?.map_err(CheckoutError::from)?;
    let sign_in_id = asked.ok_or(CheckoutError::TooManyCodes)?;
    let expires_at = OffsetDateTime::now_utc() + Duration::seconds(CODE_GOOD_S.into());
    Ok((StatusCode::ACCEPTED, NO_STORE, axum::Json(CodeSent { sign_in_id, expires_at })).into_response())
}

/// Enter a code that has come: signed in. Five tries, ten minutes, once.
#[utoipa::path(post, path = "/users/login/code", request_body = EnterCode, responses(
    (status = 200, description = "Signed in.", body = Session),
    (status = 401, description = "The code is wrong, was used, or is too old.", body = ProblemBody),
    (status = 404, description = "Accounts are not offered here.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
    (status = 429, description = "Too many requests from this address.", body = ProblemBody),
    (status = 503, description = "The database does not answer.", body = ProblemBody),
))]
async fn enter_code(State(checkout): State<Checkout>, Json(entered): Json<EnterCode>) -> Result<Response, Problem> {
    let EnterCode { sign_in_id, code, cookies } = entered;
    let key = checkout.account_key()?;
    // Counted before it is compared, so that nobody has more tries by asking all at once.
    let address = checkout.store.try_code(sign_in_id).await.map_err(CheckoutError::from)?;
    let is_right = bool::from(key.code(sign_in_id).as_bytes().ct_eq(code.trim().as_bytes()));
    let address = address.filter(|_| is_right).ok_or(CheckoutError::WrongCode)?;
    let account = key.account(Proof::Address(&address));
    let token = checkout.begin_session(Some(sign_in_id), account, Some(address)).await?;
    Ok(session(&checkout, account, &token.ok_or(CheckoutError::WrongCode)?, cookies)?)
}

/// Take a refresh token for the next two tokens. One that comes twice ends all that came of its sign-in.
#[utoipa::path(post, path = "/users/login/refresh", request_body = Refresh, responses(
    (status = 200, description = "Still signed in.", body = Session),
    (status = 401, description = "Not any more: sign in again.", body = ProblemBody),
    (status = 404, description = "Accounts are not offered here.", body = ProblemBody),
    (status = 429, description = "Too many requests from this address.", body = ProblemBody),
    (status = 503, description = "The database does not answer; the token is good still.", body = ProblemBody),
))]
async fn refresh(
    State(checkout): State<Checkout>,
    headers: HeaderMap,
    Json(Refresh { refresh_token }): Json<Refresh>,
) -> Result<Response, Problem> {
    checkout.account_key()?;
    let in_cookies = refresh_token.is_none();
    let given = given(&headers, refresh_token).ok_or(CheckoutError::SignedOut)?;
    let next = RefreshToken::new(rand::rng().random());
    let (store, digest, next_digest) = (checkout.store.clone(), given.digest(), next.digest());
    let refreshed = checkout.shutdown.spawn(async move { store.refresh(digest, next_digest).await });
    match refreshed.await.map_err(CheckoutError::from)?.map_err(CheckoutError::from)? {
        Refreshed::Signed(account) => Ok(session(&checkout, account, &next, in_cookies)?),
        Refreshed::Reused => {
            metrics::counter!("checkout_refresh_tokens_reused_total").increment(1);
            Err(CheckoutError::SignedOut.into())
        }
        Refreshed::Unknown => Err(CheckoutError::SignedOut.into()),
    }
}

/// Sign out: no token of this sign-in is refreshed any more. The access token runs out by itself.
#[utoipa::path(post, path = "/users/logout", request_body = Refresh, responses(
    (status = 204, description = "Signed out, or was before."),
    (status = 429, description = "Too many requests from this address.", body = ProblemBody),
    (status = 503, description = "The database does not answer.", body = ProblemBody),
))]
async fn log_out(
    State(checkout): State<Checkout>,
    headers: HeaderMap,
    Json(Refresh { refresh_token }): Json<Refresh>,
) -> Result<Response, Problem> {
    if let Some(token) = given(&headers, refresh_token) {
        checkout.store.sign_out(token.digest()).await.map_err(CheckoutError::from)?;
    }
    Ok((StatusCode::NO_CONTENT, no_cookies(&checkout)).into_response())
}

/// What is known of the account.
#[utoipa::path(get, path = "/users/profile", security(("account" = [])), responses(
    (status = 200, description = "The account.", body = Profile),
    (status = 401, description = "Nobody is signed in, or the account was forgotten.", body = ProblemBody),
    (status = 404, description = "Accounts are not offered here.", body = ProblemBody),
    (status = 503, description = "The database does not answer.", body = ProblemBody),
))]
async fn show_profile(
    State(checkout): State<Checkout>,
    SignedIn(account_id): SignedIn,
) -> Result<impl IntoResponse, Problem> {
    let profile = checkout.store.profile(account_id).await.map_err(CheckoutError::from)?;
    let profile = profile.ok_or(CheckoutError::NotSignedIn)?;
    let profile = Profile { account_id, address: profile.address, created_at: profile.created_at };
    Ok((NO_STORE, axum::Json(profile)))
}

/// Forget the account: its address, its sign-ins, and whose its orders are. It can't be undone.
#[utoipa::path(delete, path = "/users/profile", security(("account" = [])), responses(
    (status = 204, description = "Forgotten."),
    (status = 401, description = "Nobody is signed in.", body = ProblemBody),
    (status = 404, description = "Accounts are not offered here.", body = ProblemBody),
    (status = 409, description = "An order is under way. Nothing was forgotten.", body = ProblemBody),
    (status = 503, description = "The database does not answer; nothing was forgotten.", body = ProblemBody),
))]
async fn forget_profile(State(checkout): State<Checkout>, SignedIn(account): SignedIn) -> Result<Response, Problem> {
    let store = checkout.store.clone();
    let forgotten = checkout.shutdown.spawn(async move { store.forget_account(account).await });
    if forgotten.await.map_err(CheckoutError::from)?.map_err(CheckoutError::from)?.is_none() {
        return Err(CheckoutError::OrderUnderWay.into());
    }
    Ok((StatusCode::NO_CONTENT, no_cookies(&checkout)).into_response())
}

/// Hear by e-mail or message when your turn in a line is near.
#[utoipa::path(post, path = "/users/reminders/{line}", params(("line" = String, Path, description = "The sale, or its lane."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key has the same answer, for a day.")),
    security(("account" = [], "ticket" = [])), responses(
    (status = 204, description = "A letter will come."),
    (status = 401, description = "Nobody is signed in.", body = ProblemBody),
    (status = 404, description = "Accounts are not offered here, or no ticket for this line came along.", body = ProblemBody),
    (status = 409, description = "The account has no address, or the line is served by a draw.", body = ProblemBody),
    (status = 503, description = "The database does not answer.", body = ProblemBody),
))]
async fn remind(
    State(checkout): State<Checkout>,
    Path(line): Path<String>,
    headers: HeaderMap,
    SignedIn(account): SignedIn,
) -> Result<StatusCode, Problem> {
    let line: SaleId = line.parse().map_err(|_| CheckoutError::UnknownSale)?;
    let name = fairline_line::ticket::cookie_name(line);
    let mut signed = cookies_named(&headers, &name);
    let ticket =
        signed.find_map(|signed| checkout.ticket_key.verify(line, signed).ok()).ok_or(CheckoutError::UnknownSale)?;
    let noted =
        checkout.store.remind(line, account, ticket.epoch, ticket.ordinal).await.map_err(CheckoutError::from)?;
    if noted { Ok(StatusCode::NO_CONTENT) } else { Err(CheckoutError::NoReminder.into()) }
}

/// What a browser subscribes with, to be told by Web Push.
#[utoipa::path(get, path = "/users/push", responses(
    (status = 200, description = "The public key.", body = PushKey),
    (status = 404, description = "Nothing is pushed here.", body = ProblemBody),
))]
async fn show_push_key(State(checkout): State<Checkout>) -> Result<axum::Json<PushKey>, Problem> {
    let (push, _) = checkout.channels.push().ok_or(CheckoutError::NoPush)?;
    Ok(axum::Json(PushKey { public_key: push.public_key().to_owned() }))
}

/// Be told in this browser: what letters say. At most five browsers of an account are, the newest.
#[utoipa::path(post, path = "/users/push", request_body = Subscribe, security(("account" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key has the same answer, for a day.")), responses(
    (status = 204, description = "This browser is told."),
    (status = 401, description = "Nobody is signed in.", body = ProblemBody),
    (status = 404, description = "Nothing is pushed here.", body = ProblemBody),
    (status = 422, description = "Not a subscription, or not with a push service of a browser's maker.", body = ProblemBody),
    (status = 429, description = "Too many requests from this address.", body = ProblemBody),
    (status = 503, description = "The database does not answer.", body = ProblemBody),
))]
async fn subscribe(
    State(checkout): State<Checkout>,
    SignedIn(account): SignedIn,
    Json(Subscribe { endpoint, keys: SubscriptionKeys { p256dh, auth } }): Json<Subscribe>,
) -> Result<StatusCode, Problem> {
    let (_, push_services) = checkout.channels.push().ok_or(CheckoutError::NoPush)?;
    if !push_services.include(&endpoint) {
        return Err(
            CheckoutError::BadSignIn { field: "endpoint", wrong: "is not at a push service that is sent to" }.into()
        );
    }
    if Subscription::new(&endpoint, &p256dh, &auth).is_none() {
        return Err(CheckoutError::BadSignIn { field: "keys", wrong: "are not those of a subscription" }.into());
    }
    let known = checkout.store.subscribe(account, &endpoint, &p256dh, &auth).await.map_err(CheckoutError::from)?;
    if known { Ok(StatusCode::NO_CONTENT) } else { Err(CheckoutError::NotSignedIn.into()) }
}

/// Be told no longer in this browser.
#[utoipa::path(delete, path = "/users/push", request_body = Unsubscribe, security(("account" = [])), responses(
    (status = 204, description = "It is not told, or was not."),
    (status = 401, description = "Nobody is signed in.", body = ProblemBody),
    (status = 429, description = "Too many requests from this address.", body = ProblemBody),
    (status = 503, description = "The database does not answer.", body = ProblemBody),
))]
async fn unsubscribe(
    State(checkout): State<Checkout>,
    SignedIn(account): SignedIn,
    Json(Unsubscribe { endpoint }): Json<Unsubscribe>,
) -> Result<StatusCode, Problem> {
    checkout.store.unsubscribe(account, &endpoint).await.map_err(CheckoutError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

fn given(headers: &HeaderMap, body: Option<String>) -> Option<RefreshToken> {
    let mut given = body.as_deref().into_iter().chain(cookies_named(headers, REFRESH_COOKIE));
    given.find(|text| (1..=REFRESH_BYTES_MAX).contains(&text.len())).map(RefreshToken::given)
}

impl Checkout {
    fn account_key(&self) -> Result<&AccountKey, CheckoutError> {
        self.account_key.as_ref().ok_or(CheckoutError::NoSignIn)
    }

    /// Signs in; gives the first refresh token, unless the sign-in was used up.
    async fn begin_session(
        &self,
        sign_in: Option<Uuid>,
        account: AccountId,
        address: Option<Address>,
    ) -> Result<Option<RefreshToken>, CheckoutError> {
        let token = RefreshToken::new(rand::rng().random());
        let (store, digest) = (self.store.clone(), token.digest());
        let begun = self.shutdown.spawn(async move { store.sign_in(sign_in, account, address.as_ref(), digest).await });
        Ok(begun.await??.then_some(token))
    }
}

fn session(
    checkout: &Checkout,
    account_id: AccountId,
    refresh_token: &RefreshToken,
    in_cookies: bool,
) -> Result<Response, CheckoutError> {
    let access_token = checkout.account_key()?.access_token(account_id, OffsetDateTime::now_utc().unix_timestamp());
    let session = |access_token, refresh_token| {
        axum::Json(Session { account_id, token_type: "Bearer", access_token, expires_in: ACCESS_S, refresh_token })
    };
    if in_cookies {
        let cookies = cookies(checkout, (&access_token, ACCESS_S), (refresh_token.expose(), REFRESH_S));
        return Ok((Confidential, NO_STORE, cookies, session(None, None)).into_response());
    }
    let tokens = session(Some(access_token), Some(refresh_token.expose().to_owned()));
    Ok((Confidential, NO_STORE, tokens).into_response())
}

fn no_cookies(checkout: &Checkout) -> impl IntoResponse + use<> {
    cookies(checkout, ("", 0), ("", 0))
}

/// Sets both cookies, each with its age in seconds. The second goes to nobody but this module, and with no other site's request.
fn cookies(
    checkout: &Checkout,
    (access, access_s): (&str, i64),
    (refresh, refresh_s): (&str, i64),
) -> AppendHeaders<[(header::HeaderName, HeaderValue); 2]> {
    let secure = if checkout.secure_cookies { "; Secure" } else { "" };
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
