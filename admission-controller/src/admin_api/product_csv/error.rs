//! Why a table of products is not imported, and the mapping to HTTP.

use fairline_server::Problem;
use serde_json::Value;
use tracing::error;

use crate::{
    admin_api::{products::error::ProductError, table::ImportErrors},
    db::StoreError,
    problem_types,
};

/// Why an import was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    #[error("the request body is not CSV")]
    NotCsv,
    #[error("rows of the table are wrong")]
    Rejected { count: usize, errors: Value },
    #[error("an internal error occurred")]
    Failed,
    #[error(transparent)]
    Product(#[from] ProductError),
}

impl From<StoreError> for TableError {
    fn from(error: StoreError) -> Self {
        Self::Product(error.into())
    }
}

impl From<ImportErrors> for TableError {
    fn from(ImportErrors { listed, count }: ImportErrors) -> Self {
        Self::Rejected { count, errors: serde_json::to_value(listed).unwrap_or_default() }
    }
}

impl From<TableError> for Problem {
    fn from(error: TableError) -> Self {
        match error {
            TableError::NotCsv => {
                Self::new(&problem_types::CSV_REQUIRED).detail("Send it with the header `Content-Type: text/csv`.")
            }
            TableError::Rejected { count, errors } => {
                let counted = if count == 1 { "1 error".to_owned() } else { format!("{count} errors") };
                Self::new(&problem_types::IMPORT_REJECTED)
                    .detail(format!("It has {counted}; `errors` lists the first 100 by line. Nothing was changed."))
                    .with("error_count", count)
                    .with("errors", errors)
            }
            TableError::Failed => {
                error!(%error, "import table failed");
                Self::new(&fairline_server::problem_types::INTERNAL)
                    .detail("The request failed and was logged. Try again.")
            }
            TableError::Product(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};
    use serde_json::json;

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(TableError {
            NotCsv,
            Rejected { count: 1, errors: json!([{ "line": 2, "column": "price", "detail": "It must be above 0." }]) },
            Rejected { count: 101, errors: json!([]) },
            Failed,
            Product(ProductError::TooManyProducts { most: 10_000 }),
        }))
    }
}
