//! Orders of a sale: search, refund and cancel.

use clap::Args;
use fairline_sale::minor_units;
use hyper::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{SaleArgument, admin::Admin, find, format, path_of};
use crate::failure::CommandError;

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    named: SaleArgument,
    /// Order id, ticket number, e-mail address, or the payment gateway's payment id.
    #[arg(value_name = "TEXT")]
    search: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct RefundArguments {
    #[command(flatten)]
    named: SaleArgument,
    /// Order id.
    order: Uuid,
    /// Amount, such as 12.50 [default: all that is left].
    #[arg(long, value_name = "AMOUNT")]
    amount: Option<String>,
    /// Reason, for the audit log.
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Args)]
pub(super) struct CancelArguments {
    #[command(flatten)]
    named: SaleArgument,
    /// Order id.
    order: Uuid,
    /// Reason, for the audit log.
    #[arg(long)]
    reason: String,
}

/// Percent-encodes a text for a query.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

pub(super) async fn list(admin: &Admin, list: &ListArguments, json: bool) -> Result<(), CommandError> {
    let path = path_of(&find(admin, &list.named).await?);
    let search = list.search.as_deref().map(|text| format!("search={}&", escaped(text))).unwrap_or_default();
    let mut before = String::new();
    loop {
        let page = admin.ask(Method::GET, &format!("{path}/orders?{search}{before}"), None).await?;
        for order in page["orders"].as_array().into_iter().flatten() {
            println!("{}", if json { order.to_string() } else { format::of_order(order) });
        }
        let Some(next) = page["next"].as_str() else { return Ok(()) };
        before = format!("before={next}");
    }
}

pub(super) async fn refund(admin: &Admin, refund: &RefundArguments, json: bool) -> Result<(), CommandError> {
    let sale = find(admin, &refund.named).await?;
    let currency = sale["currency"].as_str().unwrap_or_default();
    let amount = match &refund.amount {
        Some(text) => {
            let wrong = || CommandError::new(format!("`{text}` is not an amount in {currency}: write it like 49.00."));
            Some(minor_units(text, currency).ok_or_else(wrong)?)
        }
        None => None,
    };
    let body = json!({ "amount_minor": amount, "reason": refund.reason });
    ask(admin, &format!("{}/orders/{}/refund", path_of(&sale), refund.order), &body, json).await
}

pub(super) async fn cancel(admin: &Admin, cancel: &CancelArguments, json: bool) -> Result<(), CommandError> {
    let sale = find(admin, &cancel.named).await?;
    let path = format!("{}/orders/{}/cancel", path_of(&sale), cancel.order);
    ask(admin, &path, &json!({ "reason": cancel.reason }), json).await
}

async fn ask(admin: &Admin, path: &str, body: &Value, json: bool) -> Result<(), CommandError> {
    let answer = admin.ask(Method::POST, path, Some(body)).await?;
    println!("{}", if json { answer.to_string() } else { format::of_order(&answer) });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(escaped("ada+1@shop.example"), "ada%2B1%40shop.example");
    }
}
