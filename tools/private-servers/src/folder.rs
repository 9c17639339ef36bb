//! The folder that the servers live under: claimed by one process at a time.

use std::{
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{ServerError, account::Account, error::Doing as _, process::stop_all_in, program::Program};

/// Where a server's data stands when its user cannot get at the claimed folder: a project under `/root`, say.
const ELSEWHERE: &str = "/var/lib/fairline";

/// The servers' folders in a claimed one, with the name of the process that works in each one's `data`.
const SERVERS: [(&str, &str); 2] = [("redis", "redis-server"), ("postgres", "postgres")];

/// A folder that this process, and no other, uses. The claim ends with the process, however it ends.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is missing, and claims it. Other users may pass through one that was missing or empty.
    ///
    /// # Errors
    /// When another process has claimed it, or it cannot be made.
    pub fn claim(path: impl AsRef<Path>) -> Result<Self, ServerError> {
        let path = path.as_ref();
        // One that is new or empty is ours alone. Others' stay as they are.
        if fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none()) {
            make_passable(path)?;
        }
        let path = path.canonicalize().doing(|| format!("open {}", path.display()))?;
        let file = path.join("lock");
        let lock =
            File::options().create(true).append(true).open(&file).doing(|| format!("open {}", file.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(ServerError::InUse { folder: path }),
            Err(TryLockError::Error(error)) => Err(error).doing(|| format!("lock {}", file.display())),
        }
    }

    /// The folder, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the servers' data, and whatever of an earlier run still works on it. Touches nothing else in the folder.
    ///
    /// # Errors
    /// When something cannot be stopped or removed.
    pub fn clear(&self) -> Result<(), ServerError> {
        for (server, process) in SERVERS {
            let home = self.path.join(server);
            stop_all_in(&home.join("data"), process, Signal::SIGKILL, Duration::from_secs(10))?;
            for place in [self.elsewhere(server), home] {
                let removed = if place.is_symlink() { fs::remove_file(&place) } else { fs::remove_dir_all(&place) };
                match removed {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(error).doing(|| format!("remove {}", place.display()));
                    }
                    _ => {}
                }
            }
        }
        // Empty now, if it was there at all.
        let _ = fs::remove_dir(self.elsewhere(""));
        Ok(())
    }

    /// The folder of one server, made if it is missing. Where the server's user cannot get at this folder, it stands
    /// elsewhere, and a link to it stands here.
    pub(crate) fn home(&self, program: &Program, account: &Account) -> Result<PathBuf, ServerError> {
        let here = self.path.join(program.user);
        let is_reached = account.reaches(&self.path)?;
        if !here.is_dir() {
            if is_reached {
                make_private(&here, account)?;
            } else {
                let there = self.elsewhere(program.user);
                // What stands there belongs to a folder of this name that is gone, and the link to it with it.
                let _ = fs::remove_dir_all(&there);
                let _ = fs::remove_file(&here);
                sweep();
                make_passable(Path::new(ELSEWHERE))?;
                make_passable(&self.elsewhere(""))?;
                make_private(&there, account)?;
                symlink(&there, &here).doing(|| format!("make the link {}", here.display()))?;
            }
        }
        let unusable = |problem: String| ServerError::Unusable { folder: here.clone(), problem };
        if !is_reached && !here.is_symlink() {
            let user = program.user;
            return Err(unusable(format!("a folder above it is closed to the user `{user}`, whom it belongs to")));
        }
        let home = here.canonicalize().doing(|| format!("open {}", here.display()))?;
        let metadata = home.metadata().doing(|| format!("open {}", home.display()))?;
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

/// Removes the data that stands elsewhere for folders that are gone.
fn sweep() {
    for entry in fs::read_dir(ELSEWHERE).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let folder = name.to_string_lossy().replace("%2F", "/").replace("%25", "%");
        if folder.starts_with('/') && !Path::new(&folder).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Others may pass through, on the way to a folder of theirs, but not look around.
fn make_passable(path: &Path) -> Result<(), ServerError> {
    let made = fs::create_dir_all(path).and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o711)));
    made.doing(|| format!("make the folder {}", path.display()))
}

fn make_private(path: &Path, account: &Account) -> Result<(), ServerError> {
    DirBuilder::new().mode(0o700).create(path).doing(|| format!("make the folder {}", path.display()))?;
    account.give(path)
}
