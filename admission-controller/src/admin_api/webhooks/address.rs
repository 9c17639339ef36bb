//! Which addresses may receive events. Pure.

use axum::http::Uri;

const URL_BYTES_MAX: usize = 2000;

/// Whether events can be sent to an address. Addresses are displayed, so they must not contain a
/// password.
pub(super) fn is_address(url: &str) -> bool {
    url.len() <= URL_BYTES_MAX
        && url.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_addresses_without_passwords_are_accepted() {
        for (url, is_one) in [
            ("https://shop.example/hooks", true),
            ("http://127.0.0.1:9000", true),
            ("https://user:secret@shop.example/", false),
            ("ftp://shop.example/", false),
            ("/hooks", false),
            ("", false),
        ] {
            assert_eq!(is_address(url), is_one, "{url}");
        }
        assert!(!is_address(&format!("https://shop.example/{}", "a".repeat(2000))));
    }
}
