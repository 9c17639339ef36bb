//! A hundred thousand waiting shoppers: `live_shoppers`, `push_p99_ms`, `news_all_ms`,
//! `cpu_growth`, `redis_bytes_per_shopper`.
//!
//! One shop and one crowd, in sequence: they join; the sale opens, and the line moves; some leave;
//! it is sold out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use fairline_figures::bench::pause;
use serde_json::json;

use super::push::{CursorMove, latencies};
use crate::{
    Bench, Failure,
    clock::now_us,
    crowd::PageCrowd,
    figure::{Measured, number},
    process::cpu_us_of,
    redis::RedisConnection,
    shop::{BenchShop, until},
};

/// Waiting shoppers who leave, per admission.
const LEAVING: f64 = 0.2;
/// Polling interval of the cursor.
const WATCH_EVERY: Duration = Duration::from_millis(1);
/// Longer than the lifetime of the last tokens, so that none is left.
const TOKENS_EXPIRE_WITHIN: Duration = Duration::from_secs(40);
/// Timeout for the last page to be notified that all is sold out.
const NEWS_WITHIN: Duration = Duration::from_secs(60);

pub(super) fn measure(bench: &Bench, found: &mut dyn FnMut(Measured)) -> Result<(), Failure> {
    let few = Scene::open(bench, 1, bench.size.few)?.cost(bench)?;
    let mut scene = Scene::join(bench, bench.size.nodes, bench.size.shoppers_a_node)?;
    found(scene.redis_bytes()?);
    scene.start(bench)?;
    found(scene.push(bench)?);
    let many = scene.cost(bench)?;
    let note = format!(
        "us of processor time for a shopper's minute, and {} messages; {} messages where few wait",
        number(many.messages),
        number(few.messages)
    );
    found(Measured::ratio("cpu_growth", many.cpu_us / few.cpu_us, many.cpu_us, few.cpu_us, note));
    found(scene.live()?);
    found(scene.news()?);
    Ok(())
}

/// A line that moves, with its shoppers.
struct Scene {
    shop: BenchShop,
    crowd: PageCrowd,
    rate_per_s: f64,
    joined_in_s: f64,
}

/// The cost of one shopper-minute of waiting.
struct WaitingCost {
    cpu_us: f64,
    messages: f64,
}

impl Scene {
    /// Joins all shoppers. The rate is such that the last of them waits for the same time, whatever
    /// their number.
    fn join(bench: &Bench, nodes: u16, shoppers_a_node: u32) -> Result<Self, Failure> {
        let rate_per_s = f64::from(shoppers_a_node) * f64::from(nodes) / bench.size.line_takes.as_secs_f64();
        let shop = BenchShop::start(bench, nodes, rate_per_s)?;
        let mut crowd = PageCrowd::start(nodes)?;
        let joined = crowd.join(|nth| shop.shoppers(nth, shoppers_a_node))?;
        let joined_in_s = joined.iter().map(|joined| joined.took_us).max().unwrap_or(0) as f64 / 1e6;
        let count = u64::from(shoppers_a_node) * u64::from(nodes);
        until("everybody knows the place", bench.size.line_settles, || Ok(crowd.count()?.waiting == count))?;
        Ok(Self { shop, crowd, rate_per_s, joined_in_s })
    }

    /// Joins all shoppers, and starts the line.
    fn open(bench: &Bench, nodes: u16, shoppers_a_node: u32) -> Result<Self, Failure> {
        let scene = Self::join(bench, nodes, shoppers_a_node)?;
        scene.start(bench)?;
        Ok(scene)
    }

    fn start(&self, bench: &Bench) -> Result<(), Failure> {
        self.shop.act("open")?;
        pause(bench.size.line_settles);
        Ok(())
    }

    /// Redis's memory for all shoppers, before the first admission.
    fn redis_bytes(&mut self) -> Result<Measured, Failure> {
        let mut redis = self.shop.redis()?;
        let waiting = self.crowd.count()?.waiting as f64;
        let keys = redis.bytes_of_keys(&self.shop.sale)? as f64 / waiting;
        let grown = redis.used_bytes()?.saturating_sub(self.shop.redis_bytes) as f64 / waiting;
        let note = format!("all keys of the sale; Redis has grown by {} altogether", number(grown));
        Ok(Measured::plain("redis_bytes_per_shopper", keys, note))
    }

    /// The latency from a move of the cursor to the pages near the front.
    fn push(&mut self, bench: &Bench) -> Result<Measured, Failure> {
        let watch = CursorWatch::start(self.shop.redis()?, format!("fairline:{{{}}}:line", self.shop.sale));
        let moves_s = bench.size.window.as_secs_f64() * 1.5 + 10.0;
        let cursor = self.shop.show()?["cursor"].as_u64().unwrap_or(0);
        self.crowd.record(cursor + (self.rate_per_s * moves_s) as u64 + 100)?;
        pause(bench.size.window);
        let moves = watch.stop()?;
        // Leaves time for the last messages to arrive.
        pause(Duration::from_secs(2));
        let end_us = now_us();
        let shown = self.crowd.recorded()?;
        let mut latencies = latencies(&moves, &shown, end_us);
        latencies.sort_unstable();
        let at = |share: f64| {
            let nth = (latencies.len() as f64 * share).ceil() as usize;
            latencies.get(nth.saturating_sub(1)).map(|&us| us as f64 / 1e3)
        };
        let (Some(median), Some(p99), Some(worst)) = (at(0.5), at(0.99), at(1.0)) else {
            return Err(Failure::new(format!("no page was affected by {} moves", moves.len())));
        };
        let note = format!(
            "{} pages in {} moves; half of them within {} ms, all within {} ms",
            number(latencies.len() as f64),
            moves.len(),
            number(median),
            number(worst)
        );
        Ok(Measured::plain("push_p99_ms", p99, note))
    }

    /// The cost of waiting for the nodes and Redis, while some are admitted and some leave.
    fn cost(&mut self, bench: &Bench) -> Result<WaitingCost, Failure> {
        let servers = self.shop.line_ids();
        self.crowd.leave(self.rate_per_s * LEAVING)?;
        let (before, cpu_before, started_us) = (self.crowd.count()?, cpu_us_of(&servers)?, now_us());
        pause(bench.size.window);
        let (after, cpu_after, ended_us) = (self.crowd.count()?, cpu_us_of(&servers)?, now_us());
        self.crowd.leave(0.0)?;
        let minutes = (ended_us - started_us) as f64 / 60e6 * (before.waiting + after.waiting) as f64 / 2.0;
        Ok(WaitingCost {
            cpu_us: (cpu_after - cpu_before) as f64 / minutes,
            messages: (after.messages - before.messages) as f64 / minutes,
        })
    }

    /// The number of waiting shoppers: those with an open socket and a place, confirmed by Redis.
    fn live(&mut self) -> Result<Measured, Failure> {
        let counted = self.crowd.count()?;
        let known = self.shop.show()?["waiting"].as_u64().unwrap_or(0);
        let note = format!(
            "in {} processes, joined in {} s; {} lost their connection; the line counts {}",
            self.shop.nodes.len(),
            number(self.joined_in_s),
            counted.lost,
            number(known as f64)
        );
        Ok(Measured::plain("live_shoppers", counted.waiting.min(known) as f64, note))
    }

    /// The latency from the change that sells the last unit until the last page is notified. A unit
    /// can't be sold while its token is out, so the line is paused first.
    fn news(&mut self) -> Result<Measured, Failure> {
        self.shop.act("pause")?;
        until("every token has lapsed", TOKENS_EXPIRE_WITHIN, || Ok(self.shop.show()?["promised"] == 0))?;
        pause(Duration::from_secs(2));
        let before = self.crowd.count()?;
        let sold_us = now_us();
        self.shop.change(&json!({ "total": 0 }))?;
        let all = until("every page is notified", NEWS_WITHIN, || Ok(self.crowd.count()?.connected == 0));
        let after = self.crowd.count()?;
        let received = after.over - before.over;
        if all.is_err() || received < before.connected {
            let what =
                format!("of {} pages {received} were notified that all is sold out: {after:?}", before.connected);
            return Err(Failure::new(what));
        }
        let took_ms = (after.last_over_us - sold_us) as f64 / 1e3;
        let note = format!("{} pages, from the request to the controller on", number(received as f64));
        Ok(Measured::plain("news_all_ms", took_ms, note))
    }
}

/// Polls the cursor in Redis.
struct CursorWatch {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Result<Vec<CursorMove>, Failure>>,
}

impl CursorWatch {
    fn start(mut redis: RedisConnection, line: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let (mut moves, mut known, mut known_at_us) = (Vec::new(), redis.number_in(&line, "cursor")?, now_us());
            while !stopped.load(Ordering::Relaxed) {
                pause(WATCH_EVERY);
                let asked_us = now_us();
                let cursor = redis.number_in(&line, "cursor")?;
                if cursor != known {
                    // It has moved since the last poll, and no earlier.
                    moves.push(CursorMove { at_us: known_at_us, from: known, to: cursor });
                }
                (known, known_at_us) = (cursor, asked_us);
            }
            Ok(moves)
        });
        Self { stop, thread }
    }

    fn stop(self) -> Result<Vec<CursorMove>, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| Failure::new("the thread that polls the cursor panicked"))?
    }
}
