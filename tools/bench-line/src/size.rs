//! The size of a run.

use std::time::Duration;

/// The size of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunSize {
    /// Shoppers of one node, at both ends of the slope of its memory.
    pub(crate) memory_shoppers: (u32, u32),
    pub(crate) memory_rounds: usize,
    /// Longer than the time until every socket has been pinged.
    pub(crate) memory_settles: Duration,
    pub(crate) joins_a_round: u32,
    pub(crate) joins_rounds: usize,
    /// Tickets of the line for which places are computed.
    pub(crate) line: u64,
    pub(crate) place_rounds: usize,
    /// Nodes of the large line, and processes of its crowd.
    pub(crate) nodes: u16,
    pub(crate) shoppers_a_node: u32,
    /// Shoppers of the small line, on one node.
    pub(crate) few: u32,
    /// How long the last shopper of a line waits without departures: a larger line gets a higher
    /// rate.
    pub(crate) line_takes: Duration,
    /// How long a line moves before each measurement, and the duration of the measurement.
    pub(crate) line_settles: Duration,
    pub(crate) window: Duration,
    /// Simulated sales, and the share of their people who come.
    pub(crate) sales: u32,
    pub(crate) sale_share: f64,
}

impl RunSize {
    /// The published size.
    pub(crate) fn full() -> Self {
        Self {
            memory_shoppers: (2_000, 18_000),
            memory_rounds: 2,
            memory_settles: Duration::from_secs(60),
            joins_a_round: 10_000,
            joins_rounds: 5,
            line: 1_000_000,
            place_rounds: 5,
            nodes: 7,
            // A tenth more than required: those near the front are admitted during the measurement.
            shoppers_a_node: 16_000,
            few: 1_000,
            line_takes: Duration::from_secs(2_000),
            line_settles: Duration::from_secs(30),
            window: Duration::from_secs(60),
            sales: 5,
            sale_share: 1.0,
        }
    }

    /// A few seconds in total.
    pub(crate) fn smoke() -> Self {
        Self {
            memory_shoppers: (5, 20),
            memory_rounds: 1,
            memory_settles: Duration::from_millis(200),
            joins_a_round: 20,
            joins_rounds: 1,
            line: 1_000,
            place_rounds: 1,
            nodes: 2,
            shoppers_a_node: 20,
            few: 20,
            line_takes: Duration::from_secs(10),
            line_settles: Duration::from_secs(1),
            window: Duration::from_secs(2),
            sales: 1,
            sale_share: 0.02,
        }
    }
}
