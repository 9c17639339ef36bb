//! `make bench-admission`: the control law against simulated shoppers, in virtual time.
//!
//! The controller's own `decide` admits simulated people; other policies, and a planner with
//! perfect foresight, serve as baselines. `docs/admission.md` describes the model, the figures, and
//! how to read them.
//!
//! - `shopper`: the people; `sale`: the sale; `policy`: the admission policies; `runs`: the runs.

mod figure;
mod live;
mod plot;
mod policy;
mod runs;
mod sale;
mod shopper;

use std::{fs, path::PathBuf, process::ExitCode};

use clap::Parser;
use fairline_figures::{
    bench::{self, Failure},
    table::number,
};

use crate::{
    plot::{Axis, Names, PlotFrame, Series, draw},
    runs::{POLICIES, PolicyResults, RunSize},
    shopper::SaleSetting,
};

/// Run the control law against simulated shoppers, and print and save the results.
#[derive(Debug, Parser)]
#[command(name = "bench-admission")]
struct Arguments {
    /// Crowds per setting.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    seeds: u64,
    /// Folder for the figures, as one JSON object, and for the plots.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// Print every setting, too.
    #[arg(long)]
    settings: bool,
    /// Smoke test: run everything with a handful of shoppers.
    #[arg(long)]
    smoke: bool,
    /// Compare this many live sales in each mode with simulated ones, instead.
    #[arg(long, value_name = "SALES", requires = "fairline", value_parser = clap::value_parser!(u64).range(1..=30))]
    live: Option<u64>,
    /// The `fairline` program, which serves the sales and sends the crowd.
    #[arg(long, value_name = "PROGRAM")]
    fairline: Option<PathBuf>,
}

fn main() -> ExitCode {
    bench::exit_code(measure(&Arguments::parse()))
}

/// Returns whether the figures reach their targets, which a smoke test need not, and live sales do
/// not have.
fn measure(arguments: &Arguments) -> Result<bool, Failure> {
    if let Some((sales, fairline)) = arguments.live.zip(arguments.fairline.as_deref()) {
        let (found, table) = live::compare(fairline, sales)?;
        fs::create_dir_all(&arguments.folder)?;
        fs::write(arguments.folder.join("admission-live.json"), format!("{found:#}\n"))?;
        println!("{table}");
        return Ok(true);
    }
    let size = if arguments.smoke { RunSize::smoke() } else { RunSize::full(arguments.seeds) };
    let decide_us = runs::decide_us();
    let results = runs::run_all(&size);
    let figures = results.figures(decide_us);
    bench::write(&figures, &arguments.folder.join("admission.json"))?;
    fs::write(arguments.folder.join("admission-sold.svg"), sold_plot(&size.shown))?;
    fs::write(arguments.folder.join("admission-frontier.svg"), frontier_plot(&size.shown, size.frontier_seeds))?;
    if arguments.settings {
        println!("{}", by_setting(&results, &size));
    }
    println!("{}", by_policy(&results));
    println!("{}\n", figures.to_table());
    println!("Plots: {0}/admission-sold.svg, {0}/admission-frontier.svg", arguments.folder.display());
    Ok(arguments.smoke || figures.are_reached())
}

const HEAD: &str =
    "t99 / planner's      turned away\n                          median   worst     median     worst      mean";

fn by_policy(results: &PolicyResults) -> String {
    let mut table = format!("{:26}{HEAD}\n", "");
    for name in POLICIES {
        if let Some(row) = results.rows.get(name) {
            table.push_str(&line(name, row));
        }
    }
    table
}

fn by_setting(results: &PolicyResults, size: &RunSize) -> String {
    let mut table = String::new();
    for stock in &size.stocks {
        for chance in &size.chances {
            let percent = (chance * 100.0).round() as u32;
            table.push_str(&format!("{:26}{HEAD}\n", format!("stock {stock}, chance {chance}")));
            for name in POLICIES {
                if let Some(row) = results.by_setting.get(&(*stock, percent, name)) {
                    table.push_str(&line(name, row));
                }
            }
        }
    }
    table
}

fn line(name: &str, row: &runs::PolicyRow) -> String {
    format!(
        "{name:26}{:6.3} {:7.3} {:>10} {:>9} {:>9}\n",
        row.t99.median(),
        row.t99.worst(),
        number(row.turned_away.median()),
        number(row.turned_away.worst()),
        number(row.turned_away.mean())
    )
}

/// Equally spaced axis marks.
fn marks(high: f64, steps: u32, label: impl Fn(f64) -> String) -> Vec<(f64, String)> {
    (0..=steps).map(|step| high * f64::from(step) / f64::from(steps)).map(|value| (value, label(value))).collect()
}

fn sold_plot(setting: &SaleSetting) -> String {
    let mut curves = runs::curves(setting);
    let total = f64::from(setting.stock);
    // The plot ends when the slowest policy has sold 99 %: the rest is a long, flat line.
    let last_s = curves.iter().map(|curve| curve.t99_s).filter(|t99_s| t99_s.is_finite()).fold(60.0, f64::max);
    let high_s = (last_s / 120.0).ceil() * 120.0;
    let subtitle = format!(
        "{} units; of those let in {:.0} % buy. One crowd, six policies; a dot where 99 % are sold.",
        grouped(total),
        setting.chance * 100.0
    );
    let frame = PlotFrame {
        title: "Units sold over time",
        subtitle: &subtitle,
        x: Axis {
            name: "minutes since the sale opened",
            low: 0.0,
            high: high_s,
            marks: marks(high_s, (high_s / 120.0) as u32, |value| format!("{:.0}", value / 60.0)),
            is_root: false,
        },
        y: Axis { name: "units sold", low: 0.0, high: total, marks: marks(total, 4, grouped), is_root: false },
        names: Names::Listed,
    };
    // Listed from the fastest to the slowest, like the dots.
    let colours: Vec<&str> = curves.iter().map(|curve| curve.name).collect();
    curves.sort_by(|a, b| a.t99_s.total_cmp(&b.t99_s));
    let series: Vec<Series> = curves
        .into_iter()
        .map(|curve| Series {
            name: curve.name.to_owned(),
            note: format!("{:.1} min, {} turned away", curve.t99_s / 60.0, percent(curve.turned_away_share)),
            colour: colours.iter().position(|name| *name == curve.name).unwrap_or_default(),
            points: thinned(&curve.sold, high_s),
            is_dashed: curve.name == colours[0],
            dots: vec![(curve.t99_s, (total * 0.99).ceil())],
        })
        .collect();
    draw(&frame, &series)
}

/// Formats a share in as few characters as possible.
fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "none".to_owned(),
        few if few < 0.1 => format!("{few:.2} %"),
        many => format!("{many:.1} %"),
    }
}

/// Formats a whole number with thousands separators.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let parts: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|part| std::str::from_utf8(part).ok()).collect();
    parts.join(",")
}

/// Up to some hundred points of a curve until a moment, including the last one.
fn thinned(curve: &[(f64, u32)], until_s: f64) -> Vec<(f64, f64)> {
    const POINTS: usize = 300;
    let curve = &curve[..curve.partition_point(|point| point.0 <= until_s)];
    let step = curve.len().div_ceil(POINTS).max(1);
    let ends = curve.last().filter(|_| !(curve.len() - 1).is_multiple_of(step));
    curve.iter().step_by(step).chain(ends).map(|&(time_s, sold)| (time_s, f64::from(sold))).collect()
}

fn frontier_plot(setting: &SaleSetting, seeds: u64) -> String {
    let frontier = runs::frontier(setting, seeds);
    let subtitle = format!(
        "{} units; of those let in {:.0} % buy. Means of {seeds} crowds; yield by its stated risk, 0.02 % to 5 %.",
        grouped(setting.stock.into()),
        setting.chance * 100.0
    );
    let frame = PlotFrame {
        title: "Speed against people turned away",
        subtitle: &subtitle,
        x: Axis {
            name: "time to 99 % sold, divided by the planner's",
            low: 0.75,
            high: 3.0,
            marks: [0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0].map(|value| (value, format!("{value}"))).to_vec(),
            is_root: false,
        },
        y: Axis {
            name: "let in, wanted to pay, and could not (scale of square roots)",
            low: 0.0,
            high: 0.2,
            marks: [0.0, 0.001, 0.005, 0.02, 0.05, 0.1, 0.2]
                .map(|value| (value, format!("{} %", value * 100.0)))
                .to_vec(),
            is_root: true,
        },
        names: Names::AtEnds,
    };
    let mut series: Vec<Series> = frontier
        .into_iter()
        .enumerate()
        .map(|(at, (name, points))| Series {
            name: name.to_owned(),
            note: String::new(),
            colour: at + 1,
            dots: points.clone(),
            points,
            is_dashed: at == 2,
        })
        .collect();
    let planner = vec![(1.0, 0.0)];
    series.push(Series {
        name: "the planner".to_owned(),
        note: String::new(),
        colour: 0,
        dots: planner.clone(),
        points: planner,
        is_dashed: false,
    });
    draw(&frame, &series)
}
