//! Counts shoppers by stage, for the progress line.

use std::{
    fmt,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use serde::{Deserialize, Serialize};

/// The stage of a shopper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShopperStage {
    Coming,
    Waiting,
    Admitted,
    Held,
    Paid,
    Over,
}

const STAGES: usize = 6;
const UNKNOWN: u32 = u32::MAX;

/// Counters that the shoppers of one process update.
#[derive(Debug)]
pub(crate) struct StageCounts {
    stages: [AtomicU32; STAGES],
    remaining: AtomicU32,
}

impl StageCounts {
    pub(crate) fn new(shoppers: u32) -> StageCounts {
        let stages: [AtomicU32; STAGES] = Default::default();
        stages[ShopperStage::Coming as usize].store(shoppers, Relaxed);
        StageCounts { stages, remaining: AtomicU32::new(UNKNOWN) }
    }

    pub(crate) fn moves(&self, from: ShopperStage, to: ShopperStage) {
        self.stages[from as usize].fetch_sub(1, Relaxed);
        self.stages[to as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn remaining(&self, units: u32) {
        self.remaining.store(units, Relaxed);
    }

    pub(crate) fn progress(&self) -> Progress {
        let at = |stage: ShopperStage| self.stages[stage as usize].load(Relaxed);
        let remaining = self.remaining.load(Relaxed);
        Progress {
            coming: at(ShopperStage::Coming),
            waiting: at(ShopperStage::Waiting),
            admitted: at(ShopperStage::Admitted),
            held: at(ShopperStage::Held),
            paid: at(ShopperStage::Paid),
            over: at(ShopperStage::Over),
            remaining: (remaining != UNKNOWN).then_some(remaining),
        }
    }
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) coming: u32,
    pub(crate) waiting: u32,
    pub(crate) admitted: u32,
    pub(crate) held: u32,
    pub(crate) paid: u32,
    pub(crate) over: u32,
    /// Unpromised units, as last sent to any shopper.
    pub(crate) remaining: Option<u32>,
}

impl Progress {
    /// The sum of two processes.
    #[must_use]
    pub(crate) fn plus(self, other: Progress) -> Progress {
        Progress {
            coming: self.coming + other.coming,
            waiting: self.waiting + other.waiting,
            admitted: self.admitted + other.admitted,
            held: self.held + other.held,
            paid: self.paid + other.paid,
            over: self.over + other.over,
            remaining: self.remaining.into_iter().chain(other.remaining).min(),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Progress { coming, waiting, admitted, held, paid, over, .. } = self;
        write!(
            f,
            "coming {coming}  waiting {waiting}  admitted {admitted}  in checkout {held}  paid {paid}  gone {over}"
        )?;
        self.remaining.map_or(Ok(()), |remaining| write!(f, "  remaining {remaining}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shoppers_move_and_never_vanish() {
        let stage_counts = StageCounts::new(3);
        stage_counts.moves(ShopperStage::Coming, ShopperStage::Waiting);
        stage_counts.moves(ShopperStage::Coming, ShopperStage::Waiting);
        stage_counts.moves(ShopperStage::Waiting, ShopperStage::Over);
        stage_counts.remaining(7);
        let one = stage_counts.progress();
        assert_eq!(one, Progress { coming: 1, waiting: 1, over: 1, remaining: Some(7), ..Progress::default() });
        let both = one.plus(StageCounts::new(2).progress());
        assert_eq!(both.to_string(), "coming 3  waiting 1  admitted 0  in checkout 0  paid 0  gone 1  remaining 7");
    }
}
