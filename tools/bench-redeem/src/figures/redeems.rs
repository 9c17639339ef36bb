//! How fast tokens are redeemed: by direct calls, over HTTP, and by two baselines in plain SQL.

use std::time::{Duration, Instant};

use checkout::testing::DirectRedemption;
use fairline_figures::bench::pause;
use fairline_server::Shutdown;
use futures_util::{StreamExt as _, stream};

use crate::{
    Bench, Failure,
    client::{Response, RunResult, run},
    figure::{Measured, median, number},
    pgbench::{Baseline, MORE, TABLES, fsync_us},
    shop::{AdmittedShopper, BenchShop},
};

/// Faster than any baseline.
const BASELINE_PER_S_MAX: u64 = 10_000;
/// By then a session of Postgres has reported its commits: once a second, and when it is idle.
const COUNTED_WITHIN: Duration = Duration::from_secs(3);

/// The results of one round, per second.
struct RedeemRound {
    batched: f64,
    few: RunResult,
    many: RunResult,
    hot_row: f64,
    skip_locked: f64,
    /// Transactions that Postgres committed while many shoppers redeemed and requested their
    /// orders.
    commits: f64,
    /// Requests of that load.
    loaded: f64,
}

pub(super) fn measure(bench: &mut Bench, found: &mut dyn FnMut(Measured)) -> Result<(), Failure> {
    let (shop, size) = (BenchShop::start(bench)?, bench.size.clone());
    let fsync = fsync_us(&shop, size.fsync_s, bench.folder.path())?;
    found(Measured::plain("fsync_us", fsync, "fdatasync of 8 kB, as pg_test_fsync measures it".to_owned()));
    shop.runtime.block_on(async { sqlx::raw_sql(TABLES).execute(&shop.pool).await })?;
    let mut rounds = Vec::new();
    for round in 0..size.rounds {
        let round = RedeemRound::run(bench, &shop, round)?;
        eprintln!(
            "  a second: {} by the batcher, {} and {} over HTTP, {} by a hot row, {} by free rows",
            number(round.batched),
            number(round.few.per_s()),
            number(round.many.per_s()),
            number(round.hot_row),
            number(round.skip_locked)
        );
        rounds.push(round);
    }
    let middle = |of: fn(&RedeemRound) -> f64| median(rounds.iter().map(of).collect());
    let (batched, few, many) =
        (middle(|round| round.batched), middle(|round| round.few.per_s()), middle(|round| round.many.per_s()));
    for (key, baseline) in [
        ("redeems_vs_hot_row", (|round| round.hot_row) as fn(&RedeemRound) -> f64),
        ("redeems_vs_skip_locked", |round| round.skip_locked),
    ] {
        let ratio =
            |ours: fn(&RedeemRound) -> f64| median(rounds.iter().map(|round| ours(round) / baseline(round)).collect());
        let note = format!("by the batcher, without HTTP and signatures, {} at once", number(size.at_once as f64),);
        found(Measured::ratio(key, ratio(|round| round.batched), batched, middle(baseline), note));
        let key = if key == "redeems_vs_hot_row" { "http_redeems_vs_hot_row" } else { "http_redeems_vs_skip_locked" };
        let note = format!("the same through HTTP, with signatures and {} clients", number(size.many as f64));
        found(Measured::ratio(key, ratio(|round| round.many.per_s()), many, middle(baseline), note));
    }
    let with = |clients: usize| format!("with {} clients", number(clients as f64));
    found(Measured::plain("http_redeems_per_s", many, with(size.many)));
    found(Measured::plain("http_redeems_per_s_at_64", few, with(size.few)));
    found(Measured::plain("redeem_p99_ms_at_1000", middle(|round| round.many.p99_ms()), with(size.many)));
    found(Measured::plain("redeem_p99_ms", middle(|round| round.few.p99_ms()), with(size.few)));
    let note = format!(
        "as Postgres counts its commits, while {} clients make {} requests a second: one redeems, {} ask how an order stands",
        number(size.many as f64),
        number(middle(|round| round.loaded)),
        size.asked
    );
    found(Measured::plain("transactions_per_s", middle(|round| round.commits), note));
    Ok(())
}

impl RedeemRound {
    fn run(bench: &mut Bench, shop: &BenchShop, round: usize) -> Result<Self, Failure> {
        let size = bench.size.clone();
        let shoppers = shop.admit(size.batched)?;
        let batched = through_batcher(shop, &shoppers, size.at_once)?;
        bench.note(shop.audit(&shoppers, &[&batched])?);
        let batched = batched.per_s();
        let baseline = |baseline: Baseline| {
            let rows = i64::try_from(size.baseline.as_secs() * BASELINE_PER_S_MAX).unwrap_or(i64::MAX);
            shop.runtime.block_on(async {
                sqlx::query(MORE).bind(rows).execute(&shop.pool).await?;
                shop.settle().await
            })?;
            baseline.per_s(shop, &size, bench.folder.path())
        };
        // The order alternates.
        let (hot_row, skip_locked) = if round.is_multiple_of(2) {
            let hot_row = baseline(Baseline::HotRow)?;
            (hot_row, baseline(Baseline::SkipLocked)?)
        } else {
            let skip_locked = baseline(Baseline::SkipLocked)?;
            (baseline(Baseline::HotRow)?, skip_locked)
        };
        let mut over_http = |clients| {
            let shoppers = shop.admit(size.over_http)?;
            let run = run(shop.checkout_address, clients, shop.requests(&shoppers))?.all_are(201)?;
            bench.note(shop.audit(&shoppers, &[&run])?);
            Ok::<_, Failure>((shoppers, run))
        };
        let (_, few) = over_http(size.few)?;
        let (shoppers, many) = over_http(size.many)?;
        let (commits, loaded) = under_load(bench, shop, &shoppers, &many)?;
        Ok(Self { batched, few, many, hot_row, skip_locked, commits, loaded })
    }
}

/// Transactions per second that Postgres commits, and completed requests per second, while shoppers
/// redeem and others request the status of the orders that they have made.
fn under_load(
    bench: &mut Bench,
    shop: &BenchShop,
    owners: &[AdmittedShopper],
    made: &RunResult,
) -> Result<(f64, f64), Failure> {
    let size = bench.size.clone();
    let shoppers = shop.admit(size.over_http)?;
    let mut orders =
        owners.iter().zip(&made.answers).filter_map(|(owner, answer)| Some((owner, answer.order?))).cycle();
    let mut requests = Vec::new();
    for redeem in shop.requests(&shoppers) {
        requests.push(redeem);
        requests.extend(orders.by_ref().take(size.asked).map(|(owner, order)| shop.status(owner, order)));
    }
    let before = commits(shop)?;
    let run = run(shop.checkout_address, size.many, requests)?;
    let commits = (commits(shop)? - before) / run.took.as_secs_f64();
    let loaded = run.per_s();
    let (redeemed, asked): (Vec<_>, Vec<_>) =
        run.answers.iter().enumerate().partition(|(nth, _)| nth.is_multiple_of(size.asked + 1));
    if redeemed.iter().any(|(_, answer)| answer.status != 201) || asked.iter().any(|(_, answer)| answer.status != 200) {
        return Err(Failure::new("not every request of the load was answered as it should"));
    }
    let answers = redeemed.into_iter().map(|(_, answer)| *answer).collect();
    bench.note(shop.audit(&shoppers, &[&RunResult { answers, ..run }])?);
    Ok((commits, loaded))
}

/// Redemptions by direct calls from a number of concurrent shoppers, with the results as if over
/// HTTP.
fn through_batcher(shop: &BenchShop, shoppers: &[AdmittedShopper], at_once: usize) -> Result<RunResult, Failure> {
    let (shutdown, kid) = (Shutdown::new(), shop.key.kid().to_owned());
    shop.runtime.block_on(async {
        let redemption =
            DirectRedemption::open(&shop.postgres_url, &shutdown).map_err(|error| Failure::new(error.to_string()))?;
        let started = Instant::now();
        let redeem = |(nth, shopper): (usize, &AdmittedShopper)| {
            let redeemed = redemption.redeem(shopper.admission, kid.clone(), shopper.sale, shopper.visitor);
            async move { (nth, redeemed.await) }
        };
        let mut redeemed = stream::iter(shoppers.iter().enumerate()).map(redeem).buffer_unordered(at_once);
        let mut answers = vec![Response { status: 201, order: None }; shoppers.len()];
        while let Some((nth, order)) = redeemed.next().await {
            let order = order.map_err(|reason| Failure::new(format!("a shopper was turned away: {reason}")))?;
            answers[nth].order = Some(order);
        }
        let took = started.elapsed();
        shutdown.trigger();
        Ok(RunResult { took, answers, latencies: Vec::new(), retries: 0 })
    })
}

/// Transactions that Postgres has committed.
fn commits(shop: &BenchShop) -> Result<f64, Failure> {
    pause(COUNTED_WITHIN);
    shop.runtime.block_on(async {
        let count: i64 =
            sqlx::query_scalar("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
                .fetch_one(&shop.pool)
                .await?;
        Ok(count as f64)
    })
}
