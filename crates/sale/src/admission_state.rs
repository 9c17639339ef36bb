//! The state of an admission, as `admissions.state` stores it.

use strum::{EnumString, IntoStaticStr, VariantArray};

/// The state of an admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum AdmissionState {
    /// Its token is outstanding.
    Promised,
    /// Its token was used.
    Redeemed,
    /// Its token expired or was withdrawn, and its units went back.
    Lapsed,
}

impl AdmissionState {
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
        let words = AdmissionState::VARIANTS.iter().map(|state| format!("'{}'", state.as_str()));
        let words = words.collect::<Vec<_>>().join(", ");
        let schema = include_str!("../../../migrations/0003_lines_and_admissions.sql");
        assert!(schema.contains(&format!("admissions_state_is_known CHECK (state IN ({words}))")));
        for state in AdmissionState::VARIANTS {
            assert_eq!(AdmissionState::try_from(state.as_str()), Ok(*state));
        }
        assert!(AdmissionState::try_from("melted").is_err());
    }
}
