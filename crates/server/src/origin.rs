//! The origin of the page that sent a request. Browsers set it, and pages of other sites can't
//! forge it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::http::{HeaderMap, HeaderName, Uri, header};
use tokio::time::Instant;
use tracing::warn;

use crate::StartError;

/// The origin of one of our pages, for requests in which browsers send no `Origin`. A page whose
/// changes would be rejected learns it from its first request.
const PAGE: HeaderName = HeaderName::from_static("fairline-origin");
/// How often a rejected origin is logged.
const LOGGED_EVERY: Duration = Duration::from_secs(60);

/// The origins whose pages may use this service.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    public: Arc<[String]>,
    allowed: Arc<[String]>,
    logged: Arc<Mutex<Option<Instant>>>,
}

impl Origins {
    /// `public`: the origins of our own pages; by default, the host that a request names.
    /// `allowed`: origins of other sites that may use the service, too.
    ///
    /// # Errors
    /// When one of them is not an origin.
    pub fn new(public: &[String], allowed: &[String]) -> Result<Self, StartError> {
        let read = |origins: &[String]| origins.iter().map(|origin| normal(origin)).collect::<Result<Vec<_>, _>>();
        Ok(Self { public: read(public)?.into(), allowed: read(allowed)?.into(), logged: Arc::default() })
    }

    /// The first public origin.
    #[must_use]
    pub fn public(&self) -> Option<&str> {
        self.public.first().map(String::as_str)
    }

    /// Whether a request comes from a page of another site that is not allowed. Clients that are
    /// not browsers send no origin and are not exposed to CSRF. Rejections are logged, since the
    /// page may be our own behind a proxy that rewrites `Host`.
    #[must_use]
    pub fn is_foreign(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN).or_else(|| headers.get(PAGE)) else { return false };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let is_known = origin.to_str().is_ok_and(|origin| {
            let has_origin = |known: &String| known.eq_ignore_ascii_case(origin);
            let is_ours =
                if self.public.is_empty() { is_of_host(origin, host) } else { self.public.iter().any(has_origin) };
            is_ours || self.allowed.iter().any(has_origin)
        });
        if !is_known && self.is_time_to_log() {
            warn!(
                ?origin,
                host,
                public_origins = self.public.join(","),
                "request rejected: origin not allowed. If it is your own page, set FAIRLINE_PUBLIC_ORIGINS or pass the Host header on"
            );
        }
        !is_known
    }

    fn is_time_to_log(&self) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = logged.is_none_or(|at| at.elapsed() >= LOGGED_EVERY);
        if is_time {
            *logged = Some(Instant::now());
        }
        is_time
    }
}

fn is_of_host(origin: &str, host: &str) -> bool {
    let uri = origin.parse::<Uri>().ok();
    uri.as_ref().and_then(Uri::authority).is_some_and(|authority| authority.as_str().eq_ignore_ascii_case(host))
}

/// Normalises an origin to the form that browsers send.
fn normal(origin: &str) -> Result<String, StartError> {
    let origin = origin.trim();
    let bare = origin.strip_suffix('/').unwrap_or(origin).to_ascii_lowercase();
    let wrong = || StartError::new(format!("`{origin}` is not an origin such as https://shop.example."));
    let uri: Uri = bare.parse().map_err(|_| wrong())?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https")).ok_or_else(wrong)?;
    // Browsers omit the scheme's default port.
    let port = authority.port_u16().filter(|port| !matches!((scheme, port), ("http", 80) | ("https", 443)));
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    let normal = format!("{scheme}://{}{port}", authority.host());
    let has_more = bare != format!("{scheme}://{authority}");
    if has_more { Err(wrong()) } else { Ok(normal) }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn is_foreign(origins: &Origins, headers: &[(HeaderName, Option<&'static str>)]) -> bool {
        let given =
            headers.iter().filter_map(|(name, value)| Some((name.clone(), HeaderValue::from_static((*value)?))));
        origins.is_foreign(&given.collect())
    }

    #[test]
    fn pages_of_other_sites_are_foreign_unless_they_are_allowed() {
        let origins = Origins::new(&[], &["https://shop.example/".to_owned()]).expect("origins");
        for (origin, host, foreign) in [
            (None, Some("sale.example"), false),
            (Some("https://sale.example"), Some("sale.example"), false),
            (Some("https://sale.example"), Some("Sale.Example"), false),
            (Some("http://127.0.0.1:8080"), Some("127.0.0.1:8080"), false),
            (Some("http://[::1]:8080"), Some("[::1]:8080"), false),
            (Some("https://shop.example"), Some("sale.example"), false),
            (Some("https://shop.example.evil.example"), Some("sale.example"), true),
            (Some("https://evil.sale.example"), Some("sale.example"), true),
            (Some("https://sale.example:8443"), Some("sale.example"), true),
            (Some("null"), Some("sale.example"), true),
            (Some(""), Some("sale.example"), true),
            (Some("https://sale.example"), None, true),
        ] {
            for name in [header::ORIGIN, PAGE] {
                let headers = [(name.clone(), origin), (header::HOST, host)];
                assert_eq!(is_foreign(&origins, &headers), foreign, "{name} {origin:?} {host:?}");
            }
        }
        let both = [(header::ORIGIN, Some("https://evil.example")), (PAGE, Some("https://sale.example"))];
        assert!(is_foreign(&origins, &[&both[..], &[(header::HOST, Some("sale.example"))]].concat()));
    }

    #[test]
    fn a_public_origin_counts_whatever_a_proxy_makes_of_the_host() {
        let origins = Origins::new(&["https://Sale.example:443".to_owned()], &[]).expect("origins");
        for (origin, foreign) in [
            ("https://sale.example", false),
            ("http://sale.example", true),
            ("http://upstream:8080", true),
            ("https://evil.example", true),
        ] {
            let headers = [(header::ORIGIN, Some(origin)), (header::HOST, Some("upstream:8080"))];
            assert_eq!(is_foreign(&origins, &headers), foreign, "{origin}");
        }
    }

    #[test]
    fn an_invalid_origin_is_rejected_at_the_start() {
        for wrong in
            ["", "sale.example", "ftp://sale.example", "https://sale.example/shop", "https://a@sale.example", "*"]
        {
            let error = Origins::new(&[], &[wrong.to_owned()]).expect_err(wrong);
            assert!(error.to_string().contains("is not an origin"), "{error}");
        }
    }
}
