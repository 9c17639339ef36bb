//! The public list of sales, as `GET /products`: each sale sells one product, under the sale's id.
//!
//! - Memory answers every request. A task refreshes it from a copy in Redis that all processes
//!   share.
//! - The process that relays an event reads the database again within a second. No event reports an
//!   admission; it shows when the copy expires, at most three seconds later.
//! - The list is warm before a sale opens, and a rush does not reach the database. Without
//!   Redis, each process reads the database itself.

pub(crate) mod error;
pub(crate) mod listed_sale;
pub(crate) mod store;

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use fairline_redis::Cache;
use fairline_sale::SaleId;
use fairline_server::{Path, Problem, Shutdown};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::warn;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    db::{Store, StoreError},
    sales::{error::SaleListError, listed_sale::ListedSale},
};

const FRESH_EVERY: Duration = Duration::from_millis(500);
/// A round that takes longer counts as stalled.
const STALLED_AFTER: Duration = Duration::from_secs(120);
/// How long the shared copy lives without an event.
const COPY_KEPT: Duration = Duration::from_secs(2);
/// Clients need not poll faster than people read. A shared cache may serve an older copy while it
/// fetches a new one.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=1, stale-while-revalidate=5");

/// Sales that run or are scheduled, or that ended within a week.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct ListedSales {
    products: Vec<ListedSale>,
}

/// A body, and its entity tag.
#[derive(Debug, Clone)]
struct Tagged {
    body: String,
    tag: HeaderValue,
}

impl Tagged {
    fn new(body: String) -> Self {
        use std::fmt::Write as _;
        let mut tag = String::from('"');
        for byte in &Sha256::digest(&body)[..16] {
            let _ = write!(tag, "{byte:02x}");
        }
        tag.push('"');
        let tag = HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"none\""));
        Self { body, tag }
    }

    /// The body, or 304 if the client has it.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let shown: [(HeaderName, HeaderValue); 2] =
            [(header::ETAG, self.tag.clone()), (header::CACHE_CONTROL, CACHE_CONTROL)];
        // Weak comparison: a compressing proxy turns our tag into a weak one.
        let same =
            |given: &str| given == "*" || given.strip_prefix("W/").unwrap_or(given).as_bytes() == self.tag.as_bytes();
        let mut known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        if known.any(|line| line.split(',').any(|given| same(given.trim()))) {
            return (StatusCode::NOT_MODIFIED, shown).into_response();
        }
        (shown, [(header::CONTENT_TYPE, "application/json")], self.body.clone()).into_response()
    }
}

/// The list as shown at one moment.
#[derive(Debug)]
struct Shown {
    all: Tagged,
    each: Vec<(ListedSale, Tagged)>,
}

impl Shown {
    fn new(products: Vec<ListedSale>) -> Option<Self> {
        let json = |listed: &ListedSale| serde_json::to_string(listed).ok();
        let each = products.iter().map(|listed| Some((listed.clone(), Tagged::new(json(listed)?))));
        let each = each.collect::<Option<Vec<_>>>()?;
        let all = Tagged::new(serde_json::to_string(&ListedSales { products }).ok()?);
        Some(Self { all, each })
    }
}

/// The list of sales.
#[derive(Debug, Clone, Default)]
pub(crate) struct SaleList {
    shown: Arc<RwLock<Option<Arc<Shown>>>>,
    /// An event happened that the copy in Redis does not show yet.
    stale: Arc<AtomicBool>,
}

impl SaleList {
    fn shown(&self) -> Result<Arc<Shown>, SaleListError> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner).clone();
        shown.ok_or(SaleListError::NotLoaded)
    }

    /// Marks the copy as stale, so that the next round reads the database. A rush marks it
    /// thousands of times.
    pub(crate) fn mark_stale(&self) {
        self.stale.store(true, Ordering::Release);
    }

    fn show(&self, products: Vec<ListedSale>) {
        if let Some(shown) = Shown::new(products) {
            *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(shown));
        }
    }
}

/// Keeps the list fresh until the process ends.
pub(crate) fn start(sale_list: &SaleList, store: &Store, cache: &Cache, shutdown: &Shutdown) {
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
    store: &Store,
    cache: &Cache,
    copy: &mut Option<String>,
) -> Result<(), StoreError> {
    let key = match copy {
        Some(key) => key,
        None => copy.insert(format!("fairline:sale-list:{}", store.installation().await?)),
    };
    if !sale_list.stale.swap(false, Ordering::AcqRel) {
        let copy = cache.get(key).await.and_then(|json| serde_json::from_str::<ListedSales>(&json).ok());
        if let Some(ListedSales { products }) = copy {
            sale_list.show(products);
            return Ok(());
        }
    }
    // Reads the database on behalf of all processes. If that fails, the copy stays stale.
    let products = store.listed_sales().await.inspect_err(|_| sale_list.mark_stale())?;
    let products = ListedSales { products };
    if let Ok(json) = serde_json::to_string(&products) {
        cache.set(key, json, COPY_KEPT).await;
    }
    sale_list.show(products.products);
    Ok(())
}

/// The routes of the list.
pub(crate) fn routes() -> OpenApiRouter<SaleList> {
    OpenApiRouter::new().routes(routes!(list_sales)).routes(routes!(show_sale))
}

/// List the sales.
#[utoipa::path(get, path = "/products",
    params(("If-None-Match" = Option<String>, Header, description = "The ETag of the list that the client has.")), responses(
    (status = 200, description = "Sales that run, are scheduled, or ended within a week, the newest first.", body = ListedSales,
        headers(("ETag" = String, description = "Changes with the list."))),
    (status = 304, description = "The client has the current list."),
    (status = 503, description = "The list of sales is not loaded yet."),
))]
async fn list_sales(State(sale_list): State<SaleList>, headers: HeaderMap) -> Result<Response, Problem> {
    Ok(sale_list.shown()?.all.answer(&headers))
}

/// One sale.
#[utoipa::path(get, path = "/products/{id}",
    params(("id" = String, Path, description = "The id or the slug of the sale."),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of the sale that the client has.")), responses(
    (status = 200, description = "The sale.", body = ListedSale, headers(("ETag" = String, description = "Changes with the sale."))),
    (status = 304, description = "The client has the current sale."),
    (status = 404, description = "There is no such sale."),
    (status = 503, description = "The list of sales is not loaded yet."),
))]
async fn show_sale(
    State(sale_list): State<SaleList>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let shown = sale_list.shown()?;
    let sale: Option<SaleId> = id.parse().ok();
    let listed = shown.each.iter().find(|(listed, _)| Some(listed.id) == sale || listed.slug == id);
    Ok(listed.ok_or(SaleListError::UnknownSale)?.1.answer(&headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_with_the_current_tag_gets_304() {
        let tagged = Tagged::new("{}".to_owned());
        let tag = tagged.tag.to_str().expect("text").to_owned();
        let answer = |given: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in given {
                headers.append(header::IF_NONE_MATCH, HeaderValue::from_str(line).expect("a header"));
            }
            tagged.answer(&headers).status().as_u16()
        };
        assert_eq!(answer(&[]), 200);
        assert_eq!(answer(&["\"other\""]), 200);
        assert_eq!(answer(&[tag.trim_matches('"')]), 200, "a tag has its quotes");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"a\", {tag}"), "*".to_owned()] {
            assert_eq!(answer(&[&known]), 304, "{known}");
        }
        assert_eq!(answer(&["\"a\"", &tag]), 304, "two lines");
        assert_ne!(Tagged::new("{ }".to_owned()).tag, tagged.tag);
    }
}
