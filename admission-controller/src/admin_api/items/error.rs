//! Why an item is not shown or written, and the mapping to HTTP.

use fairline_server::Problem;

use super::fields::{ITEMS_MAX, InvalidItem};
use crate::{admin_api::product_csv::error::TableError, db::StoreError, error::CommonError, problem_types};

/// Why a request about an item was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ItemError {
    #[error("the field `{field}` must {must}")]
    InvalidItem { field: String, must: String },
    #[error("there is no such item")]
    ItemNotFound,
    #[error("an item of the sale has the SKU")]
    ItemExists,
    #[error("the item has version {version} by now")]
    ItemChanged { version: i32 },
    #[error("the sale has too many items")]
    TooManyItems,
    #[error("the sale offers no other item")]
    LastItem,
    #[error("more units are promised, held or sold already")]
    StockTooSmall,
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Common(#[from] CommonError),
}

impl ItemError {
    /// The error of an item in a list.
    pub(crate) fn of_nth((nth, InvalidItem { field, must }): (usize, InvalidItem)) -> Self {
        Self::InvalidItem { field: format!("items[{nth}].{field}"), must: must.into_owned() }
    }
}

impl From<InvalidItem> for ItemError {
    fn from(InvalidItem { field, must }: InvalidItem) -> Self {
        Self::InvalidItem { field: field.to_owned(), must: must.into_owned() }
    }
}

impl From<StoreError> for ItemError {
    fn from(error: StoreError) -> Self {
        if error.is_refused_by("stock_is_never_overpromised") || error.is_refused_by("stock_is_never_oversold") {
            Self::StockTooSmall
        } else {
            Self::Common(error.into())
        }
    }
}

/// A rejection in the OpenAPI document.
#[derive(utoipa::IntoResponses)]
#[response(status = 404, description = "There is no such sale or item.")]
pub(crate) struct ItemNotFound;

impl From<ItemError> for Problem {
    fn from(error: ItemError) -> Self {
        match error {
            ItemError::InvalidItem { field, must } => Self::new(&fairline_server::problem_types::INVALID_BODY)
                .detail(format!("The field `{field}` must {must}."))
                .with("field", field),
            ItemError::ItemNotFound => Self::new(&problem_types::ITEM_NOT_FOUND)
                .detail("Check the number; `GET /api/admin/sales/{id}/items` lists the items of a sale."),
            ItemError::ItemExists => Self::new(&problem_types::ITEM_EXISTS)
                .detail("An item of the sale, which may be withdrawn, has the SKU. Change that item instead."),
            ItemError::ItemChanged { version } => Self::new(&problem_types::ITEM_CHANGED)
                .detail(format!("The item is at version {version}. Load it again and repeat the change."))
                .with("version", version),
            ItemError::TooManyItems => Self::new(&problem_types::TOO_MANY_ITEMS)
                .detail(format!("The sale has {ITEMS_MAX} items with the withdrawn ones, which is the maximum.")),
            ItemError::LastItem => Self::new(&problem_types::LAST_ITEM)
                .detail("The sale offers no other item. Close the sale instead, or add another item first."),
            ItemError::StockTooSmall => Self::new(&problem_types::STOCK_BELOW_COMMITMENTS)
                .detail("More units than this are already promised, held or sold. Nothing was changed.")
                .with("field", "total"),
            ItemError::Table(error) => error.into(),
            ItemError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;
    use crate::error::tests::refused;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        let errors = every_variant!(ItemError {
            InvalidItem { field: "items[1].sku".to_owned(), must: "differ from those of the other items".to_owned() },
            ItemNotFound,
            ItemExists,
            ItemChanged { version: 2 },
            TooManyItems,
            LastItem,
            StockTooSmall,
            Table(TableError::NotCsv),
            Common(CommonError::SaleNotFound),
        });
        let constraints = ["stock_is_never_overpromised", "stock_is_never_oversold", "items_sku_is_plain"];
        problems(errors.into_iter().chain(constraints.map(refused)))
    }
}
