//! Purchases: every invalid one has its response, and each is shown to its shopper only.

use fairline_admission_token::{Claims, SigningKey};
use fairline_sale::SaleId;
use serde_json::json;
use uuid::Uuid;

use crate::test_checkout::{AdmissionSetup, StockCounts, TestCheckout, call};

pub(crate) const GOOD: &str = r#"{"quantity":1}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_with_many_forged_tokens_is_ignored_and_no_other_shopper_suffers() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let (forger, honest) = (test.admit(sale).await, test.admit(sale).await);
    let path = format!("/api/flash-sales/{sale}/purchase");
    let (signed, _) = forger.token.rsplit_once('.').expect("a token");
    let purchase = async |cookie: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("cookie", cookie)];
        call(test.checkout, "POST", &path, &headers, GOOD).await.expect("a response")
    };
    for nth in 0..26 {
        let forged = format!("{signed}.{}", char::from(b'A' + nth).to_string().repeat(85) + "A");
        assert_eq!(purchase(&forger.cookie, &forged).await.slug(), "invalid-admission-token");
    }
    // Not even the genuine one, for some seconds, since it never came before.
    assert_eq!(purchase(&forger.cookie, &forger.token).await.slug(), "invalid-admission-token");
    assert_eq!(purchase(&honest.cookie, &honest.token).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn fast_reject_answers_as_the_purchase_would() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let (buyer, stranger) = (test.admit(sale).await, test.admit(sale).await);
    let late = test
        .admit_as(sale, AdmissionSetup { token_expires_in: -1, row_expires_in: -1, ..AdmissionSetup::default() })
        .await;
    assert_eq!(test.purchase(&buyer, 1).await.status, 201);
    let path = format!("/api/flash-sales/{sale}/purchase");
    let purchase = async |cookie: &str, token: &str, key: &str, body: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("cookie", cookie), ("idempotency-key", key)];
        let headers = if key.is_empty() { &headers[..2] } else { &headers[..] };
        let mut answer = call(test.checkout, "POST", &path, headers, body).await.expect("a response");
        answer.headers.remove("date");
        answer
    };
    let counted = async |outcome: &str| {
        let metrics = call(test.checkout, "GET", "/metrics", &[], "").await.expect("a response").body;
        let name = format!("checkout_redemptions_total{{outcome=\"{outcome}\"}} ");
        let metrics = metrics.as_str().expect("text").to_owned();
        metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok()).unwrap_or_default()
    };
    for (what, cookie, token, status, outcome) in [
        ("used", &buyer.cookie, &buyer.token, 409, "token-used"),
        ("run out", &late.cookie, &late.token, 410, "token-expired"),
        ("stolen", &stranger.cookie, &buyer.token, 401, "invalid-admission-token"),
        ("without a ticket", &String::new(), &stranger.token, 401, "invalid-admission-token"),
    ] {
        // With an idempotency key it passes to the router, and is known from then on.
        let inside = purchase(cookie, token, what.replace(' ', "-").as_str(), GOOD).await;
        let before = counted(outcome).await;
        let fast = purchase(cookie, token, "", GOOD).await;
        assert_eq!((inside.status, inside.slug()), (status, outcome), "{what}");
        assert_eq!(format!("{inside:?}"), format!("{fast:?}"), "{what}");
        assert!(counted(outcome).await > before, "{what} is counted");
        // After the fast reject, this body would be the error.
        assert_eq!(purchase(cookie, token, "", "{}").await.status, status, "{what}");
    }
    // An unknown request passes to the router.
    assert_eq!(purchase(&stranger.cookie, &stranger.token, "", "{}").await.status, 422);
    assert_eq!(purchase(&stranger.cookie, &stranger.token, "", GOOD).await.status, 201);
}

/// An invalid purchase.
struct InvalidPurchase<'a> {
    case: &'a str,
    path: &'a str,
    token: &'a str,
    cookie: &'a str,
    body: &'a str,
}

impl InvalidPurchase<'_> {
    async fn rejects(self, test: &TestCheckout, status: u16, slug: &str) {
        let Self { case, path, token, cookie, body } = self;
        let mut headers = vec![];
        headers.extend((!token.is_empty()).then_some(("authorization", token)));
        headers.extend((!cookie.is_empty()).then_some(("cookie", cookie)));
        let answer = call(test.checkout, "POST", path, &headers, body).await.expect("a response");
        assert_eq!((answer.status, answer.slug()), (status, slug), "{case}: {:?}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{case}");
        assert!(answer.body["title"].is_string() && answer.body["detail"].is_string(), "{case}");
        assert!(answer.body.get("order").is_none(), "{case}");
        if status == 422 {
            assert!(answer.body.to_string().contains("quantity") || body.len() < 2, "{case}: {:?}", answer.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_invalid_token_has_its_problem_and_consumes_nothing() {
    let test = TestCheckout::open().await;
    let (sale, other_sale) = (test.sale(20).await, test.sale(20).await);
    let good = test.admit(sale).await;
    let stranger = test.admit(sale).await;
    let expired = test
        .admit_as(sale, AdmissionSetup { token_expires_in: -1, row_expires_in: -1, ..AdmissionSetup::default() })
        .await;
    let late = test.admit_as(sale, AdmissionSetup { row_expires_in: -1, ..AdmissionSetup::default() }).await;
    let lapsed = test.admit(sale).await;
    test.change("UPDATE admissions SET state = 'lapsed' WHERE id = $1", lapsed.claims.jti).await;
    test.change("UPDATE stock SET promised = promised - 1 WHERE sale_id = $1", sale.0).await;
    let elsewhere = test.admit(other_sale).await;
    let signed_again = test.admit(sale).await;
    test.change("UPDATE admissions SET kid = 'of another key' WHERE id = $1", signed_again.claims.jti).await;
    let scheduled = test.sale(5).await;
    let early = test.admit(scheduled).await;
    test.change("UPDATE sales SET status = 'scheduled' WHERE id = $1", scheduled.0).await;
    let closed = test.sale(5).await;
    let too_late = test.admit(closed).await;
    test.change("UPDATE sales SET status = 'closed' WHERE id = $1", closed.0).await;
    let before = test.stock(sale).await;

    let path = |sale: SaleId| format!("/api/flash-sales/{sale}/purchase");
    let bearer = |token: &str| format!("Bearer {token}");
    let mint = |claims: Claims| bearer(&test.key.mint(&claims));
    let token = bearer(&good.token);
    let forged = bearer(&SigningKey::generate().mint(&good.claims));
    let wrong_audience = mint(Claims { aud: "another-shop".to_owned(), ..good.claims.clone() });
    let without_holder = mint(Claims { sub: "missing-ticket".to_owned(), ..good.claims.clone() });
    let never_made = mint(Claims { jti: Uuid::new_v4(), ..good.claims.clone() });
    let (tampered, revoked) = (format!("{token}x"), bearer(&signed_again.token));
    let (unknown, cookie) = (SaleId(Uuid::new_v4()), good.cookie.as_str());
    let forged_ticket = format!("{}{}", &cookie[..cookie.len() - 4], "AAAA");

    let (missing, invalid) = ("missing-admission-token", "invalid-admission-token");
    for (case, path, token, cookie, body, status, slug) in [
        ("no token", path(sale), "", cookie, GOOD, 401, missing),
        ("another scheme", path(sale), "Basic Zm9vOmJhcg==", cookie, GOOD, 401, missing),
        ("an empty token", path(sale), "Bearer ", cookie, GOOD, 401, missing),
        ("no token and a bad body", path(sale), "", cookie, "{", 401, missing),
        ("nonsense", path(sale), "Bearer nonsense", cookie, GOOD, 401, invalid),
        ("a tampered token", path(sale), tampered.as_str(), cookie, GOOD, 401, invalid),
        ("a forged token", path(sale), forged.as_str(), cookie, GOOD, 401, invalid),
        ("another audience", path(sale), wrong_audience.as_str(), cookie, GOOD, 401, invalid),
        ("a token without a holder", path(sale), without_holder.as_str(), cookie, GOOD, 401, invalid),
        ("an admission that was never made", path(sale), never_made.as_str(), cookie, GOOD, 401, invalid),
        ("a token of a revoked key", path(sale), revoked.as_str(), signed_again.cookie.as_str(), GOOD, 401, invalid),
        ("no ticket", path(sale), token.as_str(), "", GOOD, 401, invalid),
        ("another shopper's ticket", path(sale), token.as_str(), stranger.cookie.as_str(), GOOD, 401, invalid),
        ("a forged ticket", path(sale), token.as_str(), forged_ticket.as_str(), GOOD, 401, invalid),
        ("another sale", path(other_sale), token.as_str(), cookie, GOOD, 403, "token-of-other-sale"),
        (
            "another sale's token",
            path(sale),
            &bearer(&elsewhere.token),
            &elsewhere.cookie,
            GOOD,
            403,
            "token-of-other-sale",
        ),
        ("an unknown sale", path(unknown), token.as_str(), cookie, GOOD, 404, "sale-not-found"),
        ("no sale at all", "/api/flash-sales/drop/purchase".to_owned(), &token, cookie, GOOD, 404, "sale-not-found"),
        ("a sale not open yet", path(scheduled), &bearer(&early.token), &early.cookie, GOOD, 409, "sale-not-open"),
        ("a closed sale", path(closed), &bearer(&too_late.token), &too_late.cookie, GOOD, 409, "sale-not-open"),
        ("an expired token", path(sale), &bearer(&expired.token), &expired.cookie, GOOD, 410, "token-expired"),
        ("an expired admission", path(sale), &bearer(&late.token), &late.cookie, GOOD, 410, "token-expired"),
        ("a lapsed admission", path(sale), &bearer(&lapsed.token), &lapsed.cookie, GOOD, 410, "token-expired"),
    ] {
        let attempt = InvalidPurchase { case, path: &path, token, cookie, body };
        attempt.rejects(&test, status, slug).await;
    }

    assert_eq!(test.stock(sale).await, before);
    test.stock_is_reconciled().await;
    assert_eq!(test.purchase(&good, 1).await.status, 201, "the token is still good");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_invalid_body_has_its_problem_and_consumes_nothing() {
    let test = TestCheckout::open().await;
    let sale = test.sale(20).await;
    let good = test.admit(sale).await;
    let before = test.stock(sale).await;
    let (path, token) = (format!("/api/flash-sales/{sale}/purchase"), format!("Bearer {}", good.token));
    let long = format!(r#"{{"quantity":1}}{}"#, " ".repeat(16 * 1024));
    for (case, body, status, slug) in [
        ("a long body", long.as_str(), 413, "body-too-large"),
        ("no body", "", 415, "json-required"),
        ("bad JSON", "{", 422, "invalid-body"),
        ("no quantity", "{}", 422, "invalid-body"),
        ("a quantity of nothing", r#"{"quantity":0}"#, 422, "invalid-body"),
        ("less than nothing", r#"{"quantity":-1}"#, 422, "invalid-body"),
        ("a quantity in words", r#"{"quantity":"two"}"#, 422, "invalid-body"),
        ("a field too many", r#"{"quantity":1,"price":1}"#, 422, "invalid-body"),
        ("more than promised", r#"{"quantity":2}"#, 422, "quantity-over-limit"),
        ("far more", r#"{"quantity":65535}"#, 422, "quantity-over-limit"),
    ] {
        let attempt = InvalidPurchase { case, path: &path, token: &token, cookie: &good.cookie, body };
        attempt.rejects(&test, status, slug).await;
    }
    assert_eq!(test.stock(sale).await, before);
    assert_eq!(test.purchase(&good, 1).await.status, 201, "the token is still good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_becomes_a_hold_and_its_rest_is_released() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let shopper = test.admit_as(sale, AdmissionSetup { quantity: 3, ..AdmissionSetup::default() }).await;
    // Admitted shoppers may buy while the sale is paused.
    test.change("UPDATE sales SET status = 'paused' WHERE id = $1", sale.0).await;

    let answer = test.purchase(&shopper, 2).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let order = &answer.body;
    assert_eq!(
        json!([
            order["sale_id"],
            order["status"],
            order["quantity"],
            order["amount_minor"],
            order["currency"],
            order["paid_at"]
        ]),
        json!([sale, "held", 2, 2468, "EUR", null])
    );
    assert_eq!(test.stock(sale).await, StockCounts { total: 5, promised: 0, held: 2, sold: 0 });
    let id = order["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    assert_eq!(test.order(&shopper, id).await.body, *order);
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_token_repeats_its_order_to_its_holder_only_even_when_expired() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let (shopper, stranger) = (test.admit(sale).await, test.admit(sale).await);
    let first = test.purchase(&shopper, 1).await.body;

    let again = test.purchase(&shopper, 1).await;
    assert_eq!((again.status, again.slug(), &again.body["order"]), (409, "token-used", &first));

    let mut expired = shopper.clone();
    expired.claims.exp -= 1000;
    expired.token = test.key.mint(&expired.claims);
    let after = test.purchase(&expired, 1).await;
    assert_eq!((after.status, after.slug(), &after.body["order"]), (409, "token-used", &first));

    // A closed sale takes away no response.
    test.change("UPDATE sales SET status = 'closed' WHERE id = $1", sale.0).await;
    assert_eq!(test.purchase(&shopper, 1).await.body["order"], first);

    for thief_of in [&shopper, &expired] {
        let mut thief = thief_of.clone();
        thief.cookie = stranger.cookie.clone();
        let refused = test.purchase(&thief, 1).await;
        assert_eq!((refused.status, refused.slug()), (401, "invalid-admission-token"));
        assert!(refused.body.get("order").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn purchases_from_one_address_are_rate_limited() {
    let test = TestCheckout::open_with(|settings| {
        settings.purchase_rate_per_s = 0.01;
        settings.purchase_burst = 2;
        settings.proxy.trusted_proxies = "127.0.0.1".parse().expect("an address");
    })
    .await;
    let sale = test.sale(5).await;
    let path = format!("/api/flash-sales/{sale}/purchase");
    let from = |client: &'static str| {
        let path = path.clone();
        async move { call(test.checkout, "POST", &path, &[("x-forwarded-for", client)], GOOD).await.expect("a response") }
    };
    for _ in 0..2 {
        assert_eq!(from("192.0.2.1").await.status, 401);
    }
    let refused = from("192.0.2.1").await;
    assert_eq!((refused.status, refused.slug()), (429, "too-many-requests"));
    let wait_s: u64 = refused.headers["retry-after"].to_str().ok().and_then(|s| s.parse().ok()).expect("seconds");
    assert!((1..=100).contains(&wait_s), "{wait_s}");
    assert_eq!(from("192.0.2.2").await.status, 401);
    // Reads are not limited.
    assert_eq!(
        call(test.checkout, "GET", "/api/orders", &[("x-forwarded-for", "192.0.2.1")], "")
            .await
            .expect("a response")
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_cookies_and_old_tickets_do_not_hide_the_right_ticket() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let forged = |cookie: &str| format!("{}AAAA", &cookie[..cookie.len() - 4]);
    let cases: [fn(&str, &str) -> Vec<String>; 4] = [
        |own, _| vec![format!("promo=\u{e9}; {own}")],
        |own, _| vec!["promo=\u{e9}".to_owned(), own.to_owned(), "theme=dark".to_owned()],
        |own, forged| vec![format!("{forged}; {own}")],
        |own, forged| vec![format!("{own}; {forged}")],
    ];
    for (nth, lines) in cases.iter().enumerate() {
        let shopper = test.admit(sale).await;
        let lines = lines(&shopper.cookie, &forged(&shopper.cookie));
        let bearer = format!("Bearer {}", shopper.token);
        let cookies: Vec<_> = lines.iter().map(|line| ("cookie", line.as_str())).collect();
        let headers = [&[("authorization", bearer.as_str())], cookies.as_slice()].concat();
        let path = format!("/api/flash-sales/{sale}/purchase");
        let bought = call(test.checkout, "POST", &path, &headers, GOOD).await.expect("a response");
        assert_eq!(bought.status, 201, "case {nth}: {bought:?}");
        let orders = call(test.checkout, "GET", "/api/orders", &cookies, "").await.expect("a response");
        assert_eq!(orders.body["orders"][0]["id"], bought.body["id"], "case {nth}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_shown_to_their_shopper_only() {
    let test = TestCheckout::open().await;
    let (sale, other_sale) = (test.sale(5).await, test.sale(5).await);
    let (shopper, order) = test.hold(sale).await;
    let (elsewhere, other_order) = test.hold(other_sale).await;
    let (stranger, strange_order) = test.hold(sale).await;

    let both = format!("theme=dark; {}; {}", shopper.cookie, elsewhere.cookie);
    let list = |cookie: String| async move {
        let answer = call(test.checkout, "GET", "/api/orders", &[("cookie", &cookie)], "").await.expect("a response");
        assert_eq!(answer.status, 200);
        let orders = answer.body["orders"].as_array().expect("a list").clone();
        orders.iter().map(|order| order["id"].as_str().expect("an id").parse().expect("an id")).collect::<Vec<Uuid>>()
    };
    assert_eq!(list(both).await, [other_order, order], "the newest first");
    assert_eq!(list(stranger.cookie.clone()).await, [strange_order]);
    assert_eq!(list("theme=dark".to_owned()).await, Vec::<Uuid>::new());

    assert_eq!(test.order(&shopper, order).await.status, 200);
    for (who, order) in
        [(&stranger, order), (&shopper, strange_order), (&shopper, other_order), (&shopper, Uuid::new_v4())]
    {
        let answer = test.order(who, order).await;
        assert_eq!((answer.status, answer.slug()), (404, "order-not-found"));
        assert_eq!(test.pay(who, order, "tok_visa").await.slug(), "order-not-found");
    }
    let nonsense =
        call(test.checkout, "GET", "/api/orders/first", &[("cookie", &shopper.cookie)], "").await.expect("a response");
    assert_eq!((nonsense.status, nonsense.slug()), (404, "order-not-found"));
}

/// A page of another site can send the browser's cookies, but neither our origin nor JSON without a
/// preflight.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_can_not_buy_pay_or_cancel() {
    let test = TestCheckout::open().await;
    let sale = test.sale(1).await;
    let (shopper, order) = test.hold(sale).await;
    let (pay, cancel) = (format!("/api/orders/{order}/payment"), format!("/api/orders/{order}/cancel"));
    let purchase = format!("/api/flash-sales/{sale}/purchase");
    let ask = async |path: &str, headers: &[(&str, &str)], body: &str| {
        let headers = [&[("cookie", shopper.cookie.as_str())], headers].concat();
        call(test.checkout, "POST", path, &headers, body).await.expect("a response")
    };
    const METHOD: &str = r#"{"payment_method":"tok_visa"}"#;
    for origin in ["https://evil.example", "https://shop.lamps.example", "null"] {
        for (path, body) in [(&pay, METHOD), (&cancel, ""), (&purchase, r#"{"quantity":1}"#)] {
            let refused = ask(path, &[("origin", origin)], body).await;
            assert_eq!((refused.status, refused.slug()), (403, "origin-not-allowed"), "{origin} {path}");
        }
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        let refused = ask(&pay, &[("content-type", kind)], METHOD).await;
        assert_eq!((refused.status, refused.slug()), (415, "json-required"), "{kind}");
    }
    assert_eq!(test.order(&shopper, order).await.body["status"], "held");
    let paid = ask(&pay, &[("origin", "https://lamps.example")], METHOD).await;
    assert_eq!(paid.status, 200, "an allowed origin: {paid:?}");
    let own = format!("http://{}", test.checkout);
    let own = ask(&pay, &[("origin", &own)], METHOD).await;
    assert_eq!(own.status, 200, "its own: {own:?}");
    test.stock_is_reconciled().await;
}
