//! `chaos`: opens a shop for each seed, breaks it in many ways while a crowd buys, and checks every promise.

use std::{panic::AssertUnwindSafe, path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;
use fairline_chaos::{
    plan::Plan,
    report::Figures,
    run::{RunError, Scale, run},
};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

/// Opens a shop of real processes for each seed, breaks it in many ways while a crowd buys, and checks every promise.
#[derive(Parser)]
struct Args {
    /// The seeds: a number of them, or `from..to`.
    #[arg(long, default_value = "8")]
    seeds: String,
    /// Rounds of faults of each seed.
    #[arg(long, default_value_t = 24)]
    rounds: usize,
    /// Only faults whose description contains this, such as `link checkout-1 to postgres`.
    #[arg(long)]
    only: Option<String>,
    /// Print the plans, and carry none out.
    #[arg(long)]
    plan: bool,
    /// Where logs and histories are kept, by seed.
    #[arg(long, default_value = "target/chaos")]
    folder: PathBuf,
    /// Where the figures go.
    #[arg(long, default_value = fairline_figures::PROMISES)]
    figures: PathBuf,
}

fn seeds_of(text: &str) -> Option<std::ops::Range<u64>> {
    match text.split_once("..") {
        Some((from, to)) => Some(from.parse().ok()?..to.parse().ok()?),
        None => Some(0..text.parse().ok()?),
    }
}

fn figures_of(figures: &Figures) -> [(&'static str, Value); 5] {
    [
        ("chaos_faults", json!(figures.faults())),
        ("chaos_violations", json!(figures.violations)),
        ("chaos_recovery_p50_s", json!(figures.recovery_p50_s())),
        ("chaos_recovery_p99_s", json!(figures.recovery_p99_s())),
        ("chaos_fail_over_p99_s", json!(figures.fail_over_p99_s())),
    ]
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let args = Args::parse();
    let Some(seeds) = seeds_of(&args.seeds) else {
        eprintln!("The seeds `{}` are neither a number nor a range.", args.seeds);
        return ExitCode::FAILURE;
    };
    let mut figures = Figures::default();
    let mut is_whole = true;
    for seed in seeds {
        let plan = Plan::new(seed, args.rounds, args.only.as_deref());
        if args.plan {
            print!("{plan}");
            continue;
        }
        let (begun, folder) = (Instant::now(), args.folder.join(seed.to_string()));
        // What a shop can't go on from is one seed's affair.
        let carried_out = AssertUnwindSafe(run(&plan, Scale::WHOLE, &folder)).catch_unwind().await;
        match carried_out.unwrap_or(Err(RunError::Panicked)) {
            Ok(outcome) => {
                let took = begun.elapsed().as_secs();
                let slowest = outcome.recoveries.iter().filter(|recovery| !recovery.is_fail_over);
                let slowest = slowest.filter_map(|recovery| recovery.flows_after_s).fold(0.0, f64::max);
                println!(
                    "seed {seed}: {} faults in {took} s, {} violations, slowest recovery {slowest:.1} s, sold {} of {}",
                    outcome.faults.len(),
                    outcome.violations.len(),
                    outcome.report.sold,
                    outcome.report.stock
                );
                for recovery in outcome.recoveries.iter().filter(|recovery| recovery.is_slow()) {
                    println!("  slow: {recovery}");
                }
                if !outcome.ended.is_empty() {
                    println!("  ended by themselves: {}", outcome.ended.join(", "));
                }
                if !outcome.violations.is_empty() {
                    print!("{plan}");
                    for violation in &outcome.violations {
                        println!("  BROKEN {violation}");
                    }
                    println!("  kept in {}", folder.display());
                }
                figures.add(&outcome.faults, outcome.recoveries, outcome.violations.len(), outcome.ended.len());
            }
            Err(error) => {
                is_whole = false;
                println!("seed {seed} could not be carried out: {error}\n{plan}  kept in {}", folder.display());
            }
        }
    }
    if args.plan {
        return ExitCode::SUCCESS;
    }
    print!("{figures}");
    if let Err(error) = fairline_figures::merge(&args.figures, figures_of(&figures)) {
        eprintln!("could not write {}: {error}", args.figures.display());
        return ExitCode::FAILURE;
    }
    if is_whole && figures.violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
