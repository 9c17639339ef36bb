//! Formats sales for the terminal. Pure.

use std::fmt::Write as _;

use fairline_rush::counted;
use fairline_sale::price_text;
use serde_json::Value;

use super::table::{errors_text, outcome_text};

fn number(sale: &Value, field: &str) -> String {
    sale[field].as_i64().map_or_else(|| "–".to_owned(), |number| number.to_string())
}

fn text<'a>(sale: &'a Value, field: &str) -> &'a str {
    sale[field].as_str().unwrap_or("–")
}

/// All facts of one sale.
pub(super) fn of_sale(sale: &Value) -> String {
    let price = price_text(sale["price_minor"].as_i64().unwrap_or_default(), text(sale, "currency"));
    let inside =
        sale["in_checkout_max"].as_i64().map_or_else(String::new, |most| format!(", up to {most} in checkout"));
    let account = sale["per_account_limit"].as_i64().map_or_else(String::new, |most| format!(", {most} per account"));
    let mut out = String::new();
    // Writing to text can't fail.
    let mut line = |label: &str, value: String| {
        let _ = writeln!(out, "{label:<10}{value}");
    };
    line("sale", format!("{} ({})", text(sale, "name"), text(sale, "slug")));
    line("id", text(sale, "id").to_owned());
    line("status", text(sale, "status").to_owned());
    line("price", format!("{price}, {} per shopper{account}", number(sale, "per_shopper_limit")));
    line("stock", stock(sale));
    line("line", format!("{} waiting, {} admitted", number(sale, "waiting"), number(sale, "admitted")));
    line("rate", format!("up to {} per second{inside}", sale["rate_cap_per_s"]));
    let grace =
        sale["grace_s"].as_i64().map_or_else(|| "default of the waiting rooms".to_owned(), |s| format!("{s} s"));
    line("grace", grace);
    line("mode", format!("{}, {}", text(sale, "mode"), text(sale, "order")));
    line("opens", text(sale, "opens_at").to_owned());
    line("ends", text(sale, "ends_at").to_owned());
    line("message", text(sale, "message").to_owned());
    line("limit", text(sale, "last_decision").to_owned());
    out
}

/// The results of a sale.
pub(super) fn of_report(report: &Value) -> String {
    let (sale, funnel, orders) = (&report["sale"], &report["funnel"], &report["orders"]);
    let price = |field: &str| price_text(report[field].as_i64().unwrap_or_default(), text(sale, "currency"));
    let steps =
        ["joined", "admitted", "claimed", "redeemed", "paid"].map(|step| format!("{} {step}", number(funnel, step)));
    let seconds =
        |field: &str| report["waits_s"][field].as_f64().map_or_else(|| "–".to_owned(), |s| format!("{s:.0} s"));
    let mut out = String::new();
    // Writing to text can't fail.
    let mut line = |label: &str, value: String| {
        let _ = writeln!(out, "{label:<10}{value}");
    };
    line("sale", format!("{} ({})", text(sale, "name"), text(sale, "slug")));
    line("funnel", steps.join(", "));
    line(
        "orders",
        format!(
            "{} of {}, {} refunded, {} disputed",
            number(orders, "paid"),
            counted(orders["units"].as_i64().unwrap_or_default(), "unit", "units"),
            number(orders, "refunded"),
            number(orders, "disputed")
        ),
    );
    let (refunded, disputed) = (price("refunded_minor"), price("disputed_minor"));
    line("revenue", format!("{}, {refunded} refunded, {disputed} disputed", price("revenue_minor")));
    line("waits", format!("median {}, 99th percentile {}", seconds("p50"), seconds("p99")));
    line("fairness", text(&report["fairness"], "sentence").to_owned());
    out
}

/// A line for each item.
pub(super) fn of_items(items: &[Value], currency: &str) -> String {
    let line = |item: &Value| {
        let price = price_text(item["price_minor"].as_i64().unwrap_or_default(), currency);
        let list =
            item["list_minor"].as_i64().map_or_else(String::new, |list| format!(" of {}", price_text(list, currency)));
        let limit = item["per_shopper_limit"].as_i64().map_or_else(String::new, |most| format!("  {most} per shopper"));
        let withdrawn = if item["withdrawn"] == true { "  withdrawn" } else { "" };
        format!("{}  {}  {price}{list}  {}{limit}{withdrawn}\n", text(item, "sku"), text(item, "name"), stock(item))
    };
    items.iter().map(line).collect()
}

/// What an import of items has changed, or its errors.
pub(super) fn of_item_import(report: &Value) -> String {
    let count = |field: &str, one: &str, many: &str| counted(report[field].as_i64().unwrap_or_default(), one, many);
    format!(
        "{}{}; created {}; changed {}; {}\n",
        errors_text(report),
        count("rows", "row", "rows"),
        count("items_created", "item", "items"),
        count("items_changed", "item", "items"),
        outcome_text(report),
    )
}

/// One order, on one line.
pub(super) fn of_order(order: &Value) -> String {
    let currency = text(order, "currency");
    let money = |field: &str| price_text(order[field].as_i64().unwrap_or_default(), currency);
    let mut out = format!(
        "{}  {:<15} {:>3} × {:>12}",
        text(order, "id"),
        text(order, "status"),
        number(order, "quantity"),
        money("amount_minor")
    );
    if let Some(ordinal) = order["ordinal"].as_u64() {
        out.push_str(&format!("  #{ordinal}"));
    }
    if let Some(address) = order["address"].as_str() {
        out.push_str(&format!("  {address}"));
    }
    if order["refunded_minor"].as_i64() != Some(0) {
        out.push_str(&format!("  {} refunded", money("refunded_minor")));
    }
    if let Some(dispute) = order["dispute"].as_str() {
        out.push_str(&format!("  disputed: {dispute}"));
    }
    let request = &order["request"];
    if let Some(kind) = request["kind"].as_str() {
        out.push_str(&format!("  {kind} {}", text(request, "state")));
        if let Some(error) = request["error"].as_str() {
            out.push_str(&format!(": {error}"));
        }
    }
    out
}

/// The changing facts of a sale, on one line.
pub(super) fn in_a_line(sale: &Value) -> String {
    let (status, waiting) = (text(sale, "status"), number(sale, "waiting"));
    format!("{status:<10} {waiting:>7} waiting  {}  {}", stock(sale), text(sale, "last_decision"))
}

/// All sales, one per line.
pub(super) fn of_sales(sales: &[Value]) -> String {
    if sales.is_empty() {
        return "No sales yet; `fairline sale create` creates one.\n".to_owned();
    }
    let name = |sale: &Value| text(sale, "slug").chars().count();
    let width = sales.iter().map(name).max().unwrap_or_default();
    let line = |sale: &Value| {
        let (slug, status, waiting) = (text(sale, "slug"), text(sale, "status"), number(sale, "waiting"));
        format!("{slug:<width$}  {status:<10} {waiting:>7} waiting  {}\n", stock(sale))
    };
    sales.iter().map(line).collect()
}

fn list(values: &Value) -> &[Value] {
    values.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Texts, one per line.
pub(super) fn in_lines(texts: &Value) -> String {
    list(texts).iter().filter_map(Value::as_str).map(|text| format!("{text}\n")).collect()
}

/// Lanes, one per line.
pub(super) fn of_lanes(lanes: &Value) -> String {
    let line = |lane: &Value| {
        let (name, slug) = (text(lane, "name"), text(lane, "slug"));
        let [waiting, admitted, invited] = ["waiting", "admitted", "invitations"].map(|field| number(lane, field));
        format!(
            "{name}  share {}  {waiting} waiting, {admitted} admitted, {invited} invited  /sales/{slug}\n",
            lane["share"]
        )
    };
    list(lanes).iter().map(line).collect()
}

/// Entries of the audit log, one per line.
pub(super) fn of_audit(entries: &Value) -> String {
    let line = |entry: &Value| {
        let [at, who, action, subject] = ["at", "who", "action", "subject"].map(|field| text(entry, field));
        let change = |field: &str| if entry[field].is_null() { String::new() } else { format!("  {}", entry[field]) };
        let arrow = if entry["before"].is_null() || entry["after"].is_null() { "" } else { "  →" };
        let reason = entry["reason"].as_str().map_or_else(String::new, |reason| format!("  ({reason})"));
        let (before, after) = (change("before"), change("after"));
        format!("{}  {at}  {who}  {action}  {subject}{before}{arrow}{after}{reason}\n", number(entry, "id"))
    };
    list(entries).iter().map(line).collect()
}

/// Operators or API tokens, one per line, with one of their times.
pub(super) fn of_people(people: &Value, moment: &str) -> String {
    let line = |one: &Value| {
        format!("{}  {}  {} {}\n", text(one, "name"), text(one, "role"), moment.replace('_', " "), text(one, moment))
    };
    list(people).iter().map(line).collect()
}

/// Webhooks, one per line.
pub(super) fn of_webhooks(webhooks: &Value) -> String {
    let line = |hook: &Value| format!("{}  {}  {}\n", text(hook, "id"), text(hook, "status"), text(hook, "url"));
    list(webhooks).iter().map(line).collect()
}

fn stock(sale: &Value) -> String {
    let [total, promised, held, sold] = ["total", "promised", "held", "sold"].map(|field| number(sale, field));
    format!("{sold} sold, {held} held, {promised} promised of {total}")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;

    #[test]
    fn sales_are_printed_as_text() {
        let sale = json!({
            "id": "0190", "slug": "lamp", "name": "A lamp", "price_minor": 4900, "currency": "EUR", "per_shopper_limit": 1,
            "per_account_limit": 2, "total": 100, "promised": 3, "held": 2, "sold": 1, "waiting": 40, "admitted": 6,
            "rate_cap_per_s": 2.5, "in_checkout_max": 20, "mode": "guarantee", "order": "fifo", "status": "open",
            "opens_at": "2026-11-27T09:00:00Z", "ends_at": null, "message": null, "last_decision": "the rate cap",
        });
        assert_snapshot!("sale", of_sale(&sale));
        assert_snapshot!("sales", of_sales(std::slice::from_ref(&sale)));
        assert_snapshot!("no_sales", of_sales(&[]));
        assert_snapshot!("sale_in_a_line", in_a_line(&sale));
    }

    #[test]
    fn items_are_printed_as_text() {
        let item = json!({
            "sku": "S-42", "name": "Shoe, EU 42", "list_minor": 12_900, "price_minor": 9900, "per_shopper_limit": 1,
            "withdrawn": true, "total": 5, "promised": 1, "held": 2, "sold": 0,
        });
        let stock = stock(&item);
        assert_eq!(
            of_items(std::slice::from_ref(&item), "EUR"),
            format!("S-42  Shoe, EU 42  €99.00 of €129.00  {stock}  1 per shopper  withdrawn\n")
        );
        let report = json!({ "dry_run": true, "rows": 1, "items_created": 1, "items_changed": 0, "errors": [], "error_count": 0 });
        let line = "1 row; created 1 item; changed 0 items; a dry run: nothing was changed\n";
        assert_eq!(of_item_import(&report), line);
    }

    #[test]
    fn a_report_is_printed_as_text() {
        let report = json!({
            "sale": { "name": "A lamp", "slug": "lamp", "currency": "EUR" },
            "funnel": { "joined": 900, "admitted": 120, "claimed": 118, "redeemed": 110, "paid": 99 },
            "orders": { "paid": 99, "units": 100, "refunded": 2, "disputed": 1 },
            "revenue_minor": 485_100, "refunded_minor": 9800, "disputed_minor": 4900,
            "waits_s": { "p50": 61.4, "p99": 240.0 }, "fairness": { "sentence": "Every turn was in order." },
        });
        assert_snapshot!("report", of_report(&report));
    }

    #[test]
    fn lists_are_printed_as_text() {
        let order = json!({
            "id": "0190", "status": "paid", "quantity": 2, "amount_minor": 9800, "currency": "EUR", "ordinal": 7,
            "address": "ada@shop.example", "refunded_minor": 4900, "dispute": "needs_response",
            "request": { "kind": "refund", "state": "failed", "error": "no such charge" },
        });
        let lanes = json!([{ "name": "vip", "slug": "lamp--vip", "share": 0.25, "waiting": 3, "admitted": 2, "invitations": 5 }]);
        let audit = json!([
            { "id": 9, "at": "2026-11-27T09:00:00Z", "who": "ada", "action": "set", "subject": "lamp", "before": { "rate": 1 }, "after": { "rate": 2 } },
            { "id": 8, "at": "2026-11-27T08:00:00Z", "who": "ada", "action": "remove", "subject": "lamp", "before": null, "after": { "ticket": 4 }, "reason": "a scalper" },
        ]);
        let people = json!([{ "name": "ci", "role": "viewer", "expires_at": "2027-02-25T09:00:00Z" }]);
        let webhooks = json!([{ "id": "0190", "status": "enabled", "url": "https://shop.example/hook" }]);
        assert_snapshot!("order", of_order(&order));
        assert_snapshot!("lanes", of_lanes(&lanes));
        assert_snapshot!("audit", of_audit(&audit));
        assert_snapshot!("tokens", of_people(&people, "expires_at"));
        assert_snapshot!("webhooks", of_webhooks(&webhooks));
    }
}
