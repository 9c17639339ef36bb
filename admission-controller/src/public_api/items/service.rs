//! Reads what a sale offers. Each controller keeps the responses for a few seconds, so that a crowd
//! costs one query for all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use fairline_media::MediaHash;
use fairline_sale::SaleId;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::{sync::Semaphore, time::Instant};
use utoipa::ToSchema;

use super::store::{OfferStore, OfferedRow};
use crate::{
    admin_api::{
        media::responses::{MediaSize, sizes},
        products::{fields::Attribute, store::ImageRow},
    },
    error::CommonError,
};

/// How long a response is kept.
const KEPT: Duration = Duration::from_secs(5);
/// Responses that are kept at most; each has up to 200 items.
const KEPT_MAX: usize = 64;
/// Queries at the same time: the admin API uses the same connections.
const QUERIES_AT_ONCE: usize = 2;

/// What a sale offers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OfferedItems {
    /// ISO 4217 code of all prices.
    currency: String,
    /// The banner of the sale's pages; null if it has none.
    #[schema(required)]
    banner: Option<OfferedImage>,
    /// In the order of display.
    items: Vec<OfferedItem>,
}

/// An item that a sale offers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OfferedItem {
    /// Its number in the sale, from 1 to 200, which never changes.
    item: i16,
    /// Stock keeping unit: unique in the sale.
    sku: String,
    /// What is sold.
    name: String,
    /// In the order of display.
    attributes: Vec<Attribute>,
    /// The usual price, in the currency's minor unit; null: none is shown.
    #[schema(required)]
    list_minor: Option<i64>,
    /// The price of one unit, in the currency's minor unit.
    price_minor: i64,
    /// Units that one shopper may buy.
    per_shopper_limit: i32,
    /// Whether it is withdrawn: shoppers can't choose it any more.
    withdrawn: bool,
    /// The first image of its product; null if it has none.
    #[schema(required)]
    image: Option<OfferedImage>,
}

/// An image of an item, or the banner of a sale.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OfferedImage {
    /// What the image shows, for screen readers; empty if it adds nothing to the text.
    alt: String,
    /// The width of the upload, in pixels.
    width: i32,
    /// The height of the upload, in pixels.
    height: i32,
    /// Its files, from the narrowest.
    sizes: Vec<MediaSize>,
}

/// A response that is kept for a few seconds.
#[derive(Debug)]
pub(super) struct KeptOffer {
    pub(super) json: Bytes,
    /// With its quotes.
    pub(super) entity_tag: String,
    read_at: Instant,
}

/// Dependencies of the route.
#[derive(Clone)]
pub(crate) struct Offers {
    store: OfferStore,
    queries: Arc<Semaphore>,
    kept: Arc<Mutex<HashMap<SaleId, Arc<KeptOffer>>>>,
}

impl Offers {
    pub(crate) fn new(store: OfferStore) -> Self {
        Self { store, queries: Arc::new(Semaphore::new(QUERIES_AT_ONCE)), kept: Arc::default() }
    }

    /// What a sale, or the sale of a lane, offers.
    pub(super) async fn of(&self, sale: &str) -> Result<Arc<KeptOffer>, CommonError> {
        let sale: SaleId = sale.parse().map_err(|_| CommonError::SaleNotFound)?;
        if let Some(offer) = self.kept(sale) {
            return Ok(offer);
        }
        // It is never closed. Another request may have read the offer meanwhile.
        let _permit = self.queries.acquire().await;
        if let Some(offer) = self.kept(sale) {
            return Ok(offer);
        }
        let rows = self.store.items(sale).await?;
        let offer = Arc::new(offer(rows).ok_or(CommonError::SaleNotFound)?);
        let mut kept = self.kept.lock().expect("no panic");
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, offer| offer.is_fresh());
        }
        if kept.len() < KEPT_MAX {
            kept.insert(sale, offer.clone());
        }
        Ok(offer)
    }

    fn kept(&self, sale: SaleId) -> Option<Arc<KeptOffer>> {
        self.kept.lock().expect("no panic").get(&sale).filter(|offer| offer.is_fresh()).cloned()
    }
}

impl KeptOffer {
    fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < KEPT
    }
}

/// The response for the items of a sale; `None` without one.
fn offer(mut rows: Vec<OfferedRow>) -> Option<KeptOffer> {
    let first = rows.first_mut()?;
    let currency = std::mem::take(&mut first.currency);
    let banner = first.banner.take().and_then(|banner| OfferedImage::of(banner.0));
    let items = OfferedItems { currency, banner, items: rows.into_iter().map(OfferedItem::from).collect() };
    let json = serde_json::to_vec(&items).unwrap_or_default();
    let entity_tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(&json)[..12]));
    Some(KeptOffer { json: json.into(), entity_tag, read_at: Instant::now() })
}

impl From<OfferedRow> for OfferedItem {
    fn from(row: OfferedRow) -> Self {
        Self {
            item: row.item,
            sku: row.sku,
            name: row.name,
            attributes: row.attributes.0,
            list_minor: row.list_minor,
            price_minor: row.price_minor,
            per_shopper_limit: row.per_shopper_limit,
            withdrawn: row.withdrawn,
            image: row.image.and_then(|image| OfferedImage::of(image.0)),
        }
    }
}

impl OfferedImage {
    /// An image, if its hash is one: the database holds no other.
    fn of(ImageRow { media, alt, format, width, height, widths }: ImageRow) -> Option<Self> {
        let hash: MediaHash = media.parse().ok()?;
        Some(Self { alt, width, height, sizes: sizes(hash, &format, &widths) })
    }
}
