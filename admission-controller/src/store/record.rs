//! The record in Postgres: written by the transaction that commits what it tells of, read by anybody.

use async_trait::async_trait;
use fairline_line::{change::Revision, ticket::Ordinal};
use fairline_record::{
    Hash, Ranges,
    entry::{Entry, Head},
};
use fairline_sale::{AdmissionState, LineOrder, SaleId, Status};
use uuid::Uuid;

use super::{LineRow, LockedSale, Sale, SaleRow, Store, StoreError, count, ordinal};
use crate::{ledger::RecordStatements, record::Recorder};

/// Turns that are over and are told in one tick at most.
const OVER_MAX: i64 = 2000;

/// 32 bytes, as the schema checks.
pub(super) fn hash(bytes: &[u8]) -> Hash {
    Hash(bytes.try_into().unwrap_or_default())
}

fn stored(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl SaleRow {
    /// In which order the line is served.
    pub fn order(&self) -> LineOrder {
        if self.line_order == "draw" { LineOrder::Draw } else { LineOrder::Fifo }
    }

    /// What binds the draw, if there is one.
    pub fn commitment(&self) -> Option<Hash> {
        self.commitment.as_deref().map(hash)
    }

    /// Whether one of its lines can't be served before a draw.
    pub fn draw_is_due(&self, line: &LineRow) -> bool {
        self.order() == LineOrder::Draw && line.drawn().is_none()
    }
}

impl LineRow {
    /// How many tickets the draw has shuffled, and with which key; once it is made.
    pub fn drawn(&self) -> Option<(Ordinal, Hash)> {
        self.drawn.map(ordinal).zip(self.draw_key.as_deref().map(hash))
    }

    /// The ordinals of the line's epoch are above this one.
    pub fn above(&self) -> Ordinal {
        ordinal(self.above)
    }

    /// Whether a tick's record has anything to write.
    pub fn is_news(&self, record: &Recorder) -> bool {
        let has_heard = record.kept && record.noted != self.noted();
        !record.is_empty() || has_heard
    }

    /// The record has been written so far, and ends there.
    pub fn keep_record(&mut self, record: &Recorder, head: Head) {
        self.record_seq = Some(stored(head.seq));
        self.record_hash = head.hash.0.to_vec();
        self.recorded_epoch = i32::try_from(record.noted.epoch).unwrap_or(i32::MAX);
        self.recorded_rev = stored(record.noted.rev);
        self.recorded_tickets = record.tickets.bounds().into_iter().map(stored).collect();
        record.status.as_stored().clone_into(&mut self.recorded_status);
    }

    /// What the record has of the line's history.
    pub fn noted(&self) -> Revision {
        Revision { epoch: count(self.recorded_epoch), rev: ordinal(self.recorded_rev) }
    }
}

impl Sale {
    /// Opens the record of the line at this position, at its end.
    pub fn open_record(&self, at: usize) -> Recorder {
        let line = &self.lines[at];
        let bounds: Vec<Ordinal> = line.recorded_tickets.iter().copied().map(ordinal).collect();
        let mut recorder = Recorder {
            line: line.line(),
            kept: line.record_seq.is_some(),
            now: self.row.now,
            head: Head { seq: line.record_seq.map_or(0, ordinal), hash: hash(&line.record_hash) },
            noted: line.noted(),
            tickets: Ranges::from_bounds(&bounds).unwrap_or_default(),
            status: Status::from_stored(&line.recorded_status),
            above: line.above(),
            parts: Vec::new(),
            settled: 0,
        };
        recorder.begin(self.row.order(), self.row.commitment(), self.row.stored_status());
        recorder
    }
}

#[async_trait]
impl RecordStatements for LockedSale {
    async fn write_record(&mut self, at: usize, record: Recorder) -> Result<(), StoreError> {
        if !self.sale.lines[at].is_news(&record) {
            return Ok(());
        }
        let (entries, head) = record.entries();
        let seqs: Vec<i64> = entries.iter().map(|entry| stored(entry.head.seq)).collect();
        let hashes: Vec<Vec<u8>> = entries.iter().map(|entry| entry.head.hash.0.to_vec()).collect();
        let bodies: Vec<&str> = entries.iter().map(|entry| entry.body.as_str()).collect();
        let line = &mut self.sale.lines[at];
        line.keep_record(&record, head);
        sqlx::query(
            "WITH written AS (INSERT INTO record_entries (line_id, seq, hash, body) \
             SELECT $1, seq, hash, body FROM unnest($8::bigint[], $9::bytea[], $10::text[]) AS entry (seq, hash, body)) \
             UPDATE lines SET record_seq = $2, record_hash = $3, recorded_epoch = $4, recorded_rev = $5, \
             recorded_tickets = $6, recorded_status = $7 WHERE id = $1",
        )
        .bind(line.id)
        .bind(line.record_seq)
        .bind(&line.record_hash)
        .bind(line.recorded_epoch)
        .bind(line.recorded_rev)
        .bind(&line.recorded_tickets)
        .bind(&line.recorded_status)
        .bind(seqs)
        .bind(hashes)
        .bind(bodies)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn take_over(&mut self, at: usize) -> Result<(Vec<Ordinal>, Vec<Ordinal>), StoreError> {
        let over: Vec<(i64, String)> = sqlx::query_as(
            // An array, since the planner thinks of a join with so many that it reads all admissions there are.
            "UPDATE admissions SET recorded_state = state WHERE id = ANY (ARRAY( \
             SELECT id FROM admissions WHERE line_id = $1 AND recorded_state <> state \
             ORDER BY issued_at, ordinal LIMIT $2 FOR UPDATE)) RETURNING ordinal, state",
        )
        .bind(self.sale.lines[at].id)
        .bind(OVER_MAX)
        .fetch_all(&mut *self.transaction)
        .await?;
        let of = |state: AdmissionState| -> Vec<Ordinal> {
            let mut ordinals: Vec<_> =
                over.iter().filter(|turn| turn.1 == state.as_str()).map(|turn| ordinal(turn.0)).collect();
            ordinals.sort_unstable();
            ordinals
        };
        Ok((of(AdmissionState::Lapsed), of(AdmissionState::Redeemed)))
    }

    async fn seed(&mut self) -> Result<[u8; 32], StoreError> {
        let seed: Vec<u8> = sqlx::query_scalar("SELECT seed FROM sales WHERE id = $1 AND seed IS NOT NULL")
            .bind(self.sale.row.id)
            .fetch_one(&mut *self.transaction)
            .await?;
        Ok(hash(&seed).0)
    }

    async fn note_draw(&mut self, at: usize, pool: Ordinal, key: Hash) -> Result<(), StoreError> {
        sqlx::query("UPDATE lines SET drawn = $2, draw_key = $3 WHERE id = $1 AND drawn IS NULL")
            .bind(self.sale.lines[at].id)
            .bind(stored(pool))
            .bind(key.0.to_vec())
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }
}

impl Store {
    /// The next entries of a record after one, `most` at most.
    pub async fn record(&self, line: SaleId, after: u64, most: i64) -> Result<Vec<Entry>, StoreError> {
        let rows: Vec<(i64, Vec<u8>, String)> = sqlx::query_as(
            "SELECT seq, hash, body FROM record_entries WHERE line_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(line.0)
        .bind(stored(after))
        .bind(most)
        .fetch_all(&self.pool)
        .await?;
        let entry = |(seq, bytes, body): (i64, Vec<u8>, String)| Entry {
            head: Head { seq: ordinal(seq), hash: hash(&bytes) },
            body,
        };
        Ok(rows.into_iter().map(entry).collect())
    }

    /// Whether a line exists and has a record.
    pub async fn has_record(&self, line: SaleId) -> Result<bool, StoreError> {
        let kept: Option<Uuid> = sqlx::query_scalar("SELECT id FROM lines WHERE id = $1 AND record_seq IS NOT NULL")
            .bind(line.0)
            .fetch_optional(&self.pool)
            .await?;
        Ok(kept.is_some())
    }
}
