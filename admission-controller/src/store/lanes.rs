//! The lanes of a sale, as admins change them.

use fairline_admission::LANES_MAX;
use fairline_postgres::Transaction;
use fairline_sale::{SaleId, Status};
use uuid::Uuid;

use super::{By, LineRow, Store, StoreError, lines};

/// Why a lane is not made, or not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneRefused {
    /// There is no such sale, or no such lane of it.
    Unknown,
    /// The sale has as many lanes as a sale may have.
    TooMany,
    /// The lanes of a sale would get more than all admissions.
    Shares,
    /// The draw of a sale takes in all its lines at once.
    Drawn,
    /// The sale is over.
    Closed,
}

/// A sale's lanes, while nobody else changes them and no tick is under way.
pub struct Lanes {
    transaction: Transaction,
    sale: Uuid,
    status: Status,
    is_draw: bool,
    lines: Vec<LineRow>,
}

impl Store {
    /// Waits for the tick that is under way, and keeps others off.
    pub async fn lanes(&self, by: &By, what: &str, sale: SaleId) -> Result<Option<Lanes>, StoreError> {
        let mut transaction = self.begin(by, what).await?;
        let row: Option<(String, String)> = sqlx::query_as(
            "SELECT status, line_order FROM lines JOIN sales ON sales.id = lines.id WHERE lines.id = $1 FOR UPDATE OF lines",
        )
        .bind(sale.0)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((status, order)) = row else { return Ok(None) };
        let lines = lines::of(&mut *transaction, &[sale.0]).await?;
        let status = Status::from_stored(&status);
        Ok(Some(Lanes { transaction, sale: sale.0, status, is_draw: order == "draw", lines }))
    }
}

impl Lanes {
    /// The lane of that name.
    pub fn named(&self, name: &str) -> Option<&LineRow> {
        self.lines.iter().find(|line| line.lane.as_deref() == Some(name))
    }

    /// Whether a lane may have this share, beside those of all the others.
    fn fits(&self, name: &str, share: f64) -> Result<(), LaneRefused> {
        let others = self.lines.iter().filter(|line| line.lane.as_deref() != Some(name));
        let taken: f64 = others.filter_map(|line| line.share).sum();
        // Shares are decimal fractions, whose sums are not exact.
        if taken + share <= 1.0 + 1e-9 { Ok(()) } else { Err(LaneRefused::Shares) }
    }

    /// Makes a lane, with a key of 32 random bytes for its invitations.
    pub async fn add(mut self, name: &str, share: f64, key: &[u8; 32]) -> Result<Result<(), LaneRefused>, StoreError> {
        let refused = match self.status {
            Status::Closed => Some(LaneRefused::Closed),
            Status::Open | Status::Paused if self.is_draw => Some(LaneRefused::Drawn),
            _ if self.lines.len() >= LANES_MAX => Some(LaneRefused::TooMany),
            _ => self.fits(name, share).err(),
        };
        if let Some(refused) = refused {
            return Ok(Err(refused));
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

    /// Gives a lane another share.
    pub async fn share(mut self, name: &str, share: f64) -> Result<Result<(), LaneRefused>, StoreError> {
        let refused = if self.named(name).is_none() { Err(LaneRefused::Unknown) } else { self.fits(name, share) };
        if refused.is_err() {
            return Ok(refused);
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

    /// Counts so many new invitations to a lane. Gives the lane as it was before: their numbers follow its invitations.
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
