//! Console functions other than running a sale: rehearsals, lanes, the audit log, operators,
//! tokens, webhooks.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{POLL_INTERVAL, SaleArgument, admin::Admin, find, format, path_of};
use crate::failure::CommandError;

#[derive(Debug, Args)]
pub(super) struct RehearseArguments {
    #[command(flatten)]
    named: SaleArgument,
    /// Number of shoppers.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    shoppers: u32,
    /// Seconds within which they arrive.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    arrive_s: u32,
    /// Share of shoppers who leave, close the laptop or hesitate, from 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    abandon: f64,
    /// Stop the running rehearsal instead.
    #[arg(long, conflicts_with_all = ["shoppers", "arrive_s", "abandon"])]
    stop: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum LanesCommand {
    /// List the lanes of a sale.
    List(SaleArgument),
    /// Add a lane to a sale.
    Add {
        #[command(flatten)]
        named: SaleArgument,
        /// URL slug of the lane.
        lane: String,
        /// Share of admissions while shoppers wait in the lane, from 0 to 1.
        #[arg(long)]
        share: f64,
    },
    /// Change a lane's share of admissions.
    Set {
        #[command(flatten)]
        named: SaleArgument,
        /// The lane.
        lane: String,
        /// Share of admissions while shoppers wait in the lane, from 0 to 1.
        #[arg(long)]
        share: f64,
    },
    /// Create invitations to a lane, one code per line. They are not shown again.
    Invite {
        #[command(flatten)]
        named: SaleArgument,
        /// The lane.
        lane: String,
        /// Number of invitations.
        #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
        count: u32,
    },
}

#[derive(Debug, Args)]
pub(super) struct AuditArguments {
    /// Only entries about this sale and its rehearsals.
    #[arg(value_name = "SALE")]
    sale: Option<String>,
    /// Only entries before this one.
    #[arg(long, value_name = "ENTRY")]
    before: Option<u64>,
}

/// The permissions of a token.
#[derive(Debug, Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum RoleArgument {
    Viewer,
    Operator,
    Owner,
}

#[derive(Debug, Subcommand)]
pub(super) enum Tokens {
    /// List the tokens.
    List,
    /// Create a token. It is shown only once.
    Add {
        /// Name of the token, such as the program that uses it.
        name: String,
        /// Role of the token.
        #[arg(long, value_enum)]
        role: RoleArgument,
        /// Days until the token expires.
        #[arg(long, default_value_t = 90)]
        days: u32,
    },
    /// Revoke a token.
    Revoke {
        /// Name of the token.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum WebhooksCommand {
    /// List the webhooks.
    List,
    /// Add a webhook. Its secret is shown only once.
    Add {
        /// URL to which events are sent.
        url: String,
        /// Kind of event; may be repeated [default: all kinds].
        #[arg(long = "kind")]
        kinds: Vec<String>,
    },
    /// Remove a webhook.
    Remove {
        /// Id of the webhook.
        id: String,
    },
    /// Re-enable a disabled webhook.
    Enable {
        /// Id of the webhook.
        id: String,
    },
}

fn print(answer: &Value, json: bool, format: impl FnOnce(&Value) -> String) {
    if json { println!("{answer}") } else { print!("{}", format(answer)) }
}

/// Sends a crowd to a copy of a sale, prints its progress, and returns the result.
pub(super) async fn rehearse(admin: &Admin, wanted: &RehearseArguments, json: bool) -> Result<ExitCode, CommandError> {
    let path = format!("{}/rehearsals", path_of(&find(admin, &wanted.named).await?));
    if wanted.stop {
        let listed = admin.ask(Method::GET, &path, None).await?;
        let runs = listed["rehearsals"].as_array().and_then(|all| all.iter().find(|one| one["ended_at"].is_null()));
        let id = runs.and_then(|one| one["id"].as_str());
        let id = id.ok_or_else(|| CommandError::new("No rehearsal of this sale is running."))?;
        admin.ask(Method::DELETE, &format!("/rehearsals/{id}"), None).await?;
        print(&json!({ "stopping": id }), json, |_| "stopping\n".to_owned());
        return Ok(ExitCode::SUCCESS);
    }
    let crowd = json!({ "shoppers": wanted.shoppers, "arrival_s": wanted.arrive_s, "abandon": wanted.abandon });
    let begun = admin.ask(Method::POST, &path, Some(&crowd)).await?;
    let mut shown = String::new();
    loop {
        let listed = admin.poll(&path).await?;
        let all = listed["rehearsals"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(it) = all.iter().find(|one| one["id"] == begun["id"]) else {
            return Err(CommandError::new(
                "The rehearsal is no longer listed, since many others were started after it.",
            ));
        };
        let progress = it["progress"].as_str().unwrap_or_default();
        if !json && progress != shown {
            eprintln!("{progress}");
            progress.clone_into(&mut shown);
        }
        if !it["ended_at"].is_null() {
            print(it, json, |it| format!("{}\n", it["state"].as_str().unwrap_or_default()));
            return Ok(ExitCode::from(u8::from(it["state"] != "passed")));
        }
        sleep(POLL_INTERVAL).await;
    }
}

pub(super) async fn lanes(admin: &Admin, command: LanesCommand, json: bool) -> Result<(), CommandError> {
    let show =
        |sale: &Value| print(&json!({ "lanes": sale["lanes"] }), json, |shown| format::of_lanes(&shown["lanes"]));
    match command {
        LanesCommand::List(named) => show(&find(admin, &named).await?),
        LanesCommand::Add { named, lane, share } => {
            let path = format!("{}/lanes", path_of(&find(admin, &named).await?));
            show(&admin.ask(Method::POST, &path, Some(&json!({ "name": lane, "share": share }))).await?);
        }
        LanesCommand::Set { named, lane, share } => {
            let path = format!("{}/lanes/{lane}", path_of(&find(admin, &named).await?));
            show(&admin.ask(Method::PATCH, &path, Some(&json!({ "share": share }))).await?);
        }
        LanesCommand::Invite { named, lane, count } => {
            let path = format!("{}/lanes/{lane}/invitations", path_of(&find(admin, &named).await?));
            let made = admin.ask(Method::POST, &path, Some(&json!({ "count": count }))).await?;
            print(&made, json, |made| format::in_lines(&made["codes"]));
        }
    }
    Ok(())
}

pub(super) async fn audit(admin: &Admin, wanted: &AuditArguments, json: bool) -> Result<(), CommandError> {
    let mut asked = Vec::new();
    if let Some(sale) = &wanted.sale {
        let sale = find(admin, &SaleArgument { sale: sale.clone() }).await?;
        asked.push(format!("sale={}", sale["id"].as_str().unwrap_or_default()));
    }
    asked.extend(wanted.before.map(|entry| format!("before={entry}")));
    let page = admin.ask(Method::GET, &format!("/audit?{}", asked.join("&")), None).await?;
    print(&page, json, |page| format::of_audit(&page["entries"]));
    Ok(())
}

pub(super) async fn operators(admin: &Admin, json: bool) -> Result<(), CommandError> {
    let listed = admin.ask(Method::GET, "/operators", None).await?;
    print(&listed, json, |listed| format::of_people(&listed["operators"], "last_seen_at"));
    Ok(())
}

pub(super) async fn tokens(admin: &Admin, command: Tokens, json: bool) -> Result<(), CommandError> {
    match command {
        Tokens::List => {
            let listed = admin.ask(Method::GET, "/tokens", None).await?;
            print(&listed, json, |listed| format::of_people(&listed["tokens"], "expires_at"));
        }
        Tokens::Add { name, role, days } => {
            let new = json!({ "name": name, "role": role, "lasts_days": days });
            let added = admin.ask(Method::POST, "/tokens", Some(&new)).await?;
            print(&added, json, |added| format!("{}\n", added["bearer"].as_str().unwrap_or_default()));
        }
        Tokens::Revoke { name } => {
            admin.ask(Method::DELETE, &format!("/tokens/{name}"), None).await?;
            print(&json!({ "revoked": name }), json, |_| "revoked\n".to_owned());
        }
    }
    Ok(())
}

pub(super) async fn webhooks(admin: &Admin, command: WebhooksCommand, json: bool) -> Result<(), CommandError> {
    match command {
        WebhooksCommand::List => {
            let listed = admin.ask(Method::GET, "/webhooks", None).await?;
            print(&listed, json, |listed| format::of_webhooks(&listed["webhooks"]));
        }
        WebhooksCommand::Add { url, kinds } => {
            let new = if kinds.is_empty() { json!({ "url": url }) } else { json!({ "url": url, "kinds": kinds }) };
            let added = admin.ask(Method::POST, "/webhooks", Some(&new)).await?;
            print(&added, json, |added| format!("{}\n", added["secret"].as_str().unwrap_or_default()));
        }
        WebhooksCommand::Remove { id } => {
            admin.ask(Method::DELETE, &format!("/webhooks/{id}"), None).await?;
            print(&json!({ "removed": id }), json, |_| "removed\n".to_owned());
        }
        WebhooksCommand::Enable { id } => {
            let listed = admin.ask(Method::POST, &format!("/webhooks/{id}/enable"), None).await?;
            print(&listed, json, |listed| format::of_webhooks(&listed["webhooks"]));
        }
    }
    Ok(())
}
