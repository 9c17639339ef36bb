//! `make bench-line`: the figures of the line, measured on this machine, ours and the baseline in
//! turn.
//!
//! `docs/benchmarks.md` describes the method and how to read the table.
//!
//! - `figures`: one module per scene; `crowd`: the simulated pages; `shop`: the measured services.

mod clock;
mod crowd;
mod figure;
mod figures;
mod process;
mod redis;
mod shop;
mod size;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use fairline_figures::bench::{self, Failure};

use crate::{figure::FIGURES, size::RunSize};

/// Measure the line, and print and save the results.
#[derive(Debug, Parser)]
#[command(name = "bench-line")]
struct Arguments {
    /// Measure only these figures, comma-separated; includes others of the same scene.
    #[arg(long, value_delimiter = ',', value_parser = FIGURES.map(|(key, _)| key))]
    only: Vec<String>,
    /// File for the figures, as one JSON object.
    #[arg(long, default_value = "target/bench/line.json")]
    json: PathBuf,
    /// Smoke test: run everything with a handful of shoppers.
    #[arg(long)]
    smoke: bool,
    /// Run as a part of the crowd; internal.
    #[arg(long = "crowd", hide = true)]
    part: bool,
}

/// Shared parameters of all measurements.
pub(crate) struct Bench {
    /// The folder of the built services.
    pub(crate) binaries: PathBuf,
    pub(crate) size: RunSize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    bench::exit_code(if arguments.part { crowd::carry().map(|()| true) } else { run(&arguments) })
}

/// Measures the requested figures; returns whether all could be measured and reach their targets,
/// which a smoke test need not.
fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let bench =
        Bench { binaries: bench::programs()?, size: if arguments.smoke { RunSize::smoke() } else { RunSize::full() } };
    let results = bench::measure(&FIGURES, &figures::SCENES, &arguments.only, |scene, found| scene(&bench, found));
    bench::write(&results, &arguments.json)?;
    println!("{}", results.to_table());
    Ok(if arguments.smoke { results.missing.is_empty() } else { results.are_reached() })
}
