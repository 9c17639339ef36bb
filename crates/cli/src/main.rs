//! `fairline`: the demo, migrations, keys, sales, the crowd, what a sale needs, and the proof of its order.

mod capacity;
mod demo;
mod failure;
mod keys;
mod migrate;
mod private_file;
mod restore;
mod rush;
mod sale;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

/// Fairline: sell a small stock to a huge crowd, first come, first served.
#[derive(Debug, Parser)]
#[command(name = "fairline", version)]
struct CommandLine {
    /// Print JSON instead of words; what went wrong, too, on standard error: {"error": "…"}.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on one port, over a private Redis and a private Postgres.
    Demo(demo::Settings),
    /// Bring a database's schema up to date.
    Migrate(migrate::Settings),
    /// Make a database that was restored from a backup safe to go on with: no ticket is given twice.
    Restore(restore::Settings),
    /// Make a key for the services.
    Keys(keys::Settings),
    /// Send a crowd of simulated shoppers to a sale, and report what they saw.
    Rush(Box<rush::Settings>),
    /// Tell what a sale of a size needs: machines, money, and what gives way first.
    Capacity(capacity::Settings),
    /// Create, list, show, run and watch sales.
    Sale(Box<sale::Settings>),
    /// Print what completes this command line in a shell: `fairline completions bash > /etc/bash_completion.d/fairline`.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Replay the public record of a sale, and say whether its order was honest. Exit code 0 if so, 1 if not, 2 if it could
    /// not be read.
    Verify(verify::Settings),
}

#[tokio::main]
async fn main() -> ExitCode {
    let CommandLine { json, command } = CommandLine::parse();
    let done = match command {
        Command::Demo(settings) => demo::run(settings, json).await,
        Command::Migrate(settings) => migrate::run(settings, json).await,
        Command::Restore(settings) => restore::run(settings, json).await,
        Command::Keys(settings) => keys::run(settings, json),
        Command::Rush(settings) => rush::run(*settings, json).await,
        Command::Capacity(settings) => Ok(capacity::run(&settings, json)),
        Command::Sale(settings) => sale::run(*settings, json).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut CommandLine::command(), "fairline", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify(settings) => verify::run(settings, json).await,
    };
    done.unwrap_or_else(|error| {
        match json {
            true => eprintln!("{}", serde_json::json!({ "error": error.to_string() })),
            false => eprintln!("✗ {error}"),
        }
        ExitCode::from(2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
