//! Why a sale is not created or changed, and the mapping to HTTP.

use fairline_server::Problem;

use crate::{admin_api::items::error::ItemError, db::StoreError, error::CommonError, problem_types};

/// Why a request about a sale was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaleError {
    #[error("another sale has this slug")]
    SlugTaken,
    #[error("there is no sale with the id in `prior_sale`")]
    UnknownPriorSale,
    #[error("the sale ends before it opens")]
    EndsBeforeItOpens,
    #[error("more units are promised, held or sold already")]
    StockBelowCommitments,
    #[error("the field `price_minor` must {must}")]
    InvalidPrice { must: String },
    #[error(transparent)]
    Item(#[from] ItemError),
    #[error(transparent)]
    Common(#[from] CommonError),
}

impl From<StoreError> for SaleError {
    fn from(error: StoreError) -> Self {
        if error.is_refused_by("sales_slug_is_unique") {
            Self::SlugTaken
        } else if error.is_refused_by("sales_prior_sale_fkey") {
            Self::UnknownPriorSale
        } else if error.is_refused_by("sales_end_after_they_open") {
            Self::EndsBeforeItOpens
        } else if error.is_refused_by("stock_is_never_overpromised") || error.is_refused_by("stock_is_never_oversold") {
            Self::StockBelowCommitments
        } else if error.is_refused_by("sales_open_with_one_item") {
            Self::Common(CommonError::SeveralItems)
        } else {
            Self::Common(error.into())
        }
    }
}

impl From<SaleError> for Problem {
    fn from(error: SaleError) -> Self {
        match error {
            SaleError::SlugTaken => Self::new(&problem_types::SLUG_TAKEN)
                .detail("Another sale has this slug. Choose another.")
                .with("field", "slug"),
            SaleError::UnknownPriorSale => Self::new(&fairline_server::problem_types::INVALID_BODY)
                .detail("There is no sale with the id in `prior_sale`; `GET /api/admin/sales` lists all sales.")
                .with("field", "prior_sale"),
            SaleError::EndsBeforeItOpens => Self::new(&fairline_server::problem_types::INVALID_BODY)
                .detail("`ends_at` must be later than `opens_at`, which is now by default.")
                .with("field", "ends_at"),
            SaleError::StockBelowCommitments => Self::new(&problem_types::STOCK_BELOW_COMMITMENTS)
                .detail("More units than this are already promised, held or sold. Nothing was changed.")
                .with("field", "total"),
            SaleError::InvalidPrice { must } => Self::new(&fairline_server::problem_types::INVALID_BODY)
                .detail(format!("The field `price_minor` must {must}."))
                .with("field", "price_minor"),
            SaleError::Item(error) => error.into(),
            SaleError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;
    use crate::error::tests::refused;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        let constraints = [
            "sales_slug_is_unique",
            "sales_prior_sale_fkey",
            "sales_end_after_they_open",
            "stock_is_never_overpromised",
            "stock_is_never_oversold",
            "sales_open_with_one_item",
            "sales_slug_is_plain",
        ];
        problems(
            every_variant!(SaleError {
                SlugTaken,
                UnknownPriorSale,
                EndsBeforeItOpens,
                StockBelowCommitments,
                InvalidPrice { must: "be at least 50".to_owned() },
                Item(ItemError::ItemNotFound),
                Common(CommonError::SaleNotFound),
            })
            .into_iter()
            .chain(constraints.map(refused)),
        )
    }
}
