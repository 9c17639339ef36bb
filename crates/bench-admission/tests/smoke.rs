//! Everything with a handful of shoppers: that it runs and finds something, not how good the law is.

use std::{fs, process::Command};

use serde_json::Value;

#[test]
fn everything_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = folder.path().join("bench");
    let run = Command::new(env!("CARGO_BIN_EXE_bench-admission")).arg("--smoke").arg("--folder").arg(&folder).output();
    let run = run.expect("the program starts");
    let said = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
    let figures = fs::read_to_string(folder.join("admission.json")).unwrap_or_else(|error| panic!("{error}: {said}"));
    let figures: Value = serde_json::from_str(&figures).expect("the figures are JSON");
    let figures = figures.as_object().expect("the figures are one object");
    assert_eq!(figures.len(), 11, "{said}");
    for (key, figure) in figures {
        assert!(figure.is_number(), "{key} is {figure}: {said}");
    }
    assert_eq!(figures["guarantee_turned_away"], 0.0);
    for plot in ["admission-sold.svg", "admission-frontier.svg"] {
        let svg = fs::read_to_string(folder.join(plot)).unwrap_or_else(|error| panic!("{plot}: {error}"));
        assert!(svg.starts_with("<svg") && !svg.contains("NaN"), "{plot}");
    }
}
