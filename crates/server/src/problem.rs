//! Errors as RFC 9457 problem details.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

/// A problem response (RFC 9457): a stable `type`, a `title`, and a `detail` with an action for its
/// reader.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: Option<String>,
    retry_after_s: Option<u64>,
    members: Map<String, Value>,
}

/// The body of a [`Problem`], for the OpenAPI documents.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// A stable address that names the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "https://fairline.dev/problems/unknown-sale")]
    pub kind: String,
    /// The kind of problem in a few words; the same for every occurrence.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What happened here, and what to do.
    #[schema(nullable = false)]
    pub detail: Option<String>,
}

/// A [`ProblemBody`] for serialisation, with its extension members.
#[derive(serde::Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: std::fmt::Arguments<'a>,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

impl Problem {
    /// A problem with a slug: the last part of its `type`, which never changes once published.
    #[must_use]
    pub fn new(status: StatusCode, slug: &'static str, title: &'static str) -> Self {
        Self { status, slug, title, detail: None, retry_after_s: None, members: Map::new() }
    }

    /// A dependency is unavailable. The caller may retry; nothing was lost.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Temporarily unavailable")
            .detail(detail)
            .retry_after(2)
    }

    /// Sets what happened and what to do.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Sets the `Retry-After` header, in seconds from now.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Adds an extension member to the body.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The slug: the last part of its `type`.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        self.slug
    }

    /// The title.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// The body as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let body = Body {
            kind: format_args!("https://fairline.dev/problems/{}", self.slug),
            title: self.title,
            status: self.status.as_u16(),
            detail: self.detail.as_deref(),
            members: &self.members,
        };
        serde_json::to_string(&body).expect("strings, numbers and JSON are JSON")
    }

    /// The detail, if it was set.
    #[must_use]
    pub fn detail_text(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.to_json()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_problem_is_rendered_as_in_rfc_9457() {
        let problem = Problem::unavailable("The database did not answer.").with("sale", "first-drop");
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        let bytes = response.into_body().collect().await.expect("a body in memory").to_bytes();
        let body: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(
            body,
            json!({
                "type": "https://fairline.dev/problems/unavailable",
                "title": "Temporarily unavailable",
                "status": 503,
                "detail": "The database did not answer.",
                "sale": "first-drop",
            })
        );
    }
}
