//! The services as programs, for tests that start them as processes.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The folder of the workspace's programs, brought up to date first: they may be older than the test that starts them. A program
/// finds them beside itself, as they are.
///
/// # Panics
/// When they do not build: the test cannot go on.
pub fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let own = env::current_exe().expect("a program knows where it is");
        let beside = own.parent().expect("a program is in a folder");
        if beside.file_name().is_none_or(|name| name != "deps") {
            return beside.to_owned();
        }
        let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // As `make test` builds them: other targets have dependencies with other features, which would be compiled again.
        build.args(["build", "--quiet", "--workspace", "--bins", "--examples"]);
        // What a test is told of its own package would have `ring`, and all that depends on it, compiled again.
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
                build.env_remove(name);
            }
        }
        assert!(build.status().expect("cargo runs").success(), "the programs do not build");
        own.ancestors().nth(2).expect("tests are in target/debug/deps").to_owned()
    })
}
