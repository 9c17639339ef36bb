//! The order of admissions, judged by the pages and not by the record, which the controller writes:
//! no ticket is admitted while a page that shows a place holds an earlier ticket.
//!
//! It judges tickets of the current epoch only, which one process of Redis gave in order, and that
//! Redis has never had as departed. Shuffled tickets have no such order; tickets of earlier epochs
//! are served as they come back; a preferred ticket is served first.

use std::collections::BTreeSet;

use fairline_line::ticket::Ordinal;
use waiting_room::testing::ShownOutcome;

use crate::{
    ledger::Ledger,
    redis::Reply,
    sale::redis_key,
    world::{ShopperState, World},
};

/// What has been seen.
#[derive(Default)]
pub(crate) struct Order {
    /// Admissions that were judged.
    judged: usize,
    /// The writes of each Redis, and the tickets that either had as departed by then.
    writes: [u64; 2],
    departed: BTreeSet<Ordinal>,
}

impl World {
    /// Checks the admissions since the last check.
    pub(crate) fn check_order(&mut self) {
        self.record_departed();
        let made = self.ledger().tables.admissions.len();
        let from = std::mem::replace(&mut self.order.judged, made);
        if from >= made {
            return;
        }
        let found = {
            let ledger = self.ledger();
            ledger.tables.admissions[from..].iter().find_map(|row| self.passed_by(&ledger, row.ordinal))
        };
        if let Some(why) = found {
            self.breaks(why);
        }
    }

    fn record_departed(&mut self) {
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
    }

    /// A shopper who waits ahead of a ticket that was admitted.
    fn passed_by(&self, ledger: &Ledger, admitted: Ordinal) -> Option<String> {
        let (tables, line) = (&ledger.tables, &ledger.tables.lines[0]);
        let above = u64::try_from(line.above).unwrap_or(0);
        let preferred = tables.ticket_actions.iter().any(|row| !row.removed && row.ordinal == admitted);
        if line.drawn.is_some() || admitted <= above || preferred {
            return None;
        }
        let is_ahead = |own: &ShopperState| {
            let ordinal = own.ticket.map_or(0, |ticket| ticket.ordinal);
            own.node.is_some()
                && own.over.is_none()
                && matches!(own.shown, Some(ShownOutcome::Place(_)))
                && (above + 1..admitted).contains(&ordinal)
                && !self.order.departed.contains(&ordinal)
                && !ledger.has_left(ordinal)
                && !ledger.was_taken_out(0, ordinal)
                && !tables.admissions.iter().any(|row| row.ordinal == ordinal)
        };
        let shopper = self.shoppers.iter().position(is_ahead)?;
        Some(format!("passed: ticket {admitted} is admitted, and shopper {shopper} waits ahead of it"))
    }
}
