//! The roles of operators. Pure.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use utoipa::ToSchema;

/// What an operator is allowed to do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, EnumString, IntoStaticStr, ToSchema,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// See everything except the operators.
    Viewer,
    /// Run sales.
    Operator,
    /// Manage operators, API tokens, webhooks and signing keys.
    Owner,
}

impl Role {
    /// Its word in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The role that a word in the database means. An unknown word means the least powerful one.
    #[must_use]
    pub fn of(word: &str) -> Self {
        word.parse().unwrap_or(Self::Viewer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_and_read_back() {
        for role in [Role::Viewer, Role::Operator, Role::Owner] {
            assert_eq!(Role::of(role.as_str()), role);
        }
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Owner && Role::of("?") == Role::Viewer);
    }
}
