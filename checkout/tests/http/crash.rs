//! Crashes: a payment that was left after any of its steps is brought to the right end by whoever sweeps next.
//!
//! A crash leaves two things behind: what the database knows and what the gateway has done. Each case makes both by
//! hand, through the doors that checkout itself uses, and then lets a checkout find them.

use uuid::Uuid;

use crate::shop::{Shop, Stock, call, eventually};

/// What had been committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Committed {
    Started,
    Authorised,
    RefundDue,
}

/// What the gateway had done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum AtGateway {
    Nothing,
    Authorised,
    Captured,
    Refunded,
    Cancelled,
}

/// What had become of the hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Held,
    /// Its time is over, and the sweeper may come.
    RunOut,
    /// Its unit went back and is free.
    LapsedUnitFree,
    /// Its unit went back and was promised to the next.
    LapsedUnitGone,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_step_ends_in_an_order_or_in_nothing_taken() {
    use {AtGateway as G, Committed as C, Hold as H};
    let shop = Shop::open().await;
    let cases = [
        // Between the commit of the payment and the call to authorise it.
        (C::Started, G::Nothing, H::Held, "captured", "succeeded", "paid"),
        (C::Started, G::Nothing, H::RunOut, "captured", "succeeded", "paid"),
        (C::Started, G::Nothing, H::LapsedUnitFree, "captured", "succeeded", "paid"),
        (C::Started, G::Nothing, H::LapsedUnitGone, "voided", "canceled", "lapsed"),
        // Between the gateway's answer and its commit.
        (C::Started, G::Authorised, H::Held, "captured", "succeeded", "paid"),
        (C::Started, G::Authorised, H::LapsedUnitFree, "captured", "succeeded", "paid"),
        (C::Started, G::Authorised, H::LapsedUnitGone, "voided", "canceled", "lapsed"),
        // Between the commit of the authorisation and the capture, or the void.
        (C::Authorised, G::Authorised, H::Held, "captured", "succeeded", "paid"),
        (C::Authorised, G::Authorised, H::RunOut, "captured", "succeeded", "paid"),
        (C::Authorised, G::Authorised, H::LapsedUnitFree, "captured", "succeeded", "paid"),
        (C::Authorised, G::Authorised, H::LapsedUnitGone, "voided", "canceled", "lapsed"),
        // Between the capture and the commit of the order.
        (C::Authorised, G::Captured, H::Held, "captured", "succeeded", "paid"),
        (C::Authorised, G::Captured, H::RunOut, "captured", "succeeded", "paid"),
        (C::Authorised, G::Captured, H::LapsedUnitFree, "captured", "succeeded", "paid"),
        (C::Authorised, G::Captured, H::LapsedUnitGone, "refunded", "refunded", "refunded"),
        // Between the void and its commit; the shopper of the first still has the hold, and may try again.
        (C::Authorised, G::Cancelled, H::Held, "voided", "canceled", "held"),
        (C::Authorised, G::Cancelled, H::LapsedUnitGone, "voided", "canceled", "lapsed"),
        // Between the debt and its refund, and between the refund and its commit.
        (C::RefundDue, G::Captured, H::LapsedUnitGone, "refunded", "refunded", "refunded"),
        (C::RefundDue, G::Refunded, H::LapsedUnitGone, "refunded", "refunded", "refunded"),
    ];
    for (committed, at_gateway, hold, payment, intent, order) in cases {
        let case = format!("{committed:?}, {at_gateway:?}, {hold:?}");
        let sale = shop.sale(1).await;
        let (shopper, id) = shop.hold(sale).await;
        leave_behind(&shop, id, "tok_visa", committed, at_gateway).await;
        match hold {
            Hold::Held => {}
            Hold::RunOut => {
                shop.meddle("UPDATE holds SET expires_at = now() - interval '1 hour' WHERE id = $1", id).await
            }
            Hold::LapsedUnitFree | Hold::LapsedUnitGone => {
                shop.meddle(
                    "UPDATE holds SET state = 'lapsed', expires_at = now() - interval '1 hour' WHERE id = $1",
                    id,
                )
                .await;
                shop.meddle("UPDATE stock SET held = held - 1 WHERE sale_id = $1", sale.0).await;
            }
        }
        if hold == Hold::LapsedUnitGone {
            shop.admit(sale).await;
        }
        // Only now is it old enough to be found.
        shop.meddle("UPDATE payments SET updated_at = now() - interval '1 minute' WHERE hold_id = $1", id).await;

        eventually(|| async {
            let states = shop.payments(id).await;
            if states == [payment] { Ok(()) } else { Err((case.clone(), states)) }
        })
        .await;
        assert_eq!(shop.at_the_gateway(id).await, [intent], "{case}");
        assert_eq!(shop.order(&shopper, id).await.body["status"], order, "{case}");
        let (promised, held, sold) = match (order, hold) {
            ("paid", _) => (0, 0, 1),
            ("held", _) => (0, 1, 0),
            _ => (1, 0, 0),
        };
        assert_eq!(shop.stock(sale).await, Stock { total: 1, promised, held, sold }, "{case}");
    }
    shop.books_are_straight().await;
}

/// A payment as a process left it that died.
async fn leave_behind(shop: &Shop, order: Uuid, method: &str, committed: Committed, at_gateway: AtGateway) {
    let payment = Uuid::now_v7();
    let gateway = |path: String, step: &'static str, form: String| async move {
        let key = format!("{payment}-{step}");
        let kind = "application/x-www-form-urlencoded";
        let headers = [("idempotency-key", key.as_str()), ("authorization", "Bearer sk_test"), ("content-type", kind)];
        let answer = call(shop.gateway, "POST", &format!("/v1{path}"), &headers, &form).await.expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["id"].as_str().expect("an id").to_owned()
    };
    let mut reference = None;
    if at_gateway >= AtGateway::Authorised {
        let new = format!(
            "amount=1234&currency=eur&payment_method_types[]=card&capture_method=manual&confirm=true&metadata[payment]={payment}\
             &metadata[order]={order}&payment_method_data[type]=card&payment_method_data[card][token]={method}"
        );
        let id = gateway("/payment_intents".to_owned(), "authorise", new).await;
        if matches!(at_gateway, AtGateway::Captured | AtGateway::Refunded) {
            gateway(format!("/payment_intents/{id}/capture"), "capture", String::new()).await;
        }
        if at_gateway == AtGateway::Refunded {
            gateway("/refunds".to_owned(), "refund", format!("payment_intent={id}")).await;
        }
        if at_gateway == AtGateway::Cancelled {
            gateway(format!("/payment_intents/{id}/cancel"), "cancel", String::new()).await;
        }
        reference = Some(id);
    }
    let (state, reference) = match committed {
        Committed::Started => ("started", None),
        Committed::Authorised => ("authorised", reference),
        Committed::RefundDue => ("refund_due", reference),
    };
    sqlx::query(
        "INSERT INTO payments (id, hold_id, payment_method, gateway_ref, state, amount_minor, currency) \
         VALUES ($1, $2, $5, $3, $4, 1234, 'EUR')",
    )
    .bind(payment)
    .bind(order)
    .bind(reference)
    .bind(state)
    .bind(method)
    .execute(&shop.pool)
    .await
    .expect("a payment");
}

/// A gateway that has forgotten everything, as the sandbox does when it is restarted, has nothing of ours to keep.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_the_gateway_does_not_know_is_voided_and_the_shopper_may_pay_again() {
    let shop = Shop::open().await;
    let sale = shop.sale(1).await;
    let (shopper, order) = shop.hold(sale).await;
    leave_behind(&shop, order, "tok_visa", Committed::Authorised, AtGateway::Authorised).await;
    shop.meddle(
        "UPDATE payments SET gateway_ref = 'pi_forgotten', updated_at = now() - interval '1 minute' WHERE hold_id = $1",
        order,
    )
    .await;
    shop.order_becomes(&shopper, order, "held").await;
    assert_eq!(shop.payments(order).await, ["voided"]);
    assert_eq!(shop.pay(&shopper, order, "tok_visa").await.body["status"], "paid");
    shop.books_are_straight().await;
}

/// Whoever has not proved who they are within a quarter of an hour is not waited for any longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_waits_for_its_shopper_does_not_wait_for_ever() {
    let shop = Shop::open().await;
    let sale = shop.sale(1).await;
    let (shopper, order) = shop.hold(sale).await;
    leave_behind(&shop, order, "tok_action", Committed::Started, AtGateway::Authorised).await;
    shop.meddle(
        "UPDATE payments SET created_at = now() - interval '16 minutes', updated_at = now() - interval '1 minute' \
         WHERE hold_id = $1",
        order,
    )
    .await;
    shop.order_becomes(&shopper, order, "held").await;
    assert_eq!(shop.payments(order).await, ["voided"]);
    assert_eq!(shop.at_the_gateway(order).await, ["canceled"]);
    shop.books_are_straight().await;
}

/// Two sweepers at once, and every payment is still taken once.
#[tokio::test(flavor = "multi_thread")]
async fn several_sweepers_share_what_a_crash_left() {
    let shop = Shop::open().await;
    for _ in 0..2 {
        shop.one_more_checkout().await;
    }
    let sale = shop.sale(30).await;
    let mut left = Vec::new();
    for _ in 0..30 {
        let (_, order) = shop.hold(sale).await;
        leave_behind(&shop, order, "tok_visa", Committed::Authorised, AtGateway::Authorised).await;
        left.push(order);
    }
    shop.meddle("UPDATE payments SET updated_at = now() - interval '1 minute' WHERE hold_id IN (SELECT id FROM holds WHERE sale_id = $1)", sale.0).await;
    eventually(|| async {
        let stock = shop.stock(sale).await;
        if stock == (Stock { total: 30, promised: 0, held: 0, sold: 30 }) { Ok(()) } else { Err(stock) }
    })
    .await;
    for order in left {
        assert_eq!(shop.at_the_gateway(order).await, ["succeeded"]);
    }
    shop.books_are_straight().await;
}
