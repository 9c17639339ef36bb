//! Products as CSV: export and import.

use serde_json::{Value, json};

use super::{PRODUCTS, create, path, skus, slug, variant};
use crate::test_controller::{ADMIN_TOKEN, TestController};

const TABLE: &str = "/api/admin/products.csv";

async fn export(controller: &TestController) -> String {
    let (status, head, table) = controller.download(TABLE, &format!("authorization: Bearer {ADMIN_TOKEN}\r\n")).await;
    assert_eq!(status, 200, "{head}");
    assert!(head.contains("content-disposition: attachment; filename=\"products.csv\""), "{head}");
    String::from_utf8(table).expect("text")
}

async fn import(controller: &TestController, table: &str) -> Value {
    let (status, report) = controller.upload(TABLE, "text/csv; charset=utf-8", table.as_bytes()).await;
    assert_eq!(status, 200, "{report}");
    report
}

fn counts(report: &Value) -> [u64; 4] {
    ["products_created", "products_changed", "variants_created", "variants_changed"]
        .map(|name| report[name].as_u64().expect("a number"))
}

#[tokio::test]
async fn an_export_is_imported_without_a_change() {
    let controller = TestController::open().await;
    for nth in 0..25 {
        create(&controller, json!({ "name": format!("Shirt {nth}"), "variants": [variant(&format!("T-{nth}"))] }))
            .await;
    }
    let odd = json!({
        "name": "=cmd|' /C calc'!A0",
        "description": "two\nlines, \"quoted\"",
        "attributes": [{ "name": "a|b", "value": "c=d\\" }],
        "variants": [{ "sku": "ODD", "title": "@SUM(A1)", "price_minor": 500, "currency": "JPY", "gtin": "73513537" }],
    });
    let odd = create(&controller, odd).await;
    create(&controller, json!({ "name": "Without variants" })).await;
    let table = export(&controller).await;
    assert_eq!(
        table.lines().next(),
        Some("product_id,product,description,product_attributes,archived,sku,title,attributes,price,currency,gtin")
    );
    assert!(table.contains(",'=cmd|' /C calc'!A0,") && table.contains(",'@SUM(A1),") && table.contains(",129.00,EUR,"));
    let report = import(&controller, &table).await;
    assert_eq!((&report["rows"], counts(&report)), (&json!(27), [0; 4]), "{report}");
    let (_, shown) = controller.admin("GET", &path(&odd), None).await;
    assert_eq!(shown, odd);
}

#[tokio::test]
async fn an_import_updates_by_sku_and_adds_the_rest() {
    let controller = TestController::open().await;
    let shoe = create(&controller, json!({ "name": "Shoe", "variants": [variant("S-42"), variant("S-43")] })).await;
    let table =
        "sku,product,price,currency\nS-42,Shoe,99.00,EUR\nS-44,Shoe,109.00,EUR\nL-1,Lamp,20,EUR\nL-2,Lamp,25,EUR\n";
    let (status, dry) = controller.upload(&format!("{TABLE}?dry_run=true"), "text/csv", table.as_bytes()).await;
    assert_eq!((status, counts(&dry), &dry["dry_run"]), (200, [1, 0, 3, 1], &json!(true)), "{dry}");
    let (_, shown) = controller.admin("GET", &path(&shoe), None).await;
    assert_eq!(shown, shoe, "a dry run writes nothing");

    let report = import(&controller, table).await;
    assert_eq!((counts(&report), &report["dry_run"]), ([1, 0, 3, 1], &json!(false)), "{report}");
    let (_, shown) = controller.admin("GET", &path(&shoe), None).await;
    assert_eq!((skus(&shown), &shown["version"]), (vec!["S-42", "S-43", "S-44"], &json!(2)));
    assert_eq!(
        (&shown["variants"][0]["price_minor"], &shown["variants"][0]["title"]),
        (&json!(9900), &json!("Title of S-42"))
    );
    assert_eq!(shown["variants"][0]["id"], shoe["variants"][0]["id"]);
    let (_, lamps) = controller.admin("GET", &format!("{PRODUCTS}?search=lamp"), None).await;
    assert_eq!((lamps["products"].as_array().map(Vec::len), &lamps["products"][0]["variants"]), (Some(1), &json!(2)));
    assert_eq!(counts(&import(&controller, table).await), [0; 4], "a second time nothing differs");
    let (_, audit) = controller.admin("GET", "/api/admin/audit", None).await;
    assert!(audit["entries"].as_array().is_some_and(|entries| {
        entries.iter().any(|entry| entry["action"] == json!("import_products") && entry["subject"] == json!("S-42"))
    }));
}

#[tokio::test]
async fn a_table_with_an_error_changes_nothing() {
    let controller = TestController::open().await;
    let shoe = create(&controller, json!({ "name": "Shoe", "variants": [variant("S-42")] })).await;
    let table =
        "sku,product,price,currency\nS-42,Boot,1.00,EUR\nNEW,,1.00,EUR\nS-42,Shoe,1,EUR\nOTHER,Lamp,1.999,EUR\n";
    let (status, problem) = controller.upload(TABLE, "text/csv", table.as_bytes()).await;
    assert_eq!((status, slug(&problem), &problem["error_count"]), (422, "import-rejected", &json!(3)), "{problem}");
    let lines: Vec<_> =
        problem["errors"].as_array().expect("errors").iter().map(|error| (&error["line"], &error["column"])).collect();
    assert_eq!(lines, [(&json!(3), &json!("product")), (&json!(4), &json!("sku")), (&json!(5), &json!("price"))]);
    let (status, dry) = controller.upload(&format!("{TABLE}?dry_run=true"), "text/csv", table.as_bytes()).await;
    assert_eq!((status, &dry["errors"], counts(&dry)), (200, &problem["errors"], [0; 4]));
    let (_, shown) = controller.admin("GET", &path(&shoe), None).await;
    assert_eq!(shown, shoe);

    for (kind, table, expected) in [
        ("application/json", "sku\n", (415, "csv-required")),
        ("text/csv", "colour\n", (422, "import-rejected")),
        ("text/csv", "", (422, "import-rejected")),
    ] {
        let (status, problem) = controller.upload(TABLE, kind, table.as_bytes()).await;
        assert_eq!((status, slug(&problem)), expected, "{kind} {table}");
    }
    assert_eq!(controller.upload(&format!("{TABLE}?dry_run=perhaps"), "text/csv", b"sku\n").await.0, 400);
    let long = vec![b'a'; 8 * 1024 * 1024 + 1];
    let (status, problem) = controller.upload(TABLE, "text/csv", &long).await;
    assert_eq!((status, slug(&problem)), (413, "body-too-large"));
}

#[tokio::test]
async fn a_large_table_is_imported_while_a_product_is_changed() {
    let controller = TestController::open().await;
    let shoe = create(&controller, json!({ "name": "Shoe", "variants": [variant("S-42")] })).await;
    let rows: String = (0..5000).map(|nth| format!("N-{nth},Ticket {},{}.50,EUR\n", nth / 200, nth + 1)).collect();
    let table = format!("sku,product,price,currency\nS-42,Shoe,1.00,EUR\n{rows}");
    let rename = json!({ "version": 1, "name": "Boot" });
    let shoe_path = path(&shoe);
    let rename = controller.admin("PATCH", &shoe_path, Some(&rename));
    let (report, (status, renamed)) = tokio::join!(import(&controller, &table), rename);
    // The import changes the product back if the change came first.
    let changed = u64::from(counts(&report)[1] != 0);
    assert_eq!(counts(&report), [25, changed, 5000, 1]);
    // One of the two came first, and the other one noticed or followed.
    assert!(status == 200 || (status == 409 && slug(&renamed) == "product-changed"), "{status} {renamed}");
}
