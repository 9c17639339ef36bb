//! One run of a target.

use std::{
    cell::Cell,
    panic::{self, UnwindSafe},
    sync::Once,
    time::{Duration, Instant},
};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::{Corpus, FuzzTarget, input::input};

/// Inputs between two looks at the clock.
const INPUTS_PER_ROUND: u32 = 2_000;

/// An input that makes a target panic, as small as proptest could make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crash {
    /// The input.
    pub input: Vec<u8>,
    /// The panic's message.
    pub message: String,
}

/// What a run has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FuzzOutcome {
    /// Inputs that the target was called with.
    pub inputs: u64,
    /// The first crash, which ends a run.
    pub crash: Option<Crash>,
}

/// Calls a target with its corpus, and then with mutated inputs for at least one round and until
/// `within` has passed. The same seed gives the same inputs.
#[must_use]
pub fn run((_, call): FuzzTarget, corpus: &Corpus, seed: u64, within: Duration) -> FuzzOutcome {
    silence_panics();
    let started = Instant::now();
    let inputs = Cell::new(0);
    let check = |bytes: &[u8]| {
        inputs.set(inputs.get() + 1);
        message_of(|| call(bytes))
    };
    for bytes in &corpus.inputs {
        if let Some(message) = check(bytes) {
            return FuzzOutcome { inputs: inputs.get(), crash: Some(Crash { input: bytes.clone(), message }) };
        }
    }
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: INPUTS_PER_ROUND, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config.clone(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let strategy = input(corpus.clone());
    loop {
        // A runner counts its inputs over all of its runs, and makes none once it has made enough:
        // each round has its own.
        runner = TestRunner::new_with_rng(config.clone(), runner.new_rng());
        let round =
            runner.run(&strategy, |bytes| check(&bytes).map_or(Ok(()), |message| Err(TestCaseError::fail(message))));
        let crash = match round {
            Ok(()) => None,
            Err(TestError::Fail(reason, input)) => Some(Crash { input, message: reason.message().to_owned() }),
            Err(TestError::Abort(reason)) => unreachable!("no input is rejected: {reason}"),
        };
        if crash.is_some() || started.elapsed() >= within {
            return FuzzOutcome { inputs: inputs.get(), crash };
        }
    }
}

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Shrinking panics hundreds of times; the report prints the last message.
fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !SILENT.get() {
                print(info);
            }
        }));
    });
}

/// The message of a call's panic, if it panics.
fn message_of(call: impl FnOnce() + UnwindSafe) -> Option<String> {
    SILENT.set(true);
    let ended = panic::catch_unwind(call);
    SILENT.set(false);
    let panic = ended.err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
}
