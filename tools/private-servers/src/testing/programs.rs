//! The services as programs, for tests that start them as processes.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The folder of the workspace's programs, after building them: they may be older than the test
/// that starts them. A program uses those in its own folder as they are.
///
/// # Panics
/// When the build fails.
pub fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let own = env::current_exe().expect("a program knows where it is");
        let beside = own.parent().expect("a program is in a folder");
        if beside.file_name().is_none_or(|name| name != "deps") {
            return beside.to_owned();
        }
        let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Same arguments as `make test`. There are no examples; `--examples` enables the features
        // of development dependencies, as tests do, so that nothing is compiled again.
        build.args(["build", "--quiet", "--workspace", "--bins", "--examples"]);
        // The test's own package variables would cause `ring`, and all that depends on it, to be
        // compiled again.
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
                build.env_remove(name);
            }
        }
        assert!(build.status().expect("cargo runs").success(), "the programs do not build");
        own.ancestors().nth(2).expect("tests are in target/debug/deps").to_owned()
    })
}

/// The library that changes the clock of a program, by `LD_PRELOAD`.
///
/// # Panics
/// When it is not installed.
pub fn libfaketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("a folder").filter_map(|entry| Some(entry.ok()?.path()));
    let mut libraries = folders.map(|folder| folder.join("faketime/libfaketime.so.1"));
    libraries.find(|library| library.exists()).expect("faketime is installed: scripts/setup.sh test")
}
