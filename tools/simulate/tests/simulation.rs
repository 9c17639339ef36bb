//! A short run of the simulation, and the kept stories: those of controls break a promise with the
//! bug that is put back, and no story breaks one without.

use std::{
    fs,
    path::{Path, PathBuf},
};

use fairline_simulate::{
    bugs::CONTROLS,
    event::StoryEvent,
    kept,
    sale::StorySetup,
    story::{self, StoryRun, Subject, kind, shortest},
};

/// The stories of the controls.
const STORIES: &str = "tests/stories";
/// Stories of seeds that once broke a promise of the current code, as `simulate` writes them.
const REGRESSIONS: &str = "tests/stories/regressions";

fn stories(folder: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "story"));
    paths.sort();
    paths
}

fn read(path: &Path) -> (StorySetup, Vec<StoryEvent>) {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    kept::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn failure(subject: &Subject, seed: u64, run: &StoryRun) -> String {
    let short = shortest(subject, run, 2000);
    let events: Vec<String> = short.events.iter().map(ToString::to_string).collect();
    format!("seed {seed}: {}\n{}", short.broken.unwrap_or_default(), events.join("\n"))
}

#[test]
fn the_promises_are_kept() {
    let subject = Subject::real();
    let mut faults = 0;
    for seed in 0..60 {
        let run = story::run(&subject, seed);
        assert!(run.broken.is_none(), "{}", failure(&subject, seed, &run));
        assert!(run.steps > 1000, "seed {seed} tests too little: {} steps", run.steps);
        faults += run.faults;
    }
    // Some are about a rare fault.
    assert!(faults > 60 * 20, "{faults} faults");
}

#[test]
fn a_seed_has_the_same_story_each_time() {
    let subject = Subject::real();
    let [once, twice] = [7, 7].map(|seed| story::run(&subject, seed));
    assert_eq!((once.steps, once.faults, once.broken), (twice.steps, twice.faults, twice.broken));
    assert_eq!(once.events, twice.events);
}

#[test]
fn a_story_is_the_same_after_it_was_kept() {
    let subject = Subject::real();
    let run = story::run(&subject, 7);
    let text = kept::to_text(&run.setting, &run.events).expect("a text");
    let (setting, events) = kept::parse(&text).expect("a story");
    assert_eq!(events, run.events);
    assert_eq!(story::replay(&subject, &setting, &events).steps, run.steps);
}

/// The story of a control breaks its promise with the bug. `make simulate KEEP=...` rewrites it if
/// the code stops at other points than it did.
#[test]
fn bugs_that_are_put_back_are_found() {
    for control in CONTROLS {
        let (setting, events) = read(&Path::new(STORIES).join(format!("{}.story", control.name)));
        let broken = story::replay(&Subject::with(control), &setting, &events).broken;
        let (name, what) = (control.name, control.what);
        assert_eq!(broken.as_deref().map(kind), Some(control.breaks), "{name} ({what}): {broken:?}");
    }
}

#[test]
fn kept_stories_break_no_promise() {
    for path in [stories(STORIES), stories(REGRESSIONS)].concat() {
        let (setting, events) = read(&path);
        assert_eq!(story::replay(&Subject::real(), &setting, &events).broken, None, "{}", path.display());
    }
}

#[test]
fn every_control_is_documented() {
    let docs = fs::read_to_string("../../docs/verification.md").expect("the docs");
    for control in CONTROLS {
        let row = docs.lines().find(|line| line.starts_with(&format!("| `{}` |", control.name)));
        let cells: Vec<&str> = row.unwrap_or_default().split('|').map(str::trim).collect();
        let [_, _, _, breaks, _, seed, _] = cells[..] else { panic!("{} has no row of five columns", control.name) };
        assert_eq!(breaks, control.breaks, "{}", control.name);
        assert!(seed.parse::<u64>().is_ok(), "{} is found by no seed: `{seed}`", control.name);
    }
}

#[test]
fn every_kept_story_has_a_control() {
    for path in stories(STORIES) {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        assert!(CONTROLS.iter().any(|control| control.name == name), "{name}");
    }
}
