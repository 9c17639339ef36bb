//! What a sale offers, for shoppers.

use fairline_sale::SaleId;
use serde_json::{Value, json};

use super::{change, item, sale, shoe, slug};
use crate::{
    products::media::{upload, with_images},
    test_controller::TestController,
};

async fn offer(controller: &TestController, sale: SaleId, headers: &str) -> (u16, String, Value) {
    let (status, head, body) = controller.download(&format!("/api/flash-sales/{sale}/items"), headers).await;
    (status, head, serde_json::from_slice(&body).unwrap_or_default())
}

fn tag(head: &str) -> String {
    head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("an entity tag").to_owned()
}

#[tokio::test]
async fn an_offer_is_public_and_cached_until_it_changes() {
    let controller = TestController::open().await;
    shoe(&controller).await;
    let mut limited = item("B");
    limited["per_shopper_limit"] = json!(1);
    let sale = sale(&controller, &[json!({ "sku": "S-42", "price_minor": 9900, "total": 5 }), limited]).await;
    let (status, head, offered) = offer(&controller, sale, "").await;
    assert!(status == 200 && head.contains("cache-control: public, max-age=60"), "{head}");
    let expected = json!({ "currency": "EUR", "banner": null, "items": [
        {
            "item": 1, "sku": "S-42", "name": "Shoe, EU 42", "attributes": [{ "name": "Size", "value": "42" }], "list_minor": 12_900,
            "price_minor": 9900, "per_shopper_limit": 2, "withdrawn": false, "image": null,
        },
        {
            "item": 2, "sku": "B", "name": "Name of B", "attributes": [], "list_minor": null, "price_minor": 9900,
            "per_shopper_limit": 1, "withdrawn": false, "image": null,
        },
    ] });
    assert_eq!(offered, expected);
    let tag_now = tag(&head);
    let headers = format!("if-none-match: {tag_now}\r\n");
    let (status, _, body) = offer(&controller, sale, &headers).await;
    assert_eq!((status, body), (304, Value::Null));

    change(&controller, (sale, 2), json!({ "version": 1, "name": "Box" })).await;
    controller.until("the change", async || offer(&controller, sale, &headers).await.0 == 200).await;
    let (_, head, offered) = offer(&controller, sale, "").await;
    assert_eq!(offered["items"][1]["name"], json!("Box"));
    assert_ne!(tag(&head), tag_now);
    for unknown in ["nonsense", "00000000-0000-4000-8000-000000000000"] {
        assert_eq!(controller.download(&format!("/api/flash-sales/{unknown}/items"), "").await.0, 404);
    }
}

#[tokio::test]
async fn an_offer_has_the_banner_of_the_sale_and_the_images_of_its_products() {
    let folder = tempfile::tempdir().expect("a folder");
    let controller = with_images(folder.path()).await;
    let media = upload(&controller).await;
    let image = json!({ "media": media["media"], "alt": "A pixel" });
    let variants = json!([{ "sku": "S-42", "price_minor": 12_900, "currency": "EUR" }]);
    let product = json!({ "name": "Shoe", "variants": variants, "images": [image] });
    assert_eq!(controller.admin("POST", "/api/admin/products", Some(&product)).await.0, 201);
    let sale = sale(&controller, &[json!({ "sku": "S-42", "price_minor": 9900, "total": 5 }), item("B")]).await;
    let path = format!("/api/admin/sales/{sale}/banner");
    assert_eq!(controller.admin("GET", &path, None).await, (200, json!({ "banner": null })));
    let uses = async || -> i32 {
        sqlx::query_scalar("SELECT uses FROM media").fetch_one(&controller.pool).await.expect("an image")
    };
    assert_eq!(uses().await, 1);
    for _ in 0..2 {
        let (status, set) = controller.admin("PUT", &path, Some(&image)).await;
        assert_eq!((status, &set["banner"]["sizes"]), (200, &media["sizes"]), "{set}");
        assert_eq!(uses().await, 2);
    }
    let (_, _, offered) = offer(&controller, sale, "").await;
    let shown = json!({ "alt": "A pixel", "width": 1, "height": 1, "sizes": media["sizes"] });
    assert_eq!((&offered["banner"], &offered["items"][0]["image"]), (&shown, &shown));
    assert_eq!(offered["items"][1]["image"], json!(null));

    for (wrong, field) in [
        (json!({ "media": "0a".repeat(32), "alt": "" }), "media"),
        (json!({ "media": "../x", "alt": "" }), "media"),
        (json!({ "media": media["media"], "alt": "a".repeat(251) }), "alt"),
    ] {
        let (status, problem) = controller.admin("PUT", &path, Some(&wrong)).await;
        assert_eq!((status, &problem["field"]), (422, &json!(field)), "{problem}");
    }
    let unknown = "/api/admin/sales/00000000-0000-4000-8000-000000000000/banner";
    assert_eq!(slug(&controller.admin("PUT", unknown, Some(&image)).await.1), "sale-not-found");
    assert_eq!(controller.admin("DELETE", &path, None).await.0, 204);
    assert_eq!((controller.admin("GET", &path, None).await.1, uses().await), (json!({ "banner": null }), 1));
}
