//! The status of a sale, as stored and as presented.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// The status of a sale, as shoppers and administrators see it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// It has not opened yet. Shoppers may join the line.
    Scheduled,
    /// It is selling.
    Open,
    /// Admissions pause; places are kept, and admitted shoppers may buy.
    Paused,
    /// Every unit is paid for. Derived from the stock, never stored.
    SoldOut,
    /// It has ended.
    Closed,
}

impl Status {
    /// The status as one word, in the API and on pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The word that `sales.status` stores.
    #[must_use]
    pub fn as_stored(self) -> &'static str {
        match self {
            Status::SoldOut => Status::Closed.as_str(),
            stored => stored.as_str(),
        }
    }

    /// The status of a stored word. An unknown one sells nothing.
    #[must_use]
    pub fn from_stored(word: &str) -> Self {
        Status::try_from(word).ok().filter(|status| *status != Status::SoldOut).unwrap_or(Status::Scheduled)
    }

    /// Whether the sale is over for waiting shoppers.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Status::SoldOut | Status::Closed)
    }
}

/// The presented status of a stored one: an open or paused sale is sold out when every unit is
/// sold.
///
/// Because it is derived, a returned unit or a raised stock re-opens the sale automatically.
#[must_use]
pub fn presented_status(stored: Status, total: u32, sold: u32) -> Status {
    match stored {
        Status::Open | Status::Paused if sold >= total => Status::SoldOut,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer as _;

    use super::*;

    #[test]
    fn words_equal_those_of_json_and_round_trip_as_stored() {
        for status in [Status::Scheduled, Status::Open, Status::Paused, Status::SoldOut, Status::Closed] {
            let read: Result<Status, serde::de::value::Error> =
                Status::deserialize(status.as_str().into_deserializer());
            assert_eq!(read, Ok(status));
            let stored = if status == Status::SoldOut { Status::Closed } else { status };
            assert_eq!(Status::from_stored(status.as_stored()), stored);
        }
        assert_eq!(Status::from_stored("sold_out"), Status::Scheduled);
        assert_eq!(Status::from_stored("melted"), Status::Scheduled);
    }

    #[test]
    fn the_schema_permits_the_stored_statuses_only() {
        let stored = [Status::Scheduled, Status::Open, Status::Paused, Status::Closed];
        let words = stored.map(|status| format!("'{}'", status.as_stored())).join(", ");
        let schema = include_str!("../../../migrations/0002_sales.sql");
        assert!(schema.contains(&format!("sales_status_is_known CHECK (status IN ({words}))")));
    }

    #[test]
    fn only_a_running_sale_sells_out() {
        assert_eq!(presented_status(Status::Open, 10, 9), Status::Open);
        assert_eq!(presented_status(Status::Open, 10, 10), Status::SoldOut);
        assert_eq!(presented_status(Status::Paused, 10, 10), Status::SoldOut);
        assert_eq!(presented_status(Status::Closed, 10, 10), Status::Closed);
        assert_eq!(presented_status(Status::Scheduled, 0, 0), Status::Scheduled);
    }
}
