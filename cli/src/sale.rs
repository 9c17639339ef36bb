//! `fairline sale`: the console's functions, from a terminal.

pub(crate) mod admin;
mod admin_commands;
mod arguments;
mod format;
mod items;
mod orders;
pub(crate) mod table;

use std::{process::ExitCode, time::Duration};

use clap::Args;
use fairline_sale::minor_units;
use hyper::Method;
use serde_json::{Map, Value, json};
use tokio::time::sleep;
use uuid::Uuid;

pub(crate) use self::arguments::Settings;
use self::{
    admin::Admin,
    arguments::{ChangeArguments, Command, Copy, CreateArguments, TicketArguments},
};
use crate::failure::CommandError;

/// Polling interval.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
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
    "in_checkout_max",
    "token_ttl_s",
    "claim_window_s",
    "hold_s",
    "recall_window_s",
    "grace_s",
    "order",
    "mode",
    "risk",
    "prior_sale",
    "theme",
    "time_zone",
];

pub(crate) async fn run(settings: Settings, json: bool) -> Result<ExitCode, CommandError> {
    let Settings { place, command } = settings;
    let admin = Admin::find(place)?;
    let done = |answer: Value, word: &str| println!("{}", if json { answer.to_string() } else { word.to_owned() });
    let show = |sale: &Value| if json { println!("{sale}") } else { print!("{}", format::of_sale(sale)) };
    match command {
        Command::Create(mut create) => {
            if let Some(prior) = create.prior_sale.take() {
                let prior = find(&admin, &SaleArgument { sale: prior }).await?;
                create.prior_sale = prior["id"].as_str().map(str::to_owned);
            }
            show(&admin.ask(Method::POST, SALES, Some(&new_sale(*create)?)).await?);
        }
        Command::Copy(copy) => {
            let sale = find(&admin, &copy.named).await?;
            let new = copied(&sale, &items::of(&admin, &sale).await?, copy);
            show(&admin.ask(Method::POST, SALES, Some(&new)).await?);
        }
        Command::List => {
            let sales = all(&admin).await?;
            if json { println!("{}", json!({ "sales": sales })) } else { print!("{}", format::of_sales(&sales)) }
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
        Command::Remove(ticket) => done(act_on_ticket(&admin, &ticket, "remove").await?, "removed"),
        Command::Prefer(ticket) => done(act_on_ticket(&admin, &ticket, "prefer").await?, "served next"),
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
            if json { println!("{report}") } else { print!("{}", format::of_report(&report)) }
        }
        Command::Rehearse(rehearse) => return admin_commands::rehearse(&admin, &rehearse, json).await,
        Command::Items { command } => return items::run(&admin, command, json).await,
        Command::Lanes { command } => admin_commands::lanes(&admin, command, json).await?,
        Command::Audit(audit) => admin_commands::audit(&admin, &audit, json).await?,
        Command::Operators => admin_commands::operators(&admin, json).await?,
        Command::Tokens { command } => admin_commands::tokens(&admin, command, json).await?,
        Command::Webhooks { command } => admin_commands::webhooks(&admin, command, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Args)]
struct SaleArgument {
    /// The sale: its URL slug or its id.
    #[arg(value_name = "SALE")]
    sale: String,
}

/// Finds a sale by its slug or id.
async fn find(admin: &Admin, SaleArgument { sale }: &SaleArgument) -> Result<Value, CommandError> {
    if Uuid::parse_str(sale).is_ok() {
        return admin.ask(Method::GET, &format!("{SALES}/{sale}"), None).await;
    }
    let unknown = || CommandError::new(format!("There is no sale `{sale}`; `fairline sale list` lists all sales."));
    // A text that is not a valid slug matches no sale.
    let is_plain = sale.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let mut found = match is_plain {
        true => admin.ask(Method::GET, &format!("{SALES}?slug={sale}"), None).await?,
        false => Value::Null,
    };
    found["sales"].get_mut(0).map(Value::take).ok_or_else(unknown)
}

/// Fetches all sales page by page, the newest first.
async fn all(admin: &Admin) -> Result<Vec<Value>, CommandError> {
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

async fn act(admin: &Admin, named: &SaleArgument, action: &str) -> Result<Value, CommandError> {
    let path = path_of(&find(admin, named).await?);
    admin.ask(Method::POST, &format!("{path}/{action}"), None).await
}

async fn act_on_ticket(
    admin: &Admin,
    TicketArguments { named, ticket, reason }: &TicketArguments,
    how: &str,
) -> Result<Value, CommandError> {
    let path = path_of(&find(admin, named).await?);
    let body = json!({ "reason": reason });
    admin.ask(Method::POST, &format!("{path}/tickets/{ticket}/{how}"), Some(&body)).await
}

async fn watch(admin: &Admin, named: &SaleArgument, json: bool) -> Result<(), CommandError> {
    let path = path_of(&find(admin, named).await?);
    let mut shown = String::new();
    loop {
        let sale = admin.poll(&path).await?;
        let line = if json { sale.to_string() } else { format::in_a_line(&sale) };
        if line != shown {
            println!("{line}");
            shown = line;
        }
        if sale["status"] == "closed" {
            return Ok(());
        }
        sleep(POLL_INTERVAL).await;
    }
}

fn new_sale(create: CreateArguments) -> Result<Value, CommandError> {
    let wrong = || {
        CommandError::new(format!("`{}` is not an amount in {}: write it like 49.00.", create.price, create.currency))
    };
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
        "order": create.order,
        "mode": create.mode,
    });
    for (name, value) in [
        ("per_account_limit", create.per_account.map(Value::from)),
        ("token_ttl_s", create.token_ttl.map(Value::from)),
        ("claim_window_s", create.claim_window.map(Value::from)),
        ("recall_window_s", create.recall_window.map(Value::from)),
        ("grace_s", create.grace.map(Value::from)),
        ("risk", create.risk.map(Value::from)),
        ("prior_sale", create.prior_sale.map(Value::from)),
        ("theme", create.theme.over(&Value::Null)),
        ("in_checkout_max", create.in_checkout_max.map(Value::from)),
        ("opens_at", create.opens_at.map(Value::from)),
        ("ends_at", create.ends_at.map(Value::from)),
    ] {
        if let Some(value) = value {
            sale[name] = value;
        }
    }
    Ok(sale)
}

/// The fields of an item that a copy takes from its original.
const COPIED_OF_ITEMS: &[&str] =
    &["sku", "name", "attributes", "list_minor", "price_minor", "total", "per_shopper_limit"];

/// The items that a copy offers; `None` for one that is no more than the sale's name and price.
fn copied_items(sale: &Value, items: &[Value]) -> Option<Value> {
    let offered: Vec<&Value> = items.iter().filter(|item| item["withdrawn"] != true).collect();
    let is_simple = |item: &Value| {
        let is_own = ["list_minor", "per_shopper_limit"].iter().all(|field| item[*field].is_null());
        is_own && item["sku"] == sale["slug"] && item["name"] == sale["name"] && item["attributes"] == json!([])
    };
    let copied = |item: &&Value| -> Map<String, Value> {
        COPIED_OF_ITEMS.iter().map(|field| ((*field).to_owned(), item[*field].clone())).collect()
    };
    let needs_items = offered.len() != 1 || !is_simple(offered[0]);
    needs_items.then(|| offered.iter().map(copied).collect())
}

/// A copy of a sale, with its own time window.
fn copied(sale: &Value, items: &[Value], copy: Copy) -> Value {
    let mut new = Map::new();
    for field in COPIED {
        if !sale[field].is_null() {
            new.insert((*field).to_owned(), sale[field].clone());
        }
    }
    if let Some(items) = copied_items(sale, items) {
        new.retain(|field, _| !["price_minor", "total"].contains(&field.as_str()));
        new.insert("items".to_owned(), items);
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

fn changes(change: &ChangeArguments, sale: &Value) -> Result<Value, CommandError> {
    let mut changes = Map::new();
    if let Some(seconds) = change.recall_window {
        changes.insert("recall_window_s".to_owned(), json!(seconds));
    }
    if let Some(seconds) = &change.grace {
        let wrong = || CommandError::new(format!("`{seconds}` is not a number of seconds: use a number or `none`."));
        let seconds = if seconds == "none" { Value::Null } else { json!(seconds.parse::<u32>().map_err(|_| wrong())?) };
        changes.insert("grace_s".to_owned(), seconds);
    }
    if let Some(at) = &change.opens_at {
        changes.insert("opens_at".to_owned(), json!(at));
    }
    if let Some(at) = &change.ends_at {
        changes.insert("ends_at".to_owned(), if at == "none" { Value::Null } else { json!(at) });
    }
    changes.extend(change.theme.over(&sale["theme"]).map(|theme| ("theme".to_owned(), theme)));
    if let Some(rate) = change.rate {
        changes.insert("rate_cap_per_s".to_owned(), json!(rate));
    }
    if let Some(total) = change.total {
        changes.insert("total".to_owned(), json!(total));
    }
    if let Some(most) = &change.in_checkout_max {
        let wrong = || CommandError::new(format!("`{most}` is not a number of shoppers: use a number or `none`."));
        let most = if most == "none" { Value::Null } else { json!(most.parse::<u32>().map_err(|_| wrong())?) };
        changes.insert("in_checkout_max".to_owned(), most);
    }
    if let Some(message) = &change.message {
        let message = message.trim();
        changes.insert("message".to_owned(), if message.is_empty() { Value::Null } else { json!(message) });
    }
    if changes.is_empty() {
        return Err(CommandError::new("Nothing to change: `fairline sale set --help` lists the settings."));
    }
    Ok(Value::Object(changes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_offers_the_same_items() {
        let sale = json!({ "slug": "shoe", "name": "Shoe" });
        let item = |sku: &str, withdrawn: bool| json!({ "item": 1, "sku": sku, "name": "Shoe", "attributes": [], "total": 2, "withdrawn": withdrawn });
        assert_eq!(copied_items(&sale, &[item("shoe", false), item("S-43", true)]), None);
        let copied = copied_items(&sale, &[item("S-42", false), item("S-43", true)]).expect("items");
        assert_eq!(copied.as_array().map(Vec::len), Some(1));
        assert_eq!((&copied[0]["sku"], &copied[0]["total"]), (&json!("S-42"), &json!(2)));
        assert_eq!(copied[0]["item"], Value::Null, "its number is that of the copy");
    }

    #[test]
    fn a_name_becomes_a_slug() {
        for (name, slug) in [("Brass lamp No. 7", "brass-lamp-no-7"), ("  --Ünder--  ", "nder"), ("lamp", "lamp")] {
            assert_eq!(slug_of(name), slug);
        }
        assert!(slug_of(&"a ".repeat(100)).len() <= 63);
    }
}
