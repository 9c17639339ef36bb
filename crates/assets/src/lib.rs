//! The built pages of `web/`, embedded: a service is a single file and needs no asset folder.
//!
//! ```
//! use axum::http::{HeaderMap, StatusCode};
//!
//! let file = fairline_assets::file_name("shopper.js").expect("the shopper's script");
//! assert_eq!(fairline_assets::serve(file, &HeaderMap::new()).status(), StatusCode::OK);
//! ```

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// One built file, in three encodings.
struct Asset {
    /// The logical name: `shopper.js`.
    name: &'static str,
    /// The file name with its content hash: `shopper.1a2b3c4d.js`.
    file: &'static str,
    plain: &'static [u8],
    br: &'static [u8],
    gz: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The hashed file name of a logical name: `shopper.js` is `shopper.1a2b3c4d.js`.
#[must_use]
pub fn file_name(name: &str) -> Option<&'static str> {
    ASSETS.iter().find(|asset| asset.name == name).map(|asset| asset.file)
}

/// Serves a file by its hashed name, cacheable for ever; 404 for an unknown one. During a rolling
/// update, a page of one version may request its files from the other. That version serves its own
/// file of the same logical name, uncacheable.
#[must_use]
pub fn serve(file: &str, request: &HeaderMap) -> Response {
    if let Some(asset) = ASSETS.iter().find(|asset| asset.file == file) {
        return respond(asset, request, "public, max-age=31536000, immutable");
    }
    match ASSETS.iter().find(|asset| Some(asset.name) == unhashed(file).as_deref()) {
        Some(asset) => respond(asset, request, "no-store"),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The logical name of a hashed file name: `shopper.1a2b3c4d.js` is `shopper.js`.
fn unhashed(file: &str) -> Option<String> {
    let (rest, kind) = file.rsplit_once('.')?;
    let (name, hash) = rest.rsplit_once('.')?;
    let is_hash = hash.len() >= 8 && hash.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_hash.then(|| format!("{name}.{kind}"))
}

/// Serves a page by its name, to be revalidated each time; 404 for an unknown one.
#[must_use]
pub fn serve_page(name: &str, request: &HeaderMap) -> Response {
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => respond(asset, request, "no-cache"),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn respond(asset: &Asset, request: &HeaderMap, caching: &'static str) -> Response {
    let accepted = request.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let accepts = |encoding: &str| {
        accepted.split(',').any(|part| {
            let (name, weight) = part.split_once(';').unwrap_or((part, ""));
            name.trim() == encoding && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
        })
    };
    let (encoding, bytes) = if accepts("br") {
        (Some("br"), asset.br)
    } else if accepts("gzip") {
        (Some("gzip"), asset.gz)
    } else {
        (None, asset.plain)
    };
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(asset.file)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

fn content_type(file: &str) -> &'static str {
    match file.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(accepted: &str) -> Option<String> {
        let mut request = HeaderMap::new();
        request.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(accepted).expect("a header"));
        let response = serve(file_name("shopper.js").expect("the shopper's script"), &request);
        assert_eq!(response.status(), StatusCode::OK);
        response.headers().get(header::CONTENT_ENCODING).map(|value| value.to_str().expect("text").to_owned())
    }

    #[test]
    fn the_best_accepted_encoding_is_sent() {
        assert_eq!(encoding("gzip, deflate, br;q=0.9").as_deref(), Some("br"));
        assert_eq!(encoding("gzip, br;q=0").as_deref(), Some("gzip"));
        assert_eq!(encoding("identity"), None);
    }

    #[test]
    fn a_file_of_another_version_is_served_from_this_one_and_not_cached() {
        let ours = file_name("shopper.js").expect("the shopper's script");
        let caching = |file: &str| {
            let response = serve(file, &HeaderMap::new());
            assert_eq!(response.status(), StatusCode::OK);
            response.headers().get(header::CACHE_CONTROL).cloned().expect("a header")
        };
        assert_eq!(caching("shopper.00000000.js"), "no-store");
        assert_eq!(caching(ours), "public, max-age=31536000, immutable");
    }

    #[test]
    fn unknown_files_are_not_found() {
        assert_eq!(serve("../Cargo.toml", &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
        assert_eq!(serve("shopper.js", &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
        assert_eq!(serve("nothing.00000000.js", &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
    }
}
