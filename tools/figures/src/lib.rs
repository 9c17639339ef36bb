//! Figures of measurements: a JSON file that several commands merge their keys into, the table of a
//! benchmark, and what the programs of benchmarks share.
//!
//! ```
//! use fairline_figures::table::{median, number};
//!
//! assert_eq!(number(median(vec![3.0, 12_345.0, 99_999.0])), "12,345");
//! ```

pub mod bench;
pub mod table;

use std::{fs, io, path::Path};

use serde_json::{Map, Value};

/// Where the figures about the promises go, from the folder that `make` runs in.
pub const PROMISES: &str = "target/bench/promises.json";

/// Writes figures into a file and keeps its other keys. A file that is no JSON object is replaced.
///
/// # Errors
/// When the file can't be written.
pub fn merge<'a>(file: &Path, figures: impl IntoIterator<Item = (&'a str, Value)>) -> io::Result<()> {
    let known = fs::read(file).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let mut all: Map<String, Value> = known.unwrap_or_default();
    all.extend(figures.into_iter().map(|(key, value)| (key.to_owned(), value)));
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, format!("{:#}\n", Value::Object(all)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn other_figures_are_kept_and_a_broken_file_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("bench/figures.json");
        let read = || serde_json::from_slice::<Value>(&fs::read(&file).expect("a file")).expect("JSON");
        merge(&file, [("steps", json!(7)), ("recovery_s", json!(0.5))]).expect("written");
        merge(&file, [("steps", json!(8))]).expect("written");
        assert_eq!(read(), json!({ "steps": 8, "recovery_s": 0.5 }));
        fs::write(&file, "{").expect("written");
        merge(&file, [("steps", json!(9))]).expect("written");
        assert_eq!(read(), json!({ "steps": 9 }));
    }
}
