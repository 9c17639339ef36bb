//! A certificate authority for one test.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use tempfile::TempDir;

/// An authority that no other client trusts, with a certificate for 127.0.0.1.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    /// Creates both with the `openssl` program.
    ///
    /// # Panics
    /// When the program is not installed.
    #[must_use]
    pub fn new() -> Self {
        let authority = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        // As root, the servers run as other users.
        fs::set_permissions(authority.folder.path(), fs::Permissions::from_mode(0o755)).expect("our own folder");
        let key = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 2";
        authority.openssl(&format!("{key} -subj /CN=authority -keyout ca.key -out ca.pem"));
        let server = "-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE";
        authority.openssl(&format!(
            "{key} -subj /CN=server {server} -CA ca.pem -CAkey ca.key -keyout server.key -out server.pem"
        ));
        fs::set_permissions(authority.key(), fs::Permissions::from_mode(0o644)).expect("our own file");
        authority
    }

    /// The root certificate to trust: `SSL_CERT_FILE`.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The server's certificate.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("server.pem")
    }

    /// The server's private key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("server.key")
    }

    fn openssl(&self, arguments: &str) {
        let ran = Command::new("openssl").args(arguments.split_whitespace()).current_dir(self.folder.path()).output();
        let ran = ran.expect("the openssl program");
        assert!(ran.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
