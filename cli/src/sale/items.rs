//! The items of a sale: list, add, change, withdraw, import and export.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fairline_sale::minor_units;
use hyper::Method;
use serde_json::{Map, Value, json};

use super::{
    SaleArgument,
    admin::Admin,
    find, format, path_of,
    table::{self, ExportArguments, ImportArguments},
};
use crate::failure::CommandError;

#[derive(Debug, Subcommand)]
pub(super) enum ItemsCommand {
    /// List the items of a sale.
    List(SaleArgument),
    /// Add an item to a scheduled sale.
    Add(AddArguments),
    /// Change an item; its price and its limit only while the sale is scheduled.
    Set(SetArguments),
    /// Withdraw an item of a scheduled sale.
    Withdraw(ItemArguments),
    /// Import items from CSV: all rows, or none if one is wrong. A row updates the item with its
    /// SKU, or adds one. Exit code 1 if a row is wrong.
    Import {
        #[command(flatten)]
        named: SaleArgument,
        #[command(flatten)]
        import: ImportArguments,
    },
    /// Export the items as CSV.
    Export {
        #[command(flatten)]
        named: SaleArgument,
        #[command(flatten)]
        export: ExportArguments,
    },
}

#[derive(Debug, Args)]
pub(super) struct ItemArguments {
    #[command(flatten)]
    named: SaleArgument,
    /// SKU of the item.
    sku: String,
}

#[derive(Debug, Args)]
pub(super) struct AddArguments {
    #[command(flatten)]
    item: ItemArguments,
    /// Price of one unit, such as 49.00.
    #[arg(long, value_name = "AMOUNT")]
    price: String,
    /// Units in stock.
    #[arg(long, value_name = "UNITS")]
    total: u32,
    /// Name [default: that of the catalogue's variant with the SKU].
    #[arg(long)]
    name: Option<String>,
    /// Usual price, shown beside the sale's [default: the variant's list price].
    #[arg(long, value_name = "AMOUNT")]
    list_price: Option<String>,
    /// Units that one shopper may buy [default: the sale's limit].
    #[arg(long, value_name = "UNITS")]
    per_shopper: Option<u32>,
}

#[derive(Debug, Args)]
pub(super) struct SetArguments {
    #[command(flatten)]
    item: ItemArguments,
    /// Name.
    #[arg(long)]
    name: Option<String>,
    /// Price of one unit, such as 49.00.
    #[arg(long, value_name = "AMOUNT")]
    price: Option<String>,
    /// Usual price, shown beside the sale's; `none` to show none.
    #[arg(long, value_name = "AMOUNT")]
    list_price: Option<String>,
    /// Units in stock.
    #[arg(long, value_name = "UNITS")]
    total: Option<u32>,
    /// Units that one shopper may buy; `none` for the sale's limit.
    #[arg(long, value_name = "UNITS")]
    per_shopper: Option<String>,
    /// Place in the list, from 1.
    #[arg(long, value_name = "PLACE", value_parser = clap::value_parser!(u8).range(1..=200))]
    place: Option<u8>,
    /// Offer a withdrawn item again.
    #[arg(long)]
    restore: bool,
}

pub(super) async fn run(admin: &Admin, command: ItemsCommand, json: bool) -> Result<ExitCode, CommandError> {
    match command {
        ItemsCommand::List(named) => show(admin, &find(admin, &named).await?, json).await?,
        ItemsCommand::Add(add) => {
            let sale = find(admin, &add.item.named).await?;
            admin.ask(Method::POST, &format!("{}/items", path_of(&sale)), Some(&added(&add, &sale)?)).await?;
            show(admin, &sale, json).await?;
        }
        ItemsCommand::Set(set) => {
            let sale = find(admin, &set.item.named).await?;
            let item = item(admin, &sale, &set.item.sku).await?;
            let path = format!("{}/items/{}", path_of(&sale), item["item"]);
            admin.ask(Method::PATCH, &path, Some(&changed(&set, &sale, &item)?)).await?;
            show(admin, &sale, json).await?;
        }
        ItemsCommand::Withdraw(ItemArguments { named, sku }) => {
            let sale = find(admin, &named).await?;
            let item = item(admin, &sale, &sku).await?;
            admin.ask(Method::DELETE, &format!("{}/items/{}", path_of(&sale), item["item"]), None).await?;
            show(admin, &sale, json).await?;
        }
        ItemsCommand::Import { named, import } => {
            let path = format!("{}/items.csv", path_of(&find(admin, &named).await?));
            let (report, is_right) = table::import(admin, &path, &import).await?;
            if json {
                println!("{report}")
            } else {
                print!("{}", format::of_item_import(&report))
            }
            return Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        ItemsCommand::Export { named, export } => {
            let path = format!("{}/items.csv", path_of(&find(admin, &named).await?));
            table::export(admin, &path, &export, json).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The items of a sale, in the order of display.
pub(super) async fn of(admin: &Admin, sale: &Value) -> Result<Vec<Value>, CommandError> {
    let mut listed = admin.ask(Method::GET, &format!("{}/items", path_of(sale)), None).await?;
    Ok(listed["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

async fn show(admin: &Admin, sale: &Value, json: bool) -> Result<(), CommandError> {
    let items = of(admin, sale).await?;
    let currency = sale["currency"].as_str().unwrap_or_default();
    if json {
        println!("{}", json!({ "items": items }))
    } else {
        print!("{}", format::of_items(&items, currency))
    }
    Ok(())
}

async fn item(admin: &Admin, sale: &Value, sku: &str) -> Result<Value, CommandError> {
    let items = of(admin, sale).await?;
    let found = items.into_iter().find(|item| item["sku"] == sku);
    found.ok_or_else(|| {
        CommandError::new(format!("The sale has no item `{sku}`; `fairline sale items list` lists them."))
    })
}

fn amount(text: &str, sale: &Value) -> Result<Value, CommandError> {
    let currency = sale["currency"].as_str().unwrap_or_default();
    let wrong = || CommandError::new(format!("`{text}` is not an amount in {currency}: write it like 49.00."));
    minor_units(text, currency).map(Value::from).ok_or_else(wrong)
}

fn added(add: &AddArguments, sale: &Value) -> Result<Value, CommandError> {
    let mut item = json!({ "sku": add.item.sku, "price_minor": amount(&add.price, sale)?, "total": add.total });
    if let Some(name) = &add.name {
        item["name"] = json!(name);
    }
    if let Some(list_price) = &add.list_price {
        item["list_minor"] = amount(list_price, sale)?;
    }
    if let Some(limit) = add.per_shopper {
        item["per_shopper_limit"] = json!(limit);
    }
    Ok(item)
}

fn changed(set: &SetArguments, sale: &Value, item: &Value) -> Result<Value, CommandError> {
    let mut changes = Map::new();
    let mut change = |field: &str, value: Value| changes.insert(field.to_owned(), value);
    if let Some(name) = &set.name {
        change("name", json!(name));
    }
    if let Some(price) = &set.price {
        change("price_minor", amount(price, sale)?);
    }
    if let Some(price) = &set.list_price {
        change("list_minor", if price == "none" { Value::Null } else { amount(price, sale)? });
    }
    if let Some(total) = set.total {
        change("total", json!(total));
    }
    if let Some(limit) = &set.per_shopper {
        let wrong = || CommandError::new(format!("`{limit}` is not a number of units: use a number or `none`."));
        let limit = if limit == "none" { Value::Null } else { json!(limit.parse::<u32>().map_err(|_| wrong())?) };
        change("per_shopper_limit", limit);
    }
    if let Some(place) = set.place {
        change("position", json!(place - 1));
    }
    if set.restore {
        change("withdrawn", json!(false));
    }
    if changes.is_empty() {
        return Err(CommandError::new("Nothing to change: `fairline sale items set --help` lists the settings."));
    }
    changes.insert("version".to_owned(), item["version"].clone());
    Ok(Value::Object(changes))
}
