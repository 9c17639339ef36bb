//! Accounts: sign-in with a code and through the shop's own issuer, sessions, limits per account,
//! and erasure.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use fairline_sale::SaleId;
use fairline_sandbox_notifications::Post;
use fairline_server::{Secret, Shutdown};
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::test_checkout::{Admission, Answer, MERCHANT_KEY, Shopper, Stock, TestCheckout, call, eventually, listener};

/// A shop with a sandbox mail server and SMS provider.
pub(crate) async fn checkout_with_channels() -> (TestCheckout, Post) {
    let (notifications, address) = listener().await;
    let post = Post::open(notifications, &Shutdown::new());
    let test = TestCheckout::open_with(|settings| {
        settings.channels.smtp_url = Some(Secret::new(format!("smtp://{address}")));
        settings.channels.mail_from = Some("Lamps <shop@lamps.example>".to_owned());
    });
    (test.await, post)
}

async fn post_json(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
    call(address, "POST", path, headers, &body.to_string()).await.expect("an answer")
}

/// Requests a code and reads it from the e-mail. Returns the sign-in and the code.
async fn ask_for_code(test: &TestCheckout, post: &Post, email: &str) -> (Value, String) {
    let before = post.letters_to(email).len();
    let asked = post_json(test.checkout, "/users/login", &[], json!({ "email": email })).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let notification = eventually(|| async { post.letters_to(email).get(before).cloned().ok_or("no letter") }).await;
    let code = notification.subject.split(' ').next().expect("a code").to_owned();
    assert_eq!(notification.subject, format!("{code} is your code for Lamps & Co"));
    (asked.body["sign_in_id"].clone(), code)
}

pub(crate) async fn sign_in(test: &TestCheckout, post: &Post, email: &str) -> Answer {
    let (sign_in_id, code) = ask_for_code(test, post, email).await;
    let body = json!({ "sign_in_id": sign_in_id, "code": code });
    let signed_in = post_json(test.checkout, "/users/login/code", &[], body).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    signed_in
}

fn text<'a>(answer: &'a Answer, field: &str) -> &'a str {
    answer.body[field].as_str().unwrap_or_else(|| panic!("no {field}: {answer:?}"))
}

async fn profile(test: &TestCheckout, access_token: &str) -> Answer {
    let bearer = format!("Bearer {access_token}");
    call(test.checkout, "GET", "/users/profile", &[("authorization", &bearer)], "").await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_signs_in_its_recipient_once() {
    let (test, post) = checkout_with_channels().await;
    let (sign_in_id, code) = ask_for_code(&test, &post, "ada@example.org").await;
    let enter = async |id: &Value, code: &str| {
        post_json(test.checkout, "/users/login/code", &[], json!({ "sign_in_id": id, "code": code })).await
    };
    let wrong = if code == "000000" { "000001" } else { "000000" };
    assert_eq!(enter(&sign_in_id, wrong).await.slug(), "wrong-code");
    assert_eq!(enter(&json!(Uuid::new_v4()), &code).await.slug(), "wrong-code");
    // Of two concurrent attempts, one succeeds.
    let both = join_all([enter(&sign_in_id, &code), enter(&sign_in_id, &code)]).await;
    let mut statuses: Vec<u16> = both.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401], "{both:?}");
    let signed_in = both.iter().find(|answer| answer.status == 200).expect("one");
    assert_eq!(signed_in.headers["cache-control"], "no-store");
    assert_eq!((&signed_in.body["token_type"], &signed_in.body["expires_in"]), (&json!("Bearer"), &json!(900)));
    let profile = profile(&test, text(signed_in, "access_token")).await;
    assert_eq!((profile.status, text(&profile, "address")), (200, "ada@example.org"));
    assert_eq!(profile.body["account_id"], signed_in.body["account_id"]);
    // On another day and in another spelling, the address leads to the same account.
    assert_eq!(sign_in(&test, &post, "ada@example.org").await.body["account_id"], signed_in.body["account_id"]);
    assert_ne!(sign_in(&test, &post, "bob@example.org").await.body["account_id"], signed_in.body["account_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn code_attempts_and_codes_per_address_are_limited() {
    let (test, post) = checkout_with_channels().await;
    let test = &test;
    let (sign_in_id, code) = ask_for_code(test, &post, "ada@example.org").await;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    // Twenty concurrent guesses have five attempts.
    let guesses = (0..20).map(|_| {
        let body = json!({ "sign_in_id": sign_in_id, "code": wrong });
        async move { post_json(test.checkout, "/users/login/code", &[], body).await.status }
    });
    assert_eq!(join_all(guesses).await, [401; 20]);
    let late =
        post_json(test.checkout, "/users/login/code", &[], json!({ "sign_in_id": sign_in_id, "code": code })).await;
    assert_eq!((late.status, late.slug()), (401, "wrong-code"), "the right one, too late");
    // An old code is rejected, too.
    let (old, code) = ask_for_code(test, &post, "ada@example.org").await;
    let id: Uuid = serde_json::from_value(old.clone()).expect("an id");
    test.change("UPDATE sign_ins SET created_at = now() - interval '601 seconds' WHERE id = $1", id).await;
    let late = post_json(test.checkout, "/users/login/code", &[], json!({ "sign_in_id": old, "code": code })).await;
    assert_eq!(late.slug(), "wrong-code");
    // Five codes an hour, even for ten concurrent requests.
    let asks = (0..10).map(|_| async {
        post_json(test.checkout, "/users/login", &[], json!({ "email": "ADA@example.org " })).await.status
    });
    let mut statuses = join_all(asks).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [[202; 3].as_slice(), &[429; 7]].concat());

    for (body, status, slug) in [
        (json!({}), 422, "invalid-body"),
        (json!({ "email": "ada@example.org", "phone": "+4930901820" }), 422, "invalid-body"),
        (json!({ "email": "ada" }), 422, "invalid-body"),
        (json!({ "phone": "030" }), 422, "invalid-body"),
        (json!({ "phone": "+4930901820" }), 422, "no-channel"),
        (json!({ "id_token": "x.y.z" }), 422, "no-channel"),
        (json!({ "email": "bob@example.org", "password": "x" }), 422, "invalid-body"),
    ] {
        let answer = post_json(test.checkout, "/users/login", &[], body.clone()).await;
        assert_eq!((answer.status, answer.slug()), (status, slug), "{body}: {answer:?}");
    }
    // The service is no means to flood mailboxes: a client that had sixty codes sent has to wait.
    let flood = (0..70).map(|nth| {
        let body = json!({ "email": format!("{nth}@example.org") });
        async move { post_json(test.checkout, "/users/login", &[], body).await.slug().to_owned() }
    });
    assert!(join_all(flood).await.contains(&"too-many-requests".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_valid_once_and_its_reuse_ends_the_session() {
    let (test, post) = checkout_with_channels().await;
    let refresh = async |token: &str| {
        post_json(test.checkout, "/users/login/refresh", &[], json!({ "refresh_token": token })).await
    };
    let first = sign_in(&test, &post, "ada@example.org").await;
    let elsewhere = sign_in(&test, &post, "ada@example.org").await;
    let second = refresh(text(&first, "refresh_token")).await;
    assert_eq!((second.status, &second.body["account_id"]), (200, &first.body["account_id"]));
    let third = refresh(text(&second, "refresh_token")).await;
    assert_eq!(third.status, 200);
    assert_eq!(refresh(text(&second, "refresh_token")).await.slug(), "signed-out");
    assert_eq!(refresh(text(&third, "refresh_token")).await.slug(), "signed-out", "the family has ended");
    // The other device has a session of its own, until it signs out.
    let other = refresh(text(&elsewhere, "refresh_token")).await;
    assert_eq!(other.status, 200);
    let body = json!({ "refresh_token": text(&other, "refresh_token") });
    assert_eq!(post_json(test.checkout, "/users/logout", &[], body).await.status, 204);
    assert_eq!(refresh(text(&other, "refresh_token")).await.slug(), "signed-out");
    // Of two concurrent exchanges, one succeeds, and the other ends the session as stolen.
    let family = sign_in(&test, &post, "ada@example.org").await;
    let both = join_all([refresh(text(&family, "refresh_token")), refresh(text(&family, "refresh_token"))]).await;
    assert_eq!(both.iter().filter(|answer| answer.status == 200).count(), 1);
    let good = both.iter().find(|answer| answer.status == 200).expect("one");
    assert_eq!(refresh(text(good, "refresh_token")).await.slug(), "signed-out");
    for nonsense in ["", "x", &"x".repeat(101)] {
        assert_eq!(refresh(nonsense).await.slug(), "signed-out");
    }
    // After a week it has expired.
    let old = sign_in(&test, &post, "ada@example.org").await;
    sqlx::query("UPDATE refresh_tokens SET expires_at = now()").execute(&test.pool).await.expect("done");
    assert_eq!(refresh(text(&old, "refresh_token")).await.slug(), "signed-out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_has_its_tokens_in_cookies_that_no_script_reads() {
    let (test, post) = checkout_with_channels().await;
    let (sign_in_id, code) = ask_for_code(&test, &post, "ada@example.org").await;
    let body = json!({ "sign_in_id": sign_in_id, "code": code, "cookies": true });
    let signed_in = post_json(test.checkout, "/users/login/code", &[], body).await;
    assert!(signed_in.body.get("access_token").is_none() && signed_in.body.get("refresh_token").is_none());
    let jar = |answer: &Answer| -> String {
        let set: Vec<&str> =
            answer.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()).collect();
        assert_eq!(set.len(), 2, "{answer:?}");
        assert!(set.iter().all(|cookie| cookie.contains("HttpOnly") && cookie.contains("Secure")), "{set:?}");
        assert!(set[0].contains("Path=/; Max-Age=900;") && set[0].contains("SameSite=Lax"), "{set:?}");
        assert!(set[1].contains("Path=/users; Max-Age=604800;") && set[1].contains("SameSite=Strict"), "{set:?}");
        set.iter().filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
    };
    let cookies = jar(&signed_in);
    let seen = call(test.checkout, "GET", "/users/profile", &[("cookie", &cookies)], "").await.expect("an answer");
    assert_eq!(text(&seen, "address"), "ada@example.org");
    let refreshed = post_json(test.checkout, "/users/login/refresh", &[("cookie", &cookies)], json!({})).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let cookies = jar(&refreshed);
    let out = post_json(test.checkout, "/users/logout", &[("cookie", &cookies)], json!({})).await;
    assert_eq!(out.status, 204);
    assert!(
        out.headers
            .get_all("set-cookie")
            .iter()
            .all(|value| value.to_str().is_ok_and(|cookie| cookie.contains("Max-Age=0")))
    );
    let again = post_json(test.checkout, "/users/login/refresh", &[("cookie", &cookies)], json!({})).await;
    assert_eq!(again.slug(), "signed-out");
    // A script of another site can't send JSON without a preflight.
    let form = call(test.checkout, "POST", "/users/login/refresh", &[("content-type", "text/plain")], "x=y").await;
    assert_ne!(form.expect("an answer").status, 200);
}

/// A code is not sent twice, and no stored response contains tokens.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_code_request_sends_one_code_and_tokens_are_not_stored() {
    let (test, post) = checkout_with_channels().await;
    let ask = async |key: &str, path: &str, body: &Value| {
        post_json(test.checkout, path, &[("idempotency-key", key)], body.clone()).await
    };
    let ada = json!({ "email": "ada@example.org" });
    let asked = ask("a-key", "/users/login", &ada).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let again = ask("a-key", "/users/login", &ada).await;
    assert_eq!((again.status, &again.body), (202, &asked.body));
    assert_eq!(
        ask("a-key", "/users/login", &json!({ "email": "bob@example.org" })).await.slug(),
        "idempotency-key-reused"
    );
    let notification = eventually(|| async { post.letters_to("ada@example.org").pop().ok_or("no letter") }).await;
    let sign_ins: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sign_ins").fetch_one(&test.pool).await.expect("a count");
    assert_eq!(sign_ins, 1);

    let code = notification.subject.split(' ').next().expect("a code");
    let enter = json!({ "sign_in_id": asked.body["sign_in_id"], "code": code });
    let wrong = json!({ "sign_in_id": asked.body["sign_in_id"], "code": "wrong" });
    assert_eq!(ask("b-key", "/users/login/code", &wrong).await.slug(), "wrong-code");
    let signed_in = ask("b-key", "/users/login/code", &enter).await;
    assert_eq!(signed_in.status, 200, "a refusal is not kept: {signed_in:?}");
    let again = ask("b-key", "/users/login/code", &enter).await;
    assert_eq!((again.status, again.slug()), (409, "response-not-replayable"), "{again:?}");
    let kept: String = sqlx::query_scalar("SELECT string_agg(body, ' ') FROM idempotency_keys")
        .fetch_one(&test.pool)
        .await
        .expect("answers");
    assert!(kept.contains("sign_in_id") && !kept.contains("_token"), "{kept}");
}

/// A sale with a limit per account.
async fn limited_sale(test: &TestCheckout, total: i32, limit: i32) -> SaleId {
    let sale = test.sale(total).await;
    let set = sqlx::query("UPDATE sales SET per_account_limit = $2 WHERE id = $1").bind(sale.0).bind(limit);
    set.execute(&test.pool).await.expect("a limit");
    sale
}

async fn purchase(test: &TestCheckout, at: SocketAddr, shopper: &Shopper, account: &str, quantity: i32) -> Answer {
    let path = format!("/api/flash-sales/{}/purchase", shopper.claims.sale);
    let bearer = format!("Bearer {}", shopper.token);
    let headers = [("authorization", bearer.as_str()), ("cookie", &shopper.cookie), ("fairline-account", account)];
    let _ = test;
    call(at, "POST", &path, &headers, &json!({ "quantity": quantity }).to_string()).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_per_account_holds_with_many_tokens() {
    let (test, post) = checkout_with_channels().await;
    let other = test.one_more_checkout().await;
    let sale = limited_sale(&test, 100, 3).await;
    let (ada, bob) = (sign_in(&test, &post, "ada@example.org").await, sign_in(&test, &post, "bob@example.org").await);
    let (ada, bob) = (text(&ada, "access_token").to_owned(), text(&bob, "access_token").to_owned());

    // Without an account nothing is used up.
    let guest = test.admit(sale).await;
    let refused = test.purchase(&guest, 1).await;
    assert_eq!((refused.status, refused.slug()), (401, "account-needed"));
    let stranger = purchase(&test, test.checkout, &guest, "a.forged.token", 1).await;
    assert_eq!(stranger.slug(), "account-needed");
    assert_eq!(purchase(&test, test.checkout, &guest, &bob, 1).await.status, 201, "the same token, signed in");

    // Thirty tokens, at two checkouts, all at once: three units.
    let shoppers = join_all((0..30).map(|_| test.admit(sale))).await;
    let buying = shoppers.iter().enumerate().map(|(n, shopper)| {
        let at = if n % 2 == 0 { test.checkout } else { other };
        purchase(&test, at, shopper, &ada, 1)
    });
    let answers = join_all(buying).await;
    let held: Vec<usize> = (0..30).filter(|&n| answers[n].status == 201).collect();
    assert_eq!(held.len(), 3, "{answers:?}");
    for (n, answer) in answers.iter().enumerate().filter(|(n, _)| !held.contains(n)) {
        // After five collisions in a row the client is asked to try again, and then learns why.
        let answer =
            if answer.status == 503 { purchase(&test, other, &shoppers[n], &ada, 1).await } else { answer.clone() };
        assert_eq!((answer.status, answer.slug(), &answer.body["left"]), (422, "account-over-limit", &json!(0)));
    }
    assert_eq!(test.stock(sale).await, Stock { total: 100, promised: 27, held: 4, sold: 0 });
    test.stock_is_reconciled().await;

    // Units that were given back or expired may be bought again; paid units count.
    let order = |n: usize| -> Uuid { text(&answers[held[n]], "id").parse().expect("an id") };
    let cancel = format!("/api/orders/{}/cancel", order(0));
    let given = call(test.checkout, "POST", &cancel, &[("fairline-account", &ada)], "").await.expect("an answer");
    assert_eq!(given.status, 200, "by the account alone: {given:?}");
    let mut left = shoppers.iter().enumerate().filter(|(n, _)| !held.contains(n)).map(|(_, shopper)| shopper);
    assert_eq!(purchase(&test, other, left.next().expect("one"), &ada, 1).await.status, 201);
    test.change("UPDATE holds SET expires_at = now() WHERE id = $1", order(1)).await;
    let shopper = left.next().expect("one");
    eventually(|| async {
        let answer = purchase(&test, test.checkout, shopper, &ada, 1).await;
        if answer.status == 201 { Ok(()) } else { Err(answer) }
    })
    .await;
    let path = format!("/api/orders/{}/payment", order(2));
    let paid = post_json(other, &path, &[("fairline-account", &ada)], json!({ "payment_method": "tok_visa" })).await;
    assert_eq!(paid.body["status"], "paid", "{paid:?}");
    assert_eq!(purchase(&test, other, left.next().expect("one"), &ada, 1).await.slug(), "account-over-limit");
    test.stock_is_reconciled().await;

    // More than the rest, and more than the limit.
    let several = test.admit_as(sale, Admission { quantity: 3, ..Admission::default() }).await;
    let over = purchase(&test, test.checkout, &several, &bob, 3).await;
    assert_eq!((over.slug(), &over.body["left"]), ("account-over-limit", &json!(2)));
    assert_eq!(purchase(&test, test.checkout, &several, &bob, 2).await.status, 201);
    test.stock_is_reconciled().await;
}

/// Idempotency keys do not multiply the limit of an account.
#[tokio::test(flavor = "multi_thread")]
async fn the_limit_per_account_holds_with_many_idempotency_keys() {
    let (test, post) = checkout_with_channels().await;
    let sale = limited_sale(&test, 50, 2).await;
    let ada = sign_in(&test, &post, "ada@example.org").await;
    let ada = text(&ada, "access_token").to_owned();
    let shoppers = join_all((0..8).map(|_| test.admit(sale))).await;
    let buy = async |shopper: &Shopper| {
        let path = format!("/api/flash-sales/{}/purchase", shopper.claims.sale);
        let bearer = format!("Bearer {}", shopper.token);
        let headers = [
            ("authorization", bearer.as_str()),
            ("cookie", &shopper.cookie),
            ("fairline-account", &ada),
            ("idempotency-key", "a-key"),
        ];
        eventually(|| async {
            let answer = post_json(test.checkout, &path, &headers, json!({ "quantity": 1 })).await;
            // Neither is a final response yet.
            if answer.status == 503 || answer.slug() == "still-under-way" { Err(answer) } else { Ok(answer) }
        })
        .await
    };
    // Each key twice, all at once.
    let answers = join_all(shoppers.iter().chain(&shoppers).map(&buy)).await;
    let (first, second) = answers.split_at(shoppers.len());
    for (one, other) in first.iter().zip(second) {
        assert_eq!((one.status, &one.body), (other.status, &other.body));
        assert!(one.status == 201 || one.slug() == "account-over-limit", "{one:?}");
    }
    assert_eq!(first.iter().filter(|answer| answer.status == 201).count(), 2);
    assert_eq!(test.stock(sale).await.held, 2);
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_payment_beyond_the_limit_is_refunded() {
    let (test, post) = checkout_with_channels().await;
    let sale = limited_sale(&test, 10, 1).await;
    let ada = sign_in(&test, &post, "ada@example.org").await;
    let ada = text(&ada, "access_token");
    let (late, early) = (test.admit(sale).await, test.admit(sale).await);
    let order: Uuid = text(&purchase(&test, test.checkout, &late, ada, 1).await, "id").parse().expect("an id");
    // The bank asks first; the hold expires, its unit goes back, and the shopper buys with another
    // token.
    assert_eq!(test.pay(&late, order, "tok_action").await.status, 202);
    test.change("UPDATE payments SET created_at = now() - interval '3 minutes' WHERE hold_id = $1", order).await;
    test.change("UPDATE holds SET expires_at = now() WHERE id = $1", order).await;
    eventually(|| async {
        let answer = purchase(&test, test.checkout, &early, ada, 1).await;
        if answer.status == 201 { Ok(()) } else { Err(answer) }
    })
    .await;
    // The bank approves after all.
    eventually(|| async {
        let payments = test.payments(order).await;
        if payments == ["voided"] { Ok(()) } else { Err(payments) }
    })
    .await;
    assert_eq!(test.at_the_gateway(order).await, ["canceled"]);
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_sees_only_its_own_orders() {
    let (test, post) = checkout_with_channels().await;
    let sale = test.sale(10).await;
    let (ada, bob) = (sign_in(&test, &post, "ada@example.org").await, sign_in(&test, &post, "bob@example.org").await);
    let (ada_token, bob_token) = (text(&ada, "access_token"), text(&bob, "access_token"));
    let shopper = test.admit(sale).await;
    let order = purchase(&test, test.checkout, &shopper, ada_token, 1).await;
    let path = format!("/api/orders/{}", text(&ada, "account_id"));
    let get = async |path: &str, headers: &[(&str, &str)]| {
        call(test.checkout, "GET", path, headers, "").await.expect("an answer")
    };
    let bearer = |token: &str| format!("Bearer {token}");
    let hers = get(&path, &[("authorization", &bearer(ada_token))]).await;
    assert_eq!((hers.status, &hers.body["orders"][0]["id"]), (200, &order.body["id"]), "{hers:?}");
    assert_eq!(get(&path, &[("authorization", &bearer(bob_token))]).await.slug(), "unknown-order");
    assert_eq!(get(&path, &[("cookie", &shopper.cookie)]).await.slug(), "unknown-order");
    assert_eq!(get(&path, &[]).await.slug(), "unknown-order");
    let shops = get(&path, &[("authorization", &bearer(MERCHANT_KEY))]).await;
    assert_eq!(shops.body["orders"], hers.body["orders"]);
    // One of them, on another device, and its status.
    let one = format!("/api/orders/{}", text(&order, "id"));
    assert_eq!(get(&one, &[("fairline-account", ada_token)]).await.body["id"], order.body["id"]);
    assert_eq!(get(&one, &[("fairline-account", bob_token)]).await.slug(), "unknown-order");
    let mine = get("/api/orders", &[("authorization", &bearer(ada_token))]).await;
    assert_eq!(mine.body["orders"], hers.body["orders"]);
    let none =
        get(&format!("/api/orders/{}", text(&bob, "account_id")), &[("authorization", &bearer(bob_token))]).await;
    assert_eq!(none.body, json!({ "orders": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_account_keeps_its_limit() {
    let (test, post) = checkout_with_channels().await;
    let sale = limited_sale(&test, 10, 1).await;
    let ada = sign_in(&test, &post, "ada@example.org").await;
    let (token, shopper) = (text(&ada, "access_token"), test.admit(sale).await);
    let order: Uuid = text(&purchase(&test, test.checkout, &shopper, token, 1).await, "id").parse().expect("an id");
    let bearer = format!("Bearer {token}");
    let forget = async || {
        call(test.checkout, "DELETE", "/users/profile", &[("authorization", &bearer)], "").await.expect("an answer")
    };
    assert_eq!(forget().await.slug(), "order-under-way");
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.body["status"], "paid");
    eventually(|| async {
        (post.letters_to("ada@example.org").len() == 2).then_some(()).ok_or("no letter about the order")
    })
    .await;
    assert_eq!(forget().await.status, 204);
    assert_eq!(profile(&test, token).await.slug(), "not-signed-in");
    let body = json!({ "refresh_token": text(&ada, "refresh_token") });
    assert_eq!(post_json(test.checkout, "/users/login/refresh", &[], body).await.slug(), "signed-out");
    assert_eq!(test.order(&shopper, order).await.slug(), "unknown-order");
    let left: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM accounts) + (SELECT count(*) FROM sign_ins) + (SELECT count(*) FROM notifications WHERE address IS NOT NULL \
         OR account_id IS NOT NULL) + (SELECT count(*) FROM holds WHERE account_id IS NOT NULL) + (SELECT count(*) FROM sessions)",
    )
    .fetch_one(&test.pool)
    .await
    .expect("a count");
    assert_eq!(left, 0);
    // A shopper who comes back has the same account, with what it has bought.
    let again = sign_in(&test, &post, "ada@example.org").await;
    assert_eq!(again.body["account_id"], ada.body["account_id"]);
    let another = test.admit(sale).await;
    let over = purchase(&test, test.checkout, &another, text(&again, "access_token"), 1).await;
    assert_eq!(over.slug(), "account-over-limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn inactive_accounts_are_deleted() {
    let (test, post) = checkout_with_channels().await;
    let ada = sign_in(&test, &post, "ada@example.org").await;
    sign_in(&test, &post, "bob@example.org").await;
    let id: Uuid = text(&ada, "account_id").parse().expect("an id");
    test.change("UPDATE accounts SET seen_at = now() - interval '366 days' WHERE id = $1", id).await;
    // A new process runs the sweep that otherwise runs every minute.
    let _another = test.one_more_checkout().await;
    eventually(|| async {
        let left: Vec<Option<String>> =
            sqlx::query_scalar("SELECT address FROM accounts").fetch_all(&test.pool).await.expect("accounts");
        if left == [Some("bob@example.org".to_owned())] { Ok(()) } else { Err(left) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_merchant_names_accounts() {
    let test = TestCheckout::open().await;
    let sale = limited_sale(&test, 10, 1).await;
    let bearer = format!("Bearer {MERCHANT_KEY}");
    let redeem = async |account: Value| {
        let shopper = test.admit(sale).await;
        let body = json!({ "sale_id": sale, "token": shopper.token, "quantity": 1, "account": account });
        post_json(test.checkout, "/api/admissions/redeem", &[("authorization", &bearer)], body).await
    };
    assert_eq!(redeem(Value::Null).await.slug(), "account-needed");
    assert_eq!(redeem(json!("customer-17")).await.status, 201);
    assert_eq!(redeem(json!("customer-17")).await.slug(), "account-over-limit");
    assert_eq!(redeem(json!("customer-18")).await.status, 201);
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_there_are_no_accounts() {
    let test = TestCheckout::open_with(|settings| settings.sign_in_key = None).await;
    for path in ["/users/login", "/users/login/refresh"] {
        let body = if path == "/users/login" { json!({ "email": "ada@example.org" }) } else { json!({}) };
        assert_eq!(post_json(test.checkout, path, &[], body).await.slug(), "no-sign-in", "{path}");
    }
    let profile = call(test.checkout, "GET", "/users/profile", &[], "").await.expect("an answer");
    assert_eq!(profile.slug(), "no-sign-in");
}

/// The shop's own issuer: its keys, and how often they were fetched.
#[derive(Clone, Default)]
struct Issuer(Arc<Mutex<(Vec<Value>, u32)>>);

impl Issuer {
    async fn open() -> (Self, String) {
        let (listener, address) = listener().await;
        let (issuer, name) = (Self::default(), format!("http://{address}/realm"));
        let discovery = json!({ "issuer": name, "jwks_uri": format!("http://{address}/keys") });
        let router = Router::new()
            .route("/realm/.well-known/openid-configuration", get(move || async move { axum::Json(discovery) }))
            .route(
                "/keys",
                get(|State(issuer): State<Self>| async move {
                    let mut state = issuer.0.lock().expect("no panic");
                    state.1 += 1;
                    axum::Json(json!({ "keys": state.0 }))
                }),
            )
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (issuer, name)
    }

    /// Publishes one more key. Returns the signing key.
    fn publish(&self, kid: &str) -> EncodingKey {
        let key = ed25519_dalek::SigningKey::from_bytes(&rand::random());
        let x = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x });
        self.0.lock().expect("no panic").0.push(jwk);
        EncodingKey::from_ed_der(key.to_pkcs8_der().expect("a key").as_bytes())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oidc_issuer_signs_in_with_its_published_keys() {
    let (issuer, name) = Issuer::open().await;
    let key = issuer.publish("first");
    let test = TestCheckout::open_with(|settings| {
        settings.oidc_issuer = Some(name.clone());
        settings.oidc_audience = Some("fairline".to_owned());
    });
    let test = test.await;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let claims = json!({ "iss": name, "aud": "fairline", "sub": "ada", "iat": now, "exp": now + 300, "email": "ada@example.org", "email_verified": true });
    let mint = |kid: &str, key: &EncodingKey, claims: &Value| {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, key).expect("signed")
    };
    let with = |field: &str, value: Value| {
        let mut claims = claims.clone();
        claims[field] = value;
        claims
    };
    let log_in =
        async |token: String| post_json(test.checkout, "/users/login", &[], json!({ "id_token": token })).await;
    let ada = log_in(mint("first", &key, &claims)).await;
    assert_eq!(ada.status, 200, "{ada:?}");
    let seen = profile(&test, text(&ada, "access_token")).await;
    assert_eq!(text(&seen, "address"), "ada@example.org");
    // The subject decides, not the e-mail address.
    let bob = log_in(mint("first", &key, &with("sub", json!("bob")))).await;
    assert_ne!(bob.body["account_id"], ada.body["account_id"]);
    let unverified = log_in(mint(
        "first",
        &key,
        &json!({ "iss": name, "aud": ["fairline"], "sub": "eve", "exp": now + 300, "email": "ada@example.org" }),
    ))
    .await;
    assert_eq!(profile(&test, text(&unverified, "access_token")).await.body["address"], Value::Null);

    let forged = EncodingKey::from_ed_der(
        ed25519_dalek::SigningKey::from_bytes(&rand::random()).to_pkcs8_der().expect("a key").as_bytes(),
    );
    for (case, token) in [
        ("another key", mint("first", &forged, &claims)),
        ("run out", mint("first", &key, &with("exp", json!(now - 600)))),
        ("not yet", mint("first", &key, &with("nbf", json!(now + 600)))),
        ("another audience", mint("first", &key, &with("aud", json!("another")))),
        ("another issuer", mint("first", &key, &with("iss", json!("https://evil.example")))),
        ("no subject", mint("first", &key, &with("sub", json!("")))),
        ("an unknown key", mint("second", &key, &claims)),
        ("nonsense", "x.y.z".to_owned()),
    ] {
        let answer = log_in(token).await;
        assert_eq!((answer.status, answer.slug()), (401, "bad-id-token"), "{case}: {answer:?}");
    }
    let fetched = issuer.0.lock().expect("no panic").1;
    assert!(fetched <= 2, "unknown keys do not have it asked all the time: {fetched}");
    // A new key is found automatically.
    let next = issuer.publish("second");
    eventually(|| async {
        let answer = log_in(mint("second", &next, &claims)).await;
        if answer.body["account_id"] == ada.body["account_id"] { Ok(()) } else { Err(answer) }
    })
    .await;
}

/// A client does not wait for an issuer that has just made another client wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_issuer_delays_one_request() {
    let (silent, address) = listener().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let calls = asked.clone();
    tokio::spawn(async move {
        while let Ok((connection, _)) = silent.accept().await {
            calls.lock().expect("no panic").push(connection);
        }
    });
    let test = TestCheckout::open_with(|settings| {
        settings.oidc_issuer = Some(format!("http://{address}"));
        settings.oidc_audience = Some("fairline".to_owned());
    })
    .await;
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"first"}"#);
    let token = format!("{header}.{}.AA", URL_SAFE_NO_PAD.encode("{}"));
    let all = (0..4).map(|_| post_json(test.checkout, "/users/login", &[], json!({ "id_token": token })));
    for answer in join_all(all).await {
        assert_eq!((answer.status, answer.slug()), (503, "unavailable"), "{answer:?}");
    }
    assert_eq!(asked.lock().expect("no panic").len(), 1);
}

/// SMS cost money, and some numbers earn by them.
#[tokio::test(flavor = "multi_thread")]
async fn codes_by_sms_are_limited_per_client_and_per_number() {
    let (notifications, address) = listener().await;
    let post = Post::open(notifications, &Shutdown::new());
    let (phones, company) = listener().await;
    let routes = post.routes();
    tokio::spawn(async move { axum::serve(phones, routes).await });
    let test = TestCheckout::open_with(|settings| {
        settings.channels.smtp_url = Some(Secret::new(format!("smtp://{address}")));
        settings.channels.mail_from = Some("Lamps <shop@lamps.example>".to_owned());
        settings.channels.sms_url = Some(format!("http://{company}/sandbox/messages"));
        settings.channels.sms_key = Some(Secret::new("user:password"));
        settings.channels.sms_from = Some("Lamps".to_owned());
    })
    .await;
    let ask = async |phone: String| post_json(test.checkout, "/users/login", &[], json!({ "phone": phone })).await;
    for (status, slug) in [(202, ""), (202, ""), (202, ""), (429, "too-many-codes")] {
        let answer = ask("+4930901820".to_owned()).await;
        assert_eq!((answer.status, answer.slug()), (status, slug), "to one number: {answer:?}");
    }
    for nth in 0..6 {
        assert_eq!(ask(format!("+49309017{nth}0")).await.status, 202, "{nth}");
    }
    assert_eq!(ask("+4930901990".to_owned()).await.slug(), "too-many-requests", "the eleventh from one address");
    let mail = post_json(test.checkout, "/users/login", &[], json!({ "email": "ada@example.org" })).await;
    assert_eq!(mail.status, 202, "letters cost nothing");
}
