//! Notifications: each is sent once, however often its event arrives, and no request waits for
//! them.

use fairline_sale::SaleId;
use fairline_sandbox_notifications::{Notification, NotificationSandbox};
use fairline_server::{Secret, Shutdown};
use serde_json::json;
use uuid::Uuid;

use crate::test_checkout::{Shopper, TestCheckout, call, eventually, listener};

/// A shop with e-mail and SMS, and two checkouts that both send them.
async fn checkout_with_channels() -> (TestCheckout, NotificationSandbox) {
    let (notifications, smtp) = listener().await;
    let sandbox = NotificationSandbox::open(notifications, &Shutdown::new());
    let (messages, http) = listener().await;
    let routes = sandbox.routes();
    tokio::spawn(async move { axum::serve(messages, routes).await });
    let test = TestCheckout::open_with(|settings| {
        settings.channels.smtp_url = Some(Secret::new(format!("smtp://{smtp}")));
        settings.channels.mail_from = Some("Lamps & Co <shop@lamps.example>".to_owned());
        settings.channels.sms_url = Some(format!("http://{http}/sandbox/messages"));
        settings.channels.sms_key = Some(Secret::new("AC:key"));
        settings.channels.sms_from = Some("+15005550006".to_owned());
    })
    .await;
    test.one_more_checkout().await;
    (test, sandbox)
}

/// An account with an address, without a sign-in.
async fn account(test: &TestCheckout, address: &str) -> Uuid {
    let id = Uuid::new_v4();
    let insert = sqlx::query("INSERT INTO accounts (id, address) VALUES ($1, $2)").bind(id).bind(address);
    insert.execute(&test.pool).await.expect("an account");
    id
}

/// A hold of an account.
pub(crate) async fn hold_of(test: &TestCheckout, sale: SaleId, address: &str) -> (Shopper, Uuid) {
    let (shopper, order) = test.hold(sale).await;
    let account = account(test, address).await;
    let set = sqlx::query("UPDATE holds SET account_id = $2 WHERE id = $1").bind(order).bind(account);
    set.execute(&test.pool).await.expect("an account's hold");
    (shopper, order)
}

async fn notifications(sandbox: &NotificationSandbox, to: &str, count: usize) -> Vec<Notification> {
    eventually(|| async {
        let notifications = sandbox.notifications_to(to);
        if notifications.len() >= count { Ok(notifications) } else { Err(notifications) }
    })
    .await
}

/// The states of all ended notifications, by their subject.
async fn states(test: &TestCheckout) -> Vec<(String, i32)> {
    sqlx::query_as("SELECT state, attempts FROM notifications ORDER BY subject")
        .fetch_all(&test.pool)
        .await
        .expect("notifications")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_confirmed_once_however_often_its_event_arrives() {
    let (test, sandbox) = checkout_with_channels().await;
    let sale = test.sale(5).await;
    let (shopper, order) = hold_of(&test, sale, "ada@example.org").await;
    let (guest, guests) = test.hold(sale).await;
    assert_eq!(test.pay(&guest, guests, "tok_visa").await.body["status"], "paid");
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.body["status"], "paid");
    let notification = notifications(&sandbox, "ada@example.org", 1).await.remove(0);
    assert_eq!(notification.subject, "Your order at Lamps & Co: The drop");
    assert!(
        notification.text.contains("1 × The drop, for €12.34") && notification.text.contains(&order.to_string()),
        "{notification:?}"
    );
    assert!(notification.text.contains("https://lamps.example/sales/drop-"), "{notification:?}");
    assert!(
        notification.id.starts_with(&sale.to_string()) && notification.id.ends_with("@lamps.example"),
        "{notification:?}"
    );

    // Both consume the events again, and so does a third, new process: Redis has lost the
    // positions.
    let redis = fairline_redis::connect(test.settings.redis_url.expose()).await.expect("a connection");
    let redis = redis.primary_of("").expect("a client");
    let deleted: Result<i64, _> =
        fred::interfaces::KeysInterface::del(&redis, format!("fairline:{{{sale}}}:events")).await;
    assert_eq!(deleted.expect("a response"), 1);
    test.change("UPDATE relays SET number = 0 WHERE sale_id = $1", sale.0).await;
    let _third = test.one_more_checkout().await;
    let (last, last_order) = hold_of(&test, sale, "bob@example.org").await;
    assert_eq!(test.pay(&last, last_order, "tok_visa").await.body["status"], "paid");
    notifications(&sandbox, "bob@example.org", 1).await;
    assert_eq!(sandbox.notifications_to("ada@example.org").len(), 1);
    // A notification arrives a moment before that is stored.
    let sent = [("sent".to_owned(), 1), ("sent".to_owned(), 1)];
    eventually(async || match states(&test).await {
        states if states == sent => Ok(()),
        states => Err(states),
    })
    .await;
    let addresses: i64 =
        sqlx::query_scalar("SELECT count(address) FROM notifications").fetch_one(&test.pool).await.expect("a count");
    assert_eq!(addresses, 0, "no address is kept with what was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_notification_that_certainly_did_not_arrive_is_sent_again() {
    let (test, sandbox) = checkout_with_channels().await;
    let sale = test.sale(10).await;
    for address in [
        "busy@example.org",
        "unknown@example.org",
        "silent@example.org",
        "+15005550001",
        "+15005550002",
        "+15005550003",
    ] {
        let (shopper, order) = hold_of(&test, sale, address).await;
        assert_eq!(test.pay(&shopper, order, "tok_visa").await.body["status"], "paid");
    }
    let by_account = async || -> Vec<(String, String, i32)> {
        sqlx::query_as(
            "SELECT accounts.address, state, attempts FROM notifications JOIN accounts ON accounts.id = account_id ORDER BY 1",
        )
        .fetch_all(&test.pool)
        .await
        .expect("notifications")
    };
    let expected = [
        ("+15005550001", "sent", 2),
        ("+15005550002", "given_up", 1),
        ("+15005550003", "unknown", 1),
        ("busy@example.org", "sent", 2),
        ("unknown@example.org", "given_up", 1),
        ("silent@example.org", "unknown", 1),
    ];
    let expected = expected.map(|(address, state, attempts)| (address.to_owned(), state.to_owned(), attempts));
    eventually(|| async {
        let seen = by_account().await;
        let seen: Vec<_> = seen.into_iter().collect();
        let sorted = |mut rows: Vec<(String, String, i32)>| {
            rows.sort();
            rows
        };
        if sorted(seen.clone()) == sorted(expected.to_vec()) { Ok(()) } else { Err(seen) }
    })
    .await;
    for (address, count) in [
        ("busy@example.org", 1),
        ("unknown@example.org", 0),
        ("silent@example.org", 1),
        ("+15005550001", 1),
        ("+15005550003", 1),
    ] {
        assert_eq!(sandbox.notifications_to(address).len(), count, "{address}");
    }
    let message = &sandbox.notifications_to("+15005550001")[0];
    assert!(
        message.text.starts_with("Your order at Lamps & Co: The drop https://lamps.example/sales/drop-"),
        "{message:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_notification_is_not_repeated_and_an_outdated_one_is_not_sent() {
    let (test, sandbox) = checkout_with_channels().await;
    for (subject, state, due, relevant) in [
        ("cut-off", "sending", "-3 minutes", "1 day"),
        ("on-its-way", "sending", "-1 minute", "1 day"),
        ("late", "waiting", "0 s", "-1 s"),
        ("in-time", "waiting", "0 s", "1 day"),
    ] {
        sqlx::query(
            "INSERT INTO notifications (subject, address, content, state, due_at, relevant_until) \
             VALUES ($1, 'ada@example.org', $2, $3, now() + $4::interval, now() + $5::interval)",
        )
        .bind(subject)
        .bind(json!({ "kind": "turn_is_near", "sale": "A lamp", "slug": "lamp" }))
        .bind(state)
        .bind(due)
        .bind(relevant)
        .execute(&test.pool)
        .await
        .expect("a notification");
    }
    let expected = ["cut-off unknown", "in-time sent", "late given_up", "on-its-way sending"];
    eventually(|| async {
        let seen: Vec<String> =
            sqlx::query_scalar("SELECT subject || ' ' || state FROM notifications ORDER BY subject")
                .fetch_all(&test.pool)
                .await
                .expect("notifications");
        if seen == expected { Ok(()) } else { Err(seen) }
    })
    .await;
    assert_eq!(sandbox.notifications_to("ada@example.org").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_who_forgets_to_pay_is_warned_once() {
    let (test, sandbox) = checkout_with_channels().await;
    let sale = test.sale(5).await;
    let (_, order) = hold_of(&test, sale, "ada@example.org").await;
    let (payer, paying) = hold_of(&test, sale, "bob@example.org").await;
    hold_of(&test, sale, "eve@example.org").await;
    assert_eq!(test.pay(&payer, paying, "tok_action").await.status, 202);
    for id in [order, paying] {
        test.change("UPDATE holds SET created_at = now() - interval '210 s', expires_at = now() + interval '90 s' WHERE id = $1", id).await;
    }
    let notification = notifications(&sandbox, "ada@example.org", 1).await.remove(0);
    assert!(
        notification.subject.starts_with("Complete your payment by ") && notification.subject.ends_with(": The drop"),
        "{notification:?}"
    );
    let warned: Vec<String> = sqlx::query_scalar(
        "SELECT json_array_elements(data)->>'order_id' FROM outbox WHERE kind = 'HoldAboutToExpire'",
    )
    .fetch_all(&test.pool)
    .await
    .expect("events");
    assert_eq!(warned, [order.to_string()], "neither who pays, nor who has time, and once");
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_consumed_too_late_sends_no_notification() {
    let (test, sandbox) = checkout_with_channels().await;
    let sale = test.sale(5).await;
    let (_, late) = hold_of(&test, sale, "ada@example.org").await;
    let (_, in_time) = hold_of(&test, sale, "bob@example.org").await;
    // As after an hour without Redis: old events are relayed now.
    let mut transaction = test.pool.begin().await.expect("a transaction");
    for (order, ago) in [(late, "3 minutes"), (in_time, "1 minute")] {
        sqlx::query(
            "INSERT INTO outbox (sale_id, number, kind, data, happened_at) VALUES ($1, number_events($1, 1), \
             'HoldAboutToExpire', json_build_array(json_build_object('order_id', $2)), now() - $3::interval)",
        )
        .bind(sale.0)
        .bind(order)
        .bind(ago)
        .execute(&mut *transaction)
        .await
        .expect("an event");
    }
    transaction.commit().await.expect("committed");
    notifications(&sandbox, "bob@example.org", 1).await;
    let noted: i64 =
        sqlx::query_scalar("SELECT count(*) FROM notifications").fetch_one(&test.pool).await.expect("a count");
    assert_eq!((noted, sandbox.notifications_to("ada@example.org").len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_with_a_broken_stream_delays_no_other() {
    use fred::interfaces::KeysInterface as _;
    let (test, sandbox) = checkout_with_channels().await;
    let redis = fairline_redis::connect(test.settings.redis_url.expose()).await.expect("a connection");
    let redis = redis.primary_of("").expect("a client");
    for _ in 0..3 {
        let broken = test.sale(1).await;
        let key = format!("fairline:{{{broken}}}:events");
        let set: Result<(), _> = redis.set(key, "no stream", None, None, false).await;
        set.expect("set");
        // One event that was relayed, as far as the database knows, and one that waits.
        test.change(
            "WITH relayed AS (INSERT INTO relays (sale_id, number) VALUES ($1, 1)) \
             INSERT INTO outbox (sale_id, number, kind, data) VALUES ($1, number_events($1, 2), 'FlashSaleChanged', '[{}, {}]')",
            broken.0,
        )
        .await;
    }
    let sale = test.sale(1).await;
    let (shopper, order) = hold_of(&test, sale, "ada@example.org").await;
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.body["status"], "paid");
    assert_eq!(notifications(&sandbox, "ada@example.org", 1).await[0].subject, "Your order at Lamps & Co: The drop");
}

/// The response to an account that requests a reminder with its ticket of a line.
async fn remind(test: &TestCheckout, line: SaleId, account: Uuid, ordinal: u64) -> crate::test_checkout::Reply {
    let key: fairline_line::ticket::TicketKey = test.settings.ticket_key.expose().parse().expect("a key");
    let visitor = fairline_sale::VisitorId([7; 16]);
    let ticket = fairline_line::ticket::Ticket { sale: line, epoch: 1, ordinal, visitor };
    let cookie = format!("{}={}", fairline_line::ticket::cookie_name(line), key.sign(&ticket));
    let token = access_token(test, account);
    let headers = [("cookie", cookie.as_str()), ("fairline-account", token.as_str())];
    call(test.checkout, "POST", &format!("/users/reminders/{line}"), &headers, "").await.expect("a response")
}

/// The ordinals of the shoppers who were reminded, once there are `count`.
async fn seen(test: &TestCheckout, line: SaleId, count: usize) -> Vec<i64> {
    eventually(|| async {
        let seen: Vec<i64> = sqlx::query_scalar(
            "SELECT ordinal FROM reminders WHERE line_id = $1 AND sent_at IS NOT NULL ORDER BY ordinal",
        )
        .bind(line.0)
        .fetch_all(&test.pool)
        .await
        .expect("reminders");
        if seen.len() >= count { Ok(seen) } else { Err(seen) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_with_a_reminder_is_notified_before_the_turn() {
    let (test, sandbox) = checkout_with_channels().await;
    let sale = test.sale(500).await;
    let drawn = test.sale(5).await;
    test.change("UPDATE sales SET line_order = 'draw', seed = decode(repeat('00', 32), 'hex') WHERE id = $1", drawn.0)
        .await;
    test.change("UPDATE lines SET epoch = 1, granted = 5000, highest_ordinal = 5000 WHERE id = $1", sale.0).await;
    let (ada, bob) = (account(&test, "ada@example.org").await, account(&test, "bob@example.org").await);
    assert_eq!(remind(&test, sale, ada, 1000).await.status, 204);
    assert_eq!(remind(&test, sale, bob, 1001).await.status, 204);
    assert_eq!(remind(&test, drawn, ada, 1).await.slug(), "reminder-unavailable");
    let token = access_token(&test, ada);
    let no_ticket =
        call(test.checkout, "POST", &format!("/users/reminders/{sale}"), &[("fairline-account", &token)], "").await;
    assert_eq!(no_ticket.expect("a response").status, 404);

    // One has 20 shoppers ahead, the other 21. One statement reads both.
    test.change("UPDATE lines SET cursor = 980 WHERE id = $1", sale.0).await;
    assert_eq!(seen(&test, sale, 1).await, [1000]);
    let notification = notifications(&sandbox, "ada@example.org", 1).await.remove(0);
    assert_eq!(notification.subject, "Your turn is near: The drop");
    assert_eq!(sandbox.notifications_to("bob@example.org").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn reminders_follow_the_measured_rate_not_the_rate_cap() {
    let (test, _) = checkout_with_channels().await;
    let account = account(&test, "ada@example.org").await;
    let other = Uuid::new_v4();
    let accounts = sqlx::query("INSERT INTO accounts (id, address) VALUES ($1, 'bob@example.org')").bind(other);
    accounts.execute(&test.pool).await.expect("an account");
    // Admission rate, cap, units; an ordinal that is near, and one that is not quite.
    for (per_s, cap, total, near, far) in [
        (1, 100.0, 1000, 150, 182), // three minutes at the rate
        (50, 1.0, 1000, 150, 182),  // the cap is the most that the rate will be
        (1, 100.0, 50, 49, 51),     // no turn beyond the units is certain
        (0, 100.0, 1000, 20, 21),   // no shopper was admitted yet
    ] {
        let sale = test.sale(total).await;
        sqlx::query("UPDATE sales SET rate_cap_per_s = $2 WHERE id = $1")
            .bind(sale.0)
            .bind(cap)
            .execute(&test.pool)
            .await
            .expect("a cap");
        for (ago_s, admitted) in [(30, 0), (0, 30 * per_s)] {
            sqlx::query(
                "INSERT INTO samples (sale_id, at, waiting, present, inside, total, promised, held, sold, joined, admitted, orders, highest) \
                 VALUES ($1, now() - make_interval(secs => $2), 9000, 9000, 0, $3, 0, 0, 0, 9000, $4, 0, 9000)",
            )
            .bind(sale.0)
            .bind(f64::from(ago_s))
            .bind(total)
            .bind(i64::from(admitted))
            .execute(&test.pool)
            .await
            .expect("a sample");
        }
        test.change("UPDATE lines SET epoch = 1, granted = 5000, highest_ordinal = 5000 WHERE id = $1", sale.0).await;
        // The far one first: no reminder is sent before both exist.
        assert_eq!(remind(&test, sale, other, far).await.status, 204);
        assert_eq!(remind(&test, sale, account, near).await.status, 204);
        let near = i64::try_from(near).expect("a number");
        assert_eq!(seen(&test, sale, 1).await, [near], "{per_s} a second, at most {cap}, of {total}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_that_come_near_at_once_are_published_at_once() {
    let (test, sandbox) = checkout_with_channels().await;
    let sale = test.sale(100).await;
    test.change("UPDATE lines SET epoch = 1, granted = 5000, highest_ordinal = 5000 WHERE id = $1", sale.0).await;
    let reminders = sqlx::query(
        "WITH people AS (INSERT INTO accounts (id, address) SELECT gen_random_uuid(), 'p' || nth || '@example.org' \
         FROM generate_series(1, 15) AS nth RETURNING id, substr(split_part(address, '@', 1), 2)::bigint AS nth) \
         INSERT INTO reminders (id, line_id, account_id, epoch, ordinal) SELECT gen_random_uuid(), $1, id, 1, nth FROM people",
    );
    reminders.bind(sale.0).execute(&test.pool).await.expect("reminders");
    assert_eq!(seen(&test, sale, 15).await.len(), 15);
    for nth in 1..=15 {
        notifications(&sandbox, &format!("p{nth}@example.org"), 1).await;
    }
    let rows: Vec<(i64, i32)> = sqlx::query_as("SELECT number, json_array_length(data) FROM outbox WHERE sale_id = $1")
        .bind(sale.0)
        .fetch_all(&test.pool)
        .await
        .expect("events");
    assert_eq!(rows, [(15, 15)], "the counters are locked for one statement, however many shoppers receive it");
    test.stock_is_reconciled().await;
}

/// The access token that a sign-in would return.
pub(crate) fn access_token(test: &TestCheckout, account: Uuid) -> String {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let key = test.settings.sign_in_key.as_ref().expect("a key").expose().to_owned();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).expect("any length");
    mac.update(&("access token".len() as u64).to_be_bytes());
    mac.update(b"access token");
    let signing = jsonwebtoken::EncodingKey::from_secret(&mac.finalize().into_bytes());
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let claims = json!({ "iss": "fairline", "aud": "fairline-account", "sub": account, "iat": now, "exp": now + 600 });
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &signing).expect("signed")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_who_paid_too_late_is_notified_of_the_refund() {
    let (test, sandbox) = checkout_with_channels().await;
    let sale = test.sale(1).await;
    let (shopper, order) = hold_of(&test, sale, "ada@example.org").await;
    // The gateway captured it; checkout did not learn of it in time.
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.body["status"], "paid");
    notifications(&sandbox, "ada@example.org", 1).await;
    let payment: Uuid = sqlx::query_scalar("SELECT id FROM payments WHERE hold_id = $1")
        .bind(order)
        .fetch_one(&test.pool)
        .await
        .expect("one");
    let mut transaction = test.pool.begin().await.expect("a transaction");
    for statement in [
        "DELETE FROM orders WHERE id = $1",
        "UPDATE holds SET state = 'expired' WHERE id = $1",
        "UPDATE stock SET sold = sold - 1, held = 1 WHERE sale_id = (SELECT sale_id FROM holds WHERE id = $1)",
        "UPDATE payments SET state = 'refund_due', updated_at = now() - interval '1 minute' WHERE hold_id = $1",
    ] {
        sqlx::query(statement).bind(order).execute(&mut *transaction).await.expect("done");
    }
    transaction.commit().await.expect("committed");
    let refund = notifications(&sandbox, "ada@example.org", 2).await.remove(1);
    assert_eq!(refund.subject, format!("Refund for order {order}: The drop"));
    assert!(refund.text.contains("€12.34"), "{refund:?} of {payment}");
}
