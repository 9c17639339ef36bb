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
mod tests {
    use super::*;
    use crate::error::tests::assert_problem;

    #[test]
    fn every_error_maps_to_its_problem() {
        assert_problem(CatalogueError::UnknownProduct, 404, "unknown-product");
        assert_problem(CatalogueError::NotLoaded, 503, "unavailable");
    }
}
