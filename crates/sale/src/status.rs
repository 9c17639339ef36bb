//! The status of a sale, as stored and as presented.

use serde::{Deserialize, Serialize};

/// The status of a sale, as shoppers and administrators see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
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
    /// Whether the sale has nothing more to offer to waiting shoppers.
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
    use super::*;

    #[test]
    fn only_a_running_sale_sells_out() {
        assert_eq!(presented_status(Status::Open, 10, 9), Status::Open);
        assert_eq!(presented_status(Status::Open, 10, 10), Status::SoldOut);
        assert_eq!(presented_status(Status::Paused, 10, 10), Status::SoldOut);
        assert_eq!(presented_status(Status::Closed, 10, 10), Status::Closed);
        assert_eq!(presented_status(Status::Scheduled, 0, 0), Status::Scheduled);
    }
}
