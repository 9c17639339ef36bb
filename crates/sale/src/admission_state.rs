//! The state of an admission, as `admissions.state` stores it.

/// The state of an admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        match self {
            Self::Promised => "promised",
            Self::Redeemed => "redeemed",
            Self::Lapsed => "lapsed",
        }
    }

    /// The state of a stored word; the schema permits no others.
    #[must_use]
    pub fn from_stored(word: &str) -> Option<Self> {
        [Self::Promised, Self::Redeemed, Self::Lapsed].into_iter().find(|state| state.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_permits_these_states_only() {
        let states = [AdmissionState::Promised, AdmissionState::Redeemed, AdmissionState::Lapsed];
        let words = states.map(|state| format!("'{}'", state.as_str())).join(", ");
        let schema = include_str!("../../../migrations/0003_lines_and_admissions.sql");
        assert!(schema.contains(&format!("admissions_state_is_known CHECK (state IN ({words}))")));
        for state in states {
            assert_eq!(AdmissionState::from_stored(state.as_str()), Some(state));
        }
        assert_eq!(AdmissionState::from_stored("melted"), None);
    }
}
