//! The open-file limit of this process, which also limits its connections.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the open-file limit to the hard limit, and returns it. Containers and terminals often
/// start a process with 1024.
pub fn raise_file_limit() -> u64 {
    let Ok((least, most)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    // On failure the limit stays as it was; a later failure to open a connection reports itself.
    if setrlimit(Resource::RLIMIT_NOFILE, most, most).is_ok() { most } else { least }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_limit() {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        setrlimit(Resource::RLIMIT_NOFILE, most - 1, most).expect("less is always allowed");
        assert_eq!(raise_file_limit(), most);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE), Ok((most, most)));
    }
}
