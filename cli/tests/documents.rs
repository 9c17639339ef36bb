//! Everything that the documents name exists: tests, constraints, files and invariants.

#[path = "common/sources.rs"]
mod shared;

use std::fs;

use shared::{files, root};

/// The text between backticks of a document's lines.
fn code_spans(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with("```")).flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

fn is_snake_case(span: &str) -> bool {
    span.contains('_') && span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Paths and `snake_case` names among these that no source has.
fn unknown<'a>(spans: &[&'a str], sources: &[(String, String)]) -> Vec<&'a str> {
    let is_known = |span: &str| {
        let path = span.trim_end_matches('/');
        let is_source = [".rs", ".ts", ".lua"].iter().any(|end| path.ends_with(end));
        let is_folder = path.contains('/') && !path.contains(['.', ' ', '<', '=']);
        // `SEED` stands for a seed, and the build makes what is in `target`.
        if (is_source || is_folder) && !path.contains(char::is_uppercase) {
            return root().join(path).exists() || path.starts_with("target/");
        }
        // A name of this many words is that of a test, or of a constraint.
        let is_long = span.matches('_').count() >= 5;
        let defined = [format!("fn {span}("), format!("CONSTRAINT {span}")];
        let wanted = if is_long { &defined[..] } else { &[span.to_owned()] };
        !is_snake_case(span) || sources.iter().any(|(_, text)| wanted.iter().any(|wanted| text.contains(wanted)))
    };
    spans.iter().copied().filter(|span| !is_known(span)).collect()
}

#[test]
fn what_the_promises_are_tested_by_exists() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("a document");
    let (verification, architecture) = (read("docs/verification.md"), read("ARCHITECTURE.md"));
    let (_, promises) = architecture.split_once("## Promises").expect("the table of promises");
    let promises = promises.split("\n## ").next().expect("a section");
    let mut sources = files("", &["rs", "sql", "ts", "lua"]);
    sources.retain(|(path, _)| !path.ends_with("cli/tests/documents.rs"));
    let spans = [code_spans(&verification), code_spans(promises)].concat();
    assert_eq!(unknown(&spans, &sources), [""; 0], "the documents name what no source has");
    let control = ["crates/line/no_such.rs", "tools/no-such", "no_such_test_is_anywhere_in_here", "places_lost"];
    assert_eq!(unknown(&control, &sources), control[..3], "the control");
}

/// Each invariant that the table of promises names is one of the simulation's.
#[test]
fn the_invariants_of_the_promises_are_simulated() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("a document");
    let (verification, architecture) = (read("docs/verification.md"), read("ARCHITECTURE.md"));
    let (_, table) = architecture.split_once("| simulation invariant |").expect("the table of promises");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("| "));
    let named: Vec<&str> = rows.filter_map(|row| row.split(" | ").nth(2)).flat_map(|cell| cell.split("; ")).collect();
    assert!(named.len() > 10, "{named:?}");
    let is_simulated = |name: &&str| verification.contains(&format!("\n| {name} | "));
    let unknown: Vec<&str> = named.into_iter().filter(|name| !is_simulated(name)).collect();
    assert!(unknown.is_empty(), "docs/verification.md does not have {unknown:?}");
}
