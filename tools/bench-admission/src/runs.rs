//! The benchmark runs: every policy in every setting, with every seed.

use std::{
    collections::BTreeMap,
    hint::black_box,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use fairline_admission::{
    AdmissionMode, Health, Lane, Memory, Observation, Prior, Stage, StockCounters, Visits, decide,
};
use fairline_figures::table::{self, Measured, number};

use crate::{
    figure::{FIGURES, Values},
    policy::{Aimd, ControllerLaw, CountRule, Hindsight, Pid, best_fixed_rate, clairvoyant, fixed_rate},
    sale::{PromiseMode, SaleOutcome, run},
    shopper::{SaleSetting, SimulatedCrowd},
};

/// The risk in yield mode.
pub(crate) const RISK: f64 = 0.002;
/// Seconds in which the cap admits as many shoppers as there are units.
const CAP_FOR_STOCK_S: f64 = 90.0;
/// A cap that never binds, and the number of its seeds.
const NO_CAP: f64 = 1e9;
const UNCAPPED_SEEDS: u64 = 10;
/// Gains of the PID controller: the best of a few, tuned by hand with other seeds.
const GAINS: [f64; 3] = [4.0, 0.0, 0.0];

/// The size of the benchmark.
#[derive(Debug, Clone)]
pub(crate) struct RunSize {
    pub(crate) seeds: u64,
    /// Crowds per point of the frontier.
    pub(crate) frontier_seeds: u64,
    pub(crate) stocks: Vec<u32>,
    pub(crate) chances: Vec<f64>,
    /// The setting of the plots.
    pub(crate) shown: SaleSetting,
}

impl RunSize {
    pub(crate) fn full(seeds: u64) -> Self {
        Self {
            seeds,
            frontier_seeds: seeds.min(10),
            stocks: vec![200, 2_000, 20_000],
            chances: vec![0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
            shown: SaleSetting { stock: 2_000, chance: 0.5, shift: 1.0 },
        }
    }

    /// A smoke test with a handful of shoppers.
    pub(crate) fn smoke() -> Self {
        let shown = SaleSetting { stock: 60, chance: 0.5, shift: 1.0 };
        Self { seeds: 2, frontier_seeds: 1, stocks: vec![shown.stock], chances: vec![0.4, 0.8], shown }
    }
}

/// Results of a policy over all its runs: time to 99 % sold, divided by the planner's, and the
/// share turned away.
#[derive(Debug, Clone, Default)]
pub(crate) struct PolicyRow {
    pub(crate) t99: Values,
    pub(crate) turned_away: Values,
}

/// The policies, in the order of the table.
pub(crate) const POLICIES: [&str; 12] = [
    "yield, after prior sales",
    "yield, nothing known",
    "yield, chance doubles",
    "yield, chance halves",
    "prior sale, then doubles",
    "prior sale, then halves",
    "guarantee: one per unit",
    "count rule, age-blind",
    "PID on the rate",
    "AIMD on the rate",
    "best fixed rate",
    "fixed rate at the cap",
];

/// All results.
#[derive(Debug, Default)]
pub(crate) struct PolicyResults {
    pub(crate) rows: BTreeMap<&'static str, PolicyRow>,
    /// The same by setting: stock, chance in per cent.
    pub(crate) by_setting: BTreeMap<(u32, u32, &'static str), PolicyRow>,
    promise_broken: Values,
    idle: Values,
    idle_capped: Values,
}

fn cap_per_s(stock: u32) -> f64 {
    f64::from(stock) / CAP_FOR_STOCK_S
}

fn of_yield(crowd: &mut SimulatedCrowd, stock: u32, risk: f64, prior: Prior) -> (SaleOutcome, ControllerLaw) {
    let mut law = ControllerLaw::new(AdmissionMode::Yield { risk }, cap_per_s(stock), prior);
    let outcome = run(crowd, stock, PromiseMode::WhilePaying, &mut law);
    (outcome, law)
}

/// The prior from an earlier sale of the same kind.
fn prior_of(earlier: &mut SimulatedCrowd, stock: u32) -> Prior {
    of_yield(earlier, stock, RISK, Prior::cautious()).1.taught()
}

/// Runs every policy once for one setting and seed.
fn measure(stock: u32, chance: f64, seed: u64, results: &Mutex<PolicyResults>) {
    let setting = SaleSetting { stock, chance, shift: 1.0 };
    let cap = cap_per_s(stock);
    let (mut crowd, mut earlier) = SimulatedCrowd::of(&setting, seed);
    let planner_s = clairvoyant(&mut crowd, stock, cap).t99_s;
    let mut found: Vec<(&'static str, f64, f64)> = Vec::with_capacity(POLICIES.len());
    let mut note = |name, planner_s: f64, outcome: &SaleOutcome| {
        found.push((name, outcome.t99_s / planner_s, outcome.turned_away_share()));
    };

    let prior = prior_of(&mut earlier, stock);
    note(POLICIES[0], planner_s, &of_yield(&mut crowd, stock, RISK, prior.clone()).0);
    let ours = of_yield(&mut crowd, stock, RISK, Prior::cautious()).0;
    note(POLICIES[1], planner_s, &ours);
    for (name, misled, factor) in [(POLICIES[2], POLICIES[4], 2.0), (POLICIES[3], POLICIES[5], 0.5)] {
        if chance * factor > 0.95 || chance * factor < 0.15 {
            continue;
        }
        let (mut crowd, _) = SimulatedCrowd::of(&SaleSetting { shift: factor, ..setting }, seed);
        let planner_s = clairvoyant(&mut crowd, stock, cap).t99_s;
        note(name, planner_s, &of_yield(&mut crowd, stock, RISK, Prior::cautious()).0);
        note(misled, planner_s, &of_yield(&mut crowd, stock, RISK, prior.clone()).0);
    }
    let mut guarantee = ControllerLaw::new(AdmissionMode::Guarantee, cap, Prior::cautious());
    let guaranteed = run(&mut crowd, stock, PromiseMode::Always, &mut guarantee);
    note(POLICIES[6], planner_s, &guaranteed);
    let uncapped = (seed <= UNCAPPED_SEEDS).then(|| {
        let mut uncapped = ControllerLaw::new(AdmissionMode::Guarantee, NO_CAP, Prior::cautious());
        run(&mut crowd, stock, PromiseMode::Always, &mut uncapped)
    });
    note(POLICIES[7], planner_s, &run(&mut crowd, stock, PromiseMode::WhilePaying, &mut CountRule::new(cap)));
    note(POLICIES[8], planner_s, &run(&mut crowd, stock, PromiseMode::WhilePaying, &mut Pid::new(cap, GAINS)));
    note(POLICIES[9], planner_s, &run(&mut crowd, stock, PromiseMode::WhilePaying, &mut Aimd::new(cap)));
    let fixed = best_fixed_rate(&mut crowd, stock, cap, ours.t99_s);
    found.push((POLICIES[10], fixed.t99_s / planner_s, fixed.turned_away_share));
    let fastest = fixed_rate(&mut crowd, stock, cap);
    found.push((POLICIES[11], fastest.t99_s / planner_s, fastest.turned_away_share));

    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, t99, turned_away) in found {
        let percent = (chance * 100.0).round() as u32;
        let PolicyResults { rows, by_setting, .. } = &mut *results;
        for row in [rows.entry(name).or_default(), by_setting.entry((stock, percent, name)).or_default()] {
            row.t99.add(t99);
            row.turned_away.add(turned_away);
        }
    }
    results.idle_capped.add(guaranteed.idle_share());
    results.promise_broken.add(guaranteed.promise_broken_share());
    if let Some(uncapped) = uncapped {
        results.idle.add(uncapped.idle_share());
        results.promise_broken.add(uncapped.promise_broken_share());
    }
}

/// Calls `work` for each of `jobs`, on all cores.
fn on_all_cores<Job: Sync>(jobs: &[Job], work: impl Fn(&Job) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(job);
                }
            });
        }
    });
}

/// Runs everything.
pub(crate) fn run_all(size: &RunSize) -> PolicyResults {
    let mut jobs = Vec::new();
    for &stock in size.stocks.iter().rev() {
        for &chance in &size.chances {
            jobs.extend((1..=size.seeds).map(|seed| (stock, chance, seed)));
        }
    }
    let results = Mutex::new(PolicyResults::default());
    on_all_cores(&jobs, |&(stock, chance, seed)| measure(stock, chance, seed, &results));
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl PolicyResults {
    /// The figures of the table, including `decide_us`.
    pub(crate) fn figures(&self, decide_us: f64) -> table::Results {
        let row = |at: usize| self.rows.get(POLICIES[at]).cloned().unwrap_or_default();
        let (known, unknown, doubles, halves, one) = (row(0), row(1), row(2), row(3), row(6));
        let (fixed, fastest) = (row(10), row(11));
        let figure = Measured::plain;
        let worst = |values: &Values| format!("worst {}", number(values.worst()));
        let spread = |values: &Values| format!("worst {}, mean {}", number(values.worst()), number(values.mean()));
        let mut results = table::Results::of(&FIGURES);
        results.measured = vec![
            figure("guarantee_turned_away", self.promise_broken.worst(), "worst".to_owned()),
            figure(
                "guarantee_idle",
                self.idle.worst(),
                format!(
                    "worst; median {}; {} where the cap keeps units back",
                    number(self.idle.median()),
                    number(self.idle_capped.median())
                ),
            ),
            figure("yield_known_t99", known.t99.median(), worst(&known.t99)),
            figure("yield_known_turned_away", known.turned_away.median(), spread(&known.turned_away)),
            figure("yield_t99_vs_clairvoyant", unknown.t99.median(), worst(&unknown.t99)),
            figure("yield_turned_away", unknown.turned_away.median(), spread(&unknown.turned_away)),
            figure(
                "yield_worst_turned_away",
                unknown.turned_away.worst(),
                "of all stocks, chances and seeds".to_owned(),
            ),
            figure(
                "yield_shift_turned_away",
                doubles.turned_away.worst().max(halves.turned_away.worst()),
                format!(
                    "worst; doubled {}, halved {}",
                    number(doubles.turned_away.worst()),
                    number(halves.turned_away.worst())
                ),
            ),
            figure(
                "best_fixed_rate_turned_away",
                fixed.turned_away.median(),
                format!("{}; at the cap median {}", worst(&fixed.turned_away), number(fastest.turned_away.median())),
            ),
            figure("one_per_unit_t99_vs_clairvoyant", one.t99.median(), worst(&one.t99)),
            figure(
                "decide_us",
                decide_us,
                "20,000 visits under way, counted from their ages and decided on; median".to_owned(),
            ),
        ];
        results
    }
}

/// The sales curve of one policy.
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    /// Units sold over time: seconds, units.
    pub(crate) sold: Vec<(f64, u32)>,
    pub(crate) t99_s: f64,
    pub(crate) turned_away_share: f64,
}

/// The sales curves of all policies for the crowd of one seed.
pub(crate) fn curves(setting: &SaleSetting) -> Vec<Curve> {
    let (mut crowd, mut earlier) = SimulatedCrowd::of(setting, 1);
    let (stock, cap) = (setting.stock, cap_per_s(setting.stock));
    let prior = prior_of(&mut earlier, stock);
    let ran = |name, outcome: SaleOutcome| {
        let turned_away_share = outcome.turned_away_share();
        Curve { name, sold: outcome.curve, t99_s: outcome.t99_s, turned_away_share }
    };
    let knew = |name, Hindsight { curve, t99_s, turned_away_share }: Hindsight| Curve {
        name,
        sold: curve,
        t99_s,
        turned_away_share,
    };
    let known = of_yield(&mut crowd, stock, RISK, prior).0;
    let unknown = of_yield(&mut crowd, stock, RISK, Prior::cautious()).0;
    let fixed = best_fixed_rate(&mut crowd, stock, cap, unknown.t99_s);
    let pid = run(&mut crowd, stock, PromiseMode::WhilePaying, &mut Pid::new(cap, GAINS));
    let guarantee = run(
        &mut crowd,
        stock,
        PromiseMode::Always,
        &mut ControllerLaw::new(AdmissionMode::Guarantee, cap, Prior::cautious()),
    );
    vec![
        knew("the planner", clairvoyant(&mut crowd, stock, cap)),
        ran(POLICIES[0], known),
        ran(POLICIES[1], unknown),
        knew(POLICIES[10], fixed),
        ran(POLICIES[8], pid),
        ran(POLICIES[6], guarantee),
    ]
}

/// Mean speed and mean share turned away, by policy, along the risk or the rate.
pub(crate) type Frontier = Vec<(&'static str, Vec<(f64, f64)>)>;

/// The risks of the frontier, from high to low, and the rates as parts of the cap.
const RISKS: [f64; 7] = [0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0002];
const RATES: [f64; 8] = [1.0, 0.8, 0.65, 0.5, 0.4, 0.32, 0.25, 0.2];

/// The frontier of speed against shoppers turned away.
pub(crate) fn frontier(setting: &SaleSetting, seeds: u64) -> Frontier {
    let found: Mutex<BTreeMap<(usize, usize), (Values, Values)>> = Mutex::new(BTreeMap::new());
    let names = [POLICIES[0], POLICIES[1], "a fixed rate", POLICIES[7], POLICIES[8], POLICIES[9], POLICIES[6]];
    let seeds: Vec<u64> = (1..=seeds).collect();
    on_all_cores(&seeds, |&seed| {
        let (mut crowd, mut earlier) = SimulatedCrowd::of(setting, seed);
        let (stock, cap) = (setting.stock, cap_per_s(setting.stock));
        let planner_s = clairvoyant(&mut crowd, stock, cap).t99_s;
        let prior = prior_of(&mut earlier, stock);
        let note = |curve: usize, at: usize, t99_s: f64, share: f64| {
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            let (t99, turned_away) = found.entry((curve, at)).or_default();
            t99.add(t99_s / planner_s);
            turned_away.add(share);
        };
        for (at, &risk) in RISKS.iter().enumerate() {
            for (curve, prior) in [(0, prior.clone()), (1, Prior::cautious())] {
                let outcome = of_yield(&mut crowd, stock, risk, prior).0;
                note(curve, at, outcome.t99_s, outcome.turned_away_share());
            }
        }
        for (at, part) in RATES.iter().enumerate() {
            let Hindsight { t99_s, turned_away_share, .. } = fixed_rate(&mut crowd, stock, cap * part);
            note(2, at, t99_s, turned_away_share);
        }
        let single = |curve, outcome: SaleOutcome| note(curve, 0, outcome.t99_s, outcome.turned_away_share());
        single(3, run(&mut crowd, stock, PromiseMode::WhilePaying, &mut CountRule::new(cap)));
        single(4, run(&mut crowd, stock, PromiseMode::WhilePaying, &mut Pid::new(cap, GAINS)));
        single(5, run(&mut crowd, stock, PromiseMode::WhilePaying, &mut Aimd::new(cap)));
        let mut guarantee = ControllerLaw::new(AdmissionMode::Guarantee, cap, Prior::cautious());
        single(6, run(&mut crowd, stock, PromiseMode::Always, &mut guarantee));
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let points = |curve: usize| {
        let of_curve = found.range((curve, 0)..(curve + 1, 0));
        of_curve.map(|(_, (t99, turned_away))| (t99.mean(), turned_away.mean())).collect()
    };
    names.into_iter().enumerate().map(|(at, name)| (name, points(at))).collect()
}

/// Microseconds of one decision with 20,000 visits in progress, including the count of their ages:
/// the median of many.
pub(crate) fn decide_us() -> f64 {
    const VISITS: u32 = 20_000;
    const ROUNDS: usize = 301;
    let terms = ControllerLaw::new(AdmissionMode::Yield { risk: RISK }, NO_CAP, Prior::cautious()).terms;
    // The middle of a sale: every stage and age, and events of the last tick.
    let ages: Vec<(Stage, f64)> = (0..VISITS)
        .map(|at| match at % 10 {
            0 => (Stage::Called, f64::from(at % 1_500) / 100.0),
            1..=3 => (Stage::Claimed, f64::from(at % 12_000) / 100.0),
            _ => (Stage::Shopping, f64::from(at % 30_000) / 100.0),
        })
        .collect();
    let (prior, mut memory) = (Prior::cautious(), Memory::default());
    let mut took_us = Values::default();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let mut visits = Visits { paying: 50, paid: 5, ..Visits::default() };
        ages.iter().for_each(|&(stage, age_s)| visits.under_way.count(stage, age_s));
        ages.iter().step_by(500).for_each(|&(stage, age_s)| visits.moved_on.count(stage, age_s));
        let decision = decide(&Observation {
            at_once: 0,
            terms: &terms,
            stock: StockCounters { total: 20_000, promised: VISITS, held: 50, sold: 6_000 },
            lanes: &[Lane { waiting: 100_000, share: 1.0 }],
            visits: &visits,
            checkout: Health::default(),
            recovering: false,
            elapsed_s: 0.2,
            prior: &prior,
            memory: &memory,
        });
        memory = black_box(decision).remember(0);
        took_us.add(began.elapsed().as_secs_f64() * 1e6);
    }
    took_us.median()
}
