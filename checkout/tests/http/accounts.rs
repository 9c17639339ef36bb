//! Accounts: sign-in with a code, sessions, orders of an account, and their deletion.

use std::net::SocketAddr;

use fairline_sandbox_notifications::NotificationSandbox;
use fairline_server::{Secret, Shutdown};
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::test_checkout::{MERCHANT_KEY, Reply, Shopper, TestCheckout, call, eventually, listener};

/// A shop with a sandbox mail server and SMS provider.
pub(crate) async fn checkout_with_channels() -> (TestCheckout, NotificationSandbox) {
    let (notifications, address) = listener().await;
    let sandbox = NotificationSandbox::open(notifications, &Shutdown::new());
    let test = TestCheckout::open_with(|settings| {
        settings.channels.smtp_url = Some(Secret::new(format!("smtp://{address}")));
        settings.channels.mail_from = Some("Lamps <shop@lamps.example>".to_owned());
    });
    (test.await, sandbox)
}

pub(crate) async fn post_json(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: Value) -> Reply {
    call(address, "POST", path, headers, &body.to_string()).await.expect("a response")
}

/// Requests a code and reads it from the e-mail. Returns the sign-in and the code.
async fn ask_for_code(test: &TestCheckout, sandbox: &NotificationSandbox, email: &str) -> (Value, String) {
    let before = sandbox.notifications_to(email).len();
    let asked = post_json(test.checkout, "/users/login", &[], json!({ "email": email })).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let notification =
        eventually(|| async { sandbox.notifications_to(email).get(before).cloned().ok_or("no notification") }).await;
    let code = notification.subject.split(' ').next().expect("a code").to_owned();
    assert_eq!(notification.subject, format!("{code} is your sign-in code for Lamps & Co"));
    (asked.body["sign_in_id"].clone(), code)
}

pub(crate) async fn sign_in(test: &TestCheckout, sandbox: &NotificationSandbox, email: &str) -> Reply {
    let (sign_in_id, code) = ask_for_code(test, sandbox, email).await;
    let body = json!({ "sign_in_id": sign_in_id, "code": code });
    let signed_in = post_json(test.checkout, "/users/login/code", &[], body).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    signed_in
}

pub(crate) fn text<'a>(answer: &'a Reply, field: &str) -> &'a str {
    answer.body[field].as_str().unwrap_or_else(|| panic!("no {field}: {answer:?}"))
}

pub(crate) async fn profile(test: &TestCheckout, access_token: &str) -> Reply {
    let bearer = format!("Bearer {access_token}");
    call(test.checkout, "GET", "/users/profile", &[("authorization", &bearer)], "").await.expect("a response")
}

/// A purchase by an account.
pub(crate) async fn purchase(
    test: &TestCheckout,
    at: SocketAddr,
    shopper: &Shopper,
    account: &str,
    quantity: i32,
) -> Reply {
    let path = format!("/api/flash-sales/{}/purchase", shopper.claims.sale);
    let bearer = format!("Bearer {}", shopper.token);
    let headers = [("authorization", bearer.as_str()), ("cookie", &shopper.cookie), ("fairline-account", account)];
    let _ = test;
    call(at, "POST", &path, &headers, &json!({ "quantity": quantity }).to_string()).await.expect("a response")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_signs_in_its_recipient_once() {
    let (test, sandbox) = checkout_with_channels().await;
    let (sign_in_id, code) = ask_for_code(&test, &sandbox, "ada@example.org").await;
    let enter = async |id: &Value, code: &str| {
        post_json(test.checkout, "/users/login/code", &[], json!({ "sign_in_id": id, "code": code })).await
    };
    let wrong = if code == "000000" { "000001" } else { "000000" };
    assert_eq!(enter(&sign_in_id, wrong).await.slug(), "invalid-code");
    assert_eq!(enter(&json!(Uuid::new_v4()), &code).await.slug(), "invalid-code");
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
    assert_eq!(sign_in(&test, &sandbox, "ada@example.org").await.body["account_id"], signed_in.body["account_id"]);
    assert_ne!(sign_in(&test, &sandbox, "bob@example.org").await.body["account_id"], signed_in.body["account_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn code_attempts_and_codes_per_address_are_limited() {
    let (test, sandbox) = checkout_with_channels().await;
    let test = &test;
    let (sign_in_id, code) = ask_for_code(test, &sandbox, "ada@example.org").await;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    // Twenty concurrent guesses have five attempts.
    let guesses = (0..20).map(|_| {
        let body = json!({ "sign_in_id": sign_in_id, "code": wrong });
        async move { post_json(test.checkout, "/users/login/code", &[], body).await.status }
    });
    assert_eq!(join_all(guesses).await, [401; 20]);
    let late =
        post_json(test.checkout, "/users/login/code", &[], json!({ "sign_in_id": sign_in_id, "code": code })).await;
    assert_eq!((late.status, late.slug()), (401, "invalid-code"), "the right one, too late");
    // An old code is rejected, too.
    let (old, code) = ask_for_code(test, &sandbox, "ada@example.org").await;
    let id: Uuid = serde_json::from_value(old.clone()).expect("an id");
    test.change("UPDATE sign_ins SET created_at = now() - interval '601 seconds' WHERE id = $1", id).await;
    let late = post_json(test.checkout, "/users/login/code", &[], json!({ "sign_in_id": old, "code": code })).await;
    assert_eq!(late.slug(), "invalid-code");
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
        (json!({ "phone": "+4930901820" }), 422, "sign-in-channel-unavailable"),
        (json!({ "id_token": "x.y.z" }), 422, "sign-in-channel-unavailable"),
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
    let (test, sandbox) = checkout_with_channels().await;
    let refresh = async |token: &str| {
        post_json(test.checkout, "/users/login/refresh", &[], json!({ "refresh_token": token })).await
    };
    let first = sign_in(&test, &sandbox, "ada@example.org").await;
    let elsewhere = sign_in(&test, &sandbox, "ada@example.org").await;
    let second = refresh(text(&first, "refresh_token")).await;
    assert_eq!((second.status, &second.body["account_id"]), (200, &first.body["account_id"]));
    let third = refresh(text(&second, "refresh_token")).await;
    assert_eq!(third.status, 200);
    assert_eq!(refresh(text(&second, "refresh_token")).await.slug(), "session-ended");
    assert_eq!(refresh(text(&third, "refresh_token")).await.slug(), "session-ended", "the family has ended");
    // The other device has a session of its own, until it signs out.
    let other = refresh(text(&elsewhere, "refresh_token")).await;
    assert_eq!(other.status, 200);
    let body = json!({ "refresh_token": text(&other, "refresh_token") });
    assert_eq!(post_json(test.checkout, "/users/logout", &[], body).await.status, 204);
    assert_eq!(refresh(text(&other, "refresh_token")).await.slug(), "session-ended");
    // Of two concurrent exchanges, one succeeds, and the other ends the session as stolen.
    let family = sign_in(&test, &sandbox, "ada@example.org").await;
    let both = join_all([refresh(text(&family, "refresh_token")), refresh(text(&family, "refresh_token"))]).await;
    assert_eq!(both.iter().filter(|answer| answer.status == 200).count(), 1);
    let good = both.iter().find(|answer| answer.status == 200).expect("one");
    assert_eq!(refresh(text(good, "refresh_token")).await.slug(), "session-ended");
    for nonsense in ["", "x", &"x".repeat(101)] {
        assert_eq!(refresh(nonsense).await.slug(), "session-ended");
    }
    // After a week it has expired.
    let old = sign_in(&test, &sandbox, "ada@example.org").await;
    sqlx::query("UPDATE refresh_tokens SET expires_at = now()").execute(&test.pool).await.expect("done");
    assert_eq!(refresh(text(&old, "refresh_token")).await.slug(), "session-ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_has_its_tokens_in_cookies_that_no_script_reads() {
    let (test, sandbox) = checkout_with_channels().await;
    let (sign_in_id, code) = ask_for_code(&test, &sandbox, "ada@example.org").await;
    let body = json!({ "sign_in_id": sign_in_id, "code": code, "cookies": true });
    let signed_in = post_json(test.checkout, "/users/login/code", &[], body).await;
    assert!(signed_in.body.get("access_token").is_none() && signed_in.body.get("refresh_token").is_none());
    let jar = |answer: &Reply| -> String {
        let set: Vec<&str> =
            answer.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()).collect();
        assert_eq!(set.len(), 2, "{answer:?}");
        assert!(set.iter().all(|cookie| cookie.contains("HttpOnly") && cookie.contains("Secure")), "{set:?}");
        assert!(set[0].contains("Path=/; Max-Age=900;") && set[0].contains("SameSite=Lax"), "{set:?}");
        assert!(set[1].contains("Path=/users; Max-Age=604800;") && set[1].contains("SameSite=Strict"), "{set:?}");
        set.iter().filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
    };
    let cookies = jar(&signed_in);
    let seen = call(test.checkout, "GET", "/users/profile", &[("cookie", &cookies)], "").await.expect("a response");
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
    assert_eq!(again.slug(), "session-ended");
    // A script of another site can't send JSON without a preflight.
    let form = call(test.checkout, "POST", "/users/login/refresh", &[("content-type", "text/plain")], "x=y").await;
    assert_ne!(form.expect("a response").status, 200);
}

/// A code is not sent twice, and no stored response contains tokens.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_code_request_sends_one_code_and_tokens_are_not_stored() {
    let (test, sandbox) = checkout_with_channels().await;
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
    let notification =
        eventually(|| async { sandbox.notifications_to("ada@example.org").pop().ok_or("no notification") }).await;
    let sign_ins: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sign_ins").fetch_one(&test.pool).await.expect("a count");
    assert_eq!(sign_ins, 1);

    let code = notification.subject.split(' ').next().expect("a code");
    let enter = json!({ "sign_in_id": asked.body["sign_in_id"], "code": code });
    let wrong = json!({ "sign_in_id": asked.body["sign_in_id"], "code": "wrong" });
    assert_eq!(ask("b-key", "/users/login/code", &wrong).await.slug(), "invalid-code");
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

#[tokio::test(flavor = "multi_thread")]
async fn an_account_sees_only_its_own_orders() {
    let (test, sandbox) = checkout_with_channels().await;
    let sale = test.sale(10).await;
    let (ada, bob) =
        (sign_in(&test, &sandbox, "ada@example.org").await, sign_in(&test, &sandbox, "bob@example.org").await);
    let (ada_token, bob_token) = (text(&ada, "access_token"), text(&bob, "access_token"));
    let shopper = test.admit(sale).await;
    let order = purchase(&test, test.checkout, &shopper, ada_token, 1).await;
    let path = format!("/api/orders/{}", text(&ada, "account_id"));
    let get = async |path: &str, headers: &[(&str, &str)]| {
        call(test.checkout, "GET", path, headers, "").await.expect("a response")
    };
    let bearer = |token: &str| format!("Bearer {token}");
    let hers = get(&path, &[("authorization", &bearer(ada_token))]).await;
    assert_eq!((hers.status, &hers.body["orders"][0]["id"]), (200, &order.body["id"]), "{hers:?}");
    assert_eq!(get(&path, &[("authorization", &bearer(bob_token))]).await.slug(), "order-not-found");
    assert_eq!(get(&path, &[("cookie", &shopper.cookie)]).await.slug(), "order-not-found");
    assert_eq!(get(&path, &[]).await.slug(), "order-not-found");
    let shops = get(&path, &[("authorization", &bearer(MERCHANT_KEY))]).await;
    assert_eq!(shops.body["orders"], hers.body["orders"]);
    // One of them, on another device, and its status.
    let one = format!("/api/orders/{}", text(&order, "id"));
    assert_eq!(get(&one, &[("fairline-account", ada_token)]).await.body["id"], order.body["id"]);
    assert_eq!(get(&one, &[("fairline-account", bob_token)]).await.slug(), "order-not-found");
    let mine = get("/api/orders", &[("authorization", &bearer(ada_token))]).await;
    assert_eq!(mine.body["orders"], hers.body["orders"]);
    let none =
        get(&format!("/api/orders/{}", text(&bob, "account_id")), &[("authorization", &bearer(bob_token))]).await;
    assert_eq!(none.body, json!({ "orders": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn inactive_accounts_are_deleted() {
    let (test, sandbox) = checkout_with_channels().await;
    let ada = sign_in(&test, &sandbox, "ada@example.org").await;
    sign_in(&test, &sandbox, "bob@example.org").await;
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
async fn without_a_key_there_are_no_accounts() {
    let test = TestCheckout::open_with(|settings| settings.sign_in_key = None).await;
    for path in ["/users/login", "/users/login/refresh"] {
        let body = if path == "/users/login" { json!({ "email": "ada@example.org" }) } else { json!({}) };
        assert_eq!(post_json(test.checkout, path, &[], body).await.slug(), "accounts-disabled", "{path}");
    }
    let profile = call(test.checkout, "GET", "/users/profile", &[], "").await.expect("a response");
    assert_eq!(profile.slug(), "accounts-disabled");
}

/// SMS cost money, and some numbers earn by them.
#[tokio::test(flavor = "multi_thread")]
async fn codes_by_sms_are_limited_per_client_and_per_number() {
    let (notifications, address) = listener().await;
    let sandbox = NotificationSandbox::open(notifications, &Shutdown::new());
    let (phones, provider) = listener().await;
    let routes = sandbox.routes();
    tokio::spawn(async move { axum::serve(phones, routes).await });
    let test = TestCheckout::open_with(|settings| {
        settings.channels.smtp_url = Some(Secret::new(format!("smtp://{address}")));
        settings.channels.mail_from = Some("Lamps <shop@lamps.example>".to_owned());
        settings.channels.sms_url = Some(format!("http://{provider}/sandbox/messages"));
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
    assert_eq!(mail.status, 202, "e-mails cost nothing");
}
