//! Tables as CSV (RFC 4180), for spreadsheets.

use std::fmt::Write as _;

use axum::{
    http::header,
    response::{IntoResponse as _, Response},
};

/// A table, row by row.
#[derive(Debug, Default)]
pub struct CsvTable(String);

impl CsvTable {
    /// Adds a row.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        for (nth, cell) in cells.into_iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            // Writing into a string does not fail.
            let _ = write!(self.0, "{comma}{}", quoted(cell));
        }
        self.0.push_str("\r\n");
    }

    /// The table as a file that a browser saves.
    pub fn download(self, name: &str) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
            (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
            (header::CACHE_CONTROL, "no-store".to_owned()),
        ];
        (headers, self.0).into_response()
    }
}

/// A cell, in quotes where needed. Names and reasons are user input, so text that a spreadsheet
/// would take for a formula gets an apostrophe in front, as OWASP advises.
fn quoted(cell: &str) -> String {
    let is_number = cell.parse::<f64>().is_ok();
    let formula = !is_number && cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_cells_are_quoted_where_needed() {
        let mut table = CsvTable::default();
        table.row(["a", "b,c", "say \"hi\"", "two\nlines"]);
        table.row(["-1.5", "=1+1", "", "@x"]);
        assert_eq!(table.0, "a,\"b,c\",\"say \"\"hi\"\"\",\"two\nlines\"\r\n-1.5,'=1+1,,'@x\r\n");
    }
}
