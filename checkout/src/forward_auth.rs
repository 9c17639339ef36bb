//! Forward auth: a proxy in front of any other checkout asks, before each request, whether its
//! shopper was admitted.
//!
//! - nginx (`auth_request`), Traefik (ForwardAuth) and Envoy (`ext_authz`) are supported.
//! - The answer is 200 while the visit lasts: until the token expires, and after its redemption
//!   while the units are held.
//! - A check uses nothing up. The state of an admission is cached for one second, since proxies
//!   check every asset of a page.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::{FromRef, FromRequestParts, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
    routing::MethodFilter,
};
use fairline_admission_token::{Claims, Genuine};
use fairline_redemption::{GenerationalCache, Keys, NoClaims, bearer};
use fairline_sale::{SaleId, VisitorId};
use fairline_server::{Problem, ProblemBody, cookies_named};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};
use tracing::warn;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    CLOCK_SLACK_S,
    auth::{
        caller::{Callers, ShopperIdentity},
        error::AuthError,
    },
    error::CommonError,
    orders::state::OrderStatus,
    problem_types,
    redemption::{batcher::RedemptionBatcher, error::RedemptionError, outcome::AdmissionUse},
};

/// The query parameter and the cookie with a token.
const IN_QUERY: &str = "fairline_token";
const COOKIE: &str = "fairline_admission";
/// Headers with the original request, as nginx (configured) and Traefik set them.
const ORIGINAL_URIS: [&str; 2] = ["x-original-uri", "x-forwarded-uri"];
/// The sale that a proxy guards, unless the query of the check names it.
const SALE: HeaderName = HeaderName::from_static("x-fairline-sale");
const ADMISSION: HeaderName = HeaderName::from_static("x-fairline-admission");
const QUANTITY: HeaderName = HeaderName::from_static("x-fairline-quantity");
const EXPIRES: HeaderName = HeaderName::from_static("x-fairline-expires");
const ORDER: HeaderName = HeaderName::from_static("x-fairline-order");

/// Tokens of one request that are checked, at most.
const CANDIDATES_MAX: usize = 8;
/// Admissions whose state the cache holds at least; twice as many at most.
const KNOWN_MAX: usize = 16_384;
/// How long the database may take before the token alone decides: proxies wait one second.
const READ_TIMEOUT: Duration = Duration::from_millis(300);
/// How long a cached state is valid.
const CACHED_FOR: Duration = Duration::from_secs(1);

/// Why a shopper was not admitted.
#[derive(Debug, thiserror::Error)]
enum ForwardAuthError {
    #[error("no admission token was given")]
    NoToken,
    #[error("the visit is over")]
    VisitOver,
    #[error(transparent)]
    Redemption(#[from] RedemptionError),
}

impl ForwardAuthError {
    /// Whether the token could not be checked.
    fn is_outage(&self) -> bool {
        matches!(self, Self::Redemption(RedemptionError::NoKeys | RedemptionError::Common(CommonError::Store(_))))
    }
}

impl From<ForwardAuthError> for Problem {
    fn from(error: ForwardAuthError) -> Self {
        match error {
            ForwardAuthError::NoToken => AuthError::NoToken.into(),
            // Proxies distinguish two rejections only: 401 and 403.
            ForwardAuthError::VisitOver => Self::new(&problem_types::TOKEN_EXPIRED)
                .with_status(StatusCode::UNAUTHORIZED)
                .detail("Its turn is over. Join the line again to get a new token."),
            ForwardAuthError::Redemption(error) => error.into(),
        }
    }
}

/// The states of admissions as of a moment ago.
#[derive(Clone, Default)]
pub(crate) struct AdmissionCache(Arc<Mutex<GenerationalCache<Uuid, (AdmissionUse, Instant), KNOWN_MAX>>>);

impl AdmissionCache {
    fn of(&self, admission: Uuid) -> Option<AdmissionUse> {
        let visits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        visits.get(&admission).filter(|(_, at)| at.elapsed() < CACHED_FOR).map(|(state, _)| state.clone())
    }

    fn keep(&self, admission: Uuid, state: AdmissionUse) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keep(admission, (state, Instant::now()));
    }
}

/// The request of a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuthRequest {
    /// Candidate tokens, the newest first: from the query, the header and the cookies. The shop may
    /// have a bearer token of its own, and earlier visits leave cookies.
    tokens: Vec<Candidate>,
    /// The token must be valid for each of these sales.
    sales: Vec<String>,
    /// A CORS preflight. A browser sends it without cookies, and the response reveals nothing of
    /// the shop.
    is_preflight: bool,
}

/// A possible token.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    token: String,
    /// The token came in a query and has to be stored in a cookie.
    in_query: bool,
}

impl AuthRequest {
    /// Parses the request of a proxy. Only the request line marks a preflight: proxies set it,
    /// while headers may come from the client.
    pub(crate) fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let originals =
            ORIGINAL_URIS.into_iter().filter_map(|name| header(name)?.split_once('?').map(|(_, query)| query));
        // Envoy appends the path and query of the original request to `/forward-auth/verify`.
        let mut queries = originals.chain(uri.query());
        let from_query = queries.find_map(|query| parameter(query, IN_QUERY));
        let from_headers = bearer(headers).into_iter().chain(cookies_named(headers, COOKIE));
        let candidate = |in_query| move |token: &str| Candidate { token: token.to_owned(), in_query };
        let tokens = from_query.as_deref().map(candidate(true)).into_iter().chain(from_headers.map(candidate(false)));
        let tokens = tokens.filter(|candidate| !candidate.token.is_empty()).take(CANDIDATES_MAX).collect();
        let sales = uri.query().and_then(|query| parameter(query, "sale"));
        let sales = sales.into_iter().chain(header(SALE.as_str()).map(str::to_owned)).collect();
        let is_preflight = *method == Method::OPTIONS
            && headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        Self { tokens, sales, is_preflight }
    }
}

/// The first non-empty value of a parameter. Tokens and ids need no unescaping.
fn parameter(query: &str, name: &str) -> Option<String> {
    let values = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
    values.map(|(_, value)| value).find(|value| !value.is_empty()).map(str::to_owned)
}

impl<S: Sync> FromRequestParts<S> for AuthRequest {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.method, &parts.uri, &parts.headers))
    }
}

/// A visit that lasts.
#[derive(Debug)]
struct Visit {
    claims: Claims,
    /// When the visit ends, in Unix seconds, and the order that the token state.
    until: i64,
    order: Option<String>,
}

impl Visit {
    /// The visit of a genuine token in the state of its admission, or none if it is over.
    fn of(claims: Claims, kid: &str, state: &AdmissionUse) -> Option<Self> {
        match state {
            // The controller may have revoked the admission, or signed a new token because it
            // revoked the key.
            AdmissionUse::NotYet { kid: signed_by } if kid == signed_by => {
                Some(Self { until: claims.exp, claims, order: None })
            }
            AdmissionUse::NotYet { .. } | AdmissionUse::Nothing => None,
            AdmissionUse::Order { order, in_time } => {
                let order_id = order.id.0.to_string();
                let until = match order.status {
                    OrderStatus::Held | OrderStatus::Promised | OrderStatus::PaymentPending => {
                        order.hold_expires_at.unix_timestamp().max(claims.exp)
                    }
                    // A shopper who has paid may see the order until the token expires.
                    OrderStatus::Paid if *in_time => claims.exp,
                    _ => return None,
                };
                Some(Self { claims, until, order: Some(order_id) })
            }
        }
    }
}

/// The state of forward auth.
pub(crate) struct ForwardAuth {
    pub(crate) callers: Callers,
    pub(crate) keys: Keys,
    pub(crate) batcher: RedemptionBatcher,
    pub(crate) visits: AdmissionCache,
    pub(crate) waiting_room_url: Option<HeaderValue>,
    pub(crate) secure_cookies: bool,
}

impl FromRef<Arc<ForwardAuth>> for Callers {
    fn from_ref(forward_auth: &Arc<ForwardAuth>) -> Self {
        forward_auth.callers.clone()
    }
}

pub(crate) fn routes() -> OpenApiRouter<Arc<ForwardAuth>> {
    use axum::routing::{any, on};
    // A proxy may forward the original method, and Envoy also the path. A wildcard does not match
    // an empty path.
    let others = MethodFilter::OPTIONS
        .or(MethodFilter::POST)
        .or(MethodFilter::PUT)
        .or(MethodFilter::PATCH)
        .or(MethodFilter::DELETE);
    OpenApiRouter::new()
        .routes(routes!(verify))
        .route("/forward-auth/verify", on(others, verify))
        .route("/forward-auth/verify/", any(verify))
        .route("/forward-auth/verify/{*rest}", any(verify))
        .routes(routes!(enter))
        .route("/forward-auth/enter", on(others, enter))
        .route("/forward-auth/enter/", any(enter))
        .route("/forward-auth/enter/{*rest}", any(enter))
}

/// Whether a proxy sends its checks to this path.
pub(crate) fn is_check(uri: &Uri) -> bool {
    ["/forward-auth/verify", "/forward-auth/enter"]
        .iter()
        .any(|path| uri.path().strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

impl ForwardAuth {
    /// The first visit that lasts, with its token; or the error of our first token.
    async fn visit<'a>(
        &self,
        asked: &'a AuthRequest,
        shopper: &ShopperIdentity,
    ) -> Result<(Visit, &'a Candidate), ForwardAuthError> {
        use ForwardAuthError::{NoToken, Redemption};
        let mut refused = NoToken;
        for candidate in &asked.tokens {
            match self.visit_by(&candidate.token, &asked.sales, shopper).await {
                Ok(visit) => return Ok((visit, candidate)),
                Err(error) if error.is_outage() => return Err(error),
                Err(error) if matches!(refused, NoToken | Redemption(RedemptionError::BadToken)) => refused = error,
                Err(_) => {}
            }
        }
        Err(refused)
    }

    async fn visit_by(
        &self,
        token: &str,
        sales: &[String],
        shopper: &ShopperIdentity,
    ) -> Result<Visit, ForwardAuthError> {
        let Genuine { claims, kid } = match self.keys.verify(token) {
            Ok(genuine) => genuine,
            Err(NoClaims::Token(_)) => return Err(RedemptionError::BadToken.into()),
            Err(NoClaims::NoKeys) => return Err(RedemptionError::NoKeys.into()),
        };
        let is_for = |sale: &String| sale.parse() == Ok::<SaleId, _>(claims.sale);
        if !sales.iter().all(is_for) {
            return Err(RedemptionError::OtherSale.into());
        }
        let visitor = claims.sub.parse().map_err(|_| RedemptionError::BadToken)?;
        // If the request carries tickets, the holder's must be among them. On another domain no
        // tickets arrive, and the token alone counts.
        if shopper.iter().next().is_some() && !shopper.include(visitor) {
            return Err(RedemptionError::BadToken.into());
        }
        // An admitted shopper neither waits nor is turned away because the database is slow:
        // redemption decides what is bought. The local clock may be off, so it only decides which
        // tokens need the database.
        if claims.exp <= OffsetDateTime::now_utc().unix_timestamp() - CLOCK_SLACK_S {
            let state = self.state(claims.jti, visitor).await?;
            return Visit::of(claims, &kid, &state).ok_or(ForwardAuthError::VisitOver);
        }
        match timeout(READ_TIMEOUT, self.state(claims.jti, visitor)).await {
            Ok(Ok(state)) => Visit::of(claims, &kid, &state).ok_or(ForwardAuthError::VisitOver),
            Ok(Err(error)) => {
                warn!(%error, "read admission failed; accepting the token alone");
                Ok(Visit { until: claims.exp, claims, order: None })
            }
            Err(_) => {
                warn!(
                    within_ms = READ_TIMEOUT.as_millis() as u64,
                    "read admission timed out; accepting the token alone"
                );
                Ok(Visit { until: claims.exp, claims, order: None })
            }
        }
    }

    async fn state(&self, admission: Uuid, visitor: VisitorId) -> Result<AdmissionUse, RedemptionError> {
        if let Some(known) = self.visits.of(admission) {
            return Ok(known);
        }
        let state = self.batcher.state(admission, visitor).await?;
        self.visits.keep(admission, state.clone());
        Ok(state)
    }
}

/// The shop answers the request. Overwrites headers that a client may have sent under these names.
fn pass_on() -> Response {
    let nothing = [SALE, ADMISSION, QUANTITY, EXPIRES, ORDER].map(|name| (name, ""));
    (StatusCode::OK, [(header::CACHE_CONTROL, "no-store")], nothing).into_response()
}

fn admitted((visit, candidate): &(Visit, &Candidate), is_secure: bool) -> Response {
    let Visit { claims, until, order } = visit;
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: String| {
        // Ids, numbers and our tokens are visible ASCII.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    set(header::CACHE_CONTROL, "no-store".to_owned());
    set(SALE, claims.sale.to_string());
    set(ADMISSION, claims.jti.to_string());
    set(QUANTITY, claims.qty.to_string());
    set(EXPIRES, until.to_string());
    // Empty without an order: Envoy overwrites a client's header only if the response sets it.
    set(ORDER, order.clone().unwrap_or_default());
    if let Candidate { token, in_query: true } = candidate {
        let secure = if is_secure { "; Secure" } else { "" };
        // A session cookie: the token itself carries the expiry.
        set(header::SET_COOKIE, format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax{secure}"));
    }
    (StatusCode::OK, headers).into_response()
}

fn refused(error: ForwardAuthError) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Problem::from(error)).into_response()
}

/// Whether a shopper was admitted, for a proxy that checks each request to the merchant's own
/// checkout. The first valid token counts: in the query (`fairline_token`) of the request, of
/// `X-Original-URI` or of `X-Forwarded-Uri`, in `Authorization: Bearer`, or in the cookie
/// `fairline_admission`. A CORS preflight (`OPTIONS`, if the proxy forwards the method) passes to
/// the shop. `docs/forward-auth.md` has configurations for proxies.
#[utoipa::path(get, path = "/forward-auth/verify", params(
    ("sale" = Option<String>, Query, description = "The sale that the token must be valid for."),
    ("X-Fairline-Sale" = Option<String>, Header, description = "The same, for a proxy that can't set the query.")), responses(
    (status = 200, description = "The visit lasts; nothing was used up. The headers describe it.", headers(
        ("X-Fairline-Sale" = String, description = "The sale."),
        ("X-Fairline-Admission" = String, description = "The admission, which redeems once."),
        ("X-Fairline-Quantity" = u32, description = "Units of the admission."),
        ("X-Fairline-Expires" = i64, description = "When the visit ends, in Unix seconds."),
        ("X-Fairline-Order" = String, description = "The order; empty before the redemption."))),
    (status = 401, description = "No token, or it is not genuine, revoked, expired, or belongs to another shopper.", body = ProblemBody),
    (status = 403, description = "The token is for another sale.", body = ProblemBody),
    (status = 503, description = "No keys are loaded yet, or the database does not answer for an expired token.", body = ProblemBody),
))]
async fn verify(
    State(forward_auth): State<Arc<ForwardAuth>>,
    asked: AuthRequest,
    shopper: ShopperIdentity,
) -> Response {
    if asked.is_preflight {
        return pass_on();
    }
    match forward_auth.visit(&asked, &shopper).await {
        Ok(visit) => admitted(&visit, forward_auth.secure_cookies),
        Err(error) => refused(error),
    }
}

/// The same, for proxies that return a rejection to the browser (Traefik, Envoy): a browser that
/// was not admitted is redirected to the waiting room.
#[utoipa::path(get, path = "/forward-auth/enter", params(
    ("sale" = Option<String>, Query, description = "The sale that the token must be valid for.")), responses(
    (status = 200, description = "As `/forward-auth/verify`."),
    (status = 303, description = "Not admitted: redirect to the waiting room."),
    (status = 401, description = "Not admitted, and FAIRLINE_WAITING_ROOM_URL is not set.", body = ProblemBody),
    (status = 503, description = "As `/forward-auth/verify`.", body = ProblemBody),
))]
async fn enter(State(forward_auth): State<Arc<ForwardAuth>>, asked: AuthRequest, shopper: ShopperIdentity) -> Response {
    if asked.is_preflight {
        return pass_on();
    }
    match (forward_auth.visit(&asked, &shopper).await, &forward_auth.waiting_room_url) {
        (Ok(visit), _) => admitted(&visit, forward_auth.secure_cookies),
        (Err(error), Some(url)) if !error.is_outage() => (
            StatusCode::SEE_OTHER,
            [(header::LOCATION, url.clone()), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))],
        )
            .into_response(),
        (Err(error), _) => refused(error),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(ForwardAuthError {
            NoToken,
            VisitOver,
            Redemption(RedemptionError::BadToken),
            Redemption(RedemptionError::OtherSale),
        }))
    }

    fn asked(uri: &str, headers: &[(&'static str, &str)]) -> AuthRequest {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a header"));
        }
        AuthRequest::of(&Method::GET, &uri.parse().expect("an address"), &map)
    }

    fn tokens(asked: AuthRequest) -> Vec<String> {
        asked.tokens.into_iter().map(|candidate| candidate.token).collect()
    }

    #[test]
    fn a_token_is_found_in_query_header_and_cookies() {
        for (uri, headers, expected) in [
            ("/forward-auth/verify", &[][..], &[][..]),
            ("/forward-auth/verify", &[("authorization", "Bearer a.b.c")], &["a.b.c"]),
            ("/forward-auth/verify", &[("authorization", "Basic a.b.c")], &[]),
            ("/forward-auth/verify", &[("cookie", "x=y; fairline_admission=a.b.c")], &["a.b.c"]),
            ("/forward-auth/verify", &[("cookie", "x=y"), ("cookie", "fairline_admission=a.b.c; z=1")], &["a.b.c"]),
            ("/forward-auth/verify", &[("cookie", "promo=é; fairline_admission=a.b.c")], &["a.b.c"]),
            ("/forward-auth/verify", &[("cookie", "fairline_admission=a; fairline_admission=b")], &["a", "b"]),
            ("/forward-auth/verify", &[("cookie", "xfairline_admission=a.b.c; fairline_admission=")], &[]),
            ("/forward-auth/verify", &[("x-original-uri", "/shop?a=1&fairline_token=a.b.c")], &["a.b.c"]),
            ("/forward-auth/verify", &[("x-forwarded-uri", "/shop?fairline_token=a.b.c")], &["a.b.c"]),
            ("/forward-auth/verify", &[("x-forwarded-uri", "/fairline_token=a.b.c")], &[]),
            ("/forward-auth/verify/shop?fairline_token=a.b.c", &[], &["a.b.c"]),
            ("/forward-auth/verify?fairline_token=", &[], &[]),
            // A new token comes before an earlier visit's cookie, and before the shop's own bearer
            // token.
            ("/forward-auth/verify?fairline_token=new", &[("cookie", "fairline_admission=old")], &["new", "old"]),
            (
                "/forward-auth/verify",
                &[("authorization", "Bearer shop.jwt.x"), ("cookie", "fairline_admission=a.b.c")],
                &["shop.jwt.x", "a.b.c"],
            ),
        ] {
            assert_eq!(tokens(asked(uri, headers)), expected, "{uri} {headers:?}");
        }
    }

    #[test]
    fn only_the_request_line_marks_a_preflight() {
        let headers = [("origin", "https://app.example"), ("access-control-request-method", "PUT")];
        let mut map = HeaderMap::new();
        for (name, value) in headers.into_iter().chain([("x-forwarded-method", "OPTIONS")]) {
            map.append(name, HeaderValue::from_static(value));
        }
        let uri = Uri::from_static("/forward-auth/verify?method=OPTIONS");
        assert!(AuthRequest::of(&Method::OPTIONS, &uri, &map).is_preflight);
        assert!(!AuthRequest::of(&Method::PUT, &uri, &map).is_preflight);
        map.remove("origin");
        assert!(!AuthRequest::of(&Method::OPTIONS, &uri, &map).is_preflight);
    }

    #[test]
    fn every_named_sale_counts() {
        assert_eq!(asked("/forward-auth/verify?sale=a", &[("x-fairline-sale", "b")]).sales, ["a", "b"]);
        assert_eq!(asked("/forward-auth/verify/?x=sale=a", &[]).sales, [""; 0]);
    }
}
