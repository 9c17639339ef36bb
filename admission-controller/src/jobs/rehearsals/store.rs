//! The progress and the end of a rehearsal.

use fairline_events::EventKind;
use fairline_postgres::Word;
use serde_json::Value;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::state::RehearsalState;
use crate::db::{Database, StoreError, insert_events};

/// A rehearsal whose controller has been silent for this time has failed, in seconds.
const SILENT_S: f64 = 15.0;

/// A rehearsal, as stored.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct RehearsalRow {
    pub id: Uuid,
    pub sale_id: Uuid,
    pub original_id: Uuid,
    pub shoppers: i32,
    pub state: Word<RehearsalState>,
    pub progress: Option<String>,
    pub report: Option<Value>,
    pub started_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
}

/// Whether a rehearsal continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// It continues.
    Running,
    /// An operator has stopped it.
    Stopped,
}

/// Rehearsals, for their operators and for the job that runs them.
#[derive(Clone)]
pub(crate) struct RehearsalStore(pub(crate) Database);

impl RehearsalStore {
    /// Stores the heartbeat of a rehearsal, and its progress. Returns whether it has been stopped.
    pub async fn report_rehearsal(&self, id: Uuid, progress: Option<&str>) -> Result<RunState, StoreError> {
        let state: Option<Word<RehearsalState>> = sqlx::query_scalar(
            "UPDATE rehearsals SET heartbeat_at = now(), progress = coalesce($2, progress) WHERE id = $1 AND ended_at IS NULL \
             RETURNING state",
        )
        .bind(id)
        .bind(progress)
        .fetch_optional(&self.0.pool)
        .await?;
        // Without a row, it was ended as silent.
        Ok(if state == Some(Word(RehearsalState::Running)) { RunState::Running } else { RunState::Stopped })
    }

    /// Ends a rehearsal, and closes the copy of the sale.
    pub async fn end_rehearsal(
        &self,
        id: Uuid,
        state: RehearsalState,
        why: Option<&str>,
        report: Option<Value>,
    ) -> Result<(), StoreError> {
        sqlx::query(concat!(
            "WITH ended AS (UPDATE rehearsals SET state = $2, progress = coalesce($3, progress), report = $4, ended_at = now() \
             WHERE id = $1 AND ended_at IS NULL RETURNING sale_id), \
             closed AS (UPDATE sales SET status = 'closed' FROM ended WHERE sales.id = sale_id AND status <> 'closed' \
             RETURNING sales.id) ",
            insert_events!("closed", "$5")
        ))
        .bind(id)
        .bind(state.as_str())
        .bind(why)
        .bind(report)
        .bind(EventKind::FlashSaleEnded.as_str())
        .execute(&self.0.pool)
        .await?;
        Ok(())
    }

    /// Ends a rehearsal whose controller has died, and closes the copy of the sale.
    pub async fn end_silent_rehearsal(&self) -> Result<(), StoreError> {
        let silent: Option<Uuid> = sqlx::query_scalar(
            "SELECT id FROM rehearsals WHERE ended_at IS NULL AND heartbeat_at < now() - make_interval(secs => $1)",
        )
        .bind(SILENT_S)
        .fetch_optional(&self.0.pool)
        .await?;
        match silent {
            Some(id) => {
                let why = Some("The controller that ran it has died.");
                self.end_rehearsal(id, RehearsalState::Failed, why, None).await
            }
            None => Ok(()),
        }
    }
}
