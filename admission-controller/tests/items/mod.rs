//! The items of sales.

mod csv;
mod offer;

use fairline_sale::SaleId;
use serde_json::{Value, json};

use crate::test_controller::TestController;

const LATER: &str = "2999-01-01T00:00:00Z";

fn slug(problem: &Value) -> &str {
    problem["type"].as_str().and_then(|kind| kind.rsplit('/').next()).unwrap_or_default()
}

fn item(sku: &str) -> Value {
    json!({ "sku": sku, "name": format!("Name of {sku}"), "price_minor": 9900, "total": 5 })
}

/// A scheduled sale with items.
async fn sale(controller: &TestController, items: &[Value]) -> SaleId {
    let sale = json!({
        "slug": format!("sale-{}", uuid::Uuid::new_v4().simple()), "name": "A sale", "currency": "EUR", "items": items,
        "opens_at": LATER, "per_shopper_limit": 2,
    });
    let (status, created) = controller.admin("POST", "/api/admin/sales", Some(&sale)).await;
    assert_eq!(status, 201, "{created}");
    created["id"].as_str().expect("an id").parse().expect("a UUID")
}

fn path(sale: SaleId) -> String {
    format!("/api/admin/sales/{sale}/items")
}

async fn items(controller: &TestController, sale: SaleId) -> Vec<Value> {
    let (status, listed) = controller.admin("GET", &path(sale), None).await;
    assert_eq!(status, 200, "{listed}");
    listed["items"].as_array().expect("items").clone()
}

fn column(items: &[Value], field: &str) -> Vec<Value> {
    items.iter().map(|item| item[field].clone()).collect()
}

async fn add(controller: &TestController, sale: SaleId, item: &Value) -> (u16, Value) {
    controller.admin("POST", &path(sale), Some(item)).await
}

async fn change(controller: &TestController, (sale, item): (SaleId, i64), change: Value) -> (u16, Value) {
    controller.admin("PATCH", &format!("{}/{item}", path(sale)), Some(&change)).await
}

/// A product with two variants: `S-42` for 129.00 EUR and `S-43`.
async fn shoe(controller: &TestController) -> Value {
    let variants = ["42", "43"].map(|size| {
        let attributes = json!([{ "name": "Size", "value": size }]);
        let title = format!("EU {size}");
        json!({ "sku": format!("S-{size}"), "title": title, "attributes": attributes, "price_minor": 12_900, "currency": "EUR" })
    });
    let product = json!({ "name": "Shoe", "variants": variants });
    let (status, created) = controller.admin("POST", "/api/admin/products", Some(&product)).await;
    assert_eq!(status, 201, "{created}");
    created
}

#[tokio::test]
async fn a_sale_without_items_offers_one_that_is_named_like_it() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "slug": "lamp", "name": " Lamp ", "total": 7 })).await;
    let listed = items(&controller, sale).await;
    let expected = json!([{
        "item": 1, "variant_id": null, "sku": "lamp", "name": "Lamp", "attributes": [], "list_minor": null, "price_minor": 4900,
        "per_shopper_limit": null, "position": 0, "withdrawn": false, "version": 1, "total": 7, "promised": 0, "held": 0, "sold": 0,
    }]);
    assert_eq!(json!(listed), expected);
    controller.until("the sale to open", async || controller.show(sale).await["status"] == json!("open")).await;
}

#[tokio::test]
async fn an_item_that_an_earlier_version_inserts_is_that_of_its_sale() {
    let controller = TestController::open().await;
    sqlx::raw_sql(
        "WITH sale AS (INSERT INTO sales (id, slug, name, price_minor, currency, rate_cap_per_s, token_ttl_s, claim_window_s, hold_s, opens_at) \
         VALUES (gen_random_uuid(), 'old', 'Old sale', 700, 'EUR', 1, 60, 10, 60, now()) RETURNING id), \
         item AS (INSERT INTO items (sale_id, item) SELECT id, 1 FROM sale) \
         INSERT INTO stock (sale_id, item, total) SELECT id, 1, 1 FROM sale",
    )
    .execute(&controller.pool)
    .await
    .expect("an old sale");
    let row: (String, String, i64, i16) = sqlx::query_as("SELECT sku, name, price_minor, position FROM items")
        .fetch_one(&controller.pool)
        .await
        .expect("its item");
    assert_eq!(row, ("old".to_owned(), "Old sale".to_owned(), 700, 0));
}

#[tokio::test]
async fn items_are_made_of_variants_and_added_changed_and_withdrawn() {
    let controller = TestController::open().await;
    let shoe = shoe(&controller).await;
    let of_variant = json!({ "sku": "S-42", "price_minor": 9900, "total": 5 });
    let sale =
        sale(&controller, &[of_variant, json!({ "sku": "BOX", "name": "Box", "price_minor": 8900, "total": 3 })]).await;
    let listed = items(&controller, sale).await;
    assert_eq!(
        (&listed[0]["name"], &listed[0]["variant_id"], &listed[0]["list_minor"]),
        (&json!("Shoe, EU 42"), &shoe["variants"][0]["id"], &json!(12_900))
    );
    assert_eq!(listed[0]["attributes"], json!([{ "name": "Size", "value": "42" }]));
    assert_eq!(
        (column(&listed, "item"), column(&listed, "total")),
        (vec![json!(1), json!(2)], vec![json!(5), json!(3)])
    );
    let price = async || controller.show(sale).await["price_minor"].clone();
    assert_eq!(price().await, json!(8900), "the lowest");

    let (status, added) = add(&controller, sale, &json!({ "sku": "S-43", "price_minor": 7900, "total": 1 })).await;
    assert_eq!((status, &added["item"], &added["position"], &added["version"]), (201, &json!(3), &json!(2), &json!(1)));
    assert_eq!(price().await, json!(7900));
    let first =
        json!({ "version": 1, "position": 0, "name": "Boot", "list_minor": null, "per_shopper_limit": 1, "total": 9 });
    let (status, changed) = change(&controller, (sale, 3), first).await;
    assert_eq!((status, &changed["version"], &changed["position"]), (200, &json!(2), &json!(0)), "{changed}");
    assert_eq!(
        (&changed["name"], &changed["list_minor"], &changed["total"]),
        (&json!("Boot"), &json!(null), &json!(9))
    );
    assert_eq!(column(&items(&controller, sale).await, "sku"), ["S-43", "S-42", "BOX"]);

    let item_3 = format!("{}/3", path(sale));
    assert_eq!(controller.admin("DELETE", &item_3, None).await.0, 204);
    assert_eq!(controller.admin("DELETE", &item_3, None).await.0, 204, "withdrawn already");
    let listed = items(&controller, sale).await;
    assert_eq!((&listed[0]["withdrawn"], &listed[0]["version"], price().await), (&json!(true), &json!(3), json!(8900)));
    let (_, restored) = change(&controller, (sale, 3), json!({ "version": 3, "withdrawn": false })).await;
    assert_eq!((&restored["withdrawn"], price().await), (&json!(false), json!(7900)));

    let (_, audit) = controller.admin("GET", &format!("/api/admin/audit?sale={sale}"), None).await;
    let entries = audit["entries"].as_array().expect("entries");
    let entry = |action: &str| entries.iter().filter(|entry| entry["action"] == json!(action)).collect::<Vec<_>>();
    let created = entry("create_sale");
    assert_eq!((created.len(), &created[0]["after"]["total"]), (1, &json!(8)), "{created:?}");
    assert_eq!(created[0]["after"]["items"][1], json!({ "sku": "BOX", "price_minor": 8900, "total": 3 }));
    let named = |entry: &&Value| entry["subject"].as_str().is_some_and(|subject| subject.ends_with(": S-43"));
    assert!(entry("add_item").iter().any(|one| named(one) && one["after"]["total"] == json!(1)), "{entries:?}");
    assert!(entry("change_item").iter().any(|one| named(one) && one["after"] == json!({ "total": 9 })), "{entries:?}");
    assert!(entry("withdraw_item").iter().any(|one| named(one) && one["after"] == json!({ "withdrawn": true })));
}

#[tokio::test]
async fn a_sale_with_several_items_does_not_open() {
    let controller = TestController::open().await;
    let sale = sale(&controller, &[item("A"), item("B")]).await;
    let act = async |action: &str| controller.act(sale, action).await;
    let (status, problem) = act("open").await;
    assert_eq!((status, slug(&problem)), (409, "several-items"));
    // It does not open by the clock either, and says why.
    let now = json!({ "opens_at": "2020-01-01T00:00:00Z" });
    controller.admin("PATCH", &format!("/api/admin/sales/{sale}"), Some(&now)).await;
    controller.until_decided(sale, "this version sells one item per sale").await;
    assert_eq!(controller.show(sale).await["status"], json!("scheduled"));
    let opened =
        sqlx::query("UPDATE sales SET status = 'open' WHERE id = $1").bind(sale.0).execute(&controller.pool).await;
    let opened = opened.expect_err("the database checks it, too");
    assert_eq!(opened.as_database_error().and_then(|error| error.constraint()), Some("sales_open_with_one_item"));

    // Only the first item can be sold, and not under a lower limit.
    let withdraw = async |item: u8| controller.admin("DELETE", &format!("{}/{item}", path(sale)), None).await;
    withdraw(1).await;
    let (status, problem) = withdraw(2).await;
    assert_eq!((status, slug(&problem)), (409, "last-item"));
    assert_eq!(slug(&act("open").await.1), "several-items");
    change(&controller, (sale, 1), json!({ "version": 2, "withdrawn": false, "per_shopper_limit": 1 })).await;
    assert_eq!(withdraw(2).await.0, 204);
    assert_eq!(slug(&act("open").await.1), "several-items", "its limit is below the sale's");
    change(&controller, (sale, 1), json!({ "version": 3, "per_shopper_limit": 2 })).await;
    controller.until("the sale to open", async || controller.show(sale).await["status"] == json!("open")).await;
}

#[tokio::test]
async fn an_open_sale_keeps_its_prices_and_items() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 3 })).await;
    controller.join(sale, 2).await;
    controller.until("promises", async || controller.show(sale).await["promised"] == json!(2)).await;
    let rejected = async |body: Value| change(&controller, (sale, 1), body).await;
    for fixed in [json!({ "price_minor": 100 }), json!({ "per_shopper_limit": 1 }), json!({ "withdrawn": true })] {
        let mut body = fixed.clone();
        body["version"] = json!(1);
        let (status, problem) = rejected(body).await;
        assert_eq!(status, 409, "{fixed} {problem}");
    }
    assert_eq!(slug(&add(&controller, sale, &item("B")).await.1), "invalid-transition");
    let (status, problem) = rejected(json!({ "version": 1, "total": 1 })).await;
    assert_eq!((status, slug(&problem)), (409, "stock-below-commitments"));
    let (status, changed) = rejected(json!({ "version": 1, "total": 2, "name": "Lamp", "list_minor": 5900 })).await;
    assert_eq!((status, &changed["total"], &changed["promised"]), (200, &json!(2), &json!(2)), "{changed}");
    assert_eq!(controller.show(sale).await["total"], json!(2));
}

#[tokio::test]
async fn of_two_changes_of_one_version_one_is_rejected() {
    let controller = TestController::open().await;
    let sale = sale(&controller, &[item("A")]).await;
    let rename = async |name: &str, version: i32| {
        change(&controller, (sale, 1), json!({ "version": version, "name": name })).await
    };
    let (one, other) = tokio::join!(rename("One", 1), rename("Other", 1));
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{one:?} {other:?}");
    let rejected = if one.0 == 409 { &one.1 } else { &other.1 };
    assert_eq!((slug(rejected), &rejected["version"]), ("item-changed", &json!(2)));
    assert_eq!(rename("Third", 2).await.0, 200, "the control");
}

#[tokio::test]
async fn a_sale_has_at_most_200_items_also_of_two_requests_at_once() {
    let controller = TestController::open().await;
    let all: Vec<Value> = (0..199).map(|nth| item(&format!("I-{nth}"))).collect();
    let sale = sale(&controller, &all).await;
    let (b, c) = (item("B"), item("C"));
    let (one, other) = tokio::join!(add(&controller, sale, &b), add(&controller, sale, &c));
    let mut outcomes = [(one.0, slug(&one.1)), (other.0, slug(&other.1))];
    outcomes.sort_unstable();
    assert_eq!(outcomes, [(201, ""), (409, "too-many-items")]);
    let listed = items(&controller, sale).await;
    assert_eq!((listed.len(), &listed[199]["item"], &listed[199]["position"]), (200, &json!(200), &json!(199)));
    assert_eq!(change(&controller, (sale, 200), json!({ "version": 1, "position": 0 })).await.0, 200);
    assert_eq!(items(&controller, sale).await[0]["item"], json!(200));
    let more: Vec<Value> = (0..201).map(|nth| item(&format!("I-{nth}"))).collect();
    let new = json!({ "slug": "more", "name": "A", "currency": "EUR", "items": more });
    let (status, problem) = controller.admin("POST", "/api/admin/sales", Some(&new)).await;
    assert_eq!((status, &problem["field"]), (422, &json!("items")));
}

#[tokio::test]
async fn invalid_items_are_rejected_with_the_field() {
    let controller = TestController::open().await;
    let product = shoe(&controller).await;
    let sale = sale(&controller, &[item("A"), item("B")]).await;
    for (wrong, field) in [
        (json!({ "sku": "=1" }), "sku"),
        (json!({ "name": "" }), "name"),
        (json!({ "name": "a".repeat(251) }), "name"),
        (json!({ "attributes": vec![json!({ "name": "a", "value": "b" }); 31] }), "attributes"),
        (json!({ "list_minor": 9899 }), "list_minor"),
        (json!({ "price_minor": 49 }), "price_minor"),
        (json!({ "total": 10_000_001 }), "total"),
        (json!({ "per_shopper_limit": 101 }), "per_shopper_limit"),
    ] {
        let mut body = item("NEW");
        wrong.as_object().expect("an object").iter().for_each(|(name, value)| body[name] = value.clone());
        let (status, problem) = add(&controller, sale, &body).await;
        assert_eq!((status, &problem["field"]), (422, &json!(field)), "{wrong}: {problem}");
        let new = json!({ "slug": "new", "name": "A", "currency": "EUR", "items": [item("FIRST"), body] });
        let (status, problem) = controller.admin("POST", "/api/admin/sales", Some(&new)).await;
        assert_eq!((status, &problem["field"]), (422, &json!(format!("items[1].{field}"))), "{wrong}: {problem}");
        if field != "sku" {
            let mut body = wrong.clone();
            body["version"] = json!(1);
            let (status, problem) = change(&controller, (sale, 1), body).await;
            assert_eq!((status, &problem["field"]), (422, &json!(field)), "{wrong}: {problem}");
        }
    }
    for (new, field) in [
        (json!({ "items": [] }), "items"),
        (json!({ "items": [item("A"), item("A")] }), "items[1].sku"),
        (json!({ "items": [item("A")], "price_minor": 100 }), "price_minor"),
        (json!({ "items": [item("A")], "total": 1 }), "total"),
        (json!({ "price_minor": 100 }), "total"),
        (json!({ "total": 1 }), "price_minor"),
    ] {
        let mut body = json!({ "slug": "new", "name": "A", "currency": "EUR" });
        new.as_object().expect("an object").iter().for_each(|(name, value)| body[name] = value.clone());
        let (status, problem) = controller.admin("POST", "/api/admin/sales", Some(&body)).await;
        assert_eq!((status, &problem["field"]), (422, &json!(field)), "{new}: {problem}");
    }
    let (status, problem) = add(&controller, sale, &item("A")).await;
    assert_eq!((status, slug(&problem)), (409, "item-exists"));
    let (status, problem) = change(&controller, (sale, 1), json!({ "version": 1, "position": 2 })).await;
    assert_eq!((status, &problem["field"]), (422, &json!("position")));
    for unknown in [format!("{}/3", path(sale)), format!("{}/x", path(sale))] {
        let (status, problem) = controller.admin("DELETE", &unknown, None).await;
        assert_eq!((status, slug(&problem)), (404, "item-not-found"), "{unknown}");
    }
    assert_eq!(controller.admin("GET", "/api/admin/sales/nonsense/items", None).await.0, 404);
    // A variant of an archived product needs a name, as one that does not exist.
    let archive = format!("/api/admin/products/{}/archive", product["id"].as_str().expect("an id"));
    controller.admin("POST", &archive, None).await;
    let (status, problem) = add(&controller, sale, &json!({ "sku": "S-42", "price_minor": 100, "total": 1 })).await;
    assert_eq!((status, &problem["field"]), (422, &json!("name")));
    assert_eq!(column(&items(&controller, sale).await, "version"), [1, 1], "nothing was changed");

    // The database checks the same.
    for (broken, constraint) in [
        ("UPDATE items SET sku = '-'", "items_sku_is_plain"),
        ("UPDATE items SET sku = 'A'", "items_sku_is_unique"),
        ("UPDATE items SET name = ''", "items_name_is_bounded"),
        ("UPDATE items SET attributes = '{}'", "items_attributes_are_a_list"),
        ("UPDATE items SET list_minor = price_minor - 1", "items_list_price_is_not_lower"),
        ("UPDATE items SET price_minor = -1", "items_price_is_not_negative"),
        ("UPDATE items SET per_shopper_limit = 0", "items_limit_is_positive"),
        ("UPDATE items SET position = 0", "items_position_is_unique"),
        ("UPDATE items SET position = 200", "items_position_is_bounded"),
        ("UPDATE items SET version = 0", "items_version_is_positive"),
    ] {
        let refused = sqlx::query(broken).execute(&controller.pool).await.expect_err(broken);
        let named = refused.as_database_error().and_then(|error| error.constraint()).map(str::to_owned);
        assert_eq!(named.as_deref(), Some(constraint), "{broken}: {refused}");
    }
}

#[tokio::test]
async fn a_product_that_a_sale_offers_is_not_deleted_and_the_item_keeps_its_copy() {
    let controller = TestController::open().await;
    let product = shoe(&controller).await;
    let sale = sale(&controller, &[json!({ "sku": "S-42", "price_minor": 9900, "total": 5 })]).await;
    let product = format!("/api/admin/products/{}", product["id"].as_str().expect("an id"));
    let (status, problem) = controller.admin("DELETE", &product, None).await;
    assert_eq!((status, slug(&problem)), (409, "product-in-use"));
    let only_43 = json!({ "version": 1, "variants": [{ "sku": "S-43", "price_minor": 1, "currency": "EUR" }] });
    let (status, problem) = controller.admin("PATCH", &product, Some(&only_43)).await;
    assert_eq!((status, slug(&problem)), (409, "product-in-use"));
    assert_eq!(controller.act(sale, "close").await.0, 200);
    assert_eq!(controller.admin("DELETE", &product, None).await.0, 204);
    let listed = items(&controller, sale).await;
    assert_eq!((&listed[0]["variant_id"], &listed[0]["name"]), (&json!(null), &json!("Shoe, EU 42")));
}
