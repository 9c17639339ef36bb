//! docs/capacity.md shows the output of `fairline capacity`.

use std::{fs, process::Command};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/capacity.md");

fn fairline(arguments: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_fairline")).args(arguments.split_whitespace()).output();
    let output = output.expect("fairline runs");
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_document_shows_the_output_of_the_program() {
    let text = fs::read_to_string(DOCUMENT).expect("the document");
    let examples: Vec<_> = text.split("```console\n$ fairline ").skip(1).collect();
    assert!(examples.len() >= 3, "{} examples", examples.len());
    for example in examples {
        let (command, rest) = example.split_once('\n').expect("a command");
        let (written, _) = rest.split_once("```").expect("its end");
        assert_eq!(fairline(command), written, "fairline {command}");
    }
}

#[test]
fn the_chart_gets_values() {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../helm/fairline/ci/large-sale-values.yaml");
    let kept = fs::read_to_string(kept).expect("values that the chart is tested with");
    assert_eq!(fairline("capacity --shoppers 100000 --stock 1000 --values"), kept);
}

#[test]
fn capacity_prints_json_and_reports_invalid_arguments() {
    let needs: serde_json::Value =
        serde_json::from_str(&fairline("capacity --shoppers 100000 --stock 1000 --json")).expect("JSON");
    assert_eq!((&needs["waiting_rooms"], &needs["controllers"]), (&serde_json::json!(7), &serde_json::json!(2)));
    let wrong =
        Command::new(env!("CARGO_BIN_EXE_fairline")).args(["capacity", "--shoppers", "0", "--stock", "1"]).output();
    let wrong = wrong.expect("fairline runs");
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("0 is not in 1..=1000000000"));
    let arguments = ["capacity", "--shoppers", "1", "--stock", "1", "--room-cores", "0"];
    let wrong = Command::new(env!("CARGO_BIN_EXE_fairline")).args(arguments).output().expect("fairline runs");
    assert!(!wrong.status.success());
    let output = String::from_utf8_lossy(&wrong.stderr);
    assert!(output.contains("it must be between 0.001 and 1000000"), "{output}");
}
