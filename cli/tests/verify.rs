//! `fairline verify`, as a shopper and a witness call it.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use fairline_line::ticket::{Ticket, TicketKey};
use fairline_record::{
    Hash,
    draw::{self, Draw},
    entry::{Body, Entry, Head, Receipts, RecordEvent, receipt},
};
use fairline_sale::{LineOrder, SaleId, Status, VisitorId};
use insta::assert_snapshot;
use serde_json::Value;
use time::OffsetDateTime;

const SEED: [u8; 32] = [3; 32];

fn sale() -> SaleId {
    "00000000-0000-0000-0000-000000000001".parse().expect("a UUID")
}

fn visitor(ordinal: u64) -> VisitorId {
    VisitorId([u8::try_from(ordinal).expect("few"); 16])
}

/// The record of a draw of three, of which the one with number `served` is admitted.
fn record(served: u64) -> Vec<String> {
    let mut head = Head::default();
    let mut lines = Vec::new();
    let mut write = |event| {
        let entry = Entry::after(head, &Body { at: OffsetDateTime::UNIX_EPOCH, event });
        head = entry.head;
        lines.push(entry.to_line().expect("JSON"));
        head
    };
    write(RecordEvent::Sale { sale: sale(), order: LineOrder::Draw, commitment: Some(draw::commitment(&SEED)) });
    write(RecordEvent::Epoch { epoch: 1, above: 0 });
    let receipts = Receipts((1..=3).map(|ordinal| receipt(sale(), ordinal, visitor(ordinal))).collect());
    write(RecordEvent::Joined { first: 1, receipts });
    let opened = write(RecordEvent::Status { status: Status::Open });
    let draw = Draw::new(draw::key(&SEED, opened.hash), 3).expect("small");
    write(RecordEvent::Drawn { pool: 3, seed: Hash(SEED) });
    write(RecordEvent::Admitted { ordinals: vec![draw.ordinal_at(served)], cursor: served });
    lines
}

fn verify(lines: &[String], arguments: &[&str]) -> (Option<i32>, String) {
    let mut verify = Command::new(env!("CARGO_BIN_EXE_fairline"));
    verify.args(["verify", "-"]).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut verify = verify.spawn().expect("fairline runs");
    // It may end before it has read all of the input.
    let _ = verify.stdin.take().expect("piped").write_all((lines.join("\n") + "\n").as_bytes());
    outcome_of(&verify.wait_with_output().expect("it ends"))
}

fn outcome_of(output: &Output) -> (Option<i32>, String) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output.status.code(), String::from_utf8(text).expect("text"))
}

#[test]
fn an_honest_record_verifies_from_a_file_with_the_story_of_a_ticket() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), record(1).join("\n")).expect("written");
    let verify = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fairline"));
        outcome_of(&command.arg("verify").arg(file.path()).args(arguments).output().expect("fairline runs"))
    };
    let (code, words) = verify(&[]);
    assert_eq!(code, Some(0), "{words}");
    assert_snapshot!("honest", words);
    let (_, json) = verify(&["--json"]);
    let verdict: Value = serde_json::from_str(&json).expect("JSON");
    assert_snapshot!("honest_json", format!("{verdict:#}"));

    let key: TicketKey = "ab".repeat(32).parse().expect("a key");
    let ticket = Ticket { sale: sale(), epoch: 1, ordinal: 2, visitor: visitor(2) };
    let cookie = format!("fairline_ticket_{}={}", sale().0.simple(), key.sign(&ticket));
    for ticket in [cookie, format!("2:{}", visitor(2))] {
        let (code, words) = verify(&["--ticket", &ticket]);
        assert_eq!(code, Some(0), "{words}");
        assert!(words.contains("joined  (entry 3)") && words.contains("drew number "), "{words}");
    }
    let (code, words) = verify(&["--ticket", &format!("2:{}", visitor(3))]);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("ticket 2 is another visitor's in this record"), "{words}");
}

#[test]
fn a_dishonest_record_is_rejected_at_its_first_wrong_entry() {
    let (code, json) = verify(&record(2), &["--json"]);
    let verdict: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((code, &verdict["honest"], &verdict["entry"]), (Some(1), &false.into(), &6.into()));
    let (code, words) = verify(&record(2), &[]);
    assert_eq!(code, Some(1), "{words}");
    assert_snapshot!("dishonest", words);
}

#[test]
fn a_known_head_detects_a_truncated_or_rewritten_record() {
    let lines = record(1);
    let last = Entry::from_line(&lines[5]).expect("an entry").head;
    let kept = format!("{}:{}", last.seq, last.hash);
    assert_eq!(verify(&lines, &["--head", &kept]).0, Some(0));
    let (code, words) = verify(&lines[..5], &["--head", &kept]);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("the record ends here"), "{words}");
    let other = format!("{}:{}", last.seq, "0".repeat(64));
    assert!(verify(&lines, &["--head", &other]).1.contains("the record has been rewritten"));
}

#[test]
fn an_unreadable_record_is_reported_without_a_verdict() {
    let verify = |record: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fairline"));
        outcome_of(&command.args(["verify", record]).args(more).output().expect("fairline runs"))
    };
    let nowhere = Path::new(env!("CARGO_MANIFEST_DIR")).join("nowhere");
    for (record, more, sentence) in [
        (nowhere.to_str().expect("a path"), &[][..], "could not be read"),
        ("https://shop.example/record", &[], "only plain http"),
        ("http://127.0.0.1:1/record", &[], "could not be read"),
        ("-", &["--ticket", "mine"], "a ticket is the value of the cookie"),
        ("-", &["--head", "1"], "a head is SEQ:HASH"),
    ] {
        let (code, words) = verify(record, more);
        assert_eq!(code, Some(2), "{words}");
        assert!(words.contains(sentence), "{words}");
    }
}
