//! Which site's page a request comes from: browsers say it, and pages of other sites can't lie about it.

use axum::http::{HeaderMap, Uri, header};

/// Whether a request comes from a page of another site than the one that it is sent to, and not from an allowed one. Programs that are no
/// browsers say nothing and are nobody's puppets.
#[must_use]
pub fn is_foreign_origin(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let Ok(origin) = origin.to_str() else { return true };
    let authority = origin.parse::<Uri>().ok().and_then(|uri| uri.authority().map(ToString::to_string));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_ours = authority.is_some() && authority.as_deref() == host;
    !is_ours && !allowed.iter().any(|allowed| allowed == origin)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn pages_of_other_sites_are_foreign_unless_they_are_allowed() {
        let allowed = ["https://shop.example".to_owned()];
        for (origin, host, foreign) in [
            (None, Some("sale.example"), false),
            (Some("https://sale.example"), Some("sale.example"), false),
            (Some("http://127.0.0.1:8080"), Some("127.0.0.1:8080"), false),
            (Some("https://shop.example"), Some("sale.example"), false),
            (Some("https://shop.example.evil.example"), Some("sale.example"), true),
            (Some("https://evil.sale.example"), Some("sale.example"), true),
            (Some("https://sale.example:8443"), Some("sale.example"), true),
            (Some("null"), Some("sale.example"), true),
            (Some(""), Some("sale.example"), true),
            (Some("https://sale.example"), None, true),
        ] {
            let mut headers = HeaderMap::new();
            let mut set = |name, value: Option<&'static str>| {
                value.map(|value| headers.insert(name, HeaderValue::from_static(value)));
            };
            set(header::ORIGIN, origin);
            set(header::HOST, host);
            assert_eq!(is_foreign_origin(&headers, &allowed), foreign, "{origin:?} {host:?}");
        }
    }
}
