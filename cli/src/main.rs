//! `fairline`: the command line: demo, migrations, keys, sales, products, simulated crowds,
//! capacity planning and record verification.

mod capacity;
mod demo;
mod failure;
mod keys;
mod migrate;
mod private_file;
mod product;
mod restore;
mod rush;
mod sale;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

/// Fairline: sells limited stock to a large crowd, fairly and without overselling.
#[derive(Debug, Parser)]
#[command(name = "fairline", version)]
struct CommandLine {
    /// Print JSON. Errors are printed on standard error, as {"error": "…"}.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on one port, with a private Redis and a private Postgres.
    Demo(demo::Settings),
    /// Migrate a database's schema.
    Migrate(migrate::Settings),
    /// Prepare a database that was restored from a backup, so that no ticket is issued twice.
    Restore(restore::Settings),
    /// Create a key for the services.
    Keys(keys::Settings),
    /// Send a crowd of simulated shoppers to a sale, and print a report.
    Rush(Box<rush::Settings>),
    /// Compute the machines, the cost and the first bottleneck of a sale.
    Capacity(capacity::Settings),
    /// Create, run and watch sales: the functions of the admin console.
    Sale(Box<sale::Settings>),
    /// List, show, import and export the products of the catalogue.
    Product(Box<product::Settings>),
    /// Print a shell's completion script: `fairline completions bash >
    /// /etc/bash_completion.d/fairline`.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Replay the public record of a sale, and check that its order was honest. Exit code 0:
    /// honest, 1: not honest, 2: the record could not be read.
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
        Command::Product(settings) => product::run(*settings, json).await,
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
mod command_reference;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
