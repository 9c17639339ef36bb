//! Tables as CSV (RFC 4180), for spreadsheets. Pure.

use std::fmt::Write as _;

/// A table, row by row.
#[derive(Debug, Default)]
pub struct Table(String);

impl Table {
    /// Adds a row.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        for (nth, cell) in cells.into_iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            // Writing into a string does not fail.
            let _ = write!(self.0, "{comma}{}", quoted(cell));
        }
        self.0.push_str("\r\n");
    }

    /// The text of all rows.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

/// A cell: in quotes where it has to be. What a spreadsheet would take for a formula gets an apostrophe before it, as OWASP
/// advises: names and reasons are what somebody has typed.
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
    fn cells_are_quoted_where_they_have_to_be() {
        let mut table = Table::default();
        table.row(["a", "b,c", "say \"hi\"", "two\nlines"]);
        table.row(["-1.5", "=1+1", "", "@x"]);
        assert_eq!(table.into_text(), "a,\"b,c\",\"say \"\"hi\"\"\",\"two\nlines\"\r\n-1.5,'=1+1,,'@x\r\n");
    }
}
