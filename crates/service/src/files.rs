//! How many files, and so how many connections, this process may open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Opens as many files as the system lets a process open, and says how many that is. The limit that one starts with is often 1024:
/// a container's, or a terminal's.
pub fn raise_file_limit() -> u64 {
    let Ok((least, most)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    // Where it isn't allowed, the limit stays what it was, and connections fail with a word of their own.
    if setrlimit(Resource::RLIMIT_NOFILE, most, most).is_ok() { most } else { least }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_that_one_starts_with_is_raised_to_what_is_allowed() {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        setrlimit(Resource::RLIMIT_NOFILE, most - 1, most).expect("less is always allowed");
        assert_eq!(raise_file_limit(), most);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE), Ok((most, most)));
    }
}
