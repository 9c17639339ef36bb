//! Items as CSV: export and import.

use fairline_sale::SaleId;
use serde_json::{Value, json};

use super::{column, item, items, path, sale, shoe, slug};
use crate::test_controller::{ADMIN_TOKEN, TestController};

fn table(sale: SaleId) -> String {
    format!("{}.csv", path(sale))
}

async fn import(controller: &TestController, sale: SaleId, text: &str) -> (u16, Value) {
    controller.upload(&table(sale), "text/csv", text.as_bytes()).await
}

fn counts(report: &Value) -> [u64; 3] {
    ["items_created", "items_changed", "error_count"].map(|name| report[name].as_u64().expect("a number"))
}

#[tokio::test]
async fn an_export_is_imported_without_a_change() {
    let controller = TestController::open().await;
    let odd = json!({
        "sku": "ODD", "name": "=1+1", "attributes": [{ "name": "a|b", "value": "c=d" }], "list_minor": 10_000, "price_minor": 9900,
        "total": 5, "per_shopper_limit": 2,
    });
    let sale = sale(&controller, &[item("A"), odd]).await;
    let before = items(&controller, sale).await;
    let authorised = format!("authorization: Bearer {ADMIN_TOKEN}\r\n");
    let (status, head, text) = controller.download(&table(sale), &authorised).await;
    assert!(status == 200 && head.contains("content-disposition: attachment; filename=\"items.csv\""), "{head}");
    let text = String::from_utf8(text).expect("text");
    assert_eq!(
        text,
        "sku,name,attributes,list_price,price,total,per_shopper_limit,withdrawn\r\nA,Name of A,,,99.00,5,,no\r\n\
         ODD,'=1+1,a\\|b=c\\=d,100.00,99.00,5,2,no\r\n"
    );
    let (status, report) = import(&controller, sale, &text).await;
    assert_eq!((status, counts(&report), &report["rows"]), (200, [0; 3], &json!(2)), "{report}");
    assert_eq!(items(&controller, sale).await, before);
}

#[tokio::test]
async fn an_import_adds_and_changes_items_and_a_dry_run_does_not() {
    let controller = TestController::open().await;
    shoe(&controller).await;
    let sale = sale(&controller, &[item("A"), item("B")]).await;
    let before = items(&controller, sale).await;
    let text = "sku,price,total,withdrawn\nA,89.00,7,\nB,,,yes\nS-42,79.00,3,no\n";
    let dry_run = format!("{}?dry_run=true", table(sale));
    let (status, dry) = controller.upload(&dry_run, "text/csv", text.as_bytes()).await;
    assert_eq!((status, counts(&dry), &dry["dry_run"]), (200, [1, 2, 0], &json!(true)), "{dry}");
    assert_eq!(items(&controller, sale).await, before);
    let (status, report) = import(&controller, sale, text).await;
    assert_eq!((status, counts(&report)), (200, [1, 2, 0]), "{report}");
    let after = items(&controller, sale).await;
    assert_eq!(column(&after, "sku"), ["A", "B", "S-42"]);
    assert_eq!(
        (column(&after, "total"), column(&after, "withdrawn")),
        (vec![json!(7), json!(5), json!(3)], vec![json!(false), json!(true), json!(false)],)
    );
    assert_eq!((&after[2]["name"], &after[2]["list_minor"]), (&json!("Shoe, EU 42"), &json!(12_900)));
    assert_eq!(controller.show(sale).await["price_minor"], json!(7900));
    assert_eq!(counts(&import(&controller, sale, text).await.1), [0; 3], "a second time nothing differs");
}

#[tokio::test]
async fn a_table_with_an_error_changes_nothing() {
    let controller = TestController::open().await;
    let sale = sale(&controller, &[item("A"), item("B")]).await;
    let before = items(&controller, sale).await;
    let text = "sku,name,price,total\nA,Boot,89.00,5\nB,,1.999,5\nNEW,,1,1\n";
    let (status, problem) = import(&controller, sale, text).await;
    assert_eq!((status, slug(&problem), &problem["error_count"]), (422, "import-rejected", &json!(2)), "{problem}");
    let dry_run = format!("{}?dry_run=true", table(sale));
    let (status, dry) = controller.upload(&dry_run, "text/csv", text.as_bytes()).await;
    assert_eq!((status, &dry["errors"]), (200, &problem["errors"]));
    assert_eq!(items(&controller, sale).await, before);
    for (kind, text, expected) in
        [("application/json", "sku\n", (415, "csv-required")), ("text/csv", "colour\n", (422, "import-rejected"))]
    {
        let (status, problem) = controller.upload(&table(sale), kind, text.as_bytes()).await;
        assert_eq!((status, slug(&problem)), expected, "{text}");
    }
    let (status, problem) = controller.upload(&table(sale), "text/csv", &vec![b'a'; 512 * 1024 + 1]).await;
    assert_eq!((status, slug(&problem)), (413, "body-too-large"));
    let unknown = "/api/admin/sales/00000000-0000-4000-8000-000000000000/items.csv";
    assert_eq!(controller.upload(unknown, "text/csv", b"sku\n").await.0, 404);
}
