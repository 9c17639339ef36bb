//! `fairline rush`: sends a crowd of simulated shoppers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use fairline_server::Secret;
use serde_json::Value;

use crate::{demo::READY_FILE, failure::CommandError};

#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// Send the crowd to the demo that runs in this folder: to its addresses, its database, and its
    /// sale unless --sale names another.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["waiting_rooms", "checkouts", "admin"])]
    demo: Option<PathBuf>,
    #[command(flatten)]
    rush: fairline_rush::Settings,
}

pub(crate) async fn run(settings: Settings, json: bool) -> Result<ExitCode, CommandError> {
    let Settings { demo, mut rush } = settings;
    if let Some(folder) = demo {
        aim_at(&folder, &mut rush)?;
    }
    rush.json = json;
    Ok(fairline_rush::run(rush).await)
}

fn aim_at(folder: &Path, rush: &mut fairline_rush::Settings) -> Result<(), CommandError> {
    let file = folder.join(READY_FILE);
    let text = fs::read_to_string(&file).map_err(|_| {
        CommandError::new(format!(
            "No demo runs in {} ({} is missing). Start one: make demo",
            folder.display(),
            file.display()
        ))
    })?;
    let demo: Value = serde_json::from_str(&text).unwrap_or_default();
    let field = |name: &str| demo[name].as_str().map(str::to_owned);
    let aimed = || {
        let shop = field("shop_url")?.trim_end_matches('/').parse().ok()?;
        Some((shop, field("admin_token")?, field("postgres_url")?, field("slug")?))
    };
    let (shop, admin_token, postgres_url, slug) =
        aimed().ok_or_else(|| CommandError::new(format!("{} is not a valid demo.json.", file.display())))?;
    rush.waiting_rooms = vec![shop];
    rush.admin = rush.waiting_rooms.first().cloned();
    rush.admin_token = Some(Secret::new(admin_token));
    rush.postgres_url = Some(Secret::new(postgres_url));
    rush.sale.get_or_insert(slug);
    Ok(())
}
