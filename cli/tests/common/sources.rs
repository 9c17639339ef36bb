//! The files of the workspace, for tests that read them.

use std::{
    fs,
    path::{Path, PathBuf},
};

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

/// Folders without sources, beside hidden ones.
const SKIPPED: [&str; 4] = ["target", "node_modules", "dist", "openapi"];

/// Every file with one of these extensions below a folder, relative to the workspace, with its
/// text.
pub fn files(folder: &str, extensions: &[&str]) -> Vec<(String, String)> {
    fn walk(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            let name = entry.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if entry.is_dir() {
                if !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
                    walk(&entry, extensions, found);
                }
            } else if name.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension)) {
                found.push(entry);
            }
        }
    }
    let (root, mut found) = (root(), Vec::new());
    walk(&root.join(folder), extensions, &mut found);
    found.sort();
    let relative = |path: &PathBuf| path.strip_prefix(&root).expect("in the workspace").display().to_string();
    found.iter().map(|path| (relative(path), fs::read_to_string(path).expect("a text"))).collect()
}
