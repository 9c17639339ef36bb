//! The lines of a database that was restored from a backup.

use fairline_line::{store::Home, ticket::Ordinal};
use fairline_sale::SaleId;
use uuid::Uuid;

use crate::{
    controller::columns::{count, ordinal},
    db::{Database, StoreError},
};

/// Epochs that a line may have had since the backup.
const EPOCHS_LEAPT: i32 = 1000;

/// The lines that a restore raises.
#[derive(Clone)]
pub(crate) struct RestoreStore(pub(crate) Database);

impl RestoreStore {
    /// The lines of all sales that have not ended.
    pub async fn lines_of_open_sales(&self) -> Result<Vec<SaleId>, StoreError> {
        let lines: Vec<Uuid> = sqlx::query_scalar(
            "SELECT lines.id FROM lines JOIN sales ON sales.id = sale_id WHERE status <> 'closed' ORDER BY lines.id",
        )
        .fetch_all(&self.0.pool)
        .await?;
        Ok(lines.into_iter().map(SaleId).collect())
    }

    /// Raises a line by `margin` ordinals above all that Redis and the database know. Returns its
    /// epoch, and the ordinal that the next one begins above; `None` if that would exceed `most`.
    /// The epoch leaps too, since nodes may know some that the backup does not.
    pub async fn raise(
        &self,
        line: SaleId,
        redis: &Home,
        margin: u32,
        most: Ordinal,
    ) -> Result<Option<(u32, Ordinal)>, StoreError> {
        let raised: Option<(i32, i64)> = sqlx::query_as(
            "UPDATE lines SET epoch = greatest(epoch, $2) + $3, granted = greatest(granted, $4) + $5, home = NULL, rapid_epochs = 0 \
             WHERE id = $1 AND greatest(granted, $4) + $5 <= $6 RETURNING epoch, granted",
        )
        .bind(line.0)
        .bind(i32::try_from(redis.epoch).unwrap_or(0))
        .bind(EPOCHS_LEAPT)
        .bind(i64::try_from(redis.granted).unwrap_or(0))
        .bind(i64::from(margin))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_optional(&self.0.pool)
        .await?;
        Ok(raised.map(|(epoch, granted)| (count(epoch), ordinal(granted))))
    }
}
