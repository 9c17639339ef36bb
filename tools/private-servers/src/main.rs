//! `with-private-servers COMMAND [ARGUMENT…]`: runs a command, usually a test run, with a private
//! Redis and a private Postgres. It passes their URLs in `FAIRLINE_TEST_REDIS_URL` and
//! `FAIRLINE_TEST_POSTGRES_URL`.

use std::{
    env,
    process::{Command, ExitCode},
};

use fairline_private_servers::testing::{POSTGRES_URL, REDIS_URL, Servers};

fn main() -> ExitCode {
    let mut words = env::args_os().skip(1);
    let Some(program) = words.next() else {
        eprintln!("Usage: with-private-servers COMMAND [ARGUMENT…]");
        return ExitCode::from(2);
    };
    let servers = match Servers::start() {
        Ok(servers) => servers,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let (redis, postgres) = (servers.redis.url(), servers.postgres.url());
    match Command::new(&program).args(words).env(REDIS_URL, redis).env(POSTGRES_URL, postgres).status() {
        // A command that was ended by a signal has no exit code.
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("Could not run {}: {error}", program.display());
            ExitCode::from(127)
        }
    }
}
