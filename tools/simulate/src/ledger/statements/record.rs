//! The statements of the public record.

use admission_controller::testing::{RecordStatements, Recorder, StoreError};
use async_trait::async_trait;
use fairline_line::ticket::Ordinal;
use fairline_record::Hash;

use super::{
    super::{Admission, State},
    OVER_MAX, Session, stored,
};
use crate::sale::SEED;

#[async_trait]
impl RecordStatements for Session {
    async fn write_record(&mut self, at: usize, record: Recorder) -> Result<(), StoreError> {
        if !self.sale.lines[at].is_record_changed(&record) {
            return Ok(());
        }
        self.statement(move |own, ledger, _| {
            let (entries, head) = record.entries();
            own.sale.lines[at].keep_record(&record, head);
            let entries = entries.iter().filter_map(|entry| entry.to_line().ok());
            if let Some(transaction) = &mut ledger.transaction {
                transaction.entries.extend(entries.map(|entry| (at, entry)));
            }
            own.keep_line(ledger, at);
        })
        .await
    }

    async fn take_over(&mut self, at: usize) -> Result<(Vec<Ordinal>, Vec<Ordinal>), StoreError> {
        self.statement(move |_, ledger, _| {
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

    async fn note_draw(&mut self, at: usize, pool: Ordinal, key: Hash) -> Result<(), StoreError> {
        self.statement(move |own, ledger, _| {
            let line = &mut own.sale.lines[at];
            if line.drawn.is_none() {
                (line.drawn, line.draw_key) = (Some(stored(pool)), Some(key.0.to_vec()));
            }
            own.keep_line(ledger, at);
        })
        .await
    }
}
