//! The layout that ARCHITECTURE.md promises: where SQL and Redis clients are allowed, and the
//! layers of a feature.

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

/// The tools among themselves: many mirror a type of the product, under its name.
#[test]
fn a_public_type_name_stands_for_one_thing_in_all_tools() {
    let tools = sources("tools");
    let mut defined: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (path, text) in &tools {
        let public = text.lines().filter(|line| line.starts_with("pub ")).flat_map(types);
        public.for_each(|name| defined.entry(name).or_default().push(path));
    }
    assert!(defined.len() > 100, "the control: {} types are public", defined.len());
    defined.retain(|name, paths| paths.len() > 1 && !SHARED_NAMES.contains(name));
    assert!(defined.is_empty(), "qualify these names by a word: {defined:#?}");
}

/// Beside `self`. Clippy counts `self`, and so permits a fifth to functions without it.
const ARGUMENTS_MAX: usize = 4;

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
    assert!(longer.is_empty(), "pass a struct to these: {longer:?}");
    assert!(counted > 2_000, "the control: {counted} functions were found");
}
