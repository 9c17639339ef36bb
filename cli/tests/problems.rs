//! docs/problems.md is generated from the services' problem types, and no other types exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use fairline_server::ProblemType;

/// Every table of problem types: its source, the services that return them, and the types.
const TABLES: [(&str, &[&str], &[&ProblemType]); 5] = [
    ("crates/server/src", &["admission-controller", "checkout", "waiting-room"], fairline_server::problem_types::ALL),
    ("crates/idempotency/src", &["admission-controller", "checkout"], fairline_idempotency::problem_types::ALL),
    ("waiting-room/src", &["waiting-room"], waiting_room::problem_types::ALL),
    ("admission-controller/src", &["admission-controller"], admission_controller::problem_types::ALL),
    ("checkout/src", &["checkout"], checkout::problem_types::ALL),
];

const INTRODUCTION: &str = "# Problems

Errors are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem details: `application/problem+json` with `type`, `title`, `status`
and, in most cases, `detail`. The `type` is `/problems/` and the name in the first column, relative to the request's URL. Each service
returns its row of this table as text for `GET` of that path, and the proxy routes it to a waiting room. Programs compare the `type`;
its name and status stay the same, titles and details may change.

Generated from the services' tables (`problem_types.rs`): change them there, and run `make generate`.

| Type | Status | Title | Returned by | Shopper | Merchant | Operator |
|---|---|---|---|---|---|---|
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// One type, in all services that return it.
#[derive(Default)]
struct Row {
    services: BTreeSet<&'static str>,
    /// Of the shopper, the merchant and the operator.
    actions: [Vec<&'static str>; 3],
}

fn document() -> String {
    let mut rows: BTreeMap<(&str, u16, &str), Row> = BTreeMap::new();
    for (_, services, types) in TABLES {
        for kind in types {
            let row = rows.entry((kind.slug, kind.status.as_u16(), kind.title)).or_default();
            row.services.extend(services);
            for (actions, action) in row.actions.iter_mut().zip([kind.shopper, kind.merchant, kind.operator]) {
                if !action.is_empty() && !actions.contains(&action) {
                    actions.push(action);
                }
            }
        }
    }
    let slugs: BTreeSet<&str> = rows.keys().map(|(slug, ..)| *slug).collect();
    assert_eq!(slugs.len(), rows.len(), "services return a type with different titles or statuses");
    let rows = rows.iter().map(|((slug, status, title), row)| {
        let services = row.services.iter().copied().collect::<Vec<_>>().join(", ");
        let actions =
            row.actions.each_ref().map(|texts| if texts.is_empty() { "–".to_owned() } else { texts.join(" ") });
        let row =
            format!("| <a id=\"{slug}\"></a>`{slug}` | {status} | {title} | {services} | {} |\n", actions.join(" | "));
        assert_eq!(row.matches('|').count(), 8, "a cell has a vertical bar: {row}");
        row
    });
    INTRODUCTION.to_owned() + &rows.collect::<String>()
}

#[test]
fn problems_md_is_up_to_date() {
    let (path, generated) = (root().join("docs/problems.md"), document());
    if std::env::var_os("FAIRLINE_REGENERATE").is_some() {
        fs::write(&path, &generated).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "docs/problems.md is stale: `make generate` renews it");
}

/// All source files below a folder, as one text.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let texts = entries.map(|path| match path.extension() {
        _ if path.is_dir() => sources(&path),
        Some(extension) if extension == "rs" => fs::read_to_string(&path).expect("a text"),
        _ => String::new(),
    });
    texts.collect()
}

/// `Problem::new` takes a [`ProblemType`], so it is enough that only the tables make any.
#[test]
fn only_the_tables_define_problem_types_and_all_of_them_are_used() {
    let definitions = ["waiting-room/src", "admission-controller/src", "checkout/src", "crates"].map(|folder| {
        sources(&root().join(folder)).replace("-> &'static ProblemType {", "").matches("ProblemType {").count()
    });
    // The struct, the macro and the base value of crates/server.
    assert_eq!(definitions, [0, 0, 0, 3]);
    let all_code = TABLES.map(|(folder, ..)| sources(&root().join(folder))).concat();
    for (folder, services, types) in TABLES {
        let code = if services.len() > 1 { all_code.clone() } else { sources(&root().join(folder)) };
        for kind in types {
            let name = format!("problem_types::{}", kind.slug.replace('-', "_").to_uppercase());
            assert!(code.contains(&name), "{folder} never returns `{}`", kind.slug);
        }
    }
    assert!(!all_code.contains("problem_types::NO_SUCH_TYPE"), "the control");
}
