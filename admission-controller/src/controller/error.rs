//! Why a tick failed.

use fairline_line::store::LineError;

use crate::db::StoreError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum TickError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Line(#[from] LineError),
}
