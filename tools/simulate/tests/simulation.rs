//! A short run of the simulation, the stories that ended badly once, and the control that it finds what it is there to find.

use fairline_simulate::{
    bugs::CONTROLS,
    story::{Subject, Told, shortest, tell},
};

/// Seeds that broke a promise once, and what was the matter.
const ONCE_RED: [(u64, &str); 9] = [
    (32, "a database whose clock went back, and a Redis that was lost afterwards: nobody was admitted"),
    (43, "the same, with nobody waiting: a used turn was not told again"),
    (68, "a Redis that is an epoch behind could not answer a look beyond all that it knows: nobody was admitted"),
    (124, "the same, after a fail-over: turns were not told again"),
    (4, "the record had what was heard in a later look before those who were let in by an earlier one"),
    (9, "a ticket was taken out at the limit before its page was open: the page was silent"),
    (19, "a controller met another one at work each time it came, and lost the line that it alone could reach"),
    (34, "a database from before the first epoch was restored beside an empty Redis: a ticket had two holders"),
    (132, "the same"),
];
/// The first seed that finds the bug of each control.
const FOUND_AT: [(&str, u64); 14] = [
    ("old-admissions-told-again", 5),
    ("returned-in-between", 94),
    ("recalled-over-epochs", 11),
    ("no-fence", 2),
    ("clock-goes-back", 2),
    ("equal-numbers", 91),
    ("left-unheard", 1),
    ("moved-after-an-operator", 20),
    ("outages-count", 10),
    ("limit-per-ticket", 2),
    ("look-behind", 0),
    ("revocations-count", 5),
    ("admits-unpublished", 265),
    ("newest-by-clock", 5),
];

fn fails(subject: &Subject, told: &Told) -> String {
    let short = shortest(subject, told, 2000);
    let events: Vec<String> = short.events.iter().map(ToString::to_string).collect();
    format!("seed {}: {}\n{}", told.seed, short.broken.unwrap_or_default(), events.join("\n"))
}

#[test]
fn the_promises_are_kept() {
    let subject = Subject::real();
    let mut faults = 0;
    for seed in 0..60 {
        let told = tell(&subject, seed);
        assert!(told.broken.is_none(), "{}", fails(&subject, &told));
        assert!(told.steps > 1000, "seed {seed} tests too little: {} steps", told.steps);
        faults += told.faults;
    }
    // Some are about a rare fault.
    assert!(faults > 60 * 20, "{faults} faults");
}

#[test]
fn what_was_red_once_stays_green() {
    let subject = Subject::real();
    for (seed, what) in ONCE_RED {
        let told = tell(&subject, seed);
        assert!(told.broken.is_none(), "{what}\n{}", fails(&subject, &told));
    }
}

#[test]
fn a_seed_tells_the_same_story_each_time() {
    let subject = Subject::real();
    let [once, twice] = [7, 7].map(|seed| tell(&subject, seed));
    assert_eq!((once.steps, once.faults, once.broken), (twice.steps, twice.faults, twice.broken));
    assert_eq!(once.events, twice.events);
}

#[test]
fn bugs_that_are_put_back_are_found() {
    assert!(CONTROLS.iter().all(|control| FOUND_AT.iter().any(|(name, _)| *name == control.name)));
    for (name, seed) in FOUND_AT {
        let control = CONTROLS.iter().find(|control| control.name == name).expect("a control of that name");
        let told = tell(&Subject::with(control), seed);
        assert!(told.broken.is_some(), "{} ({}) is not found at seed {seed}", control.name, control.what);
    }
}
