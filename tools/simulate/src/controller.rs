//! A controller: the real tick, and a mirror of the loop in
//! `admission-controller/src/controller/schedule.rs`.

use std::time::Duration;

use admission_controller::testing::{Clock, Controller, Timing};
use fairline_line::store::LineStore;

use crate::{
    gate::TaskWait,
    ledger::LedgerConnection,
    sale::{SALE, TICK, keys},
};

/// How often a controller checks whether a sale has changed.
const POLL_MS: u64 = 200;
/// Delay before a failed tick is repeated: first and maximum; doubled with each failure.
const REPEATED_AFTER_MS: (u64, u64) = (100, 400);

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Ticks for ever.
pub async fn run(postgres: LedgerConnection, line: LineStore) {
    let now = postgres.now.clone();
    let clock = Clock::new(move || Duration::from_millis(now.get()));
    let mut controller = Controller::new(postgres.clone(), line, keys().clone(), Timing { every: TICK, clock });
    let (mut failures, mut known) = (0, None);
    postgres.record_rest(false);
    loop {
        let began = postgres.now.get();
        let version = postgres.version();
        let changed = known.replace(version).is_some_and(|known| known != version);
        let ticks = postgres.ticks();
        let ticked = controller.tick(SALE, changed).await;
        let waits = matches!(ticked, Ok(Some(period)) if period > TICK);
        postgres.record_rest(waits && postgres.ticks() == ticks);
        let next = match ticked {
            Ok(next) => {
                failures = 0;
                next.map_or(u64::MAX, |period| began + ms(period))
            }
            // The transaction was rolled back; the next tick continues.
            Err(_) => {
                let (first, most) = REPEATED_AFTER_MS;
                failures += 1;
                postgres.now.get() + most.min(first << (failures - 1).min(8))
            }
        };
        loop {
            postgres.gate.stop(TaskWait::Until(next.min(postgres.now.get() + POLL_MS))).await;
            if postgres.now.get() >= next || known != Some(postgres.version()) {
                break;
            }
        }
    }
}
