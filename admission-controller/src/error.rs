//! The controller's errors, and their only mapping to HTTP.

use fairline_media::NotPrepared;
use fairline_sale::Status;
use fairline_server::Problem;
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
    #[error("the field `{field}` must {must}")]
    WrongPart { field: String, must: &'static str },
    #[error("there is no such product")]
    UnknownProduct,
    #[error("there are {most} products already")]
    TooManyProducts { most: i64 },
    #[error("the product has version {version} by now")]
    ProductChanged { version: i32 },
    #[error("the SKU {sku} is taken")]
    SkuTaken { sku: String },
    #[error("the table has {count} errors")]
    ImportRejected { count: usize, errors: serde_json::Value },
    #[error("the request body is not CSV")]
    NotCsv,
    #[error("no storage for images is configured")]
    NoMedia,
    #[error("the request body is not an image")]
    UnsupportedImage,
    #[error(transparent)]
    ImageRejected(#[from] fairline_media::Rejected),
    #[error("too many images are uploaded at the same time")]
    TooManyUploads,
    #[error("there is no such image")]
    UnknownImage,
    #[error(transparent)]
    MediaStorage(#[from] fairline_media::StoreFailed),
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

impl From<NotPrepared> for AdminError {
    fn from(not_prepared: NotPrepared) -> Self {
        match not_prepared {
            NotPrepared::Busy => Self::TooManyUploads,
            NotPrepared::Rejected(rejected) => Self::ImageRejected(rejected),
        }
    }
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
            AdminError::TooManyConsoles => {
                Problem::unavailable("Too many consoles are connected to this controller. Close one, or try again.")
            }
            AdminError::UnknownTicket => Problem::new(&problem_types::UNKNOWN_TICKET)
                .detail("The line has not given this number. The shopper's page shows the number of the ticket."),
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
            AdminError::WrongPart { field, .. } => Problem::new(&fairline_server::problem_types::INVALID_BODY)
                .detail(format!("T{}", &detail[1..]))
                .with("field", field),
            AdminError::UnknownProduct => Problem::new(&problem_types::UNKNOWN_PRODUCT)
                .detail("Check the id; `GET /api/admin/products` lists the products."),
            AdminError::TooManyProducts { most } => Problem::new(&problem_types::TOO_MANY_PRODUCTS)
                .detail(format!("There are {most} already, the maximum. Delete unused ones.")),
            AdminError::ProductChanged { version } => Problem::new(&problem_types::PRODUCT_CHANGED)
                .detail(format!("It has version {version} by now. Nothing was changed; load it again."))
                .with("version", version),
            AdminError::SkuTaken { sku } => Problem::new(&problem_types::SKU_TAKEN)
                .detail(format!("A variant of another product has the SKU {sku}. Nothing was changed."))
                .with("sku", sku),
            AdminError::ImportRejected { count, errors } => Problem::new(&problem_types::IMPORT_REJECTED)
                .detail(format!("It has {count} errors; `errors` has the first with their lines. Nothing was changed."))
                .with("error_count", count)
                .with("errors", errors),
            AdminError::NotCsv => {
                Problem::new(&problem_types::NOT_CSV).detail("Send it with the header `Content-Type: text/csv`.")
            }
            AdminError::NoMedia => Problem::new(&problem_types::NO_MEDIA)
                .detail("Start the controllers with `FAIRLINE_MEDIA_URL`; see docs/operations.md."),
            AdminError::UnsupportedImage => Problem::new(&problem_types::UNSUPPORTED_IMAGE)
                .detail("Send a JPEG, PNG or WebP image with the header `Content-Type: image/jpeg`, `image/png` or `image/webp`."),
            AdminError::ImageRejected(_) => {
                Problem::new(&problem_types::IMAGE_REJECTED).detail(format!("T{}", &detail[1..]))
            }
            AdminError::TooManyUploads => {
                Problem::unavailable("Other images are being prepared. Try again in a few seconds.")
            }
            AdminError::UnknownImage => {
                Problem::new(&problem_types::UNKNOWN_IMAGE).detail("It was deleted, or the path is wrong.")
            }
            AdminError::MediaStorage(_) => {
                error!(%detail, "media storage failed");
                Problem::unavailable("The storage of images does not answer. Try again.")
            }
            AdminError::UnknownOrder => Problem::new(&problem_types::UNKNOWN_ORDER)
                .detail("Check the id; `GET /api/admin/sales/{id}/orders` lists the orders of a sale."),
            AdminError::NotRefundable { left_minor } => Problem::new(&problem_types::NOT_REFUNDABLE)
                .detail("It exceeds what is left of the payment: see `left_minor`.")
                .with("left_minor", left_minor),
            AdminError::NotCancellable => {
                Problem::new(&problem_types::NOT_CANCELLABLE).detail(format!("T{}.", &detail[1..]))
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
        LaneRejected::Shares => "The shares of a sale's lanes must not exceed 1 together. Reduce the others first.",
        LaneRejected::Drawn => "All lines of a sale are drawn together when it opens. Add lanes before that.",
        LaneRejected::Closed => "The sale has ended.",
    };
    Problem::new(&problem_types::LANE_REFUSED).detail(format!("{detail} Nothing was changed."))
}

/// Maps a violated constraint of the schema, by its name.
fn rejected_by(constraint: &str) -> Problem {
    match constraint {
        "sales_slug_is_unique" => Problem::new(&problem_types::SLUG_TAKEN)
            .detail("Another sale has this slug. Choose another.")
            .with("field", "slug"),
        "api_tokens_pkey" => Problem::new(&problem_types::NAME_TAKEN)
            .detail("Another token has this name. Choose another, or revoke that token first.")
            .with("field", "name"),
        "operators_pkey" => Problem::new(&problem_types::NAME_TAKEN)
            .detail("Another operator has this name. Choose another.")
            .with("field", "name"),
        "lines_lane_is_unique" => Problem::new(&problem_types::LANE_TAKEN)
            .detail("Another lane of this sale has this name. Choose another.")
            .with("field", "name"),
        "sales_prior_sale_fkey" => Problem::new(&fairline_server::problem_types::INVALID_BODY)
            .detail("There is no sale with the id that `prior_sale` gives; `GET /api/admin/sales` lists all sales.")
            .with("field", "prior_sale"),
        "variants_sku_is_unique" => Problem::new(&problem_types::SKU_TAKEN)
            .detail("A variant of another product has one of the SKUs. Nothing was changed."),
        "stock_is_never_overpromised" | "stock_is_never_oversold" => {
            Problem::new(&problem_types::STOCK_BELOW_COMMITMENTS)
                .detail("More units are promised, held or sold already. Nothing was changed.")
                .with("field", "total")
        }
        other => Problem::new(&fairline_server::problem_types::INVALID_BODY)
            .detail(format!("The database constraint {other} rejected it.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_maps_to_a_problem() {
        let rejected = |constraint: &str| AdminError::Store(StoreError::Refused(constraint.to_owned()));
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
            (AdminError::TooManyTokens { most: 200 }, 409, "too-many-tokens"),
            (rejected("api_tokens_pkey"), 409, "name-taken"),
            (AdminError::Csrf, 403, "csrf"),
            (AdminError::Role { needed: "owner" }, 403, "role"),
            (AdminError::OtherOrigin, 403, "foreign-origin"),
            (AdminError::UnknownOperator, 404, "unknown-operator"),
            (AdminError::TooManyOperators { most: 200 }, 409, "too-many-operators"),
            (AdminError::TooManyConsoles, 503, "unavailable"),
            (AdminError::UnknownTicket, 404, "unknown-ticket"),
            (AdminError::NotWaiting, 409, "not-waiting"),
            (AdminError::LineUnavailable, 503, "unavailable"),
            (AdminError::NoRehearsals, 409, "no-rehearsals"),
            (AdminError::RehearsalRuns, 409, "rehearsal-runs"),
            (AdminError::UnknownRehearsal, 404, "unknown-rehearsal"),
            (AdminError::Failed, 500, "internal"),
            (rejected("operators_pkey"), 409, "name-taken"),
            (AdminError::UnknownSale, 404, "unknown-sale"),
            (AdminError::UnknownKey, 404, "unknown-key"),
            (AdminError::WrongField { field: "total", must: "be positive" }, 422, "invalid-body"),
            (AdminError::IllegalTransition { status: Status::Closed }, 409, "illegal-transition"),
            (AdminError::WrongPart { field: "variants[0].sku".to_owned(), must: "be given" }, 422, "invalid-body"),
            (AdminError::ImportRejected { count: 1, errors: serde_json::json!([]) }, 422, "import-rejected"),
            (AdminError::NotCsv, 415, "not-csv"),
            (AdminError::NoMedia, 409, "no-media"),
            (AdminError::UnsupportedImage, 415, "unsupported-image"),
            (fairline_media::Rejected::Damaged.into(), 422, "image-rejected"),
            (NotPrepared::Busy.into(), 503, "unavailable"),
            (AdminError::UnknownImage, 404, "unknown-image"),
            (AdminError::UnknownProduct, 404, "unknown-product"),
            (AdminError::TooManyProducts { most: 10_000 }, 409, "too-many-products"),
            (AdminError::ProductChanged { version: 2 }, 409, "product-changed"),
            (AdminError::SkuTaken { sku: "A".to_owned() }, 409, "sku-taken"),
            (rejected("variants_sku_is_unique"), 409, "sku-taken"),
            (rejected("sales_slug_is_unique"), 409, "slug-taken"),
            (rejected("sales_prior_sale_fkey"), 422, "invalid-body"),
            (rejected("lines_lane_is_unique"), 409, "lane-taken"),
            (AdminError::UnknownLane, 404, "unknown-lane"),
            (AdminError::Lane(LaneRejected::Unknown), 404, "unknown-lane"),
            (AdminError::Lane(LaneRejected::Shares), 409, "lane-refused"),
            (rejected("stock_is_never_overpromised"), 409, "stock-below-commitments"),
            (rejected("stock_is_never_oversold"), 409, "stock-below-commitments"),
            (rejected("sales_slug_is_plain"), 422, "invalid-body"),
            (unavailable, 503, "unavailable"),
        ] {
            let problem = Problem::from(error);
            assert_eq!((problem.status().as_u16(), problem.slug()), (status, slug));
            assert!(problem.detail_text().is_some_and(|detail| detail.ends_with('.')));
        }
    }
}
