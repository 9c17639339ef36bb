//! `fairline restore`: prepares a database that was restored from a backup.

use std::process::ExitCode;

use clap::Args;
use fairline_rush::counted;
use fairline_server::Secret;
use serde_json::{Value, json};

use crate::failure::CommandError;

#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// URL of the restored database: postgres://user:password@host:port/name. No service may run on
    /// it.
    #[arg(long, env = "FAIRLINE_POSTGRES_URL", hide_env_values = true)]
    postgres_url: Secret,
    /// URL of the Redis with the lines, in its state when the database was lost: it has the tickets
    /// that were issued since the backup.
    #[arg(long, env = "FAIRLINE_REDIS_URL", hide_env_values = true)]
    redis_url: Secret,
    /// Tickets of one line that may have been issued since the backup and that Redis does not have
    /// [default: 1000000]
    #[arg(long, value_name = "TICKETS")]
    margin: Option<u32>,
}

pub(crate) async fn run(settings: Settings, json: bool) -> Result<ExitCode, CommandError> {
    let raised =
        admission_controller::restore(settings.postgres_url.expose(), settings.redis_url.expose(), settings.margin)
            .await?;
    if json {
        let line = |raised: &admission_controller::RaisedLine| json!({ "line": raised.line.to_string(), "epoch": raised.epoch, "above": raised.above });
        println!("{}", json!({ "lines": raised.iter().map(line).collect::<Vec<Value>>() }));
    } else {
        for raised in &raised {
            eprintln!("  {}  new tickets begin above {}", raised.line, raised.above);
        }
        let lines = counted(raised.len(), "line begins", "lines begin");
        eprintln!("✓ {lines} a new epoch when the controllers start.");
    }
    Ok(ExitCode::SUCCESS)
}
