//! Once: a request that carries an `Idempotency-Key` is done once, however often it comes.
//!
//! After "The Idempotency-Key HTTP Header Field" (draft-ietf-httpapi-idempotency-key-header): the same key has the same answer, a
//! different body with it is refused, and so is a request that comes while the first is still under way. Answers are kept for
//! a day. What went wrong on our side is not kept: such a request may be tried again with its key; and so may one whose asker was not
//! known. Nor are secrets: of an answer with one it is kept that it was given.

mod store;

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, IntoResponseParts, Response, ResponseParts},
};
use fairline_postgres::PgPool;
use fairline_service::{Problem, Shutdown};
use sha2::{Digest as _, Sha256};
use tracing::warn;

use store::{Answers, Asked, Known, Scope};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// Longer than any answer of ours.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A request that has been under way for so long was cut off: the next one with its key is done.
const CUT_OFF_AFTER: Duration = Duration::from_secs(60);
/// How long answers are kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// What tells askers apart: the names by which one is known, the surest first; none for whoever is refused anyway.
type Asker = dyn Fn(&Parts) -> Vec<Vec<u8>> + Send + Sync;

/// Part of an answer that holds a secret: a token, a key. It is given once, and kept nowhere.
#[derive(Debug, Clone, Copy)]
pub struct Confidential;

impl IntoResponseParts for Confidential {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        parts.extensions_mut().insert(self);
        Ok(parts)
    }
}

/// Does requests with a key once.
#[derive(Clone)]
pub struct Once {
    answers: Answers,
    asker: Arc<Asker>,
    shutdown: Shutdown,
}

impl Once {
    /// Keeps answers in the `answers` of a database. Nobody is told what somebody else was answered: `asker` tells them apart. Whoever
    /// is known by several names is the same as long as one of them is.
    pub fn new(
        pool: PgPool,
        asker: impl Fn(&Parts) -> Vec<Vec<u8>> + Send + Sync + 'static,
        shutdown: &Shutdown,
    ) -> Self {
        Self { answers: Answers(pool), asker: Arc::new(asker), shutdown: shutdown.clone() }
    }

    /// Forgets answers that were kept long enough.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_old(&self) -> Result<(), sqlx::Error> {
        self.answers.forget_old(KEPT).await
    }

    async fn answer(
        &self,
        mut asked: Asked,
        others: Vec<Scope>,
        request: Request,
        next: Next,
    ) -> Result<Response, Problem> {
        if !others.is_empty() {
            let known = self.answers.known_scope(&asked, &others).await.map_err(|error| unavailable(&error))?;
            asked.scope = known.unwrap_or(asked.scope);
        }
        match self.answers.ask(&asked, CUT_OFF_AFTER).await.map_err(|error| unavailable(&error))? {
            Known::New => {}
            Known::UnderWay => return Err(still_under_way()),
            Known::Other => return Err(key_reused()),
            Known::Answered { status, body } => return Ok(replayed(status, body)),
        }
        let (parts, body) = next.run(request).await.into_parts();
        // Our own answers, which have an end.
        let body = to_bytes(body, ANSWER_BYTES_MAX).await.unwrap_or_default();
        let (status, kept) = if parts.extensions.get::<Confidential>().is_some() {
            let told = told_once().into_response();
            (told.status(), to_bytes(told.into_body(), ANSWER_BYTES_MAX).await.unwrap_or_default())
        } else {
            (parts.status, body.clone())
        };
        if let Err(error) = self.keep(&asked, status, &kept).await {
            warn!(%error, "an answer could not be kept; for a minute its key is refused");
        }
        Ok(Response::from_parts(parts, Body::from(body)))
    }

    async fn keep(&self, asked: &Asked, status: StatusCode, body: &Bytes) -> Result<(), sqlx::Error> {
        let is_an_answer =
            !status.is_server_error() && !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED);
        match std::str::from_utf8(body) {
            Ok(body) if is_an_answer => self.answers.keep(asked, status.as_u16(), body).await,
            _ => self.answers.forget(asked).await,
        }
    }
}

/// A layer that does `POST`s with a key once.
pub async fn once(State(once): State<Once>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Some(key) = key(&parts.headers) else { return bad_key().into_response() };
    let mut scopes = (once.asker)(&parts).into_iter().map(|name| scope(parts.uri.path(), &name));
    // Whoever is refused anyway costs the database nothing, and is not listened to.
    let Some(surest) = scopes.next() else { return next.run(Request::from_parts(parts, body)).await };
    let others: Vec<Scope> = scopes.collect();
    let body = match fairline_service::read_body(body).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let asked = Asked { scope: surest, key, request: Sha256::digest(&body).into() };
    // A task of its own, so that an answer is kept whether or not the client waits for it.
    let shutdown = once.shutdown.clone();
    let request = Request::from_parts(parts, Body::from(body));
    let done = shutdown.spawn(async move { once.answer(asked, others, request, next).await });
    match done.await {
        Ok(answer) => answer.unwrap_or_else(IntoResponse::into_response),
        Err(error) => {
            tracing::error!(%error, "a request with a key failed");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong")
                .detail("It is noted and will be looked at.")
                .into_response()
        }
    }
}

fn replayed(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    let headers =
        [(header::CACHE_CONTROL, HeaderValue::from_static("no-store")), (REPLAYED, HeaderValue::from_static("true"))];
    if body.is_empty() {
        return (status, headers).into_response();
    }
    (status, headers, [(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response()
}

/// The key, if it is one: visible ASCII, not too long.
fn key(headers: &HeaderMap) -> Option<String> {
    let mut keys = headers.get_all(KEY).iter();
    let key = keys.next()?.to_str().ok()?.trim();
    let is_one = keys.next().is_none() && (1..=KEY_BYTES_MAX).contains(&key.len());
    (is_one && key.bytes().all(|byte| byte.is_ascii_graphic())).then(|| key.to_owned())
}

/// Who asks for what.
fn scope(path: &str, asker: &[u8]) -> Scope {
    let mut digest = Sha256::new();
    digest.update((path.len() as u64).to_be_bytes());
    digest.update(path);
    digest.update(asker);
    digest.finalize().into()
}

fn bad_key() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad-idempotency-key", "The Idempotency-Key is not one")
        .detail("Send one key of 1 to 255 visible ASCII characters, such as a UUID.")
}

fn key_reused() -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The Idempotency-Key was used before")
        .detail("It came with another body. Nothing was done; send another request with another key.")
}

fn told_once() -> Problem {
    Problem::new(StatusCode::CONFLICT, "told-once", "It was done, and its answer was given once")
        .detail("The answer to the first request with this Idempotency-Key has a secret, which is not kept. If it was lost, undo it and send another key.")
}

fn still_under_way() -> Problem {
    Problem::new(StatusCode::CONFLICT, "still-under-way", "The first request is under way")
        .detail("A request with this Idempotency-Key has not been answered yet. Ask again for its answer.")
        .retry_after(1)
}

fn unavailable(error: &sqlx::Error) -> Problem {
    warn!(%error, "the database does not say whether a key was used");
    Problem::unavailable("The database does not answer at this moment. Nothing was done; try again.")
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
