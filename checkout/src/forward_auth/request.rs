//! The request of a proxy: candidate tokens, and the sales that it guards. Pure.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, Method, Uri, header, request::Parts},
};
use fairline_redemption::bearer;
use fairline_server::cookies_named;

/// The query parameter and the cookie with a token.
const IN_QUERY: &str = "fairline_token";
pub(super) const COOKIE: &str = "fairline_admission";
/// Headers with the original request, as nginx (configured) and Traefik set them.
const ORIGINAL_URIS: [&str; 2] = ["x-original-uri", "x-forwarded-uri"];
/// The sale that a proxy guards, unless the query of the check names it.
pub(super) const SALE: HeaderName = HeaderName::from_static("x-fairline-sale");
/// Tokens of one request that are checked, at most.
const CANDIDATES_MAX: usize = 8;

/// The request of a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuthRequest {
    /// Candidate tokens, the newest first: from the query, the header and the cookies. The shop may
    /// have a bearer token of its own, and earlier visits leave cookies.
    pub(super) tokens: Vec<Candidate>,
    /// The token must be valid for each of these sales.
    pub(super) sales: Vec<String>,
    /// A CORS preflight. A browser sends it without cookies, and the response reveals nothing of
    /// the shop.
    pub(super) is_preflight: bool,
}

/// A possible token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) token: String,
    /// The token came in a query and has to be stored in a cookie.
    pub(super) in_query: bool,
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

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

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
