//! The draw of a sale: made once, in the tick in which the sale opens.
//!
//! Redis fixes who is in it; the record takes in all of them, and its head and the seed give the key; Postgres commits the
//! draw; then Redis is given the table, and a publication says that it counts. A crash between any two of these is mended by
//! the next tick: until the commit nothing is drawn, and from then on the table has one value.

use fairline_line::{
    store::{LineError, LineStore, Look},
    ticket::Ordinal,
};
use fairline_record::{Hash, draw::Draw};
use fairline_sale::{LineOrder, SaleId};
use tracing::info;

use crate::{
    record::Recorder,
    store::{LockedLine, SaleRow},
    tick::TickError,
};

/// Looks at those who have joined in one tick at most; what is left waits for the next.
const LOOKS_MAX: usize = 10;

impl SaleRow {
    /// Whether the line can't be served before a draw.
    pub(crate) fn draw_is_due(&self) -> bool {
        self.order() == LineOrder::Draw && self.drawn().is_none()
    }
}

/// Makes the draw of a sale that has opened, if all who are in it could be recorded; the next tick goes on otherwise.
pub(crate) async fn make(line: &mut LockedLine, record: &mut Recorder, redis: &LineStore) -> Result<(), TickError> {
    let sale = line.row.sale();
    let pool = redis.close_pool(sale).await?;
    for _ in 0..LOOKS_MAX {
        if record.recorded() >= pool {
            break;
        }
        let news = record.wants_tickets_till(pool);
        record.hear(&redis.look(sale, &Look { cursor: 0, wanted: 0, reach: 0, news }).await?);
    }
    if record.recorded() == pool {
        let seed = line.seed().await?;
        let key = record.draw(&seed, pool);
        line.note_draw(pool, key).await?;
        info!(%sale, pool, "the draw is made");
    }
    Ok(())
}

/// Gives Redis the table of a draw.
pub(crate) async fn lay_down(redis: &LineStore, sale: SaleId, pool: Ordinal, key: Hash) -> Result<(), TickError> {
    // A million tickets are a tenth of a second of hashing.
    let draw = tokio::task::spawn_blocking(move || Draw::new(key, pool)).await;
    let unexpected = |why: String| TickError::Line(LineError::Unexpected(why));
    let draw = draw.map_err(|error| unexpected(error.to_string()))?.map_err(|error| unexpected(error.to_string()))?;
    Ok(redis.lay_down(sale, &draw).await?)
}
