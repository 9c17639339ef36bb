//! Tables that are imported and exported as CSV (RFC 4180), with a row for each SKU. Pure.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, so such cells
//! get an apostrophe in front, and reading removes it.

use std::collections::HashMap;

use csv::{Position, ReaderBuilder, StringRecord, WriterBuilder};
use fairline_sale::decimals;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin_api::products::fields::{Attribute, InvalidField};

/// Errors that are reported at most.
const ERRORS_MAX: usize = 100;

/// An error of an imported table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ImportError {
    /// The line of the file at which the row begins, from 1.
    pub(crate) line: u64,
    /// The column, if the error is in one.
    #[schema(required)]
    pub(crate) column: Option<&'static str>,
    pub(crate) detail: String,
}

/// The errors of a table: the first hundred, and their number.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ImportErrors {
    pub(crate) listed: Vec<ImportError>,
    pub(crate) count: usize,
}

impl ImportErrors {
    pub(crate) fn add(&mut self, line: u64, column: Option<&'static str>, detail: impl Into<String>) {
        self.count += 1;
        if self.listed.len() < ERRORS_MAX {
            self.listed.push(ImportError { line, column, detail: detail.into() });
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// A row that was read. `None`: the column is missing; an empty cell is an empty text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) line: u64,
    columns: &'static [&'static str],
    /// Of the columns, in their order.
    cells: Vec<Option<String>>,
}

impl Row {
    /// The cell of a column, if the table has the column.
    pub(crate) fn cell(&self, column: &str) -> Option<&str> {
        let at = self.columns.iter().position(|name| *name == column)?;
        self.cells[at].as_deref()
    }

    /// The cell of a column without the spaces around it, unless it is empty.
    pub(crate) fn filled(&self, column: &str) -> Option<&str> {
        self.cell(column).map(str::trim).filter(|cell| !cell.is_empty())
    }
}

/// Reads a table of bounded length, which has some of the columns: at least `sku`. Errors name the
/// line.
pub(crate) fn read_table(
    bytes: &[u8],
    columns: &'static [&'static str],
    rows_max: usize,
) -> Result<Vec<Row>, ImportErrors> {
    let mut errors = ImportErrors::default();
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut reader = ReaderBuilder::new().from_reader(bytes);
    let places = match reader.headers().map(|header| places(header, columns)) {
        Ok(Ok(places)) => places,
        Ok(Err((column, detail))) => {
            errors.add(1, column, detail);
            return Err(errors);
        }
        Err(error) => {
            errors.add(1, None, reason(&error));
            return Err(errors);
        }
    };
    let (mut rows, mut lines) = (Vec::new(), LineCounter { bytes, at: 0, line: 1 });
    for record in reader.records() {
        match record {
            Ok(_) if rows.len() == rows_max => {
                errors.add(1, None, format!("The table has more than {rows_max} rows."));
                break;
            }
            Ok(record) => {
                let line = lines.of(record.position());
                let cell = |place: &Option<usize>| place.and_then(|place| record.get(place)).map(unquoted);
                let cells = places.iter().map(|place| cell(place).map(str::to_owned)).collect();
                rows.push(Row { line, columns, cells });
            }
            Err(error) => {
                errors.add(lines.of(error.position()), None, reason(&error));
            }
        }
    }
    if errors.is_empty() { Ok(rows) } else { Err(errors) }
}

/// Counts lines. The reader's own number is too low where lines end with CRLF or are empty, since
/// its records begin behind the CR of the line before.
struct LineCounter<'a> {
    bytes: &'a [u8],
    /// Counted up to here.
    at: usize,
    line: u64,
}

impl LineCounter<'_> {
    /// The line of a record, which is not before the last one.
    fn of(&mut self, position: Option<&Position>) -> u64 {
        let begin = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(self.at);
        let rest = self.bytes.get(begin..).unwrap_or_default();
        let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let passed = self.bytes.get(self.at..begin + blank).unwrap_or_default();
        self.line += passed.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        self.at = self.at.max(begin + blank);
        self.line
    }
}

fn reason(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("The row has {len} cells, and the first line {expected_len}.")
        }
        csv::ErrorKind::Utf8 { .. } => "The text is not UTF-8.".to_owned(),
        _ => "The row is not valid CSV.".to_owned(),
    }
}

type InvalidCell = (Option<&'static str>, String);

/// The place of each column in the table.
fn places(header: &StringRecord, columns: &'static [&'static str]) -> Result<Vec<Option<usize>>, InvalidCell> {
    let mut places = vec![None; columns.len()];
    for (place, name) in header.iter().enumerate() {
        let name = name.trim().to_ascii_lowercase();
        let Some(column) = columns.iter().position(|column| *column == name) else {
            let name: String = name.chars().take(40).collect();
            return Err((None, format!("There is no column `{name}`. The columns are {}.", columns.join(", "))));
        };
        if places[column].replace(place).is_some() {
            return Err((Some(columns[column]), "The column is given twice.".to_owned()));
        }
    }
    match columns.iter().position(|column| *column == "sku").and_then(|column| places[column]) {
        Some(_) => Ok(places),
        None => Err((Some("sku"), "The first line must name the columns, and `sku` is missing.".to_owned())),
    }
}

/// The rows, without a repeated SKU.
pub(crate) fn distinct<'a>(rows: &'a [Row], errors: &mut ImportErrors) -> Vec<&'a Row> {
    let (mut lines, mut distinct) = (HashMap::new(), Vec::new());
    for row in rows {
        let first = row.filled("sku").map_or(row.line, |sku| *lines.entry(sku).or_insert(row.line));
        if first == row.line {
            distinct.push(row);
        } else {
            errors.add(row.line, Some("sku"), format!("Line {first} has this SKU, too."));
        }
    }
    distinct
}

/// The error of a cell that has no attributes.
pub(crate) const NOT_ATTRIBUTES: &str = "Write attributes like `Material=leather|Drop=8 mm`.";

/// Notes the rule that a cell breaks.
pub(crate) fn note(errors: &mut ImportErrors, line: u64, column: &'static str, checked: Result<(), InvalidField>) {
    if let Err(InvalidField { must, .. }) = checked {
        errors.add(line, Some(column), format!("It must {must}."));
    }
}

/// An amount as an import reads it: `49.00`.
pub(crate) fn amount(minor: i64, currency: &str) -> String {
    let digits = decimals(currency);
    let unit = 10_i64.pow(digits);
    match digits {
        0 => minor.to_string(),
        _ => format!("{}.{:0width$}", minor / unit, minor % unit, width = digits as usize),
    }
}

/// Rows as text. Writing into memory does not fail.
pub(crate) fn written<'a, const COLUMNS: usize>(rows: impl IntoIterator<Item = [&'a str; COLUMNS]>) -> Vec<u8> {
    let mut writer = WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        let _ = writer.write_record(row.map(quoted));
    }
    writer.into_inner().unwrap_or_default()
}

/// Whether a spreadsheet could take a cell for a formula, also one with apostrophes in front.
fn is_formula(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r'])
}

fn quoted(cell: &str) -> String {
    if is_formula(cell) { format!("'{cell}") } else { cell.to_owned() }
}

fn unquoted(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| is_formula(rest)).unwrap_or(cell)
}

/// Attributes in one cell: `Material=leather|Drop=8 mm`. A backslash escapes `|`, `=` and `\` in a
/// name or value.
pub(crate) fn attributes_text(attributes: &[Attribute]) -> String {
    let plain = |text: &str| -> String {
        text.chars().flat_map(|c| matches!(c, '\\' | '|' | '=').then_some('\\').into_iter().chain([c])).collect()
    };
    let texts: Vec<_> = attributes.iter().map(|one| format!("{}={}", plain(&one.name), plain(&one.value))).collect();
    texts.join("|")
}

/// Reads attributes from a cell; `None` if one has no `=`.
pub(crate) fn attributes_of(cell: &str) -> Option<Vec<Attribute>> {
    if cell.trim().is_empty() {
        return Some(Vec::new());
    }
    split(cell, '|').into_iter().map(|text| attribute_of(&text)).collect()
}

/// The first `=` separates the name; another one needs no backslash.
fn attribute_of(text: &str) -> Option<Attribute> {
    let parts = split(text, '=');
    let (name, value) = parts.split_first().filter(|(_, value)| !value.is_empty())?;
    Some(Attribute { name: plain(name.trim()), value: plain(value.join("=").trim()) })
}

/// Splits a text at a separator, except where a backslash escapes it. Keeps the backslashes.
fn split(text: &str, separator: char) -> Vec<String> {
    let (mut parts, mut is_plain) = (vec![String::new()], false);
    for c in text.chars() {
        if c == separator && !is_plain {
            parts.push(String::new());
            continue;
        }
        is_plain = c == '\\' && !is_plain;
        parts.last_mut().expect("there is always a part").push(c);
    }
    parts
}

/// Removes the backslashes before other characters.
fn plain(text: &str) -> String {
    let (mut plain, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    plain
}

#[cfg(test)]
mod tests {
    use fairline_sale::minor_units;

    use super::*;

    const COLUMNS: [&str; 3] = ["sku", "title", "price"];
    const ROWS_MAX: usize = 20;

    fn read(bytes: &[u8]) -> Result<Vec<Row>, ImportErrors> {
        read_table(bytes, &COLUMNS, ROWS_MAX)
    }

    fn attribute(name: &str, value: &str) -> Attribute {
        Attribute { name: name.to_owned(), value: value.to_owned() }
    }

    fn errors(table: &str) -> Vec<(u64, Option<&'static str>)> {
        let errors = read(table.as_bytes()).expect_err(table);
        errors.listed.iter().map(|error| (error.line, error.column)).collect()
    }

    #[test]
    fn rows_are_read_with_their_lines_and_any_order_of_columns() {
        let rows = read("\u{feff}price,SKU\r\n1.00,A\r\n\"2,00\",\"B\r\nC\"\r\n3,\"say \"\"hi\"\"\"\r\n".as_bytes());
        let rows = rows.expect("rows");
        assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 3, 5]);
        assert_eq!((rows[1].cell("sku"), rows[1].cell("price")), (Some("B\r\nC"), Some("2,00")));
        assert_eq!((rows[2].cell("sku"), rows[2].cell("title")), (Some("say \"hi\""), None));
        let rows = read(b"sku\r\n\r\nA\r\n\n\nB\n").expect("rows");
        assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [3, 6], "empty lines count");
        assert_eq!(read(b"sku\n").map(|rows| rows.len()), Ok(0));
    }

    #[test]
    fn a_wrong_table_is_rejected_by_line() {
        for (table, expected) in [
            ("", vec![(1, Some("sku"))]),
            ("title,price\n", vec![(1, Some("sku"))]),
            ("sku,colour\n", vec![(1, None)]),
            ("sku,title,sku\n", vec![(1, Some("sku"))]),
            ("sku,title\nA\nB,b\nC,c,c\n", vec![(2, None), (4, None)]),
        ] {
            assert_eq!(errors(table), expected, "{table}");
        }
        let not_utf8 = read(b"sku\nA\n\xff\n").expect_err("not UTF-8");
        assert_eq!((not_utf8.listed[0].line, not_utf8.count), (3, 1));
        let long = format!("sku\n{}", "A\n".repeat(ROWS_MAX + 1));
        assert_eq!(errors(&long).len(), 1);
        let many = format!("sku,title\n{}", "A\n".repeat(500));
        let many = read(many.as_bytes()).expect_err("errors");
        assert_eq!((many.listed.len(), many.count), (ERRORS_MAX, 500));
    }

    #[test]
    fn formulas_are_disarmed_and_read_back() {
        for cell in
            ["=1+1", "+1", "-1", "@x", "\tx", "'=1", "''=1", "'tis", "plain", "", "'", "a,b", "\"", "a\r\nb", "4.50"]
        {
            let text = written([COLUMNS, ["A", cell, ""]]);
            let shown = csv::Reader::from_reader(text.as_slice()).records().next().expect("a row").expect("CSV");
            assert!(!shown[1].starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
            assert_eq!(read(&text).expect("rows")[0].cell("title"), Some(cell));
        }
    }

    #[test]
    fn attributes_are_read_back() {
        for attributes in [
            vec![],
            vec![attribute("Material", "leather"), attribute("Drop", "8 mm")],
            vec![attribute("a=b", "c|d\\"), attribute("\\", "=|")],
        ] {
            assert_eq!(attributes_of(&attributes_text(&attributes)), Some(attributes));
        }
        assert_eq!(attributes_of(" Size = a=b "), Some(vec![attribute("Size", "a=b")]));
        for wrong in ["Size", "Size=1|", "|", "Size\\=1"] {
            assert_eq!(attributes_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn amounts_are_read_back() {
        for (minor, currency, text) in
            [(4900, "EUR", "49.00"), (5, "EUR", "0.05"), (500, "JPY", "500"), (1500, "KWD", "1.500")]
        {
            assert_eq!(amount(minor, currency), text);
            assert_eq!(minor_units(text, currency), Some(minor));
        }
    }
}
