//! The admin API: credentials, input, idempotency, lists.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::test_controller::{ADMIN_TOKEN, TestController};

#[tokio::test]
async fn a_post_with_an_idempotency_key_is_executed_once() {
    let controller = TestController::open().await;
    let body = json!({ "slug": "once", "name": "A", "price_minor": 100, "currency": "EUR", "total": 1, "per_account_limit": 2 });
    let create = async |key: &str, body: &serde_json::Value, token: &str| {
        let headers = format!("authorization: Bearer {token}\r\nidempotency-key: {key}\r\n");
        let (status, answer) = controller.request("POST", "/api/admin/sales", &headers, &body.to_string()).await;
        (status, serde_json::from_str::<serde_json::Value>(&answer).expect("JSON"))
    };
    let first = create("a-key", &body, ADMIN_TOKEN).await;
    assert_eq!((first.0, &first.1["per_account_limit"]), (201, &json!(2)));
    assert_eq!(create("a-key", &body, ADMIN_TOKEN).await, first, "not that the slug is taken");
    assert_eq!(create("another", &body, ADMIN_TOKEN).await.0, 409, "the control");
    let mut other = body.clone();
    other["total"] = json!(2);
    let (status, reused) = create("a-key", &other, ADMIN_TOKEN).await;
    assert!(status == 422 && reused["type"].as_str().is_some_and(|kind| kind.ends_with("idempotency-key-reused")));
    assert_eq!(create("a-key", &body, "another token").await.0, 401, "only its caller receives the response");
    let (_, list) = controller.admin("GET", "/api/admin/sales", None).await;
    assert_eq!(list["sales"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_database_rejects_promises_beyond_the_stock() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 2, "opens_at": "2999-01-01T00:00:00Z" })).await;
    for broken in ["promised = 3", "held = 2, sold = 1", "promised = 1, held = 1, sold = 1", "sold = -1"] {
        let update = sqlx::AssertSqlSafe(format!("UPDATE stock SET {broken} WHERE sale_id = '{sale}'"));
        let refused = sqlx::query(update).execute(&controller.pool).await.expect_err(broken);
        let constraint = refused.as_database_error().and_then(|error| error.constraint()).map(str::to_owned);
        assert!(constraint.is_some_and(|name| name.starts_with("stock_")), "{broken}: {refused}");
    }
}

#[tokio::test]
async fn a_window_can_be_changed_until_the_sale_opens() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "opens_at": "2999-01-02T00:00:00Z", "ends_at": "2999-01-03T00:00:00Z" })).await;
    let path = format!("/api/admin/sales/{sale}");
    let change = async |change: Value| controller.admin("PATCH", &path, Some(&change)).await;
    for wrong in [json!({ "ends_at": "2999-01-01T00:00:00Z" }), json!({ "opens_at": "2999-01-04T00:00:00Z" })] {
        let (status, problem) = change(wrong).await;
        assert_eq!((status, &problem["field"]), (422, &json!("ends_at")));
    }
    let (_, later) = change(json!({ "opens_at": "2999-02-02T00:00:00Z", "ends_at": null })).await;
    assert_eq!((&later["opens_at"], &later["ends_at"]), (&json!("2999-02-02T00:00:00Z"), &json!(null)));
    let (_, again) = change(json!({ "rate_cap_per_s": 5.0 })).await;
    assert_eq!(again["opens_at"], later["opens_at"], "what is left out stays");
    assert_eq!(change(json!({ "opens_at": "2020-01-01T00:00:00Z" })).await.0, 200);
    controller.until("the sale to open", async || controller.show(sale).await["status"] == json!("open")).await;
    let (status, problem) = change(json!({ "opens_at": "2999-02-02T00:00:00Z" })).await;
    assert!(status == 409 && problem["type"].as_str().is_some_and(|kind| kind.ends_with("invalid-transition")));
}

#[tokio::test]
async fn sales_are_listed_in_pages_and_found_by_slug() {
    let controller = TestController::open().await;
    sqlx::raw_sql(
        "WITH sale AS (INSERT INTO sales (id, slug, name, description, price_minor, currency, per_shopper_limit, rate_cap_per_s, \
         token_ttl_s, claim_window_s, hold_s, opens_at, recall_window_s, status) \
         SELECT gen_random_uuid(), 'old-' || n, 'Old', '', 1, 'EUR', 1, 1, 60, 10, 60, now(), 60, 'closed' \
         FROM generate_series(1, 203) AS n RETURNING id), \
         line AS (INSERT INTO lines (id, sale_id, published_status) SELECT id, id, 'closed' FROM sale), \
         item AS (INSERT INTO items (sale_id, item) SELECT id, 1 FROM sale), \
         counters AS (INSERT INTO sale_counters (sale_id) SELECT id FROM sale) \
         INSERT INTO stock (sale_id, item, total) SELECT id, 1, 1 FROM sale",
    )
    .execute(&controller.pool)
    .await
    .expect("old sales");
    let list = async |asked: &str| {
        let (status, page) = controller.admin("GET", &format!("/api/admin/sales{asked}"), None).await;
        assert_eq!(status, 200, "{page}");
        page
    };
    let slugs = |page: &Value| -> Vec<String> {
        let sales = page["sales"].as_array().expect("sales").iter();
        sales.map(|sale| sale["slug"].as_str().expect("a slug").to_owned()).collect()
    };
    let first = list("").await;
    let second = list(&format!("?before={}", first["next"].as_str().expect("more"))).await;
    assert_eq!((slugs(&first).len(), slugs(&second).len(), &second["next"]), (200, 3, &json!(null)));
    let all: BTreeSet<String> = slugs(&first).into_iter().chain(slugs(&second)).collect();
    assert_eq!(all.len(), 203);
    assert_eq!(slugs(&list("?slug=old-7").await), ["old-7"]);
    assert!(slugs(&list("?slug=nothing").await).is_empty());
}

#[tokio::test]
async fn every_operation_needs_credentials() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "slug": "taken" })).await;
    let (_, document) = controller.request("GET", "/openapi/admission-controller.json", "", "").await;
    let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let mut operations = BTreeSet::new();
    let paths = document["paths"].as_object().expect("paths");
    for (path, methods) in paths.iter().filter(|(path, _)| path.starts_with("/api/admin/")) {
        for method in methods.as_object().expect("methods").keys() {
            let (method, path) =
                (method.to_uppercase(), path.replace("{id}", &sale.to_string()).replace("{lane}", "vip"));
            // Sign-in and enrolment need no credentials.
            if method == "POST" && ["/api/admin/session", "/api/admin/enrolment"].contains(&path.as_str()) {
                continue;
            }
            for headers in ["", "authorization: Bearer wrong\r\n", "authorization: Basic x\r\n"] {
                let (status, body) = controller.request(&method, &path, headers, "{}").await;
                assert_eq!(status, 401, "{method} {path} {body}");
            }
            operations.insert(format!("{method} {path}"));
        }
    }
    assert_eq!(operations.len(), 64, "{operations:?}");
    // What is public: the offer, the record, the keys, health and metrics.
    assert_eq!(
        paths.keys().filter(|path| !path.starts_with("/api/admin/")).collect::<Vec<_>>(),
        [
            "/.well-known/jwks.json",
            "/api/flash-sales/{id}/items",
            "/api/flash-sales/{id}/record",
            "/health/live",
            "/health/ready",
            "/media/{name}",
            "/metrics",
            "/problems/{slug}"
        ]
    );
}

#[tokio::test]
async fn a_sale_with_invalid_input_is_rejected() {
    let controller = TestController::open().await;
    controller.sale(json!({ "slug": "taken" })).await;
    let good = json!({ "slug": "another", "name": "A", "price_minor": 100, "currency": "EUR", "total": 1 });
    for (change, status, field) in [
        (json!({ "slug": "taken" }), 409, "slug"),
        (json!({ "slug": "Not plain" }), 422, "slug"),
        (json!({ "slug": "a--b" }), 422, "slug"),
        (json!({ "name": "  " }), 422, "name"),
        (json!({ "price_minor": -1 }), 422, "price_minor"),
        // Below the minimum of the payment gateway, or an amount that it does not support.
        (json!({ "price_minor": 49 }), 422, "price_minor"),
        (json!({ "price_minor": 17_499, "currency": "HUF" }), 422, "price_minor"),
        (json!({ "price_minor": 5124, "currency": "KWD" }), 422, "price_minor"),
        (json!({ "currency": "eur" }), 422, "currency"),
        (json!({ "total": -1 }), 422, "total"),
        (json!({ "total": "many" }), 422, "total"),
        (json!({ "per_shopper_limit": 0 }), 422, "per_shopper_limit"),
        (json!({ "per_account_limit": 0 }), 422, "per_account_limit"),
        (json!({ "rate_cap_per_s": 0.0 }), 422, "rate_cap_per_s"),
        (json!({ "hold_s": 0 }), 422, "hold_s"),
        (json!({ "order": "lifo" }), 422, "order"),
        (json!({ "mode": "hope" }), 422, "mode"),
        (json!({ "risk": 0.0 }), 422, "risk"),
        (json!({ "risk": 0.2 }), 422, "risk"),
        (json!({ "in_checkout_max": 0 }), 422, "in_checkout_max"),
        (json!({ "prior_sale": "00000000-0000-0000-0000-000000000001" }), 422, "prior_sale"),
        (json!({ "grace_s": 0 }), 422, "grace_s"),
        (json!({ "time_zone": "Nowhere/Nothing" }), 422, "time_zone"),
        (json!({ "time_zone": "posix/UTC" }), 422, "time_zone"),
        (json!({ "opens_at": "tomorrow" }), 422, "opens_at"),
        (json!({ "opens_at": "2999-01-02T00:00:00Z", "ends_at": "2999-01-01T00:00:00Z" }), 422, "ends_at"),
    ] {
        let mut body = good.clone();
        change.as_object().expect("an object").iter().for_each(|(name, value)| body[name] = value.clone());
        let (got, problem) = controller.admin("POST", "/api/admin/sales", Some(&body)).await;
        assert_eq!((got, &problem["field"]), (status, &json!(field)), "{change}: {problem}");
    }
    let (_, list) = controller.admin("GET", "/api/admin/sales", None).await;
    assert_eq!(list["sales"].as_array().map(Vec::len), Some(1));
    assert_eq!(controller.admin("GET", "/api/admin/sales/nonsense", None).await.0, 404);
}

#[tokio::test]
async fn an_invalid_change_is_rejected() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({})).await;
    controller.join(sale, 1).await;
    controller.until("a promise", async || controller.show(sale).await["promised"] == json!(1)).await;
    let path = format!("/api/admin/sales/{sale}");
    for (change, status, slug) in [
        (json!({ "total": 0 }), 409, "stock-below-commitments"),
        (json!({ "rate_cap_per_s": -1.0 }), 422, "invalid-body"),
        (json!({ "message": "x".repeat(501) }), 422, "invalid-body"),
        (json!({ "colour": "red" }), 422, "invalid-body"),
        (json!({ "message": "x".repeat(17_000) }), 413, "body-too-large"),
    ] {
        let (got, problem) = controller.admin("PATCH", &path, Some(&change)).await;
        assert_eq!(got, status, "{problem}");
        assert!(problem["type"].as_str().is_some_and(|kind| kind.ends_with(slug)), "{problem}");
    }
    let (_, changed) =
        controller.admin("PATCH", &path, Some(&json!({ "message": "Hello", "rate_cap_per_s": 5.0 }))).await;
    assert_eq!(
        (&changed["message"], &changed["rate_cap_per_s"], &changed["total"]),
        (&json!("Hello"), &json!(5.0), &json!(10))
    );
    let (_, changed) = controller.admin("PATCH", &path, Some(&json!({ "message": null }))).await;
    assert_eq!(changed["message"], json!(null));
}

#[tokio::test]
async fn the_console_health_and_metrics_are_public() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "slug": "taken" })).await;
    controller.join(sale, 1).await;
    let (status, console) = controller.request("GET", "/admin", "", "").await;
    assert!(status == 200 && console.contains("/admin/assets/"));
    for (path, wanted) in [
        ("/health/live", "live"),
        ("/health/ready", "ready"),
        ("/metrics", "admission_tick_duration"),
        ("/metrics", "# HELP admissions_total Admissions."),
        ("/metrics", "sale_conversion_ratio{sale=\"taken\"} 0"),
        ("/metrics", "db_pool_connections_max{pool=\"admission-controller\"}"),
        ("/metrics", "admission_rounds_total "),
        ("/metrics", "admission_decisions_total{sale=\"taken\",reason=\""),
        ("/metrics", "admission_waiting_shoppers{sale=\"taken\",lane=\"\"}"),
        ("/metrics", "admission_stock_units{sale=\"taken\",state=\"promised\"}"),
    ] {
        controller
            .until(wanted, async || {
                let (status, body) = controller.request("GET", path, "", "").await;
                status == 200 && body.contains(wanted)
            })
            .await;
    }
}
