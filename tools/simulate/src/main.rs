//! `simulate`: tells the stories of many seeds, prints the shortest of each that breaks a promise, and writes the figures.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use clap::Parser;
use fairline_simulate::{
    bugs::CONTROLS,
    story::{Subject, Told, kind, shortest, tell},
};
use serde_json::{Map, Value};

/// Stories that are shortened at most.
const SHORTENED_MAX: usize = 5;

/// Simulates the line and its admissions with faults, and checks the promises after each step.
#[derive(Parser)]
struct Args {
    /// The seeds: a number of them, or `from..to`.
    #[arg(long, default_value = "3000")]
    seeds: String,
    /// The first seeds, for controls: each fixed bug is put back, and has to be found within so many.
    #[arg(long, default_value_t = 400)]
    control_seeds: u64,
    /// Print stories whole.
    #[arg(long)]
    whole: bool,
    /// Tell the story of one seed, event by event.
    #[arg(long)]
    story: Option<u64>,
    /// Runs of a story at most, to shorten it.
    #[arg(long, default_value_t = 150)]
    tries: u32,
    /// Put a bug back: see the list of controls.
    #[arg(long)]
    bug: Option<String>,
    /// Where the figures go.
    #[arg(long, default_value = "target/bench/promises.json")]
    figures: PathBuf,
}

fn print_story(told: &Told) {
    for event in &told.events {
        println!("  {event}");
    }
    println!("  => {}", told.broken.as_deref().unwrap_or("every promise was kept"));
}

/// Tells the stories of these seeds, on every core. Gives those that end badly, in order.
fn tell_all(subject: &Subject, seeds: std::ops::Range<u64>, stops_at_first: bool) -> (u64, u64, Vec<Told>) {
    let (next, steps, faults) = (AtomicU64::new(seeds.start), AtomicU64::new(0), AtomicU64::new(0));
    let (broken, first) = (Mutex::new(Vec::new()), AtomicU64::new(u64::MAX));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    // Earlier ones that are being told may be the first.
                    if seed >= seeds.end || (stops_at_first && seed > first.load(Ordering::Relaxed)) {
                        return;
                    }
                    let told = tell(subject, seed);
                    steps.fetch_add(told.steps, Ordering::Relaxed);
                    faults.fetch_add(told.faults, Ordering::Relaxed);
                    if told.broken.is_some() {
                        first.fetch_min(seed, Ordering::Relaxed);
                        broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(told);
                    }
                }
            });
        }
    });
    let mut broken = broken.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    broken.sort_by_key(|told| told.seed);
    (steps.into_inner(), faults.into_inner(), broken)
}

/// Puts keys into the file of figures, beside those that others have put there.
fn write_figures(args: &Args, figures: &[(&str, u64)]) -> std::io::Result<()> {
    let mut all: Map<String, Value> =
        fs::read(&args.figures).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    for (name, figure) in figures {
        all.insert((*name).to_owned(), (*figure).into());
    }
    if let Some(folder) = args.figures.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&args.figures, format!("{:#}\n", Value::Object(all)))
}

fn seeds_of(text: &str) -> Option<std::ops::Range<u64>> {
    match text.split_once("..") {
        Some((from, to)) => Some(from.parse().ok()?..to.parse().ok()?),
        None => Some(0..text.parse().ok()?),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let Some(seeds) = seeds_of(&args.seeds) else {
        eprintln!("The seeds `{}` are neither a number nor a range.", args.seeds);
        return ExitCode::FAILURE;
    };
    let control = args.bug.as_ref().map(|name| CONTROLS.iter().find(|control| control.name == name));
    let subject = match control {
        None => Subject::real(),
        Some(Some(control)) => Subject::with(control),
        Some(None) => {
            let names: Vec<&str> = CONTROLS.iter().map(|control| control.name).collect();
            eprintln!("There is no such bug; there are {}.", names.join(", "));
            return ExitCode::FAILURE;
        }
    };
    if let Some(seed) = args.story {
        let told = tell(&subject, seed);
        let short = if told.broken.is_some() && !args.whole { shortest(&subject, &told, args.tries) } else { told };
        print_story(&short);
        return ExitCode::SUCCESS;
    }

    let begin = Instant::now();
    let (steps, faults, broken) = tell_all(&subject, seeds, false);
    let s = begin.elapsed().as_secs_f64();
    let mut kinds: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for told in &broken {
        let why = told.broken.as_deref().unwrap_or_default();
        let seeds = kinds.entry(kind(why)).or_default();
        seeds.push(told.seed);
        if seeds.len() == 1 && kinds.len() <= SHORTENED_MAX {
            println!("seed {}: {why}", told.seed);
            if !args.whole {
                print_story(&shortest(&subject, told, args.tries));
            }
        }
    }
    println!(
        "{steps} steps, {faults} faults, {} broken promises in {s:.1} s: {:.0} steps a second",
        broken.len(),
        steps as f64 / s
    );
    for (kind, seeds) in &kinds {
        println!("  {kind}: {} seeds, the first {:?}", seeds.len(), &seeds[..seeds.len().min(8)]);
    }
    if args.bug.is_some() {
        return ExitCode::SUCCESS;
    }

    let mut found = 0;
    for control in CONTROLS {
        let (_, _, broken) = tell_all(&Subject::with(control), 0..args.control_seeds, true);
        match broken.first() {
            Some(told) => {
                found += 1;
                println!(
                    "  {} ({}): seed {}, {}",
                    control.name,
                    control.what,
                    told.seed,
                    told.broken.as_deref().unwrap_or_default()
                );
            }
            None => println!("  {} ({}): NOT FOUND in {} seeds", control.name, control.what, args.control_seeds),
        }
    }
    println!("{found} of {} bugs that were put back were found", CONTROLS.len());
    let violations = broken.len() as u64;
    let figures = [
        ("simulated_steps", steps),
        ("simulated_faults", faults),
        ("simulated_violations", violations),
        ("reintroduced_bugs_found", found),
        ("reintroduced_bugs", CONTROLS.len() as u64),
    ];
    if let Err(error) = write_figures(&args, &figures) {
        eprintln!("could not write {}: {error}", args.figures.display());
        return ExitCode::FAILURE;
    }
    if violations == 0 && found == CONTROLS.len() as u64 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
