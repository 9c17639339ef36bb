//! Why a lane is not added or changed. Pure.

/// Why a lane is not added, or not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneRejection {
    /// The sale has no such lane.
    Unknown,
    /// The sale has the maximum number of lanes.
    TooMany,
    /// The shares of the lanes would exceed 1.
    Shares,
    /// The draw of a sale includes all its lines.
    Drawn,
    /// The sale has ended.
    Closed,
}
