//! The banners of sales. Triggers count the references to an image.

use fairline_media::MediaHash;
use fairline_sale::SaleId;
use sqlx::types::Json;

use crate::{
    admin_api::products::store::ImageRow,
    db::{Author, Database, StoreError},
};

/// The outcome of setting a banner. Only `Done` has an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BannerOutcome {
    Done,
    SaleUnknown,
    /// The image is not stored.
    ImageUnknown,
}

/// Banners.
#[derive(Clone)]
pub(crate) struct BannerStore(pub(crate) Database);

impl BannerStore {
    /// The banner of a sale: `None` if there is no such sale, `Some(None)` if it has no banner.
    pub async fn banner(&self, sale: SaleId) -> Result<Option<Option<ImageRow>>, StoreError> {
        let banner: Option<Option<Json<ImageRow>>> = sqlx::query_scalar(
            "SELECT CASE WHEN hash IS NOT NULL THEN jsonb_build_object('media', encode(hash, 'hex'), 'alt', banner_alt, \
             'format', format, 'width', width, 'height', height, 'widths', widths) END \
             FROM sales LEFT JOIN media ON hash = banner WHERE id = $1",
        )
        .bind(sale.0)
        .fetch_optional(&self.0.pool)
        .await?;
        Ok(banner.map(|banner| banner.map(|image| image.0)))
    }

    /// Gives a sale a banner with an alternative text, or removes it.
    pub async fn set_banner(
        &self,
        by: &Author,
        sale: SaleId,
        banner: Option<(MediaHash, &str)>,
    ) -> Result<BannerOutcome, StoreError> {
        let hash = banner.map(|(hash, _)| hash.0.to_vec());
        let mut transaction = self.0.begin(by, "set_banner").await?;
        // In one order, and so that the image is not withdrawn meanwhile.
        let stored: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT hash FROM media WHERE stored_at IS NOT NULL AND (hash = $1 OR hash = (SELECT banner FROM sales WHERE id = $2)) \
             ORDER BY hash FOR NO KEY UPDATE",
        )
        .bind(&hash)
        .bind(sale.0)
        .fetch_all(&mut *transaction)
        .await?;
        if hash.as_ref().is_some_and(|hash| !stored.contains(hash)) {
            return Ok(BannerOutcome::ImageUnknown);
        }
        let done = sqlx::query("UPDATE sales SET banner = $2, banner_alt = $3 WHERE id = $1")
            .bind(sale.0)
            .bind(&hash)
            .bind(banner.map(|(_, alt)| alt))
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(BannerOutcome::SaleUnknown);
        }
        transaction.commit().await?;
        Ok(BannerOutcome::Done)
    }
}
