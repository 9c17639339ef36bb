//! Formats products for the terminal. Pure.

use std::fmt::Write as _;

use fairline_sale::price_text;
use serde_json::Value;

use crate::sale::table::{errors_text, outcome_text};

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or("–")
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn count(value: &Value, field: &str, one: &str, many: &str) -> String {
    let number = value[field].as_u64().unwrap_or_default();
    format!("{number} {}", if number == 1 { one } else { many })
}

fn attributes(value: &Value) -> String {
    let attribute = |one: &Value| format!("{}: {}", text(one, "name"), text(one, "value"));
    list(value, "attributes").iter().map(attribute).collect::<Vec<_>>().join(", ")
}

/// A line for each product.
pub(super) fn of_products(products: &[Value]) -> String {
    let line = |product: &Value| {
        let variants = count(product, "variants", "variant", "variants");
        format!("{}  {}  {}  {variants}\n", text(product, "id"), text(product, "first_sku"), text(product, "name"))
    };
    if products.is_empty() { "no products\n".to_owned() } else { products.iter().map(line).collect() }
}

/// All facts of one product.
pub(super) fn of_product(product: &Value) -> String {
    let mut out = String::new();
    // Writing to text can't fail.
    let mut line = |label: &str, value: &str| {
        let _ = writeln!(out, "{label:<13}{value}");
    };
    line("product", text(product, "name"));
    line("id", text(product, "id"));
    line("description", text(product, "description"));
    line("attributes", &attributes(product));
    line("archived", if product["archived"] == true { "yes" } else { "no" });
    line("images", &list(product, "images").len().to_string());
    for variant in list(product, "variants") {
        let price = price_text(variant["price_minor"].as_i64().unwrap_or_default(), text(variant, "currency"));
        let parts = [text(variant, "sku"), text(variant, "title"), &price, &attributes(variant)];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        line("variant", &parts.join("  "));
    }
    out
}

/// What an import has changed, or its errors.
pub(super) fn of_import(report: &Value) -> String {
    format!(
        "{}{}; created {} and {}; changed {} and {}; {}\n",
        errors_text(report),
        count(report, "rows", "row", "rows"),
        count(report, "products_created", "product", "products"),
        count(report, "variants_created", "variant", "variants"),
        count(report, "products_changed", "product", "products"),
        count(report, "variants_changed", "variant", "variants"),
        outcome_text(report),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn products_are_printed_as_text() {
        let product = json!({
            "id": "0190", "name": "Shoe", "description": "For the road.", "archived": false, "images": [{}],
            "attributes": [{ "name": "Material", "value": "leather" }, { "name": "Drop", "value": "8 mm" }],
            "variants": [{ "sku": "S-42", "title": "EU 42", "price_minor": 12_900, "currency": "EUR", "attributes": [] }],
        });
        assert_eq!(
            of_product(&product),
            "product      Shoe\nid           0190\ndescription  For the road.\nattributes   Material: leather, Drop: 8 mm\n\
             archived     no\nimages       1\nvariant      S-42  EU 42  €129.00\n"
        );
        let listed = json!([{ "id": "0190", "name": "Shoe", "first_sku": "S-42", "variants": 1 }]);
        assert_eq!(of_products(list(&json!({ "p": listed }), "p")), "0190  S-42  Shoe  1 variant\n");
        assert_eq!(of_products(&[]), "no products\n");
    }

    #[test]
    fn an_import_is_printed_as_text() {
        let mut report = json!({
            "dry_run": false, "rows": 5, "products_created": 1, "products_changed": 0, "variants_created": 2,
            "variants_changed": 1, "errors": [], "error_count": 0,
        });
        let counts = "5 rows; created 1 product and 2 variants; changed 0 products and 1 variant; ";
        assert_eq!(of_import(&report), format!("{counts}done\n"));
        report["dry_run"] = json!(true);
        assert_eq!(of_import(&report), format!("{counts}a dry run: nothing was changed\n"));
        report["errors"] = json!([{ "line": 3, "column": "price", "detail": "It must be above 0." }, { "line": 4, "column": null, "detail": "The row is wrong." }]);
        report["error_count"] = json!(2);
        assert_eq!(
            of_import(&report),
            format!(
                "line 3, price: It must be above 0.\nline 4: The row is wrong.\n{counts}2 errors: nothing was changed\n"
            )
        );
    }
}
