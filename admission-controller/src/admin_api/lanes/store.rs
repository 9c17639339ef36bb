//! The lanes of a sale, as operators change them.

use fairline_admission::LANES_MAX;
use fairline_postgres::Transaction;
use fairline_sale::{LineOrder, SaleId, Status};
use uuid::Uuid;

use super::rejected::LaneRejection;
use crate::{
    controller::{line::LineRow, postgres::lines_of},
    db::{Author, Database, StoreError},
};

/// The lanes of a locked sale: no other request changes them, and no tick is under way.
pub struct LockedLanes {
    transaction: Transaction,
    sale: Uuid,
    status: Status,
    is_draw: bool,
    lines: Vec<LineRow>,
}

/// The lanes of sales.
#[derive(Clone)]
pub(crate) struct LaneStore(pub(crate) Database);

impl LaneStore {
    /// Locks the sale of the lanes, as soon as the tick that is under way has ended.
    pub async fn lock_lanes(&self, by: &Author, action: &str, sale: SaleId) -> Result<Option<LockedLanes>, StoreError> {
        let mut transaction = self.0.begin(by, action).await?;
        let row: Option<(String, String)> = sqlx::query_as(
            "SELECT status, line_order FROM lines JOIN sales ON sales.id = lines.id WHERE lines.id = $1 FOR UPDATE OF lines",
        )
        .bind(sale.0)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((status, order)) = row else { return Ok(None) };
        let lines = lines_of(&mut *transaction, &[sale.0]).await?;
        let status = Status::from_stored(&status);
        Ok(Some(LockedLanes { transaction, sale: sale.0, status, is_draw: order == LineOrder::Draw.as_str(), lines }))
    }
}

impl LockedLanes {
    /// The lane with this name.
    pub fn named(&self, name: &str) -> Option<&LineRow> {
        self.lines.iter().find(|line| line.lane.as_deref() == Some(name))
    }

    /// Whether the shares of all lanes stay within 1 if this lane gets this share.
    fn fits(&self, name: &str, share: f64) -> Result<(), LaneRejection> {
        let others = self.lines.iter().filter(|line| line.lane.as_deref() != Some(name));
        let taken: f64 = others.filter_map(|line| line.share).sum();
        // Shares are decimal fractions, whose sums are not exact.
        if taken + share <= 1.0 + 1e-9 { Ok(()) } else { Err(LaneRejection::Shares) }
    }

    /// Adds a lane, with a key of 32 random bytes for its invitations.
    pub async fn add(
        mut self,
        name: &str,
        share: f64,
        key: &[u8; 32],
    ) -> Result<Result<(), LaneRejection>, StoreError> {
        let rejected = match self.status {
            Status::Closed => Some(LaneRejection::Closed),
            Status::Open | Status::Paused if self.is_draw => Some(LaneRejection::Drawn),
            _ if self.lines.len() >= LANES_MAX => Some(LaneRejection::TooMany),
            _ => self.fits(name, share).err(),
        };
        if let Some(rejected) = rejected {
            return Ok(Err(rejected));
        }
        sqlx::query("INSERT INTO lines (id, sale_id, lane, share, invitation_key) VALUES ($1, $2, $3, $4, $5)")
            .bind(Uuid::now_v7())
            .bind(self.sale)
            .bind(name)
            .bind(share)
            .bind(&key[..])
            .execute(&mut *self.transaction)
            .await?;
        self.transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Changes the share of a lane.
    pub async fn set_share(mut self, name: &str, share: f64) -> Result<Result<(), LaneRejection>, StoreError> {
        let checked = if self.named(name).is_none() { Err(LaneRejection::Unknown) } else { self.fits(name, share) };
        if checked.is_err() {
            return Ok(checked);
        }
        sqlx::query("UPDATE lines SET share = $3 WHERE sale_id = $1 AND lane = $2")
            .bind(self.sale)
            .bind(name)
            .bind(share)
            .execute(&mut *self.transaction)
            .await?;
        self.transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Counts new invitations to a lane. Returns the lane as it was before: their numbers follow
    /// its invitations.
    pub async fn count_invitations(mut self, name: &str, new: u32) -> Result<Option<LineRow>, StoreError> {
        let Some(lane) = self.named(name).cloned() else { return Ok(None) };
        sqlx::query("UPDATE lines SET invitations = invitations + $2 WHERE id = $1")
            .bind(lane.id)
            .bind(i64::from(new))
            .execute(&mut *self.transaction)
            .await?;
        self.transaction.commit().await?;
        Ok(Some(lane))
    }
}
