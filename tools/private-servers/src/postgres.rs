//! A private Postgres.

use std::{
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
};

use nix::sys::signal::Signal;
use uuid::Uuid;

use crate::{Folder, ServerError, Survives, error::Context as _, process::output_of, program::Program, server::Server};

/// The only user of a private Postgres, and its owner.
const USER: &str = "fairline";
const CONNECTIONS_MAX: u32 = 300;
/// After this time without a message, a primary and its standby replace their connection.
pub(crate) const REPLICATION_TIMEOUT: &str = "2s";

/// A private Postgres: requires a password, and listens only on this machine. Stops when dropped.
#[derive(Debug)]
pub struct PrivatePostgres {
    server: Server,
    address: ConnectionParameters,
    survives: Survives,
    /// Additional settings.
    more: Vec<String>,
}

impl PrivatePostgres {
    /// Starts Postgres in `folder`, with the data of its last run there, and waits until it accepts
    /// connections.
    ///
    /// # Errors
    /// When it is not installed, can't start from its folder, or does not start.
    pub fn start(folder: &Folder, survives: Survives) -> Result<Self, ServerError> {
        Self::start_with(folder, survives, Vec::new())
    }

    /// Starts Postgres with additional settings.
    pub(crate) fn start_with(folder: &Folder, survives: Survives, more: Vec<String>) -> Result<Self, ServerError> {
        // SIGINT is Postgres's fast shutdown: it ends the sessions, whereas SIGTERM waits for them.
        let mut server = Server::in_folder(folder, "Postgres", Signal::SIGINT, Program::postgres()?)?;
        let data = server.data();
        if !data.exists() {
            initialise(&server, survives)?;
        }
        let password = check(&server)?;
        // No process works in this folder, so the file is stale; its process id may belong to
        // another process by now.
        let _ = fs::remove_file(data.join("postmaster.pid"));
        let port =
            server.start_on_free_port(|port| arguments(&data, port, survives, &more), |_, id| is_ready(&data, id))?;
        Ok(Self { server, address: ConnectionParameters { port, password }, survives, more })
    }

    /// Starts a standby that replicates this server, over a link at port `through`, and accepts
    /// read-only connections.
    pub(crate) fn start_standby(&self, folder: &Folder, name: &str, through: u16) -> Result<Self, ServerError> {
        let mut server = Server::in_folder(folder, "Postgres", Signal::SIGINT, Program::postgres()?)?;
        let data = server.data();
        let mut copy = server.account.command(&server.program.sibling("pg_basebackup"), None);
        copy.env("PGPASSWORD", &self.address.password).current_dir(server.home());
        copy.args(["--host", "127.0.0.1", "--username", USER, "--port", &self.address.port.to_string()]);
        copy.args(["--checkpoint", "fast", "--wal-method", "stream", "--no-sync", "--write-recovery-conf", "--pgdata"]);
        succeed(copy.arg(&data), "pg_basebackup")?;
        let password = &self.address.password;
        let to = format!("host=127.0.0.1 port={through} user={USER} password={password} application_name={name}");
        // A broken link is replaced at once, and a silent one soon: commits wait for the standby.
        let more = vec![
            format!("primary_conninfo={to}"),
            format!("wal_receiver_timeout={REPLICATION_TIMEOUT}"),
            "wal_retrieve_retry_interval=200ms".to_owned(),
        ];
        let survives = self.survives;
        let port =
            server.start_on_free_port(|port| arguments(&data, port, survives, &more), |_, id| is_ready(&data, id))?;
        let address = ConnectionParameters { port, password: password.clone() };
        let file = password_file(server.home());
        fs::write(&file, password).context(|| format!("write {}", file.display()))?;
        server.account.give(&file)?;
        Ok(Self { server, address, survives, more })
    }

    /// Promotes a standby to primary, and waits until it is.
    pub(crate) fn promote(&self) -> Result<(), ServerError> {
        let mut promote = self.server.account.command(&self.server.program.sibling("pg_ctl"), None);
        promote.args(["promote", "--wait", "--pgdata"]).arg(self.server.data()).current_dir(self.server.home());
        succeed(&mut promote, "pg_ctl")
    }

    /// Executes statements, for tests that change its setup.
    ///
    /// # Errors
    /// When a statement fails.
    pub fn run(&self, statements: &str) -> Result<(), ServerError> {
        let mut psql = client(&self.server.program, &self.address, "psql");
        psql.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", "postgres"]);
        // One command per statement: some can't run in a transaction.
        for statement in statements.split(';').filter(|statement| !statement.trim().is_empty()) {
            psql.args(["--command", statement]);
        }
        succeed(&mut psql, "psql")
    }

    /// The deadlocks that it has resolved by failing a transaction (SQLSTATE 40P01), with their
    /// details, as its log has them.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn deadlocks(&self) -> Result<Vec<String>, ServerError> {
        let log = self.server.log();
        let text = fs::read(&log).context(|| format!("read {}", log.display()))?;
        Ok(deadlocks_in(&String::from_utf8_lossy(&text)))
    }

    /// Its process ids, the first process before its children: for tests that pause it or take
    /// resources from it.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        self.server.processes()
    }

    /// Creates a database if it is missing, and returns its URL:
    /// `postgres://…@127.0.0.1:PORT/NAME`.
    ///
    /// # Errors
    /// When Postgres rejects it.
    pub fn create_database(&self, name: &str) -> Result<String, ServerError> {
        create_database(&self.server.program, &self.address, name)
    }

    /// The URL of the database that always exists.
    #[must_use]
    pub fn url(&self) -> String {
        self.address.database("postgres")
    }

    /// A program of the same installation, such as `pgbench`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.server.program.sibling(name)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port
    }

    /// The URL of a database with this name, which need not exist.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        self.address.database(name)
    }

    /// Whether it runs; another process may have killed it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.server.is_running()
    }

    /// Kills it with all its sessions, like a crash.
    ///
    /// # Errors
    /// When it does not end.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        self.server.kill()
    }

    /// Stops it gracefully; sessions are ended.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        self.server.stop()
    }

    /// Restarts it on the same port with the same data; stops it first if it runs.
    ///
    /// # Errors
    /// When it does not stop or does not start.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.stop()?;
        let data = self.server.data();
        let _ = fs::remove_file(data.join("postmaster.pid"));
        let arguments = arguments(&data, self.address.port, self.survives, &self.more);
        self.server.start(arguments, |id| is_ready(&data, id))
    }
}

/// Creates the data folder under a temporary name and renames it, so that an existing one is
/// complete.
fn initialise(server: &Server, survives: Survives) -> Result<(), ServerError> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let (home, partial) = (server.home(), server.home().join("data.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial).context(|| format!("remove {}", partial.display()))?;
    }
    let file = password_file(home);
    let writing = || format!("write {}", file.display());
    let mut password = fs::OpenOptions::new();
    let password = password.create(true).write(true).truncate(true).mode(0o600).open(&file);
    password.and_then(|mut password| writeln!(password, "{}", Uuid::new_v4().simple())).context(writing)?;
    server.account.give(&file)?;

    let mut initdb = server.account.command(&server.program.sibling("initdb"), None);
    initdb.args(["--username", USER, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"]);
    initdb.arg("--pwfile").arg(&file).arg("--pgdata").arg(&partial).current_dir(home);
    if survives == Survives::Kill {
        initdb.arg("--no-sync");
    }
    succeed(&mut initdb, "initdb")?;
    let data = server.data();
    fs::rename(&partial, &data).context(|| format!("move {} to {}", partial.display(), data.display()))
}

fn password_file(home: &Path) -> PathBuf {
    home.join("password")
}

/// Checks the folder before a start, with clearer errors than the server's, and returns its
/// password.
fn check(server: &Server) -> Result<String, ServerError> {
    let Ok(version) = fs::read_to_string(server.data().join("PG_VERSION")) else {
        return Err(server.unusable("it holds no database, or half of one (`data/PG_VERSION` is missing)".to_owned()));
    };
    let version = version.trim();
    let installed = server.program.major().map(|major| major.to_string()).unwrap_or_default();
    if version != installed {
        let problem = format!("Postgres {version} made it, and Postgres {installed} is installed now");
        return Err(server.unusable(problem));
    }
    match fs::read_to_string(password_file(server.home())) {
        Ok(password) if !password.trim().is_empty() => Ok(password.trim().to_owned()),
        _ => Err(server.unusable("the password of its database (`password`) is missing".to_owned())),
    }
}

fn arguments(data: &Path, port: u16, survives: Survives, more: &[String]) -> Vec<OsString> {
    let fsync = match survives {
        Survives::PowerLoss => "on",
        // A commit still reaches the operating system before it is acknowledged.
        Survives::Kill => "off",
    };
    let settings = [
        "listen_addresses=127.0.0.1".to_owned(),
        "unix_socket_directories=".to_owned(),
        format!("port={port}"),
        format!("max_connections={CONNECTIONS_MAX}"),
        "synchronous_commit=on".to_owned(),
        format!("fsync={fsync}"),
        format!("full_page_writes={fsync}"),
        // Services reject a Postgres without fsync, unless its owner states that it is acceptable.
        format!("fairline.durability={}", if survives == Survives::Kill { "external" } else { "verify" }),
    ];
    let settings = settings.into_iter().chain(more.iter().cloned()).flat_map(|setting| ["-c".into(), setting.into()]);
    [OsString::from("-D"), data.into()].into_iter().chain(settings).collect()
}

/// Whether the Postgres of process `id` accepts connections: the last line of its pid file shows
/// it, as for `pg_ctl`. A standby is ready when it accepts read-only connections.
fn is_ready(data: &Path, id: u32) -> bool {
    let file = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let mut lines = file.lines().map(str::trim);
    lines.next() == Some(&id.to_string())
        && lines.next_back().is_some_and(|state| ["ready", "standby"].contains(&state))
}

/// The connection parameters of a private Postgres. `Debug` omits the password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ConnectionParameters {
    port: u16,
    password: String,
}

impl ConnectionParameters {
    fn database(&self, name: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{name}", self.password, self.port)
    }
}

impl fmt::Debug for ConnectionParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "127.0.0.1:{}", self.port)
    }
}

impl FromStr for ConnectionParameters {
    type Err = String;

    /// Parses the output of [`PrivatePostgres::url`].
    fn from_str(url: &str) -> Result<Self, String> {
        let read = || {
            let (password, rest) = url.strip_prefix(&format!("postgres://{USER}:"))?.split_once("@127.0.0.1:")?;
            let (port, _) = rest.split_once('/')?;
            Some(Self { port: port.parse().ok()?, password: password.to_owned() })
        };
        read().ok_or_else(|| "it is not the address of a private Postgres".to_owned())
    }
}

/// The deadlocks in a log. The details of an error follow it at once, since Postgres writes them
/// together.
fn deadlocks_in(log: &str) -> Vec<String> {
    const DETAILS: [&str; 4] = ["] DETAIL:  ", "] HINT:  ", "] CONTEXT:  ", "] STATEMENT:  "];
    let mut found: Vec<String> = Vec::new();
    let mut is_within = false;
    for line in log.lines() {
        let begins = line.contains("] ERROR:  deadlock detected");
        let continues = line.starts_with('\t') || DETAILS.iter().any(|detail| line.contains(detail));
        if begins {
            found.push(line.to_owned());
        } else if let Some(deadlock) = found.last_mut().filter(|_| is_within && continues) {
            *deadlock += &format!("\n{line}");
        }
        is_within = begins || is_within && continues;
    }
    found
}

pub(crate) fn create_database(
    postgres: &Program,
    address: &ConnectionParameters,
    name: &str,
) -> Result<String, ServerError> {
    match succeed(client(postgres, address, "createdb").arg(name), "createdb") {
        Err(ServerError::Failed { output, .. }) if output.contains("already exists") => {}
        made => made?,
    }
    Ok(address.database(name))
}

fn client(postgres: &Program, address: &ConnectionParameters, program: &str) -> Command {
    let mut command = Command::new(postgres.sibling(program));
    command.env_clear().env("LC_ALL", "C.UTF-8").env("PGPASSWORD", &address.password);
    command.args(["--host", "127.0.0.1", "--username", USER, "--port", &address.port.to_string()]);
    command
}

fn succeed(command: &mut Command, program: &'static str) -> Result<(), ServerError> {
    let output = output_of(command, program)?;
    if output.status.success() {
        return Ok(());
    }
    Err(ServerError::Failed { program, output: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlocks_are_found_with_their_details_and_nothing_else_is() {
        let deadlock = |pid: u32| {
            format!(
                "2026-11-30 12:00:00.000 UTC [{pid}] ERROR:  deadlock detected\n\
                 2026-11-30 12:00:00.000 UTC [{pid}] DETAIL:  Process {pid} waits for ShareLock on transaction 1; blocked by process 9.\n\
                 \tProcess 9 waits for ShareLock on transaction 2; blocked by process {pid}.\n\
                 2026-11-30 12:00:00.000 UTC [{pid}] STATEMENT:  UPDATE stock\n\
                 \tSET sold = 1"
            )
        };
        let (first, second) = (deadlock(7), deadlock(8));
        let log = format!(
            "2026-11-30 12:00:00.000 UTC [5] LOG:  database system is ready to accept connections\n{first}\n{second}\n\
             2026-11-30 12:00:00.000 UTC [7] ERROR:  relation \"deadlock detected\" does not exist\n\
             2026-11-30 12:00:00.000 UTC [7] STATEMENT:  TABLE \"deadlock detected\"\n"
        );
        assert_eq!(deadlocks_in(&log), [first, second]);
    }

    #[test]
    fn an_address_is_read_back_and_never_shows_its_password() {
        let address = ConnectionParameters { port: 20_001, password: "secret".to_owned() };
        assert_eq!(address.database("postgres").parse(), Ok(address.clone()));
        assert!(!format!("{address:?}").contains("secret"));
        assert!("postgres://user@elsewhere/shop".parse::<ConnectionParameters>().is_err());
    }
}
