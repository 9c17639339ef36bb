//! `joins_vs_bare_upgrade` and `redis_us_per_join`: how fast shoppers get a durable ordinal, and
//! Redis's CPU time for one of them.
//!
//! The servers (with Redis and Postgres) have one core, the crowd the other, so that the server is
//! the bottleneck.

use std::net::SocketAddr;

use fairline_private_servers::{ServiceProcess, address_of};
use tempfile::TempDir;

use crate::{
    Bench, Failure,
    crowd::{PageCrowd, PagesToConnect},
    figure::{Measured, median, number},
    process::{cpu_us, on_core, until_quiet},
    shop::{BenchShop, sources_of},
};

const SERVERS: usize = 0;
const CROWD: usize = 1;

pub(super) fn measure(bench: &Bench, found: &mut dyn FnMut(Measured)) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let shop = on_core(SERVERS, || BenchShop::start(bench, 1, 1.0))?;
    let bare = |nth, size: &[&str]| on_core(SERVERS, || start_bare(bench, address_of(nth), size, &folder));
    let (bare, small) = (bare(1, &[])?, bare(2, &["small"])?);
    let mut crowd = on_core(CROWD, || PageCrowd::start(1))?;
    let count = bench.size.joins_a_round;
    let (join, upgrade, upgrade_small) = (shop.shoppers(0, count), upgrade(1, count), upgrade(2, count));

    let (mut ours, mut theirs, mut theirs_small) = (Vec::new(), Vec::new(), Vec::new());
    // The first round is a warm-up.
    for round in 0..=bench.size.joins_rounds {
        let with_own_settings = JoinRound::run(&mut crowd, &upgrade, &[bare.id()])?;
        let with_small_buffers = JoinRound::run(&mut crowd, &upgrade_small, &[small.id()])?;
        let joins = JoinRound::run(&mut crowd, &join, &[shop.nodes[0].id(), shop.redis_id()])?;
        if round > 0 {
            theirs.push(with_own_settings);
            theirs_small.push(with_small_buffers);
            ours.push(joins);
        }
    }
    let middle = |rounds: &[JoinRound], of: fn(&JoinRound) -> f64| median(rounds.iter().map(of).collect());
    let ratio = |theirs: &[JoinRound]| {
        median(ours.iter().zip(theirs).map(|(ours, theirs)| ours.per_s / theirs.per_s).collect())
    };
    let note = format!(
        "connections a second. One takes {} us of the node's time, and {} of the baseline's. The crowd's core was {} % \
         busy. With small buffers the baseline makes {} a second, in {} us each: a ratio of {}",
        number(middle(&ours, |round| round.cpu_us[0])),
        number(middle(&theirs, |round| round.cpu_us[0])),
        number(middle(&ours, |round| round.crowd_busy * 100.0)),
        number(middle(&theirs_small, |round| round.per_s)),
        number(middle(&theirs_small, |round| round.cpu_us[0])),
        number(ratio(&theirs_small)),
    );
    let (ours_per_s, theirs_per_s) = (middle(&ours, |round| round.per_s), middle(&theirs, |round| round.per_s));
    let redis_us = ours.iter().map(|round| round.cpu_us[1]);
    let redis_note = format!("rounds: {}", redis_us.clone().map(number).collect::<Vec<_>>().join(", "));
    found(Measured::ratio("joins_vs_bare_upgrade", ratio(&theirs), ours_per_s, theirs_per_s, note));
    found(Measured::plain("redis_us_per_join", median(redis_us.collect()), redis_note));
    Ok(())
}

fn start_bare(bench: &Bench, address: SocketAddr, size: &[&str], folder: &TempDir) -> Result<ServiceProcess, Failure> {
    let arguments: Vec<String> =
        [address.to_string()].into_iter().chain(size.iter().map(ToString::to_string)).collect();
    let name = format!("bare-upgrade-{}", address.port());
    let bare = ServiceProcess::start(&name, &bench.binaries.join("bare-upgrade"), &arguments, folder.path())?;
    Ok(bare.listens(address)?)
}

/// Connections to the nth server, which has no tickets.
fn upgrade(nth: u16, count: u32) -> PagesToConnect {
    let first_source = sources_of(nth);
    PagesToConnect { to: address_of(nth), path: "/".to_owned(), count, wants_ticket: false, first_source }
}

/// One round of connections to one server.
struct JoinRound {
    per_s: f64,
    /// CPU time of each of the server's processes per connection.
    cpu_us: Vec<f64>,
    /// The share of one core that the crowd itself used.
    crowd_busy: f64,
}

impl JoinRound {
    /// Connects all pages, hangs up, and waits until the server's processes are idle.
    fn run(crowd: &mut PageCrowd, join: &PagesToConnect, server: &[u32]) -> Result<Self, Failure> {
        let cpu_us_of_each = || server.iter().map(|&id| cpu_us(id)).collect::<Result<Vec<_>, _>>();
        let (crowd_before, before) = (crowd.cpu_us()?, cpu_us_of_each()?);
        let joined = crowd.join(|_| join.clone())?;
        let took_us = joined.iter().map(|joined| joined.took_us).max().unwrap_or(0) as f64;
        let count = f64::from(join.count);
        let round = Self {
            per_s: count / (took_us / 1e6),
            cpu_us: cpu_us_of_each()?
                .iter()
                .zip(before)
                .map(|(&after, before)| (after - before) as f64 / count)
                .collect(),
            crowd_busy: (crowd.cpu_us()? - crowd_before) as f64 / took_us,
        };
        crowd.hang_up()?;
        until_quiet(server)?;
        Ok(round)
    }
}
