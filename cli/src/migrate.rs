//! `fairline migrate`: migrates a database's schema.

use std::process::ExitCode;

use clap::Args;
use fairline_server::Secret;

use crate::failure::CommandError;

#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Database URL: postgres://user:password@host:port/name.
    #[arg(long, env = "FAIRLINE_POSTGRES_URL", hide_env_values = true)]
    postgres_url: Secret,
}

pub(crate) async fn run(settings: Settings, json: bool) -> Result<ExitCode, CommandError> {
    admission_controller::migrate(settings.postgres_url.expose()).await?;
    match json {
        true => println!("{}", serde_json::json!({ "migrated": true })),
        false => eprintln!("✓ The database is up to date."),
    }
    Ok(ExitCode::SUCCESS)
}
