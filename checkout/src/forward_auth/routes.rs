//! The routes that proxies call, and the headers that they pass on to the shop.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::MethodFilter,
};
use fairline_server::Problem;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth::caller::ShopperIdentity,
    forward_auth::{
        error::ForwardAuthError,
        request::{AuthRequest, COOKIE, Candidate, SALE},
        service::ForwardAuth,
        visit::Visit,
    },
};

const ADMISSION: HeaderName = HeaderName::from_static("x-fairline-admission");
const QUANTITY: HeaderName = HeaderName::from_static("x-fairline-quantity");
const EXPIRES: HeaderName = HeaderName::from_static("x-fairline-expires");
const ORDER: HeaderName = HeaderName::from_static("x-fairline-order");

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

/// The shop handles the request. Overwrites headers that a client may have sent under these names.
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
    (status = 401, description = "No token, or it is not genuine, revoked, expired, or belongs to another shopper."),
    (status = 403, description = "The token is for another sale."),
    (status = 503, description = "No keys are loaded yet, or the database does not respond for an expired token."),
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
    (status = 401, description = "Not admitted, and FAIRLINE_WAITING_ROOM_URL is not set."),
    (status = 503, description = "As `/forward-auth/verify`."),
))]
async fn enter(State(forward_auth): State<Arc<ForwardAuth>>, asked: AuthRequest, shopper: ShopperIdentity) -> Response {
    if asked.is_preflight {
        return pass_on();
    }
    match (forward_auth.visit(&asked, &shopper).await, &forward_auth.waiting_room_url) {
        (Ok(visit), _) => admitted(&visit, forward_auth.secure_cookies),
        (Err(error), Some(url)) if !error.is_outage() => {
            (StatusCode::SEE_OTHER, [(header::LOCATION, url.as_str()), (header::CACHE_CONTROL, "no-store")])
                .into_response()
        }
        (Err(error), _) => refused(error),
    }
}
