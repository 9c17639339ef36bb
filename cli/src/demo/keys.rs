//! The demo's keys, created once and kept.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use fairline_admission_token::{Jwk, Jwks, SigningKey};
use fairline_server::{Secret, StartError};

use crate::{keys::ticket_key, private_file};

pub(super) struct DemoKeys {
    pub(super) signing_key_file: PathBuf,
    /// The public keys, as checkout reads them.
    pub(super) jwks_file: PathBuf,
    pub(super) ticket_key: String,
    pub(super) admin_token: Secret,
    pub(super) admin_token_file: PathBuf,
    /// The merchant key.
    pub(super) merchant_key: Secret,
    /// The key that signs account tokens.
    pub(super) sign_in_key: Secret,
}

impl DemoKeys {
    /// Reads the keys of an earlier run, or creates them.
    pub(super) fn in_folder(folder: &Path) -> Result<Self, StartError> {
        let folder = Self::folder(folder);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(StartError::new(format!("Could not make the folder {}: {error}.", folder.display())));
            }
            _ => {}
        }
        let signing_key_file = folder.join("signing.pem");
        let pem = private_file::read_or_make(&signing_key_file, || SigningKey::generate().to_pem())?;
        let unusable = |file: &Path, error: String| {
            let file = file.display();
            StartError::new(format!("{file} cannot be used: {error}. Start over with `make demo FRESH=1`."))
        };
        let key = SigningKey::from_pem(&pem).map_err(|error| unusable(&signing_key_file, error.to_string()))?;
        let jwks_file = folder.join("jwks.json");
        let jwks = Jwks::new(vec![Jwk::new(&key.verifying_key())]);
        let jwks = jwks.map_err(|error| unusable(&signing_key_file, error.to_string()))?;
        private_file::replace(&jwks_file, &jwks.to_json())?;

        let secret = |name: &str| {
            let file = folder.join(name);
            let secret = private_file::read_or_make(&file, || ticket_key() + "\n")?.trim().to_owned();
            if secret.is_empty() { Err(unusable(&file, "it is empty".to_owned())) } else { Ok((file, secret)) }
        };
        let (_, ticket_key) = secret("ticket")?;
        let (admin_token_file, admin_token) = secret("admin-token")?;
        let (_, merchant_key) = secret("merchant-key")?;
        let (_, sign_in_key) = secret("sign-in-key")?;
        let sign_in_key = Secret::new(sign_in_key);
        let (admin_token, merchant_key) = (Secret::new(admin_token), Secret::new(merchant_key));
        Ok(Self { signing_key_file, jwks_file, ticket_key, admin_token, admin_token_file, merchant_key, sign_in_key })
    }

    /// Deletes the keys of earlier runs.
    pub(super) fn forget(folder: &Path) -> Result<(), StartError> {
        let folder = Self::folder(folder);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StartError::new(format!("Could not remove {}: {error}.", folder.display())))
            }
            _ => Ok(()),
        }
    }

    fn folder(folder: &Path) -> PathBuf {
        folder.join("keys")
    }
}
