//! Problem types that every service returns.

crate::problem_types! {
    BODY_TOO_LARGE = PAYLOAD_TOO_LARGE "body-too-large" "The request body is too large" {
        merchant: "Send at most the number of bytes in `detail`: 16 KiB for most operations.",
    }
    INTERNAL = INTERNAL_SERVER_ERROR "internal" "Internal error" {
        shopper: "Try again. If it happens again, contact the shop.",
        operator: "Read the service's log at level error, and report the bug.",
    }
    INVALID_PARAMETER = BAD_REQUEST "invalid-parameter" "Invalid path or query" {
        merchant: "Correct the parameter that `detail` names.",
    }
    INVALID_BODY = UNPROCESSABLE_ENTITY "invalid-body" "Invalid input" {
        merchant: "Correct the field that `field` and `detail` name.",
    }
    JSON_REQUIRED = UNSUPPORTED_MEDIA_TYPE "json-required" "The request body is not JSON" {
        merchant: "Send the header `Content-Type: application/json`.",
    }
    TOO_MANY_REQUESTS = TOO_MANY_REQUESTS "too-many-requests" "Too many requests from this address" {
        shopper: "Wait for the time in `Retry-After`. A place in the line is kept.",
        operator: "If many shoppers share an address, check FAIRLINE_TRUSTED_PROXIES, then raise the limits (`*_RATE_PER_S`, `*_BURST`).",
    }
    UNAVAILABLE = SERVICE_UNAVAILABLE "unavailable" "Temporarily unavailable" {
        shopper: "Try again after `Retry-After`. Nothing was lost.",
        merchant: "Repeat the request with the same `Idempotency-Key` after `Retry-After`.",
        operator: "`/health/ready` and the service's log name the dependency that is down.",
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, Bytes},
        extract::{FromRequest as _, FromRequestParts as _, Request},
        http::header,
    };
    use futures_util::stream;
    use insta::assert_snapshot;
    use serde::Deserialize;

    use super::*;
    use crate::{BODY_BYTES_MAX, Json, Problem, Query, rate_limit::too_many_requests, read_body};

    #[derive(Debug, Deserialize)]
    struct Purchase {
        #[serde(rename = "quantity")]
        _quantity: u32,
    }

    async fn invalid_query(uri: &str) -> Problem {
        let (mut parts, ()) = Request::get(uri).body(()).expect("a request").into_parts();
        Query::<Purchase>::from_request_parts(&mut parts, &()).await.expect_err(uri)
    }

    async fn invalid_body(content_type: &str, body: &str) -> Problem {
        let request = Request::post("/").header(header::CONTENT_TYPE, content_type).body(Body::from(body.to_owned()));
        Json::<Purchase>::from_request(request.expect("a request"), &()).await.expect_err(body)
    }

    async fn interrupted_body() -> Problem {
        let body = Body::from_stream(stream::iter([Err::<Bytes, _>(std::io::Error::other("cut off"))]));
        read_body(body, BODY_BYTES_MAX).await.expect_err("it was cut off")
    }

    #[tokio::test]
    async fn every_problem_that_services_share_has_its_body() {
        let json = "application/json";
        let problems = [
            invalid_body("text/plain", "{}").await,
            invalid_body(json, &" ".repeat(BODY_BYTES_MAX + 1)).await,
            invalid_body(json, "{}").await,
            invalid_body(json, r#"{"quantity":"two"}"#).await,
            invalid_query("/?quantity=two").await,
            interrupted_body().await,
            too_many_requests(4),
            Problem::new(&INTERNAL),
        ];
        for kind in ALL {
            assert!(problems.iter().any(|problem| problem.slug() == kind.slug), "`{}` is missing", kind.slug);
        }
        assert_snapshot!("problems", serde_json::to_string_pretty(&problems).expect("problems are JSON"));
    }
}
