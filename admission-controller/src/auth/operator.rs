//! The authenticated caller of a request.

use std::sync::Arc;

use super::role::Role;
use crate::{
    db::Author,
    error::{CommonError, check_field},
};

/// The caller of a request.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
    pub(super) credential: Credential,
}

/// The credential of a caller, of which the digest is stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Credential {
    AdminToken,
    ApiToken([u8; 32]),
    Session([u8; 32]),
}

impl Operator {
    /// The author of the caller's changes.
    pub(crate) fn by(&self) -> Author {
        Author { who: self.name.to_string(), why: None }
    }

    /// The author of the caller's changes, with a reason of at most 500 characters.
    pub(crate) fn with_reason(&self, reason: &str) -> Result<Author, CommonError> {
        let reason = reason.trim();
        check_field("reason", (1..=500).contains(&reason.chars().count()), "have 1 to 500 characters")?;
        Ok(Author { who: self.name.to_string(), why: Some(reason.to_owned()) })
    }
}
