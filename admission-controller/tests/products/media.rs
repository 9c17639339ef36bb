//! Images of products: upload, delivery, and deletion of unused ones.

use std::path::Path;

use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{PRODUCTS, create, path, slug};
use crate::test_controller::TestController;

/// A PNG of one transparent pixel.
const PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, 0x00, 0x00, 0x00, 0x1f, 0x15, 0xc4, 0x89, 0x00, 0x00, 0x00, 0x0b, 0x49,
    0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x60, 0x00, 0x02, 0x00, 0x00, 0x05, 0x00, 0x01, 0xe9, 0xfa, 0xdc, 0xd8, 0x00,
    0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];
const MEDIA: &str = "/api/admin/media";

/// A controller that stores images in a folder.
pub async fn with_images(folder: &Path) -> TestController {
    let mut controller = TestController::open().await;
    let url = format!("file://{}", folder.display());
    controller.address = controller.controller_with(&controller.shutdown(), &["--media-url", &url]).await;
    controller.until("the controller to be there", async || TcpStream::connect(controller.address).await.is_ok()).await;
    controller
}

pub async fn upload(controller: &TestController) -> Value {
    let (status, media) = controller.upload(MEDIA, "image/png", PNG).await;
    assert_eq!(status, 201, "{media}");
    media
}

#[tokio::test]
async fn an_image_is_uploaded_shown_with_its_product_and_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let controller = with_images(folder.path()).await;
    let media = upload(&controller).await;
    assert_eq!((&media["width"], media["sizes"].as_array().map(Vec::len)), (&json!(1), Some(1)));
    assert_eq!(upload(&controller).await, media, "the same image has the same name");
    let images = json!([{ "media": media["media"], "alt": "A pixel" }]);
    let product = create(&controller, json!({ "name": "Lamp", "images": images })).await;
    let image = &product["images"][0];
    assert_eq!((&image["alt"], &image["sizes"], &image["height"]), (&json!("A pixel"), &media["sizes"], &json!(1)));
    let (_, page) = controller.admin("GET", PRODUCTS, None).await;
    assert_eq!(&page["products"][0]["image"], image);

    let at = media["sizes"][0]["path"].as_str().expect("a path");
    let (status, head, bytes) = controller.download(at, "cookie: a=b\r\n").await;
    assert_eq!((status, &bytes[..4], &bytes[8..12]), (200, b"RIFF".as_slice(), b"WEBP".as_slice()));
    for header in [
        "content-type: image/webp",
        "cache-control: public, max-age=86400, immutable",
        "x-content-type-options: nosniff",
        "content-security-policy: default-src 'none'; sandbox",
        "etag: \"",
    ] {
        assert!(head.contains(header), "{header}: {head}");
    }
    assert!(!head.contains("set-cookie") && !head.contains("vary"), "{head}");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
    let (status, head, bytes) = controller.download(at, &format!("if-none-match: \"other\", {tag}\r\n")).await;
    assert_eq!((status, bytes.len()), (304, 0));
    assert!(head.contains("max-age=86400"), "{head}");
    for wrong in ["/media/nothing", &at.replace(".webp", ".jpg"), "/media/%2E%2E%2F%2E%2E", &at.replace("-1.", "-2.")] {
        let (status, head, _) = controller.download(wrong, "").await;
        assert_eq!(status, 404, "{wrong}");
        assert!(!head.contains("max-age"), "{head}");
    }

    // The order and the texts change; a removed image stays served until it is deleted.
    let change = json!({ "version": 1, "images": [{ "media": media["media"], "alt": "Another text" }] });
    let (_, changed) = controller.admin("PATCH", &path(&product), Some(&change)).await;
    assert_eq!(changed["images"][0]["alt"], json!("Another text"), "{changed}");
    let (_, changed) = controller.admin("PATCH", &path(&product), Some(&json!({ "version": 2, "images": [] }))).await;
    assert_eq!(changed["images"], json!([]), "{changed}");
    assert_eq!(controller.download(at, "").await.0, 200);
    let (_, audit) = controller.admin("GET", "/api/admin/audit", None).await;
    let is_change = |entry: &&Value| entry["action"] == json!("change_images");
    assert_eq!(audit["entries"].as_array().expect("entries").iter().filter(is_change).count(), 3, "{audit}");
}

#[tokio::test]
async fn what_is_not_an_image_is_rejected() {
    let folder = tempfile::tempdir().expect("a folder");
    let controller = with_images(folder.path()).await;
    for (kind, body, expected) in [
        ("image/png", b"<svg/>".as_slice(), (422, "image-rejected")),
        ("image/jpeg", PNG, (422, "image-rejected")),
        ("image/png", &PNG[..40], (422, "image-rejected")),
        ("image/svg+xml", b"<svg/>", (415, "unsupported-image")),
        ("application/json", b"{}", (415, "unsupported-image")),
    ] {
        let (status, problem) = controller.upload(MEDIA, kind, body).await;
        assert_eq!((status, slug(&problem)), expected, "{kind}: {problem}");
    }
    let (status, problem) = controller.upload(MEDIA, "image/png", &vec![0; 10 * 1024 * 1024 + 1]).await;
    assert_eq!((status, slug(&problem)), (413, "body-too-large"));
    let unknown = json!({ "name": "Lamp", "images": [{ "media": "5a".repeat(32), "alt": "" }] });
    let (status, problem) = controller.admin("POST", PRODUCTS, Some(&unknown)).await;
    assert_eq!((status, &problem["field"]), (422, &json!("images[0].media")), "{problem}");
    assert!(std::fs::read_dir(folder.path()).expect("a folder").next().is_none(), "nothing was stored");

    let without = TestController::open().await;
    let (status, problem) = without.upload(MEDIA, "image/png", PNG).await;
    assert_eq!((status, slug(&problem)), (409, "images-not-configured"));
    assert_eq!(without.download("/media/nothing", "").await.0, 404);
}

#[tokio::test]
async fn images_that_no_product_uses_are_deleted_after_a_day() {
    let folder = tempfile::tempdir().expect("a folder");
    let controller = with_images(folder.path()).await;
    let media = upload(&controller).await;
    let at = media["sizes"][0]["path"].as_str().expect("a path").to_owned();
    let images = json!([{ "media": media["media"], "alt": "" }]);
    let product = create(&controller, json!({ "name": "Lamp", "images": images })).await;
    let uses = async || -> (i32, bool) {
        sqlx::query_as("SELECT uses, unused_since IS NULL FROM media").fetch_one(&controller.pool).await.expect("a row")
    };
    let another = create(&controller, json!({ "name": "Another", "images": images })).await;
    assert_eq!(uses().await, (2, true));
    controller.admin("DELETE", &path(&another), None).await;
    assert_eq!(uses().await, (1, true));
    controller.admin("DELETE", &path(&product), None).await;
    assert_eq!(uses().await, (0, false));
    assert_eq!(controller.download(&at, "").await.0, 200, "it is kept for a day");

    // A day later, a controller that starts deletes it.
    let later = "UPDATE media SET unused_since = unused_since - interval '25 hours'";
    sqlx::query(later).execute(&controller.pool).await.expect("updated");
    let url = format!("file://{}", folder.path().display());
    controller.controller_with(&controller.shutdown(), &["--media-url", &url]).await;
    controller.until("the image to be deleted", async || controller.download(&at, "").await.0 == 404).await;
    controller
        .until("its row to be deleted", async || {
            let rows: i64 =
                sqlx::query_scalar("SELECT count(*) FROM media").fetch_one(&controller.pool).await.expect("a count");
            rows == 0
        })
        .await;
    // It can be uploaded again.
    let again = upload(&controller).await;
    assert_eq!((&again, controller.download(&at, "").await.0), (&media, 200));
}

#[tokio::test]
async fn an_image_that_is_being_deleted_is_not_used_and_is_uploaded_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let controller = with_images(folder.path()).await;
    let media = upload(&controller).await;
    sqlx::query("UPDATE media SET stored_at = NULL").execute(&controller.pool).await.expect("withdrawn");
    let product = json!({ "name": "Lamp", "images": [{ "media": media["media"], "alt": "" }] });
    let (status, problem) = controller.admin("POST", PRODUCTS, Some(&product)).await;
    assert_eq!((status, &problem["field"]), (422, &json!("images[0].media")), "{problem}");
    upload(&controller).await;
    create(&controller, product).await;
}
