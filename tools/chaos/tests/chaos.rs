//! A short run of chaos, and a control: an injected violation is found.

use std::path::Path;

use fairline_chaos::{
    plan::ShopPlan,
    run::{Scale, run},
};

/// Everything is drawn from this: one round of each kind of fault that a short run has room for.
const SEED: u64 = 0;

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_in_a_short_run() {
    let plan = ShopPlan::new(SEED, 4, None);
    let outcome = run(&plan, Scale::SHORT, &folder("chaos")).await.expect("the plan can be carried out");
    assert!(outcome.faults.len() >= 4, "{plan}");
    assert!(outcome.violations.is_empty(), "{plan}{:#?}\nkept in {}", outcome.violations, folder("chaos").display());
}

/// An order is lost, as by a restored backup: the payment for it was captured.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_loses_an_order_is_caught() {
    let plan = ShopPlan::new(SEED, 0, None);
    let lose = "DELETE FROM orders WHERE id = (SELECT id FROM orders ORDER BY paid_at LIMIT 1)";
    let scale = Scale { sabotage: Some(lose), ..Scale::SHORT };
    let outcome = run(&plan, scale, &folder("sabotage")).await.expect("the plan can be carried out");
    assert!(outcome.violations.iter().any(|violation| violation.promise == 6), "{:#?}", outcome.violations);
}
