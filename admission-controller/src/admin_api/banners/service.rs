//! Shows, sets and removes the banner of a sale.

use fairline_media::MediaHash;
use fairline_sale::SaleId;

use super::store::{BannerOutcome, BannerStore};
use crate::{
    admin_api::products::{fields::is_line, responses::AdminImage},
    db::Author,
    error::{CommonError, check_field},
};

/// Dependencies of the routes of banners.
#[derive(Clone)]
pub(crate) struct Banners {
    pub(crate) store: BannerStore,
}

fn id_of(sale: &str) -> Result<SaleId, CommonError> {
    sale.parse().map_err(|_| CommonError::SaleNotFound)
}

impl Banners {
    pub(super) async fn show(&self, sale: &str) -> Result<Option<AdminImage>, CommonError> {
        let banner = self.store.banner(id_of(sale)?).await?.ok_or(CommonError::SaleNotFound)?;
        Ok(banner.and_then(AdminImage::of))
    }

    /// Sets the banner, an uploaded image with an alternative text, or removes it.
    pub(super) async fn set(&self, by: &Author, sale: &str, banner: Option<(&str, &str)>) -> Result<(), CommonError> {
        const UPLOADED: &str = "be an uploaded image; unused ones are deleted after a day";
        let unknown = CommonError::InvalidField { field: "media", must: UPLOADED };
        let banner = match banner {
            None => None,
            Some((media, alt)) => {
                check_field("alt", is_line(alt, 0..=250), "be one line of at most 250 characters")?;
                let Ok(hash) = media.parse::<MediaHash>() else { return Err(unknown) };
                Some((hash, alt))
            }
        };
        match self.store.set_banner(by, id_of(sale)?, banner).await? {
            BannerOutcome::Done => Ok(()),
            BannerOutcome::SaleUnknown => Err(CommonError::SaleNotFound),
            BannerOutcome::ImageUnknown => Err(unknown),
        }
    }
}
