//! Problems, rendered as pages.

use askama::Template;
use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use fairline_server::Problem;

use super::view::{Assets, page};
use crate::auth::ticket::TicketAuth;

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    assets: Assets,
    heading: String,
    text: String,
    /// The label of the retry button; empty where a retry makes no sense.
    retry: String,
}

/// A problem, rendered as a page.
pub(super) struct PageProblem(Problem);

impl<E: Into<Problem>> From<E> for PageProblem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for PageProblem {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let template = ProblemPage {
            assets: Assets::new(),
            heading: problem.title().to_owned(),
            text: problem.detail_text().unwrap_or_default().to_owned(),
            retry: String::new(),
        };
        let mut response = page(problem.status(), &template);
        if let Some(wait) = problem.clone().into_response().headers().get(header::RETRY_AFTER) {
            response.headers_mut().insert(header::RETRY_AFTER, wait.clone());
        }
        response
    }
}

/// A cookie holds the place. A browser that stores none would receive a new place with each request
/// and show none of them.
pub(super) fn no_cookies(tickets: &TicketAuth) -> Response {
    let template = ProblemPage {
        assets: Assets::new(),
        heading: "Cookies are blocked".to_owned(),
        text: "Your place in line is stored in a cookie. Allow cookies for this site, then join again. You have no place yet."
            .to_owned(),
        retry: "Join the line".to_owned(),
    };
    ([(header::SET_COOKIE, tickets.probe())], page(StatusCode::FORBIDDEN, &template)).into_response()
}
