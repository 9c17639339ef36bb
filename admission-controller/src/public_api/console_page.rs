//! The page of the admin console, and its files.

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
    routing::get,
};
use fairline_server::Path;

pub(crate) fn routes() -> Router {
    Router::new().route("/admin", get(page)).route("/admin/assets/{file}", get(asset))
}

async fn page(headers: HeaderMap) -> Response {
    let mut response = fairline_assets::serve_page("admin.html", &headers);
    let policy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

async fn asset(Path(file): Path<String>, headers: HeaderMap) -> Response {
    fairline_assets::serve(&file, &headers)
}
