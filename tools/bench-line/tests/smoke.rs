//! The measurements with a handful of shoppers: checks that every scene runs and measures
//! something, not how fast it is.

use std::{fs, process::Command};

use fairline_private_servers::testing::programs;
use serde_json::Value;

#[test]
fn every_scene_runs() {
    // The services are in the folder of the program.
    programs();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let json = folder.path().join("bench/line.json");
    let run = Command::new(env!("CARGO_BIN_EXE_bench-line")).arg("--smoke").arg("--json").arg(&json).output();
    let run = run.expect("the program starts");
    let output = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
    let figures = fs::read_to_string(&json).unwrap_or_else(|error| panic!("no figures ({error}): {output}"));
    let figures: Value = serde_json::from_str(&figures).expect("the figures are JSON");
    let figures = figures.as_object().expect("the figures are one object");
    assert_eq!(figures.len(), 11, "{output}");
    for (key, figure) in figures {
        assert!(figure.is_number(), "{key} is {figure}: {output}");
    }
}
