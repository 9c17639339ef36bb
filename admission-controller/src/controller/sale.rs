//! A sale as Postgres has it: its row, its stock, its lines, and the state that a tick stores.
//! Pure.

use std::time::Duration;

use fairline_admission::{AdmissionMode, Memory, StockCounters, Terms};
use fairline_record::Hash;
use fairline_sale::{DrawFacts, LineOrder, RecordHead, SaleCard, SaleId, SaleMode, Status, presented_status};
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    agenda::Agenda,
    columns::{count, hash, ordinal},
    lifecycle,
    line::LineRow,
};

/// A sale with its stock and the memory of its controllers, as stored.
#[derive(Debug, Clone, PartialEq, FromRow)]
#[allow(missing_docs, reason = "the columns of the schema")]
pub struct SaleRow {
    pub id: Uuid,
    pub slug: String,
    pub name: String,
    pub description: String,
    pub price_minor: i64,
    pub currency: String,
    pub per_shopper_limit: i32,
    pub per_account_limit: Option<i32>,
    pub status: String,
    pub message: Option<String>,
    pub rate_cap_per_s: f64,
    pub token_ttl_s: i32,
    pub claim_window_s: i32,
    pub hold_s: i32,
    pub recall_window_s: i32,
    /// The grace period of disconnected shoppers; `None` is the setting of the waiting rooms.
    pub grace_s: Option<i32>,
    pub mode: String,
    pub risk: f64,
    pub opens_at: OffsetDateTime,
    pub ends_at: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
    pub line_order: String,
    /// The SHA-256 of a draw's seed.
    pub commitment: Option<Vec<u8>>,
    /// The seed of all lines, once the draw is made.
    pub revealed_seed: Option<Vec<u8>>,
    pub total: i32,
    pub promised: i32,
    pub held: i32,
    pub sold: i32,
    /// The prior sale, whose shoppers behaved as this one's are expected to.
    pub prior_sale: Option<Uuid>,
    /// The prior about visits at the first decision, as JSON of the control law.
    pub prior: Option<String>,
    /// State of the control law after the last decision, as its JSON.
    pub memory: String,
    pub in_checkout_max: Option<i32>,
    pub ticked_at: OffsetDateTime,
    /// The time up to which visits have been taken in.
    pub observed_at: OffsetDateTime,
    /// The last time during which pages could not claim their turns.
    pub unreachable_from: Option<OffsetDateTime>,
    pub unreachable_until: Option<OffsetDateTime>,
    pub last_decision: Option<String>,
    /// Visits under way, and orders paid, as of the last sample.
    pub inside: i64,
    pub orders: i64,
    pub rehearsal_of: Option<Uuid>,
    pub theme: serde_json::Value,
    pub time_zone: String,
    /// Whether its items allow it to open. True after the opening.
    pub can_open: bool,
    /// The database's clock, the only one that decides.
    pub now: OffsetDateTime,
}

impl SaleRow {
    /// The id of the sale.
    pub fn sale(&self) -> SaleId {
        SaleId(self.id)
    }

    /// The status as stored.
    pub fn stored_status(&self) -> Status {
        Status::from_stored(&self.status)
    }

    /// Units that one shopper may have.
    pub fn units_per_admission(&self) -> u32 {
        count(self.per_shopper_limit)
    }

    /// Units promised to tokens.
    pub fn promised(&self) -> u32 {
        count(self.promised)
    }

    /// Units in checkout.
    pub fn held(&self) -> u32 {
        count(self.held)
    }

    /// Paid units.
    pub fn sold(&self) -> u32 {
        count(self.sold)
    }

    /// All units.
    pub fn total(&self) -> u32 {
        count(self.total)
    }

    /// Whether more units may be promised than are free, and units are held only during payment.
    pub fn is_yield(&self) -> bool {
        self.mode == SaleMode::Yield.as_str()
    }

    /// The stock.
    pub fn stock(&self) -> StockCounters {
        StockCounters { total: self.total(), promised: self.promised(), held: self.held(), sold: self.sold() }
    }

    /// The settings of the control law.
    pub fn terms(&self) -> Terms {
        Terms {
            mode: if self.is_yield() { AdmissionMode::Yield { risk: self.risk } } else { AdmissionMode::Guarantee },
            units_per_admission: self.units_per_admission(),
            rate_cap_per_s: self.rate_cap_per_s,
            in_checkout_max: self.in_checkout_max.map(count),
            claim_window_s: f64::from(self.claim_window_s),
            token_ttl_s: f64::from(self.token_ttl_s),
            hold_s: f64::from(self.hold_s),
        }
    }

    /// State of the control law after the last decision.
    pub fn memory(&self) -> Memory {
        Memory::read(&self.memory)
    }

    /// Units that are not promised, held or sold.
    pub fn free(&self) -> u32 {
        self.total().saturating_sub(self.promised() + self.held() + self.sold())
    }

    /// The remaining units that shoppers see: in yield mode, promises don't reduce them.
    fn remaining(&self) -> u32 {
        if self.is_yield() { self.total().saturating_sub(self.held() + self.sold()) } else { self.free() }
    }

    /// Takes the stock over from the agenda.
    pub fn take_stock(&mut self, agenda: &Agenda) {
        (self.total, self.promised, self.held, self.sold) = (agenda.total, agenda.promised, agenda.held, agenda.sold);
    }

    /// Notes that pages could not claim their turns from the last tick until `until`.
    pub fn was_unreachable(&mut self, until: OffsetDateTime) {
        (self.unreachable_from, self.unreachable_until) = (Some(self.ticked_at), Some(until));
    }

    /// How long ago an outage of the database began that ended within `within`; zero without one.
    /// Checkouts could not send heartbeats during it.
    pub fn unreachable_for(&self, within: Duration) -> Duration {
        let Some((from, until)) = self.unreachable_from.zip(self.unreachable_until) else { return Duration::ZERO };
        let is_recent = self.now - until < within;
        if is_recent { (self.now - from).try_into().unwrap_or_default() } else { Duration::ZERO }
    }

    /// The status that shoppers and operators see.
    pub fn shown_status(&self) -> Status {
        if lifecycle::has_ended(self.now, self.ends_at) {
            Status::Closed
        } else {
            presented_status(self.stored_status(), self.total(), self.sold())
        }
    }

    /// The order of service.
    pub fn order(&self) -> LineOrder {
        self.line_order.parse().unwrap_or_default()
    }

    /// The commitment to the draw's seed, if there is a draw.
    pub fn commitment(&self) -> Option<Hash> {
        self.commitment.as_deref().map(hash)
    }

    /// Whether a line can't be served before its draw.
    pub fn draw_is_due(&self, line: &LineRow) -> bool {
        self.order() == LineOrder::Draw && line.drawn().is_none()
    }

    /// The public facts of the sale, for one of its lines.
    pub fn card(&self, line: &LineRow) -> SaleCard {
        let lane = line.lane_facts();
        SaleCard {
            id: line.line(),
            // No slug has two hyphens in a row.
            slug: lane.as_ref().map_or_else(|| self.slug.clone(), |lane| format!("{}--{}", self.slug, lane.name)),
            name: self.name.clone(),
            description: self.description.clone(),
            price_minor: self.price_minor,
            currency: self.currency.clone(),
            per_shopper_limit: self.units_per_admission(),
            per_account_limit: self.per_account_limit.map(i32::unsigned_abs),
            total: self.total(),
            remaining: self.remaining(),
            status: self.shown_status(),
            opens_at: self.opens_at,
            ends_at: self.ends_at,
            rate_cap_per_s: self.rate_cap_per_s,
            message: self.message.clone(),
            mode: if self.is_yield() { SaleMode::Yield } else { SaleMode::Guarantee },
            order: self.order(),
            draw: self.commitment().map(|commitment| DrawFacts {
                commitment: commitment.to_string(),
                pool: line.drawn.map(ordinal),
                seed: self.revealed_seed.as_deref().map(|seed| hash(seed).to_string()),
            }),
            lane,
            grace_s: self.grace_s.map(count),
            rehearsal: self.rehearsal_of.is_some(),
            theme: serde_json::from_value(self.theme.clone()).unwrap_or_default(),
            record: line
                .record_seq
                .map(|seq| RecordHead { seq: ordinal(seq), hash: hash(&line.record_hash).to_string() }),
        }
    }
}

/// A sale that opens within this time, in seconds, is due.
pub(crate) const OPENS_SOON_S: f64 = 10.0;

/// A sale that needs ticks.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct RunningSale {
    /// The id of the sale.
    pub id: Uuid,
    /// A value that changes with every change of the sale.
    pub version: String,
    /// Whether it is about to open or to end by the clock.
    pub is_due: Option<bool>,
}

/// A sale with its lines: its own first, then the lanes.
#[derive(Debug, Clone, PartialEq)]
pub struct Sale {
    /// The row.
    pub row: SaleRow,
    /// The lines.
    pub lines: Vec<LineRow>,
}

/// The columns that a tick writes to the row of a sale's own line.
#[derive(Debug, Default)]
pub struct TickResult<'a> {
    /// The new memory, if there is one.
    pub memory: Option<&'a Memory>,
    /// What limits admissions.
    pub why: &'a str,
    /// The time up to which visits have been taken in.
    pub observed_until: Option<OffsetDateTime>,
    /// Whether the sale is closed, and Redis and the record are complete.
    pub settled: bool,
}
