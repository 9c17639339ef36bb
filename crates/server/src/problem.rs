//! Errors as RFC 9457 problem details.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::problem_types;

/// A type of problem: a row of docs/problems.md. [`problem_types!`](macro@crate::problem_types)
/// defines all of them.
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemType {
    /// The last part of the `type`. Never changes once released.
    pub slug: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// A few words, the same for every occurrence.
    pub title: &'static str,
    /// The action of a shopper, if any.
    pub shopper: &'static str,
    /// The action of the merchant's developers, if any.
    pub merchant: &'static str,
    /// The action of the operator of the installation, if any.
    pub operator: &'static str,
}

/// Defines a service's problem types, as constants and as the list `ALL`, from which
/// docs/problems.md is generated.
#[macro_export]
macro_rules! problem_types {
    ($($name:ident = $status:ident $slug:literal $title:literal { $($reader:ident: $action:literal,)+ })+) => {
        $(
            #[doc = $title]
            #[allow(clippy::needless_update, reason = "a few types have an action for every reader")]
            pub const $name: $crate::ProblemType = $crate::ProblemType {
                slug: $slug,
                status: $crate::StatusCode::$status,
                title: $title,
                $($reader: $action,)+
                ..$crate::NO_ACTION
            };
        )+

        /// All of this module's types.
        pub const ALL: &[&$crate::ProblemType] = &[$(&$name),+];
    };
}

/// A type without actions, for [`problem_types!`](crate::problem_types).
#[doc(hidden)]
pub const NO_ACTION: ProblemType =
    ProblemType { slug: "", status: StatusCode::OK, title: "", shopper: "", merchant: "", operator: "" };

/// A problem response (RFC 9457): a stable `type`, a `title`, and a `detail` with an action for its
/// reader.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    kind: &'static ProblemType,
    status: StatusCode,
    detail: Option<String>,
    retry_after_s: Option<u64>,
    members: Map<String, Value>,
}

/// The body of a [`Problem`], for the OpenAPI documents.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// The type of problem, as a path on the service that responds: `GET` it for an explanation.
    #[serde(rename = "type")]
    #[schema(example = "/problems/sale-not-found")]
    kind: String,
    /// The type of problem in a few words; the same for every occurrence.
    title: String,
    /// The HTTP status code.
    status: u16,
    /// What happened here, and what to do.
    #[schema(nullable = false)]
    detail: Option<String>,
}

/// A [`ProblemBody`] for serialisation, with its extension members.
#[derive(Serialize)]
struct ProblemJson<'a> {
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
    /// A problem of this type.
    #[must_use]
    pub fn new(kind: &'static ProblemType) -> Self {
        Self { kind, status: kind.status, detail: None, retry_after_s: None, members: Map::new() }
    }

    /// Replaces the status of the type, for callers that accept few.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// A dependency is unavailable. The caller may retry; nothing was lost.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(&problem_types::UNAVAILABLE).detail(detail).retry_after(2)
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
        self.kind.slug
    }

    /// The title.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.kind.title
    }

    /// The body as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and JSON are JSON")
    }

    /// The detail, if it was set.
    #[must_use]
    pub fn detail_text(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let body = ProblemJson {
            kind: format_args!("/problems/{}", self.kind.slug),
            title: self.kind.title,
            status: self.status.as_u16(),
            detail: self.detail.as_deref(),
            members: &self.members,
        };
        body.serialize(serializer)
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
        let problem = Problem::unavailable("The database did not respond.").with("sale", "first-drop");
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        let bytes = response.into_body().collect().await.expect("a body in memory").to_bytes();
        let body: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(
            body,
            json!({
                "type": "/problems/unavailable",
                "title": "Temporarily unavailable",
                "status": 503,
                "detail": "The database did not respond.",
                "sale": "first-drop",
            })
        );
    }
}
