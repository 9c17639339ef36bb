//! Why the list of sales is unavailable, and the mapping to HTTP.

use fairline_server::Problem;

use crate::problem_types;

/// Why a sale was not shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaleListError {
    #[error("there is no such sale")]
    SaleNotFound,
    #[error("the list of sales has not been read yet")]
    NotLoaded,
}

impl From<SaleListError> for Problem {
    fn from(error: SaleListError) -> Self {
        match error {
            SaleListError::SaleNotFound => {
                Self::new(&problem_types::SALE_NOT_FOUND).detail("Check the URL; `GET /products` lists the sales.")
            }
            SaleListError::NotLoaded => Self::unavailable("The list of sales is not loaded yet. Try again."),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(SaleListError { SaleNotFound, NotLoaded }))
    }
}
