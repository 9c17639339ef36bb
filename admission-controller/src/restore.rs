//! After Postgres was restored from a backup: what was given since the backup must not be given again.

use fairline_line::store::LineStore;
use fairline_record::draw::POOL_MAX;
use fairline_sale::SaleId;
use fairline_server::StartError;

use crate::store::Store;

/// Tickets of a line that may have been given since the backup, and that Redis does not know: another process may have had later
/// epochs of the line, and its replica, or an old primary, answers now.
const MARGIN: u32 = 1_000_000;

/// A line that was raised above every ticket that may be out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// The sale's id for its own line.
    pub line: SaleId,
    /// Its next epoch comes after this one.
    pub epoch: u32,
    /// The next epoch's ordinals are above this one.
    pub above: u64,
}

/// Has every line of a restored database begin a new epoch, above all ordinals that were given since the backup: by `margin`, or a
/// million, above those that the database and Redis know of.
/// Redis then forgets these lines: it has tokens that the database does not know, and no checkout would accept them.
/// Nothing else may run on the database meanwhile.
///
/// # Errors
/// When Postgres or Redis can't be reached, or a line would get more ordinals than it may have.
pub async fn restore(postgres_url: &str, redis_url: &str, margin: Option<u32>) -> Result<Vec<Raised>, StartError> {
    let store = Store::for_command(postgres_url)?;
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
        raised.push(Raised { line, epoch, above });
    }
    Ok(raised)
}
