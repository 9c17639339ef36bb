//! Finds, creates and changes sales, and moves them from one status to another.

use fairline_sale::SaleId;

use super::{change::ChangeSale, create::CreateSale, error::SaleError, responses::AdminSale, store::AdminSaleStore};
use crate::{
    admin_api::items::store::ItemStore,
    controller::{
        lifecycle::{self, Action},
        sale::Sale,
        schedule::TickNow,
    },
    db::Author,
    error::{CommonError, check_field},
};

/// Dependencies of the routes of sales.
#[derive(Clone)]
pub(crate) struct Sales {
    pub(crate) store: AdminSaleStore,
    pub(crate) items: ItemStore,
    pub(crate) tick_now: TickNow,
}

impl Sales {
    /// A sale with its lines.
    pub(in crate::admin_api) async fn find(&self, id: &str) -> Result<Sale, CommonError> {
        let id: SaleId = id.parse().map_err(|_| CommonError::SaleNotFound)?;
        self.store.show(id).await?.ok_or(CommonError::SaleNotFound)
    }

    /// A sale as operators see it.
    pub(in crate::admin_api) async fn show(&self, id: &str) -> Result<AdminSale, CommonError> {
        self.find(id).await?.try_into()
    }

    /// The newest sales, or the newest before one; all, or the one with a slug.
    pub(in crate::admin_api) async fn list(
        &self,
        before: Option<SaleId>,
        slug: Option<&str>,
    ) -> Result<Vec<AdminSale>, CommonError> {
        self.store.list(before, slug).await?.into_iter().map(AdminSale::try_from).collect()
    }

    pub(super) async fn create(&self, by: &Author, new: CreateSale) -> Result<AdminSale, SaleError> {
        let new = new.checked()?;
        let is_zone = self.store.knows_time_zone(&new.time_zone).await?;
        check_field("time_zone", is_zone, "be a name of the IANA time zone database, such as Europe/Berlin")?;
        let items = new.stored_items(&self.items.catalogue(&new.skus()).await?)?;
        Ok(self.store.create(by, &new, &items).await?.try_into()?)
    }

    pub(super) async fn change(&self, by: &Author, id: &str, change: ChangeSale) -> Result<AdminSale, SaleError> {
        change.check()?;
        let row = self.find(id).await?.row;
        let change = change.checked(&row)?;
        if !self.store.change(by, row.sale(), &change).await? {
            let status = self.find(id).await?.row.shown_status();
            return Err(CommonError::IllegalTransition { status }.into());
        }
        self.tick_now.sale(row.sale());
        Ok(self.show(id).await?)
    }

    /// Opens, pauses, resumes or closes a sale.
    pub(super) async fn act(&self, by: &Author, id: &str, action: Action) -> Result<AdminSale, SaleError> {
        let row = self.find(id).await?.row;
        let illegal = CommonError::IllegalTransition { status: row.shown_status() };
        let to = lifecycle::after(row.stored_status(), action).ok_or(illegal)?;
        if action == Action::Open && !row.can_open {
            return Err(CommonError::SeveralItems.into());
        }
        if !self.store.set_status(by, action, row.sale(), (row.stored_status(), to)).await? {
            let status = self.find(id).await?.row.shown_status();
            return Err(CommonError::IllegalTransition { status }.into());
        }
        self.tick_now.sale(row.sale());
        Ok(self.show(id).await?)
    }
}
