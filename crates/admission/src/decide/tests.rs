//! Tests of the control law.

use proptest::prelude::*;

use super::*;
use crate::{pace::LATE_MAX_S, visits::BINS};

fn terms() -> Terms {
    Terms {
        mode: AdmissionMode::Guarantee,
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
    stock: StockCounters,
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
        stock: StockCounters { total: 100, ..StockCounters::default() },
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
    let expect = |seen: &Seen, n: u32, words: &str| {
        let (admissions, reason) = decided(seen);
        assert_eq!((admissions, reason.as_str()), (n, words));
    };
    expect(&seen(), 2, "the rate cap of 10 per second");
    expect(&Seen { lanes: waiting(1), ..seen() }, 1, "the line: no shopper is waiting");
    expect(&Seen { lanes: Vec::new(), ..seen() }, 0, "the line: no shopper is waiting");
    let taken = StockCounters { promised: 90, held: 4, sold: 6, total: 100 };
    let words = "the stock: no unit is free: 90 promised, 4 held";
    expect(&Seen { stock: taken, ..seen() }, 0, words);
    let tokens = StockCounters { promised: 12, held: 0, sold: 88, total: 100 };
    let words = "the stock: no unit is free: 12 promised, 0 held";
    expect(&Seen { stock: tokens, ..seen() }, 0, words);
    expect(
        &Seen { stock: StockCounters { sold: 100, total: 100, ..taken }, ..seen() },
        0,
        "the stock: every unit is sold",
    );
    expect(
        &Seen { recovering: true, ..seen() },
        0,
        "the recovery of the line: its shoppers are presenting their tickets again",
    );
    let wide = Terms { rate_cap_per_s: 1e9, ..terms() };
    let plenty = StockCounters { total: 10_000, ..StockCounters::default() };
    expect(
        &Seen { terms: wide, stock: plenty, lanes: waiting(9_000), ..seen() },
        2_000,
        "the batch size of 2000 at once",
    );
    let mut busy = Seen { terms: Terms { in_checkout_max: Some(31), ..wide }, ..seen() };
    busy.visits.under_way.0[2][8] = 30;
    expect(&busy, 1, "the cap of 31 shoppers in checkout: 31 are in checkout or hold a token");
    let away = Health { reachable: false, ..Health::default() };
    expect(&Seen { checkout: away, ..seen() }, 0, "the back-off to 0.5 per second: checkout could not be reached");
}

#[test]
fn a_first_sale_admits_one_per_unit_and_more_when_visits_end_without_an_order() {
    let terms = Terms { mode: AdmissionMode::Yield { risk: 0.002 }, rate_cap_per_s: 1e9, ..terms() };
    let mut at_first = Seen { terms, ..seen() };
    let first = at_first.decide().admissions();
    assert!((100..=110).contains(&first), "{first} for 100 units");
    at_first.visits.under_way.0[0][0] = 100;
    let more = at_first.decide();
    assert!(more.admissions() <= 10, "{}", more.admissions());
    assert!(more.reason.to_string().contains("of 100 unsold units"), "{}", more.reason);
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
    let terms = Terms { mode: AdmissionMode::Yield { risk: 0.002 }, ..terms() };
    let capped = Seen { terms, stock: StockCounters { total: 10_000, ..StockCounters::default() }, ..seen() };
    assert_eq!(capped.decide().reason, Reason::RateCap { per_s: 10.0 });
    // Also between two admissions of the cap.
    let between = Seen { elapsed_s: 0.01, ..capped };
    assert_eq!((between.decide().admissions(), between.decide().reason), (0, Reason::RateCap { per_s: 10.0 }));
}

#[test]
fn the_last_unit_is_never_left_idle() {
    let terms = Terms { mode: AdmissionMode::Yield { risk: 0.0 }, ..terms() };
    let last = Seen { terms, stock: StockCounters { total: 100, sold: 99, ..StockCounters::default() }, ..seen() };
    assert_eq!(last.decide().admissions(), 1);
}

#[test]
fn twenty_thousand_visits_cost_what_twenty_do() {
    let terms = Terms { mode: AdmissionMode::Yield { risk: 0.002 }, rate_cap_per_s: 1e9, ..terms() };
    let mut many = Seen { terms, stock: StockCounters { total: 20_000, ..StockCounters::default() }, ..seen() };
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
    let mode = prop_oneof![Just(AdmissionMode::Guarantee), (0f64..0.05).prop_map(|risk| AdmissionMode::Yield { risk })];
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
            let promised = if mode == AdmissionMode::Guarantee { promised.min(total - sold - held) } else { promised };
            Seen {
                terms: Terms { mode, units_per_admission, rate_cap_per_s, in_checkout_max, ..terms() },
                stock: StockCounters { total, promised, held, sold },
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
fn memory_of_another_version_is_read_as_far_as_it_is_known() {
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
    assert_eq!(Memory::read(&newer.to_string()), memory, "unknown fields are ignored");
    newer["learned"]["moved_on"] = "in another form".into();
    let read = Memory::read(&newer.to_string());
    assert_eq!((read.pace, read.admitted, read.risked), (memory.pace, 41.0, memory.risked), "back-off and risk stay");
    newer["pace"].as_object_mut().expect("an object").remove("in_time");
    assert!(
        serde_json::to_string(&Memory::read(&newer.to_string()).pace).expect("JSON").contains("began_at_per_s"),
        "missing fields have defaults"
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
    fn at_once_admits_as_requested_and_never_more_than_there_are_units(seen in any_seen(), at_once in 0u32..5000) {
        let seen = Seen { terms: Terms { mode: AdmissionMode::Guarantee, ..seen.terms }, recovering: false, at_once, ..seen };
        let seen = Seen { stock: StockCounters { promised: seen.stock.promised.min(seen.stock.total - seen.stock.sold - seen.stock.held), ..seen.stock }, ..seen };
        let n = seen.decide().admissions();
        let waiting: u64 = seen.lanes.iter().map(|lane| lane.waiting).sum();
        let backed = quantities(seen.stock.free(), seen.terms.units_per_admission).take(BATCH_MAX as usize).count() as u64;
        prop_assert!(u64::from(n) <= waiting.min(backed));
        prop_assert!(u64::from(n) >= u64::from(at_once).min(waiting).min(backed));
    }

    #[test]
    fn a_guarantee_is_backed_unit_by_unit_and_nothing_stays_idle(seen in any_seen()) {
        let seen = Seen { terms: Terms { mode: AdmissionMode::Guarantee, ..seen.terms }, recovering: false, ..seen };
        let seen = Seen { stock: StockCounters { promised: seen.stock.promised.min(seen.stock.total - seen.stock.sold - seen.stock.held), ..seen.stock }, ..seen };
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
    fn in_yield_mode_no_unit_is_idle_while_shoppers_wait_and_nothing_caps(seen in any_seen(), risk in 0f64..0.05) {
        let terms = Terms { mode: AdmissionMode::Yield { risk }, rate_cap_per_s: 1e9, in_checkout_max: None, ..seen.terms };
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
            let terms = Terms { mode: AdmissionMode::Yield { risk }, ..seen.terms };
            n(&Seen { terms, ..seen.clone() })
        };
        prop_assert!(with_risk(risk + 0.01) >= with_risk(risk));
    }

    #[test]
    fn memory_decides_the_same_after_a_round_trip(ticks in prop::collection::vec(any_visits(), 1..8), risk in 0f64..0.05) {
        let terms = Terms { mode: AdmissionMode::Yield { risk }, ..terms() };
        let mut seen = Seen { terms, stock: StockCounters { total: 2_000, ..StockCounters::default() }, ..seen() };
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
        let mut seen = Seen { terms, stock: StockCounters { total: 1_000_000, ..StockCounters::default() }, lanes: waiting(1_000_000), ..seen() };
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
