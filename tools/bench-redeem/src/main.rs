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

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use tempfile::TempDir;

use crate::{
    figure::{FIGURES, Results, number},
    shop::Wrongs,
    size::Size,
};

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

macro_rules! fails_with {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self(error.to_string())
            }
        })*
    };
}
fails_with!(io::Error, sqlx::Error, sqlx::migrate::MigrateError, fairline_private_servers::ServerError);

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
    pub(crate) size: Size,
    /// The violations so far; there should be none.
    pub(crate) wrongs: Wrongs,
}

impl Bench {
    pub(crate) fn note(&mut self, wrongs: Wrongs) {
        self.wrongs.oversold += wrongs.oversold;
        self.wrongs.lost_acks += wrongs.lost_acks;
        self.wrongs.double_used += wrongs.double_used;
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(2)
        }
    }
}

/// Measures the requested figures; returns whether all of them could be measured.
fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let program = env::current_exe()?;
    let mut bench = Bench {
        binaries: program.parent().ok_or_else(|| Failure::new("this program is in no folder"))?.to_owned(),
        folder: tempfile::Builder::new().prefix("fairline-bench-").tempdir()?,
        size: if arguments.smoke { Size::smoke() } else { Size::full() },
        wrongs: Wrongs::default(),
    };
    let mut results = Results::of(&FIGURES);
    for (keys, measure) in figures::SCENES {
        let is_asked = |key: &&str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == key);
        if !keys.iter().any(is_asked) {
            continue;
        }
        eprintln!("… {}", keys.join(", "));
        let failed = measure(&mut bench, &mut |measured| {
            eprintln!("  {} {}", measured.key, number(measured.value));
            results.measured.push(measured);
        });
        if let Err(failure) = failed {
            let missing = keys.iter().filter(|key| results.get(key).is_none());
            results.missing = missing.map(|&key| (key, failure.to_string())).chain(results.missing.clone()).collect();
        }
    }
    write(&arguments.json, &format!("{:#}\n", results.to_json()))?;
    println!("{}\n\n{}", results.to_table(), results.summary());
    Ok(results.missing.is_empty())
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(file, text)?)
}
