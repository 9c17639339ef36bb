//! Idempotency: a request with an `Idempotency-Key` is executed once, however often it is sent.
//!
//! Follows draft-ietf-httpapi-idempotency-key-header. A repeated request receives the stored
//! response; a different body under the same key, or a request while the first is in progress, is
//! rejected. Responses are kept for a day. Server errors and responses to unauthenticated callers
//! are not stored, so that their requests can be retried. Secrets are not stored either: only the
//! fact that they were returned.

pub mod problem_types;
mod store;

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, IntoResponseParts, Response, ResponseParts},
};
use fairline_postgres::{PgPool, StoreError};
use fairline_server::{BODY_BYTES_MAX, Problem, Shutdown, list_problem, operations};
use sha2::{Digest as _, Sha256};
use tracing::warn;
use utoipa::openapi::{
    OpenApi,
    path::{HttpMethod, ParameterBuilder, ParameterIn},
    schema::{Object, Type},
};
use utoipa_axum::router::OpenApiRouter;

use store::{KeyState, KeyedRequest, Scope, Store};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks a stored response.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Maximum length of a key, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// Longer than any response of our services.
const RESPONSE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A request in progress for longer was interrupted; the next one with its key is executed.
const INTERRUPTED_AFTER: Duration = Duration::from_secs(60);
/// How long responses are kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Identifies a caller: returns its identities, the most reliable first; empty for a caller that
/// will be rejected.
type CallerIdentities = dyn Fn(&Parts) -> Vec<Vec<u8>> + Send + Sync;

/// Marks a response that contains a secret, such as a token or a key. It is returned once and not
/// stored.
#[derive(Debug, Clone, Copy)]
pub struct Confidential;

impl IntoResponseParts for Confidential {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        parts.extensions_mut().insert(self);
        Ok(parts)
    }
}

/// Executes requests with a key once.
///
/// ```no_run
/// use std::time::Duration;
///
/// use axum::{http::request::Parts, routing::post};
/// use fairline_idempotency::Idempotency;
/// use fairline_postgres::{PgPool, PoolOptions, PostgresSettings};
/// use fairline_server::Shutdown;
/// use utoipa_axum::router::OpenApiRouter;
///
/// # fn routes() -> Result<OpenApiRouter, Box<dyn std::error::Error>> {
/// let options = PoolOptions::new("example", 4, Duration::from_secs(2));
/// let pool = PgPool::new("postgres://localhost/fairline", &PostgresSettings::default(), options)?;
/// let caller = |parts: &Parts| -> Vec<Vec<u8>> {
///     let bearer = parts.headers.get("authorization");
///     bearer.map(|bearer| bearer.as_bytes().to_vec()).into_iter().collect()
/// };
/// let idempotency = Idempotency::new(pool, caller, &Shutdown::new());
/// let routes = OpenApiRouter::new().route("/orders", post(|| async { "an order" }));
/// # Ok(
/// idempotency.before(routes)
/// # )
/// # }
/// ```
#[derive(Clone)]
pub struct Idempotency {
    store: Store,
    caller_identities: Arc<CallerIdentities>,
    body_bytes_max: usize,
    shutdown: Shutdown,
}

impl Idempotency {
    /// Stores responses in the table `idempotency_keys` of a database. `caller_identities`
    /// separates callers: no caller receives another's response. Callers with several identities
    /// match if one of them does.
    pub fn new(
        pool: PgPool,
        caller_identities: impl Fn(&Parts) -> Vec<Vec<u8>> + Send + Sync + 'static,
        shutdown: &Shutdown,
    ) -> Self {
        Self {
            store: Store(pool),
            caller_identities: Arc::new(caller_identities),
            body_bytes_max: BODY_BYTES_MAX,
            shutdown: shutdown.clone(),
        }
    }

    /// Accepts longer bodies, as the longest operation behind it does.
    #[must_use]
    pub fn with_body_bytes_max(mut self, body_bytes_max: usize) -> Self {
        self.body_bytes_max = body_bytes_max;
        self
    }

    /// Puts the layer before these routes, and lists the header in their document.
    pub fn before<S: Clone + Send + Sync + 'static>(self, mut routes: OpenApiRouter<S>) -> OpenApiRouter<S> {
        list_key(routes.get_openapi_mut());
        routes.route_layer(from_fn_with_state(self, idempotent))
    }

    /// Deletes expired responses.
    ///
    /// # Errors
    /// When the database does not respond.
    pub async fn forget_old(&self) -> Result<(), StoreError> {
        self.store.forget_old(KEPT).await
    }

    async fn execute(
        &self,
        mut request_key: KeyedRequest,
        others: Vec<Scope>,
        request: Request,
        next: Next,
    ) -> Result<Response, Problem> {
        if !others.is_empty() {
            let known = self.store.known_scope(&request_key, &others).await.map_err(|error| unavailable(&error))?;
            request_key.scope = known.unwrap_or(request_key.scope);
        }
        match self.store.begin(&request_key, INTERRUPTED_AFTER).await.map_err(|error| unavailable(&error))? {
            KeyState::New => {}
            KeyState::InProgress => return Err(in_progress()),
            KeyState::Other => return Err(key_reused()),
            KeyState::Answered { status, body } => return Ok(replayed(status, body)),
        }
        let (parts, body) = next.run(request).await.into_parts();
        // Responses of our own services are finite.
        let body = to_bytes(body, RESPONSE_BYTES_MAX).await.unwrap_or_default();
        let (status, kept) = if parts.extensions.get::<Confidential>().is_some() {
            let problem = not_replayable().into_response();
            (problem.status(), to_bytes(problem.into_body(), RESPONSE_BYTES_MAX).await.unwrap_or_default())
        } else {
            (parts.status, body.clone())
        };
        if let Err(error) = self.keep(&request_key, status, &kept).await {
            warn!(%error, "store response failed; its key is rejected for a minute");
        }
        Ok(Response::from_parts(parts, Body::from(body)))
    }

    async fn keep(&self, request_key: &KeyedRequest, status: StatusCode, body: &Bytes) -> Result<(), StoreError> {
        let is_final =
            !status.is_server_error() && !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED);
        match std::str::from_utf8(body) {
            Ok(body) if is_final => self.store.keep(request_key, status.as_u16(), body).await,
            _ => self.store.forget(request_key).await,
        }
    }
}

/// Lists the header, and the layer's problems, at each `POST` operation of a document.
pub fn list_key(document: &mut OpenApi) {
    let key = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is \
             being processed, or if its response contained a secret; with 422 if its body was another.",
        ))
        .schema(Some(Object::with_type(Type::String)))
        .build();
    for (_, operation) in operations(document).filter(|(method, _)| *method == HttpMethod::Post) {
        operation.parameters.get_or_insert_default().push(key.clone().into());
        list_problem(operation, "409", "The first request with this Idempotency-Key has no response to repeat.");
        // An operation with a body has a 422 of its own.
        if operation.request_body.is_none() {
            list_problem(operation, "422", "The Idempotency-Key was used with another body before.");
        }
    }
}

/// The middleware that executes `POST` requests with a key once.
pub async fn idempotent(State(idempotency): State<Idempotency>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Some(key) = key(&parts.headers) else { return bad_key().into_response() };
    let mut scopes = (idempotency.caller_identities)(&parts).into_iter().map(|name| scope(parts.uri.path(), &name));
    // Callers that will be rejected cost no database call, and their body is not read.
    let Some(surest) = scopes.next() else { return next.run(Request::from_parts(parts, body)).await };
    let others: Vec<Scope> = scopes.collect();
    let body = match fairline_server::read_body(body, idempotency.body_bytes_max).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let request_key = KeyedRequest { scope: surest, key, request: Sha256::digest(&body).into() };
    // A separate task, so that the response is stored even if the client disconnects.
    let shutdown = idempotency.shutdown.clone();
    let request = Request::from_parts(parts, Body::from(body));
    let done = shutdown.spawn(async move { idempotency.execute(request_key, others, request, next).await });
    match done.await {
        Ok(answer) => answer.unwrap_or_else(IntoResponse::into_response),
        Err(error) => {
            tracing::error!(%error, "execute idempotent request failed");
            Problem::new(&fairline_server::problem_types::INTERNAL).detail("The error was logged.").into_response()
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

/// The key, if it is valid: visible ASCII of bounded length.
fn key(headers: &HeaderMap) -> Option<String> {
    let mut keys = headers.get_all(KEY).iter();
    let key = keys.next()?.to_str().ok()?.trim();
    let is_one = keys.next().is_none() && (1..=KEY_BYTES_MAX).contains(&key.len());
    (is_one && key.bytes().all(|byte| byte.is_ascii_graphic())).then(|| key.to_owned())
}

/// The digest of a caller and a path.
fn scope(path: &str, caller_identities: &[u8]) -> Scope {
    let mut digest = Sha256::new();
    digest.update((path.len() as u64).to_be_bytes());
    digest.update(path);
    digest.update(caller_identities);
    digest.finalize().into()
}

fn bad_key() -> Problem {
    Problem::new(&problem_types::INVALID_IDEMPOTENCY_KEY)
        .detail("Send one key of 1 to 255 visible ASCII characters, such as a UUID.")
}

fn key_reused() -> Problem {
    Problem::new(&problem_types::IDEMPOTENCY_KEY_REUSED)
        .detail("It was used with another body. Nothing was done; use a new key.")
}

fn not_replayable() -> Problem {
    Problem::new(&problem_types::RESPONSE_NOT_REPLAYABLE)
        .detail("The first request with this Idempotency-Key succeeded. Its response contained a secret, which is not stored. If it was lost, undo the change and repeat it with another key.")
}

fn in_progress() -> Problem {
    Problem::new(&problem_types::IDEMPOTENT_REQUEST_IN_PROGRESS)
        .detail("The first request with this Idempotency-Key has no response yet. Retry later to receive it.")
        .retry_after(1)
}

fn unavailable(error: &StoreError) -> Problem {
    warn!(%error, "look up idempotency key failed");
    Problem::unavailable("The database does not respond. Nothing was done; try again.")
}

#[cfg(test)]
mod tests {
    use fairline_snapshots::problem_bodies;
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn every_problem_has_its_body() {
        let problems = [
            ("bad_key", bad_key()),
            ("key_reused", key_reused()),
            ("not_replayable", not_replayable()),
            ("in_progress", in_progress()),
            ("unavailable", unavailable(&sqlx::Error::PoolTimedOut.into())),
        ];
        assert_snapshot!("problems", problem_bodies(problem_types::ALL, problems));
    }

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
