//! The server programs: where they are installed, and whether they are recent enough.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{ServerError, process::output_of};

/// The folder in which Debian and Ubuntu install each version of Postgres.
const POSTGRES_VERSIONS: &str = "/usr/lib/postgresql";

/// A server's program and its requirements.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    /// The user that the package creates; also the name of the server's folder.
    pub(crate) user: &'static str,
    oldest: u32,
    pub(crate) path: PathBuf,
    pub(crate) version: String,
}

impl Program {
    pub(crate) fn redis() -> Result<Self, ServerError> {
        let path = folders_on_path().map(|folder| folder.join("redis-server")).find(|path| path.is_file());
        Self { name: "redis-server", package: "redis-server", user: "redis", oldest: 7, ..Self::nowhere() }.at(path)
    }

    pub(crate) fn postgres() -> Result<Self, ServerError> {
        let path = postgres_folder().map(|folder| folder.join("postgres"));
        Self { name: "postgres", package: "postgresql", user: "postgres", oldest: 15, ..Self::nowhere() }.at(path)
    }

    fn nowhere() -> Self {
        Self { name: "", package: "", user: "", oldest: 0, path: PathBuf::new(), version: String::new() }
    }

    fn at(self, path: Option<PathBuf>) -> Result<Self, ServerError> {
        let Self { name, package, oldest, .. } = self;
        let path = path.ok_or(ServerError::Missing { program: name, package })?;
        let output = output_of(Command::new(&path).arg("--version"), name)?;
        let version = version_in(&String::from_utf8_lossy(&output.stdout));
        if major(&version).is_none_or(|major| major < oldest) {
            return Err(ServerError::TooOld { program: name, found: version, needed: oldest });
        }
        Ok(Self { path, version, ..self })
    }

    /// The major version: `15` of `15.18`.
    pub(crate) fn major(&self) -> Option<u32> {
        major(&self.version)
    }

    /// A program in the same folder.
    pub(crate) fn sibling(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }
}

/// The versions that [`versions`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// Redis, such as `7.0.15`.
    pub redis: String,
    /// Postgres, such as `15.18`.
    pub postgres: String,
}

/// The versions of Redis and Postgres that would be started.
///
/// # Errors
/// When one is not installed, or is too old.
pub fn versions() -> Result<Versions, ServerError> {
    Ok(Versions { redis: Program::redis()?.version, postgres: Program::postgres()?.version })
}

fn folders_on_path() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

/// The newest Postgres of the system's packages, or else the one on the path.
fn postgres_folder() -> Option<PathBuf> {
    let packaged = fs::read_dir(POSTGRES_VERSIONS).into_iter().flatten().flatten().map(|entry| entry.path());
    let number = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = packaged
        .filter(|folder| folder.join("bin/postgres").is_file() && folder.join("bin/initdb").is_file())
        .max_by_key(|folder| number(folder));
    newest.map(|folder| folder.join("bin")).or_else(|| {
        folders_on_path().find(|folder| folder.join("postgres").is_file() && folder.join("initdb").is_file())
    })
}

/// `7.0.15` in `Redis server v=7.0.15 sha=…`, `15.18` in `postgres (PostgreSQL) 15.18 (Debian …)`.
fn version_in(text: &str) -> String {
    let numbers = text.split(|c: char| c.is_whitespace() || c == '=').find(|word| major(word).is_some());
    numbers.unwrap_or("of an unknown version").to_owned()
}

fn major(version: &str) -> Option<u32> {
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_parsed_from_program_output() {
        for (output, version) in [
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d7c97\n", "7.0.15"),
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", "15.18"),
            ("postgres (PostgreSQL) 18beta2\n", "18beta2"),
            ("what?\n", "of an unknown version"),
        ] {
            assert_eq!(version_in(output), version);
        }
    }

    #[test]
    fn an_old_version_is_rejected() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("redis-server");
        fs::write(&path, "#!/bin/sh\necho 'Redis server v=6.0.16 sha=0'\n").expect("written");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
        let redis = Program { name: "redis-server", oldest: 7, ..Program::nowhere() };
        let sentence = redis.at(Some(path)).expect_err("too old").to_string();
        assert!(sentence.starts_with("redis-server 6.0.16 is too old: version 7 or newer"), "{sentence}");
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let redis = Program { name: "redis-server", package: "redis-server", ..Program::nowhere() };
        let sentence = redis.at(None).expect_err("missing").to_string();
        assert_eq!(sentence, "redis-server is not installed. Install it: sudo apt-get install redis-server");
    }
}
