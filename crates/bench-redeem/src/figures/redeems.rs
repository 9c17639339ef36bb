//! How fast tokens are redeemed: at the till itself, over HTTP, and by two ways to do without a till.

use std::time::Instant;

use checkout::door::Door;
use fairline_service::Shutdown;
use futures_util::{StreamExt as _, stream};

use crate::{
    Bench, Failure,
    client::{Run, run},
    figure::{Measured, median, number},
    pgbench::{Baseline, MORE, TABLES, fsync_us},
    shop::{Shop, Shopper},
};

/// Faster than any baseline.
const BASELINE_PER_S_MAX: u64 = 10_000;

/// What one round has shown, a second.
struct Round {
    till: f64,
    few: Run,
    many: Run,
    hot_row: f64,
    skip_locked: f64,
    /// Transactions that Postgres committed while many redeemed over HTTP.
    commits: f64,
}

pub(super) fn measure(bench: &mut Bench, found: &mut dyn FnMut(Measured)) -> Result<(), Failure> {
    let (shop, size) = (Shop::start(bench)?, bench.size.clone());
    let fsync = fsync_us(&shop, size.fsync_s, bench.folder.path())?;
    found(Measured::plain("fsync_us", fsync, "fdatasync of 8 kB, as pg_test_fsync measures it".to_owned()));
    shop.runtime.block_on(async { sqlx::raw_sql(TABLES).execute(&shop.pool).await })?;
    let mut rounds = Vec::new();
    for round in 0..size.rounds {
        let round = Round::run(bench, &shop, round)?;
        eprintln!(
            "  a second: {} at the till, {} and {} over HTTP, {} by a hot row, {} by free rows",
            number(round.till),
            number(round.few.per_s()),
            number(round.many.per_s()),
            number(round.hot_row),
            number(round.skip_locked)
        );
        rounds.push(round);
    }
    let middle = |of: fn(&Round) -> f64| median(rounds.iter().map(of).collect());
    let (till, few, many) =
        (middle(|round| round.till), middle(|round| round.few.per_s()), middle(|round| round.many.per_s()));
    for (key, baseline) in [
        ("redeems_vs_hot_row", (|round| round.hot_row) as fn(&Round) -> f64),
        ("redeems_vs_skip_locked", |round| round.skip_locked),
    ] {
        let ratio =
            |ours: fn(&Round) -> f64| median(rounds.iter().map(|round| ours(round) / baseline(round)).collect());
        let note = format!(
            "at the till, without HTTP and signatures, {} at once; through HTTP, with {} clients, the ratio is {}",
            number(size.at_once as f64),
            number(size.many as f64),
            number(ratio(|round| round.many.per_s())),
        );
        found(Measured::ratio(key, ratio(|round| round.till), till, middle(baseline), note));
    }
    let note = format!("with {} clients; {} with {}", size.many, number(few), size.few);
    found(Measured::plain("http_redeems_per_s", many, note));
    let note = format!(
        "with {} clients; {} with {}",
        size.few,
        number(middle(|round| round.many.p99_ms())),
        number(size.many as f64)
    );
    found(Measured::plain("redeem_p99_ms", middle(|round| round.few.p99_ms()), note));
    let note = format!(
        "redemptions over HTTP, each of which would be a transaction without the till; Postgres committed {} transactions a \
         second for them",
        number(middle(|round| round.commits))
    );
    found(Measured::plain("transactions_per_s", many, note));
    Ok(())
}

impl Round {
    fn run(bench: &mut Bench, shop: &Shop, round: usize) -> Result<Self, Failure> {
        let size = bench.size.clone();
        let shoppers = shop.admit(size.at_the_till)?;
        let till = at_the_till(shop, &shoppers, size.at_once)?;
        bench.note(shop.audit(&shoppers, &[])?);
        let baseline = |baseline: Baseline| {
            let rows = i64::try_from(size.baseline.as_secs() * BASELINE_PER_S_MAX).unwrap_or(i64::MAX);
            shop.runtime.block_on(async {
                sqlx::query(MORE).bind(rows).execute(&shop.pool).await?;
                shop.settle().await
            })?;
            baseline.per_s(shop, &size, bench.folder.path())
        };
        // In another order each time.
        let (hot_row, skip_locked) = if round.is_multiple_of(2) {
            let hot_row = baseline(Baseline::HotRow)?;
            (hot_row, baseline(Baseline::SkipLocked)?)
        } else {
            let skip_locked = baseline(Baseline::SkipLocked)?;
            (baseline(Baseline::HotRow)?, skip_locked)
        };
        let mut over_http = |clients| {
            let shoppers = shop.admit(size.over_http)?;
            let before = commits(shop)?;
            let run = run(shop.checkout_address, clients, shop.requests(&shoppers))?.all_are(201)?;
            let commits = (commits(shop)? - before) / run.took.as_secs_f64();
            bench.note(shop.audit(&shoppers, &[&run])?);
            Ok::<_, Failure>((run, commits))
        };
        let (few, _) = over_http(size.few)?;
        let (many, commits) = over_http(size.many)?;
        Ok(Self { till, few, many, hot_row, skip_locked, commits })
    }
}

/// Redemptions a second at the till, by so many shoppers at the same time.
fn at_the_till(shop: &Shop, shoppers: &[Shopper], at_once: usize) -> Result<f64, Failure> {
    let (shutdown, kid) = (Shutdown::new(), shop.key.kid().to_owned());
    shop.runtime.block_on(async {
        let door = Door::open(&shop.postgres_url, &shutdown).map_err(|error| Failure::new(error.to_string()))?;
        let started = Instant::now();
        let mut redeemed = stream::iter(shoppers)
            .map(|shopper| door.redeem(shopper.admission, kid.clone(), shopper.sale, shopper.visitor))
            .buffer_unordered(at_once);
        while let Some(order) = redeemed.next().await {
            order.map_err(|reason| Failure::new(format!("a shopper was turned away: {reason}")))?;
        }
        let per_s = shoppers.len() as f64 / started.elapsed().as_secs_f64();
        shutdown.trigger();
        Ok(per_s)
    })
}

/// Transactions that Postgres has committed, as far as it has counted them.
fn commits(shop: &Shop) -> Result<f64, Failure> {
    shop.runtime.block_on(async {
        let count: i64 =
            sqlx::query_scalar("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
                .fetch_one(&shop.pool)
                .await?;
        Ok(count as f64)
    })
}
