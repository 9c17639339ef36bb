//! A short run of the simulation, the seeds that failed once, and the controls: bugs that are put
//! back must be found.

use fairline_simulate::{
    bugs::CONTROLS,
    story::{self, Run, Subject, shortest},
};

/// Seeds that broke a promise once, and the cause.
const FAILED_ONCE: [(u64, &str); 9] = [
    (32, "a database clock that went back, then a lost Redis: no shopper was admitted"),
    (43, "the same, without waiting shoppers: a used turn was not published again"),
    (68, "a Redis one epoch behind could not answer a query beyond its last ticket: no shopper was admitted"),
    (124, "the same, after a fail-over: turns were not published again"),
    (4, "the record had events of a later query before the admissions of an earlier one"),
    (9, "a ticket was removed at the limit before its page was open: the page was silent"),
    (19, "a controller found the lock taken at each tick, and lost the line that only it could reach"),
    (34, "a database from before the first epoch was restored beside an empty Redis: a ticket had two holders"),
    (132, "the same"),
];
/// The first seed that finds the bug of each control.
const FOUND_AT: [(&str, u64); 14] = [
    ("old-turns-republished", 5),
    ("returned-in-between", 94),
    ("recalled-over-epochs", 11),
    ("no-fence", 2),
    ("clock-goes-back", 2),
    ("equal-numbers", 91),
    ("leave-not-recorded", 1),
    ("moved-after-an-operator", 20),
    ("outages-count", 10),
    ("limit-per-ticket", 2),
    ("query-beyond-redis", 0),
    ("revocations-count", 5),
    ("admits-unpublished", 265),
    ("newest-by-clock", 5),
];

fn failure(subject: &Subject, run: &Run) -> String {
    let short = shortest(subject, run, 2000);
    let events: Vec<String> = short.events.iter().map(ToString::to_string).collect();
    format!("seed {}: {}\n{}", run.seed, short.broken.unwrap_or_default(), events.join("\n"))
}

#[test]
fn the_promises_are_kept() {
    let subject = Subject::real();
    let mut faults = 0;
    for seed in 0..60 {
        let run = story::run(&subject, seed);
        assert!(run.broken.is_none(), "{}", failure(&subject, &run));
        assert!(run.steps > 1000, "seed {seed} tests too little: {} steps", run.steps);
        faults += run.faults;
    }
    // Some are about a rare fault.
    assert!(faults > 60 * 20, "{faults} faults");
}

#[test]
fn seeds_that_failed_once_pass() {
    let subject = Subject::real();
    for (seed, what) in FAILED_ONCE {
        let run = story::run(&subject, seed);
        assert!(run.broken.is_none(), "{what}\n{}", failure(&subject, &run));
    }
}

#[test]
fn a_seed_has_the_same_story_each_time() {
    let subject = Subject::real();
    let [once, twice] = [7, 7].map(|seed| story::run(&subject, seed));
    assert_eq!((once.steps, once.faults, once.broken), (twice.steps, twice.faults, twice.broken));
    assert_eq!(once.events, twice.events);
}

#[test]
fn bugs_that_are_put_back_are_found() {
    assert!(CONTROLS.iter().all(|control| FOUND_AT.iter().any(|(name, _)| *name == control.name)));
    for (name, seed) in FOUND_AT {
        let control = CONTROLS.iter().find(|control| control.name == name).expect("a control of that name");
        let run = story::run(&Subject::with(control), seed);
        assert!(run.broken.is_some(), "{} ({}) is not found at seed {seed}", control.name, control.what);
    }
}
