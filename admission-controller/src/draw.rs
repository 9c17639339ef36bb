//! The draw of a sale: made once, in the tick in which the sale opens.
//!
//! Redis fixes who is in it; the record takes in all of them, and its head and the seed give the key; Postgres commits the
//! draw; then Redis is given the table, and a publication says that it counts. A crash between any two of these is mended by
//! the next tick: until the commit nothing is drawn, and from then on the table has one value.

use fairline_line::{
    store::{LineError, LineStore, UpcomingQuery},
    ticket::Ordinal,
};
use fairline_record::{Hash, draw::Draw};
use fairline_sale::SaleId;
use tracing::info;

use crate::{ledger::Locked, record::Recorder, tick::TickError};

/// Looks at those who have joined in one tick at most; what is left waits for the next.
const LOOKS_MAX: usize = 10;
/// Tickets that are drawn without a thread of their own, at most.
const DRAWN_HERE: Ordinal = 10_000;

/// Makes the draws of a sale that has opened, once all who are in them could be recorded; the next tick goes on otherwise.
/// The lines of a sale share one seed: it must not be in the record of one while tickets can still join another's draw.
pub(crate) async fn make<L: Locked>(
    sale: &mut L,
    records: &mut [Recorder],
    redis: &LineStore,
) -> Result<(), TickError> {
    let mut pools = Vec::with_capacity(records.len());
    for (record, line) in records.iter_mut().zip(&sale.lines) {
        let line = line.line();
        // A tick that could not commit the draw has closed the pool before: tickets that joined since, and that the record has
        // taken in, are part of the draw.
        let pool = redis.close_pool(line).await?.max(record.recorded());
        for _ in 0..LOOKS_MAX {
            if record.recorded() >= pool {
                break;
            }
            let record_query = record.wants_tickets_till(pool);
            record.hear(
                &redis.upcoming(line, &UpcomingQuery { cursor: 0, wanted: 0, reach: 0, record: record_query }).await?,
            );
        }
        pools.push(pool);
    }
    if records.iter().zip(&pools).all(|(record, &pool)| record.recorded() == pool) {
        let seed = sale.seed().await?;
        for (at, (record, pool)) in records.iter_mut().zip(pools).enumerate() {
            let key = record.draw(&seed, pool);
            sale.note_draw(at, pool, key).await?;
            info!(line = %sale.lines[at].line(), pool, "the draw is made");
        }
    }
    Ok(())
}

/// Gives Redis the table of a draw.
pub(crate) async fn lay_down(redis: &LineStore, sale: SaleId, pool: Ordinal, key: Hash) -> Result<(), TickError> {
    let unexpected = |why: String| TickError::Line(LineError::Unexpected(why));
    // A million tickets are a tenth of a second of hashing; a few need no thread.
    let draw = if pool > DRAWN_HERE {
        let draw = tokio::task::spawn_blocking(move || Draw::new(key, pool)).await;
        draw.map_err(|error| unexpected(error.to_string()))?
    } else {
        Draw::new(key, pool)
    };
    let draw = draw.map_err(|error| unexpected(error.to_string()))?;
    Ok(redis.store_draw(sale, &draw).await?)
}
