//! The statements of the public record.

use admission_controller::testing::{LineRow, RecordStatements, Recorder, StoreError};
use async_trait::async_trait;
use fairline_line::ticket::Ordinal;
use fairline_record::Hash;

use super::{
    super::{Admission, State},
    OVER_MAX, Session, keep_line, stored,
};
use crate::sale::SEED;

#[async_trait]
impl RecordStatements for Session {
    async fn write_record(&mut self, line: &mut LineRow, record: &Recorder) -> Result<(), StoreError> {
        if !line.is_record_changed(record) {
            return Ok(());
        }
        self.statement(move |_, ledger, _| {
            let (at, (entries, head)) = (ledger.position(line), record.entries());
            line.keep_record(record, head);
            let entries = entries.iter().filter_map(|entry| entry.to_line().ok());
            if let Some(transaction) = &mut ledger.transaction {
                transaction.entries.extend(entries.map(|entry| (at, entry)));
            }
            keep_line(ledger, line);
        })
        .await
    }

    async fn take_over(&mut self, line: &LineRow) -> Result<(Vec<Ordinal>, Vec<Ordinal>), StoreError> {
        self.statement(move |_, ledger, _| {
            let at = ledger.position(line);
            let news = ledger.seen().filter(|(_, row)| row.line == at && row.recorded != row.state);
            let mut news: Vec<_> = news.map(|(index, row)| (row.issued_at, row.ordinal, index)).collect();
            news.sort_unstable();
            let written = |(_, _, index)| ledger.write(index, |row| row.recorded = row.state);
            let over: Vec<Admission> = news.into_iter().take(OVER_MAX).filter_map(written).collect();
            let of = |state: State| {
                let mut ordinals: Vec<Ordinal> =
                    over.iter().filter(|row| row.state == state).map(|row| row.ordinal).collect();
                ordinals.sort_unstable();
                ordinals
            };
            (of(State::Lapsed), of(State::Redeemed))
        })
        .await
    }

    async fn seed(&mut self) -> Result<[u8; 32], StoreError> {
        Ok(SEED)
    }

    async fn mark_drawn(&mut self, line: &mut LineRow, pool: Ordinal, key: Hash) -> Result<(), StoreError> {
        self.statement(move |_, ledger, _| {
            if line.drawn.is_none() {
                (line.drawn, line.draw_key) = (Some(stored(pool)), Some(key.0.to_vec()));
            }
            keep_line(ledger, line);
        })
        .await
    }
}
