//! The controller's errors, and the one place where they become HTTP.

use fairline_sale::Status;
use fairline_server::Problem;
use tracing::error;

use crate::{
    operator::Role,
    problem_types,
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
    #[error("the sale is {}", status.as_str().replace('_', " "))]
    IllegalTransition { status: Status },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        let detail = format!("{error}.");
        match error {
            AdminError::NoToken => Problem::new(&problem_types::NO_CREDENTIALS)
                .detail("Sign in, or send the header `Authorization: Bearer <admin token>`."),
            AdminError::WrongToken => Problem::new(&problem_types::WRONG_ADMIN_TOKEN).detail(
                "It is neither the admin token that the controller was started with nor an API token that is good.",
            ),
            AdminError::NoSession => {
                Problem::new(&problem_types::NO_SESSION).detail("There is no session, or it has ended. Sign in.")
            }
            AdminError::WrongCredentials => Problem::new(&problem_types::WRONG_CREDENTIALS).detail(
                "The name, the password or the code is wrong. A code is good once: wait for the next, if it was used.",
            ),
            AdminError::TooManyAttempts { wait_s } => Problem::new(&problem_types::TOO_MANY_SIGN_INS)
                .detail(format!("Too many attempts to sign in have failed. Try again in {wait_s} seconds."))
                .retry_after(wait_s),
            AdminError::WrongEnrolment => Problem::new(&problem_types::WRONG_ENROLMENT)
                .detail("There is no such code, it was used, or it has run out. Ask an owner for another."),
            AdminError::TooManySignIns => {
                Problem::unavailable("Many try to sign in at this moment. Try again in a few seconds.")
            }
            AdminError::UnknownToken => Problem::new(&problem_types::UNKNOWN_TOKEN)
                .detail("Check the name; `GET /api/admin/tokens` lists the tokens."),
            AdminError::TooManyTokens => Problem::new(&problem_types::TOO_MANY_TOKENS)
                .detail(format!("There may be {TOKENS_MAX}. Revoke one that nothing needs.")),
            AdminError::Csrf => Problem::new(&problem_types::CSRF)
                .detail("Send the session's `csrf` as the header `x-csrf-token`. Nothing was changed."),
            AdminError::Role { needed } => Problem::new(&problem_types::ROLE)
                .detail(format!("This takes the role {}. Ask an owner. Nothing was changed.", needed.word())),
            AdminError::OtherOrigin => {
                Problem::new(&problem_types::FOREIGN_ORIGIN).detail("Only the console's own pages may look.")
            }
            AdminError::UnknownOperator => Problem::new(&problem_types::UNKNOWN_OPERATOR)
                .detail("Check the name; `GET /api/admin/operators` lists the operators."),
            AdminError::TooManyOperators => Problem::new(&problem_types::TOO_MANY_OPERATORS)
                .detail(format!("There may be {OPERATORS_MAX}. Remove one who has left.")),
            AdminError::TooManyConsoles => {
                Problem::unavailable("As many consoles look at this controller as may. Close one, or try again.")
            }
            AdminError::UnknownTicket => Problem::new(&problem_types::UNKNOWN_TICKET)
                .detail("The line has not given this number. Its shopper's page shows the number of a ticket."),
            AdminError::NotWaiting => Problem::new(&problem_types::NOT_WAITING)
                .detail("It has departed, or its turn has come: only the tokens of a sale can be revoked then."),
            AdminError::NoRehearsals => Problem::new(&problem_types::NO_REHEARSALS).detail(
                "Start the controller with `--rehearsal-program` and `--rehearsal-url`; see docs/operations.md.",
            ),
            AdminError::RehearsalRuns => {
                Problem::new(&problem_types::REHEARSAL_RUNS).detail("One runs at a time. Wait for its end, or stop it.")
            }
            AdminError::UnknownRehearsal => {
                Problem::new(&problem_types::UNKNOWN_REHEARSAL).detail("It has ended, or there never was one.")
            }
            AdminError::Failed => {
                error!(%detail, "an admin's request failed");
                Problem::new(&fairline_server::problem_types::INTERNAL).detail("It is noted and will be looked at.")
            }
            AdminError::UnknownSale => Problem::new(&problem_types::UNKNOWN_SALE)
                .detail("Check the id; `GET /api/admin/sales` lists all sales."),
            AdminError::UnknownKey => Problem::new(&problem_types::UNKNOWN_KEY)
                .detail("Check the key's name; `GET /api/admin/keys` lists the keys of this controller."),
            AdminError::UnknownWebhook => Problem::new(&problem_types::UNKNOWN_WEBHOOK)
                .detail("Check the id; `GET /api/admin/webhooks` lists the webhooks."),
            AdminError::TooManyWebhooks => Problem::new(&problem_types::TOO_MANY_WEBHOOKS)
                .detail(format!("There may be {WEBHOOKS_MAX}. Delete one that nobody needs.")),
            AdminError::UnknownLane | AdminError::Lane(LaneRefused::Unknown) => {
                Problem::new(&problem_types::UNKNOWN_LANE)
                    .detail("Check the name; `GET /api/admin/sales/{id}` lists the lanes of a sale.")
            }
            AdminError::Lane(refused) => lane_refused(refused),
            AdminError::WrongField { field, .. } => Problem::new(&fairline_server::problem_types::INVALID_BODY)
                .detail(format!("T{}", &detail[1..]))
                .with("field", field),
            AdminError::WrongPrice { .. } => Problem::new(&fairline_server::problem_types::INVALID_BODY)
                .detail(format!("T{}", &detail[1..]))
                .with("field", "price_minor"),
            AdminError::UnknownOrder => Problem::new(&problem_types::UNKNOWN_ORDER)
                .detail("Check the id; `GET /api/admin/sales/{id}/orders` lists the orders of a sale."),
            AdminError::NotRefundable { left_minor } => Problem::new(&problem_types::NOT_REFUNDABLE)
                .detail("It is more than is left of what was paid for the order here: see `left_minor`.")
                .with("left_minor", left_minor),
            AdminError::NotCancellable => {
                Problem::new(&problem_types::NOT_CANCELLABLE).detail(format!("T{}.", &detail[1..]))
            }
            AdminError::RequestUnderWay => Problem::new(&problem_types::REQUEST_UNDER_WAY)
                .detail("Wait until it has: the order's `request` says how it stands."),
            AdminError::IllegalTransition { .. } => {
                Problem::new(&problem_types::ILLEGAL_TRANSITION).detail(format!("T{}", &detail[1..]))
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
    Problem::new(&problem_types::LANE_REFUSED).detail(format!("{detail} Nothing was changed."))
}

/// A constraint of the schema, by its name, as what it means to an admin.
fn refused(constraint: &str) -> Problem {
    match constraint {
        "sales_slug_is_unique" => Problem::new(&problem_types::SLUG_TAKEN)
            .detail("Another sale has this slug. Choose another.")
            .with("field", "slug"),
        "api_tokens_pkey" => Problem::new(&problem_types::NAME_TAKEN)
            .detail("Another token has this name. Choose another, or revoke that one first.")
            .with("field", "name"),
        "operators_pkey" => Problem::new(&problem_types::NAME_TAKEN)
            .detail("Another operator has this name. Choose another.")
            .with("field", "name"),
        "lines_lane_is_unique" => Problem::new(&problem_types::LANE_TAKEN)
            .detail("Another lane of this sale has this name. Choose another.")
            .with("field", "name"),
        "sales_like_sale_fkey" => Problem::new(&fairline_server::problem_types::INVALID_BODY)
            .detail("There is no sale with the id that `like` gives; `GET /api/admin/sales` lists all sales.")
            .with("field", "like"),
        "stock_is_never_overpromised" | "stock_is_never_oversold" => {
            Problem::new(&problem_types::STOCK_BELOW_COMMITMENTS)
                .detail("More units are promised, held or sold already. Nothing was changed.")
                .with("field", "total")
        }
        other => Problem::new(&fairline_server::problem_types::INVALID_BODY)
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
            (AdminError::NoToken, 401, "no-credentials"),
            (AdminError::WrongToken, 401, "wrong-admin-token"),
            (AdminError::NoSession, 401, "no-session"),
            (AdminError::WrongCredentials, 401, "wrong-credentials"),
            (AdminError::TooManyAttempts { wait_s: 30 }, 429, "too-many-sign-ins"),
            (AdminError::WrongEnrolment, 401, "wrong-enrolment"),
            (AdminError::TooManySignIns, 503, "unavailable"),
            (AdminError::UnknownToken, 404, "unknown-token"),
            (AdminError::TooManyTokens, 409, "too-many-tokens"),
            (refused("api_tokens_pkey"), 409, "name-taken"),
            (AdminError::Csrf, 403, "csrf"),
            (AdminError::Role { needed: Role::Owner }, 403, "role"),
            (AdminError::OtherOrigin, 403, "foreign-origin"),
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
