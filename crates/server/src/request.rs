//! The path and query of a request, with a problem where they are invalid.

use axum::{
    extract::{
        FromRequestParts,
        rejection::{PathRejection, QueryRejection},
    },
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use crate::{Problem, problem_types};

/// The query of a request: 400 with the reason if it is invalid.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

/// The path parameters of a request: 400 with the reason if one is invalid.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

fn invalid(reason: &str) -> Problem {
    Problem::new(&problem_types::INVALID_PARAMETER).detail(format!("{reason}."))
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        query.map(|query| Self(query.0)).map_err(|rejected: QueryRejection| invalid(&rejected.body_text()))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|rejected: PathRejection| invalid(&rejected.body_text()))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{Request, StatusCode};
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Reading {
        after: u64,
    }

    #[tokio::test]
    async fn an_invalid_query_is_a_problem_that_names_the_parameter() {
        for (uri, expected) in [("/?after=7", Ok(7)), ("/?after=seven", Err("after")), ("/", Err("after"))] {
            let (mut parts, ()) = Request::get(uri).body(()).expect("a request").into_parts();
            let read = Query::<Reading>::from_request_parts(&mut parts, &()).await;
            match (read, expected) {
                (Ok(Query(reading)), Ok(after)) => assert_eq!(reading.after, after, "{uri}"),
                (Err(problem), Err(named)) => {
                    assert_eq!(problem.status(), StatusCode::BAD_REQUEST, "{uri}");
                    assert!(problem.detail_text().unwrap_or_default().contains(named), "{uri}: {problem:?}");
                }
                (read, expected) => panic!("{uri}: {read:?}, expected {expected:?}"),
            }
        }
    }
}
