//! A PgBouncer in front of a private Postgres, as in many managed installations.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::unistd::Uid;
use tempfile::TempDir;

const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// A PgBouncer that assigns a session to each transaction. Stops when dropped.
#[derive(Debug)]
pub struct PgBouncer {
    url: String,
    process: Child,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts one in front of the database of a URL, with additional settings.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    #[must_use]
    pub fn start(url: &str, settings: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("fairline-pgbouncer-").tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("our own folder");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (user, rest) = url.trim_start_matches("postgres://").split_once(':').expect("a user");
        let (password, rest) = rest.split_once('@').expect("a password");
        let (server, database) = rest.split_once('/').expect("a database");
        let (host, server_port) = server.split_once(':').expect("a port");
        // PgBouncer refuses root; the user below exists on every system.
        let run_as = if Uid::effective().is_root() { "user = nobody\n" } else { "" };
        let file = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n{database} = host={host} port={server_port} dbname={database} user={user} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 4\n{run_as}{settings}\n"
        );
        fs::write(&file, text).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("our own file");
        drop(listener);
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "pgbouncer", "--quiet"]).arg(&file);
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        let process =
            command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("setpriv is part of util-linux");
        let begun = Instant::now();
        while TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_err() {
            assert!(begun.elapsed() < STARTS_WITHIN, "PgBouncer did not start; is the package `pgbouncer` installed?");
            #[expect(clippy::disallowed_methods, reason = "this crate blocks, and says so")]
            thread::sleep(Duration::from_millis(20));
        }
        Self { url: format!("postgres://{user}:any@127.0.0.1:{port}/{database}"), process, _folder: folder }
    }

    /// The URL of the database through it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
