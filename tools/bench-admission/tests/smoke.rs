//! The benchmark with a handful of shoppers: checks that it runs and writes plausible figures. Only
//! the whole benchmark measures the quality of the law.

use std::{fs, process::Command};

use serde_json::Value;

#[test]
fn every_benchmark_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = folder.path().join("bench");
    let run = Command::new(env!("CARGO_BIN_EXE_bench-admission")).arg("--smoke").arg("--folder").arg(&folder).output();
    let run = run.expect("the program starts");
    let output = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
    let figures = fs::read_to_string(folder.join("admission.json")).unwrap_or_else(|error| panic!("{error}: {output}"));
    let figures: Value = serde_json::from_str(&figures).expect("the figures are JSON");
    let figures = figures.as_object().expect("the figures are one object");
    assert_eq!(figures.len(), 11, "{output}");
    for (key, figure) in figures {
        assert!(figure.is_number(), "{key} is {figure}: {output}");
    }
    let figure = |key: &str| figures[key].as_f64().unwrap_or(f64::NAN);
    assert_eq!(figure("guarantee_turned_away"), 0.0);
    assert!(figure("guarantee_idle") <= 0.005, "{output}");
    // Between the planner with perfect foresight and one visit for each unit.
    let (ours, one_per_unit) = (figure("yield_t99_vs_clairvoyant"), figure("one_per_unit_t99_vs_clairvoyant"));
    assert!(1.0 < ours && ours < one_per_unit, "{output}");
    // Four sales of sixty units: a single shopper is nearly one in a hundred.
    assert!(figure("yield_worst_turned_away") < 0.03, "{output}");
    assert!(figure("best_fixed_rate_turned_away") > 0.03, "at the same speed, the control: {output}");
    for policy in
        ["PID on the rate", "AIMD on the rate", "count rule, age-blind", "best fixed rate", "guarantee: one per unit"]
    {
        assert!(output.contains(policy), "{policy} is not in the table: {output}");
    }
    for plot in ["admission-sold.svg", "admission-frontier.svg"] {
        let svg = fs::read_to_string(folder.join(plot)).unwrap_or_else(|error| panic!("{plot}: {error}"));
        assert!(svg.starts_with("<svg") && !svg.contains("NaN"), "{plot}");
    }
}
