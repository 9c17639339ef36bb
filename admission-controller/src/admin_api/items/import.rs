//! What an import of items changes: a row updates the item with its SKU, or adds one. Pure.
//!
//! A column that the table has replaces the field; one that it lacks leaves it.

use fairline_sale::{SaleMode, minor_units};
use serde::Serialize;
use utoipa::ToSchema;

use super::fields::{CatalogueVariants, ITEMS_MAX, InvalidItem, ItemRow, NewItem, StoredItem};
use crate::admin_api::{
    products::fields::Attribute,
    table::{
        ImportError, ImportErrors, NOT_ATTRIBUTES, Row, amount, attributes_of, attributes_text, distinct, read_table,
    },
};

/// The columns, in the order of the export. An import may leave out all but `sku`.
pub(crate) const COLUMNS: [&str; 8] =
    ["sku", "name", "attributes", "list_price", "price", "total", "per_shopper_limit", "withdrawn"];

/// What an import has changed, or would change.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ItemImportReport {
    /// Whether nothing was written.
    dry_run: bool,
    /// Rows of the table.
    rows: usize,
    items_created: usize,
    items_changed: usize,
    /// The first hundred errors, by line. With one, nothing is written.
    errors: Vec<ImportError>,
    /// The number of all errors.
    error_count: usize,
}

impl ItemImportReport {
    pub(crate) fn of_plan(dry_run: bool, rows: usize, plan: &ItemPlan) -> Self {
        let (items_created, items_changed) = (plan.new.len(), plan.changed.len());
        Self { dry_run, rows, items_created, items_changed, errors: Vec::new(), error_count: 0 }
    }

    /// The report of a dry run.
    pub(crate) fn of_errors(ImportErrors { listed: errors, count: error_count }: ImportErrors) -> Self {
        Self { dry_run: true, rows: 0, items_created: 0, items_changed: 0, errors, error_count }
    }
}

/// The changes of an import. Unchanged rows are left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ItemPlan {
    pub(crate) new: Vec<StoredItem>,
    pub(crate) changed: Vec<StoredItem>,
}

/// The sale, and the part of the catalogue that a table concerns.
pub(crate) struct KnownItems<'a> {
    pub(crate) items: &'a [ItemRow],
    pub(crate) variants: &'a CatalogueVariants,
    pub(crate) currency: &'a str,
    pub(crate) mode: SaleMode,
    pub(crate) is_scheduled: bool,
}

/// Reads a table of items. Errors name the line.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Row>, ImportErrors> {
    read_table(bytes, &COLUMNS, ITEMS_MAX)
}

/// The row of an item in the export.
pub(crate) fn row_of(item: StoredItem, currency: &str) -> [String; COLUMNS.len()] {
    [
        item.sku,
        item.name,
        attributes_text(&item.attributes),
        item.list_minor.map(|list| amount(list, currency)).unwrap_or_default(),
        amount(item.price_minor, currency),
        item.total.to_string(),
        item.per_shopper_limit.map(|limit| limit.to_string()).unwrap_or_default(),
        if item.withdrawn { "yes" } else { "no" }.to_owned(),
    ]
}

/// Plans an import. Errors name the lines.
pub(crate) fn plan(rows: &[Row], known: &KnownItems<'_>) -> Result<ItemPlan, ImportErrors> {
    let mut errors = ImportErrors::default();
    let mut plan = ItemPlan::default();
    for row in distinct(rows, &mut errors) {
        let Some(sku) = row.filled("sku") else {
            errors.add(row.line, Some("sku"), "A row needs a SKU.");
            continue;
        };
        let before = known.items.iter().find(|one| one.stored.sku == sku);
        let nth = known.items.len() + plan.new.len();
        let item = ReadRow { row, known, errors: &mut errors }.item(before, (sku, nth));
        match (item, before) {
            (None, _) => {}
            (Some(item), Some(before)) if item == before.stored => {}
            (Some(item), Some(_)) => plan.changed.push(item),
            (Some(item), None) => plan.new.push(item),
        }
    }
    let after =
        |one: &ItemRow| plan.changed.iter().find(|item| item.item == one.stored.item).map(|item| item.withdrawn);
    let mut withdrawn = known.items.iter().map(|one| after(one).unwrap_or(one.stored.withdrawn));
    if errors.is_empty() && withdrawn.all(|one| one) && plan.new.iter().all(|one| one.withdrawn) {
        errors.add(1, Some("withdrawn"), "The sale would offer no item: close it instead.");
    }
    if errors.is_empty() { Ok(plan) } else { Err(errors) }
}

/// A row that is being read.
struct ReadRow<'a> {
    row: &'a Row,
    known: &'a KnownItems<'a>,
    errors: &'a mut ImportErrors,
}

impl ReadRow<'_> {
    /// The item that a row makes or changes; `None` if an error was noted.
    fn item(mut self, before: Option<&ItemRow>, (sku, nth): (&str, usize)) -> Option<StoredItem> {
        let errors_before = self.errors.count;
        let name = self.row.filled("name").map(str::to_owned);
        let attributes = self.attributes();
        let (list_minor, price_minor) = (self.amount("list_price"), self.amount("price"));
        let (total, limit) = (self.number("total"), self.number("per_shopper_limit"));
        let withdrawn = self.withdrawn();
        let item = if let Some(before) = before {
            let mut item = before.stored.clone();
            item.name = name.unwrap_or(item.name);
            item.attributes = attributes.unwrap_or(item.attributes);
            item.list_minor = list_minor.unwrap_or(item.list_minor);
            item.price_minor = price_minor.flatten().unwrap_or(item.price_minor);
            item.total = total.flatten().unwrap_or(item.total);
            item.per_shopper_limit = limit.unwrap_or(item.per_shopper_limit);
            item.withdrawn = withdrawn.unwrap_or(item.withdrawn);
            let checked = item.check(self.known.currency);
            self.note(checked);
            self.check_change(before, &item);
            item
        } else {
            if nth >= ITEMS_MAX {
                self.error(None, format!("A sale has at most {ITEMS_MAX} items."));
            }
            if !self.known.is_scheduled {
                self.error(None, "An item can only be added while the sale is scheduled.");
            }
            let new = NewItem {
                sku: sku.to_owned(),
                name,
                // Empty: those of the variant.
                attributes: attributes.filter(|list| !list.is_empty()),
                list_minor: list_minor.flatten(),
                price_minor: self.required(price_minor.flatten(), "price")?,
                total: self.required(total.flatten(), "total")?,
                per_shopper_limit: limit.flatten(),
            };
            let item = new.stored(nth, self.known.variants, self.known.currency);
            let item = item.map_err(|wrong| self.note(Err(wrong))).ok()?;
            StoredItem { withdrawn: withdrawn.unwrap_or(false), ..item }
        };
        (self.errors.count == errors_before).then_some(item)
    }

    fn error(&mut self, column: Option<&'static str>, detail: impl Into<String>) {
        self.errors.add(self.row.line, column, detail);
    }

    fn note(&mut self, checked: Result<(), InvalidItem>) {
        if let Err(InvalidItem { field, must }) = checked {
            self.error(Some(column_of(field)), format!("It must {must}."));
        }
    }

    /// What may not change now, and the units that are spoken for.
    fn check_change(&mut self, before: &ItemRow, after: &StoredItem) {
        if let Some(field) = before.stored.fixed_field(after).filter(|_| !self.known.is_scheduled) {
            self.error(Some(column_of(field)), "It can only be changed while the sale is scheduled.");
        }
        let promised = if self.known.mode == SaleMode::Guarantee { before.promised } else { 0 };
        let least = promised + before.held + before.sold;
        if after.total < least {
            self.error(Some("total"), format!("{least} units are promised, held or sold already."));
        }
    }

    fn attributes(&mut self) -> Option<Vec<Attribute>> {
        let attributes = attributes_of(self.row.cell("attributes")?);
        if attributes.is_none() {
            self.error(Some("attributes"), NOT_ATTRIBUTES);
        }
        attributes
    }

    /// An amount, in minor units: `None` without the column, `Some(None)` of an empty cell.
    fn amount(&mut self, column: &'static str) -> Option<Option<i64>> {
        self.row.cell(column)?;
        let Some(text) = self.row.filled(column) else { return Some(None) };
        let currency = self.known.currency;
        let amount = minor_units(text, currency);
        if amount.is_none() {
            self.error(Some(column), format!("It is not an amount in {currency}: write it like 49.00."));
        }
        Some(amount)
    }

    fn number(&mut self, column: &'static str) -> Option<Option<i32>> {
        self.row.cell(column)?;
        let Some(text) = self.row.filled(column) else { return Some(None) };
        let number = text.parse().ok();
        if number.is_none() {
            self.error(Some(column), "It is not a number of units.");
        }
        Some(number)
    }

    fn withdrawn(&mut self) -> Option<bool> {
        match self.row.cell("withdrawn")?.trim().to_ascii_lowercase().as_str() {
            "" | "no" | "false" => Some(false),
            "yes" | "true" => Some(true),
            _ => {
                self.error(Some("withdrawn"), "It must be `yes` or `no`.");
                None
            }
        }
    }

    fn required<T>(&mut self, value: Option<T>, column: &'static str) -> Option<T> {
        if value.is_none() && self.row.filled(column).is_none() {
            self.error(Some(column), format!("A new SKU needs a {column}."));
        }
        value
    }
}

/// The column of a field.
fn column_of(field: &'static str) -> &'static str {
    match field {
        "list_minor" => "list_price",
        "price_minor" => "price",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::fields::{
            new_items,
            tests::{catalogue, new},
        },
        *,
    };

    fn items() -> Vec<ItemRow> {
        let items = new_items(vec![new("A"), new("B")], &CatalogueVariants::new(), "EUR").expect("valid");
        items.into_iter().map(|stored| ItemRow { stored, version: 1, promised: 3, held: 2, sold: 1 }).collect()
    }

    fn outcome(table: &str, is_scheduled: bool) -> Result<ItemPlan, Vec<(u64, Option<&'static str>)>> {
        let (items, variants) = (items(), catalogue());
        let known =
            KnownItems { items: &items, variants: &variants, currency: "EUR", mode: SaleMode::Guarantee, is_scheduled };
        let rows = read(table.as_bytes()).expect("rows");
        plan(&rows, &known).map_err(|errors| errors.listed.iter().map(|one| (one.line, one.column)).collect())
    }

    #[test]
    fn rows_add_and_change_items_and_an_export_changes_nothing() {
        let table = "sku,price,total,name\nB,79.00,,\nS-42,99,5,\n";
        let plan = outcome(table, true).expect("a plan");
        assert_eq!((plan.changed.len(), plan.changed[0].item, plan.changed[0].price_minor), (1, 2, 7900));
        assert_eq!((plan.changed[0].total, plan.changed[0].name.as_str()), (10, "Shoe"));
        let new = &plan.new[0];
        assert_eq!((new.item, new.position, new.name.as_str()), (3, 2, "Running shoe, EU 42"));
        assert_eq!((new.list_minor, new.attributes.len(), new.total), (Some(12_900), 1, 5));
        let rows: Vec<_> = items().into_iter().map(|row| row_of(row.stored, "EUR")).collect();
        let lines = rows.iter().map(|row| row.each_ref().map(String::as_str));
        let text = crate::admin_api::table::written([COLUMNS].into_iter().chain(lines));
        let text = String::from_utf8(text).expect("text");
        assert_eq!(text.lines().nth(1), Some("A,Shoe,,,99.00,10,,no"));
        assert_eq!(outcome(&text, true), Ok(ItemPlan::default()));
        assert_eq!(outcome(&text, false), Ok(ItemPlan::default()));
    }

    #[test]
    fn errors_name_their_line_and_column() {
        for (table, expected) in [
            ("sku,name\n,x\n", vec![(2, Some("sku"))]),
            ("sku,name\nA,x\nA,y\n", vec![(3, Some("sku"))]),
            ("sku,name\nNEW,x\n", vec![(2, Some("price"))]),
            ("sku,name,price\nNEW,x,1\n", vec![(2, Some("total"))]),
            ("sku,price,total\nNEW,1,1\n", vec![(2, Some("name"))]),
            ("sku,price\nA,49.999\nB,0.10\n", vec![(2, Some("price")), (3, Some("price"))]),
            ("sku,list_price\nA,1\n", vec![(2, Some("list_price"))]),
            ("sku,total\nA,many\nB,5\n", vec![(2, Some("total")), (3, Some("total"))]),
            ("sku,per_shopper_limit\nA,101\n", vec![(2, Some("per_shopper_limit"))]),
            ("sku,attributes\nA,Size\n", vec![(2, Some("attributes"))]),
            ("sku,withdrawn\nA,maybe\n", vec![(2, Some("withdrawn"))]),
            ("sku,withdrawn\nA,yes\nB,yes\n", vec![(1, Some("withdrawn"))]),
        ] {
            assert_eq!(outcome(table, true), Err(expected), "{table}");
        }
        assert!(outcome("sku,total\nB,6\n", true).is_ok(), "as many as are promised, held or sold");
        let rows: String = (0..199).map(|nth| format!("N-{nth},x,1,1\n")).collect();
        assert_eq!(outcome(&format!("sku,name,price,total\n{rows}"), true), Err(vec![(200, None)]), "the 201st item");
        assert!(read(format!("sku\n{}", "A\n".repeat(201)).as_bytes()).is_err());
    }

    #[test]
    fn an_open_sale_keeps_what_admissions_rely_on() {
        assert_eq!(outcome("sku,price\nA,1\n", false), Err(vec![(2, Some("price"))]));
        assert_eq!(outcome("sku,withdrawn\nA,yes\n", false), Err(vec![(2, Some("withdrawn"))]));
        assert_eq!(outcome("sku,name,price,total\nN,x,1,1\n", false), Err(vec![(2, None)]));
        assert!(outcome("sku,name,total,list_price\nA,Boot,9,100\n", false).is_ok());
    }
}
