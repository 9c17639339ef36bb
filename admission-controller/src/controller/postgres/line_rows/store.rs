//! The rows of lines.

use sqlx::PgExecutor;
use uuid::Uuid;

use crate::{controller::line::LineRow, db::StoreError};

/// The lines of some sales: of each its own first, then the lanes by name.
pub(crate) async fn lines_of<'c>(executor: impl PgExecutor<'c>, sales: &[Uuid]) -> Result<Vec<LineRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, sale_id, lane, share, invitation_key, invitations, epoch, cursor, highest_ordinal, granted, above, \
         drawn, draw_key, record_seq, record_hash, recorded_epoch, recorded_rev, recorded_tickets, recorded_status, \
         published_status, epoch_began_at, publication, home, rapid_epochs, republish_below, admitted, \
         waiting, present, expected, nodes, expected_nodes, recovers_until FROM lines WHERE sale_id = ANY($1) ORDER BY lane NULLS FIRST",
    );
    Ok(rows.bind(sales).fetch_all(executor).await?)
}
