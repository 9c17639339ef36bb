//! What the programs of benchmarks share: failures, the run over their scenes, and the exit code.

use std::{env, error::Error, fmt, fs, path::Path, path::PathBuf, process::ExitCode, thread, time::Duration};

use serde_json::json;

use crate::table::{Measured, Reach, Results, number, rounded};

/// Why a measurement failed.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure with this message.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// The folder of this program, where the built services are, too.
///
/// # Errors
/// When the operating system does not report it.
pub fn programs() -> Result<PathBuf, Failure> {
    let program = env::current_exe()?;
    Ok(program.parent().ok_or_else(|| Failure::new("this program is in no folder"))?.to_owned())
}

/// Waits for a time.
#[expect(clippy::disallowed_methods, reason = "no runtime here: a measurement waits, and its threads are its own")]
pub fn pause(time: Duration) {
    thread::sleep(time);
}

/// Measures the scenes that have a requested figure, or all of them if `only` is empty. A failure
/// ends its scene, whose other figures are then missing.
pub fn measure<S>(
    figures: &'static [(&'static str, Reach)],
    scenes: &[(&'static [&'static str], S)],
    only: &[String],
    mut run: impl FnMut(&S, &mut dyn FnMut(Measured)) -> Result<(), Failure>,
) -> Results {
    let mut results = Results::of(figures);
    for (keys, scene) in scenes {
        if !only.is_empty() && !keys.iter().any(|key| only.iter().any(|only| only == key)) {
            continue;
        }
        eprintln!("… {}", keys.join(", "));
        let done = run(scene, &mut |measured| {
            eprintln!("  {} {}", measured.key, number(measured.value));
            results.measured.push(measured);
        });
        if let Err(failure) = done {
            let missing = keys.iter().filter(|key| results.get(key).is_none());
            results.missing = missing.map(|&key| (key, failure.to_string())).chain(results.missing.clone()).collect();
        }
    }
    results
}

/// Writes the results as one JSON object.
///
/// # Errors
/// When the file can't be written.
pub fn write(results: &Results, file: &Path) -> Result<(), Failure> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(file, format!("{:#}\n", results.to_json()))?)
}

/// Writes the measured figures into a file that other benchmarks write to, too.
///
/// # Errors
/// When the file can't be written.
pub fn merge(results: &Results, file: &Path) -> Result<(), Failure> {
    Ok(crate::merge(file, results.measured.iter().map(|measured| (measured.key, json!(rounded(measured.value)))))?)
}

/// 0 if every requested figure was measured and reaches its target, 1 if not, 2 after a failure,
/// which is printed.
#[must_use]
pub fn exit_code(are_reached: Result<bool, Failure>) -> ExitCode {
    match are_reached {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(2)
        }
    }
}
