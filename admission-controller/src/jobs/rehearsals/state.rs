//! The state of a rehearsal, as `rehearsals.state` stores it.

use serde::Serialize;
use strum::{EnumString, IntoStaticStr, VariantArray};
use utoipa::ToSchema;

/// The state of a rehearsal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RehearsalState {
    /// The crowd shops.
    Running,
    /// An operator has stopped it; the crowd leaves.
    Stopping,
    /// Every promise was kept.
    Passed,
    /// A promise was broken, or the crowd could not be run.
    Failed,
    /// It was stopped before its end.
    Stopped,
}

impl RehearsalState {
    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_permits_these_states_only() {
        let words: Vec<_> = RehearsalState::VARIANTS.iter().map(|state| format!("'{}'", state.as_str())).collect();
        let schema = include_str!("../../../../migrations/0002_sales.sql");
        assert!(schema.contains(&format!("rehearsals_state_is_known CHECK (state IN ({}))", words.join(", "))));
    }
}
