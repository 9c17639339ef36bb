//! The lifecycle of a sale. Pure.

use fairline_events::EventKind;
use fairline_sale::Status;
use time::OffsetDateTime;

/// What an operator requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Open now, before the scheduled time.
    Open,
    /// Pause admissions.
    Pause,
    /// Resume admissions.
    Resume,
    /// End the sale.
    Close,
}

impl Action {
    /// Its name in the audit log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open_sale",
            Self::Pause => "pause_sale",
            Self::Resume => "resume_sale",
            Self::Close => "close_sale",
        }
    }
}

/// The status that an action leads to; `None` if it is not allowed.
#[must_use]
pub fn after(status: Status, action: Action) -> Option<Status> {
    match (status, action) {
        (Status::Scheduled, Action::Open) | (Status::Paused, Action::Resume) => Some(Status::Open),
        (Status::Open, Action::Pause) => Some(Status::Paused),
        (Status::Scheduled | Status::Open | Status::Paused, Action::Close) => Some(Status::Closed),
        _ => None,
    }
}

/// What decides the status of a sale by the clock.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// The stored status.
    pub status: Status,
    /// When the window begins.
    pub opens_at: OffsetDateTime,
    /// When the window ends, if ever.
    pub ends_at: Option<OffsetDateTime>,
    /// Units of outstanding tokens.
    pub promised: u32,
}

impl Schedule {
    /// The stored status at `now`: sales open and end by the clock. A sale whose window has ended
    /// closes once the last outstanding token was used or has lapsed, so that no admitted shopper
    /// is turned away.
    #[must_use]
    pub fn status_at(self, now: OffsetDateTime) -> Status {
        let is_over = has_ended(now, self.ends_at) && self.promised == 0;
        match self.status {
            Status::Scheduled | Status::Open | Status::Paused if is_over => Status::Closed,
            Status::Scheduled if self.opens_at <= now => Status::Open,
            other => other,
        }
    }
}

/// Whether the window is over, so that no more shoppers are admitted.
#[must_use]
pub fn has_ended(now: OffsetDateTime, ends_at: Option<OffsetDateTime>) -> bool {
    ends_at.is_some_and(|ends_at| ends_at <= now)
}

/// The event that announces a move from one status to another.
#[must_use]
pub fn event_of(from: Status, to: Status) -> EventKind {
    match (from, to) {
        (Status::Paused, Status::Open) => EventKind::FlashSaleResumed,
        (_, Status::Open | Status::Scheduled) => EventKind::FlashSaleStarted,
        (_, Status::Paused) => EventKind::FlashSalePaused,
        (_, Status::SoldOut | Status::Closed) => EventKind::FlashSaleEnded,
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    #[test]
    fn only_listed_actions_are_allowed() {
        use Action::{Close, Open, Pause, Resume};
        let allowed = [
            (Status::Scheduled, Open, Status::Open),
            (Status::Scheduled, Close, Status::Closed),
            (Status::Open, Pause, Status::Paused),
            (Status::Open, Close, Status::Closed),
            (Status::Paused, Resume, Status::Open),
            (Status::Paused, Close, Status::Closed),
        ];
        for status in [Status::Scheduled, Status::Open, Status::Paused, Status::SoldOut, Status::Closed] {
            for action in [Open, Pause, Resume, Close] {
                let expected = allowed.iter().find(|row| (row.0, row.1) == (status, action)).map(|row| row.2);
                assert_eq!(after(status, action), expected, "{status:?} {action:?}");
            }
        }
    }

    #[test]
    fn sales_open_and_end_by_the_clock() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let later = now + Duration::HOUR;
        let scheduled = Schedule { status: Status::Scheduled, opens_at: later, ends_at: None, promised: 0 };
        assert_eq!(scheduled.status_at(now), Status::Scheduled);
        assert_eq!(scheduled.status_at(later), Status::Open);
        let open = Schedule { status: Status::Open, opens_at: now, ends_at: Some(later), promised: 0 };
        assert_eq!(open.status_at(later), Status::Closed);
        assert_eq!(Schedule { promised: 1, ..open }.status_at(later), Status::Open, "a token is outstanding");
        assert_eq!(Schedule { status: Status::Paused, ..open }.status_at(now), Status::Paused);
        assert_eq!(Schedule { status: Status::Closed, ..scheduled }.status_at(later), Status::Closed);
    }
}
