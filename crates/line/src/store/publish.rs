//! Writes of the controller: draws, decisions and outcomes.

use std::time::Duration;

use fairline_record::draw::Draw;
use fairline_sale::{SaleCard, SaleId, Status};
use fred::types::Value;
use time::OffsetDateTime;

use super::{
    LineError, LineStore,
    calls::{ClosePool, DeleteLine, Publish, RepublishTurns, StoreDraw, bytes, milliseconds, number},
    stream_id,
    tickets::Claim,
    unix_ms,
};
use crate::{
    change::{Revision, Turn},
    port::SCHEDULED_RANK,
    ticket::Ordinal,
};

/// Bytes of the table of a draw that are stored in one call.
const DRAW_BYTES_PER_CALL: usize = 1 << 18;
/// How long a closed sale is kept.
const CLOSED_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// The committed state that the controller publishes.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication<'a> {
    /// Grows with every publication; one that arrives late, or twice, is rejected.
    pub number: i64,
    /// The line's life.
    pub epoch: u32,
    /// If this publication begins the epoch, the Redis process for it. Only such a publication
    /// creates a line that Redis does not have.
    pub begins: Option<&'a str>,
    /// The ordinals of this epoch are above this one.
    pub above: Ordinal,
    /// The highest number whose turn has come. Where an epoch begins, tickets beyond it are
    /// departed until they are presented.
    pub cursor: u64,
    /// How many tickets a stored draw has shuffled; 0 before it, and without one.
    pub drawn: u64,
    /// The record has the changes of presence up to this one.
    pub recorded: Revision,
    /// The highest ordinal that may be given: the next epoch begins above it.
    pub granted: Ordinal,
    /// How long after its turn has passed a ticket is still recalled.
    pub recall_window: Duration,
    /// The sale's public facts.
    pub card: &'a SaleCard,
    /// Claims that the controller has handled.
    pub handled_claims: &'a [(Ordinal, Claim)],
    /// Outcomes of turns.
    pub turns: &'a [(Ordinal, Turn)],
}

impl LineStore {
    /// Publishes what has been committed.
    ///
    /// # Errors
    /// When Redis does not respond, or has received a later publication, or this one before.
    pub async fn publish(&self, publication: &Publication<'_>) -> Result<(), LineError> {
        let card = serde_json::to_string(publication.card).map_err(|error| LineError::Unexpected(error.to_string()))?;
        let closed = publication.card.status == Status::Closed;
        let claims = publication.handled_claims.iter();
        let turns = publication.turns.iter();
        let call = Publish {
            publication: Value::from(publication.number),
            epoch: number(publication.epoch.into()),
            begins_in: Value::from(publication.begins.unwrap_or_default()),
            above: number(publication.above),
            cursor: number(publication.cursor),
            granted: number(publication.granted),
            drawn: number(publication.drawn),
            recall_ms: milliseconds(publication.recall_window),
            kept_ms: milliseconds(if closed { CLOSED_KEPT } else { Duration::ZERO }),
            card: Value::from(card),
            history_from: Value::from(stream_id(publication.recorded.next())),
            handled_claims: claims.map(|(ordinal, claim)| [number(*ordinal), Value::from(claim.as_str())]).collect(),
            turns: turns.map(|(ordinal, turn)| [number(*ordinal), Value::from(turn.to_text())]).collect(),
        };
        let sale = publication.card.id;
        self.call(sale, call).await?;
        let now = OffsetDateTime::now_utc();
        let rank = match publication.card.status {
            Status::Closed => unix_ms(now + CLOSED_KEPT),
            Status::Scheduled => SCHEDULED_RANK - unix_ms(publication.card.opens_at),
            _ => f64::INFINITY,
        };
        Ok(self.port.list(sale.to_string(), rank, unix_ms(now)).await?)
    }

    /// Publishes an outcome of turns of earlier epochs again, in bulk, as a part of `publication`.
    /// May be repeated.
    ///
    /// # Errors
    /// When Redis does not respond, has another epoch, or has received a later publication.
    pub async fn republish_turns(
        &self,
        line: SaleId,
        (epoch, publication): (u32, i64),
        turn: &Turn,
        ordinals: &[Ordinal],
    ) -> Result<(), LineError> {
        let short = |ordinal: &Ordinal| u32::try_from(*ordinal).ok().map(u32::to_be_bytes);
        let packed: Vec<u8> = ordinals.iter().filter_map(short).flatten().collect();
        let call = RepublishTurns {
            epoch: number(epoch.into()),
            publication: Value::from(publication),
            turn: Value::from(turn.to_text()),
            ordinals: Value::Bytes(packed.into()),
        };
        self.call(line, call).await?;
        Ok(())
    }

    /// Closes the pool of a sale that opens with a draw: the tickets given so far are in it.
    /// Returns the highest ordinal of those; may be repeated.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn close_pool(&self, sale: SaleId) -> Result<Ordinal, LineError> {
        self.call(sale, ClosePool {}).await
    }

    /// Stores the table of a draw, which takes effect with a publication. May be repeated.
    ///
    /// # Errors
    /// When Redis does not respond, or has a later epoch.
    pub async fn store_draw(&self, sale: SaleId, epoch: u32, draw: &Draw) -> Result<(), LineError> {
        let table: Vec<u8> = draw.to_bytes().collect();
        for (part, chunk) in table.chunks(DRAW_BYTES_PER_CALL).enumerate() {
            let offset = number((part * DRAW_BYTES_PER_CALL) as u64);
            self.call(sale, StoreDraw { epoch: number(epoch.into()), offset, bytes: bytes(chunk) }).await?;
        }
        Ok(())
    }

    /// Deletes all that Redis stores about a line, after Postgres was restored from a backup. The
    /// controller then begins a new epoch.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn delete(&self, line: SaleId) -> Result<(), LineError> {
        self.call(line, DeleteLine {}).await?;
        Ok(())
    }
}
