//! The folder that contains the servers; one process at a time claims it.

use std::{
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{ServerError, account::ServerUser, error::Context as _, process::stop_all_in, program::Program};

/// Location of a server's data when its user can't access the claimed folder, such as a project
/// under `/root`.
const ELSEWHERE: &str = "/var/lib/fairline";

/// The servers' subfolders, with the name of the process that works in each one's `data`.
const SERVERS: [(&str, &str); 2] = [("redis", "redis-server"), ("postgres", "postgres")];

/// A folder that only this process uses. The claim ends with the process, however it ends.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Creates the folder if it is missing, and claims it. A new or empty folder is made
    /// traversable for other users.
    ///
    /// # Errors
    /// When another process has claimed it, or it can't be created.
    pub fn claim(path: impl AsRef<Path>) -> Result<Self, ServerError> {
        let path = path.as_ref();
        // A new or empty folder is ours alone. The permissions of others stay unchanged.
        if fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none()) {
            make_passable(path)?;
        }
        let path = path.canonicalize().context(|| format!("open {}", path.display()))?;
        let file = path.join("lock");
        let lock =
            File::options().create(true).append(true).open(&file).context(|| format!("open {}", file.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(ServerError::InUse { folder: path }),
            Err(TryLockError::Error(error)) => Err(error).context(|| format!("lock {}", file.display())),
        }
    }

    /// The folder, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Deletes the servers' data, and stops processes of an earlier run that still use it. Leaves
    /// all else in the folder unchanged.
    ///
    /// # Errors
    /// When a process can't be stopped, or a file can't be deleted.
    pub fn clear(&self) -> Result<(), ServerError> {
        for (server, process) in SERVERS {
            let home = self.path.join(server);
            stop_all_in(&home.join("data"), process, Signal::SIGKILL, Duration::from_secs(10))?;
            for place in [self.elsewhere(server), home] {
                let removed = if place.is_symlink() { fs::remove_file(&place) } else { fs::remove_dir_all(&place) };
                match removed {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(error).context(|| format!("remove {}", place.display()));
                    }
                    _ => {}
                }
            }
        }
        // The folder is now empty, if it existed.
        let _ = fs::remove_dir(self.elsewhere(""));
        Ok(())
    }

    /// The folder of one server, created if it is missing. If the server's user can't access this
    /// folder, it is created elsewhere, with a link to it here.
    pub(crate) fn home(&self, program: &Program, account: &ServerUser) -> Result<PathBuf, ServerError> {
        let here = self.path.join(program.user);
        let is_reached = account.reaches(&self.path)?;
        if !here.is_dir() {
            if is_reached {
                make_private(&here, account)?;
            } else {
                let there = self.elsewhere(program.user);
                // That data belongs to a deleted folder of the same name, whose link was deleted,
                // too.
                let _ = fs::remove_dir_all(&there);
                let _ = fs::remove_file(&here);
                sweep();
                make_passable(Path::new(ELSEWHERE))?;
                make_passable(&self.elsewhere(""))?;
                make_private(&there, account)?;
                symlink(&there, &here).context(|| format!("make the link {}", here.display()))?;
            }
        }
        let unusable = |problem: String| ServerError::Unusable { folder: here.clone(), problem };
        if !is_reached && !here.is_symlink() {
            let user = program.user;
            return Err(unusable(format!("a folder above it is closed to the user `{user}`, whom it belongs to")));
        }
        let home = here.canonicalize().context(|| format!("open {}", here.display()))?;
        let metadata = home.metadata().context(|| format!("open {}", home.display()))?;
        if !account.owns(&metadata) {
            return Err(unusable("it was made by another user".to_owned()));
        }
        Ok(home)
    }

    fn elsewhere(&self, server: &str) -> PathBuf {
        let name = self.path.to_string_lossy().replace('%', "%25").replace('/', "%2F");
        Path::new(ELSEWHERE).join(name).join(server)
    }
}

/// Deletes the data that is stored elsewhere for deleted folders.
fn sweep() {
    for entry in fs::read_dir(ELSEWHERE).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let folder = name.to_string_lossy().replace("%2F", "/").replace("%25", "%");
        if folder.starts_with('/') && !Path::new(&folder).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Lets other users traverse the folder but not list it.
fn make_passable(path: &Path) -> Result<(), ServerError> {
    let made = fs::create_dir_all(path).and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o711)));
    made.context(|| format!("make the folder {}", path.display()))
}

fn make_private(path: &Path, account: &ServerUser) -> Result<(), ServerError> {
    DirBuilder::new().mode(0o700).create(path).context(|| format!("make the folder {}", path.display()))?;
    account.give(path)
}
