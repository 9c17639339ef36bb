//! Exports products page by page, and imports them in one transaction.

use bytes::Bytes;
use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    error::TableError,
    format::{COLUMNS, read},
    plan::{ImportPlan, plan},
    store::{ExportRow, NamedRows, ProductTableStore, count_products, known, write},
};
use crate::{
    admin_api::{
        products::{error::ProductError, fields::PRODUCTS_MAX},
        table::{ImportError, ImportErrors, Row, amount, attributes_text, written},
    },
    db::{Author, StoreError},
};

/// Products that are read per query.
const PRODUCTS_AT_ONCE: i64 = 20;

/// Dependencies of the routes of the table.
#[derive(Clone)]
pub(crate) struct ProductTable {
    pub(crate) store: ProductTableStore,
}

/// What an import has changed, or would change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportReport {
    /// Whether nothing was written.
    dry_run: bool,
    /// Rows of the table.
    rows: usize,
    products_created: usize,
    products_changed: usize,
    variants_created: usize,
    variants_changed: usize,
    /// The first hundred errors, by line. With one, nothing is written.
    errors: Vec<ImportError>,
    /// The number of all errors.
    error_count: usize,
}

impl ImportReport {
    fn new(dry_run: bool, rows: usize, planned: Result<&ImportPlan, ImportErrors>) -> Self {
        let nothing = ImportPlan::default();
        let (plan, errors) = match planned {
            Ok(plan) => (plan, ImportErrors::default()),
            Err(errors) => (&nothing, errors),
        };
        Self {
            dry_run,
            rows,
            products_created: plan.new_products.len(),
            products_changed: plan.changed_products.len(),
            variants_created: plan.new_variants.len(),
            variants_changed: plan.changed_variants.len(),
            errors: errors.listed,
            error_count: errors.count,
        }
    }
}

impl ProductTable {
    /// The first line of the table.
    pub(super) fn header() -> Vec<u8> {
        written([COLUMNS])
    }

    /// The next lines of the table after a product, and the last product on them, if there is one.
    pub(super) async fn page(&self, after: Uuid) -> Result<(Vec<u8>, Option<Uuid>), StoreError> {
        let rows = self.store.export_products(after, PRODUCTS_AT_ONCE).await?;
        // An empty page is the last.
        let next = rows.last().map(|row| row.product_id);
        let lines: Vec<[String; COLUMNS.len()]> = rows.into_iter().map(cells).collect();
        Ok((written(lines.iter().map(|line| line.each_ref().map(String::as_str))), next))
    }

    /// Imports a table: all of it, or nothing.
    pub(super) async fn import(&self, by: &Author, table: Bytes, dry_run: bool) -> Result<ImportReport, TableError> {
        let rows = spawn_blocking(move || read(&table)).await.map_err(|_| TableError::Failed)?;
        let rows = match rows {
            Ok(rows) => rows,
            Err(errors) => return rejected(dry_run, 0, errors),
        };
        let mut transaction = self.store.begin_import(by).await?;
        let known = known(&mut transaction, &named(&rows)).await?;
        let plan = match plan(&rows, &known) {
            Ok(plan) => plan,
            Err(errors) => return rejected(dry_run, rows.len(), errors),
        };
        let products = count_products(&mut transaction).await?;
        if products.saturating_add(i64::try_from(plan.new_products.len()).unwrap_or(i64::MAX)) > PRODUCTS_MAX {
            return Err(ProductError::TooManyProducts { most: PRODUCTS_MAX }.into());
        }
        // A dry run writes, too, so that the database checks the rows as well.
        write(&mut transaction, &plan).await?;
        if dry_run {
            transaction.rollback().await.map_err(StoreError::from)?;
        } else {
            transaction.commit().await.map_err(StoreError::from)?;
        }
        Ok(ImportReport::new(dry_run, rows.len(), Ok(&plan)))
    }
}

/// Of a dry run, errors are the result.
fn rejected(dry_run: bool, rows: usize, errors: ImportErrors) -> Result<ImportReport, TableError> {
    if dry_run {
        return Ok(ImportReport::new(dry_run, rows, Err(errors)));
    }
    Err(errors.into())
}

/// What the rows name.
fn named(rows: &[Row]) -> NamedRows<'_> {
    let all = |column: &'static str| rows.iter().filter_map(move |row| row.filled(column));
    NamedRows {
        skus: all("sku").collect(),
        ids: all("product_id").filter_map(|id| Uuid::try_parse(id).ok()).collect(),
        names: all("product").collect(),
    }
}

fn cells(row: ExportRow) -> [String; COLUMNS.len()] {
    let currency = row.currency.unwrap_or_default();
    [
        row.product_id.to_string(),
        row.product,
        row.description,
        attributes_text(&row.product_attributes),
        if row.archived { "yes" } else { "no" }.to_owned(),
        row.sku.unwrap_or_default(),
        row.title.unwrap_or_default(),
        row.attributes.map(|attributes| attributes_text(&attributes)).unwrap_or_default(),
        row.price_minor.map(|price_minor| amount(price_minor, &currency)).unwrap_or_default(),
        currency,
        row.gtin.unwrap_or_default(),
    ]
}
