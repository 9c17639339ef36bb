//! Webhooks, as owners manage them.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::test_controller::TestController;

async fn list(controller: &TestController) -> Vec<Value> {
    controller.admin("GET", "/api/admin/webhooks", None).await.1["webhooks"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn webhooks_are_added_listed_enabled_and_deleted() {
    let controller = TestController::open().await;
    let add = async |body: Value| controller.admin("POST", "/api/admin/webhooks", Some(&body)).await;
    let (status, added) = add(json!({ "url": "https://shop.example/hook", "kinds": ["PurchaseCompleted"] })).await;
    assert_eq!(status, 201, "{added}");
    assert!(added["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_") && secret.len() > 30));
    let listed = list(&controller).await;
    assert_eq!(
        (&listed[0]["id"], &listed[0]["status"], &listed[0]["waiting"]),
        (&added["id"], &json!("enabled"), &json!(0))
    );
    assert_eq!(listed[0]["kinds"], json!(["PurchaseCompleted"]));
    assert!(listed[0]["secret"].is_null(), "it is shown once");

    for wrong in [
        json!({ "url": "ftp://shop.example" }),
        json!({ "url": "https://u:p@shop.example" }),
        json!({ "url": "https://shop.example", "kinds": ["SomethingElse"] }),
        json!({ "url": "https://shop.example", "secret": "mine" }),
        json!({}),
    ] {
        let (status, problem) = add(wrong.clone()).await;
        assert_eq!(status, 422, "{wrong}: {problem}");
    }

    let id: Uuid = added["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    sqlx::query("UPDATE webhooks SET failing_since = now(), last_error = 'receiver returned 500', disabled_at = now()")
        .execute(&controller.pool)
        .await
        .expect("off");
    let listed = list(&controller).await;
    assert_eq!((&listed[0]["status"], &listed[0]["last_error"]), (&json!("disabled"), &json!("receiver returned 500")));
    let (_, enabled) = controller.admin("POST", &format!("/api/admin/webhooks/{id}/enable"), None).await;
    assert_eq!(
        (&enabled["webhooks"][0]["status"], &enabled["webhooks"][0]["last_error"]),
        (&json!("enabled"), &json!(null))
    );

    for _ in 1..20 {
        assert_eq!(add(json!({ "url": "https://shop.example/hook" })).await.0, 201);
    }
    let (status, problem) = add(json!({ "url": "https://shop.example/hook" })).await;
    assert_eq!((status, problem["type"].as_str().is_some_and(|kind| kind.ends_with("too-many-webhooks"))), (409, true));

    assert_eq!(controller.admin("DELETE", &format!("/api/admin/webhooks/{id}"), None).await.0, 204);
    for unknown in [id.to_string(), "nothing".to_owned()] {
        assert_eq!(controller.admin("DELETE", &format!("/api/admin/webhooks/{unknown}"), None).await.0, 404);
        assert_eq!(controller.admin("POST", &format!("/api/admin/webhooks/{unknown}/enable"), None).await.0, 404);
    }
    assert_eq!(list(&controller).await.len(), 19);
}
