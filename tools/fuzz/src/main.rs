//! `fuzz`: calls every parser that faces the network with mutated inputs, and reports what makes
//! one panic.

use std::{
    fs, io,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use clap::Parser;
use fairline_fuzz::{Corpus, Crash, FuzzOutcome, FuzzTarget, run, targets};

/// Fuzz every parser that faces the network.
#[derive(Debug, Parser)]
struct Settings {
    /// Seconds to fuzz, over all targets.
    #[arg(long, default_value_t = 120.0)]
    seconds: f64,
    /// Only targets whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// The seed of all inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The file that the figures are merged into.
    #[arg(long, default_value = fairline_figures::PROMISES)]
    figures: PathBuf,
    /// The folder that crashing inputs are written to.
    #[arg(long, default_value = "target/fuzz")]
    crashes: PathBuf,
}

fn main() -> ExitCode {
    match fuzz(&Settings::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzzing failed: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the targets. Returns the number of crashes.
fn fuzz(settings: &Settings) -> io::Result<usize> {
    let mut targets = targets();
    targets.retain(|(name, _)| settings.only.as_ref().is_none_or(|only| name.contains(only)));
    if targets.is_empty() {
        return Err(io::Error::other("no target has such a name"));
    }
    let threads = thread::available_parallelism().map_or(1, usize::from).min(targets.len());
    let seconds = settings.seconds.clamp(0.0, 86_400.0) * threads as f64;
    let within = Duration::from_secs_f64(seconds / targets.len() as f64);
    let (next, totals) = (AtomicUsize::new(0), Mutex::new((0, 0)));
    let work = || -> io::Result<()> {
        while let Some(&target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            let FuzzOutcome { inputs, crash } = run(target, &Corpus::read(target.0)?, settings.seed, within);
            let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
            println!("{:<24} {inputs:>12} inputs  {}", target.0, if crash.is_some() { "CRASH" } else { "" });
            totals.0 += inputs;
            if let Some(crash) = crash {
                totals.1 += 1;
                report(settings, target, &crash)?;
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a target's panic is caught"))
    })?;
    let (inputs, crashes) = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{:<24} {inputs:>12} inputs  {crashes} crashes", "all");
    fairline_figures::merge(&settings.figures, [("fuzz_inputs", inputs.into()), ("fuzz_crashes", crashes.into())])?;
    Ok(crashes)
}

fn report(settings: &Settings, (name, _): FuzzTarget, crash: &Crash) -> io::Result<()> {
    fs::create_dir_all(&settings.crashes)?;
    let file = settings.crashes.join(name);
    fs::write(&file, &crash.input)?;
    println!("  {}", crash.message);
    println!("  {:?}", String::from_utf8_lossy(&crash.input));
    println!("  the input is in {}; add it to tools/fuzz/corpus/{name}/ with the fix", file.display());
    Ok(())
}
