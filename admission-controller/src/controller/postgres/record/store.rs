//! The record in Postgres: written by the transaction that commits what it describes.

use async_trait::async_trait;
use fairline_line::ticket::Ordinal;
use fairline_record::Hash;
use fairline_sale::AdmissionState;

use crate::{
    controller::{
        columns::{hash, ordinal, stored},
        ledger::RecordStatements,
        line::LineRow,
        postgres::LockedSale,
        record::Recorder,
    },
    db::StoreError,
};

/// Ended turns that one tick takes over at most.
const OVER_MAX: i64 = 2000;

#[async_trait]
impl RecordStatements for LockedSale {
    async fn write_record(&mut self, line: &mut LineRow, record: &Recorder) -> Result<(), StoreError> {
        if !line.is_record_changed(record) {
            return Ok(());
        }
        let (entries, head) = record.entries();
        let seqs: Vec<i64> = entries.iter().map(|entry| stored(entry.head.seq)).collect();
        let hashes: Vec<Vec<u8>> = entries.iter().map(|entry| entry.head.hash.0.to_vec()).collect();
        let bodies: Vec<&str> = entries.iter().map(|entry| entry.body.as_str()).collect();
        line.keep_record(record, head);
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

    async fn take_over(&mut self, line: &LineRow) -> Result<(Vec<Ordinal>, Vec<Ordinal>), StoreError> {
        let over: Vec<(i64, String)> = sqlx::query_as(
            // An array: with a join, the planner would expect many rows and read all admissions.
            "UPDATE admissions SET recorded_state = state WHERE id = ANY (ARRAY( \
             SELECT id FROM admissions WHERE line_id = $1 AND recorded_state <> state \
             ORDER BY issued_at, ordinal LIMIT $2 FOR UPDATE)) RETURNING ordinal, state",
        )
        .bind(line.id)
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
            .bind(self.sale.id)
            .fetch_one(&mut *self.transaction)
            .await?;
        Ok(hash(&seed).0)
    }

    async fn mark_drawn(&mut self, line: &mut LineRow, pool: Ordinal, key: Hash) -> Result<(), StoreError> {
        sqlx::query("UPDATE lines SET drawn = $2, draw_key = $3 WHERE id = $1 AND drawn IS NULL")
            .bind(line.id)
            .bind(stored(pool))
            .bind(key.0.to_vec())
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }
}
