//! The catalogue: what is sold, for anybody to see. A product is what a sale offers, and has the sale's id.
//!
//! Every request is answered from memory, which a task keeps fresh from a copy in Redis that all processes share. Whichever process relays
//! the event of what has happened reads the database anew, within a second; who was let in is told by no event, and is seen when the copy
//! runs out, three seconds later at most. So the catalogue is warm before a sale opens, and its crowd costs the database nothing. Without
//! Redis each process reads the database itself.

pub(crate) mod cache;
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
use fairline_sale::{SaleId, Status};
use fairline_service::{Path, Problem, ProblemBody};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{Checkout, catalogue::cache::Cache, db::StoreError, error::CheckoutError};

/// Products that are listed at most, the newest first.
pub(crate) const PRODUCTS_MAX: i64 = 1000;
const FRESH_EVERY: Duration = Duration::from_millis(500);
/// A round that takes longer stands still.
const STANDS_STILL: Duration = Duration::from_secs(120);
/// How old the shared copy gets when nothing is heard.
const COPY_KEPT: Duration = Duration::from_secs(2);
/// Nobody polls more often than people can read; whoever is behind a cache may have it for longer while a newer one is fetched.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=1, stale-while-revalidate=5");

/// What a sale offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Product {
    /// The sale's id.
    pub(crate) id: SaleId,
    /// Its name in addresses.
    pub(crate) slug: String,
    /// What is sold.
    pub(crate) name: String,
    /// A sentence or two about it. Plain text.
    pub(crate) description: String,
    /// Price of one unit, in the currency's minor unit (cents).
    pub(crate) price_minor: i64,
    /// ISO 4217 code.
    pub(crate) currency: String,
    /// Units one shopper may buy.
    pub(crate) per_shopper_limit: i32,
    /// Units one account may buy, where only those who are signed in may.
    #[schema(required)]
    pub(crate) per_account_limit: Option<i32>,
    /// What the sale is doing.
    pub(crate) status: Status,
    /// Units in the sale.
    pub(crate) total: i32,
    /// Units that nobody has paid for, holds, or has been promised.
    pub(crate) remaining: i32,
    /// When it opens or opened.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) opens_at: OffsetDateTime,
    /// When it ends, if it ends by the clock.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    pub(crate) ends_at: Option<OffsetDateTime>,
}

/// What is sold: sales that run or will, and such as have ended within a week.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Products {
    products: Vec<Product>,
}

/// A body, and the tag of its very bytes.
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

    /// The body, or that it is what the client has.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let shown: [(HeaderName, HeaderValue); 2] =
            [(header::ETAG, self.tag.clone()), (header::CACHE_CONTROL, CACHE_CONTROL)];
        // Compared weakly: a proxy that compresses makes a weak tag of ours.
        let same =
            |given: &str| given == "*" || given.strip_prefix("W/").unwrap_or(given).as_bytes() == self.tag.as_bytes();
        let mut known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        if known.any(|line| line.split(',').any(|given| same(given.trim()))) {
            return (StatusCode::NOT_MODIFIED, shown).into_response();
        }
        (shown, [(header::CONTENT_TYPE, "application/json")], self.body.clone()).into_response()
    }
}

/// The catalogue, as it is shown at one moment.
#[derive(Debug)]
struct Shown {
    all: Tagged,
    each: Vec<(Product, Tagged)>,
}

impl Shown {
    fn new(products: Vec<Product>) -> Option<Self> {
        let json = |product: &Product| serde_json::to_string(product).ok();
        let each = products.iter().map(|product| Some((product.clone(), Tagged::new(json(product)?))));
        let each = each.collect::<Option<Vec<_>>>()?;
        let all = Tagged::new(serde_json::to_string(&Products { products }).ok()?);
        Some(Self { all, each })
    }
}

/// The catalogue.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalogue {
    shown: Arc<RwLock<Option<Arc<Shown>>>>,
    /// Something has happened that the copy in Redis does not show.
    stale: Arc<AtomicBool>,
}

impl Catalogue {
    fn shown(&self) -> Result<Arc<Shown>, CheckoutError> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner).clone();
        shown.ok_or(CheckoutError::NoCatalogue)
    }

    /// Something has happened: it is read anew with the next beat. Events of a rush come by the thousand.
    pub(crate) fn spoil(&self) {
        self.stale.store(true, Ordering::Release);
    }

    fn show(&self, products: Vec<Product>) {
        if let Some(shown) = Shown::new(products) {
            *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(shown));
        }
    }
}

/// Keeps the catalogue fresh until the process ends.
pub(crate) fn start(checkout: &Checkout, cache: Cache) {
    let known = checkout.clone();
    checkout.shutdown.keep("catalogue", STANDS_STILL, move |stop| {
        let (checkout, cache) = (known.clone(), cache.clone());
        async move {
            let (mut beat, mut copy) = (interval(FRESH_EVERY), None);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = beat.tick() => {}
                    () = stop.triggered() => return,
                }
                fairline_service::beat();
                if let Err(error) = refresh(&checkout, &cache, &mut copy).await {
                    warn!(%error, "the catalogue can't be read; the old one stays");
                }
            }
        }
    });
}

/// `copy` is the key of the copy, once that is known: each database has its own, so that several may share a Redis.
async fn refresh(checkout: &Checkout, cache: &Cache, copy: &mut Option<String>) -> Result<(), StoreError> {
    let key = match copy {
        Some(key) => key,
        None => copy.insert(format!("fairline:products:{}", checkout.store.installation().await?)),
    };
    if !checkout.catalogue.stale.swap(false, Ordering::AcqRel) {
        let copy = cache.get(key).await.and_then(|json| serde_json::from_str::<Products>(&json).ok());
        if let Some(Products { products }) = copy {
            checkout.catalogue.show(products);
            return Ok(());
        }
    }
    // The truth, for all processes. What could not be read is as stale as before.
    let products = checkout.store.products().await.inspect_err(|_| checkout.catalogue.spoil())?;
    let products = Products { products };
    if let Ok(json) = serde_json::to_string(&products) {
        cache.set(key, json, COPY_KEPT).await;
    }
    checkout.catalogue.show(products.products);
    Ok(())
}

/// Its routes.
pub(crate) fn routes() -> OpenApiRouter<Checkout> {
    OpenApiRouter::new().routes(routes!(list_products)).routes(routes!(show_product))
}

/// What is sold.
#[utoipa::path(get, path = "/products",
    params(("If-None-Match" = Option<String>, Header, description = "The ETag of the list that the client has.")), responses(
    (status = 200, description = "Sales that run or will, and such as have ended within a week, the newest first.", body = Products,
        headers(("ETag" = String, description = "Changes with the list."))),
    (status = 304, description = "The list is the one that the client has."),
    (status = 503, description = "The catalogue has not been read yet.", body = ProblemBody),
))]
async fn list_products(State(checkout): State<Checkout>, headers: HeaderMap) -> Result<Response, Problem> {
    Ok(checkout.catalogue.shown()?.all.answer(&headers))
}

/// One product.
#[utoipa::path(get, path = "/products/{id}",
    params(("id" = String, Path, description = "The id or the slug of the sale."),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of the product that the client has.")), responses(
    (status = 200, description = "The product.", body = Product, headers(("ETag" = String, description = "Changes with the product."))),
    (status = 304, description = "The product is as the client has it."),
    (status = 404, description = "There is no such product.", body = ProblemBody),
    (status = 503, description = "The catalogue has not been read yet.", body = ProblemBody),
))]
async fn show_product(
    State(checkout): State<Checkout>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let shown = checkout.catalogue.shown()?;
    let sale: Option<SaleId> = id.parse().ok();
    let product = shown.each.iter().find(|(product, _)| Some(product.id) == sale || product.slug == id);
    Ok(product.ok_or(CheckoutError::UnknownProduct)?.1.answer(&headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_it_is_not_sent_it_again() {
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
