//! The layout that ARCHITECTURE.md promises: where SQL and Redis clients stand, and which way
//! dependencies go.

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
    let is_store = |path: &str| {
        path.ends_with("/store.rs")
            || path.ends_with("/db.rs")
            || path.starts_with("admission-controller/src/store/")
            || path.starts_with("crates/postgres/")
    };
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

/// The modules of checkout that a file uses outside its tests, as paths of files.
fn uses(text: &str, files: &[String]) -> Vec<String> {
    let production = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    for (at, _) in production.match_indices("crate::") {
        flatten(&production[at + "crate::".len()..], "", &mut found);
    }
    let mut used: Vec<String> = found.iter().filter_map(|path| file_of(path, files)).collect();
    used.sort();
    used.dedup();
    used
}

/// Collects the paths of a use tree: `a::{b, c::d}` has `a::b` and `a::c::d`. Returns its length.
fn flatten(tree: &str, prefix: &str, found: &mut Vec<String>) -> usize {
    let length = tree.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(tree.len());
    let path = format!("{prefix}{}", &tree[..length]);
    if !tree[length..].starts_with('{') {
        found.push(path);
        return length;
    }
    let mut at = length + 1;
    while let Some(next) = tree[at..].find(|c: char| c.is_alphanumeric() || c == '_' || c == '}') {
        at += next;
        if tree[at..].starts_with('}') {
            return at + 1;
        }
        at += flatten(&tree[at..], &path, found).max(1);
    }
    tree.len()
}

/// The file of the module that a path names, or that contains the item that it names.
fn file_of(path: &str, files: &[String]) -> Option<String> {
    let mut parts: Vec<&str> = path.split("::").filter(|part| !part.is_empty()).collect();
    while !parts.is_empty() {
        let module = parts.join("/");
        let candidates = [format!("checkout/src/{module}.rs"), format!("checkout/src/{module}/mod.rs")];
        if let Some(file) = candidates.into_iter().find(|candidate| files.contains(candidate)) {
            return Some(file);
        }
        parts.pop();
    }
    None
}

/// Whether one module contains the other.
fn is_family(one: &str, other: &str) -> bool {
    let contains =
        |outer: &str, inner: &str| outer.strip_suffix("mod.rs").is_some_and(|folder| inner.starts_with(folder));
    contains(one, other) || contains(other, one)
}

/// A circle of modules, without those between a module and one that contains it.
fn circle(modules: &[(String, Vec<String>)]) -> Option<Vec<String>> {
    let used = |module: &str| modules.iter().find(|(path, _)| path == module).map(|(_, used)| used.as_slice());
    modules.iter().find_map(|(start, _)| {
        let mut ways = vec![vec![start.clone()]];
        let mut seen: Vec<&str> = Vec::new();
        while let Some(way) = ways.pop() {
            let last = way.last()?;
            for next in used(last).unwrap_or_default().iter().filter(|next| !is_family(last, next)) {
                if next == start {
                    return Some(way);
                }
                if !seen.contains(&next.as_str()) {
                    seen.push(next);
                    ways.push([way.as_slice(), &[next.clone()]].concat());
                }
            }
        }
        None
    })
}

#[test]
fn the_modules_of_checkout_form_no_circle() {
    let sources = sources("checkout/src");
    let files: Vec<String> = sources.iter().map(|(path, _)| path.clone()).collect();
    let mut modules: Vec<(String, Vec<String>)> =
        sources.iter().map(|(path, text)| (path.clone(), uses(text, &files))).collect();
    let all: usize = modules.iter().map(|(_, used)| used.len()).sum();
    assert!(all > 100, "{all} uses were found");
    assert_eq!(circle(&modules), None);
    // The control: a store that used a service.
    let (store, service) = ("checkout/src/orders/store.rs", "checkout/src/orders/service.rs");
    let (_, used) = modules.iter_mut().find(|(path, _)| path == store).expect("the store");
    used.push(service.to_owned());
    assert!(circle(&modules).is_some_and(|way| way.contains(&store.to_owned())));
}

/// A feature of checkout that is reached through its routes may be used by others; its routes may
/// not.
#[test]
fn stores_and_services_do_not_call_routes() {
    let upwards = sources("checkout/src").into_iter().filter(|(path, text)| {
        let is_lower = path.ends_with("/store.rs") || path.ends_with("/service.rs") || path.ends_with("/db.rs");
        let uses_routes = text.lines().any(|line| line.contains("routes::") && !line.trim_start().starts_with("//"));
        is_lower && uses_routes
    });
    assert_eq!(upwards.map(|(path, _)| path).collect::<Vec<_>>(), [""; 0]);
}
