//! The dependencies between the modules of each crate, read from every path in its sources: those
//! of `use` declarations and those in the code. Tests and support for tests are left out.

#[path = "common/sources.rs"]
mod shared;

use std::collections::{BTreeMap, BTreeSet};

use shared::files;

const SERVICES: [&str; 3] = ["waiting-room/src", "admission-controller/src", "checkout/src"];
/// Modules that may use all others of their crate. No other module uses them.
const COMPOSITION: [&str; 3] = ["app", "router", "openapi"];

/// The files of a crate, each with its code: without tests and comments.
struct Sources {
    root: String,
    code: BTreeMap<String, String>,
}

/// Imports that a path is followed through, at most.
const IMPORTS_MAX: usize = 3;

/// Files that use each other, or features: each with those that it uses.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// The code of a file without comments, and without items that only tests or tools compile.
fn production(text: &str) -> String {
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut kept = String::new();
    while let Some(line) = lines.next() {
        let code = line.trim_start();
        if code.starts_with("#[cfg(") && (code.contains("(test") || code.contains("\"testing\"")) {
            let ends = |next: &&str| indent(next) <= indent(line) && next.ends_with([';', '}', ',']);
            lines.by_ref().find(ends);
        } else {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
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

/// The paths that begin with one of these words: `crate::`, `super::`, or `use ` for all imports.
fn paths(code: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in words.iter().flat_map(|word| code.match_indices(word)) {
        // Otherwise it is within a name or a longer path.
        if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            flatten(code[at..].trim_start_matches("use "), "", &mut found);
        }
    }
    found
}

impl Sources {
    fn new(root: &str, files: impl IntoIterator<Item = (String, String)>) -> Self {
        let skipped = SERVICES.contains(&root).then_some("testing");
        let is_skipped = |path: &str| {
            let inside = path.strip_prefix(root).unwrap_or(path);
            let first = inside.trim_start_matches('/').split(['/', '.']).next();
            inside.contains("/tests/") || inside.ends_with("/tests.rs") || first == Some("bin") || first == skipped
        };
        let shipped = files.into_iter().filter(|(path, _)| !is_skipped(path));
        Self { root: root.to_owned(), code: shipped.map(|(path, text)| (path, production(&text))).collect() }
    }

    /// The module that a file contains; empty for the root of the crate.
    fn module_of<'a>(&self, file: &'a str) -> Vec<&'a str> {
        let inside = file.strip_prefix(&self.root).unwrap_or(file).trim_start_matches('/').trim_end_matches(".rs");
        inside.split('/').filter(|part| !["mod", "lib", "main"].contains(part)).collect()
    }

    /// The file of a module.
    fn file(&self, module: &[&str]) -> Option<&str> {
        let path = [&[self.root.as_str()][..], module].concat().join("/");
        let candidates = match module {
            [] => [format!("{path}/lib.rs"), format!("{path}/main.rs")],
            _ => [format!("{path}.rs"), format!("{path}/mod.rs")],
        };
        candidates.iter().find_map(|candidate| Some(self.code.get_key_value(candidate)?.0.as_str()))
    }

    /// A path in a file, from the root of the crate. None for a path to another crate.
    fn absolute(&self, file: &str, path: &str) -> Option<Vec<String>> {
        let mut parts: Vec<&str> = path.split("::").filter(|part| !part.is_empty()).collect();
        let mut module = self.module_of(file);
        let first = *parts.first()?;
        match first {
            "crate" => {
                module.clear();
                parts.remove(0);
            }
            "self" => _ = parts.remove(0),
            "super" => {
                while parts.first() == Some(&"super") {
                    module.pop();
                    parts.remove(0);
                }
            }
            child => _ = self.file(&[module.as_slice(), &[child]].concat())?,
        }
        Some(module.into_iter().chain(parts).map(str::to_owned).collect())
    }

    /// The file that defines what a path names, found through the imports of other files.
    fn definition(&self, path: &[String], imports_max: usize) -> Option<&str> {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        let found = (0..=parts.len()).rev().find_map(|length| Some((self.file(&parts[..length])?, length)));
        let (file, length) = found?;
        let imports =
            if length < parts.len() && imports_max > 0 { paths(&self.code[file], &["use "]) } else { Vec::new() };
        let mut imported = imports.iter().filter_map(|import| self.absolute(file, import));
        let import = imported.find(|import| import.last() == path.get(length));
        import.and_then(|import| self.definition(&import, imports_max - 1)).or(Some(file))
    }

    /// Which file uses which.
    fn uses(&self) -> Graph {
        let of = |file: &String, code: &String| {
            let paths = paths(code, &["crate::", "super::"]).into_iter();
            let used = paths.filter_map(|path| self.definition(&self.absolute(file, &path)?, IMPORTS_MAX));
            used.filter(|other| other != file).map(str::to_owned).collect()
        };
        self.code.iter().map(|(file, code)| (file.clone(), of(file, code))).collect()
    }

    /// Whether one file's module contains the other's.
    fn is_family(&self, one: &str, other: &str) -> bool {
        let (one, other) = (self.module_of(one), self.module_of(other));
        one.starts_with(&other) || other.starts_with(&one)
    }

    /// The first part of a file's module: its feature. None for the root of the crate.
    fn feature<'a>(&self, file: &'a str) -> Option<&'a str> {
        self.module_of(file).first().copied()
    }

    /// The uses between files, without those between a module and one that contains it.
    fn by_file(&self) -> Graph {
        let mut graph = self.uses();
        graph.iter_mut().for_each(|(one, used)| used.retain(|other| !self.is_family(one, other)));
        graph
    }

    /// The uses between features: each is one module, with all that it contains.
    fn by_feature(&self) -> Graph {
        let mut graph = Graph::new();
        for (file, used) in self.uses() {
            let Some(one) = self.feature(&file) else { continue };
            let others = used.iter().filter_map(|other| self.feature(other)).filter(|other| *other != one);
            graph.entry(one.to_owned()).or_default().extend(others.map(str::to_owned));
        }
        graph
    }
}

/// A circle: each uses the next, and the last uses the first.
fn circle(graph: &Graph) -> Option<Vec<&str>> {
    graph.keys().find_map(|start| {
        let (mut ways, mut seen) = (vec![vec![start.as_str()]], BTreeSet::new());
        while let Some(way) = ways.pop() {
            for next in graph.get(*way.last()?).into_iter().flatten() {
                if next == start {
                    return Some(way);
                }
                if seen.insert(next) {
                    ways.push([way.as_slice(), &[next.as_str()]].concat());
                }
            }
        }
        None
    })
}

/// The sources of each crate.
fn crates() -> Vec<Sources> {
    let manifests = files("", &["toml"]).into_iter().filter(|(_, text)| text.contains("[package]"));
    let roots = manifests.map(|(path, _)| path.replace("Cargo.toml", "src"));
    roots.map(|root| Sources::new(&root, files(&root, &["rs"]))).collect()
}

fn sources(root: &str) -> Sources {
    Sources::new(root, files(root, &["rs"]))
}

#[test]
fn the_files_of_a_crate_form_no_circle() {
    let graphs: Vec<Graph> = crates().iter().map(Sources::by_file).collect();
    for graph in &graphs {
        assert_eq!(circle(graph), None, "apart from a module and one that contains it");
    }
    let all: usize = graphs.iter().flat_map(Graph::values).map(BTreeSet::len).sum();
    assert!(all > 700, "the control: {all} uses were found");
}

#[test]
fn the_features_of_a_crate_form_no_circle() {
    for sources in crates() {
        let graph = sources.by_feature();
        let circle = circle(&graph);
        let is_in_it = |file: &str| circle.iter().flatten().any(|feature| sources.feature(file) == Some(*feature));
        let mut uses = sources.uses();
        uses.retain(|file, used| {
            used.retain(|other| is_in_it(other) && sources.feature(other) != sources.feature(file));
            is_in_it(file) && !used.is_empty()
        });
        assert_eq!(circle, None, "{}: {uses:#?}", sources.root);
    }
    // The control: two features that use each other, the one by a qualified path.
    let mut checkout = sources("checkout/src");
    let account = checkout.code.get_mut("checkout/src/auth/account.rs").expect("the module");
    account.push_str("fn f() { crate::orders::store::unlink(); }\n");
    let graph = checkout.by_feature();
    assert!(circle(&graph).is_some_and(|way| way.contains(&"auth") && way.contains(&"orders")), "the control");
}

/// Apart from the root of the crate, which declares all modules.
fn uses_of_the_composition(sources: &Sources) -> Vec<String> {
    let mut found = Vec::new();
    for (file, used) in sources.uses() {
        let is_above = |file: &str| sources.feature(file).is_none_or(|feature| COMPOSITION.contains(&feature));
        if is_above(&file) {
            continue;
        }
        // What the root of a library defines is for its modules; a service's is only for its users.
        let is_service = SERVICES.contains(&sources.root.as_str());
        let above = used.iter().filter(|other| is_above(other) && (is_service || sources.feature(other).is_some()));
        found.extend(above.map(|other| format!("{file} uses {other}")));
    }
    found
}

#[test]
fn no_module_uses_the_composition_of_its_crate() {
    let found: Vec<String> = crates().iter().flat_map(uses_of_the_composition).collect();
    assert_eq!(found, [""; 0]);
    for path in ["app::Checkout", "router::Layers", "Checkout", "a_function_of_the_root"] {
        let mut checkout = sources("checkout/src");
        let store = checkout.code.get_mut("checkout/src/orders/store.rs").expect("the module");
        store.extend(["fn f() { crate::", path, "(); }\n"]);
        assert_eq!(uses_of_the_composition(&checkout).len(), 1, "the control: {path}");
    }
}

#[test]
fn uses_are_found_in_code_and_through_imports() {
    let file = |path: &str, text: &str| (format!("src/{path}"), text.to_owned());
    let used = |text: &str| {
        let root = file("lib.rs", "mod a;\nmod c;\npub use c::{D, e::F};\n");
        let files = [
            root,
            file("a/mod.rs", "pub use self::g::H;"),
            file("a/b.rs", text),
            file("a/g.rs", ""),
            file("c.rs", ""),
            file("c/e.rs", ""),
        ];
        let sources = Sources::new("src", files);
        sources.uses().remove("src/a/b.rs").expect("the file").into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(used("use crate::c::{D, e::F};"), "src/c.rs src/c/e.rs");
    assert_eq!(used("fn f() {\n    super::super::c::d(crate::c::e::G);\n}"), "src/c.rs src/c/e.rs");
    assert_eq!(used("use crate::{D, F, I};"), "src/c.rs src/c/e.rs src/lib.rs");
    assert_eq!(used("use super::{H, J};"), "src/a/g.rs src/a/mod.rs");
    assert_eq!(used("// crate::c\nuse other::c::D;\n#[cfg(test)]\nmod tests {\n    use crate::c::D;\n}\n"), "");
    assert_eq!(used("#[cfg(test)]\nuse crate::c::D;\nuse crate::F;"), "src/c/e.rs", "code after a test's import");
    let graph = Graph::from(
        [("a", "b"), ("b", "c"), ("c", "b")].map(|(one, other)| (one.to_owned(), BTreeSet::from([other.to_owned()]))),
    );
    assert_eq!(circle(&graph), Some(vec!["b", "c"]));
}

/// A module that calls itself pure uses no module that reads, writes or serves.
#[test]
fn pure_modules_use_no_store() {
    let impure = ["/store.rs", "/db.rs", "/service.rs", "/routes.rs", "/app.rs"];
    let is_pure = |text: &str| text.lines().any(|line| line.starts_with("//!") && line.contains("Pure"));
    let (mut pure, mut found) = (0, Vec::new());
    for root in SERVICES {
        let uses = sources(root).uses();
        for (file, _) in files(root, &["rs"]).into_iter().filter(|(_, text)| is_pure(text)) {
            pure += 1;
            let used = uses.get(&file).into_iter().flatten();
            let stores = used.filter(|used| impure.iter().any(|name| used.ends_with(name)));
            found.extend(stores.map(|used| format!("{file} uses {used}")));
        }
    }
    assert_eq!(found, [""; 0]);
    assert!(pure > 15, "the control: {pure} modules are pure");
}
