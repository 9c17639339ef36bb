//! One clock for all processes of this machine.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Microseconds since a moment that is the same for every process of this machine.
pub(crate) fn now_us() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
    Duration::from(now).as_micros().try_into().expect("this machine has been up for less than 500,000 years")
}
