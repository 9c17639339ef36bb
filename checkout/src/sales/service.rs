//! The list of sales in memory, as it is shown.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{error::SaleListError, listed_sale::ListedSale, tagged::TaggedBody};

/// Sales that run or are scheduled, or that ended within a week.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct ListedSales {
    pub(super) products: Vec<ListedSale>,
}

/// The list as shown at one moment.
#[derive(Debug)]
pub(super) struct RenderedList {
    pub(super) all: TaggedBody,
    pub(super) each: Vec<(ListedSale, TaggedBody)>,
}

impl RenderedList {
    fn new(products: Vec<ListedSale>) -> Option<Self> {
        let json = |listed: &ListedSale| serde_json::to_string(listed).ok();
        let each = products.iter().map(|listed| Some((listed.clone(), TaggedBody::new(json(listed)?))));
        let each = each.collect::<Option<Vec<_>>>()?;
        let all = TaggedBody::new(serde_json::to_string(&ListedSales { products }).ok()?);
        Some(Self { all, each })
    }
}

/// The list of sales.
#[derive(Debug, Clone, Default)]
pub(crate) struct SaleList {
    shown: Arc<RwLock<Option<Arc<RenderedList>>>>,
    /// An event happened that the copy in Redis does not show yet.
    stale: Arc<AtomicBool>,
}

impl SaleList {
    pub(super) fn shown(&self) -> Result<Arc<RenderedList>, SaleListError> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner).clone();
        shown.ok_or(SaleListError::NotLoaded)
    }

    /// Marks the copy as stale, so that the next round reads the database. A rush marks it
    /// thousands of times.
    pub(crate) fn mark_stale(&self) {
        self.stale.store(true, Ordering::Release);
    }

    /// Whether the copy was stale. From now on it is not.
    pub(super) fn take_stale(&self) -> bool {
        self.stale.swap(false, Ordering::AcqRel)
    }

    /// Whether it shows this JSON.
    pub(super) fn shows(&self, json: &str) -> bool {
        self.shown().is_ok_and(|shown| shown.all.body() == json)
    }

    pub(super) fn show(&self, products: Vec<ListedSale>) {
        if let Some(shown) = RenderedList::new(products) {
            *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(shown));
        }
    }
}
