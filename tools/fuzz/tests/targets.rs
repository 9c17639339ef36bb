//! No target panics on its corpus or on a round of mutated inputs; and a faulty target is found.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use fairline_fuzz::{Corpus, run, targets};

#[test]
fn no_input_makes_a_target_panic() {
    for target in targets() {
        let corpus = Corpus::read(target.0).unwrap_or_else(|error| panic!("{} has no corpus: {error}", target.0));
        let outcome = run(target, &corpus, 7, Duration::ZERO);
        assert_eq!(outcome.crash, None, "{}", target.0);
        assert!(outcome.inputs >= 2_000, "{}: {}", target.0, outcome.inputs);
    }
}

#[test]
fn every_folder_of_the_corpus_belongs_to_a_target() {
    let names: BTreeSet<String> = targets().into_iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names.len(), targets().len(), "no two targets have one name");
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let folders: BTreeSet<String> = fs::read_dir(corpus)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(folders, names);
}

/// Reads a length and trusts it, as a parser must not.
fn trusts_a_length(bytes: &[u8]) {
    if let [b'L', length, rest @ ..] = bytes {
        let _ = &rest[..usize::from(*length)];
    }
}

#[test]
fn a_parser_that_trusts_a_length_is_found_with_a_small_input() {
    let corpus = Corpus::new(vec![b"L\x05hello and more".to_vec()]);
    let outcome = run(("trusts-a-length", trusts_a_length), &corpus, 7, Duration::from_secs(60));
    let crash = outcome.crash.expect("the control is found");
    assert!(crash.message.contains("range end index"), "{}", crash.message);
    assert!(crash.input.len() <= 18 && crash.input[0] == b'L', "{:?}", crash.input);
}

#[test]
fn the_same_seed_gives_the_same_inputs() {
    let corpus = Corpus::new(vec![b"L\x05hello and more".to_vec()]);
    let outcome = || run(("trusts-a-length", trusts_a_length), &corpus, 11, Duration::from_secs(60));
    assert_eq!(outcome(), outcome());
}

#[test]
fn a_longer_run_makes_more_inputs() {
    let outcome = run(("takes-all", |_| ()), &Corpus::new(vec![b"a".to_vec()]), 7, Duration::from_secs(1));
    assert!(outcome.inputs > 2_001, "{}", outcome.inputs);
}
