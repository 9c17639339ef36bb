//! `chaos`: opens a shop for each seed, breaks it in many ways while a crowd buys, and checks every
//! promise.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use fairline_chaos::{
    outcome::ShopOutcome,
    plan::ShopPlan,
    report::ChaosTotals,
    run::{RunError, Scale, run},
};
use serde_json::{Value, json};
use tokio::runtime::Builder;

/// Opens a shop of real processes for each seed, breaks it in many ways while a crowd buys, and
/// checks every promise.
#[derive(Parser)]
struct Arguments {
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
    /// Carry no plan out, but add up the runs whose `--folder` these were.
    #[arg(long, num_args = 1.., value_name = "FOLDER", conflicts_with_all = ["seeds", "plan"])]
    merge: Vec<PathBuf>,
    /// Where logs and histories are kept, by seed.
    #[arg(long, default_value = "target/chaos")]
    folder: PathBuf,
    /// Where the figures go.
    #[arg(long, default_value = fairline_figures::PROMISES)]
    figures: PathBuf,
}

/// The figures of a run, in its folder.
const KEPT: &str = "figures.json";

fn seeds_of(text: &str) -> Option<std::ops::Range<u64>> {
    match text.split_once("..") {
        Some((from, to)) => Some(from.parse().ok()?..to.parse().ok()?),
        None => Some(0..text.parse().ok()?),
    }
}

fn figures_of(figures: &ChaosTotals) -> [(&'static str, Value); 5] {
    [
        ("chaos_faults", json!(figures.faults())),
        ("chaos_violations", json!(figures.violations)),
        ("chaos_recovery_p50_s", json!(figures.recovery_p50_s())),
        ("chaos_recovery_p99_s", json!(figures.recovery_p99_s())),
        ("chaos_fail_over_p99_s", json!(figures.fail_over_p99_s())),
    ]
}

/// Executes a plan. A shop that can't continue ends its own seed only.
fn carry_out(plan: &ShopPlan, folder: &Path) -> Result<ShopOutcome, RunError> {
    let run_plan = AssertUnwindSafe(|| {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(run(plan, Scale::WHOLE, folder))
    });
    catch_unwind(run_plan).unwrap_or(Err(RunError::Panicked))
}

fn print_outcome(plan: &ShopPlan, took: Duration, outcome: &ShopOutcome, folder: &Path) {
    let slowest = outcome.recoveries.iter().filter(|recovery| !recovery.is_fail_over);
    let slowest = slowest.filter_map(|recovery| recovery.flows_after_s).fold(0.0, f64::max);
    println!(
        "seed {}: {} faults in {} s, {:.0} s of {:.0} s without a fault, {} violations, slowest recovery {slowest:.1} s, sold {} of {}",
        plan.seed,
        outcome.faults.len(),
        took.as_secs(),
        outcome.quiet.quiet_s,
        outcome.quiet.whole_s,
        outcome.violations.len(),
        outcome.report.sold,
        outcome.report.stock
    );
    for recovery in outcome.recoveries.iter().filter(|recovery| recovery.is_slow()) {
        println!("  slow: {recovery}");
    }
    for exit in &outcome.ended {
        println!("  ended unexpectedly: {exit}");
    }
    if !outcome.violations.is_empty() {
        print!("{plan}");
        for violation in &outcome.violations {
            println!("  BROKEN {violation}");
        }
        println!("  kept in {}", folder.display());
    }
}

/// Carries plans out, one after the other. What has been done so far is kept for `--merge`.
fn carry_out_all(plans: &[ShopPlan], folder: &Path) -> io::Result<ChaosTotals> {
    let mut figures = ChaosTotals::default();
    for plan in plans {
        let (begun, folder_of_seed) = (Instant::now(), folder.join(plan.seed.to_string()));
        match carry_out(plan, &folder_of_seed) {
            Ok(outcome) => {
                print_outcome(plan, begun.elapsed(), &outcome, &folder_of_seed);
                figures.add(outcome);
            }
            Err(error) => {
                figures.not_carried_out += 1;
                let kept = folder_of_seed.display();
                println!("seed {} could not be carried out: {error}\n{plan}  kept in {kept}", plan.seed);
            }
        }
        fs::create_dir_all(folder)?;
        fs::write(folder.join(KEPT), serde_json::to_vec(&figures)?)?;
    }
    Ok(figures)
}

/// The sum of other runs.
fn merged(folders: &[PathBuf]) -> io::Result<ChaosTotals> {
    let mut figures = ChaosTotals::default();
    for folder in folders {
        figures.merge(serde_json::from_slice(&fs::read(folder.join(KEPT))?)?);
    }
    Ok(figures)
}

fn main() -> ExitCode {
    let args = Arguments::parse();
    let Some(seeds) = seeds_of(&args.seeds) else {
        eprintln!("The seeds `{}` are neither a number nor a range.", args.seeds);
        return ExitCode::FAILURE;
    };
    let plans: Vec<ShopPlan> = seeds.map(|seed| ShopPlan::new(seed, args.rounds, args.only.as_deref())).collect();
    if args.plan {
        plans.iter().for_each(|plan| print!("{plan}"));
        return ExitCode::SUCCESS;
    }
    let figures = if args.merge.is_empty() { carry_out_all(&plans, &args.folder) } else { merged(&args.merge) };
    let written = figures.and_then(|figures| {
        print!("{figures}");
        fairline_figures::merge(&args.figures, figures_of(&figures))?;
        Ok(figures.is_well())
    });
    match written {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("read or write figures failed: {error}");
            ExitCode::FAILURE
        }
    }
}
