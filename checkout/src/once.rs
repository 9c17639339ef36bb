//! Once: a request that carries an `Idempotency-Key` is done once, however often it comes.
//!
//! After "The Idempotency-Key HTTP Header Field" (draft-ietf-httpapi-idempotency-key-header): the same key has the same answer, a
//! different body with it is refused, and so is a request that comes while the first is still under way. Answers are kept for
//! a day. What went wrong on our side is not kept: such a request may be tried again with its key.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use fairline_service::Problem;
use sha2::{Digest as _, Sha256};
use tracing::warn;

use crate::{
    Checkout,
    holder::{Holders, ShopKey},
    problem::CheckoutError,
    store::StoreError,
};

pub(crate) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// Longer than any body that is accepted, and any answer.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// A request that has been under way for so long was cut off: the next one with its key is done.
pub(crate) const CUT_OFF_AFTER: Duration = Duration::from_secs(60);
/// How long answers are kept.
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 3600);

/// What asks for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Who asks for what.
    pub(crate) scope: [u8; 32],
    pub(crate) key: String,
    pub(crate) request: [u8; 32],
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing: the request is to be done.
    New,
    /// The first request with it is still under way.
    UnderWay,
    /// It came with another body.
    Other,
    /// What it was answered.
    Answered { status: u16, body: String },
}

/// A layer that does requests with a key once.
pub(crate) async fn once(State(checkout): State<Checkout>, request: Request, next: Next) -> Response {
    if !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The request body is too large")
            .detail(format!("Send at most {BODY_BYTES_MAX} bytes."))
            .into_response();
    };
    let Some(key) = key(&parts.headers) else { return Problem::from(CheckoutError::BadKey).into_response() };
    let visitors = Holders::of(&parts.headers, &checkout.ticket_key);
    let is_shop = ShopKey::of(&parts.headers, checkout.shop_key.as_deref()).is_some();
    // Whoever is neither the shop nor holds a ticket is refused anyway, and costs the database nothing.
    if visitors.iter().next().is_none() && !is_shop {
        return next.run(Request::from_parts(parts, Body::from(body))).await;
    }
    let scope = scope(parts.uri.path(), &parts.headers, &visitors);
    let asked = Asked { scope, key, request: Sha256::digest(&body).into() };
    // A task of its own, so that an answer is kept whether or not the client waits for it.
    let shutdown = checkout.shutdown.clone();
    let request = Request::from_parts(parts, Body::from(body));
    let done = shutdown.spawn(async move { answer(&checkout, asked, request, next).await });
    done.await
        .map_err(CheckoutError::from)
        .and_then(|answer| answer)
        .unwrap_or_else(|error| Problem::from(error).into_response())
}

async fn answer(checkout: &Checkout, asked: Asked, request: Request, next: Next) -> Result<Response, CheckoutError> {
    match checkout.store.ask_once(&asked).await? {
        Known::New => {}
        Known::UnderWay => return Err(CheckoutError::StillUnderWay),
        Known::Other => return Err(CheckoutError::KeyReused),
        Known::Answered { status, body } => return Ok(replayed(status, body)),
    }
    let (parts, body) = next.run(request).await.into_parts();
    // Our own answers, which are small.
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    if let Err(error) = keep(checkout, &asked, parts.status, &body).await {
        warn!(%error, "an answer could not be kept; for a minute its key is refused");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

async fn keep(checkout: &Checkout, asked: &Asked, status: StatusCode, body: &Bytes) -> Result<(), StoreError> {
    let is_an_answer = !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS;
    match std::str::from_utf8(body) {
        Ok(body) if is_an_answer => checkout.store.keep_answer(asked, status.as_u16(), body).await,
        _ => checkout.store.forget_answer(asked).await,
    }
}

fn replayed(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (REPLAYED, HeaderValue::from_static("true")),
    ];
    (status, headers, body).into_response()
}

/// The key, if it is one: visible ASCII, not too long.
fn key(headers: &HeaderMap) -> Option<String> {
    let mut keys = headers.get_all(KEY).iter();
    let key = keys.next()?.to_str().ok()?.trim();
    let is_one = keys.next().is_none() && (1..=KEY_BYTES_MAX).contains(&key.len());
    (is_one && key.bytes().all(|byte| byte.is_ascii_graphic())).then(|| key.to_owned())
}

/// Who asks for what: the path, the admission token, and the visitors whose tickets came with it. Nobody is told what somebody
/// else was answered.
fn scope(path: &str, headers: &HeaderMap, holders: &Holders) -> [u8; 32] {
    let mut visitors: Vec<[u8; 16]> = holders.iter().map(|visitor| visitor.0).collect();
    visitors.sort_unstable();
    let mut digest = Sha256::new();
    let bearer = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    for part in [path.as_bytes(), bearer] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    visitors.iter().for_each(|visitor| digest.update(visitor));
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_and_short() {
        let key_of = |text: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(KEY, HeaderValue::from_bytes(text).expect("a header"));
            key(&headers)
        };
        assert_eq!(
            key_of(b"8e03978e-40d5-43e8-bc93-6894a57f9324").as_deref(),
            Some("8e03978e-40d5-43e8-bc93-6894a57f9324")
        );
        assert_eq!(key_of("x".repeat(255).as_bytes()).map(|key| key.len()), Some(255));
        for wrong in [&b""[..], b" ", b"a b", b"\xff", "x".repeat(256).as_bytes()] {
            assert_eq!(key_of(wrong), None, "{wrong:?}");
        }
        let mut twice = HeaderMap::new();
        twice.append(KEY, HeaderValue::from_static("a"));
        twice.append(KEY, HeaderValue::from_static("b"));
        assert_eq!(key(&twice), None);
    }
}
