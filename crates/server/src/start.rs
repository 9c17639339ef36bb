//! Startup errors of a service.

/// Why a service could not start, and what to do about it. `main` prints it and exits with 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

impl StartError {
    /// A sentence for the operator.
    #[must_use]
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}
