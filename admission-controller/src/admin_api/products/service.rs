//! Finds, creates, changes, archives and deletes products.

use uuid::Uuid;

use super::{
    error::ProductError,
    fields::{ChangeProduct, CreateProduct, PRODUCTS_MAX, wrong_image, wrong_variant},
    responses::{AdminProduct, AdminProductSummary},
    store::{NewProduct, ProductChange, ProductSearch, ProductStore, WriteOutcome},
};
use crate::{db::Author, error::check_field};

/// Products of one response.
pub(super) const PAGE: usize = 50;
/// The longest text to search for.
const SEARCH_CHARS_MAX: usize = 120;

/// Dependencies of the routes of products.
#[derive(Clone)]
pub(crate) struct Products {
    pub(crate) store: ProductStore,
}

/// A product's id, as a path contains it.
pub(super) fn id_of(text: &str) -> Result<Uuid, ProductError> {
    Uuid::try_parse(text).map_err(|_| ProductError::ProductNotFound)
}

impl Products {
    /// A page of products, the newest first: all, or those with a text in the name or at the
    /// beginning of a SKU.
    pub(super) async fn list(
        &self,
        text: Option<&str>,
        archived: Option<bool>,
        before: Option<Uuid>,
    ) -> Result<Vec<AdminProductSummary>, ProductError> {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        let fits = text.is_none_or(|text| text.chars().count() <= SEARCH_CHARS_MAX && !text.contains('\0'));
        check_field("search", fits, "have at most 120 visible characters")?;
        let rows = self.store.products(&ProductSearch { text, archived, before }, PAGE).await?;
        Ok(rows.into_iter().map(AdminProductSummary::from).collect())
    }

    pub(super) async fn show(&self, id: Uuid) -> Result<AdminProduct, ProductError> {
        Ok(self.store.product(id).await?.ok_or(ProductError::ProductNotFound)?.into())
    }

    pub(super) async fn create(&self, by: &Author, new: CreateProduct) -> Result<AdminProduct, ProductError> {
        new.check()?;
        let CreateProduct { name, description, attributes, variants, images } = new;
        let new = NewProduct { name, description, attributes, variants, images };
        self.written(self.store.create_product(by, &new).await?).await
    }

    pub(super) async fn change(
        &self,
        by: &Author,
        id: Uuid,
        change: ChangeProduct,
    ) -> Result<AdminProduct, ProductError> {
        change.check()?;
        let ChangeProduct { version, name, description, attributes, variants, images } = change;
        let change = ProductChange { name, description, attributes, variants, images };
        self.written(self.store.change_product(by, (id, version), &change).await?).await
    }

    /// Archives a product, or takes it back.
    pub(super) async fn archive(&self, by: &Author, id: Uuid, archived: bool) -> Result<AdminProduct, ProductError> {
        if !self.store.archive_product(by, id, archived).await? {
            return Err(ProductError::ProductNotFound);
        }
        self.show(id).await
    }

    pub(super) async fn delete(&self, by: &Author, id: Uuid) -> Result<(), ProductError> {
        match self.store.delete_product(by, id).await? {
            WriteOutcome::Done(_) => Ok(()),
            WriteOutcome::InUse => Err(ProductError::ProductInUse),
            _ => Err(ProductError::ProductNotFound),
        }
    }

    async fn written(&self, written: WriteOutcome) -> Result<AdminProduct, ProductError> {
        match written {
            WriteOutcome::Done(id) => self.show(id).await,
            WriteOutcome::Unknown => Err(ProductError::ProductNotFound),
            WriteOutcome::TooMany => Err(ProductError::TooManyProducts { most: PRODUCTS_MAX }),
            WriteOutcome::Changed { version } => Err(ProductError::ProductChanged { version }),
            WriteOutcome::UnknownVariant(nth) => {
                Err(wrong_variant(nth, "id", "be the id of a variant of this product, or be left out"))
            }
            WriteOutcome::ImageNotFound(nth) => {
                Err(wrong_image(nth, "media", "be an uploaded image; unused ones are deleted after a day"))
            }
            WriteOutcome::InUse => Err(ProductError::ProductInUse),
            WriteOutcome::SkuTaken(sku) => Err(ProductError::SkuTaken { sku: Some(sku) }),
        }
    }
}
