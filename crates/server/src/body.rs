//! Request bodies: JSON of bounded length, with errors that name the field.

use std::error::Error as _;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;

use crate::{Problem, problem_types};

/// Maximum length of a request body, in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// A JSON body of at most [`BODY_BYTES_MAX`]. Rejects a body without a JSON content type with 415,
/// a longer one with 413, and an invalid one with 422 and the name of the field. The content type
/// matters: pages of other sites can send text or forms with our cookies, without a preflight
/// request.
#[derive(Debug, Clone)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        Ok(Self(read_json(request, BODY_BYTES_MAX).await?))
    }
}

/// The same for the few operations with longer bodies, which have a maximum of their own.
#[derive(Debug, Clone)]
pub struct LongJson<T, const BYTES_MAX: usize>(pub T);

impl<T: DeserializeOwned, S: Send + Sync, const BYTES_MAX: usize> FromRequest<S> for LongJson<T, BYTES_MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        Ok(Self(read_json(request, BYTES_MAX).await?))
    }
}

async fn read_json<T: DeserializeOwned>(request: Request, bytes_max: usize) -> Result<T, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::new(&problem_types::JSON_REQUIRED)
            .detail("Send it with the header `Content-Type: application/json`."));
    }
    let bytes = read(request.into_body(), bytes_max).await?;
    let mut deserializer = serde_json::Deserializer::from_slice(&bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = error.path().to_string();
        invalid_body(&field, &error.into_inner())
    })?;
    deserializer.end().map_err(|error| invalid_body(".", &error))?;
    Ok(value)
}

/// Reads a body of bounded length.
///
/// # Errors
/// 413 when it is longer; 503 when it did not arrive in time or was cut off, so that the client can
/// send it again.
pub async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    to_bytes(body, bytes_max).await.map_err(|error| {
        if error.source().is_some_and(|cause| cause.is::<LengthLimitError>()) {
            Problem::new(&problem_types::BODY_TOO_LARGE).detail(format!("Send at most {bytes_max} bytes."))
        } else {
            Problem::unavailable("The request body did not arrive completely. Send it again.")
        }
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn invalid_body(field: &str, error: &serde_json::Error) -> Problem {
    let problem = Problem::new(&problem_types::INVALID_BODY);
    // For a missing or unknown field, the path is `.` and serde_json's message names the field.
    match field {
        "." => problem.detail(format!("The body: {error}.")),
        field => problem.detail(format!("The field `{field}`: {error}.")).with("field", field),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Purchase {
        quantity: u32,
    }

    async fn read(body: impl Into<Body>) -> Result<u32, (u16, String)> {
        read_as(Some("application/json"), body).await
    }

    async fn read_as(kind: Option<&str>, body: impl Into<Body>) -> Result<u32, (u16, String)> {
        let mut request = Request::builder();
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(body.into()).expect("a request");
        let read = Json::<Purchase>::from_request(request, &()).await;
        read.map(|Json(purchase)| purchase.quantity)
            .map_err(|problem| (problem.status().as_u16(), problem.detail_text().unwrap_or_default().to_owned()))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_bound_and_refused_beyond() {
        let padded = |length: usize| format!("{:<length$}", r#"{"quantity":1}"#);
        assert_eq!(read(padded(BODY_BYTES_MAX)).await, Ok(1));
        assert_eq!(read(padded(BODY_BYTES_MAX + 1)).await.map_err(|(status, _)| status), Err(413));
        let long = async |length: usize| {
            let request = Request::builder().header(header::CONTENT_TYPE, "application/json");
            let request = request.body(Body::from(padded(length))).expect("a request");
            let read = LongJson::<Purchase, { 2 * BODY_BYTES_MAX }>::from_request(request, &()).await;
            read.map(|LongJson(purchase)| purchase.quantity).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(long(2 * BODY_BYTES_MAX).await, Ok(1));
        assert_eq!(long(2 * BODY_BYTES_MAX + 1).await, Err(413));
    }

    #[tokio::test]
    async fn only_bodies_with_a_json_content_type_are_read_as_json() {
        for kind in ["application/json", "Application/JSON; charset=utf-8"] {
            assert_eq!(read_as(Some(kind), r#"{"quantity":1}"#).await, Ok(1), "{kind}");
        }
        for kind in [
            None,
            Some("text/plain"),
            Some("application/x-www-form-urlencoded"),
            Some("text/plain; a=application/json"),
        ] {
            let refused = read_as(kind, r#"{"quantity":1}"#).await.map_err(|(status, _)| status);
            assert_eq!(refused, Err(415), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_wrong_field_is_named() {
        for (body, named) in [
            (r#"{"quantity":"two"}"#, "`quantity`"),
            (r#"{"quantity":-1}"#, "`quantity`"),
            (r#"{}"#, "`quantity`"),
            (r#"{"quantity":1,"price":2}"#, "`price`"),
            (r#"{"quantity":1} and more"#, "trailing"),
            ("", "EOF"),
        ] {
            let (status, detail) = read(body).await.expect_err(body);
            assert_eq!(status, 422, "{body}");
            assert!(detail.contains(named), "{body}: {detail}");
        }
    }
}
