//! The statements in the source, and those of them that ran.
//!
//! A statement is a string literal of a `store.rs` or `db.rs` that begins as SQL does. It has run
//! if an executed text contains it. Parts that a macro joins count one by one.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Folders whose statements run in loops, in ticks and for purchases.
const LOOPS: [&str; 12] = [
    "admission-controller/src/admin_api/live/",
    "admission-controller/src/controller/",
    "admission-controller/src/jobs/",
    "checkout/src/events/",
    "checkout/src/jobs/",
    "checkout/src/notifications/",
    "checkout/src/orders/",
    "checkout/src/payments/",
    "checkout/src/redemption/",
    "checkout/src/sales/",
    "checkout/src/webhooks/",
    "crates/idempotency/",
];
/// How a statement begins, or the part of one that a macro completes.
const BEGINS: [&str; 7] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ", "FROM ", "WHERE "];
/// Shorter literals would be found in other statements.
const LENGTH_MIN: usize = 24;

/// A statement, or a part of one.
#[derive(Debug)]
pub struct Written {
    pub file: String,
    pub text: String,
}

impl Written {
    pub fn is_of_a_loop(&self) -> bool {
        LOOPS.iter().any(|folder| self.file.starts_with(folder))
    }
}

/// Every statement of the services.
pub fn statements() -> Vec<Written> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["admission-controller/src", "checkout/src", "crates/idempotency/src"] {
        find(&root.join(folder), &mut files);
    }
    files.sort();
    let of_file = |file: &PathBuf| {
        let source = fs::read_to_string(file).expect("a source file");
        let name = file.strip_prefix(&root).expect("a file below the root").display().to_string();
        let texts = literals(&source).into_iter().filter(|text| is_sql(text));
        texts.map(move |text| Written { file: name.clone(), text }).collect::<Vec<_>>()
    };
    files.iter().flat_map(of_file).collect()
}

/// Statements that did not run.
pub fn that_did_not_run<'a>(written: &'a [Written], executed: &[String]) -> Vec<&'a Written> {
    let executed: Vec<String> = executed.iter().map(|text| on_one_line(text)).collect();
    let ran = |written: &&Written| !executed.iter().any(|text| text.contains(&written.text));
    written.iter().filter(ran).collect()
}

/// For people.
pub fn list(written: &[&Written]) -> String {
    let mut list = String::new();
    for Written { file, text } in written {
        let _ = writeln!(list, "{file}: {}", text.chars().take(150).collect::<String>());
    }
    list
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            find(&path, files);
        } else if path.file_name().is_some_and(|name| name == "store.rs" || name == "db.rs") {
            files.push(path);
        }
    }
}

fn is_sql(text: &str) -> bool {
    text.len() >= LENGTH_MIN && BEGINS.iter().any(|begin| text.starts_with(begin))
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The string literals of a source file before its tests.
fn literals(source: &str) -> Vec<String> {
    let mut rest = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut literals = Vec::new();
    while let Some(at) = rest.find(['"', '/', '\'']) {
        rest = &rest[at..];
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if rest.starts_with('"') {
            let end = end_of_literal(rest);
            literals.push(on_one_line(&rest[1..end].replace("\\\n", "").replace("\\\\", "\\").replace("\\\"", "\"")));
            rest = &rest[end + 1..];
        } else {
            rest = &rest[if rest.starts_with("'\"'") { 3 } else { 1 }..];
        }
    }
    literals
}

/// Where the closing quote of a literal is that begins with the text.
fn end_of_literal(text: &str) -> usize {
    let mut escaped = false;
    let is_end = |&(_, character): &(usize, char)| {
        let ends = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        ends
    };
    text.char_indices().skip(1).find(is_end).map_or(text.len() - 1, |(at, _)| at)
}

#[test]
fn statements_of_the_source_are_found() {
    let source = "// \"SELECT in a comment of the source\"\nlet quote = '\"'; query(\"SELECT a \\\"name\\\", \\\n   b FROM c\", \"short\");\n\
         #[cfg(test)] \"SELECT of a test of the store\"";
    assert_eq!(literals(source), ["SELECT a \"name\", b FROM c", "short"]);
    let written = statements();
    assert!(written.len() > 200 && written.iter().filter(|one| one.is_of_a_loop()).count() > 100, "{}", written.len());
}
