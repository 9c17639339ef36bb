//! The order of admissions, judged by the pages and by Redis, not by the record, which the
//! controller writes.
//!
//! - No ticket is admitted while a page that shows a place holds an earlier one: of this epoch, and
//!   never departed in Redis; or recalled before the controller read the line for that tick.
//! - A lost line waits for its shoppers: see [`Recovery`].
//!
//! Shuffled tickets have no order of ordinals; a preferred ticket is served first.

use std::collections::{BTreeMap, BTreeSet};

use fairline_line::ticket::Ordinal;
use waiting_room::testing::ShownOutcome;

use super::{CONTROLLERS, is_node};
use crate::{
    event::ProcessIndex,
    gate::RedisCall,
    ledger::{Ledger, State},
    redis::Reply,
    sale::redis_key,
    world::{ShopperState, World},
};

/// Until every node has reported, a lost line waits for this long after its first ticket came back,
/// in ms: `RECOVERY_QUIET` of the controller's `epochs.rs`.
const WAITS_MS_MIN: u64 = 1500;
/// The same, before any came back: `RECOVERY_MAX`, less the longest time from the lock of the tick
/// that begins the epoch to its commit.
const NONE_BACK_MS_MIN: u64 = 7000;

/// What has been seen.
#[derive(Default)]
pub(crate) struct Order {
    /// Admissions that were judged.
    judged: usize,
    /// The writes of each Redis, and the tickets that either had as departed by then.
    writes: [u64; 2],
    departed: BTreeSet<Ordinal>,
    /// The recalled tickets without a turn when each controller first read those to admit in its
    /// tick.
    looks: [Option<BTreeSet<Ordinal>>; CONTROLLERS],
    /// The line's epoch, and the nodes that were up, as of the last check.
    epoch: i32,
    nodes: i64,
    recovery: Option<Recovery>,
}

/// An epoch of a line that was lost, from the first publication on.
///
/// Admissions wait until as many nodes have reported as were up. Before that, no ticket is admitted
/// within [`WAITS_MS_MIN`] ahead of a shopper who was there, whose node has not presented the
/// earlier ticket.
struct Recovery {
    began_ms: u64,
    /// How often the database's clock had jumped.
    jumps: u32,
    /// The nodes that were up before.
    nodes: usize,
    /// The nodes that have reported since.
    reported: BTreeSet<String>,
    /// When the first ticket or node came back, in ms.
    back_ms: Option<u64>,
    /// The shoppers who waited with an open page, and whose tickets have not been presented since.
    missing: BTreeMap<usize, Missing>,
}

struct Missing {
    ordinal: Ordinal,
    node: ProcessIndex,
    /// Since when the page has been open, in ms.
    since_ms: u64,
}

/// Whether a ticket has never had a turn, or its last one lapsed.
fn has_no_turn(ledger: &Ledger, ordinal: Ordinal) -> bool {
    let newest = ledger.tables.admissions.iter().rfind(|row| row.ordinal == ordinal);
    newest.is_none_or(|row| row.state == State::Lapsed)
}

impl World {
    /// Records what a controller is about to read.
    pub(super) fn record_look(&mut self, process: ProcessIndex, request: &RedisCall) {
        if is_node(process) || !request.function.ends_with("_upcoming") {
            return;
        }
        // The first query of a tick asks for no tickets.
        if request.args.get(1).is_some_and(|wanted| wanted == b"0") {
            self.order.looks[process] = None;
        } else if self.order.looks[process].is_none() {
            let recalled = self.recalled(self.server_of(process));
            // A turn that lapses in the same transaction was outstanding when the tick was planned.
            let waits = {
                let ledger = self.ledger();
                recalled.into_iter().filter(|ordinal| has_no_turn(&ledger, *ordinal)).collect()
            };
            self.order.looks[process] = Some(waits);
        }
    }

    /// Checks the admissions since the last check.
    pub(crate) fn check_order(&mut self) {
        self.record_epoch();
        self.record_writes();
        let made = self.ledger().tables.admissions.len();
        let from = std::mem::replace(&mut self.order.judged, made);
        if from >= made {
            return;
        }
        let found = {
            let ledger = self.ledger();
            ledger.tables.admissions[from..]
                .iter()
                .find_map(|row| self.passed_by(&ledger, row.ordinal).or_else(|| self.not_awaited(&ledger, row.ordinal)))
        };
        if let Some(why) = found {
            self.breaks(why);
        }
    }

    /// Records a new epoch, and whom the line has to wait for.
    fn record_epoch(&mut self) {
        let (epoch, nodes, waits, jumps) = {
            let ledger = self.ledger();
            let line = &ledger.tables.lines[0];
            (line.epoch, line.nodes, line.recovers_until.is_some(), ledger.jumps())
        };
        let before = std::mem::replace(&mut self.order.epoch, epoch);
        let nodes_before = std::mem::replace(&mut self.order.nodes, nodes);
        if epoch == before {
            return;
        }
        self.order.recovery = None;
        if before == 0 || epoch != before + 1 || !waits {
            return;
        }
        let missing = {
            let ledger = self.ledger();
            let missing = |(shopper, own): (usize, &ShopperState)| {
                let (ordinal, node) = (own.ticket?.ordinal, own.node?);
                let waits = own.token.is_none() && self.still_waits(&ledger, own, ordinal);
                waits.then_some((shopper, Missing { ordinal, node, since_ms: own.since_ms }))
            };
            self.shoppers.iter().enumerate().filter_map(missing).collect()
        };
        self.order.recovery = Some(Recovery {
            began_ms: self.now.get(),
            jumps,
            nodes: usize::try_from(nodes_before).unwrap_or(0),
            reported: BTreeSet::new(),
            back_ms: None,
            missing,
        });
    }

    /// Records who has departed, and who came back to a line that was lost.
    fn record_writes(&mut self) {
        let writes = [0, 1].map(|server| self.servers[server].writes);
        if std::mem::replace(&mut self.order.writes, writes) == writes {
            return;
        }
        let tickets: Vec<Ordinal> =
            self.shoppers.iter().filter_map(|own| own.ticket).map(|ticket| ticket.ordinal).collect();
        let departed = |ordinal: &Ordinal| {
            let at = ordinal.to_string();
            self.servers
                .iter()
                .any(|server| server.read(&[b"GETBIT", &redis_key("departed"), at.as_bytes()]) == Reply::Int(1))
        };
        let departed: Vec<Ordinal> = tickets.into_iter().filter(departed).collect();
        self.order.departed.extend(departed);
        let home = self.home_of(&self.ledger().tables.lines[0]);
        if let Some(home) = home
            && let Some(mut recovery) = self.order.recovery.take()
        {
            self.record_return(home, &mut recovery);
            self.order.recovery = Some(recovery);
        }
    }

    fn record_return(&self, home: usize, recovery: &mut Recovery) {
        let recalled = self.recalled(home);
        if let Reply::Array(names) = self.servers[home].read(&[b"ZRANGE", &redis_key("present"), b"0", b"-1"]) {
            recovery.reported.extend(names.into_iter().filter_map(|name| match name {
                Reply::Bulk(name) => String::from_utf8(name).ok(),
                _ => None,
            }));
        }
        if !(recalled.is_empty() && recovery.reported.is_empty()) {
            recovery.back_ms.get_or_insert(self.now.get());
        }
        recovery.missing.retain(|_, missing| {
            let turn = self.turn_in_redis(home, missing.ordinal);
            !recalled.contains(&missing.ordinal) && turn.is_none_or(|turn| turn == "lapsed")
        });
    }

    /// Whether a shopper's ticket may be served: it has no turn, and was not given up or removed.
    fn still_waits(&self, ledger: &Ledger, own: &ShopperState, ordinal: Ordinal) -> bool {
        own.node.is_some()
            && own.over.is_none()
            && has_no_turn(ledger, ordinal)
            && !ledger.has_left(ordinal)
            && !ledger.was_taken_out(0, ordinal)
    }

    /// Whether tickets have another order than their ordinals, or this one is served first.
    fn has_no_order(ledger: &Ledger, admitted: Ordinal) -> bool {
        ledger.tables.lines[0].drawn.is_some() || ledger.tables.is_preferred(0, admitted)
    }

    /// A shopper who waits ahead of a ticket that was admitted.
    fn passed_by(&self, ledger: &Ledger, admitted: Ordinal) -> Option<String> {
        if Self::has_no_order(ledger, admitted) {
            return None;
        }
        let tables = &ledger.tables;
        let above = u64::try_from(tables.lines[0].above).unwrap_or(0);
        let recalled = self.order.looks[ledger.admitted_by].as_ref();
        let is_ahead = |own: &ShopperState| {
            let ordinal = own.ticket.map_or(0, |ticket| ticket.ordinal);
            let was_recalled = recalled.is_some_and(|recalled| recalled.contains(&ordinal));
            let is_of_this_epoch = ordinal > above
                && !self.order.departed.contains(&ordinal)
                && !tables.admissions.iter().any(|row| row.ordinal == ordinal);
            (was_recalled || is_of_this_epoch)
                && ordinal < admitted
                && matches!(own.shown, Some(ShownOutcome::Place(_)))
                && self.still_waits(ledger, own, ordinal)
        };
        let shopper = self.shoppers.iter().position(is_ahead)?;
        Some(format!("passed: ticket {admitted} is admitted, and shopper {shopper} waits ahead of it"))
    }

    /// A shopper for whom a lost line has not waited before it admitted a ticket.
    fn not_awaited(&self, ledger: &Ledger, admitted: Ordinal) -> Option<String> {
        let recovery = self.order.recovery.as_ref()?;
        let until = recovery.back_ms.map_or(u64::MAX, |back| back + WAITS_MS_MIN);
        let is_over = self.now.get() >= until.min(recovery.began_ms + NONE_BACK_MS_MIN);
        if is_over || recovery.jumps != ledger.jumps() || Self::has_no_order(ledger, admitted) {
            return None;
        }
        let (shopper, missing) = recovery.missing.iter().find(|(shopper, missing)| {
            let own = &self.shoppers[**shopper];
            let is_there = own.node == Some(missing.node) && own.since_ms == missing.since_ms;
            // A node that has not presented this ticket is not back, whatever it has reported.
            let name = self.shared(missing.node).name;
            let back = recovery.reported.iter().filter(|reported| **reported != name).count();
            is_there
                && missing.ordinal < admitted
                && back < recovery.nodes
                && self.still_waits(ledger, own, missing.ordinal)
        })?;
        Some(format!(
            "not awaited: ticket {admitted} is admitted, and node {} has not presented ticket {} of shopper {shopper}, \
             who was there before the line was lost",
            missing.node, missing.ordinal
        ))
    }
}
