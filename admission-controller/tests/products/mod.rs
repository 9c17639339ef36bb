//! The catalogue: products and their variants.

mod csv;
pub mod media;

use serde_json::{Value, json};

use crate::test_controller::{ADMIN_TOKEN, TestController};

const PRODUCTS: &str = "/api/admin/products";

fn slug(problem: &Value) -> &str {
    problem["type"].as_str().and_then(|kind| kind.rsplit('/').next()).unwrap_or_default()
}

/// A variant with a SKU.
fn variant(sku: &str) -> Value {
    json!({ "sku": sku, "title": format!("Title of {sku}"), "price_minor": 12_900, "currency": "EUR" })
}

async fn create(controller: &TestController, product: Value) -> Value {
    let (status, created) = controller.admin("POST", PRODUCTS, Some(&product)).await;
    assert_eq!(status, 201, "{created}");
    created
}

fn path(product: &Value) -> String {
    format!("{PRODUCTS}/{}", product["id"].as_str().expect("an id"))
}

fn skus(product: &Value) -> Vec<&str> {
    let variants = product["variants"].as_array().expect("variants");
    variants.iter().map(|variant| variant["sku"].as_str().expect("a SKU")).collect()
}

async fn names(controller: &TestController, query: &str) -> Vec<String> {
    let (status, page) = controller.admin("GET", &format!("{PRODUCTS}?{query}"), None).await;
    assert_eq!(status, 200, "{page}");
    let products = page["products"].as_array().expect("products");
    products.iter().map(|product| product["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn a_product_is_created_shown_changed_archived_and_deleted() {
    let controller = TestController::open().await;
    let shoe = json!({
        "name": "Running shoe",
        "description": "For the road.",
        "attributes": [{ "name": "Material", "value": "leather" }, { "name": "Drop", "value": "8 mm" }],
        "variants": [
            { "sku": "SHOE-42", "title": "EU 42", "price_minor": 12_900, "currency": "EUR", "gtin": "4006381333931" },
            variant("SHOE-43"),
        ],
    });
    let created = create(&controller, shoe).await;
    let (_, shown) = controller.admin("GET", &path(&created), None).await;
    assert_eq!(shown, created);
    assert_eq!((&shown["version"], &shown["archived"]), (&json!(1), &json!(false)));
    assert_eq!(shown["attributes"][1], json!({ "name": "Drop", "value": "8 mm" }), "in their order");
    assert_eq!((skus(&shown), &shown["variants"][0]["gtin"]), (vec!["SHOE-42", "SHOE-43"], &json!("4006381333931")));

    // The order changes, one is new, and those that stay keep their ids: by id, or by SKU.
    let id = |nth: usize| shown["variants"][nth]["id"].clone();
    let mut renamed = variant("SHOE-43-wide");
    renamed["id"] = id(1);
    let change =
        json!({ "version": 1, "description": "", "variants": [variant("SHOE-44"), renamed, variant("SHOE-42")] });
    let (status, changed) = controller.admin("PATCH", &path(&created), Some(&change)).await;
    assert_eq!((status, &changed["version"], &changed["description"]), (200, &json!(2), &json!("")), "{changed}");
    assert_eq!(
        (skus(&changed), &changed["name"]),
        (vec!["SHOE-44", "SHOE-43-wide", "SHOE-42"], &json!("Running shoe"))
    );
    assert_eq!((&changed["variants"][1]["id"], &changed["variants"][2]["id"]), (&id(1), &id(0)));
    // Two variants exchange their SKUs, and the third is deleted.
    let (mut one, mut other) = (variant("SHOE-43-wide"), variant("SHOE-42"));
    (one["id"], other["id"]) = (id(0), id(1));
    let change = json!({ "version": 2, "variants": [one, other] });
    let (status, changed) = controller.admin("PATCH", &path(&created), Some(&change)).await;
    assert_eq!((status, skus(&changed)), (200, vec!["SHOE-43-wide", "SHOE-42"]), "{changed}");
    assert_eq!((&changed["variants"][0]["id"], &changed["variants"][1]["id"]), (&id(0), &id(1)));

    let archive = async |what: &str| controller.admin("POST", &format!("{}/{what}", path(&created)), None).await.1;
    assert_eq!(
        (&archive("archive").await["archived"], &archive("archive").await["version"]),
        (&json!(true), &json!(4))
    );
    assert_eq!(archive("unarchive").await["archived"], json!(false));
    let (_, audit) = controller.admin("GET", "/api/admin/audit", None).await;
    let actions: Vec<_> = audit["entries"].as_array().expect("entries").iter().map(|entry| &entry["action"]).collect();
    for action in ["create_product", "change_product", "archive_product", "unarchive_product"] {
        assert!(actions.contains(&&json!(action)), "{actions:?}");
    }
    let is_of_variant = |entry: &&Value| entry["subject"] == json!("SHOE-43-wide");
    let entry = audit["entries"].as_array().expect("entries").iter().find(is_of_variant).expect("an entry");
    assert_eq!((&entry["before"]["sku"], &entry["after"]["sku"]), (&json!("SHOE-42"), &json!("SHOE-43-wide")));

    assert_eq!(controller.admin("DELETE", &path(&created), None).await.0, 204);
    for (method, path) in [("GET", path(&created)), ("DELETE", path(&created)), ("GET", format!("{PRODUCTS}/nothing"))]
    {
        let (status, problem) = controller.admin(method, &path, None).await;
        assert_eq!((status, slug(&problem)), (404, "product-not-found"), "{method} {path}");
    }
    create(&controller, json!({ "name": "Another", "variants": [variant("SHOE-42")] })).await;
}

#[tokio::test]
async fn of_two_changes_of_one_version_one_is_rejected() {
    let controller = TestController::open().await;
    let lamp = create(&controller, json!({ "name": "Lamp" })).await;
    let rename = async |name: &str, version: i32| {
        controller.admin("PATCH", &path(&lamp), Some(&json!({ "version": version, "name": name }))).await
    };
    let (one, other) = tokio::join!(rename("One", 1), rename("Other", 1));
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{one:?} {other:?}");
    let rejected = if one.0 == 409 { &one.1 } else { &other.1 };
    assert_eq!((slug(rejected), &rejected["version"]), ("product-changed", &json!(2)));
    assert_eq!(rename("Third", 2).await.0, 200, "the control");
}

#[tokio::test]
async fn products_are_found_by_name_and_sku_page_by_page() {
    let controller = TestController::open().await;
    for nth in 0..51 {
        create(&controller, json!({ "name": format!("Shirt {nth}"), "variants": [variant(&format!("T_{nth}"))] }))
            .await;
    }
    create(&controller, json!({ "name": "100 % wool", "variants": [variant("WOOL"), variant("X_1")] })).await;
    let (_, first) = controller.admin("GET", PRODUCTS, None).await;
    assert_eq!(first["products"].as_array().map(Vec::len), Some(50));
    let newest = &first["products"][0];
    assert_eq!((&newest["variants"], &newest["first_sku"]), (&json!(2), &json!("WOOL")));
    let next = first["next"].as_str().expect("another page");
    assert_eq!(names(&controller, &format!("before={next}")).await, ["Shirt 1", "Shirt 0"]);

    for (search, found) in [
        ("sHiRt%207", vec!["Shirt 7"]),
        ("t_7", vec!["Shirt 7"]),
        ("x_", vec!["100 % wool"]),
        ("%25%20w", vec!["100 % wool"]),
        ("%25", vec!["100 % wool"]),
        ("wool", vec!["100 % wool"]),
        ("nothing", vec![]),
    ] {
        assert_eq!(names(&controller, &format!("search={search}")).await, found, "{search}");
    }
    let id = newest["id"].as_str().expect("an id");
    controller.admin("POST", &format!("{PRODUCTS}/{id}/archive"), None).await;
    assert_eq!(names(&controller, "archived=true").await, ["100 % wool"]);
    assert_eq!(names(&controller, "archived=false&search=wool").await, [""; 0]);
    for wrong in [format!("search={}", "a".repeat(121)), "search=a%00".to_owned()] {
        assert_eq!(controller.admin("GET", &format!("{PRODUCTS}?{wrong}"), None).await.0, 422);
    }
    assert_eq!(controller.admin("GET", &format!("{PRODUCTS}?archived=maybe"), None).await.0, 400);
}

#[tokio::test]
async fn invalid_products_are_rejected_with_the_field() {
    let controller = TestController::open().await;
    let taken = create(&controller, json!({ "name": "Lamp", "variants": [variant("TAKEN")] })).await;
    let wrong = |field: &str, value: Value| {
        let mut wrong = variant("NEW");
        wrong[field] = value;
        json!({ "variants": [variant("FIRST"), wrong] })
    };
    for (change, field) in [
        (json!({ "name": "" }), "name"),
        (json!({ "name": " a" }), "name"),
        (json!({ "name": "a\u{0}" }), "name"),
        (json!({ "name": "a".repeat(121) }), "name"),
        (json!({ "description": "a".repeat(2001) }), "description"),
        (json!({ "attributes": [{ "name": "", "value": "x" }] }), "attributes"),
        (json!({ "attributes": vec![json!({ "name": "a", "value": "x" }); 31] }), "attributes"),
        (json!({ "variants": vec![variant("NEW"); 201] }), "variants"),
        (json!({ "variants": [variant("NEW"), variant("NEW")] }), "variants[1].sku"),
        (wrong("sku", json!("=1+1")), "variants[1].sku"),
        (wrong("title", json!("a\nb")), "variants[1].title"),
        (wrong("price_minor", json!(0)), "variants[1].price_minor"),
        (wrong("currency", json!("eur")), "variants[1].currency"),
        (wrong("gtin", json!("4006381333932")), "variants[1].gtin"),
        (wrong("id", json!("00000000-0000-4000-8000-000000000000")), "variants[1].id"),
    ] {
        let mut product = json!({ "name": "Another" });
        change.as_object().expect("an object").iter().for_each(|(name, value)| product[name] = value.clone());
        let (status, problem) = controller.admin("POST", PRODUCTS, Some(&product)).await;
        assert_eq!((status, &problem["field"]), (422, &json!(field)), "{change}: {problem}");
        let mut product = product.clone();
        product["version"] = json!(1);
        let (status, problem) = controller.admin("PATCH", &path(&taken), Some(&product)).await;
        assert_eq!((status, &problem["field"]), (422, &json!(field)), "{change}: {problem}");
    }
    for unknown in [json!({ "name": "A", "price": 1 }), json!({ "name": null }), json!({})] {
        assert_eq!(controller.admin("POST", PRODUCTS, Some(&unknown)).await.0, 422, "{unknown}");
    }
    let large = json!({ "name": "A", "description": "a".repeat(530_000) });
    assert_eq!(controller.admin("POST", PRODUCTS, Some(&large)).await.0, 413);
    let (status, problem) =
        controller.admin("POST", PRODUCTS, Some(&json!({ "name": "A", "variants": [variant("TAKEN")] }))).await;
    assert_eq!((status, slug(&problem), &problem["sku"]), (409, "sku-taken", &json!("TAKEN")));
    let (_, shown) = controller.admin("GET", &path(&taken), None).await;
    assert_eq!(shown, taken, "nothing was changed");

    // The database checks the same.
    for (broken, constraint) in [
        ("UPDATE products SET name = ''", "products_name_is_bounded"),
        ("UPDATE products SET attributes = '{}'", "products_attributes_are_a_list"),
        ("UPDATE products SET attributes = '[{\"name\": \"a\"}]'", "products_attributes_are_a_list"),
        ("UPDATE products SET attributes = '[1]'", "products_attributes_are_a_list"),
        ("UPDATE variants SET position = 200", "variants_position_is_bounded"),
        ("UPDATE variants SET sku = '-'", "variants_sku_is_plain"),
        ("UPDATE variants SET price_minor = 0", "variants_price_is_bounded"),
        ("UPDATE variants SET gtin = '1'", "variants_gtin_is_valid"),
    ] {
        let refused = sqlx::query(broken).execute(&controller.pool).await.expect_err(broken);
        let named = refused.as_database_error().and_then(|error| error.constraint()).map(str::to_owned);
        assert_eq!(named.as_deref(), Some(constraint), "{broken}: {refused}");
    }
}

#[tokio::test]
async fn the_largest_product_is_accepted() {
    let controller = TestController::open().await;
    let variants: Vec<_> = (0..200).map(|nth| variant(&format!("SKU-{nth:03}"))).collect();
    let created = create(&controller, json!({ "name": "Ticket", "variants": variants })).await;
    assert_eq!((skus(&created).len(), skus(&created)[199]), (200, "SKU-199"));
    let headers = format!("authorization: Bearer {ADMIN_TOKEN}\r\nidempotency-key: the-largest\r\n");
    let body = json!({ "name": "Ticket", "description": "a".repeat(2000), "variants": [] }).to_string();
    let padded = body + &" ".repeat(300_000);
    let (status, first) = controller.request("POST", PRODUCTS, &headers, &padded).await;
    let (again, second) = controller.request("POST", PRODUCTS, &headers, &padded).await;
    assert_eq!((status, again), (201, 201));
    assert_eq!(
        serde_json::from_str::<Value>(&first).expect("JSON"),
        serde_json::from_str::<Value>(&second).expect("JSON"),
        "the product was created once"
    );
}
