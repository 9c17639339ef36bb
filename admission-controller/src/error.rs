//! The controller's errors, and their only mapping to HTTP.

use fairline_sale::Status;
use fairline_server::{Problem, ProblemType};
use tracing::error;

use crate::{db::StoreError, problem_types};

/// Why the admin API rejected or failed a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    #[error("the request has no credentials")]
    NoToken,
    #[error("the admin token is wrong")]
    WrongToken,
    #[error("the session has ended")]
    NoSession,
    #[error("the name, the password or the code is wrong")]
    WrongCredentials,
    #[error("too many attempts to sign in have failed")]
    TooManyAttempts { wait_s: u64 },
    #[error("the enrolment code is not valid")]
    WrongEnrolment,
    #[error("too many operators sign in at the same time")]
    TooManySignIns,
    #[error("there is no such token")]
    UnknownToken,
    #[error("there are {most} tokens already")]
    TooManyTokens { most: i64 },
    #[error("the request does not carry the session's CSRF token")]
    Csrf,
    #[error("the role {needed} is needed")]
    Role { needed: &'static str },
    #[error("the page that sent the request belongs to another site")]
    OtherOrigin,
    #[error("there is no such operator")]
    UnknownOperator,
    #[error("there are {most} operators already")]
    TooManyOperators { most: i64 },
    #[error("the request is not a WebSocket handshake: {why}")]
    NotAWebSocket { why: String },
    #[error("too many consoles are connected")]
    TooManyConsoles,
    #[error("there is no such ticket")]
    UnknownTicket,
    #[error("the ticket does not wait")]
    NotWaiting,
    #[error("the line does not answer")]
    LineUnavailable,
    #[error("this controller is not set up for rehearsals")]
    NoRehearsals,
    #[error("another rehearsal runs")]
    RehearsalRuns,
    #[error("no such rehearsal runs")]
    UnknownRehearsal,
    #[error("an internal error occurred")]
    Failed,
    #[error("there is no such sale")]
    UnknownSale,
    #[error("there is no such lane")]
    UnknownLane,
    #[error("the lane was rejected: {0:?}")]
    Lane(LaneRejected),
    #[error("there is no such key")]
    UnknownKey,
    #[error("there is no such webhook")]
    UnknownWebhook,
    #[error("there are {most} webhooks already")]
    TooManyWebhooks { most: i64 },
    #[error("the field `{field}` must {must}")]
    WrongField { field: &'static str, must: &'static str },
    #[error("the field `price_minor` must {must}")]
    WrongPrice { must: String },
    #[error("there is no such order")]
    UnknownOrder,
    #[error("only {left_minor} of the order can be refunded")]
    NotRefundable { left_minor: i64 },
    #[error("the order is paid for or has ended, and can't be cancelled; a paid order can be refunded")]
    NotCancellable,
    #[error("another request for the order has not ended")]
    RequestUnderWay,
    #[error("the sale is {}", status.as_str().replace('_', " "))]
    IllegalTransition { status: Status },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a lane is not added, or not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneRejected {
    /// The sale has no such lane.
    Unknown,
    /// The sale has the maximum number of lanes.
    TooMany,
    /// The shares of the lanes would exceed 1.
    Shares,
    /// The draw of a sale includes all its lines at once.
    Drawn,
    /// The sale has ended.
    Closed,
}

/// Checks a field of a request.
pub(crate) fn check_field(field: &'static str, ok: bool, must: &'static str) -> Result<(), AdminError> {
    if ok { Ok(()) } else { Err(AdminError::WrongField { field, must }) }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        let detail = format!("{error}.");
        match error {
            AdminError::NoToken => Problem::new(&problem_types::NO_CREDENTIALS)
                .detail("Sign in, or send the header `Authorization: Bearer <admin token>`."),
            AdminError::WrongToken => Problem::new(&problem_types::WRONG_ADMIN_TOKEN)
                .detail("The token is neither the admin token of the controller nor a valid API token."),
            AdminError::NoSession => {
                Problem::new(&problem_types::NO_SESSION).detail("There is no session, or it has ended. Sign in.")
            }
            AdminError::WrongCredentials => Problem::new(&problem_types::WRONG_CREDENTIALS).detail(
                "The name, the password or the code is wrong. Each code works once: if it was used, wait for the next.",
            ),
            AdminError::TooManyAttempts { wait_s } => Problem::new(&problem_types::TOO_MANY_SIGN_INS)
                .detail(format!("Too many attempts to sign in have failed. Try again in {wait_s} seconds."))
                .retry_after(wait_s),
            AdminError::WrongEnrolment => Problem::new(&problem_types::WRONG_ENROLMENT)
                .detail("The code is unknown, was used or has expired. Ask an owner for a new one."),
            AdminError::TooManySignIns => {
                Problem::unavailable("Too many operators sign in at this moment. Try again in a few seconds.")
            }
            AdminError::UnknownToken => Problem::new(&problem_types::UNKNOWN_TOKEN)
                .detail("Check the name; `GET /api/admin/tokens` lists the tokens."),
            AdminError::TooManyTokens { most } => Problem::new(&problem_types::TOO_MANY_TOKENS)
                .detail(format!("There are {most} already, the maximum. Revoke an unused one.")),
            AdminError::Csrf => Problem::new(&problem_types::CSRF)
                .detail("Send the session's `csrf` as the header `x-csrf-token`. Nothing was changed."),
            AdminError::Role { needed } => Problem::new(&problem_types::ROLE)
                .detail(format!("This needs the role {needed}. Ask an owner. Nothing was changed.")),
            AdminError::OtherOrigin => Problem::new(&problem_types::FOREIGN_ORIGIN)
                .detail("Only the console's own pages receive live updates."),
            AdminError::UnknownOperator => Problem::new(&problem_types::UNKNOWN_OPERATOR)
                .detail("Check the name; `GET /api/admin/operators` lists the operators."),
            AdminError::TooManyOperators { most } => Problem::new(&problem_types::TOO_MANY_OPERATORS)
                .detail(format!("There are {most} already, the maximum. Remove one who has left.")),
            AdminError::NotAWebSocket { why } => {
                Problem::new(&problem_types::NOT_A_WEBSOCKET).detail(format!("{why}."))
            }
            AdminError::TooManyConsoles => {
                Problem::unavailable("Too many consoles are connected to this controller. Close one, or try again.")
            }
            AdminError::UnknownTicket => Problem::new(&problem_types::UNKNOWN_TICKET)
                .detail("No ticket of the line has this number. The shopper's page shows it."),
            AdminError::NotWaiting => Problem::new(&problem_types::NOT_WAITING).detail(
                "It has departed, or its turn has come. A token can only be revoked with all tokens of the sale.",
            ),
            AdminError::LineUnavailable => {
                Problem::unavailable("The line does not answer. Nothing was changed; try again.")
            }
            AdminError::NoRehearsals => Problem::new(&problem_types::NO_REHEARSALS).detail(
                "Start the controller with `--rehearsal-program` and `--rehearsal-url`; see docs/operations.md.",
            ),
            AdminError::RehearsalRuns => Problem::new(&problem_types::REHEARSAL_RUNS)
                .detail("One rehearsal runs at a time. Wait for its end, or stop it."),
            AdminError::UnknownRehearsal => {
                Problem::new(&problem_types::UNKNOWN_REHEARSAL).detail("It has ended, or the id is wrong.")
            }
            AdminError::Failed => {
                error!(%detail, "admin request failed");
                Problem::new(&fairline_server::problem_types::INTERNAL)
                    .detail("The request failed and was logged. Try again.")
            }
            AdminError::UnknownSale => Problem::new(&problem_types::UNKNOWN_SALE)
                .detail("Check the id; `GET /api/admin/sales` lists all sales."),
            AdminError::UnknownKey => Problem::new(&problem_types::UNKNOWN_KEY)
                .detail("Check the key's name; `GET /api/admin/keys` lists the keys of this controller."),
            AdminError::UnknownWebhook => Problem::new(&problem_types::UNKNOWN_WEBHOOK)
                .detail("Check the id; `GET /api/admin/webhooks` lists the webhooks."),
            AdminError::TooManyWebhooks { most } => Problem::new(&problem_types::TOO_MANY_WEBHOOKS)
                .detail(format!("There are {most} already, the maximum. Delete an unused one.")),
            AdminError::UnknownLane | AdminError::Lane(LaneRejected::Unknown) => {
                Problem::new(&problem_types::UNKNOWN_LANE)
                    .detail("Check the name; `GET /api/admin/sales/{id}` lists the lanes of a sale.")
            }
            AdminError::Lane(rejected) => lane_rejected(rejected),
            AdminError::WrongField { field, .. } => Problem::new(&fairline_server::problem_types::INVALID_BODY)
                .detail(format!("T{}", &detail[1..]))
                .with("field", field),
            AdminError::WrongPrice { .. } => Problem::new(&fairline_server::problem_types::INVALID_BODY)
                .detail(format!("T{}", &detail[1..]))
                .with("field", "price_minor"),
            AdminError::UnknownOrder => Problem::new(&problem_types::UNKNOWN_ORDER)
                .detail("Check the id; `GET /api/admin/sales/{id}/orders` lists the orders of a sale."),
            AdminError::NotRefundable { left_minor } => Problem::new(&problem_types::NOT_REFUNDABLE)
                .detail("It exceeds what is left of the payment: see `left_minor`.")
                .with("left_minor", left_minor),
            AdminError::NotCancellable => {
                Problem::new(&problem_types::NOT_CANCELLABLE).detail(format!("T{}", &detail[1..]))
            }
            AdminError::RequestUnderWay => Problem::new(&problem_types::REQUEST_UNDER_WAY)
                .detail("Wait for it: `request` of the order shows its state."),
            AdminError::IllegalTransition { .. } => {
                Problem::new(&problem_types::ILLEGAL_TRANSITION).detail(format!("T{}", &detail[1..]))
            }
            AdminError::Store(StoreError::Refused(constraint)) => rejected_by(&constraint),
            AdminError::Store(StoreError::Unavailable(_)) => {
                error!(%detail, "admin request failed");
                Problem::unavailable("The database does not answer. Nothing was changed; try again.")
            }
        }
    }
}

fn lane_rejected(rejected: LaneRejected) -> Problem {
    let detail = match rejected {
        LaneRejected::Unknown => "There is no such lane.",
        LaneRejected::TooMany => "The sale has the maximum number of lanes.",
        LaneRejected::Shares => "The shares of a sale's lanes must add up to at most 1. Reduce the others first.",
        LaneRejected::Drawn => "All lines of a sale are drawn together when it opens. Add lanes before that.",
        LaneRejected::Closed => "The sale has ended.",
    };
    Problem::new(&problem_types::LANE_REFUSED).detail(format!("{detail} Nothing was changed."))
}

/// A constraint of the schema that a request can violate, and its problem.
struct Constraint {
    name: &'static str,
    kind: &'static ProblemType,
    field: &'static str,
    detail: &'static str,
}

const CONSTRAINTS: [Constraint; 7] = [
    Constraint {
        name: "sales_slug_is_unique",
        kind: &problem_types::SLUG_TAKEN,
        field: "slug",
        detail: "Another sale has this slug. Choose another.",
    },
    Constraint {
        name: "api_tokens_pkey",
        kind: &problem_types::NAME_TAKEN,
        field: "name",
        detail: "Another token has this name. Choose another, or revoke that token first.",
    },
    Constraint {
        name: "operators_pkey",
        kind: &problem_types::NAME_TAKEN,
        field: "name",
        detail: "Another operator has this name. Choose another.",
    },
    Constraint {
        name: "lines_lane_is_unique",
        kind: &problem_types::LANE_TAKEN,
        field: "name",
        detail: "Another lane of this sale has this name. Choose another.",
    },
    Constraint {
        name: "sales_prior_sale_fkey",
        kind: &fairline_server::problem_types::INVALID_BODY,
        field: "prior_sale",
        detail: "There is no sale with the id that `prior_sale` gives; `GET /api/admin/sales` lists all sales.",
    },
    Constraint {
        name: "stock_is_never_overpromised",
        kind: &problem_types::STOCK_BELOW_COMMITMENTS,
        field: "total",
        detail: TOO_SMALL,
    },
    Constraint {
        name: "stock_is_never_oversold",
        kind: &problem_types::STOCK_BELOW_COMMITMENTS,
        field: "total",
        detail: TOO_SMALL,
    },
];

const TOO_SMALL: &str = "More units are promised, held or sold already. Nothing was changed.";

/// Maps a violated constraint of the schema, by its name.
fn rejected_by(constraint: &str) -> Problem {
    match CONSTRAINTS.iter().find(|known| known.name == constraint) {
        Some(known) => Problem::new(known.kind).detail(known.detail).with("field", known.field),
        None => Problem::new(&fairline_server::problem_types::INVALID_BODY)
            .detail(format!("The database constraint {constraint} rejected it.")),
    }
}

#[cfg(test)]
mod tests {
    use fairline_snapshots::{every_variant, problem_bodies};
    use insta::assert_snapshot;

    use super::*;

    fn refused(constraint: &str) -> StoreError {
        StoreError::Refused(constraint.to_owned())
    }

    #[test]
    fn every_error_has_its_problem() {
        let errors = every_variant!(AdminError {
            NoToken,
            WrongToken,
            NoSession,
            WrongCredentials,
            TooManyAttempts { wait_s: 30 },
            WrongEnrolment,
            TooManySignIns,
            UnknownToken,
            TooManyTokens { most: 200 },
            Csrf,
            Role { needed: "owner" },
            OtherOrigin,
            UnknownOperator,
            TooManyOperators { most: 200 },
            NotAWebSocket { why: "Request method must be `GET`".to_owned() },
            TooManyConsoles,
            UnknownTicket,
            NotWaiting,
            LineUnavailable,
            NoRehearsals,
            RehearsalRuns,
            UnknownRehearsal,
            Failed,
            UnknownSale,
            UnknownLane,
            Lane(LaneRejected::Unknown),
            UnknownKey,
            UnknownWebhook,
            TooManyWebhooks { most: 20 },
            WrongField { field: "total", must: "be positive" },
            WrongPrice { must: "be at least 0".to_owned() },
            UnknownOrder,
            NotRefundable { left_minor: 4900 },
            NotCancellable,
            RequestUnderWay,
            IllegalTransition { status: Status::Closed },
            Store(refused("sales_slug_is_plain")),
        });
        let lanes = every_variant!(LaneRejected { Unknown, TooMany, Shares, Drawn, Closed })
            .map(|(name, rejected)| (name, AdminError::Lane(rejected)));
        let stores = every_variant!(StoreError {
            Refused("sales_slug_is_plain".to_owned()),
            Unavailable(sqlx::Error::PoolTimedOut),
        })
        .map(|(name, error)| (name, AdminError::Store(error)));
        let constraints = CONSTRAINTS.iter().map(|known| (known.name, AdminError::Store(refused(known.name))));
        let all = errors.into_iter().chain(lanes).chain(stores).chain(constraints);
        assert_snapshot!("problems", problem_bodies(problem_types::ALL, all));
    }
}
