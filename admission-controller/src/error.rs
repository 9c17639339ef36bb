//! The errors that several features share, and their mapping to HTTP. Each feature has its own in
//! its `error.rs`, which wraps these.

use fairline_sale::Status;
use fairline_server::Problem;
use tracing::error;

use crate::{db::StoreError, problem_types};

/// Why a request was rejected or failed, for reasons that several features have.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommonError {
    #[error("there is no such sale")]
    SaleNotFound,
    #[error("there is no such lane")]
    LaneNotFound,
    #[error("the sale is {}", status.as_str().replace('_', " "))]
    IllegalTransition { status: Status },
    /// Until admissions know items: docs/design/items.md.
    #[error("the sale offers several items")]
    SeveralItems,
    #[error("the field `{field}` must {must}")]
    InvalidField { field: &'static str, must: &'static str },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A rejection in the OpenAPI document.
#[derive(utoipa::IntoResponses)]
#[response(status = 404, description = "There is no such sale.")]
pub(crate) struct SaleNotFound;

/// Checks a field of a request.
pub(crate) fn check_field(field: &'static str, ok: bool, must: &'static str) -> Result<(), CommonError> {
    if ok { Ok(()) } else { Err(CommonError::InvalidField { field, must }) }
}

impl From<CommonError> for Problem {
    fn from(error: CommonError) -> Self {
        match error {
            CommonError::SaleNotFound => Self::new(&problem_types::SALE_NOT_FOUND)
                .detail("Check the id; `GET /api/admin/sales` lists all sales."),
            CommonError::LaneNotFound => Self::new(&problem_types::LANE_NOT_FOUND)
                .detail("Check the name; `GET /api/admin/sales/{id}` lists the lanes of a sale."),
            CommonError::IllegalTransition { status } => Self::new(&problem_types::INVALID_TRANSITION).detail(format!(
                "The sale is {}; this action needs another status. Nothing was changed.",
                status.as_str().replace('_', " ")
            )),
            CommonError::SeveralItems => Self::new(&problem_types::SEVERAL_ITEMS).detail(
                "This version sells only the first item of a sale, under the sale's limit. Withdraw the other items, \
                 and remove the limit of the first item if it is below the sale's. Nothing was changed.",
            ),
            CommonError::InvalidField { field, must } => Self::new(&fairline_server::problem_types::INVALID_BODY)
                .detail(format!("The field `{field}` must {must}."))
                .with("field", field),
            CommonError::Store(StoreError::Refused(constraint)) => {
                Self::new(&fairline_server::problem_types::INVALID_BODY)
                    .detail(format!("A value breaks the rule {constraint}. Nothing was changed."))
            }
            CommonError::Store(error @ StoreError::Unavailable(_)) => {
                error!(%error, "query database failed");
                Self::unavailable("The database does not respond. Nothing was changed; try again.")
            }
            CommonError::Store(error @ StoreError::Corrupt(_)) => {
                error!(%error, "query database failed");
                Self::new(&fairline_server::problem_types::INTERNAL).detail("The error was logged.")
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use fairline_snapshots::{NamedProblem, every_variant, problem_bodies, problems};
    use insta::assert_snapshot;

    use super::*;
    use crate::{
        admin_api::{
            items, keys, lanes, live, media, operators, orders, product_csv, products, rehearsals, sales,
            ticket_actions, tokens, webhooks,
        },
        auth,
    };

    /// The error for a violated constraint of the schema, with the name of the constraint.
    pub(crate) fn refused<E: From<StoreError>>(constraint: &'static str) -> (&'static str, E) {
        (constraint, StoreError::Refused(constraint.to_owned()).into())
    }

    fn examples() -> Vec<NamedProblem> {
        let stores = every_variant!(StoreError {
            Refused("sales_slug_is_plain".to_owned()),
            Corrupt("a row".to_owned()),
            Unavailable(Arc::new(sqlx::Error::PoolTimedOut)),
        })
        .map(|(name, error)| (name, CommonError::Store(error)));
        let errors = every_variant!(CommonError {
            SaleNotFound,
            LaneNotFound,
            IllegalTransition { status: Status::Closed },
            SeveralItems,
            InvalidField { field: "total", must: "be positive" },
            Store(StoreError::Corrupt("a row".to_owned())),
        });
        problems(errors.into_iter().chain(stores))
    }

    #[test]
    fn every_error_has_its_problem() {
        let features = [
            examples(),
            auth::error::tests::examples(),
            items::error::tests::examples(),
            keys::error::tests::examples(),
            lanes::error::tests::examples(),
            live::error::tests::examples(),
            media::error::tests::examples(),
            operators::error::tests::examples(),
            orders::error::tests::examples(),
            product_csv::error::tests::examples(),
            products::error::tests::examples(),
            rehearsals::error::tests::examples(),
            sales::error::tests::examples(),
            ticket_actions::error::tests::examples(),
            tokens::error::tests::examples(),
            webhooks::error::tests::examples(),
        ];
        assert_snapshot!("problems", problem_bodies(problem_types::ALL, features.into_iter().flatten()));
    }
}
