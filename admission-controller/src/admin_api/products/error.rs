//! Why a product is not shown or written, and the mapping to HTTP.

use fairline_server::Problem;

use crate::{db::StoreError, error::CommonError, problem_types};

/// Why a request about a product was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProductError {
    #[error("the field `{field}` must {must}")]
    InvalidPart { field: String, must: &'static str },
    #[error("there is no such product")]
    ProductNotFound,
    #[error("there are {most} products already")]
    TooManyProducts { most: i64 },
    #[error("the product has version {version} by now")]
    ProductChanged { version: i32 },
    #[error("a sale offers the product")]
    ProductInUse,
    /// Without the SKU, if another request has taken it at the same moment.
    #[error("a variant of another product has the SKU")]
    SkuTaken { sku: Option<String> },
    #[error(transparent)]
    Common(#[from] CommonError),
}

/// A rejection in the OpenAPI document.
#[derive(utoipa::IntoResponses)]
#[response(status = 404, description = "There is no such product.")]
pub(crate) struct ProductNotFound;

impl From<StoreError> for ProductError {
    fn from(error: StoreError) -> Self {
        if error.is_refused_by("variants_sku_is_unique") {
            Self::SkuTaken { sku: None }
        } else {
            Self::Common(error.into())
        }
    }
}

impl From<ProductError> for Problem {
    fn from(error: ProductError) -> Self {
        match error {
            ProductError::InvalidPart { field, must } => Self::new(&fairline_server::problem_types::INVALID_BODY)
                .detail(format!("The field `{field}` must {must}."))
                .with("field", field),
            ProductError::ProductNotFound => Self::new(&problem_types::PRODUCT_NOT_FOUND)
                .detail("Check the id; `GET /api/admin/products` lists the products."),
            ProductError::TooManyProducts { most } => Self::new(&problem_types::TOO_MANY_PRODUCTS)
                .detail(format!("There are already {most}, which is the maximum. Delete products that no sale uses.")),
            ProductError::ProductChanged { version } => Self::new(&problem_types::PRODUCT_CHANGED)
                .detail(format!("The product is at version {version}. Load it again and repeat the change."))
                .with("version", version),
            ProductError::ProductInUse => Self::new(&problem_types::PRODUCT_IN_USE).detail(
                "A sale that is not closed offers it, or a variant that the change would delete. Nothing was changed.",
            ),
            ProductError::SkuTaken { sku: Some(sku) } => Self::new(&problem_types::SKU_TAKEN)
                .detail(format!("A variant of another product has the SKU {sku}. Nothing was changed."))
                .with("sku", sku),
            ProductError::SkuTaken { sku: None } => Self::new(&problem_types::SKU_TAKEN)
                .detail("A variant of another product has one of the SKUs. Nothing was changed."),
            ProductError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;
    use crate::error::tests::refused;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        let errors = every_variant!(ProductError {
            InvalidPart { field: "variants[0].sku".to_owned(), must: "differ from those of the other variants" },
            ProductNotFound,
            TooManyProducts { most: 10_000 },
            ProductChanged { version: 2 },
            ProductInUse,
            SkuTaken { sku: Some("SHOE-42".to_owned()) },
            Common(CommonError::InvalidField { field: "name", must: "have 1 to 120 characters" }),
        });
        problems(errors.into_iter().chain(["variants_sku_is_unique", "variants_price_is_bounded"].map(refused)))
    }
}
