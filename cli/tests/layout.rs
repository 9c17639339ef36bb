//! The layout that ARCHITECTURE.md promises: where SQL and Redis clients stand, and which way dependencies go.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What ships: the services and the crates that they use.
const SHIPPED: [&str; 4] = ["waiting-room/src", "admission-controller/src", "checkout/src", "crates"];
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

/// Every source file below a folder, relative to the workspace, with its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                walk(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                found.push(entry);
            }
        }
    }
    let (root, mut found) = (root(), Vec::new());
    walk(&root.join(folder), &mut found);
    let relative = |path: &PathBuf| path.strip_prefix(&root).expect("in the workspace").display().to_string();
    let all = found.iter().map(|path| (relative(path), fs::read_to_string(path).expect("a text")));
    all.filter(|(path, _)| !path.contains("/tests/") && !path.contains("/examples/")).collect()
}

/// Shipped files that contain one of these texts, and are not allowed to.
fn offenders(texts: &[&str], is_allowed: impl Fn(&str) -> bool) -> Vec<String> {
    let shipped = SHIPPED.iter().flat_map(|folder| sources(folder));
    let found = shipped.filter(|(path, text)| !is_allowed(path) && texts.iter().any(|sql| text.contains(sql)));
    let mut paths: Vec<String> = found.map(|(path, _)| path).collect();
    paths.sort();
    paths
}

#[test]
fn sql_stands_in_stores_and_in_the_crate_that_makes_connections() {
    let sql = ["sqlx::query", "sqlx::raw_sql", "query_as(", "query_scalar("];
    let is_store =
        |path: &str| path.ends_with("/store.rs") || path.ends_with("/db.rs") || path.starts_with("crates/postgres/");
    assert_eq!(offenders(&sql, is_store), [""; 0]);
    assert!(
        !offenders(&sql, |path| is_store(path) && !path.starts_with("checkout/src/orders/")).is_empty(),
        "the control"
    );
}

#[test]
fn redis_clients_stand_in_three_crates_and_in_one_cache() {
    let is_allowed = |path: &str| {
        ["crates/line/", "crates/events/", "crates/redis/"].iter().any(|krate| path.starts_with(krate))
            || path == "checkout/src/catalogue/cache.rs"
    };
    assert_eq!(offenders(&["fred::"], is_allowed), [""; 0]);
}

#[test]
fn services_do_not_depend_on_each_other() {
    let services = ["waiting-room", "admission-controller", "checkout"];
    for service in services {
        let manifest = fs::read_to_string(root().join(service).join("Cargo.toml")).expect("a manifest");
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for other in services.iter().filter(|&&other| other != service) {
            let depends = dependencies
                .lines()
                .any(|line| line.starts_with(&format!("{other}.")) || line.starts_with(&format!("{other} ")));
            assert!(!depends, "{service} depends on {other}");
        }
    }
}

/// Within a feature, routes call the service, and the service calls the store, never back.
#[test]
fn stores_do_not_call_services_and_services_do_not_call_routes() {
    let mut upwards = Vec::new();
    let mut stores = 0;
    for service in ["waiting-room/src", "admission-controller/src", "checkout/src"] {
        for (path, text) in sources(service) {
            let above: &[&str] = match path.rsplit('/').next() {
                Some("store.rs" | "db.rs") => &["routes", "service"],
                Some("service.rs") => &["routes"],
                _ => continue,
            };
            stores += 1;
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            // In a path (`routes::x`, `service::{x}`) or as the last part of an import (`orders::routes,`).
            let uses = |line: &str| above.iter().any(|name| names_module(line, name));
            upwards.extend(code.filter(|line| uses(line)).map(|line| format!("{path}: {}", line.trim())));
        }
    }
    assert_eq!(upwards, [""; 0]);
    assert!(stores > 20, "the control: {stores} files were checked");
}

/// Whether a line names a module as part of a path.
fn names_module(line: &str, module: &str) -> bool {
    line.match_indices(module).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + module.len()..]);
        let begins = before.is_empty() || before.ends_with([' ', ':', '{', ',', '(', '<']);
        begins && (after.starts_with("::") || (before.ends_with("::") && after.starts_with([';', ',', '}'])))
    })
}

#[test]
fn modules_are_recognised_in_paths() {
    for line in ["use super::routes::Join;", "    orders::{service::Orders},", "use crate::orders::routes;"] {
        assert!(names_module(line, "routes") || names_module(line, "service"), "{line}");
    }
    for line in ["let routes = 1;", "/// The routes.", "reroutes::x();", "fn routes() {}"] {
        assert!(!names_module(line, "routes"), "{line}");
    }
}
