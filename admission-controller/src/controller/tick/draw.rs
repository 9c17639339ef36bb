//! The draw of a sale: made once, in the tick in which the sale opens.
//!
//! Redis fixes which tickets are in it; the record takes in all of them, and the key is computed
//! from its head and the seed; Postgres commits the draw; then Redis receives the table, and a
//! publication puts it into effect. The next tick repairs a crash between any two steps: until the
//! commit nothing is drawn, and from then on the table has one value.

use fairline_line::{
    store::{LineError, LineStore, UpcomingQuery},
    ticket::Ordinal,
};
use fairline_record::{Hash, draw::Draw};
use tracing::info;

use super::lines::TickLine;
use crate::controller::{error::TickError, ledger::LockedLedger, line::LineRow};

/// Queries for the tickets of one line in one tick at most; the next tick continues.
const QUERIES_MAX: usize = 10;
/// Tickets that are drawn without a thread of their own, at most.
const DRAWN_HERE: Ordinal = 10_000;

/// A line, and the number of tickets in its draw.
struct Pool<'a> {
    line: &'a mut TickLine,
    size: Ordinal,
}

/// Makes the draws of a sale that has opened, once all tickets in them could be recorded; otherwise
/// the next tick continues. The lines of a sale share one seed: it must not be in the record of one
/// while tickets can still join another's draw.
pub(super) async fn make<L: LockedLedger>(
    sale: &mut L,
    lines: &mut [TickLine],
    redis: &LineStore,
) -> Result<(), TickError> {
    let mut pools = Vec::with_capacity(lines.len());
    for line in lines {
        let id = line.row.line();
        // A tick that could not commit the draw has closed the pool before: tickets that joined
        // since, and that the record has taken in, are part of the draw.
        let size = redis.close_pool(id).await?.max(line.record.recorded());
        for _ in 0..QUERIES_MAX {
            if line.record.recorded() >= size {
                break;
            }
            let news = line.record.wants_tickets_up_to(size);
            line.record
                .take_in(&redis.upcoming(id, &UpcomingQuery { cursor: 0, wanted: 0, reach: 0, record: news }).await?);
        }
        pools.push(Pool { line, size });
    }
    if pools.iter().all(|pool| pool.line.record.recorded() == pool.size) {
        let seed = sale.seed().await?;
        for Pool { line, size } in pools {
            let key = line.record.draw(&seed, size);
            sale.mark_drawn(&mut line.row, size, key).await?;
            info!(line = %line.row.line(), pool = size, "draw made");
        }
    }
    Ok(())
}

/// Sends Redis the table of a line's draw.
pub(super) async fn publish(redis: &LineStore, row: &LineRow, pool: Ordinal, key: Hash) -> Result<(), TickError> {
    let unexpected = |why: String| TickError::Line(LineError::Unexpected(why));
    // A million tickets are a tenth of a second of hashing; a few need no thread.
    let draw = if pool > DRAWN_HERE {
        let draw = tokio::task::spawn_blocking(move || Draw::new(key, pool)).await;
        draw.map_err(|error| unexpected(error.to_string()))?
    } else {
        Draw::new(key, pool)
    };
    let draw = draw.map_err(|error| unexpected(error.to_string()))?;
    Ok(redis.store_draw(row.line(), row.epoch(), &draw).await?)
}
