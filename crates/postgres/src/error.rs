//! Errors of stores.

use std::sync::Arc;

/// Why the database rejected or failed a statement.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A constraint of the schema rejected it. Its name identifies the promise that would have been
    /// broken.
    #[error("the database constraint {0} rejected it")]
    Refused(String),
    /// A row that no version of Fairline has written.
    #[error("the database has an invalid row: {0}")]
    Corrupt(String),
    /// Postgres is down, slow or unreachable.
    #[error("Postgres does not respond: {0}")]
    Unavailable(#[source] Arc<sqlx::Error>),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(|database| database.constraint()) {
            Some(constraint) => Self::Refused(constraint.to_owned()),
            None if matches!(error, sqlx::Error::ColumnDecode { .. }) => Self::Corrupt(error.to_string()),
            None => Self::Unavailable(Arc::new(error)),
        }
    }
}

impl StoreError {
    /// Whether this constraint of the schema rejected the statement.
    #[must_use]
    pub fn is_refused_by(&self, constraint: &str) -> bool {
        matches!(self, Self::Refused(name) if name == constraint)
    }
}
