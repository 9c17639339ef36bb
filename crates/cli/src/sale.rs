//! `fairline sale`: what the console does, from a terminal.

mod admin;
mod words;

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use fairline_sale::minor_units;
use hyper::Method;
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use self::admin::{Admin, Where};
use crate::failure::Failure;

/// How often a watched sale is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Settings {
    #[command(flatten)]
    place: Where,
    /// Print JSON, as the admin API has it.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a sale; it opens now unless --opens-at says otherwise.
    Create(Box<Create>),
    /// List the newest sales.
    List,
    /// Show one sale.
    Show(Named),
    /// Open a sale before its time.
    Open(Named),
    /// Let nobody in for now.
    Pause(Named),
    /// Let people in again.
    Resume(Named),
    /// End a sale for good.
    Close(Named),
    /// Change what may be changed while a sale runs.
    Set(Change),
    /// Show a sale whenever something changes, until it is closed.
    Watch(Named),
    /// Let so many more in at once, above the rate.
    Admit {
        #[command(flatten)]
        named: Named,
        /// How many.
        #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
        count: u32,
    },
    /// Take a ticket out of the line.
    Remove(Ticket),
    /// Have a ticket served before all others.
    Prefer(Ticket),
    /// Revoke every token that is out; their shoppers wait again, in front.
    Revoke {
        #[command(flatten)]
        named: Named,
        /// Why: the audit log keeps it.
        #[arg(long)]
        reason: String,
    },
    /// Tell what has become of a sale.
    Report(Named),
}

#[derive(Debug, Args)]
struct Ticket {
    #[command(flatten)]
    named: Named,
    /// The number that its shopper's page shows.
    ticket: u64,
    /// Why: the audit log keeps it.
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Args)]
struct Named {
    /// The sale: its name in addresses, or its id.
    #[arg(value_name = "SALE")]
    sale: String,
}

/// In which order the line is served.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Order {
    Fifo,
    Draw,
}

/// How people are let in.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    Guarantee,
    Yield,
}

#[derive(Debug, Args)]
struct Create {
    /// What is sold.
    #[arg(value_name = "NAME")]
    name: String,
    /// Its name in addresses; made from NAME unless said.
    #[arg(long)]
    slug: Option<String>,
    /// A sentence or two about it.
    #[arg(long, default_value = "")]
    description: String,
    /// The price of one unit, such as 49.00.
    #[arg(long, value_name = "AMOUNT")]
    price: String,
    /// ISO 4217 code.
    #[arg(long, default_value = "EUR")]
    currency: String,
    /// Units.
    #[arg(long, value_name = "UNITS")]
    total: u32,
    /// Units one shopper may buy.
    #[arg(long, value_name = "UNITS", default_value_t = 1)]
    per_shopper: u32,
    /// Units one account may buy: then only whoever is signed in may.
    #[arg(long, value_name = "UNITS")]
    per_account: Option<u32>,
    /// Admissions a second at most.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 10.0)]
    rate: f64,
    /// Shoppers in checkout at most; any number unless said.
    #[arg(long, value_name = "SHOPPERS")]
    inside_max: Option<u32>,
    /// When it opens: 2026-11-27T09:00:00+01:00. Now unless said.
    #[arg(long, value_name = "TIME")]
    opens_at: Option<String>,
    /// When it ends; never by the clock unless said.
    #[arg(long, value_name = "TIME")]
    ends_at: Option<String>,
    /// Seconds in which a hold must be paid.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    hold: u32,
    /// In which order the line is served.
    #[arg(long, value_enum, default_value = "fifo")]
    order: Order,
    /// How people are let in.
    #[arg(long, value_enum, default_value = "guarantee")]
    mode: Mode,
}

#[derive(Debug, Args)]
struct Change {
    #[command(flatten)]
    named: Named,
    /// Admissions a second at most.
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// Units.
    #[arg(long, value_name = "UNITS")]
    total: Option<u32>,
    /// Shoppers in checkout at most; `none` for any number.
    #[arg(long, value_name = "SHOPPERS")]
    inside_max: Option<String>,
    /// What the shop says to everybody who waits; empty takes it back.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
}

pub(crate) async fn run(settings: Settings) -> Result<ExitCode, Failure> {
    let Settings { place, json, command } = settings;
    let admin = Admin::find(place)?;
    let done = |answer: Value, word: &str| println!("{}", if json { answer.to_string() } else { word.to_owned() });
    let show = |sale: &Value| if json { println!("{sale}") } else { print!("{}", words::of_sale(sale)) };
    match command {
        Command::Create(create) => show(&admin.ask(Method::POST, "", Some(&new_sale(*create)?)).await?),
        Command::List => {
            let sales = admin.ask(Method::GET, "", None).await?;
            if json { println!("{sales}") } else { print!("{}", words::of_sales(&sales["sales"])) }
        }
        Command::Show(named) => show(&find(&admin, &named).await?),
        Command::Open(named) => show(&act(&admin, &named, "open").await?),
        Command::Pause(named) => show(&act(&admin, &named, "pause").await?),
        Command::Resume(named) => show(&act(&admin, &named, "resume").await?),
        Command::Close(named) => show(&act(&admin, &named, "close").await?),
        Command::Set(change) => {
            let (path, change) = (path_of(&find(&admin, &change.named).await?), changes(&change)?);
            show(&admin.ask(Method::PATCH, &path, Some(&change)).await?);
        }
        Command::Watch(named) => watch(&admin, &named, json).await?,
        Command::Admit { named, count } => {
            let path = path_of(&find(&admin, &named).await?);
            show(&admin.ask(Method::POST, &format!("{path}/admit"), Some(&json!({ "count": count }))).await?);
        }
        Command::Remove(ticket) => done(intervene(&admin, &ticket, "remove").await?, "removed"),
        Command::Prefer(ticket) => done(intervene(&admin, &ticket, "prefer").await?, "served next"),
        Command::Revoke { named, reason } => {
            let path = path_of(&find(&admin, &named).await?);
            let body = json!({ "reason": reason });
            done(admin.ask(Method::POST, &format!("{path}/revoke"), Some(&body)).await?, "revoked");
        }
        Command::Report(named) => {
            let path = path_of(&find(&admin, &named).await?);
            let report = admin.ask(Method::GET, &format!("{path}/report"), None).await?;
            if json { println!("{report}") } else { print!("{}", words::of_report(&report)) }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The sale of a name or an id.
async fn find(admin: &Admin, Named { sale }: &Named) -> Result<Value, Failure> {
    let mut sales = admin.ask(Method::GET, "", None).await?;
    let sales = sales["sales"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let is_it = |known: &Value| known["slug"] == **sale || known["id"] == **sale;
    let unknown = || Failure::new(format!("There is no sale `{sale}`; `fairline sale list` shows those that are."));
    sales.into_iter().find(is_it).ok_or_else(unknown)
}

fn path_of(sale: &Value) -> String {
    format!("/{}", sale["id"].as_str().unwrap_or_default())
}

async fn act(admin: &Admin, named: &Named, action: &str) -> Result<Value, Failure> {
    let path = path_of(&find(admin, named).await?);
    admin.ask(Method::POST, &format!("{path}/{action}"), None).await
}

async fn intervene(admin: &Admin, Ticket { named, ticket, reason }: &Ticket, how: &str) -> Result<Value, Failure> {
    let path = path_of(&find(admin, named).await?);
    let body = json!({ "reason": reason });
    admin.ask(Method::POST, &format!("{path}/tickets/{ticket}/{how}"), Some(&body)).await
}

async fn watch(admin: &Admin, named: &Named, json: bool) -> Result<(), Failure> {
    let path = path_of(&find(admin, named).await?);
    let mut shown = String::new();
    loop {
        let sale = admin.ask(Method::GET, &path, None).await?;
        let line = if json { sale.to_string() } else { words::in_a_line(&sale) };
        if line != shown {
            println!("{line}");
            shown = line;
        }
        if sale["status"] == "closed" {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
}

fn new_sale(create: Create) -> Result<Value, Failure> {
    let wrong =
        || Failure::new(format!("`{}` is no amount of {}: write it like 49.00.", create.price, create.currency));
    let price_minor = minor_units(&create.price, &create.currency).ok_or_else(wrong)?;
    let mut sale = json!({
        "slug": create.slug.unwrap_or_else(|| slug_of(&create.name)),
        "name": create.name,
        "description": create.description,
        "price_minor": price_minor,
        "currency": create.currency,
        "total": create.total,
        "per_shopper_limit": create.per_shopper,
        "rate_cap_per_s": create.rate,
        "hold_s": create.hold,
        "order": match create.order { Order::Fifo => "fifo", Order::Draw => "draw" },
        "mode": match create.mode { Mode::Guarantee => "guarantee", Mode::Yield => "yield" },
    });
    for (name, value) in [
        ("per_account_limit", create.per_account.map(Value::from)),
        ("inside_max", create.inside_max.map(Value::from)),
        ("opens_at", create.opens_at.map(Value::from)),
        ("ends_at", create.ends_at.map(Value::from)),
    ] {
        if let Some(value) = value {
            sale[name] = value;
        }
    }
    Ok(sale)
}

/// A name as it can stand in an address: `Brass lamp No. 7` is `brass-lamp-no-7`.
fn slug_of(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
    plain
        .split_whitespace()
        .collect::<Vec<_>>()
        .join("-")
        .chars()
        .take(63)
        .collect::<String>()
        .trim_end_matches('-')
        .to_owned()
}

fn changes(change: &Change) -> Result<Value, Failure> {
    let mut changes = Map::new();
    if let Some(rate) = change.rate {
        changes.insert("rate_cap_per_s".to_owned(), json!(rate));
    }
    if let Some(total) = change.total {
        changes.insert("total".to_owned(), json!(total));
    }
    if let Some(most) = &change.inside_max {
        let wrong = || Failure::new(format!("`{most}` is no number of shoppers: write one, or `none`."));
        let most = if most == "none" { Value::Null } else { json!(most.parse::<u32>().map_err(|_| wrong())?) };
        changes.insert("inside_max".to_owned(), most);
    }
    if let Some(message) = &change.message {
        let message = message.trim();
        changes.insert("message".to_owned(), if message.is_empty() { Value::Null } else { json!(message) });
    }
    if changes.is_empty() {
        return Err(Failure::new("Say what to change: --rate, --total, --inside-max or --message."));
    }
    Ok(Value::Object(changes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_one_in_addresses() {
        for (name, slug) in [("Brass lamp No. 7", "brass-lamp-no-7"), ("  --Ünder--  ", "nder"), ("lamp", "lamp")] {
            assert_eq!(slug_of(name), slug);
        }
        assert!(slug_of(&"a ".repeat(100)).len() <= 63);
    }
}
