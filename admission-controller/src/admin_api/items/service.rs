//! Lists, adds, changes and withdraws the items of a sale, and exports and imports them.

use bytes::Bytes;
use fairline_sale::{SaleId, Status};
use tokio::task::spawn_blocking;

use super::{
    error::ItemError,
    fields::{ChangeItem, ITEMS_MAX, ItemRow, NewItem, StoredItem, moved},
    import::{COLUMNS, ItemImportReport, ItemPlan, KnownItems, plan, read, row_of},
    responses::AdminItem,
    store::{ItemStore, LockedItems},
};
use crate::{
    admin_api::{
        product_csv::error::TableError,
        sales::service::Sales,
        table::{ImportErrors, Row, written},
    },
    controller::schedule::TickNow,
    db::Author,
    error::CommonError,
};

/// Dependencies of the routes of items.
#[derive(Clone)]
pub(crate) struct Items {
    pub(crate) store: ItemStore,
    pub(crate) sales: Sales,
    pub(crate) tick_now: TickNow,
}

/// The number of an item, as a path contains it.
fn number_of(text: &str) -> Result<i16, ItemError> {
    text.parse().map_err(|_| ItemError::ItemNotFound)
}

impl Items {
    /// The items of a sale, in the order of display.
    pub(super) async fn list(&self, sale: &str) -> Result<Vec<AdminItem>, ItemError> {
        let sale = self.sales.find(sale).await?.row.sale();
        Ok(self.store.items(sale).await?.into_iter().map(AdminItem::from).collect())
    }

    /// Adds an item to a sale that is scheduled.
    pub(super) async fn add(&self, by: &Author, sale: &str, new: NewItem) -> Result<AdminItem, ItemError> {
        let (id, mut locked) = self.lock(by, "add_item", sale).await?;
        is_scheduled(&locked)?;
        if locked.items.iter().any(|one| one.stored.sku == new.sku) {
            return Err(ItemError::ItemExists);
        }
        if locked.items.len() >= ITEMS_MAX {
            return Err(ItemError::TooManyItems);
        }
        let variants = locked.catalogue(&[new.sku.as_str()]).await?;
        let item = new.stored(locked.items.len(), &variants, &locked.currency)?;
        locked.write(std::slice::from_ref(&item), &[]).await?;
        self.committed(id, locked).await?;
        self.show(id, item.item).await
    }

    /// Changes an item that has a version.
    pub(super) async fn change(
        &self,
        by: &Author,
        (sale, item): (&str, &str),
        change: ChangeItem,
    ) -> Result<AdminItem, ItemError> {
        let (id, mut locked) = self.lock(by, "change_item", sale).await?;
        let row = find(&locked, number_of(item)?)?;
        if row.version != change.version {
            return Err(ItemError::ItemChanged { version: row.version });
        }
        let position = change.position;
        let (before, after) = (&row.stored, row.stored.changed(change));
        after.check(&locked.currency)?;
        may_become(&locked, before, &after)?;
        let items: Vec<StoredItem> = locked.items.iter().map(|one| one.stored.clone()).collect();
        let order = position.map(|position| moved(&items, after.item, position)).transpose()?;
        locked.write(&[], std::slice::from_ref(&after)).await?;
        if let Some(order) = order {
            locked.order(&order).await?;
        }
        self.committed(id, locked).await?;
        self.show(id, after.item).await
    }

    /// Withdraws an item, which may be withdrawn already.
    pub(super) async fn withdraw(&self, by: &Author, (sale, item): (&str, &str)) -> Result<(), ItemError> {
        let (id, mut locked) = self.lock(by, "withdraw_item", sale).await?;
        let before = &find(&locked, number_of(item)?)?.stored;
        let after = StoredItem { withdrawn: true, ..before.clone() };
        if *before == after {
            return Ok(());
        }
        may_become(&locked, before, &after)?;
        locked.write(&[], &[after]).await?;
        self.committed(id, locked).await
    }

    /// The items of a sale as CSV.
    pub(super) async fn export(&self, sale: &str) -> Result<Vec<u8>, ItemError> {
        let sale = self.sales.find(sale).await?.row;
        let rows = self.store.items(sale.sale()).await?;
        let rows: Vec<_> = rows.into_iter().map(|row| row_of(row.stored, &sale.currency)).collect();
        let lines = rows.iter().map(|row| row.each_ref().map(String::as_str));
        Ok(written([COLUMNS].into_iter().chain(lines)))
    }

    /// Imports a table: all of it, or nothing.
    pub(super) async fn import(
        &self,
        by: &Author,
        sale: &str,
        (table, dry_run): (Bytes, bool),
    ) -> Result<ItemImportReport, ItemError> {
        let rows = spawn_blocking(move || read(&table)).await.map_err(|_| TableError::Failed)?;
        let (id, mut locked) = self.lock(by, "import_items", sale).await?;
        let planned = match rows {
            Ok(rows) => planned(&mut locked, &rows).await?.map(|plan| (rows.len(), plan)),
            Err(errors) => Err(errors),
        };
        let (rows, plan) = match planned {
            Ok(planned) => planned,
            // Of a dry run, errors are the result.
            Err(errors) if dry_run => return Ok(ItemImportReport::of_errors(errors)),
            Err(errors) => return Err(TableError::from(errors).into()),
        };
        // A dry run writes, too, so that the database checks the rows as well.
        locked.write(&plan.new, &plan.changed).await?;
        if dry_run {
            locked.rollback().await?;
        } else {
            self.committed(id, locked).await?;
        }
        Ok(ItemImportReport::of_plan(dry_run, rows, &plan))
    }

    async fn lock(&self, by: &Author, what: &str, sale: &str) -> Result<(SaleId, LockedItems), ItemError> {
        let id: SaleId = sale.parse().map_err(|_| CommonError::SaleNotFound)?;
        let locked = self.store.lock(by, what, id).await?.ok_or(CommonError::SaleNotFound)?;
        Ok((id, locked))
    }

    async fn committed(&self, sale: SaleId, locked: LockedItems) -> Result<(), ItemError> {
        locked.commit().await?;
        self.tick_now.sale(sale);
        Ok(())
    }

    async fn show(&self, sale: SaleId, item: i16) -> Result<AdminItem, ItemError> {
        let rows = self.store.items(sale).await?;
        let row = rows.into_iter().find(|row| row.stored.item == item);
        row.map(AdminItem::from).ok_or(ItemError::ItemNotFound)
    }
}

fn find(locked: &LockedItems, item: i16) -> Result<&ItemRow, ItemError> {
    locked.items.iter().find(|row| row.stored.item == item).ok_or(ItemError::ItemNotFound)
}

fn is_scheduled(locked: &LockedItems) -> Result<(), ItemError> {
    if locked.status == Status::Scheduled {
        return Ok(());
    }
    Err(CommonError::IllegalTransition { status: locked.status }.into())
}

/// Whether an item may change from one state to another.
fn may_become(locked: &LockedItems, before: &StoredItem, after: &StoredItem) -> Result<(), ItemError> {
    if before.fixed_field(after).is_some() {
        is_scheduled(locked)?;
    }
    let offers_another = |row: &ItemRow| row.stored.item != after.item && !row.stored.withdrawn;
    if after.withdrawn && !locked.items.iter().any(offers_another) {
        return Err(ItemError::LastItem);
    }
    Ok(())
}

async fn planned(locked: &mut LockedItems, rows: &[Row]) -> Result<Result<ItemPlan, ImportErrors>, ItemError> {
    let skus: Vec<&str> = rows.iter().filter_map(|row| row.filled("sku")).collect();
    let variants = locked.catalogue(&skus).await?;
    let known = KnownItems {
        items: &locked.items,
        variants: &variants,
        currency: &locked.currency,
        mode: locked.mode,
        is_scheduled: locked.status == Status::Scheduled,
    };
    Ok(plan(rows, &known))
}
