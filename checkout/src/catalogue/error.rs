//! Why the catalogue does not answer, and the mapping to HTTP.

use fairline_server::Problem;

use crate::problem_types;

/// Why a product was not shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogueError {
    #[error("there is no such product")]
    UnknownProduct,
    #[error("the catalogue has not been read yet")]
    NotLoaded,
}

impl From<CatalogueError> for Problem {
    fn from(error: CatalogueError) -> Self {
        match error {
            CatalogueError::UnknownProduct => {
                Self::new(&problem_types::UNKNOWN_PRODUCT).detail("Check the URL; `GET /products` lists the products.")
            }
            CatalogueError::NotLoaded => Self::unavailable("The catalogue is not loaded yet. Try again."),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(CatalogueError { UnknownProduct, NotLoaded }))
    }
}
