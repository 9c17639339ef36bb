//! The table of products: a row for each variant. Pure.

use crate::admin_api::table::{ImportErrors, Row, read_table};

/// The columns, in the order of the export. An import may leave out all but `sku`.
pub(crate) const COLUMNS: [&str; 11] = [
    "product_id",
    "product",
    "description",
    "product_attributes",
    "archived",
    "sku",
    "title",
    "attributes",
    "price",
    "currency",
    "gtin",
];
/// The maximum number of rows of an import.
const ROWS_MAX: usize = 20_000;

/// Reads a table of bounded length. Errors name the line.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Row>, ImportErrors> {
    read_table(bytes, &COLUMNS, ROWS_MAX)
}
