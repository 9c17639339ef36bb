//! The keys that sign admission tokens.
//!
//! - A controller has one or more. The first that is not revoked signs, and the key set has all
//!   that are not revoked. So a new key is known everywhere before it signs, and an old one as long
//!   as its tokens live.
//! - The row of an admission names the key of its token, and checkout accepts no token of another
//!   key. So a stolen key is useless as soon as it is revoked.

use std::path::PathBuf;

use fairline_admission_token::{InvalidJwks, Jwk, Jwks, SigningKey};
use fairline_server::StartError;

/// The keys, the preferred one first. Never empty.
#[derive(Debug)]
pub(crate) struct KeyRing(Vec<SigningKey>);

impl KeyRing {
    /// Reads keys from files with PKCS#8 PEM.
    ///
    /// # Errors
    /// Returns an error if a file can't be read or has no Ed25519 key, or if two files have the
    /// same key.
    pub(crate) fn read(files: &[PathBuf]) -> Result<Self, StartError> {
        let mut keys: Vec<SigningKey> = Vec::new();
        for file in files {
            let shown = file.display();
            let pem = std::fs::read_to_string(file)
                .map_err(|error| StartError::new(format!("The signing key {shown} can't be read: {error}.")))?;
            let key = SigningKey::from_pem(&pem)
                .map_err(|error| StartError::new(format!("The signing key {shown}: {error}.")))?;
            if keys.iter().any(|other| other.kid() == key.kid()) {
                return Err(StartError::new(format!("The signing key {shown} was given twice.")));
            }
            keys.push(key);
        }
        let keys = Self::new(keys);
        keys.public(&[]).map_err(|error| StartError::new(format!("The signing keys can't be used: {error}.")))?;
        Ok(keys)
    }

    /// Takes at least one key.
    pub(crate) fn new(keys: Vec<SigningKey>) -> Self {
        Self(keys)
    }

    fn usable<'a>(&'a self, revoked: &'a [String]) -> impl Iterator<Item = &'a SigningKey> {
        self.0.iter().filter(|key| !revoked.iter().any(|kid| kid == key.kid()))
    }

    /// The names of all keys.
    pub(crate) fn kids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(SigningKey::kid)
    }

    /// The key that signs, unless all are revoked.
    pub(crate) fn signs<'a>(&'a self, revoked: &'a [String]) -> Option<&'a SigningKey> {
        self.usable(revoked).next()
    }

    /// The names of the keys whose tokens are valid.
    pub(crate) fn good(&self, revoked: &[String]) -> Vec<String> {
        self.usable(revoked).map(|key| key.kid().to_owned()).collect()
    }

    /// The key with this name.
    pub(crate) fn named(&self, kid: &str) -> Option<&SigningKey> {
        self.0.iter().find(|key| key.kid() == kid)
    }

    /// The public keys that are not revoked.
    ///
    /// # Errors
    /// Returns an error if there are too many for a set.
    pub(crate) fn public(&self, revoked: &[String]) -> Result<Jwks, InvalidJwks> {
        Jwks::new(self.usable(revoked).map(|key| Jwk::new(&key.verifying_key())).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tempfile::NamedTempFile;

    use super::*;

    fn file(pem: &str) -> NamedTempFile {
        let mut file = NamedTempFile::new().expect("a file");
        file.write_all(pem.as_bytes()).expect("written");
        file
    }

    #[test]
    fn the_first_key_that_is_not_revoked_signs() {
        let pems = [SigningKey::generate().to_pem(), SigningKey::generate().to_pem()];
        let files = pems.each_ref().map(|pem| file(pem));
        let keys = KeyRing::read(&files.each_ref().map(|file| file.path().to_owned())).expect("two keys");
        let kids: Vec<String> = keys.kids().map(str::to_owned).collect();
        let signs = |revoked: &[String]| keys.signs(revoked).map(|key| key.kid().to_owned());
        assert_eq!(signs(&[]).as_ref(), Some(&kids[0]));
        assert_eq!(signs(&kids[..1]).as_ref(), Some(&kids[1]));
        assert_eq!(signs(&kids), None);
        assert_eq!(keys.good(&kids[1..]), kids[..1]);
        let shown = keys.public(&kids[..1]).expect("a set").to_json();
        assert!(shown.contains(&kids[1]) && !shown.contains(&kids[0]));
    }

    #[test]
    fn invalid_key_files_are_rejected_with_their_path() {
        let (key, other) = (file(&SigningKey::generate().to_pem()), file("no key"));
        let error = |files: &[PathBuf]| KeyRing::read(files).expect_err("rejected").to_string();
        let path = key.path().to_owned();
        assert!(error(&[path.clone(), path.clone()]).contains("given twice"));
        assert!(error(&[path.clone(), other.path().to_owned()]).contains(&other.path().display().to_string()));
        assert!(error(&[path.with_extension("gone")]).contains("can't be read"));
    }
}
