//! A program, ours or a third party's, as a process: started with a log, awaited, killed when
//! dropped.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::process::until;

const READY_WITHIN: Duration = Duration::from_secs(30);

/// A process that is killed when it is dropped.
#[derive(Debug)]
pub struct ServiceProcess {
    name: String,
    child: Child,
    log: PathBuf,
}

impl ServiceProcess {
    /// Starts a program with its output in a log in `folder`; it ends with this thread.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(name: &str, program: &Path, arguments: &[String], folder: &Path) -> io::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let child = spawn_service(program, arguments, &log)?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Waits until the process listens on `address`.
    ///
    /// # Errors
    /// When it ends, or does not listen in time.
    pub fn listens(mut self, address: SocketAddr) -> io::Result<Self> {
        let mut has_ended = false;
        let listens_or_ended = until(READY_WITHIN, || {
            has_ended = !matches!(self.child.try_wait(), Ok(None));
            has_ended || TcpStream::connect(address).is_ok()
        });
        if listens_or_ended && !has_ended {
            return Ok(self);
        }
        let logged = fs::read_to_string(&self.log).unwrap_or_default();
        Err(io::Error::other(format!("{} does not listen on {address}: {}", self.name, logged.trim())))
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for ServiceProcess {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a program that appends its output to a log, and ends with this thread.
///
/// # Errors
/// When the log can't be opened, or `setpriv` does not start.
pub fn spawn_service(program: &Path, arguments: &[String], log: &Path) -> io::Result<Child> {
    let output = File::options().create(true).append(true).open(log)?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program).args(arguments);
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn()
}

/// Where our nth service listens: a fixed port, at an address of 127.0.0.0/8 that no other process
/// uses.
#[must_use]
pub fn address_of(nth: u16) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(127, 200, high, low), 9_000 + nth))
}
