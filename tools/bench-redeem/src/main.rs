//! `make bench-redeem`: the figures of redemption, measured on this machine, ours and the baselines
//! in turn.
//!
//! `docs/benchmarks.md` describes the method and how to read the table.
//!
//! - `figures`: one module per scene; `client`: the crowd; `shop`: the measured services;
//!   `pgbench`: the baselines in plain SQL.

mod client;
mod figure;
mod figures;
mod pgbench;
mod shop;
mod size;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use fairline_figures::bench::{self, Failure};
use tempfile::TempDir;

use crate::{figure::FIGURES, shop::Mismatches, size::RunSize};

/// Measure redemption, and print and save the results.
#[derive(Debug, Parser)]
#[command(name = "bench-redeem")]
struct Arguments {
    /// Measure only these figures, comma-separated; includes others of the same scene.
    #[arg(long, value_delimiter = ',', value_parser = FIGURES.map(|(key, _)| key))]
    only: Vec<String>,
    /// File for the figures, as one JSON object.
    #[arg(long, default_value = "target/bench/redeem.json")]
    json: PathBuf,
    /// Smoke test: run everything with a handful of shoppers.
    #[arg(long)]
    smoke: bool,
}

/// Shared parameters of all measurements.
pub(crate) struct Bench {
    /// The folder of the built services.
    pub(crate) binaries: PathBuf,
    /// For logs and scripts.
    pub(crate) folder: TempDir,
    pub(crate) size: RunSize,
    /// The violations so far; there should be none.
    pub(crate) wrongs: Mismatches,
}

impl Bench {
    pub(crate) fn note(&mut self, wrongs: Mismatches) {
        self.wrongs.oversold += wrongs.oversold;
        self.wrongs.lost_acks += wrongs.lost_acks;
        self.wrongs.double_used += wrongs.double_used;
    }
}

fn main() -> ExitCode {
    bench::exit_code(run(&Arguments::parse()))
}

/// Measures the requested figures; returns whether all could be measured and reach their targets,
/// which a smoke test need not.
fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let mut bench = Bench {
        binaries: bench::programs()?,
        folder: tempfile::Builder::new().prefix("fairline-bench-").tempdir()?,
        size: if arguments.smoke { RunSize::smoke() } else { RunSize::full() },
        wrongs: Mismatches::default(),
    };
    let scenes = &figures::SCENES;
    let results = bench::measure(&FIGURES, scenes, &arguments.only, |scene, found| scene(&mut bench, found));
    bench::write(&results, &arguments.json)?;
    println!("{}\n\n{}", results.to_table(), results.summary());
    Ok(if arguments.smoke { results.missing.is_empty() } else { results.are_reached() })
}
