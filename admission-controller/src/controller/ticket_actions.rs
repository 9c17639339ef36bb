//! Ticket actions: an operator removes or prefers a ticket of a running sale. Pure.

/// A ticket action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketAction {
    /// It is removed from the line.
    Remove,
    /// It is served before all others.
    Prefer,
}

impl TicketAction {
    /// Its kind in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Remove => "removed",
            Self::Prefer => "preferred",
        }
    }

    /// Its action in the audit log.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Remove => "remove_ticket",
            Self::Prefer => "prefer_ticket",
        }
    }
}
