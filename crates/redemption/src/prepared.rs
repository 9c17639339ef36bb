//! Responses that are rendered once and sent often.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use fairline_server::Problem;

/// A response that is rendered once and sent often.
#[derive(Debug)]
pub(crate) struct PreparedResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl From<Problem> for PreparedResponse {
    fn from(problem: Problem) -> Self {
        let body = problem.to_json().into();
        let (parts, _) = problem.into_response().into_parts();
        Self { status: parts.status, headers: parts.headers, body }
    }
}

impl PreparedResponse {
    pub(crate) fn response(&self) -> Response {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}
