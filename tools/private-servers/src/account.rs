//! The user that a server runs as: the current one or, for root, the user that the server's package
//! created.

use std::{
    fs::Metadata,
    os::unix::fs::{MetadataExt as _, chown},
    path::Path,
    process::Command,
};

use nix::unistd::{Uid, User};

use crate::{
    ServerError,
    error::Context as _,
    process::{output_of, setpriv},
    program::Program,
};

/// The unprivileged user that a server runs as; `None` inside for the current user.
#[derive(Debug, Clone)]
pub(crate) struct ServerUser(Option<User>);

impl ServerUser {
    pub(crate) fn of(program: &Program) -> Result<Self, ServerError> {
        if !Uid::effective().is_root() {
            return Ok(Self(None));
        }
        match User::from_name(program.user).context(|| format!("look up the user {}", program.user))? {
            Some(user) => Ok(Self(Some(user))),
            None => {
                let Program { name, user, package, .. } = *program;
                Err(ServerError::NoAccount { program: name, user, package })
            }
        }
    }

    fn uid(&self) -> Uid {
        self.0.as_ref().map_or_else(Uid::effective, |user| user.uid)
    }

    /// Changes the owner of a file or folder to the account.
    pub(crate) fn give(&self, path: &Path) -> Result<(), ServerError> {
        let Some(user) = &self.0 else { return Ok(()) };
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .context(|| format!("give {} to the user {}", path.display(), user.name))
    }

    /// Whether the account owns a file or folder.
    pub(crate) fn owns(&self, metadata: &Metadata) -> bool {
        metadata.uid() == self.uid().as_raw()
    }

    /// A command that runs `program` as the account, with a clean environment: it does not inherit,
    /// for example, `PGPORT`.
    pub(crate) fn command(&self, program: &Path, death_signal: Option<&str>) -> Command {
        let mut privileges = Vec::new();
        if let Some(signal) = death_signal {
            privileges.extend(["--pdeathsig".to_owned(), signal.to_owned()]);
        }
        if let Some(user) = &self.0 {
            let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
            privileges.extend(["--reuid".to_owned(), uid, "--regid".to_owned(), gid, "--init-groups".to_owned()]);
        }
        let mut command = setpriv(&privileges, program);
        command.env_clear().env("LC_ALL", "C.UTF-8").env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// Whether the account can access a folder, which requires access to every folder above it.
    pub(crate) fn reaches(&self, folder: &Path) -> Result<bool, ServerError> {
        if self.0.is_none() {
            return Ok(true);
        }
        let mut test = self.command(Path::new("/usr/bin/test"), None);
        test.arg("-x").arg(folder).current_dir("/");
        Ok(output_of(&mut test, "test")?.status.success())
    }
}
