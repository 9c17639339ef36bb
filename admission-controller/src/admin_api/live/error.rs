//! Why a console is not connected, and the mapping to HTTP.

use fairline_server::Problem;

use crate::problem_types;

/// Why a console receives no live updates.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LiveError {
    #[error("the page that sent the request belongs to another site")]
    OtherOrigin,
    #[error("too many consoles are connected")]
    TooManyConsoles,
}

impl From<LiveError> for Problem {
    fn from(error: LiveError) -> Self {
        match error {
            LiveError::OtherOrigin => Self::new(&problem_types::FOREIGN_ORIGIN)
                .detail("Only the console's own pages receive live updates. Open the console at its own address."),
            LiveError::TooManyConsoles => {
                Self::unavailable("Too many consoles are connected to this controller. Close one, or try again.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::tests::assert_problem;

    #[test]
    fn every_error_maps_to_its_problem() {
        assert_problem(LiveError::OtherOrigin, 403, "foreign-origin");
        assert_problem(LiveError::TooManyConsoles, 503, "unavailable");
    }
}
