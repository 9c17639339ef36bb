//! Each input of each documented operation has a target: its body, its query, and each header that
//! the OpenAPI document names.

use std::{collections::BTreeSet, fs, path::Path};

use fairline_fuzz::targets;
use serde_json::Value;

/// The documents, by service.
const DOCUMENTS: [&str; 3] = ["waiting-room", "admission-controller", "checkout"];

/// Inputs, and the targets that call their parsers.
const PARSED_BY: &[(&str, &str)] = &[
    ("GET /api/flash-sales/{id}/line query", "line-query"),
    ("GET /api/admin/audit query", "audit-query"),
    ("GET /api/admin/audit.csv query", "audit-query"),
    ("POST /api/admin/enrolment body", "enrol-body"),
    ("GET /api/admin/live query", "live-query"),
    ("POST /api/admin/operators body", "add-operator-body"),
    ("PATCH /api/admin/operators/{name} body", "change-operator-body"),
    ("GET /api/admin/products query", "products-query"),
    ("POST /api/admin/products body", "create-product-body"),
    ("POST /api/admin/products.csv body", "product-table"),
    ("POST /api/admin/products.csv query", "import-query"),
    ("PATCH /api/admin/products/{id} body", "change-product-body"),
    ("GET /api/admin/sales query", "sales-query"),
    ("POST /api/admin/sales body", "create-sale-body"),
    ("PATCH /api/admin/sales/{id} body", "change-sale-body"),
    ("POST /api/admin/sales/{id}/admit body", "admit-now-body"),
    ("PUT /api/admin/sales/{id}/banner body", "banner-body"),
    ("POST /api/admin/sales/{id}/items body", "add-item-body"),
    ("PATCH /api/admin/sales/{id}/items/{item} body", "change-item-body"),
    ("POST /api/admin/sales/{id}/items.csv body", "item-table"),
    ("POST /api/admin/sales/{id}/items.csv query", "import-query"),
    ("POST /api/admin/sales/{id}/lanes body", "add-lane-body"),
    ("PATCH /api/admin/sales/{id}/lanes/{lane} body", "change-lane-body"),
    ("POST /api/admin/sales/{id}/lanes/{lane}/invitations body", "invite-body"),
    ("GET /api/admin/sales/{id}/orders query", "orders-query"),
    ("POST /api/admin/sales/{id}/orders/{order}/cancel body", "cancel-order-body"),
    ("POST /api/admin/sales/{id}/orders/{order}/refund body", "refund-order-body"),
    ("POST /api/admin/sales/{id}/rehearsals body", "rehearse-body"),
    ("POST /api/admin/sales/{id}/revoke body", "revoke-tokens-body"),
    ("GET /api/admin/sales/{id}/samples query", "samples-query"),
    ("POST /api/admin/sales/{id}/tickets/{ordinal}/prefer body", "move-ticket-body"),
    ("POST /api/admin/sales/{id}/tickets/{ordinal}/remove body", "move-ticket-body"),
    ("POST /api/admin/session body", "operator-sign-in-body"),
    ("POST /api/admin/session/password body", "change-password-body"),
    ("POST /api/admin/tokens body", "add-token-body"),
    ("POST /api/admin/webhooks body", "add-webhook-body"),
    ("GET /api/flash-sales/{id}/record query", "record-query"),
    ("POST /api/admissions/redeem body", "merchant-redeem-body"),
    ("POST /api/flash-sales/{id}/purchase body", "purchase-body"),
    ("POST /api/orders/{id}/confirm body", "merchant-confirm-body"),
    ("POST /api/orders/{id}/payment body", "payment-body"),
    ("POST /api/orders/{id}/refund body", "merchant-refund-body"),
    ("GET /forward-auth/enter query", "forward-auth"),
    ("GET /forward-auth/verify query", "forward-auth"),
    ("GET /forward-auth/verify header X-Fairline-Sale", "forward-auth"),
    ("POST /inventory/reserve body", "merchant-reserve-body"),
    ("POST /users/login body", "sign-in-body"),
    ("POST /users/login/code body", "sign-in-code-body"),
    ("POST /users/login/refresh body", "refresh-body"),
    ("POST /users/logout body", "refresh-body"),
    ("DELETE /users/push body", "unsubscribe-body"),
    ("POST /users/push body", "subscription-body"),
    ("POST /webhooks/stripe body", "webhook-event"),
    ("POST /webhooks/stripe header Stripe-Signature", "webhook-signature"),
];

/// Ends of inputs without a target, and why.
const EXEMPT: &[(&str, &str)] = &[
    ("header Idempotency-Key", "text that is stored as it is: 1 to 255 visible ASCII characters"),
    ("header If-None-Match", "text that is compared with an ETag"),
    (
        "POST /api/admin/media body",
        "decoded by the crate `image`, within limits; a decoder that panics rejects the image: crates/media/src/image_processor.rs",
    ),
];

/// The inputs of the operations of a document, as `PARSED_BY` writes them.
fn inputs(document: &Value) -> Vec<String> {
    let mut inputs = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let operation_of = |input: &str| format!("{} {path} {input}", method.to_uppercase());
            if operation.get("requestBody").is_some() {
                inputs.push(operation_of("body"));
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().expect("parameters stand in their operation");
                match parameter["in"].as_str() {
                    Some("query") => inputs.push(operation_of("query")),
                    Some("header") => inputs.push(operation_of(&format!("header {name}"))),
                    // Ids, which the target `ids` parses, and cookies: `cookie-header`.
                    Some("path" | "cookie") => {}
                    other => panic!("{method} {path}: a parameter in {other:?}"),
                }
            }
        }
    }
    inputs
}

#[test]
fn each_input_of_a_documented_operation_has_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi");
    let documented: BTreeSet<String> = DOCUMENTS
        .iter()
        .flat_map(|service| {
            let text = fs::read(folder.join(format!("{service}.json"))).expect("the document of a service");
            inputs(&serde_json::from_slice(&text).expect("JSON"))
        })
        .collect();
    let is_exempt = |input: &str| EXEMPT.iter().any(|(end, _)| input.ends_with(end));
    let parsed: BTreeSet<&str> = PARSED_BY.iter().map(|(input, _)| *input).collect();
    let missing: Vec<&String> =
        documented.iter().filter(|input| !parsed.contains(input.as_str()) && !is_exempt(input)).collect();
    assert!(missing.is_empty(), "add a target to the service's fuzz.rs, and a row here, for {missing:#?}");

    let gone: Vec<&&str> = parsed.iter().filter(|input| !documented.contains(**input) || is_exempt(input)).collect();
    assert!(gone.is_empty(), "no operation has the input, or it is exempt: {gone:#?}");
    for (end, _) in EXEMPT {
        assert!(documented.iter().any(|input| input.ends_with(end)), "nothing ends with {end}");
    }
    let names: BTreeSet<&str> = targets().into_iter().map(|(name, _)| name).collect();
    for (input, target) in PARSED_BY {
        assert!(names.contains(target), "{input}: no target {target}");
    }
}
