//! The controller's errors, and the one place where they become HTTP.

use axum::http::StatusCode;
use fairline_sale::Status;
use fairline_server::Problem;
use tracing::error;

use crate::{
    admin::word,
    operator::Role,
    store::{LaneRefused, OPERATORS_MAX, StoreError, TOKENS_MAX, WEBHOOKS_MAX},
};

/// Why the admin API did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    #[error("no admin token was given")]
    NoToken,
    #[error("the admin token is wrong")]
    WrongToken,
    #[error("the session has ended")]
    NoSession,
    #[error("the name, the password or the code is wrong")]
    WrongCredentials,
    #[error("too many attempts to sign in have failed")]
    TooManyAttempts { wait_s: u64 },
    #[error("there is no such code to enrol with")]
    WrongEnrolment,
    #[error("too many sign in at the same time")]
    TooManySignIns,
    #[error("there is no such token")]
    UnknownToken,
    #[error("there are as many tokens as there may be")]
    TooManyTokens,
    #[error("the request does not carry the session's CSRF token")]
    Csrf,
    #[error("this takes the role {}", needed.word())]
    Role { needed: Role },
    #[error("another site's page asks")]
    OtherOrigin,
    #[error("there is no such operator")]
    UnknownOperator,
    #[error("there are as many operators as there may be")]
    TooManyOperators,
    #[error("as many consoles look as may look at the same time")]
    TooManyConsoles,
    #[error("there is no such ticket")]
    UnknownTicket,
    #[error("the ticket does not wait")]
    NotWaiting,
    #[error("this controller is not set up for rehearsals")]
    NoRehearsals,
    #[error("another rehearsal runs")]
    RehearsalRuns,
    #[error("no such rehearsal runs")]
    UnknownRehearsal,
    #[error("something went wrong in this process")]
    Failed,
    #[error("there is no such sale")]
    UnknownSale,
    #[error("there is no such lane")]
    UnknownLane,
    #[error("the lane was refused: {0:?}")]
    Lane(LaneRefused),
    #[error("there is no such key")]
    UnknownKey,
    #[error("there is no such webhook")]
    UnknownWebhook,
    #[error("there are as many webhooks as there may be")]
    TooManyWebhooks,
    #[error("the field `{field}` must {must}")]
    WrongField { field: &'static str, must: &'static str },
    #[error("the field `price_minor` must {must}")]
    WrongPrice { must: String },
    #[error("there is no such order")]
    UnknownOrder,
    #[error("only {left_minor} of the order can be refunded")]
    NotRefundable { left_minor: i64 },
    #[error("the order is paid for or has ended, and can't be cancelled; one that is paid for can be refunded")]
    NotCancellable,
    #[error("another request for the order has not ended")]
    RequestUnderWay,
    #[error("the sale is {}", word(*status))]
    IllegalTransition { status: Status },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        let detail = format!("{error}.");
        match error {
            AdminError::NoToken => Problem::new(StatusCode::UNAUTHORIZED, "no-token", "Nobody is signed in")
                .detail("Sign in, or send the header `Authorization: Bearer <admin token>`."),
            AdminError::WrongToken => Problem::new(StatusCode::UNAUTHORIZED, "bad-token", "Wrong admin token").detail(
                "It is neither the admin token that the controller was started with nor an API token that is good.",
            ),
            AdminError::NoSession => Problem::new(StatusCode::UNAUTHORIZED, "no-session", "Not signed in")
                .detail("There is no session, or it has ended. Sign in."),
            AdminError::WrongCredentials => Problem::new(
                StatusCode::UNAUTHORIZED,
                "wrong-credentials",
                "That was not right",
            )
            .detail(
                "The name, the password or the code is wrong. A code is good once: wait for the next, if it was used.",
            ),
            AdminError::TooManyAttempts { wait_s } => {
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-attempts", "Too many attempts")
                    .detail(format!("Too many attempts to sign in have failed. Try again in {wait_s} seconds."))
                    .retry_after(wait_s)
            }
            AdminError::WrongEnrolment => {
                Problem::new(StatusCode::UNAUTHORIZED, "wrong-enrolment", "That code is not good")
                    .detail("There is no such code, it was used, or it has run out. Ask an owner for another.")
            }
            AdminError::TooManySignIns => {
                Problem::unavailable("Many try to sign in at this moment. Try again in a few seconds.")
            }
            AdminError::UnknownToken => Problem::new(StatusCode::NOT_FOUND, "unknown-token", "No such token")
                .detail("Check the name; `GET /api/admin/tokens` lists the tokens."),
            AdminError::TooManyTokens => Problem::new(StatusCode::CONFLICT, "too-many-tokens", "Too many tokens")
                .detail(format!("There may be {TOKENS_MAX}. Revoke one that nothing needs.")),
            AdminError::Csrf => Problem::new(StatusCode::FORBIDDEN, "csrf", "No CSRF token")
                .detail("Send the session's `csrf` as the header `x-csrf-token`. Nothing was changed."),
            AdminError::Role { needed } => Problem::new(StatusCode::FORBIDDEN, "role", "Not allowed")
                .detail(format!("This takes the role {}. Ask an owner. Nothing was changed.", needed.word())),
            AdminError::OtherOrigin => Problem::new(StatusCode::FORBIDDEN, "other-origin", "Not from there")
                .detail("Only the console's own pages may look."),
            AdminError::UnknownOperator => Problem::new(StatusCode::NOT_FOUND, "unknown-operator", "No such operator")
                .detail("Check the name; `GET /api/admin/operators` lists the operators."),
            AdminError::TooManyOperators => {
                Problem::new(StatusCode::CONFLICT, "too-many-operators", "Too many operators")
                    .detail(format!("There may be {OPERATORS_MAX}. Remove one who has left."))
            }
            AdminError::TooManyConsoles => {
                Problem::unavailable("As many consoles look at this controller as may. Close one, or try again.")
            }
            AdminError::UnknownTicket => Problem::new(StatusCode::NOT_FOUND, "unknown-ticket", "No such ticket")
                .detail("The line has not given this number. Its shopper's page shows the number of a ticket."),
            AdminError::NotWaiting => Problem::new(StatusCode::CONFLICT, "not-waiting", "The ticket does not wait")
                .detail("It has departed, or its turn has come: only the tokens of a sale can be revoked then."),
            AdminError::NoRehearsals => Problem::new(StatusCode::CONFLICT, "no-rehearsals", "No rehearsals here")
                .detail(
                    "Start the controller with `--rehearsal-program` and `--rehearsal-url`; see docs/operations.md.",
                ),
            AdminError::RehearsalRuns => Problem::new(StatusCode::CONFLICT, "rehearsal-runs", "Another rehearsal runs")
                .detail("One runs at a time. Wait for its end, or stop it."),
            AdminError::UnknownRehearsal => {
                Problem::new(StatusCode::NOT_FOUND, "unknown-rehearsal", "No such rehearsal runs")
                    .detail("It has ended, or there never was one.")
            }
            AdminError::Failed => {
                error!(%detail, "an admin's request failed");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong")
                    .detail("It is noted and will be looked at.")
            }
            AdminError::UnknownSale => Problem::new(StatusCode::NOT_FOUND, "unknown-sale", "No such sale")
                .detail("Check the id; `GET /api/admin/sales` lists all sales."),
            AdminError::UnknownKey => Problem::new(StatusCode::NOT_FOUND, "unknown-key", "No such key")
                .detail("Check the key's name; `GET /api/admin/keys` lists the keys of this controller."),
            AdminError::UnknownWebhook => Problem::new(StatusCode::NOT_FOUND, "unknown-webhook", "No such webhook")
                .detail("Check the id; `GET /api/admin/webhooks` lists the webhooks."),
            AdminError::TooManyWebhooks => Problem::new(StatusCode::CONFLICT, "too-many-webhooks", "Too many webhooks")
                .detail(format!("There may be {WEBHOOKS_MAX}. Delete one that nobody needs.")),
            AdminError::UnknownLane | AdminError::Lane(LaneRefused::Unknown) => {
                Problem::new(StatusCode::NOT_FOUND, "unknown-lane", "No such lane")
                    .detail("Check the name; `GET /api/admin/sales/{id}` lists the lanes of a sale.")
            }
            AdminError::Lane(refused) => lane_refused(refused),
            AdminError::WrongField { field, .. } => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-body", "The request body is not valid")
                    .detail(format!("T{}", &detail[1..]))
                    .with("field", field)
            }
            AdminError::WrongPrice { .. } => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-body", "The request body is not valid")
                    .detail(format!("T{}", &detail[1..]))
                    .with("field", "price_minor")
            }
            AdminError::UnknownOrder => Problem::new(StatusCode::NOT_FOUND, "unknown-order", "No such order")
                .detail("Check the id; `GET /api/admin/sales/{id}/orders` lists the orders of a sale."),
            AdminError::NotRefundable { left_minor } => {
                Problem::new(StatusCode::CONFLICT, "not-refundable", "So much can't be refunded")
                    .detail("It is more than is left of what was paid for the order here: see `left_minor`.")
                    .with("left_minor", left_minor)
            }
            AdminError::NotCancellable => {
                Problem::new(StatusCode::CONFLICT, "not-cancellable", "The order can't be cancelled now")
                    .detail(format!("T{}.", &detail[1..]))
            }
            AdminError::RequestUnderWay => {
                Problem::new(StatusCode::CONFLICT, "request-under-way", "Another request for the order has not ended")
                    .detail("Wait until it has: the order's `request` says how it stands.")
            }
            AdminError::IllegalTransition { .. } => {
                Problem::new(StatusCode::CONFLICT, "illegal-transition", "The sale can't do that now")
                    .detail(format!("T{}", &detail[1..]))
            }
            AdminError::Store(StoreError::Refused(constraint)) => refused(&constraint),
            AdminError::Store(StoreError::Unavailable(_)) => {
                error!(%detail, "an admin's request failed");
                Problem::unavailable("The database does not answer. Nothing was changed; try again.")
            }
        }
    }
}

/// Why a lane is not what an admin wants it to be.
fn lane_refused(refused: LaneRefused) -> Problem {
    let detail = match refused {
        LaneRefused::Unknown => "There is no such lane.",
        LaneRefused::TooMany => "The sale has as many lanes as a sale may have.",
        LaneRefused::Shares => "The shares of a sale's lanes are 1 at most, all together. Give the others less first.",
        LaneRefused::Drawn => "All lines of a sale are drawn together, when it opens. Add lanes before that.",
        LaneRefused::Closed => "The sale has ended.",
    };
    Problem::new(StatusCode::CONFLICT, "lane-refused", "The lane can't be so")
        .detail(format!("{detail} Nothing was changed."))
}

/// A constraint of the schema, by its name, as what it means to an admin.
fn refused(constraint: &str) -> Problem {
    match constraint {
        "sales_slug_is_unique" => Problem::new(StatusCode::CONFLICT, "slug-taken", "The slug is taken")
            .detail("Another sale has this slug. Choose another.")
            .with("field", "slug"),
        "api_tokens_pkey" => Problem::new(StatusCode::CONFLICT, "name-taken", "The name is taken")
            .detail("Another token has this name. Choose another, or revoke that one first.")
            .with("field", "name"),
        "operators_pkey" => Problem::new(StatusCode::CONFLICT, "name-taken", "The name is taken")
            .detail("Another operator has this name. Choose another.")
            .with("field", "name"),
        "lines_lane_is_unique" => Problem::new(StatusCode::CONFLICT, "lane-taken", "The name is taken")
            .detail("Another lane of this sale has this name. Choose another.")
            .with("field", "name"),
        "sales_like_sale_fkey" => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-body", "The request body is not valid")
                .detail("There is no sale with the id that `like` gives; `GET /api/admin/sales` lists all sales.")
                .with("field", "like")
        }
        "stock_is_never_overpromised" | "stock_is_never_oversold" => {
            Problem::new(StatusCode::CONFLICT, "stock-below-commitments", "The stock can't be that small")
                .detail("More units are promised, held or sold already. Nothing was changed.")
                .with("field", "total")
        }
        other => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-body", "The request body is not valid")
            .detail(format!("The database refused it: {other}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_answer() {
        let refused = |constraint: &str| AdminError::Store(StoreError::Refused(constraint.to_owned()));
        let unavailable = AdminError::Store(StoreError::Unavailable(sqlx::Error::PoolTimedOut));
        for (error, status, slug) in [
            (AdminError::NoToken, 401, "no-token"),
            (AdminError::WrongToken, 401, "bad-token"),
            (AdminError::NoSession, 401, "no-session"),
            (AdminError::WrongCredentials, 401, "wrong-credentials"),
            (AdminError::TooManyAttempts { wait_s: 30 }, 429, "too-many-attempts"),
            (AdminError::WrongEnrolment, 401, "wrong-enrolment"),
            (AdminError::TooManySignIns, 503, "unavailable"),
            (AdminError::UnknownToken, 404, "unknown-token"),
            (AdminError::TooManyTokens, 409, "too-many-tokens"),
            (refused("api_tokens_pkey"), 409, "name-taken"),
            (AdminError::Csrf, 403, "csrf"),
            (AdminError::Role { needed: Role::Owner }, 403, "role"),
            (AdminError::OtherOrigin, 403, "other-origin"),
            (AdminError::UnknownOperator, 404, "unknown-operator"),
            (AdminError::TooManyOperators, 409, "too-many-operators"),
            (AdminError::TooManyConsoles, 503, "unavailable"),
            (AdminError::UnknownTicket, 404, "unknown-ticket"),
            (AdminError::NotWaiting, 409, "not-waiting"),
            (AdminError::NoRehearsals, 409, "no-rehearsals"),
            (AdminError::RehearsalRuns, 409, "rehearsal-runs"),
            (AdminError::UnknownRehearsal, 404, "unknown-rehearsal"),
            (AdminError::Failed, 500, "internal"),
            (refused("operators_pkey"), 409, "name-taken"),
            (AdminError::UnknownSale, 404, "unknown-sale"),
            (AdminError::UnknownKey, 404, "unknown-key"),
            (AdminError::WrongField { field: "total", must: "be positive" }, 422, "invalid-body"),
            (AdminError::IllegalTransition { status: Status::Closed }, 409, "illegal-transition"),
            (refused("sales_slug_is_unique"), 409, "slug-taken"),
            (refused("sales_like_sale_fkey"), 422, "invalid-body"),
            (refused("lines_lane_is_unique"), 409, "lane-taken"),
            (AdminError::UnknownLane, 404, "unknown-lane"),
            (AdminError::Lane(LaneRefused::Unknown), 404, "unknown-lane"),
            (AdminError::Lane(LaneRefused::Shares), 409, "lane-refused"),
            (refused("stock_is_never_overpromised"), 409, "stock-below-commitments"),
            (refused("stock_is_never_oversold"), 409, "stock-below-commitments"),
            (refused("sales_slug_is_plain"), 422, "invalid-body"),
            (unavailable, 503, "unavailable"),
        ] {
            let problem = Problem::from(error);
            assert_eq!((problem.status().as_u16(), problem.slug()), (status, slug));
            assert!(problem.detail_text().is_some_and(|detail| detail.ends_with('.')));
        }
    }
}
