//! A rehearsal as the admin API shows it.

use fairline_postgres::Word;
use fairline_sale::SaleId;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::jobs::rehearsals::{state::RehearsalState, store::RehearsalRow};

/// A rehearsal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Rehearsal {
    id: Uuid,
    /// The copy of the sale, which the crowd is sent to.
    sale_id: SaleId,
    /// The sale that was copied.
    original_id: SaleId,
    shoppers: i32,
    state: RehearsalState,
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    ended_at: Option<OffsetDateTime>,
    /// The progress, in words.
    #[schema(required)]
    progress: Option<String>,
    /// The crowd's findings on each promise: the last line of `fairline rush`.
    #[schema(required, value_type = Option<Object>)]
    report: Option<Value>,
}

impl From<RehearsalRow> for Rehearsal {
    fn from(row: RehearsalRow) -> Self {
        let RehearsalRow { id, sale_id, original_id, shoppers, state, progress, report, started_at, ended_at } = row;
        let (sale_id, original_id, Word(state)) = (SaleId(sale_id), SaleId(original_id), state);
        Self { id, sale_id, original_id, shoppers, state, started_at, ended_at, progress, report }
    }
}
