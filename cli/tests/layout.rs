//! The layout that ARCHITECTURE.md promises: where SQL and Redis clients are allowed, and the
//! direction of dependencies.

#[path = "common/sources.rs"]
mod shared;

use std::{collections::BTreeMap, fs};

use shared::{files, root};

/// The shipped code: the services and the crates that they use.
const SHIPPED: [&str; 4] = ["waiting-room/src", "admission-controller/src", "checkout/src", "crates"];
const SERVICES: [&str; 3] = ["waiting-room/src", "admission-controller/src", "checkout/src"];

/// Every source file below a folder, without tests.
fn sources(folder: &str) -> Vec<(String, String)> {
    let all = files(folder, &["rs"]).into_iter();
    all.filter(|(path, _)| !path.contains("/tests/")).collect()
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
fn sql_is_in_stores_and_in_the_crate_of_connections() {
    let sql = ["sqlx::query", "sqlx::raw_sql", "query_as(", "query_scalar("];
    let is_store =
        |path: &str| path.ends_with("/store.rs") || path.ends_with("/db.rs") || path.starts_with("crates/postgres/");
    assert_eq!(offenders(&sql, is_store), [""; 0]);
    assert!(
        !offenders(&sql, |path| is_store(path) && !path.starts_with("checkout/src/orders/")).is_empty(),
        "the control"
    );
}

/// A feature reaches the database through its store only. `app.rs` passes each store its
/// connections.
#[test]
fn connections_are_in_stores_and_in_the_composition() {
    let files = ["/store.rs", "/db.rs", "/app.rs", "/testing.rs", "/admin_api/state.rs", "/controller/restore.rs"];
    let is_allowed = |path: &str| {
        path.starts_with("crates/") || path.contains("/src/testing/") || files.iter().any(|file| path.ends_with(file))
    };
    assert_eq!(offenders(&["PgPool", "Database", "Pools"], is_allowed), [""; 0]);
}

#[test]
fn redis_clients_are_in_three_crates() {
    let is_allowed =
        |path: &str| ["crates/line/", "crates/events/", "crates/redis/"].iter().any(|krate| path.starts_with(krate));
    assert_eq!(offenders(&["fred::"], is_allowed), [""; 0]);
}

/// The text up to the bracket that closes the first one.
fn bracketed(text: &str, [open, close]: [char; 2]) -> &str {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        depth += i32::from(c == open) - i32::from(c == close);
        if c == close && depth == 0 {
            return &text[..=at];
        }
    }
    text
}

/// What the spawned tasks of a file run: the arguments of `spawn`, with the body of a function of
/// the same file that they call.
fn spawned(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let text: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect();
    let argument = |(at, _): (usize, &str)| bracketed(&text[at..], ['(', ')']).to_owned();
    let mut spawned: Vec<String> = text.match_indices("spawn(").map(argument).collect();
    for task in &mut spawned {
        let called = task.trim_start_matches("spawn(").split('(').next().unwrap_or_default().to_owned();
        let is_name = !called.is_empty() && called.chars().all(|c| c.is_alphanumeric() || c == '_');
        if let Some(at) = text.find(&format!("fn {called}")).filter(|_| is_name) {
            task.push_str(bracketed(&text[at..], ['{', '}']));
        }
    }
    spawned
}

#[test]
fn a_spawned_loop_survives_a_panic_and_reports_progress() {
    // The supervisors themselves.
    let supervisors = ["crates/server/src/shutdown/watchdog.rs", "admission-controller/src/controller/schedule.rs"];
    let escapes = |task: &String| {
        let loops = ["loop {", "while "].iter().any(|word| task.contains(word));
        loops && !task.contains(".caught(")
    };
    let reports = |text: &str| [".rounds(", "report_alive()"].iter().any(|call| text.contains(call));
    let is_silent = |text: &str| (text.contains(".caught(") || text.contains(".run_blocking(")) && !reports(text);
    let (mut escaped, mut silent) = (Vec::new(), Vec::new());
    for (path, text) in SHIPPED.iter().flat_map(|folder| sources(folder)) {
        let found = spawned(&text).into_iter().filter(escapes);
        escaped.extend(found.filter(|_| !supervisors.contains(&path.as_str())).map(|task| format!("{path}: {task}")));
        silent.extend(Some(path).filter(|_| is_silent(&text)));
    }
    assert_eq!(escaped, [""; 0], "run the loop through `Shutdown::keep` or `WatchedLoop::caught`");
    assert_eq!(silent, [""; 0], "a watched loop reports progress, or the process becomes unready");
    for task in ["x.spawn(async move { loop { work().await; } });", "spawn(work(1));\nfn work(n: u8) { while true {} }"]
    {
        assert!(spawned(task).iter().any(escapes), "the control: {task}");
    }
    assert!(is_silent("while watched.caught(work()).await.is_none() {}"), "the control");
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

/// The folder of the sources of each crate.
fn crates() -> Vec<String> {
    let manifests = files("", &["toml"]).into_iter().filter(|(_, text)| text.contains("[package]"));
    manifests.map(|(path, _)| path.replace("Cargo.toml", "src")).collect()
}

/// The modules of its crate that a file uses outside its tests, as paths of files.
fn uses(root: &str, path: &str, text: &str, files: &[String]) -> Vec<String> {
    let production = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code: Vec<&str> = production.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        flatten(&code[at + "crate::".len()..], "", &mut found);
    }
    for (at, _) in code.match_indices("super::").filter(|(at, _)| !code[..*at].ends_with("super::")) {
        let (mut tree, mut module) = (&code[at..], module_of(root, path));
        while let Some(rest) = tree.strip_prefix("super::") {
            module.pop();
            tree = rest;
        }
        flatten(tree, &module.iter().map(|part| format!("{part}::")).collect::<String>(), &mut found);
    }
    let mut used: Vec<String> = found.iter().filter_map(|path| file_of(root, path, files)).collect();
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

/// The path of the module that a file contains.
fn module_of<'a>(root: &str, path: &'a str) -> Vec<&'a str> {
    let inside = path.trim_start_matches(root).trim_start_matches('/').trim_end_matches(".rs");
    inside.split('/').filter(|part| !["mod", "lib", "main"].contains(part)).collect()
}

/// The file of the module that a path names, or that contains the item that it names.
fn file_of(root: &str, path: &str, files: &[String]) -> Option<String> {
    let mut parts: Vec<&str> = path.split("::").filter(|part| !part.is_empty()).collect();
    while !parts.is_empty() {
        let module = parts.join("/");
        let candidates = [format!("{root}/{module}.rs"), format!("{root}/{module}/mod.rs")];
        if let Some(file) = candidates.into_iter().find(|candidate| files.contains(candidate)) {
            return Some(file);
        }
        parts.pop();
    }
    None
}

/// Whether one module contains the other.
fn is_family(one: &str, other: &str) -> bool {
    let folder = |module: &str| format!("{}/", module.trim_end_matches(".rs").trim_end_matches("/mod"));
    other.starts_with(&folder(one)) || one.starts_with(&folder(other))
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
                    ways.push([way.as_slice(), std::slice::from_ref(next)].concat());
                }
            }
        }
        None
    })
}

/// The modules of a crate, each with those that it uses.
fn modules(root: &str) -> Vec<(String, Vec<String>)> {
    let mut sources = sources(root);
    sources.retain(|(path, _)| !path.ends_with("/tests.rs"));
    let files: Vec<String> = sources.iter().map(|(path, _)| path.clone()).collect();
    let used =
        |path: &str, text: &str| uses(root, path, text, &files).into_iter().filter(|other| other != path).collect();
    sources.iter().map(|(path, text)| (path.clone(), used(path, text))).collect()
}

#[test]
fn the_modules_of_a_crate_form_no_circle() {
    let mut all = 0;
    for root in crates() {
        let modules = modules(&root);
        all += modules.iter().map(|(_, used)| used.len()).sum::<usize>();
        assert_eq!(circle(&modules), None);
    }
    assert!(all > 700, "the control: {all} uses were found");
}

#[test]
fn a_circle_of_modules_is_found() {
    let mut modules = modules("checkout/src");
    let (order, store) = ("checkout/src/orders/order.rs", "checkout/src/orders/store.rs");
    let (_, used) = modules.iter_mut().find(|(path, _)| path == order).expect("the module");
    used.push(store.to_owned());
    assert!(circle(&modules).is_some_and(|way| way.contains(&order.to_owned())));
    let files = ["src/a/mod.rs", "src/a/b.rs", "src/c.rs"].map(str::to_owned);
    let used = |text| uses("src", "src/a/b.rs", text, &files);
    assert_eq!(used("use crate::c::D;"), ["src/c.rs"]);
    assert_eq!(used("use super::E;\nsuper::super::c::d();"), ["src/a/mod.rs", "src/c.rs"]);
    assert!(is_family("src/a/mod.rs", "src/a/b.rs") && is_family("src/c/d.rs", "src/c.rs"));
    assert!(!is_family("src/a/b.rs", "src/c.rs"));
}

/// Within a feature, routes call the service, and the service calls the store, never back.
/// Requests, responses and errors of HTTP are above the store, too.
#[test]
fn stores_do_not_call_services_and_services_do_not_call_routes() {
    let mut upwards = Vec::new();
    let mut stores = 0;
    for service in SERVICES {
        for (path, text) in sources(service) {
            let above: &[&str] = match path.rsplit('/').next() {
                Some("store.rs" | "db.rs") => &["routes", "service", "error", "view", "responses", "request"],
                Some("service.rs") => &["routes"],
                _ => continue,
            };
            stores += 1;
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            // In a path (`routes::x`, `service::{x}`) or as the last part of an import
            // (`orders::routes,`).
            let uses = |line: &str| above.iter().any(|name| names_module(line, name));
            upwards.extend(code.filter(|line| uses(line)).map(|line| format!("{path}: {}", line.trim())));
        }
    }
    assert_eq!(upwards, [""; 0]);
    assert!(stores > 20, "the control: {stores} files were checked");
}

/// The lines of a handler or a service that name what its layer must not: handlers have no store,
/// and services have no HTTP.
fn foreign_names(path: &str, text: &str) -> Vec<String> {
    let is_routes = path.ends_with("/routes.rs") || path.contains("/routes/");
    let is_service = path.ends_with("/service.rs");
    let is_foreign = |line: &&str| {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        let calls_store = line.split('.').skip(1).any(|field| field.trim_end() == "store");
        is_routes && (calls_store || words.clone().any(|word| word.ends_with("Store")))
            || is_service && words.any(|word| ["axum", "HeaderMap", "Problem"].contains(&word))
    };
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.filter(is_foreign).map(|line| format!("{path}: {}", line.trim())).collect()
}

#[test]
fn routes_name_no_store_and_services_name_no_http() {
    let all: Vec<_> = SERVICES.into_iter().flat_map(sources).collect();
    let found: Vec<String> = all.iter().flat_map(|(path, text)| foreign_names(path, text)).collect();
    assert_eq!(found, [""; 0], "move rules to the service, and requests and responses to the routes");
    let is_layer = |(path, _): &&(String, String)| path.ends_with("/routes.rs") || path.ends_with("/service.rs");
    let layers = all.iter().filter(is_layer).count();
    assert!(layers > 40, "the control: {layers} files were checked");
    for (path, text) in [
        ("x/routes.rs", "State(store): State<OrderStore>"),
        ("x/routes/y.rs", "orders.store.order(id).await?;"),
        ("x/service.rs", "use axum::http::HeaderMap;"),
        ("x/service.rs", "fn order() -> Result<Order, Problem> {"),
    ] {
        assert!(!foreign_names(path, text).is_empty(), "the control: {text}");
    }
    assert_eq!(foreign_names("x/routes.rs", "/// The store.\nuse super::store::{OrderRow, StoreError};"), [""; 0]);
    assert_eq!(foreign_names("x/service.rs", "use crate::problem_types;"), [""; 0]);
}

/// A module that calls itself pure uses no module that reads, writes or serves.
#[test]
fn pure_modules_use_no_store() {
    let impure = ["/store.rs", "/db.rs", "/service.rs", "/routes.rs", "/app.rs"];
    let is_pure = |text: &str| text.lines().any(|line| line.starts_with("//!") && line.contains("Pure"));
    let (mut pure, mut found) = (0, Vec::new());
    for root in SERVICES {
        let called: Vec<String> =
            sources(root).into_iter().filter(|(_, text)| is_pure(text)).map(|(path, _)| path).collect();
        pure += called.len();
        for (path, used) in modules(root).into_iter().filter(|(path, _)| called.contains(path)) {
            let is_impure = |used: &String| impure.iter().any(|name| used.ends_with(name));
            found.extend(used.into_iter().filter(is_impure).map(|used| format!("{path} uses {used}")));
        }
    }
    assert_eq!(found, [""; 0]);
    assert!(pure > 15, "the control: {pure} modules are pure");
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

/// Names that each process, command or module has by custom: `Settings` of a command, the OpenAPI
/// `Document` with its `Security`.
const SHARED_NAMES: [&str; 5] = ["Command", "CommonError", "Document", "Security", "Settings"];

/// The types that a file defines at its top level, outside its tests.
fn types(text: &str) -> impl Iterator<Item = &str> {
    let production = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    production.lines().filter_map(|line| {
        let item = match line.strip_prefix("pub") {
            Some(public) => {
                public.strip_prefix("(crate)").or(public.strip_prefix("(super)")).unwrap_or(public).trim_start()
            }
            None => line,
        };
        let name = ["struct ", "enum ", "trait ", "type "].iter().find_map(|kind| item.strip_prefix(kind))?;
        name.split(|c: char| !c.is_alphanumeric()).next()
    })
}

/// One word, one meaning: see STYLE.md.
#[test]
fn a_type_name_stands_for_one_thing() {
    let mut shipped: Vec<_> = [&SHIPPED[..], &["cli/src"]].concat().into_iter().flat_map(sources).collect();
    // Support for tests, behind a feature.
    shipped.retain(|(path, _)| !path.ends_with("/testing.rs") && !path.ends_with("/tests.rs"));
    let mut defined: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (path, text) in &shipped {
        types(text).for_each(|name| defined.entry(name).or_default().push(path));
    }
    let is_shared = |name: &&str| defined.get(name).is_some_and(|paths| paths.len() > 1);
    assert!(SHARED_NAMES.iter().all(is_shared), "take the names that are not shared any more out of the list");
    defined.retain(|name, paths| paths.len() > 1 && !SHARED_NAMES.contains(name));
    assert!(defined.is_empty(), "qualify these names by a word: {defined:#?}");
}

/// Beside `self`. Clippy counts `self`, and so permits a fifth to functions without it.
const ARGUMENTS_MAX: usize = 4;
/// Functions with more. May only shrink.
const MORE_ARGUMENTS: [&str; 1] = ["admission-controller/src/controller/lifecycle.rs: at has 5"];

/// The functions outside tests that have arguments, with their number.
fn argument_counts(text: &str) -> Vec<(&str, usize)> {
    let production = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let of = |(at, _): (usize, &str)| {
        let signature = &production[at + "fn ".len()..];
        let name = signature.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        let generics = signature[name.len()..].replace("->", "  ");
        let generics = if generics.starts_with('<') { bracketed(&generics, ['<', '>']).len() } else { 0 };
        let arguments = bracketed(&signature[name.len() + generics..], ['(', ')']).strip_prefix('(')?;
        let is_function = !name.is_empty() && !production[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        is_function.then(|| (name, count(arguments)))
    };
    production.match_indices("fn ").filter_map(of).collect()
}

/// The arguments up to the closing bracket, without `self`.
fn count(arguments: &str) -> usize {
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in arguments.replace("->", "  ").chars() {
        depth += i32::from("([{<".contains(c)) - i32::from(")]}>".contains(c));
        match c {
            _ if depth < 0 => break,
            ',' if depth == 0 => parts.push(String::new()),
            c => parts.last_mut().expect("one").push(c),
        }
    }
    let is_self =
        |part: &str| part.split(':').next().is_some_and(|name| name.split([' ', '&']).any(|word| word == "self"));
    parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty() && !is_self(part)).count()
}

#[test]
fn functions_have_at_most_four_arguments_beside_self() {
    let control =
        "fn a<F: Fn(u8, u8) -> u8>(&mut self, (b, c): (u8, u8), d: &dyn Fn(u8, u8) -> u8, e: [u8; 2]) {}\nfn g() {}";
    assert_eq!(argument_counts(control), [("a", 3), ("g", 0)], "the control");
    let (mut counted, mut longer) = (0, Vec::new());
    for (path, text) in [&SHIPPED[..], &["cli/src"]].concat().into_iter().flat_map(sources) {
        let functions = argument_counts(&text);
        counted += functions.len();
        let more = functions.iter().filter(|(_, count)| *count > ARGUMENTS_MAX);
        longer.extend(more.map(|(name, count)| format!("{path}: {name} has {count}")));
    }
    assert_eq!(longer, MORE_ARGUMENTS, "pass a struct to these");
    assert!(counted > 2_000, "the control: {counted} functions were found");
}
