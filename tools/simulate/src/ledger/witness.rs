//! What the checks remember independently of the rows, which a bug may write wrongly: whether a
//! token may be refused, when epochs began, and what the rate cap has left.

use std::collections::BTreeSet;

use fairline_admission::LATE_MAX_S;
use fairline_line::ticket::Ordinal;
use fairline_sale::Status;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Ledger, State, tables::units};
use crate::{
    event::{CONTROLLERS, ProcessIndex},
    sale::TICK,
};

/// With the pauses between the epochs of a series, fewer than this many begin within the time, in
/// ms: the pauses before the last six add up to 31.5 s.
const SERIES: usize = 10;
const SERIES_MS_MIN: u64 = 30_000;

/// The observations.
#[derive(Default)]
pub(super) struct Witness {
    /// Tokens whose time has passed by the database's clock, or that an operator revoked.
    over: BTreeSet<Uuid>,
    /// Tickets whose shoppers have left.
    left: BTreeSet<Ordinal>,
    /// A restored database may lack tokens.
    was_restored: bool,
    /// When epochs began since the database's clock last jumped, in ms.
    epochs: Vec<u64>,
    /// How often the database's clock has jumped, or the database was restored.
    jumps: u32,
    rate: Rate,
}

/// Admissions under the rate cap.
#[derive(Default)]
struct Rate {
    /// The part of an admission that is left.
    left: f64,
    last: Option<TickStart>,
    /// By controller: its ticks, and whether it has found the sale at rest since its last one.
    ticks: [u64; CONTROLLERS],
    rests: [bool; CONTROLLERS],
}

/// The lock of the sale by a tick.
#[derive(Clone, Copy)]
pub(super) struct TickStart {
    pub(super) controller: ProcessIndex,
    at_ms: u64,
    /// [`Witness::jumps`] at that time.
    jumps: u32,
}

impl Ledger {
    /// The database's clock shows what ends tokens; called whenever it moves.
    pub fn observe(&mut self, now_ms: u64) {
        let now = self.clock(now_ms);
        self.observe_at(now);
    }

    pub(super) fn observe_at(&mut self, now: OffsetDateTime) {
        let out = self.tables.admissions.iter().filter(|row| row.state == State::Promised);
        let is_over =
            |row: &&super::Admission| row.expires_at <= now || (row.claimed_at.is_none() && row.claim_by <= now);
        self.witness.over.extend(out.filter(is_over).map(|row| row.id));
    }

    /// The database's clock jumps.
    pub fn jump_clock(&mut self, ms: i64, now_ms: u64) {
        self.clock_off_ms += ms;
        self.witness.epochs.clear();
        self.witness.jumps += 1;
        self.observe(now_ms);
    }

    /// A shopper gives the ticket up.
    pub fn leaves(&mut self, ordinal: Ordinal) {
        self.witness.left.insert(ordinal);
    }

    /// Whether a shopper has given the ticket up.
    #[must_use]
    pub fn has_left(&self, ordinal: Ordinal) -> bool {
        self.witness.left.contains(&ordinal)
    }

    pub(super) fn record_revocation(&mut self) {
        let out = self.tables.admissions.iter().filter(|row| row.state == State::Promised);
        self.witness.over.extend(out.map(|row| row.id));
    }

    pub(super) fn record_restore(&mut self) {
        self.witness.was_restored = true;
        self.witness.epochs.clear();
        self.witness.jumps += 1;
    }

    /// How often the database's clock has jumped, or the database was restored.
    pub(crate) fn jumps(&self) -> u32 {
        self.witness.jumps
    }

    pub(super) fn tick_start(&self, controller: ProcessIndex, at_ms: u64) -> TickStart {
        TickStart { controller, at_ms, jumps: self.witness.jumps }
    }

    pub(super) fn ticks_of(&self, controller: ProcessIndex) -> u64 {
        self.witness.rate.ticks[controller]
    }

    /// Whether this controller has found the sale at rest since its last tick.
    pub(crate) fn rests(&self, controller: ProcessIndex) -> bool {
        self.witness.rate.rests[controller]
    }

    pub(super) fn record_rest(&mut self, controller: ProcessIndex, rests: bool) {
        self.witness.rate.rests[controller] = rests;
    }

    /// A tick admits what is left of an admission, and what the cap has earned since the last tick
    /// of any controller: at most [`LATE_MAX_S`], and one period if this controller has found the
    /// sale at rest. After a jump of the clock that the cap goes by, the most is earned.
    pub(super) fn check_rate(&mut self, tick: &TickStart, admitted: usize) {
        let cap = self.tables.row.rate_cap_per_s;
        let rate = &mut self.witness.rate;
        let last = rate.last.replace(*tick).filter(|last| last.jumps == tick.jumps);
        let since_s = last.map_or(LATE_MAX_S, |last| (tick.at_ms - last.at_ms) as f64 / 1000.0);
        let most_s = if rate.rests[tick.controller] { TICK.as_secs_f64() } else { LATE_MAX_S };
        let earned = rate.left + cap * since_s.min(most_s);
        let left = earned - admitted as f64;
        rate.left = left.clamp(0.0, 1.0);
        rate.ticks[tick.controller] += 1;
        if left < -1e-6 {
            self.breaks(format!("above the cap: {admitted} shoppers are admitted, and {earned:.2} are due"));
        }
    }

    /// An epoch of the line begins.
    pub(super) fn record_epoch(&mut self, now_ms: u64) {
        self.witness.epochs.push(now_ms);
        let last = &self.witness.epochs[self.witness.epochs.len().saturating_sub(SERIES)..];
        if last.len() == SERIES && now_ms - last[0] < SERIES_MS_MIN {
            let ms = now_ms - last[0];
            self.breaks(format!("epochs too fast: {SERIES} epochs began within {ms} ms"));
        }
    }

    /// A refused token was used, late, revoked, left, closed or beyond the limit.
    pub(super) fn check_refusal(&mut self, id: Uuid) {
        let is_due = match self.tables.admissions.iter().find(|row| row.id == id) {
            None => self.witness.was_restored,
            Some(row) => {
                let has = self.tables.units.get(&row.visitor).copied().unwrap_or(0);
                row.state == State::Redeemed
                    || self.witness.over.contains(&id)
                    || self.has_left(row.ordinal)
                    || self.tables.revoked.contains(&row.kid)
                    || !matches!(self.tables.row.stored_status(), Status::Open | Status::Paused)
                    || has + row.quantity > units(self.tables.row.per_shopper_limit)
                    || self.was_taken_out(row.line, row.ordinal)
            }
        };
        if !is_due {
            self.breaks(format!("turned away: token {id} is in time and unused, and checkout refuses it"));
        }
    }
}
