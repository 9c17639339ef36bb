//! Files that only their owner can read.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use fairline_server::StartError;

/// Creates a file; fails if it exists.
pub(crate) fn create(file: &Path, content: &str) -> Result<(), StartError> {
    let written = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(file);
    written
        .and_then(|mut written| written.write_all(content.as_bytes()))
        .map_err(|error| StartError::new(format!("Could not write {}: {error}.", file.display())))
}

/// Replaces a file atomically: readers see the old or the new content.
pub(crate) fn replace(file: &Path, content: &str) -> Result<(), StartError> {
    let partial = file.with_extension("partial");
    let _ = fs::remove_file(&partial);
    create(&partial, content)?;
    fs::rename(&partial, file).map_err(|error| StartError::new(format!("Could not write {}: {error}.", file.display())))
}

/// Reads a file, and creates it with `make` if it is missing.
pub(crate) fn read_or_make(file: &Path, make: impl FnOnce() -> String) -> Result<String, StartError> {
    if !file.exists() {
        replace(file, &make())?;
    }
    fs::read_to_string(file).map_err(|error| StartError::new(format!("Could not read {}: {error}.", file.display())))
}
