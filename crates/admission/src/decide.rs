//! The control law: how many tickets to admit now.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    lanes::{Lane, Turns},
    learner::{Demand, Learned, Outlook, Prior},
    pace::{Allowed, Health, Pace, Trouble},
    visits::{STAGES, Stage, Visits},
};

/// Maximum admissions per tick; keeps a transaction short.
pub const BATCH_MAX: u32 = 2_000;
/// An admission is not made if it would find all units bought with at least this probability,
/// however much of the risk budget is left.
const CHANCE_MAX: f64 = 0.1;
/// The probability that more than `MANY` times the stated risk are turned away is kept below
/// `MANY_CHANCE`, by what is known at each decision. This matters when all visits share one
/// uncertainty: then either no shopper is turned away or a crowd is.
const MANY: f64 = 4.0;
const MANY_CHANCE: f64 = 0.002;
/// If a shift has begun unnoticed, the mean share of admitted shoppers who may be turned away.
const SHIFT_SHARE: f64 = 0.005;

/// How the stock is promised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every admission has its own units: `promised + held + sold` never exceeds the stock.
    Guarantee,
    /// More visits are promised than there are units, because some are expected to end without an
    /// order. A unit is held only while its payment runs.
    Yield {
        /// The probability, over the whole sale, that an admitted shopper wants to pay and can't;
        /// from 0 to 1.
        risk: f64,
    },
}

/// The terms of a sale that concern admissions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// How the stock is promised.
    pub mode: Mode,
    /// Maximum units that one shopper may buy and one admission promises.
    pub units_per_admission: u32,
    /// Maximum admissions per second.
    pub rate_cap_per_s: f64,
    /// Maximum shoppers in checkout, including those with a token, who may enter at any moment.
    pub in_checkout_max: Option<u32>,
    /// Seconds in which a page has to claim a token.
    pub claim_window_s: f64,
    /// Seconds in which a claimed token has to be redeemed.
    pub token_ttl_s: f64,
    /// Seconds in which a redeemed visit has to begin its payment.
    pub hold_s: f64,
}

impl Terms {
    fn limits_s(&self) -> [f64; STAGES] {
        [self.claim_window_s, self.token_ttl_s, self.hold_s]
    }
}

/// The counters of a stock, in units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stock {
    /// All units of the sale.
    pub total: u32,
    /// Promised: to issued tokens and, in yield mode, to visits in checkout without a payment.
    pub promised: u32,
    /// Held: in checkout; in yield mode only while a payment runs.
    pub held: u32,
    /// Paid.
    pub sold: u32,
}

impl Stock {
    /// Units that are neither promised, held nor sold.
    #[must_use]
    pub fn free(&self) -> u32 {
        self.total.saturating_sub(self.promised.saturating_add(self.held).saturating_add(self.sold))
    }

    /// Units not sold yet.
    #[must_use]
    pub fn unsold(&self) -> u32 {
        self.total.saturating_sub(self.sold)
    }
}

/// The inputs of a decision.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// The terms of the sale.
    pub terms: &'a Terms,
    /// Units by state.
    pub stock: Stock,
    /// The lanes, at most [`crate::LANES_MAX`]; a sale without any is one lane.
    pub lanes: &'a [Lane],
    /// Outcomes of visits since the last decision. In guarantee mode they update the estimates but
    /// do not affect the decision.
    pub visits: &'a Visits,
    /// The health of checkout since the last decision.
    pub checkout: Health,
    /// Whether shoppers are still presenting their tickets to a line that was lost and begun anew.
    pub recovering: bool,
    /// Admissions that an operator requested at once, regardless of the rate, of checkout's health
    /// and of its cap; never more than there are units.
    pub at_once: u32,
    /// Seconds since the last decision.
    pub elapsed_s: f64,
    /// The estimates of visits from before the sale.
    pub prior: &'a Prior,
    /// The state from the last decision.
    pub memory: &'a Memory,
}

/// The state that a sale carries from one decision to the next. Any controller that has it can make
/// the next decision.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The rate cap and the back-off.
    pub pace: Pace,
    /// How far each lane is behind its share.
    pub turns: Turns,
    /// What has been learned from visits.
    pub learned: Learned,
    /// Shoppers admitted so far.
    pub admitted: f64,
    /// Expected number of shoppers turned away over the whole sale, by the decisions so far.
    pub risked: f64,
}

impl Memory {
    /// Parses stored state, written by this version or by one that runs beside it: unknown fields
    /// are ignored, and only an unreadable part is reset.
    #[must_use]
    pub fn read(text: &str) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Parts {
            pace: Value,
            turns: Value,
            learned: Value,
            admitted: Value,
            risked: Value,
        }
        fn part<T: DeserializeOwned + Default>(part: Value) -> T {
            serde_json::from_value(part).unwrap_or_default()
        }
        let Parts { pace, turns, learned, admitted, risked } = serde_json::from_str(text).unwrap_or_default();
        Self {
            pace: part(pace),
            turns: part(turns),
            learned: part(learned),
            admitted: part(admitted),
            risked: part(risked),
        }
    }
}

/// How many tickets to admit, and why not more.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Maximum tickets to admit, by lane.
    pub by_lane: Vec<u32>,
    /// Why not more.
    pub reason: Reason,
    /// The expected outcome of the visits in progress.
    pub outlook: Expected,
    memory: Memory,
    allowed: Allowed,
}

/// Expectations of the law, for metrics and the console.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Expected {
    /// Mean number of units that the visits in progress will want.
    pub wanted: f64,
    /// The probability that a visit admitted now will want to pay.
    pub chance: f64,
    /// The probability that the visits in progress will want all remaining units or more.
    pub surplus: f64,
}

impl Decision {
    /// Maximum tickets to admit, in all lanes.
    #[must_use]
    pub fn admissions(&self) -> u32 {
        self.by_lane.iter().sum()
    }

    /// The state after `admitted` shoppers were admitted: fewer than decided if tickets had
    /// departed.
    #[must_use]
    pub fn remember(mut self, admitted: u32) -> Memory {
        self.memory.pace.note(&self.allowed, admitted);
        self.memory.admitted += f64::from(admitted);
        self.memory.risked += f64::from(admitted) * self.outlook.surplus * self.outlook.chance;
        self.memory
    }
}

/// Why no more tickets were admitted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Reason {
    /// All waiting shoppers have been admitted.
    NoneWaiting,
    /// The cap per second.
    RateCap {
        /// Admissions a second.
        per_s: f64,
    },
    /// The limit per tick, which keeps transactions short.
    Batch,
    /// Checkout is, or was a moment ago, in trouble.
    BackOff {
        /// The kind of trouble.
        trouble: Trouble,
        /// Admissions per second at present.
        per_s: f64,
    },
    /// The cap on shoppers in checkout.
    CheckoutFull {
        /// Shoppers in checkout, or with a token for it.
        inside: u32,
        /// The maximum.
        most: u32,
    },
    /// Guarantee mode: every unit is promised to a token, in checkout or sold; some may be
    /// released.
    AllPromised {
        /// Units promised to tokens.
        promised: u32,
        /// Units in checkout.
        held: u32,
    },
    /// Yield mode: the visits in progress are as many as the unsold units can serve at the stated
    /// risk.
    Overbooked {
        /// Visits in progress.
        visits: u32,
        /// Units that they are expected to want, rounded.
        wanted: u32,
        /// Units not sold.
        unsold: u32,
    },
    /// Every unit is sold.
    SoldOut,
    /// The line was lost; shoppers near its front get time to present their tickets.
    Recovering,
}

impl Reason {
    /// The reason's machine-readable name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Reason::NoneWaiting => "none_waiting",
            Reason::RateCap { .. } => "rate_cap",
            Reason::Batch => "batch",
            Reason::BackOff { .. } => "back_off",
            Reason::CheckoutFull { .. } => "checkout_full",
            Reason::AllPromised { .. } => "all_promised",
            Reason::Overbooked { .. } => "overbooked",
            Reason::SoldOut => "sold_out",
            Reason::Recovering => "recovering",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Reason::NoneWaiting => f.write_str("the line: no shopper is waiting"),
            Reason::RateCap { per_s } => {
                write!(f, "the rate cap of {} per second", (per_s * 10.0).round() / 10.0)
            }
            Reason::Batch => write!(f, "the batch size of {BATCH_MAX} at once"),
            Reason::BackOff { trouble, per_s } => {
                let how = match trouble {
                    Trouble::Unreachable => "could not be reached",
                    Trouble::Failing => "failed too often",
                    Trouble::Slow => "was slow",
                };
                write!(f, "the back-off to {} per second: checkout {how}", (per_s * 10.0).round() / 10.0)
            }
            Reason::CheckoutFull { inside, most } => {
                write!(f, "the cap of {most} shoppers in checkout: {inside} are in it or on the way")
            }
            Reason::AllPromised { promised, held: 0 } => {
                write!(f, "the stock: every unit is taken for now, waiting for {promised} out as tokens to be used")
            }
            Reason::AllPromised { promised, held } => {
                write!(f, "the stock: every unit is taken for now, {promised} out as tokens, {held} in checkout")
            }
            Reason::Overbooked { visits, wanted, unsold } => write!(
                f,
                "the stock: {visits} visits are under way for {unsold} unsold units, and about {wanted} of these will be wanted"
            ),
            Reason::SoldOut => f.write_str("the stock: every unit is sold"),
            Reason::Recovering => {
                f.write_str("the recovery of the line: its shoppers are presenting their tickets again")
            }
        }
    }
}

/// Decides how many tickets to admit.
#[must_use]
pub fn decide(seen: &Observation<'_>) -> Decision {
    let (terms, stock) = (seen.terms, seen.stock);
    let mut memory = seen.memory.clone();
    memory.learned.learn(seen.prior, seen.visits, &terms.limits_s(), seen.elapsed_s);
    let allowed = memory.pace.allow(terms.rate_cap_per_s, &seen.checkout, seen.visits, seen.elapsed_s);

    let waiting = seen.lanes.iter().fold(0u64, |sum, lane| sum.saturating_add(lane.waiting));
    let by_line = u32::try_from(waiting).unwrap_or(u32::MAX);
    let inside = inside(seen);
    let by_checkout = terms.in_checkout_max.map_or(u32::MAX, |most| most.saturating_sub(inside));
    let by_pace = allowed.admissions.min(by_checkout).max(seen.at_once);
    let asked = if seen.recovering { 0 } else { by_line.min(by_pace).min(BATCH_MAX) };

    let (by_stock, outlook) = match terms.mode {
        Mode::Guarantee => (stock.free().div_ceil(terms.units_per_admission.max(1)), Expected::default()),
        // One more than requested, so that the stock is named as the limit only when it is.
        Mode::Yield { risk } => overbook(seen, &memory, risk, asked + 1),
    };
    let admissions = asked.min(by_stock);

    let reason = if seen.recovering {
        Reason::Recovering
    } else if stock.unsold() == 0 || (stock.free() == 0 && stock.promised == 0 && stock.held == 0) {
        Reason::SoldOut
    } else if admissions == by_line {
        Reason::NoneWaiting
    } else if admissions == by_stock {
        match terms.mode {
            Mode::Guarantee => {
                Reason::AllPromised { promised: stock.promised.saturating_add(stock.free()), held: stock.held }
            }
            Mode::Yield { .. } => Reason::Overbooked {
                visits: seen.visits.under_way.all().saturating_add(seen.visits.paying).saturating_add(admissions),
                wanted: (outlook.wanted + f64::from(admissions) * outlook.chance).round() as u32,
                unsold: stock.unsold(),
            },
        }
    } else if let Some(most) = terms.in_checkout_max.filter(|_| admissions == by_checkout) {
        Reason::CheckoutFull { inside: inside.saturating_add(admissions), most }
    } else if admissions == BATCH_MAX {
        Reason::Batch
    } else if let Some((trouble, per_s)) = allowed.trouble {
        Reason::BackOff { trouble, per_s }
    } else {
        Reason::RateCap { per_s: terms.rate_cap_per_s }
    };
    let by_lane = memory.turns.divide(seen.lanes, admissions);
    Decision { by_lane, reason, outlook, memory, allowed }
}

/// Shoppers in checkout, or with a token for it.
fn inside(seen: &Observation<'_>) -> u32 {
    seen.visits.under_way.all().saturating_add(seen.visits.paying)
}

/// How many of `asked` visits the unsold units can serve beside those in progress, in yield mode.
///
/// A visit admitted now causes a rejection if it wants to pay and the visits before it want all
/// remaining units. The expected number of rejections therefore grows by its probability to pay
/// times the probability of a surplus, and over the sale it is the sum of these products, whatever
/// happens in between. The law spends `risk × admissions` on that sum, evenly over the visits still
/// to be admitted; budget that early visits leave is available for the last units, where it is
/// needed. Two more rules bound what the mean does not: `MANY` and `SHIFT_SHARE`.
fn overbook(seen: &Observation<'_>, memory: &Memory, risk: f64, asked: u32) -> (u32, Expected) {
    let (terms, stock) = (seen.terms, seen.stock);
    let unsold = f64::from(stock.unsold());
    let outlook = Outlook::of(seen.prior, &memory.learned, &terms.limits_s(), terms.units_per_admission);
    let demand: Demand = outlook.demand(seen.visits, stock.held);
    let now = demand.with(0);
    let chance = demand.of_fresh();
    let surpluses = demand.surplus(stock.unsold(), asked);
    let surplus = |fresh: u32| if stock.unsold() == 0 { 1.0 } else { surpluses.with(fresh) };

    // Visits still to be admitted until every unit is expected to be wanted.
    let to_come = ((unsold - now.mean) / chance.max(1e-6)).max(1.0);
    let budget = (risk.clamp(0.0, 1.0) * (memory.admitted + to_come) - memory.risked).max(0.0);
    let chance_max = (budget / to_come / chance.max(1e-6)).min(CHANCE_MAX);
    let all = memory.admitted + to_come;
    let many = (MANY * risk.clamp(0.0, 1.0) * all).round() as u32;
    let many_surplus = demand.surplus(stock.unsold().saturating_add(many), asked);
    // As many visits as units are safe in any case.
    let safe = (unsold - now.most).max(0.0) / f64::from(terms.units_per_admission.max(1));
    let serves = |fresh: u32| {
        f64::from(fresh) < safe
            || (demand.shifted(fresh) < unsold + SHIFT_SHARE * all
                && surplus(fresh) <= chance_max
                && many_surplus.with(fresh) <= MANY_CHANCE)
    };
    // The most visits for which the last one still finds no surplus among those before it.
    let (mut enough, mut too_many) = (0, asked + 1);
    while enough + 1 < too_many {
        let middle = enough + (too_many - enough) / 2;
        if serves(middle - 1) { enough = middle } else { too_many = middle }
    }
    // The mean risk of the visits admitted now.
    let middle = surplus(enough / 2);
    (if stock.unsold() == 0 { 0 } else { enough }, Expected { wanted: now.mean, chance, surplus: middle })
}

/// The units that each admission promises: the limit per shopper, until `free` units are used up.
pub fn quantities(free: u32, units_per_admission: u32) -> impl Iterator<Item = u32> {
    let mut left = free;
    std::iter::from_fn(move || {
        let quantity = left.min(units_per_admission.max(1));
        left -= quantity;
        (quantity > 0).then_some(quantity)
    })
}

impl Expected {
    /// The probability, by age bin, that a visit of this stage ends in an order; see
    /// [`crate::visits::BIN_STARTS_S`].
    #[must_use]
    pub fn chances(prior: &Prior, learned: &Learned, terms: &Terms, stage: Stage) -> Vec<f64> {
        let outlook = Outlook::of(prior, learned, &terms.limits_s(), terms.units_per_admission);
        (0..crate::visits::BINS).map(|bin| outlook.chance(stage, bin)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{pace::LATE_MAX_S, visits::BINS};

    fn terms() -> Terms {
        Terms {
            mode: Mode::Guarantee,
            units_per_admission: 1,
            rate_cap_per_s: 10.0,
            in_checkout_max: None,
            claim_window_s: 15.0,
            token_ttl_s: 120.0,
            hold_s: 300.0,
        }
    }

    /// The inputs of a decision, owned.
    #[derive(Debug, Clone)]
    struct Seen {
        terms: Terms,
        stock: Stock,
        lanes: Vec<Lane>,
        visits: Visits,
        checkout: Health,
        recovering: bool,
        at_once: u32,
        elapsed_s: f64,
        memory: Memory,
    }

    impl Seen {
        fn decide(&self) -> Decision {
            decide(&Observation {
                terms: &self.terms,
                stock: self.stock,
                lanes: &self.lanes,
                visits: &self.visits,
                checkout: self.checkout,
                recovering: self.recovering,
                at_once: self.at_once,
                elapsed_s: self.elapsed_s,
                prior: &Prior::cautious(),
                memory: &self.memory,
            })
        }
    }

    fn seen() -> Seen {
        Seen {
            terms: terms(),
            stock: Stock { total: 100, ..Stock::default() },
            lanes: vec![Lane { waiting: 1000, share: 1.0 }],
            visits: Visits::default(),
            checkout: Health::default(),
            recovering: false,
            at_once: 0,
            elapsed_s: 0.2,
            memory: Memory::default(),
        }
    }

    fn waiting(waiting: u64) -> Vec<Lane> {
        vec![Lane { waiting, share: 1.0 }]
    }

    #[test]
    fn each_bound_is_obeyed_and_named() {
        let decided = |seen: &Seen| (seen.decide().admissions(), seen.decide().reason.to_string());
        let says = |seen: &Seen, n: u32, words: &str| {
            let (admissions, reason) = decided(seen);
            assert_eq!((admissions, reason.as_str()), (n, words));
        };
        says(&seen(), 2, "the rate cap of 10 per second");
        says(&Seen { lanes: waiting(1), ..seen() }, 1, "the line: no shopper is waiting");
        says(&Seen { lanes: Vec::new(), ..seen() }, 0, "the line: no shopper is waiting");
        let taken = Stock { promised: 90, held: 4, sold: 6, total: 100 };
        let words = "the stock: every unit is taken for now, 90 out as tokens, 4 in checkout";
        says(&Seen { stock: taken, ..seen() }, 0, words);
        let tokens = Stock { promised: 12, held: 0, sold: 88, total: 100 };
        let words = "the stock: every unit is taken for now, waiting for 12 out as tokens to be used";
        says(&Seen { stock: tokens, ..seen() }, 0, words);
        says(&Seen { stock: Stock { sold: 100, total: 100, ..taken }, ..seen() }, 0, "the stock: every unit is sold");
        says(
            &Seen { recovering: true, ..seen() },
            0,
            "the recovery of the line: its shoppers are presenting their tickets again",
        );
        let wide = Terms { rate_cap_per_s: 1e9, ..terms() };
        let plenty = Stock { total: 10_000, ..Stock::default() };
        says(
            &Seen { terms: wide, stock: plenty, lanes: waiting(9_000), ..seen() },
            2_000,
            "the batch size of 2000 at once",
        );
        let mut busy = Seen { terms: Terms { in_checkout_max: Some(31), ..wide }, ..seen() };
        busy.visits.under_way.0[2][8] = 30;
        says(&busy, 1, "the cap of 31 shoppers in checkout: 31 are in it or on the way");
        let away = Health { reachable: false, ..Health::default() };
        says(&Seen { checkout: away, ..seen() }, 0, "the back-off to 0.2 per second: checkout could not be reached");
    }

    #[test]
    fn one_for_each_unit_before_anything_is_known_and_more_when_visits_end_without_an_order() {
        let terms = Terms { mode: Mode::Yield { risk: 0.002 }, rate_cap_per_s: 1e9, ..terms() };
        let mut at_first = Seen { terms, ..seen() };
        let first = at_first.decide().admissions();
        assert!((100..=110).contains(&first), "{first} for 100 units");
        at_first.visits.under_way.0[0][0] = 100;
        let more = at_first.decide();
        assert!(more.admissions() <= 10, "{}", more.admissions());
        assert!(more.reason.to_string().contains("visits are under way for 100 unsold units"), "{}", more.reason);
        // 100 have been in checkout for four minutes; few visits begin to pay at that age.
        let mut late = Seen { terms, ..seen() };
        late.visits.under_way.0[2][27] = 100;
        for _ in 0..600 {
            late.memory = late.decide().remember(0);
        }
        let now = late.decide();
        assert!(now.admissions() > 40, "{}: {} ({:?})", now.admissions(), now.reason, now.outlook);
    }

    #[test]
    fn a_stock_that_is_no_bound_is_not_named_as_one() {
        let terms = Terms { mode: Mode::Yield { risk: 0.002 }, ..terms() };
        let capped = Seen { terms, stock: Stock { total: 10_000, ..Stock::default() }, ..seen() };
        assert_eq!(capped.decide().reason, Reason::RateCap { per_s: 10.0 });
        // Also between two admissions of the cap.
        let between = Seen { elapsed_s: 0.01, ..capped };
        assert_eq!((between.decide().admissions(), between.decide().reason), (0, Reason::RateCap { per_s: 10.0 }));
    }

    #[test]
    fn the_last_unit_is_never_left_idle() {
        let terms = Terms { mode: Mode::Yield { risk: 0.0 }, ..terms() };
        let last = Seen { terms, stock: Stock { total: 100, sold: 99, ..Stock::default() }, ..seen() };
        assert_eq!(last.decide().admissions(), 1);
    }

    #[test]
    fn twenty_thousand_visits_cost_what_twenty_do() {
        let terms = Terms { mode: Mode::Yield { risk: 0.002 }, rate_cap_per_s: 1e9, ..terms() };
        let mut many = Seen { terms, stock: Stock { total: 20_000, ..Stock::default() }, ..seen() };
        for bin in 0..BINS {
            many.visits.under_way.0[2][bin] = 625;
        }
        let decision = many.decide();
        assert_eq!(decision.outlook.wanted.is_finite(), decision.outlook.chance > 0.0);
        // The complete state, as it is stored between ticks.
        let text = serde_json::to_string(&decision.remember(0)).expect("numbers have a form in JSON");
        assert!(text.len() < 16_000, "{} bytes", text.len());
    }

    fn any_visits() -> impl Strategy<Value = Visits> {
        let cells = || prop::collection::vec((0usize..STAGES, 0usize..BINS, 0u32..400), 0..12);
        (cells(), cells(), cells(), 0u32..50, 0u32..50, 0u32..5).prop_map(
            |(under_way, moved_on, left, paying, paid, failed)| {
                let mut visits = Visits { paying, paid, failed, ..Visits::default() };
                let fill = |cells: Vec<(usize, usize, u32)>, counts: &mut crate::visits::ByAge, of: u32| {
                    cells.into_iter().for_each(|(stage, bin, count)| counts.0[stage][bin] = count / of);
                };
                fill(under_way, &mut visits.under_way, 1);
                fill(moved_on, &mut visits.moved_on, 20);
                fill(left, &mut visits.left, 20);
                visits.quantities[0] = paid;
                visits
            },
        )
    }

    fn any_seen() -> impl Strategy<Value = Seen> {
        let stock = (0u32..5_000, 0u32..2_000, 0u32..2_000, 0u32..5_000);
        let lanes = prop::collection::vec((0u64..5_000, 0f64..5.0), 0..4);
        let mode = prop_oneof![Just(Mode::Guarantee), (0f64..0.05).prop_map(|risk| Mode::Yield { risk })];
        let wanted = (mode, 1u32..6, 0.05f64..5_000.0, prop::option::of(0u32..3_000));
        (stock, lanes, wanted, any_visits(), -1f64..10.0, any::<bool>()).prop_map(
            |(
                (total, promised, held, sold),
                lanes,
                (mode, units_per_admission, rate_cap_per_s, in_checkout_max),
                visits,
                elapsed_s,
                recovering,
            )| {
                // In guarantee mode the database ensures that promises never exceed the stock.
                let sold = sold.min(total);
                let held = held.min(total - sold);
                let promised = if mode == Mode::Guarantee { promised.min(total - sold - held) } else { promised };
                Seen {
                    terms: Terms { mode, units_per_admission, rate_cap_per_s, in_checkout_max, ..terms() },
                    stock: Stock { total, promised, held, sold },
                    lanes: lanes.into_iter().map(|(waiting, share)| Lane { waiting, share }).collect(),
                    visits,
                    checkout: Health::default(),
                    recovering,
                    at_once: 0,
                    elapsed_s,
                    memory: Memory::default(),
                }
            },
        )
    }

    #[test]
    fn what_another_version_wrote_is_read_as_far_as_it_is_known() {
        let slow = Health { requests: 100, latency_p95_ms: 900.0, latency_max_ms: 500.0, ..Health::default() };
        let mut ailing = Seen { checkout: slow, ..seen() };
        ailing.memory.admitted = 40.0;
        ailing.memory.risked = 0.5;
        let memory = ailing.decide().remember(1);
        let text = serde_json::to_string(&memory).expect("JSON");
        assert_eq!(Memory::read(&text), memory);
        let mut newer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        newer["of_a_later_version"] = 1.into();
        newer["pace"]["back_off"]["of_a_later_version"] = 1.into();
        newer["learned"]["of_a_later_version"] = 1.into();
        assert_eq!(Memory::read(&newer.to_string()), memory, "what a later version knows more");
        newer["learned"]["moved_on"] = "in another form".into();
        let read = Memory::read(&newer.to_string());
        assert_eq!(
            (read.pace, read.admitted, read.risked),
            (memory.pace, 41.0, memory.risked),
            "back-off and risk stay"
        );
        newer["pace"].as_object_mut().expect("an object").remove("in_time");
        assert!(
            serde_json::to_string(&Memory::read(&newer.to_string()).pace).expect("JSON").contains("began_at_per_s"),
            "what an earlier version knew less"
        );
        assert_eq!(Memory::read("{}"), Memory::default());
    }

    proptest! {
        #[test]
        fn never_more_than_the_line_the_cap_or_checkout_allow_and_never_without_a_reason(seen in any_seen()) {
            let decision = seen.decide();
            let n = decision.admissions();
            let waiting: u64 = seen.lanes.iter().map(|lane| lane.waiting).sum();
            prop_assert!(u64::from(n) <= waiting && n <= BATCH_MAX);
            // Turns that lapsed unclaimed are returned to the rate, within the burst limit.
            let quiet = seen.visits.lapsed == 0 && seen.visits.left.0[0] == [0; BINS] && seen.visits.moved_on.0[0] == [0; BINS];
            let earns_s = if quiet { seen.elapsed_s.clamp(0.0, LATE_MAX_S) } else { LATE_MAX_S };
            prop_assert!(f64::from(n) <= seen.terms.rate_cap_per_s * earns_s + 1.0);
            let inside = seen.visits.under_way.all() + seen.visits.paying;
            if let Some(most) = seen.terms.in_checkout_max {
                prop_assert!(n == 0 || inside + n <= most);
            }
            prop_assert!(!seen.recovering || n == 0);
            prop_assert!(decision.by_lane.iter().zip(&seen.lanes).all(|(&n, lane)| u64::from(n) <= lane.waiting));
            prop_assert!(decision.reason.to_string().len() > 10);
            prop_assert_eq!(&seen.decide(), &decision, "the same observation is the same decision");
        }

        #[test]
        fn as_many_as_are_wanted_at_once_come_and_never_more_than_there_are_units(seen in any_seen(), at_once in 0u32..5000) {
            let seen = Seen { terms: Terms { mode: Mode::Guarantee, ..seen.terms }, recovering: false, at_once, ..seen };
            let seen = Seen { stock: Stock { promised: seen.stock.promised.min(seen.stock.total - seen.stock.sold - seen.stock.held), ..seen.stock }, ..seen };
            let n = seen.decide().admissions();
            let waiting: u64 = seen.lanes.iter().map(|lane| lane.waiting).sum();
            let backed = quantities(seen.stock.free(), seen.terms.units_per_admission).take(BATCH_MAX as usize).count() as u64;
            prop_assert!(u64::from(n) <= waiting.min(backed));
            prop_assert!(u64::from(n) >= u64::from(at_once).min(waiting).min(backed));
        }

        #[test]
        fn a_guarantee_is_backed_unit_by_unit_and_nothing_stays_idle(seen in any_seen()) {
            let seen = Seen { terms: Terms { mode: Mode::Guarantee, ..seen.terms }, recovering: false, ..seen };
            let seen = Seen { stock: Stock { promised: seen.stock.promised.min(seen.stock.total - seen.stock.sold - seen.stock.held), ..seen.stock }, ..seen };
            let decision = seen.decide();
            let n = decision.admissions() as usize;
            let units: Vec<u32> = quantities(seen.stock.free(), seen.terms.units_per_admission).take(n).collect();
            prop_assert_eq!(units.len(), n, "every admission has units");
            prop_assert!(units.iter().all(|&units| (1..=seen.terms.units_per_admission).contains(&units)));
            prop_assert!(units.iter().sum::<u32>() <= seen.stock.free());
            if matches!(decision.reason, Reason::AllPromised { .. } | Reason::SoldOut) {
                prop_assert_eq!(units.iter().sum::<u32>(), seen.stock.free(), "or a cap is named");
            }
        }

        #[test]
        fn in_yield_mode_no_unit_is_idle_while_people_wait_and_nothing_caps(seen in any_seen(), risk in 0f64..0.05) {
            let terms = Terms { mode: Mode::Yield { risk }, rate_cap_per_s: 1e9, in_checkout_max: None, ..seen.terms };
            let lanes = vec![Lane { waiting: 1_000_000, share: 1.0 }];
            let seen = Seen { terms, lanes, recovering: false, elapsed_s: 0.2, ..seen };
            let n = seen.decide().admissions();
            let visits = seen.visits.under_way.all() + n;
            // If each visit took its maximum, all together would want every unsold unit.
            let covered = visits * terms.units_per_admission + seen.stock.held;
            prop_assert!(n == BATCH_MAX || covered >= seen.stock.unsold(), "{covered} of {}", seen.stock.unsold());
        }

        #[test]
        fn more_stock_risk_or_cap_never_mean_fewer_admissions(seen in any_seen(), more in 1u32..500, risk in 0f64..0.05) {
            let n = |seen: &Seen| seen.decide().admissions();
            let before = n(&seen);
            let mut stocked = seen.clone();
            stocked.stock.total += more;
            prop_assert!(n(&stocked) >= before);
            let mut faster = seen.clone();
            faster.terms.rate_cap_per_s *= 1.5;
            prop_assert!(n(&faster) >= before);
            let with_risk = |risk: f64| {
                let terms = Terms { mode: Mode::Yield { risk }, ..seen.terms };
                n(&Seen { terms, ..seen.clone() })
            };
            prop_assert!(with_risk(risk + 0.01) >= with_risk(risk));
        }

        #[test]
        fn what_is_remembered_survives_being_written_down(ticks in prop::collection::vec(any_visits(), 1..8), risk in 0f64..0.05) {
            let terms = Terms { mode: Mode::Yield { risk }, ..terms() };
            let mut seen = Seen { terms, stock: Stock { total: 2_000, ..Stock::default() }, ..seen() };
            for visits in ticks {
                seen.visits = visits;
                let decision = seen.decide();
                let admitted = decision.admissions();
                let memory = decision.remember(admitted);
                let text = serde_json::to_string(&memory).expect("numbers have a form in JSON");
                let read = Memory::read(&text);
                let again = Seen { memory: read, ..seen.clone() }.decide();
                seen.memory = memory;
                let kept = seen.decide();
                prop_assert_eq!(&again.by_lane, &kept.by_lane);
                prop_assert_eq!(again.reason, kept.reason);
            }
        }

        #[test]
        fn over_a_minute_the_cap_holds(rate in 0.5f64..500.0, ticks in prop::collection::vec(0.01f64..1.0, 1..300)) {
            let terms = Terms { rate_cap_per_s: rate, ..terms() };
            let mut seen = Seen { terms, stock: Stock { total: 1_000_000, ..Stock::default() }, lanes: waiting(1_000_000), ..seen() };
            let (mut admitted, mut time) = (0u32, 0.0);
            for elapsed_s in ticks {
                seen.elapsed_s = elapsed_s;
                let decision = seen.decide();
                let n = decision.admissions();
                admitted += n;
                seen.memory = decision.remember(n);
                time += elapsed_s;
            }
            prop_assert!(f64::from(admitted) <= rate * time + 1e-6);
        }
    }
}
