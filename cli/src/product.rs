//! `fairline product`: the catalogue, from a terminal.

mod format;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    failure::CommandError,
    sale::{
        admin::{Admin, ControllerArguments},
        table::{self, ExportArguments, ImportArguments},
    },
};

/// The path of products in the admin API.
const PRODUCTS: &str = "/products";
/// The path of the table of products.
const TABLE: &str = "/products.csv";

#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Settings {
    #[command(flatten)]
    place: ControllerArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List products, the newest first: all, or those that match a text.
    List {
        /// A part of the name, or the beginning of a SKU.
        #[arg(value_name = "TEXT")]
        search: Option<String>,
        /// List archived products instead.
        #[arg(long)]
        archived: bool,
    },
    /// Show one product with its variants.
    Show {
        /// Its id, a part of its name, or the beginning of a SKU.
        product: String,
    },
    /// Import products from CSV: all rows, or none if one is wrong. A row updates the variant with
    /// its SKU, or adds one. Exit code 1 if a row is wrong.
    Import(ImportArguments),
    /// Export all products as CSV.
    Export(ExportArguments),
}

pub(crate) async fn run(settings: Settings, json: bool) -> Result<ExitCode, CommandError> {
    let admin = Admin::find(settings.place)?;
    match settings.command {
        Command::List { search, archived } => {
            let products = all(&admin, search.as_deref(), archived).await?;
            match json {
                true => println!("{}", json!({ "products": products })),
                false => print!("{}", format::of_products(&products)),
            }
        }
        Command::Show { product } => {
            let product = find(&admin, &product).await?;
            if json { println!("{product}") } else { print!("{}", format::of_product(&product)) }
        }
        Command::Import(import) => {
            let (report, is_right) = table::import(&admin, TABLE, &import).await?;
            if json {
                println!("{report}")
            } else {
                print!("{}", format::of_import(&report))
            }
            return Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Export(export) => table::export(&admin, TABLE, &export, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Fetches products page by page, the newest first.
async fn all(admin: &Admin, search: Option<&str>, archived: bool) -> Result<Vec<Value>, CommandError> {
    let search = search.map(|text| format!("&search={}", escaped(text))).unwrap_or_default();
    let query = format!("{PRODUCTS}?archived={archived}{search}");
    let (mut products, mut path) = (Vec::new(), query.clone());
    loop {
        let mut page = admin.ask(Method::GET, &path, None).await?;
        products.extend(page["products"].as_array_mut().map(std::mem::take).unwrap_or_default());
        let Some(next) = page["next"].as_str() else { return Ok(products) };
        path = format!("{query}&before={next}");
    }
}

/// Finds a product by its id, its name or a SKU.
async fn find(admin: &Admin, product: &str) -> Result<Value, CommandError> {
    let show = async |id: &str| admin.ask(Method::GET, &format!("{PRODUCTS}/{id}"), None).await;
    if Uuid::parse_str(product).is_ok() {
        return show(product).await;
    }
    let page = admin.ask(Method::GET, &format!("{PRODUCTS}?search={}", escaped(product)), None).await?;
    let found = page["products"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_exact = |one: &&Value| one["name"].as_str() == Some(product) || one["first_sku"].as_str() == Some(product);
    let exact: Vec<&Value> = found.iter().filter(is_exact).collect();
    let one = match (exact.as_slice(), found) {
        ([one], _) => *one,
        ([], [one]) => one,
        (_, []) => {
            let sentence = "`fairline product list` lists all products.";
            return Err(CommandError::new(format!("There is no product `{product}`; {sentence}")));
        }
        _ => {
            let listed = format::of_products(found);
            return Err(CommandError::new(format!("Several products match `{product}`: use the id.\n{listed}")));
        }
    };
    show(one["id"].as_str().unwrap_or_default()).await
}

/// Percent-encodes a text for a query.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
