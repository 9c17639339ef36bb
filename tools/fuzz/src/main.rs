//! `fuzz`: calls every parser that faces the network with mutated inputs, and reports what makes one panic.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use fairline_fuzz::{Corpus, Crash, Outcome, Target, run, targets};
use serde_json::{Map, Value, json};

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
    #[arg(long, default_value = "target/bench/promises.json")]
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

/// Runs the targets. Gives the number of crashes.
fn fuzz(settings: &Settings) -> io::Result<usize> {
    let mut targets = targets();
    targets.retain(|(name, _)| settings.only.as_ref().is_none_or(|only| name.contains(only)));
    if targets.is_empty() {
        return Err(io::Error::other("no target has such a name"));
    }
    let within = Duration::from_secs_f64(settings.seconds.clamp(0.0, 86_400.0) / targets.len() as f64);
    let (mut inputs, mut crashes) = (0, 0);
    for target in targets {
        let Outcome { inputs: tried, crash } = run(target, &Corpus::read(target.0)?, settings.seed, within);
        inputs += tried;
        println!("{:<24} {tried:>12} inputs  {}", target.0, if crash.is_some() { "CRASH" } else { "" });
        if let Some(crash) = crash {
            crashes += 1;
            report(settings, target, &crash)?;
        }
    }
    println!("{:<24} {inputs:>12} inputs  {crashes} crashes", "all");
    note(&settings.figures, &[("fuzz_inputs", json!(inputs)), ("fuzz_crashes", json!(crashes))])?;
    Ok(crashes)
}

fn report(settings: &Settings, (name, _): Target, crash: &Crash) -> io::Result<()> {
    fs::create_dir_all(&settings.crashes)?;
    let file = settings.crashes.join(name);
    fs::write(&file, &crash.input)?;
    println!("  {}", crash.message);
    println!("  {:?}", String::from_utf8_lossy(&crash.input));
    println!("  the input is in {}; add it to tools/fuzz/corpus/{name}/ with the fix", file.display());
    Ok(())
}

/// Merges figures into the file that the targets of `make` share.
fn note(file: &Path, figures: &[(&str, Value)]) -> io::Result<()> {
    let known = fs::read(file).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let mut all: Map<String, Value> = known.unwrap_or_default();
    all.extend(figures.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, serde_json::to_string_pretty(&all)?)
}
