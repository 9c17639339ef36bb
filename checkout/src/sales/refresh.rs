//! Keeps the list of sales fresh, from the copy in Redis or from the database.

use std::time::Duration;

use fairline_redis::Cache;
use fairline_server::Shutdown;
use tracing::warn;

use super::{
    service::{ListedSales, SaleList},
    store::SaleStore,
};
use crate::db::StoreError;

const FRESH_EVERY: Duration = Duration::from_millis(500);
/// A round that takes longer counts as stalled.
const STALLED_AFTER: Duration = Duration::from_secs(120);
/// How long the shared copy lives without an event: longer if it lists many sales, since it is then
/// expensive to read.
const COPY_KEPT: Duration = Duration::from_secs(2);
const COPY_KEPT_PER_SALE: Duration = Duration::from_millis(10);

/// Keeps the list fresh until the process ends.
pub(crate) fn start(sale_list: &SaleList, store: &SaleStore, cache: &Cache, shutdown: &Shutdown) {
    let (sale_list, store, cache) = (sale_list.clone(), store.clone(), cache.clone());
    shutdown.keep("sale-list", STALLED_AFTER, move |stop| {
        let (sale_list, store, cache) = (sale_list.clone(), store.clone(), cache.clone());
        async move {
            let (mut rounds, mut copy) = (stop.rounds(FRESH_EVERY), None);
            while rounds.next().await {
                if let Err(error) = refresh(&sale_list, &store, &cache, &mut copy).await {
                    warn!(%error, "read list of sales failed; keeping the old one");
                }
            }
        }
    });
}

/// `copy` is the Redis key of the copy, if it has been read. Each database has its own key, so that
/// several may share a Redis.
async fn refresh(
    sale_list: &SaleList,
    store: &SaleStore,
    cache: &Cache,
    copy: &mut Option<String>,
) -> Result<(), StoreError> {
    let key = match copy {
        Some(key) => key,
        None => copy.insert(format!("fairline:sale-list:{}", store.installation().await?)),
    };
    if !sale_list.take_stale() {
        let copy = cache.get(key).await;
        if copy.as_ref().is_some_and(|copy| sale_list.shows(copy)) {
            return Ok(());
        }
        if let Some(ListedSales { products }) = copy.and_then(|json| serde_json::from_str(&json).ok()) {
            sale_list.show(products);
            return Ok(());
        }
    }
    // Reads the database on behalf of all processes. If that fails, the copy stays stale.
    let products = store.listed_sales().await.inspect_err(|_| sale_list.mark_stale())?;
    let products = ListedSales { products };
    if let Ok(json) = serde_json::to_string(&products) {
        let kept = COPY_KEPT_PER_SALE * u32::try_from(products.products.len()).unwrap_or(u32::MAX);
        cache.set(key, json, COPY_KEPT.max(kept)).await;
    }
    sale_list.show(products.products);
    Ok(())
}
