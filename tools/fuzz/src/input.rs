//! Inputs: of the corpus, mutated, or made of random bytes.

use proptest::{collection::vec, prelude::*, sample::Index};

use crate::Corpus;

/// Mutations of one input at most.
const MUTATIONS_MAX: usize = 6;
/// The longest random piece, in bytes.
const PIECE_BYTES_MAX: usize = 32;
/// Repetitions of a piece at most: enough to pass every bound of 16 KiB.
const REPEATED_MAX: usize = 600;

/// What parsers of text and numbers trip over.
const HARD: [&[u8]; 26] = [
    b"",
    b"\0",
    b"\xff",
    b"\xc3\x28",
    b"\xef\xbf\xbd",
    "é".as_bytes(),
    "\u{202e}".as_bytes(),
    b"\r\n",
    b";",
    b",",
    b"=",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"-0",
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"4294967296",
    b"9223372036854775807",
    b"18446744073709551616",
    b"null",
    b"[",
    b"{\"a\":",
    b"%00",
];

/// One change of an input.
#[derive(Debug, Clone)]
enum Mutation {
    Replace(Index, u8),
    FlipBit(Index, u8),
    Insert(Index, Vec<u8>),
    InsertHard(Index, Index),
    InsertWord(Index, Index),
    Remove(Index, Index),
    Repeat(Index, Index, usize),
    Truncate(Index),
    Splice(Index, Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        3 => (at(), 0..8_u8).prop_map(|(at, bit)| Mutation::FlipBit(at, bit)),
        2 => (at(), vec(any::<u8>(), 1..PIECE_BYTES_MAX)).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        3 => (at(), at()).prop_map(|(at, hard)| Mutation::InsertHard(at, hard)),
        3 => (at(), at()).prop_map(|(at, word)| Mutation::InsertWord(at, word)),
        2 => (at(), at()).prop_map(|(from, to)| Mutation::Remove(from, to)),
        1 => (at(), at(), 1..REPEATED_MAX).prop_map(|(from, to, times)| Mutation::Repeat(from, to, times)),
        1 => at().prop_map(Mutation::Truncate),
        2 => (at(), at(), at()).prop_map(|(with, at, from)| Mutation::Splice(with, at, from)),
    ]
}

/// A place in an input, its end included.
fn place(at: &Index, input: &[u8]) -> usize {
    at.index(input.len() + 1)
}

fn range(from: &Index, to: &Index, input: &[u8]) -> std::ops::Range<usize> {
    let (from, to) = (place(from, input), place(to, input));
    from.min(to)..from.max(to)
}

fn insert(input: &mut Vec<u8>, at: &Index, piece: &[u8]) {
    let at = place(at, input);
    input.splice(at..at, piece.iter().copied());
}

fn mutate(input: &mut Vec<u8>, mutation: &Mutation, corpus: &Corpus) {
    match mutation {
        Mutation::Replace(at, byte) if !input.is_empty() => *at.get_mut(input) = *byte,
        Mutation::FlipBit(at, bit) if !input.is_empty() => *at.get_mut(input) ^= 1 << bit,
        Mutation::Replace(..) | Mutation::FlipBit(..) => {}
        Mutation::Insert(at, piece) => insert(input, at, piece),
        Mutation::InsertHard(at, hard) => insert(input, at, hard.get::<&[u8]>(&HARD)),
        Mutation::InsertWord(at, word) if !corpus.words.is_empty() => {
            insert(input, at, word.get::<Vec<u8>>(&corpus.words))
        }
        Mutation::InsertWord(..) => {}
        Mutation::Remove(from, to) => {
            let range = range(from, to, input);
            input.drain(range);
        }
        Mutation::Repeat(from, to, times) => {
            let range = range(from, to, input);
            let piece = input[range.start..range.end.min(range.start + PIECE_BYTES_MAX)].repeat(*times);
            input.splice(range.end..range.end, piece);
        }
        Mutation::Truncate(at) => input.truncate(place(at, input)),
        Mutation::Splice(with, at, from) if !corpus.inputs.is_empty() => {
            let other = with.get(&corpus.inputs);
            input.truncate(place(at, input));
            input.extend_from_slice(&other[place(from, other)..]);
        }
        Mutation::Splice(..) => {}
    }
}

/// An input: nine of ten times one of the corpus with up to six mutations, otherwise random bytes.
pub(crate) fn input(corpus: Corpus) -> impl Strategy<Value = Vec<u8>> {
    let mutated = (any::<Index>(), vec(mutation(), 0..=MUTATIONS_MAX)).prop_map(move |(base, mutations)| {
        let mut input = if corpus.inputs.is_empty() { Vec::new() } else { base.get(&corpus.inputs).clone() };
        for mutation in &mutations {
            mutate(&mut input, mutation, &corpus);
        }
        input
    });
    prop_oneof![9 => mutated, 1 => vec(any::<u8>(), 0..PIECE_BYTES_MAX * 4)]
}
