//! The admission policies: the law, and its baselines.

use fairline_admission::{AdmissionMode, Health, Lane, Memory, Observation, Prior, Terms, decide};
use fairline_shopper_model::LIMITS_S;

use crate::{
    sale::{Policy, PolicyInputs, TICK_S},
    shopper::SimulatedCrowd,
};

/// The controller's own control law.
pub(crate) struct ControllerLaw {
    pub(crate) terms: Terms,
    prior: Prior,
    memory: Memory,
}

/// All shoppers wait in one endless lane.
const LANE: [Lane; 1] = [Lane { waiting: u64::MAX, share: 1.0 }];

impl ControllerLaw {
    pub(crate) fn new(mode: AdmissionMode, rate_cap_per_s: f64, prior: Prior) -> Self {
        let [claim_window_s, token_ttl_s, hold_s] = LIMITS_S;
        let terms = Terms {
            mode,
            units_per_admission: 1,
            rate_cap_per_s,
            in_checkout_max: None,
            claim_window_s,
            token_ttl_s,
            hold_s,
        };
        Self { terms, prior, memory: Memory::default() }
    }

    /// The same law for a sale with other time limits, in seconds.
    pub(crate) fn within(mut self, [claim_window_s, token_ttl_s, hold_s]: [f64; 3]) -> Self {
        self.terms = Terms { claim_window_s, token_ttl_s, hold_s, ..self.terms };
        self
    }

    /// The prior that this sale leaves for the next.
    pub(crate) fn taught(&self) -> Prior {
        self.prior.after(&self.memory.learned)
    }
}

impl Policy for ControllerLaw {
    fn admit(&mut self, view: &PolicyInputs<'_>) -> u32 {
        let decision = decide(&Observation {
            at_once: 0,
            terms: &self.terms,
            stock: view.stock,
            lanes: &LANE,
            visits: view.visits,
            checkout: Health::default(),
            recovering: false,
            elapsed_s: TICK_S,
            prior: &self.prior,
            memory: &self.memory,
        });
        let admissions = decision.admissions();
        self.memory = decision.remember(admissions);
        admissions
    }
}

/// Turns a rate into whole admissions.
struct WholeAdmissions {
    credit: f64,
}

impl WholeAdmissions {
    fn admissions(&mut self, per_s: f64) -> u32 {
        self.credit += per_s * TICK_S;
        let admissions = self.credit as u32;
        self.credit -= f64::from(admissions);
        admissions
    }
}

/// Units that would be wanted if visits of any age bought as often as those that have ended, with
/// one earlier purchase assumed.
fn wanted_by_count(view: &PolicyInputs<'_>) -> f64 {
    let under_way = view.visits.under_way.all() + view.stock.held;
    f64::from(under_way) * f64::from(view.stock.sold + 1) / f64::from(view.ended + 1)
}

/// Admits as many as the share of ended visits with an order suggests; ignores ages.
pub(crate) struct CountRule {
    rate_cap_per_s: f64,
    whole: WholeAdmissions,
}

impl CountRule {
    pub(crate) fn new(rate_cap_per_s: f64) -> Self {
        Self { rate_cap_per_s, whole: WholeAdmissions { credit: 0.0 } }
    }
}

impl Policy for CountRule {
    fn admit(&mut self, view: &PolicyInputs<'_>) -> u32 {
        let cap = self.whole.admissions(self.rate_cap_per_s);
        let chance = f64::from(view.stock.sold + 1) / f64::from(view.ended + 1);
        let room = f64::from(view.stock.unsold()) - wanted_by_count(view);
        cap.min((room / chance).max(0.0) as u32)
    }
}

/// A PID controller on the rate. Its error is the share of the stock that no visit in progress is
/// expected to want.
pub(crate) struct Pid {
    rate_cap_per_s: f64,
    whole: WholeAdmissions,
    integral: f64,
    last: f64,
    gains: [f64; 3],
}

impl Pid {
    pub(crate) fn new(rate_cap_per_s: f64, gains: [f64; 3]) -> Self {
        Self { rate_cap_per_s, whole: WholeAdmissions { credit: 0.0 }, integral: 0.0, last: 1.0, gains }
    }
}

impl Policy for Pid {
    fn admit(&mut self, view: &PolicyInputs<'_>) -> u32 {
        let error = (f64::from(view.stock.unsold()) - wanted_by_count(view)) / f64::from(view.stock.total);
        let slope = (error - self.last) / TICK_S;
        self.last = error;
        let [proportional, integral, derivative] = self.gains;
        let rate = proportional * error + integral * (self.integral + error * TICK_S) + derivative * slope;
        // No windup while the rate is at a limit.
        if (0.0..=1.0).contains(&rate) {
            self.integral += error * TICK_S;
        }
        self.whole.admissions(self.rate_cap_per_s * rate.clamp(0.0, 1.0))
    }
}

/// Additive increase and multiplicative decrease of the rate: it grows until a shopper is turned
/// away.
pub(crate) struct Aimd {
    rate_cap_per_s: f64,
    whole: WholeAdmissions,
    rate_per_s: f64,
    since_cut_s: f64,
}

impl Aimd {
    pub(crate) fn new(rate_cap_per_s: f64) -> Self {
        Self {
            rate_cap_per_s,
            whole: WholeAdmissions { credit: 0.0 },
            rate_per_s: rate_cap_per_s / 10.0,
            since_cut_s: 0.0,
        }
    }
}

impl Policy for Aimd {
    fn admit(&mut self, view: &PolicyInputs<'_>) -> u32 {
        self.since_cut_s += TICK_S;
        if view.turned_away > 0 {
            if self.since_cut_s >= 2.0 {
                self.rate_per_s /= 2.0;
                self.since_cut_s = 0.0;
            }
        } else {
            self.rate_per_s = (self.rate_per_s + self.rate_cap_per_s / 60.0 * TICK_S).min(self.rate_cap_per_s);
        }
        self.whole.admissions(self.rate_per_s)
    }
}

/// The result of a line that is admitted at one rate, computed in hindsight without a simulation:
/// who buys when.
pub(crate) struct Hindsight {
    pub(crate) t99_s: f64,
    pub(crate) turned_away_share: f64,
    /// Units sold over time.
    pub(crate) curve: Vec<(f64, u32)>,
}

/// The planner: admits the line in order and as fast as the cap allows, until as many buyers are
/// inside as there are units; then no one else.
pub(crate) fn clairvoyant(crowd: &mut SimulatedCrowd, stock: u32, rate_cap_per_s: f64) -> Hindsight {
    let mut bought_s = Vec::with_capacity(stock as usize);
    let mut at = 0;
    while bought_s.len() < stock as usize {
        if let Some(after_s) = crowd.visit(at).buys_after_s() {
            bought_s.push((at + 1) as f64 / rate_cap_per_s + after_s);
        }
        at += 1;
    }
    bought_s.sort_by(f64::total_cmp);
    let target = (f64::from(stock) * 0.99).ceil() as usize;
    let curve = bought_s.iter().enumerate().map(|(at, &time_s)| (time_s, at as u32 + 1)).collect();
    Hindsight { t99_s: bought_s[target - 1], turned_away_share: 0.0, curve }
}

/// A constant rate until everything is sold.
pub(crate) fn fixed_rate(crowd: &mut SimulatedCrowd, stock: u32, rate_per_s: f64) -> Hindsight {
    // Admissions continue until the sale is sold out, which the earliest ones decide.
    let mut bought: Vec<(f64, f64)> = Vec::new();
    let mut sold_out_s = f64::INFINITY;
    let mut at = 0;
    let mut paid_s: std::collections::BinaryHeap<u64> = std::collections::BinaryHeap::new();
    let mut wanted: Vec<f64> = Vec::new();
    loop {
        let admitted_s = (at + 1) as f64 / rate_per_s;
        if admitted_s > sold_out_s {
            break;
        }
        let visit = crowd.visit(at);
        if let Some(after_s) = visit.pays_after_s() {
            wanted.push(admitted_s + after_s);
        }
        if let Some(after_s) = visit.buys_after_s() {
            let time_s = admitted_s + after_s;
            bought.push((admitted_s + after_s - visit.payment_s, time_s));
            paid_s.push((time_s * 1e6) as u64);
            if paid_s.len() > stock as usize {
                paid_s.pop();
            }
            if paid_s.len() == stock as usize {
                sold_out_s = paid_s.peek().map_or(f64::INFINITY, |&time| time as f64 / 1e6);
            }
        }
        at += 1;
    }
    let mut times: Vec<f64> = bought.iter().map(|&(_, time_s)| time_s).collect();
    times.sort_by(f64::total_cmp);
    bought.sort_by(|a, b| a.0.total_cmp(&b.0));
    let last_began_s = bought[stock as usize - 1].0;
    let turned_away = wanted.iter().filter(|&&began_s| began_s > last_began_s).count();
    let target = (f64::from(stock) * 0.99).ceil() as usize;
    let curve = times.iter().take(stock as usize).enumerate().map(|(at, &time_s)| (time_s, at as u32 + 1)).collect();
    Hindsight { t99_s: times[target - 1], turned_away_share: turned_away as f64 / at as f64, curve }
}

/// The constant rate, below the cap, that sells 99 % in the given time.
pub(crate) fn best_fixed_rate(crowd: &mut SimulatedCrowd, stock: u32, rate_cap_per_s: f64, t99_s: f64) -> Hindsight {
    let (mut slow, mut fast) = (rate_cap_per_s / 50.0, rate_cap_per_s);
    for _ in 0..10 {
        let middle = f64::midpoint(slow, fast);
        if fixed_rate(crowd, stock, middle).t99_s > t99_s { slow = middle } else { fast = middle }
    }
    fixed_rate(crowd, stock, fast)
}
