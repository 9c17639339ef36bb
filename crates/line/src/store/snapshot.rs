//! Reads of a line by a node.

use fairline_sale::{SaleCard, SaleId};

use super::{
    LineError, LineStore,
    calls::{ReadNumbers, ReadRevision, ReadSnapshot, RevisionReply},
};
use crate::{
    change::Revision,
    places::{LineView, Numbers},
};

/// A line at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The revision that the next change follows.
    pub revision: Revision,
    /// The line.
    pub view: LineView,
    /// The sale's public facts.
    pub card: SaleCard,
}

impl LineStore {
    /// The line at this moment.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn snapshot(&self, sale: SaleId) -> Result<Snapshot, LineError> {
        let line = self.call(sale, ReadSnapshot {}).await?;
        let card = serde_json::from_str(&line.card).map_err(|error| LineError::Unexpected(error.to_string()))?;
        let revision = Revision { epoch: line.epoch, rev: line.rev };
        // The table of a draw never changes: it may be read after the rest.
        let numbers = if line.drawn > 0 { self.numbers(sale).await? } else { Numbers::default() };
        let view = LineView::new(line.epoch, line.cursor, line.highest)
            .with_departed(&line.departed)
            .with_recalled(line.recalled)
            .drawn(numbers);
        Ok(Snapshot { revision, view, card })
    }

    /// The revision of the line.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn revision(&self, sale: SaleId) -> Result<Revision, LineError> {
        let RevisionReply { epoch, rev } = self.call(sale, ReadRevision {}).await?;
        Ok(Revision { epoch, rev })
    }

    /// The number of each ticket of a draw; empty before it.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn numbers(&self, sale: SaleId) -> Result<Numbers, LineError> {
        let table = self.call(sale, ReadNumbers {}).await?;
        Ok(Numbers::from_bytes(&table))
    }
}
