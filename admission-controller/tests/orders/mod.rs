//! Orders: search, refund, cancellation, and their figures in the report.

use fairline_sale::SaleId;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{record::FAR_AWAY, test_controller::TestController};

/// An order as checkout leaves it: paid for, of the ticket with this ordinal, by an account.
async fn paid(controller: &TestController, sale: SaleId, ordinal: i64, address: &str) -> Uuid {
    let id = hold(controller, sale, ordinal, address).await;
    sqlx::query(
        "WITH paid AS (UPDATE holds SET state = 'paid' WHERE id = $1 RETURNING *), payment AS ( \
            INSERT INTO payments (id, hold_id, payment_method, gateway_ref, state, amount_minor, currency) \
            SELECT gen_random_uuid(), id, 'tok_visa', 'pi_' || replace(id::text, '-', ''), 'captured', amount_minor, currency FROM paid RETURNING id) \
         INSERT INTO orders (id, sale_id, payment_id, visitor, quantity, amount_minor, currency) \
         SELECT paid.id, sale_id, payment.id, visitor, quantity, amount_minor, currency FROM paid, payment",
    )
    .bind(id)
    .execute(&controller.pool)
    .await
    .expect("an order");
    id
}

async fn hold(controller: &TestController, sale: SaleId, ordinal: i64, address: &str) -> Uuid {
    let (id, account) = (Uuid::now_v7(), Uuid::new_v4());
    sqlx::query("INSERT INTO accounts (id, address) VALUES ($1, $2)")
        .bind(account)
        .bind(address)
        .execute(&controller.pool)
        .await
        .expect("an account");
    sqlx::query(
        "WITH admission AS (INSERT INTO admissions (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, state, issued_at, claim_by, expires_at) \
            VALUES (gen_random_uuid(), $2, $2, 1, $3, $5, 1, 'k', 'redeemed', now(), now(), now()) RETURNING id) \
         INSERT INTO holds (id, admission_id, sale_id, account_id, visitor, quantity, amount_minor, currency, expires_at) \
         SELECT $1, id, $2, $4, $5, 1, 4900, 'EUR', now() + interval '5 minutes' FROM admission",
    )
    .bind(id)
    .bind(sale.0)
    .bind(ordinal)
    .bind(account)
    .bind(&id.as_bytes()[..])
    .execute(&controller.pool)
    .await
    .expect("a hold");
    id
}

async fn found(controller: &TestController, sale: SaleId, search: &str) -> Vec<Value> {
    let (status, page) =
        controller.admin("GET", &format!("/api/admin/sales/{sale}/orders?search={search}"), None).await;
    assert_eq!(status, 200, "{page}");
    page["orders"].as_array().expect("orders").clone()
}

fn ids(orders: &[Value]) -> Vec<Uuid> {
    orders.iter().map(|order| order["id"].as_str().and_then(|id| id.parse().ok()).expect("an id")).collect()
}

#[tokio::test]
async fn operators_find_refund_and_cancel_an_order_and_the_audit_log_has_the_reason() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "slug": "lamps", "total": 10, "opens_at": FAR_AWAY })).await;
    let first = paid(&controller, sale, 3, "ada@shop.example").await;
    let second = hold(&controller, sale, 4, "bob@shop.example").await;
    let other = controller.sale(json!({ "slug": "other", "total": 10, "opens_at": FAR_AWAY })).await;
    for (search, expected) in [
        (String::new(), vec![second, first]),
        (first.to_string(), vec![first]),
        ("4".to_owned(), vec![second]),
        ("%233".to_owned(), vec![first]),
        ("ada%40shop.example".to_owned(), vec![first]),
        (format!("pi_{}", first.simple()), vec![first]),
        ("unknown".to_owned(), vec![]),
    ] {
        assert_eq!(ids(&found(&controller, sale, &search).await), expected, "{search}");
    }
    assert_eq!(found(&controller, other, &first.to_string()).await, [Value::Null; 0], "of another sale");
    assert_eq!(controller.admin("GET", &format!("/api/admin/sales/{sale}/orders?search=%00"), None).await.0, 422);

    let ask = async |order: Uuid, what: &str, body: Value| {
        controller.admin("POST", &format!("/api/admin/sales/{sale}/orders/{order}/{what}"), Some(&body)).await
    };
    for (order, what, body, status) in [
        (first, "refund", json!({ "reason": " " }), 422),
        (first, "refund", json!({ "amount_minor": 0, "reason": "x" }), 422),
        (first, "refund", json!({ "amount_minor": 4901, "reason": "x" }), 409),
        (first, "cancel", json!({ "reason": "it is paid" }), 409),
        (second, "refund", json!({ "reason": "it is not paid" }), 409),
        (Uuid::new_v4(), "refund", json!({ "reason": "x" }), 404),
    ] {
        let (seen, answer) = ask(order, what, body.clone()).await;
        assert_eq!(seen, status, "{what} {body}: {answer}");
    }
    let (status, refund) = ask(first, "refund", json!({ "amount_minor": 900, "reason": "scratched" })).await;
    assert_eq!((status, &refund["request"]["state"]), (202, &json!("requested")), "{refund}");
    assert_eq!(ask(first, "refund", json!({ "reason": "twice" })).await.0, 409, "one after the other");
    assert_eq!(ask(second, "cancel", json!({ "reason": "a robot" })).await.0, 202);
    let (_, audit) = controller.admin("GET", &format!("/api/admin/audit?sale={sale}"), None).await;
    let entry = |action: &str| {
        let entries = audit["entries"].as_array().expect("entries");
        entries.iter().find(|entry| entry["action"] == action).cloned().expect("noted")
    };
    let noted = entry("refund_order");
    assert_eq!((&noted["reason"], &noted["subject"]), (&json!("scratched"), &json!("lamps")));
    assert_eq!((&noted["after"]["amount_minor"], &noted["after"]["order_id"]), (&json!(900), &json!(first)));
    assert_eq!(entry("cancel_order")["reason"], "a robot");
}

#[tokio::test]
async fn the_report_takes_refunds_and_disputes_out_of_the_revenue() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "total": 10, "opens_at": FAR_AWAY })).await;
    for (ordinal, change) in [
        (1, ""),
        (2, "refunded_minor = 900"),
        (3, "refunded_minor = 4900"),
        (4, "disputed_minor = 4900, dispute = 'needs_response'"),
        (5, "dispute = 'won'"),
    ] {
        let order = paid(&controller, sale, ordinal, &format!("{ordinal}@shop.example")).await;
        if !change.is_empty() {
            let update = format!("UPDATE payments SET {change} WHERE hold_id = '{order}'");
            sqlx::query(sqlx::AssertSqlSafe(update)).execute(&controller.pool).await.expect("done");
        }
    }
    let (_, report) = controller.admin("GET", &format!("/api/admin/sales/{sale}/report"), None).await;
    assert_eq!((&report["revenue_minor"], &report["refunded_minor"]), (&json!(4900 + 4000 + 4900), &json!(5800)));
    assert_eq!(report["disputed_minor"], 4900);
    let orders = &report["orders"];
    assert_eq!((&orders["paid"], &orders["refunded"], &orders["disputed"]), (&json!(5), &json!(1), &json!(2)));
    let statuses: Vec<Value> = found(&controller, sale, "").await.iter().map(|order| order["status"].clone()).collect();
    assert_eq!(statuses, ["paid", "paid", "refunded", "paid", "paid"]);
}
