//! The inputs that mutation starts from.

use std::{fs, io, path::Path};

/// The inputs of one target, and short words out of them that mutation inserts elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Corpus {
    /// The inputs, in the order of their names.
    pub inputs: Vec<Vec<u8>>,
    /// Words of the inputs.
    pub words: Vec<Vec<u8>>,
}

/// The longest word that is taken from an input, in bytes.
const WORD_BYTES_MAX: usize = 40;

impl Corpus {
    /// Reads the corpus of a target.
    ///
    /// # Errors
    /// When the folder or one of its files can't be read.
    pub fn read(target: &str) -> io::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        let mut files: Vec<_> =
            fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        files.sort();
        Ok(Self::new(files.into_iter().map(fs::read).collect::<Result<_, _>>()?))
    }

    /// A corpus of these inputs.
    #[must_use]
    pub fn new(inputs: Vec<Vec<u8>>) -> Self {
        let mut words: Vec<Vec<u8>> = inputs
            .iter()
            .flat_map(|input| input.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_' && *byte != b'-'))
            .filter(|word| (1..=WORD_BYTES_MAX).contains(&word.len()))
            .map(<[u8]>::to_vec)
            .collect();
        words.sort();
        words.dedup();
        Self { inputs, words }
    }
}
