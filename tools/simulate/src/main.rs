//! `simulate`: runs the stories of many seeds, prints and writes the shortest of those that break a
//! promise, and writes the figures.

use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use clap::Parser;
use fairline_simulate::{
    bugs::{CONTROLS, Control},
    kept,
    story::{self, StoryRun, Subject, kind, shortest},
};

/// Maximum stories that are shortened.
const SHORTENED_MAX: usize = 5;

/// Simulates the line and its admissions with faults, and checks the promises after each step.
#[derive(Parser)]
struct Arguments {
    /// Seeds: their number, or `from..to`.
    #[arg(long, default_value = "3000")]
    seeds: String,
    /// Seeds for controls: each fixed bug is put back and must be found within them.
    #[arg(long, default_value_t = 1000)]
    control_seeds: u64,
    /// Print whole stories instead of shortened ones.
    #[arg(long)]
    whole: bool,
    /// Print the story of one seed, event by event.
    #[arg(long)]
    story: Option<u64>,
    /// Maximum runs to shorten a story.
    #[arg(long, default_value_t = 150)]
    tries: u32,
    /// Put a fixed bug back: the name of a control.
    #[arg(long)]
    bug: Option<String>,
    /// Find the bug of each control, or of one (`--bug`), and write the shortest story that finds
    /// it to this folder. Nothing else is run.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Folder for the shortest stories that break a promise: one file a seed, `SEED.story`.
    #[arg(long, default_value = "target/simulate")]
    stories: PathBuf,
    /// File for the figures; its other keys are kept.
    #[arg(long, default_value = fairline_figures::PROMISES)]
    figures: PathBuf,
}

fn print_story(run: &StoryRun) {
    for event in &run.events {
        println!("  {event}");
    }
    println!("  => {}", run.broken.as_deref().unwrap_or("every promise was kept"));
}

/// Runs the stories of these seeds on every core; returns steps, faults, and those that break a
/// promise, in order. Stops at the first that `is_wanted`.
fn run_all(
    subject: &Subject,
    seeds: std::ops::Range<u64>,
    is_wanted: impl Fn(&str) -> bool + Sync,
) -> (u64, u64, Vec<(u64, StoryRun)>) {
    let (next, steps, faults) = (AtomicU64::new(seeds.start), AtomicU64::new(0), AtomicU64::new(0));
    let (broken, first) = (Mutex::new(Vec::new()), AtomicU64::new(u64::MAX));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    // An earlier one that still runs may be the first.
                    if seed >= seeds.end || seed > first.load(Ordering::Relaxed) {
                        return;
                    }
                    let run = story::run(subject, seed);
                    steps.fetch_add(run.steps, Ordering::Relaxed);
                    faults.fetch_add(run.faults, Ordering::Relaxed);
                    if let Some(why) = &run.broken {
                        if is_wanted(kind(why)) {
                            first.fetch_min(seed, Ordering::Relaxed);
                        }
                        broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((seed, run));
                    }
                }
            });
        }
    });
    let mut broken = broken.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    broken.sort_by_key(|&(seed, _)| seed);
    (steps.into_inner(), faults.into_inner(), broken)
}

/// The first seed that finds the bug of a control by the promise that it breaks.
fn find(control: &Control, seeds: u64) -> Option<(u64, StoryRun)> {
    let is_wanted = |kind: &str| kind == control.breaks;
    let (_, _, broken) = run_all(&Subject::with(control), 0..seeds, is_wanted);
    broken.into_iter().find(|(_, run)| run.broken.as_deref().is_some_and(|why| is_wanted(kind(why))))
}

/// Writes the shortest story of each control.
fn keep(folder: &Path, controls: &[&Control], seeds: u64, tries: u32) -> Result<(), Box<dyn Error>> {
    for control in controls {
        let (seed, run) = find(control, seeds).ok_or_else(|| format!("{} is not found", control.name))?;
        let short = shortest(&Subject::with(control), &run, tries);
        println!("{}: seed {seed}, {} events", control.name, short.events.len());
        std::fs::write(folder.join(format!("{}.story", control.name)), kept::to_text(&short.setting, &short.events)?)?;
    }
    Ok(())
}

/// Prints the shortest story of a seed that breaks a promise, and writes it unless a bug was put
/// back.
fn print_shortest(args: &Arguments, subject: &Subject, seed: u64, run: &StoryRun) -> Result<(), Box<dyn Error>> {
    let short = shortest(subject, run, args.tries);
    print_story(&short);
    if args.bug.is_none() {
        std::fs::create_dir_all(&args.stories)?;
        let file = args.stories.join(format!("{seed}.story"));
        std::fs::write(&file, kept::to_text(&short.setting, &short.events)?)?;
        println!("  written to {}", file.display());
    }
    Ok(())
}

/// Prints the story of one seed.
fn print_seed(args: &Arguments, subject: &Subject, seed: u64) -> Result<(), Box<dyn Error>> {
    let run = story::run(subject, seed);
    if run.broken.is_some() && !args.whole {
        return print_shortest(args, subject, seed, &run);
    }
    print_story(&run);
    Ok(())
}

/// Prints what is broken, by the kind of the promise: the shortest story of the first seed of each.
fn report(args: &Arguments, subject: &Subject, broken: &[(u64, StoryRun)]) -> Result<(), Box<dyn Error>> {
    let mut kinds: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (seed, run) in broken {
        let why = run.broken.as_deref().unwrap_or_default();
        let seeds = kinds.entry(kind(why)).or_default();
        seeds.push(*seed);
        if seeds.len() == 1 && kinds.len() <= SHORTENED_MAX {
            println!("seed {seed}: {why}");
            if !args.whole {
                print_shortest(args, subject, *seed, run)?;
            }
        }
    }
    for (kind, seeds) in &kinds {
        println!("  {kind}: {} seeds, the first {:?}", seeds.len(), &seeds[..seeds.len().min(8)]);
    }
    Ok(())
}

fn exit_code(what: &str, done: Result<(), Box<dyn Error>>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{what} failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn seeds_of(text: &str) -> Option<std::ops::Range<u64>> {
    match text.split_once("..") {
        Some((from, to)) => Some(from.parse().ok()?..to.parse().ok()?),
        None => Some(0..text.parse().ok()?),
    }
}

fn main() -> ExitCode {
    let args = Arguments::parse();
    let Some(seeds) = seeds_of(&args.seeds) else {
        eprintln!("`{}` is neither a number of seeds nor a range such as 5..9.", args.seeds);
        return ExitCode::FAILURE;
    };
    let control = args.bug.as_ref().map(|name| CONTROLS.iter().find(|control| control.name == name));
    let subject = match control {
        None => Subject::real(),
        Some(Some(control)) => Subject::with(control),
        Some(None) => {
            let names: Vec<&str> = CONTROLS.iter().map(|control| control.name).collect();
            eprintln!("Unknown bug; known ones are {}.", names.join(", "));
            return ExitCode::FAILURE;
        }
    };
    if let Some(seed) = args.story {
        return exit_code("writing the story", print_seed(&args, &subject, seed));
    }

    if let Some(folder) = &args.keep {
        let controls: Vec<&Control> = control.flatten().map_or_else(|| CONTROLS.iter().collect(), |one| vec![one]);
        return exit_code("keeping the stories", keep(folder, &controls, args.control_seeds, args.tries));
    }

    let begin = Instant::now();
    let (steps, faults, broken) = run_all(&subject, seeds, |_| false);
    let s = begin.elapsed().as_secs_f64();
    println!(
        "{steps} steps, {faults} faults, {} broken promises in {s:.1} s: {:.0} steps a second",
        broken.len(),
        steps as f64 / s
    );
    let reported = report(&args, &subject, &broken);
    if args.bug.is_some() || reported.is_err() {
        return exit_code("writing the stories", reported);
    }

    let mut found = 0_u64;
    for control in CONTROLS {
        match find(control, args.control_seeds) {
            Some((seed, run)) => {
                found += 1;
                let why = run.broken.as_deref().unwrap_or_default();
                println!("  {} ({}): seed {seed}, {why}", control.name, control.what);
            }
            None => println!("  {} ({}): NOT FOUND in {} seeds", control.name, control.what, args.control_seeds),
        }
    }
    println!("{found} of {} bugs that were put back were found", CONTROLS.len());
    let violations = broken.len() as u64;
    let figures = [
        ("simulated_steps", steps.into()),
        ("simulated_faults", faults.into()),
        ("simulated_violations", violations.into()),
        ("reintroduced_bugs_found", found.into()),
        ("reintroduced_bugs", CONTROLS.len().into()),
    ];
    if let Err(error) = fairline_figures::merge(&args.figures, figures) {
        eprintln!("write {} failed: {error}", args.figures.display());
        return ExitCode::FAILURE;
    }
    if violations == 0 && found == CONTROLS.len() as u64 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
