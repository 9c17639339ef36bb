//! Tests of the learner.

use super::{
    outlook::{Outlook, units_of_an_order},
    rates::Rates,
    *,
};

const LIMITS_S: [f64; STAGES] = [15.0, 120.0, 300.0];

fn visits(stage: Stage, bin: usize, count: u32) -> Visits {
    let mut visits = Visits::default();
    visits.under_way.0[stage as usize][bin] = count;
    visits
}

#[test]
fn before_any_visit_every_visit_is_expected_to_buy() {
    let outlook = Outlook::of(&Prior::cautious(), &LearnedVisits::default(), &LIMITS_S, 1);
    assert!(outlook.at_start[0][0] > 0.8, "{}", outlook.at_start[0][0]);
    let demand = outlook.demand(&visits(Stage::Called, 0, 100), 0);
    assert!(demand.with(0).at_least(99.0) > 0.02, "with uncertainty");
}

#[test]
fn slopes_equal_the_effect_of_a_small_change() {
    let (prior, learned) = (Prior::cautious(), LearnedVisits::default());
    let mut seen = visits(Stage::Claimed, 4, 7);
    seen.under_way.0[2][9] = 5;
    let outlook = Outlook::of(&prior, &learned, &LIMITS_S, 1);
    let slopes = outlook.slopes(&|stage, bin| f64::from(seen.under_way.0[stage][bin]), 0.0);
    for (stage, bin) in [(1, 4), (1, 6), (2, 3), (2, 9), (2, 12)] {
        for leaving in [false, true] {
            let mean = |factor: f64| {
                let mut prior = prior.clone();
                let table = if leaving { &mut prior.leaving } else { &mut prior.moving_on };
                table[stage][bin] *= factor;
                Outlook::of(&prior, &learned, &LIMITS_S, 1).demand(&seen, 0).with(0).mean
            };
            let numeric = (mean(1.001) - mean(0.999)) / 0.002;
            let ours = if leaving { slopes.leaving[stage][bin] } else { slopes.moving_on[stage][bin] };
            assert!((numeric - ours).abs() < 1e-4 * (1.0 + ours.abs()), "{stage} {bin}: {ours} for {numeric}");
        }
    }
}

#[test]
fn an_undecided_visit_counts_as_censored() {
    // Of 1000 visits at an age of 28 to 40 seconds, one in 100 moves on per second; their end
    // is unknown.
    let prior = Prior::cautious();
    let mut learned = LearnedVisits::default();
    let mut seen = visits(Stage::Shopping, 9, 1000);
    seen.moved_on.0[2][9] = 10;
    for _ in 0..12 {
        learned.learn(&prior, &seen, &LIMITS_S, 1.0);
    }
    let rate = Rates::of(&prior, &learned).moving_on[2][9].mean;
    assert!((rate - 0.01).abs() < 0.0005, "{rate}");
}

#[test]
fn a_long_pause_between_ticks_spreads_over_the_ages_that_visits_had_meanwhile() {
    let seen = visits(Stage::Shopping, 17, 10);
    let spent_s = time_spent(&seen, &LIMITS_S, 20.0);
    assert!((spent_s[2].iter().sum::<f64>() - 200.0).abs() < 1e-6);
    assert!(spent_s[2][16] > 0.0 && spent_s[2][18] == 0.0);
    // The time spent is limited by the age of the visits.
    assert!(time_spent(&seen, &LIMITS_S, 1e6)[2].iter().sum::<f64>() <= 480.0);
}

#[test]
fn a_doubled_rate_is_noticed_and_an_unchanged_one_is_not() {
    let prior = Prior::cautious();
    let mut learned = LearnedVisits::default();
    let mut seen = visits(Stage::Shopping, 9, 500);
    seen.moved_on.0[2][9] = 5;
    for _ in 0..300 {
        learned.learn(&prior, &seen, &LIMITS_S, 1.0);
    }
    assert!(!learned.has_shifted());
    seen.moved_on.0[2][9] = 10;
    let ticks = (1..100).find(|_| {
        learned.learn(&prior, &seen, &LIMITS_S, 1.0);
        learned.has_shifted()
    });
    assert!(ticks.is_some_and(|ticks| ticks <= 12), "{ticks:?}");
    for _ in 0..20 {
        learned.learn(&prior, &seen, &LIMITS_S, 1.0);
    }
    let rate = Rates::of(&prior, &learned).moving_on[2][9].mean;
    assert!((rate - 0.02).abs() < 0.002, "{rate}");
}

#[test]
fn earlier_sales_reduce_uncertainty() {
    let prior = Prior::cautious();
    let mut learned = LearnedVisits::default();
    let mut seen = visits(Stage::Shopping, 9, 1000);
    seen.moved_on.0[2][9] = 5;
    seen.left.0[2][9] = 5;
    for _ in 0..100 {
        learned.learn(&prior, &seen, &LIMITS_S, 1.0);
    }
    let after = prior.after(&learned);
    let doubt =
        |prior: &Prior| Outlook::of(prior, &LearnedVisits::default(), &LIMITS_S, 1).demand(&seen, 0).with(0).doubt;
    assert!(doubt(&after) < doubt(&prior) / 4.0, "{} after {}", doubt(&after), doubt(&prior));
    assert!(after.shift < prior.shift);
}

#[test]
fn quantities_are_learned_from_the_limit_down() {
    let prior = Prior::cautious();
    let mut learned = LearnedVisits::default();
    assert_eq!(units_of_an_order(&prior, &learned, 4).0, 4.0);
    learned.quantities[0] = 198.0;
    assert!(units_of_an_order(&prior, &learned, 4).0 < 1.1);
}
