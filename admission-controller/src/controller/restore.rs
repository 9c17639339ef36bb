//! Raises the lines of a restored database, so that ordinals given since the backup are not given
//! again.

use fairline_line::store::LineStore;
use fairline_record::draw::POOL_MAX;
use fairline_sale::SaleId;
use fairline_server::StartError;

use crate::{controller::postgres::RestoreStore, db::Database};

/// Ordinals of a line that may have been issued since the backup and that Redis does not have: the
/// process may be a replica or an old primary, while another had later epochs of the line.
const MARGIN: u32 = 1_000_000;

/// A line that was raised above every ordinal that may have been given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaisedLine {
    /// The sale's id for its own line.
    pub line: SaleId,
    /// Its next epoch comes after this one.
    pub epoch: u32,
    /// The next epoch's ordinals are above this one.
    pub above: u64,
}

/// Makes every line of a restored database begin a new epoch, `margin` (by default a million) above
/// the ordinals that the database and Redis know. Then deletes these lines from Redis, since it has
/// tokens that the database does not know and that no checkout would accept. No service may run on
/// the database meanwhile.
///
/// # Errors
/// Returns an error if Postgres or Redis can't be reached, or a line would exceed the highest
/// possible ordinal.
pub async fn restore(postgres_url: &str, redis_url: &str, margin: Option<u32>) -> Result<Vec<RaisedLine>, StartError> {
    let store = RestoreStore(Database::for_command(postgres_url)?);
    let failed = |error: String| StartError::new(format!("The lines could not be raised: {error}."));
    let redis = LineStore::connect(redis_url).await.map_err(|error| failed(error.to_string()))?;
    let mut raised = Vec::new();
    for line in store.lines_of_open_sales().await.map_err(|error| failed(error.to_string()))? {
        let known = redis.home(line).await.map_err(|error| failed(error.to_string()))?;
        let done = store
            .raise(line, &known, margin.unwrap_or(MARGIN), POOL_MAX)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let too_high = || failed(format!("line {line} has {POOL_MAX} tickets at most; give a smaller --margin"));
        let (epoch, above) = done.ok_or_else(too_high)?;
        redis.delete(line).await.map_err(|error| failed(error.to_string()))?;
        raised.push(RaisedLine { line, epoch, above });
    }
    Ok(raised)
}
