//! Imports and exports tables as CSV.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value, json};

use super::admin::Admin;
use crate::failure::CommandError;

/// Stands for standard input or output.
const STANDARD: &str = "-";

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The file; `-` is standard input.
    file: PathBuf,
    /// Only check the file, and report what would change.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// The file; `-` is standard output.
    #[arg(default_value = STANDARD)]
    file: PathBuf,
}

/// Imports a file, unless a row is wrong. Returns the report, and whether all rows are right.
pub(crate) async fn import(
    admin: &Admin,
    table: &str,
    ImportArguments { file, dry_run }: &ImportArguments,
) -> Result<(Value, bool), CommandError> {
    let bytes =
        read(file).map_err(|error| CommandError::new(format!("Could not read {}: {error}.", file.display())))?;
    // A dry run lists the errors by line.
    let report = admin.send_table(&format!("{table}?dry_run=true"), bytes.clone()).await?;
    let is_right = report["error_count"].as_u64() == Some(0);
    if is_right && !dry_run {
        return Ok((admin.send_table(table, bytes).await?, true));
    }
    Ok((report, is_right))
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file.as_os_str() != STANDARD {
        return fs::read(file);
    }
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).map(|_| bytes)
}

/// Writes a table to a file.
pub(crate) async fn export(
    admin: &Admin,
    table: &str,
    ExportArguments { file }: &ExportArguments,
    json: bool,
) -> Result<(), CommandError> {
    let bytes = admin.download(table).await?;
    let unwritten = |error: io::Error| CommandError::new(format!("Could not write {}: {error}.", file.display()));
    if file.as_os_str() == STANDARD {
        return io::stdout().write_all(&bytes).map_err(unwritten);
    }
    fs::write(file, &bytes).map_err(unwritten)?;
    match json {
        true => println!("{}", json!({ "file": file, "bytes": bytes.len() })),
        false => println!("{} ({} bytes)", file.display(), bytes.len()),
    }
    Ok(())
}

/// A line for each error of an import.
pub(crate) fn errors_text(report: &Value) -> String {
    let line = |error: &Value| {
        let column = error["column"].as_str().map(|column| format!(", {column}")).unwrap_or_default();
        format!("line {}{column}: {}\n", error["line"], error["detail"].as_str().unwrap_or_default())
    };
    report["errors"].as_array().into_iter().flatten().map(line).collect()
}

/// Whether an import was done, and why not.
pub(crate) fn outcome_text(report: &Value) -> String {
    match (report["error_count"].as_u64().unwrap_or_default(), report["dry_run"] == true) {
        (0, true) => "a dry run: nothing was changed".to_owned(),
        (0, false) => "done".to_owned(),
        (1, _) => "1 error: nothing was changed".to_owned(),
        (count, _) => format!("{count} errors: nothing was changed"),
    }
}
