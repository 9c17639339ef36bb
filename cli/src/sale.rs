//! `fairline sale`: the console's functions, from a terminal.

mod admin;
mod desk;
mod orders;
mod words;

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use fairline_sale::minor_units;
use hyper::Method;
use serde_json::{Map, Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use self::admin::{Admin, Where};
use crate::failure::Failure;

/// Polling interval.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The path of sales in the admin API.
const SALES: &str = "/sales";
/// The fields that a copy takes from its original.
const COPIED: &[&str] = &[
    "description",
    "price_minor",
    "currency",
    "total",
    "per_shopper_limit",
    "per_account_limit",
    "rate_cap_per_s",
    "inside_max",
    "token_ttl_s",
    "claim_window_s",
    "hold_s",
    "recall_window_s",
    "grace_s",
    "order",
    "mode",
    "risk",
    "prior_sale",
    "look",
    "time_zone",
];

#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Settings {
    #[command(flatten)]
    place: Where,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a sale; it opens now unless --opens-at says otherwise.
    Create(Box<Create>),
    /// Create a copy of a sale, for another time.
    Copy(Copy),
    /// List all sales, the newest first.
    List,
    /// Show one sale.
    Show(Named),
    /// Open a sale now.
    Open(Named),
    /// Pause admissions.
    Pause(Named),
    /// Resume admissions.
    Resume(Named),
    /// Close a sale for good.
    Close(Named),
    /// Change the settings of a sale that may change while it runs.
    Set(Change),
    /// Print a sale whenever it changes, until it is closed.
    Watch(Named),
    /// Admit a number of shoppers at once, above the rate.
    Admit {
        #[command(flatten)]
        named: Named,
        /// Number of shoppers.
        #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
        count: u32,
    },
    /// Remove a ticket from the line.
    Remove(Ticket),
    /// Serve a ticket before all others.
    Prefer(Ticket),
    /// Revoke all issued tokens; their shoppers wait again, at the front.
    Revoke {
        #[command(flatten)]
        named: Named,
        /// Reason, for the audit log.
        #[arg(long)]
        reason: String,
    },
    /// List the orders of a sale, the newest first: all, or those that match a search.
    Orders(orders::List),
    /// Refund a paid order, in full or in part.
    Refund(orders::Refund),
    /// Cancel an unpaid order.
    CancelOrder(orders::Cancel),
    /// Print the results of a sale.
    Report(Named),
    /// Rehearse: send simulated shoppers to a copy of a sale, and wait until they have finished.
    /// Exit code 0 if every promise was kept, 1 if not.
    Rehearse(desk::Rehearse),
    /// Manage the lanes of a sale, and invitations to them.
    Lanes {
        #[command(subcommand)]
        command: desk::Lanes,
    },
    /// Show the audit log, the newest entry first.
    Audit(desk::Audit),
    /// List the operators.
    Operators,
    /// Manage API tokens of programs.
    Tokens {
        #[command(subcommand)]
        command: desk::Tokens,
    },
    /// Manage webhooks for events.
    Webhooks {
        #[command(subcommand)]
        command: desk::Webhooks,
    },
}

#[derive(Debug, Args)]
struct Ticket {
    #[command(flatten)]
    named: Named,
    /// Ticket number, as the shopper's page shows it.
    ticket: u64,
    /// Reason, for the audit log.
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Args)]
struct Named {
    /// The sale: its URL slug or its id.
    #[arg(value_name = "SALE")]
    sale: String,
}

/// The order in which the line is served.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Order {
    Fifo,
    Draw,
}

/// The admission mode.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    Guarantee,
    Yield,
}

#[derive(Debug, Args)]
struct Create {
    /// Name of the product.
    #[arg(value_name = "NAME")]
    name: String,
    /// URL slug [default: derived from NAME].
    #[arg(long)]
    slug: Option<String>,
    /// Description: a sentence or two.
    #[arg(long, default_value = "")]
    description: String,
    /// Price of one unit, such as 49.00.
    #[arg(long, value_name = "AMOUNT")]
    price: String,
    /// ISO 4217 currency code.
    #[arg(long, default_value = "EUR")]
    currency: String,
    /// Units in stock.
    #[arg(long, value_name = "UNITS")]
    total: u32,
    /// Units that one shopper may buy.
    #[arg(long, value_name = "UNITS", default_value_t = 1)]
    per_shopper: u32,
    /// Units that one account may buy; requires shoppers to sign in.
    #[arg(long, value_name = "UNITS")]
    per_account: Option<u32>,
    /// Maximum admissions per second.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 10.0)]
    rate: f64,
    /// Maximum shoppers in checkout [default: unlimited].
    #[arg(long, value_name = "SHOPPERS")]
    inside_max: Option<u32>,
    /// Opening time: 2026-11-27T09:00:00+01:00 [default: now].
    #[arg(long, value_name = "TIME")]
    opens_at: Option<String>,
    /// End time [default: none].
    #[arg(long, value_name = "TIME")]
    ends_at: Option<String>,
    /// Time zone in which the console shows the sale, such as Europe/Berlin.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
    /// Seconds in which a hold must be paid.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    hold: u32,
    /// Seconds in which a token can be redeemed [default: 120].
    #[arg(long, value_name = "SECONDS")]
    token_ttl: Option<u32>,
    /// Seconds in which a page must claim its token [default: 15].
    #[arg(long, value_name = "SECONDS")]
    claim_window: Option<u32>,
    /// Seconds after its turn for which a ticket is still recalled [default: 1800].
    #[arg(long, value_name = "SECONDS")]
    recall_window: Option<u32>,
    /// Grace period: seconds for which a disconnected shopper keeps the place [default: the waiting
    /// rooms' setting].
    #[arg(long, value_name = "SECONDS")]
    grace: Option<u32>,
    /// The order in which the line is served.
    #[arg(long, value_enum, default_value = "fifo")]
    order: Order,
    /// Admission mode.
    #[arg(long, value_enum, default_value = "guarantee")]
    mode: Mode,
    /// In yield mode: the share of paying shoppers who may find no unit [default: 0.001].
    #[arg(long, value_name = "PART")]
    risk: Option<f64>,
    /// An earlier sale with similar shopper behaviour.
    #[arg(long, value_name = "SALE")]
    prior_sale: Option<String>,
    #[command(flatten)]
    look: LookArgs,
}

/// The theme of a sale's pages.
#[derive(Debug, Args)]
struct LookArgs {
    /// Colour of buttons and links: #rrggbb.
    #[arg(long, value_name = "COLOUR")]
    accent: Option<String>,
    /// Background colour: #rrggbb.
    #[arg(long, value_name = "COLOUR")]
    paper: Option<String>,
    /// Text for shoppers who wait.
    #[arg(long, value_name = "TEXT")]
    waiting_text: Option<String>,
    /// Text for shoppers who have a turn.
    #[arg(long, value_name = "TEXT")]
    turn_text: Option<String>,
    /// Text for shoppers who came too late.
    #[arg(long, value_name = "TEXT")]
    sold_out_text: Option<String>,
}

impl LookArgs {
    /// Applies the given settings to a theme; an empty text restores the default.
    fn over(&self, look: &Value) -> Option<Value> {
        let mut look = look.as_object().cloned().unwrap_or_default();
        let said = [
            ("accent", &self.accent),
            ("paper", &self.paper),
            ("waiting_text", &self.waiting_text),
            ("turn_text", &self.turn_text),
            ("sold_out_text", &self.sold_out_text),
        ];
        let mut is_said = false;
        for (name, text) in said {
            let Some(text) = text else { continue };
            is_said = true;
            if text.is_empty() {
                look.remove(name)
            } else {
                look.insert(name.to_owned(), json!(text))
            };
        }
        is_said.then_some(Value::Object(look))
    }
}

#[derive(Debug, Args)]
struct Copy {
    #[command(flatten)]
    named: Named,
    /// URL slug [default: that of the original with `-copy`].
    #[arg(long)]
    slug: Option<String>,
    /// Name of the product [default: that of the original].
    #[arg(long)]
    name: Option<String>,
    /// Opening time: 2026-11-27T09:00:00+01:00 [default: now].
    #[arg(long, value_name = "TIME")]
    opens_at: Option<String>,
    /// End time [default: none].
    #[arg(long, value_name = "TIME")]
    ends_at: Option<String>,
}

#[derive(Debug, Args)]
struct Change {
    #[command(flatten)]
    named: Named,
    /// Maximum admissions per second.
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// Units in stock.
    #[arg(long, value_name = "UNITS")]
    total: Option<u32>,
    /// Maximum shoppers in checkout; `none` for unlimited.
    #[arg(long, value_name = "SHOPPERS")]
    inside_max: Option<String>,
    /// Message to all waiting shoppers; empty removes it.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Seconds after its turn for which a ticket is still recalled.
    #[arg(long, value_name = "SECONDS")]
    recall_window: Option<u32>,
    /// Grace period: seconds for which a disconnected shopper keeps the place; `none` for the
    /// waiting rooms' setting.
    #[arg(long, value_name = "SECONDS")]
    grace: Option<String>,
    /// Opening time of a scheduled sale.
    #[arg(long, value_name = "TIME")]
    opens_at: Option<String>,
    /// End time of a scheduled sale; `none` for no end time.
    #[arg(long, value_name = "TIME")]
    ends_at: Option<String>,
    #[command(flatten)]
    look: LookArgs,
}

pub(crate) async fn run(settings: Settings, json: bool) -> Result<ExitCode, Failure> {
    let Settings { place, command } = settings;
    let admin = Admin::find(place)?;
    let done = |answer: Value, word: &str| println!("{}", if json { answer.to_string() } else { word.to_owned() });
    let show = |sale: &Value| if json { println!("{sale}") } else { print!("{}", words::of_sale(sale)) };
    match command {
        Command::Create(mut create) => {
            if let Some(prior) = create.prior_sale.take() {
                let prior = find(&admin, &Named { sale: prior }).await?;
                create.prior_sale = prior["id"].as_str().map(str::to_owned);
            }
            show(&admin.ask(Method::POST, SALES, Some(&new_sale(*create)?)).await?);
        }
        Command::Copy(copy) => {
            let sale = find(&admin, &copy.named).await?;
            show(&admin.ask(Method::POST, SALES, Some(&copied(&sale, copy))).await?);
        }
        Command::List => {
            let sales = all(&admin).await?;
            if json { println!("{}", json!({ "sales": sales })) } else { print!("{}", words::of_sales(&sales)) }
        }
        Command::Show(named) => show(&find(&admin, &named).await?),
        Command::Open(named) => show(&act(&admin, &named, "open").await?),
        Command::Pause(named) => show(&act(&admin, &named, "pause").await?),
        Command::Resume(named) => show(&act(&admin, &named, "resume").await?),
        Command::Close(named) => show(&act(&admin, &named, "close").await?),
        Command::Set(change) => {
            let sale = find(&admin, &change.named).await?;
            show(&admin.ask(Method::PATCH, &path_of(&sale), Some(&changes(&change, &sale)?)).await?);
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
        Command::Orders(list) => orders::list(&admin, &list, json).await?,
        Command::Refund(refund) => orders::refund(&admin, &refund, json).await?,
        Command::CancelOrder(cancel) => orders::cancel(&admin, &cancel, json).await?,
        Command::Report(named) => {
            let path = path_of(&find(&admin, &named).await?);
            let report = admin.ask(Method::GET, &format!("{path}/report"), None).await?;
            if json { println!("{report}") } else { print!("{}", words::of_report(&report)) }
        }
        Command::Rehearse(rehearse) => return desk::rehearse(&admin, &rehearse, json).await,
        Command::Lanes { command } => desk::lanes(&admin, command, json).await?,
        Command::Audit(audit) => desk::audit(&admin, &audit, json).await?,
        Command::Operators => desk::operators(&admin, json).await?,
        Command::Tokens { command } => desk::tokens(&admin, command, json).await?,
        Command::Webhooks { command } => desk::webhooks(&admin, command, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Finds a sale by its slug or id.
async fn find(admin: &Admin, Named { sale }: &Named) -> Result<Value, Failure> {
    if Uuid::parse_str(sale).is_ok() {
        return admin.ask(Method::GET, &format!("{SALES}/{sale}"), None).await;
    }
    let unknown = || Failure::new(format!("There is no sale `{sale}`; `fairline sale list` lists all sales."));
    // A text that is not a valid slug matches no sale.
    let is_plain = sale.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let mut found = match is_plain {
        true => admin.ask(Method::GET, &format!("{SALES}?slug={sale}"), None).await?,
        false => Value::Null,
    };
    found["sales"].get_mut(0).map(Value::take).ok_or_else(unknown)
}

/// Fetches all sales page by page, the newest first.
async fn all(admin: &Admin) -> Result<Vec<Value>, Failure> {
    let (mut sales, mut path) = (Vec::new(), SALES.to_owned());
    loop {
        let mut page = admin.ask(Method::GET, &path, None).await?;
        sales.extend(page["sales"].as_array_mut().map(std::mem::take).unwrap_or_default());
        let Some(next) = page["next"].as_str() else { return Ok(sales) };
        path = format!("{SALES}?before={next}");
    }
}

fn path_of(sale: &Value) -> String {
    format!("{SALES}/{}", sale["id"].as_str().unwrap_or_default())
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
        let sale = admin.look(&path).await?;
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
        "time_zone": create.time_zone,
        "order": match create.order { Order::Fifo => "fifo", Order::Draw => "draw" },
        "mode": match create.mode { Mode::Guarantee => "guarantee", Mode::Yield => "yield" },
    });
    for (name, value) in [
        ("per_account_limit", create.per_account.map(Value::from)),
        ("token_ttl_s", create.token_ttl.map(Value::from)),
        ("claim_window_s", create.claim_window.map(Value::from)),
        ("recall_window_s", create.recall_window.map(Value::from)),
        ("grace_s", create.grace.map(Value::from)),
        ("risk", create.risk.map(Value::from)),
        ("prior_sale", create.prior_sale.map(Value::from)),
        ("look", create.look.over(&Value::Null)),
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

/// A copy of a sale, with its own time window.
fn copied(sale: &Value, copy: Copy) -> Value {
    let mut new = Map::new();
    for field in COPIED {
        if !sale[field].is_null() {
            new.insert((*field).to_owned(), sale[field].clone());
        }
    }
    let of = |field: &str| sale[field].as_str().unwrap_or_default().to_owned();
    new.insert(
        "slug".to_owned(),
        json!(copy.slug.unwrap_or_else(|| slug_of(&(of("slug") + "-copy").replace('-', " ")))),
    );
    new.insert("name".to_owned(), json!(copy.name.unwrap_or_else(|| of("name"))));
    new.extend(copy.opens_at.map(|at| ("opens_at".to_owned(), json!(at))));
    new.extend(copy.ends_at.map(|at| ("ends_at".to_owned(), json!(at))));
    Value::Object(new)
}

/// Derives a slug from a name: `Brass lamp No. 7` is `brass-lamp-no-7`.
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

fn changes(change: &Change, sale: &Value) -> Result<Value, Failure> {
    let mut changes = Map::new();
    if let Some(seconds) = change.recall_window {
        changes.insert("recall_window_s".to_owned(), json!(seconds));
    }
    if let Some(seconds) = &change.grace {
        let wrong = || Failure::new(format!("`{seconds}` is not a number of seconds: use a number or `none`."));
        let seconds = if seconds == "none" { Value::Null } else { json!(seconds.parse::<u32>().map_err(|_| wrong())?) };
        changes.insert("grace_s".to_owned(), seconds);
    }
    if let Some(at) = &change.opens_at {
        changes.insert("opens_at".to_owned(), json!(at));
    }
    if let Some(at) = &change.ends_at {
        changes.insert("ends_at".to_owned(), if at == "none" { Value::Null } else { json!(at) });
    }
    changes.extend(change.look.over(&sale["look"]).map(|look| ("look".to_owned(), look)));
    if let Some(rate) = change.rate {
        changes.insert("rate_cap_per_s".to_owned(), json!(rate));
    }
    if let Some(total) = change.total {
        changes.insert("total".to_owned(), json!(total));
    }
    if let Some(most) = &change.inside_max {
        let wrong = || Failure::new(format!("`{most}` is not a number of shoppers: use a number or `none`."));
        let most = if most == "none" { Value::Null } else { json!(most.parse::<u32>().map_err(|_| wrong())?) };
        changes.insert("inside_max".to_owned(), most);
    }
    if let Some(message) = &change.message {
        let message = message.trim();
        changes.insert("message".to_owned(), if message.is_empty() { Value::Null } else { json!(message) });
    }
    if changes.is_empty() {
        return Err(Failure::new("Say what to change: `fairline sale set --help` lists what can be."));
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
