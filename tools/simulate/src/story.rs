//! Stories: the events of a seed, their outcome, and the shortest story with the same outcome.

use fairline_line::port::LIBRARY;

use crate::{
    bugs::{Bugs, Control},
    event::StoryEvent,
    plan::SeedPlan,
    rng::Rng,
    sale::StorySetup,
    world::World,
};

/// The code under test.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The library of the line.
    pub library: String,
    /// Bugs put back into the ledger and the tick.
    pub bugs: Bugs,
}

impl Subject {
    /// The current code.
    #[must_use]
    pub fn real() -> Self {
        Self { library: LIBRARY.to_owned(), bugs: Bugs::default() }
    }

    /// The code with a bug put back.
    ///
    /// # Panics
    /// When the library has changed, so that a patch does not fit any more.
    #[must_use]
    pub fn with(control: &Control) -> Self {
        let mut library = LIBRARY.to_owned();
        for (now, before) in control.patches {
            assert!(library.contains(now), "the patch of {} does not fit any more: {now}", control.name);
            library = library.replace(now, before);
        }
        Self { library, bugs: Bugs::of(control.bugs) }
    }
}

/// A story that was run.
#[derive(Debug, Clone)]
pub struct StoryRun {
    /// What it started with.
    pub setting: StorySetup,
    /// Its events.
    pub events: Vec<StoryEvent>,
    /// Steps taken, those of quiet times included.
    pub steps: u64,
    /// Faults injected.
    pub faults: u64,
    /// The promise that was broken, if one was.
    pub broken: Option<String>,
}

/// The promise that a violation is about.
#[must_use]
pub fn kind(broken: &str) -> &str {
    broken.split(':').next().unwrap_or(broken)
}

/// Runs the story of a seed.
#[must_use]
pub fn run(subject: &Subject, seed: u64) -> StoryRun {
    let mut rng = Rng::new(seed.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ 0x1405_7b7e_f767_814f);
    let plan = SeedPlan::new(&mut rng, seed);
    let mut world = World::new(&subject.library, &subject.bugs, &plan.setting);
    let mut events = Vec::with_capacity(plan.events());
    for at in 0..plan.events() {
        let event = world.next_event(&mut rng, &plan, at);
        step(&mut world, &event);
        events.push(event);
        if world.broken.is_some() {
            break;
        }
    }
    StoryRun { setting: plan.setting, events, steps: world.steps, faults: world.faults, broken: world.broken }
}

fn step(world: &mut World, event: &StoryEvent) {
    world.apply(event);
    if world.broken.is_none() {
        world.check();
    }
}

/// Runs these events, whatever a seed would choose.
#[must_use]
pub fn replay(subject: &Subject, setting: &StorySetup, events: &[StoryEvent]) -> StoryRun {
    let mut world = World::new(&subject.library, &subject.bugs, setting);
    let mut done = Vec::with_capacity(events.len());
    for event in events {
        step(&mut world, event);
        done.push(event.clone());
        if world.broken.is_some() {
            break;
        }
    }
    StoryRun { setting: *setting, events: done, steps: world.steps, faults: world.faults, broken: world.broken }
}

/// The shortest story that breaks the same promise, found within `tries` runs by leaving out ever
/// smaller parts (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input",
/// 2002).
#[must_use]
pub fn shortest(subject: &Subject, run: &StoryRun, mut tries: u32) -> StoryRun {
    let Some(broken) = &run.broken else { return run.clone() };
    let wanted = kind(broken).to_owned();
    let mut best = run.clone();
    let mut part = best.events.len().div_ceil(2);
    while part > 0 && tries > 0 {
        let (mut from, mut shorter) = (0, false);
        while from < best.events.len() && tries > 0 {
            let to = (from + part).min(best.events.len());
            let events = [&best.events[..from], &best.events[to..]].concat();
            tries -= 1;
            let again = replay(subject, &run.setting, &events);
            if again.broken.as_deref().is_some_and(|broken| kind(broken) == wanted) {
                (best, shorter) = (again, true);
            } else {
                from = to;
            }
        }
        if !shorter || part > best.events.len() {
            part = if part == 1 && !shorter { 0 } else { part.div_ceil(2).min(part - usize::from(part > 1)) };
        }
    }
    best
}
