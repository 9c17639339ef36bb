//! The in-memory ledger of the simulation does what Postgres does: random sequences of the
//! statements of the port, and of the transactions of checkout and operators, are applied to both.
//!
//! - [`story`]: the sequence of a seed. [`both`]: a step on both sides, with equal results.
//! - [`rows`]: the rows of both sides, as committed. [`shop`]: the database, in virtual time.

mod both;
mod rows;
mod shop;
mod statement;
mod story;

use std::{env, ops::Range};

use fairline_simulate::bugs::{Bug, Bugs};

use self::{shop::Shop, story::Story};

const SEEDS: u64 = 20;
/// Seeds within which the bug of each control must be found.
const CONTROL_SEEDS: u64 = 60;

/// Bugs of the in-memory ledger that a statement or a transaction has.
const CONTROLS: [Bug; 8] = [
    Bug::RevocationsCount,
    Bug::LimitPerTicket,
    Bug::AdmitsUnpublished,
    Bug::AdmittedTwice,
    Bug::LeftUnitsKept,
    Bug::RemovalsNotChecked,
    Bug::HeldUnitsIgnored,
    Bug::OldTurnsRepublished,
];

fn seeds() -> Range<u64> {
    let Ok(text) = env::var("FAIRLINE_LEDGER_SEEDS") else { return 0..SEEDS };
    let number = |text: &str| text.parse().unwrap_or_else(|error| panic!("FAIRLINE_LEDGER_SEEDS: {text}: {error}"));
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&text),
    }
}

#[tokio::test]
async fn the_ledger_does_what_postgres_does() {
    let shop = Shop::open().await;
    let (mut steps, mut seen) = (0, story::Seen::default());
    for seed in seeds() {
        let mut story = Story::begin(&shop, seed, Bugs::default()).await;
        if let Err(difference) = story.run().await {
            panic!("seed {seed}: {difference}\n{}", story.both.log.join("\n"));
        }
        steps += story.both.log.len();
        seen.add(&story.both.seen);
    }
    println!("{steps} steps, {seen:?}");
    let missing = seen.missing();
    assert!(missing.is_empty() || env::var("FAIRLINE_LEDGER_SEEDS").is_ok(), "has not happened: {missing:?}");
}

#[tokio::test]
async fn a_ledger_that_differs_is_found() {
    let shop = Shop::open().await;
    for bug in CONTROLS {
        let mut found = None;
        for seed in 0..CONTROL_SEEDS {
            let mut story = Story::begin(&shop, seed, Bugs::of(&[bug])).await;
            if let Err(difference) = story.run().await {
                found = Some((seed, difference));
                break;
            }
        }
        let (seed, difference) = found.unwrap_or_else(|| panic!("{bug:?}: not found within {CONTROL_SEEDS} seeds"));
        println!("{bug:?}: seed {seed}, {}", difference.lines().next().unwrap_or_default());
    }
}
