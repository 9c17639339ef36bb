//! The credentials in the headers of a request, and the cookie of a session.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use fairline_server::cookies_named;

use super::{
    credentials::SessionKey,
    service::{Auth, GivenCredential, SESSION_S},
};

const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");

impl Auth {
    /// The credentials of a request, if it has any. A session does not count beside an
    /// `Authorization` header.
    pub(super) fn given<'a>(&self, headers: &'a HeaderMap) -> Option<GivenCredential<'a>> {
        if let Some(given) = headers.get(header::AUTHORIZATION) {
            return given.to_str().ok()?.strip_prefix("Bearer ").map(GivenCredential::Bearer);
        }
        let csrf = headers.get(CSRF).map_or(&[][..], HeaderValue::as_bytes);
        Some(GivenCredential::Session { key: self.session_key(headers)?, csrf })
    }

    /// The key in the session cookie of a request.
    pub(super) fn session_key(&self, headers: &HeaderMap) -> Option<SessionKey> {
        cookies_named(headers, self.cookie_name()).next().map(SessionKey::from_cookie)
    }

    /// With the prefix, browsers accept the cookie only from this host and over TLS.
    fn cookie_name(&self) -> &'static str {
        if self.secure_cookies { "__Host-fairline-admin" } else { "fairline-admin" }
    }

    /// The `Set-Cookie` header that begins a session; without a key, the one that ends it.
    pub(super) fn set_cookie(&self, key: Option<&SessionKey>) -> HeaderValue {
        let (value, lasts_s) = key.map_or(("", 0.0), |key| (key.cookie(), SESSION_S));
        let secure = if self.secure_cookies { "; Secure" } else { "" };
        let cookie =
            format!("{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={lasts_s:.0}{secure}", self.cookie_name());
        HeaderValue::try_from(cookie).expect("base64 and ASCII words are a header's value")
    }
}
