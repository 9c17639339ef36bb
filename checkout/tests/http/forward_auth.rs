//! Forward auth in front of another checkout: called directly, and through a real nginx.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
};

use axum::{Router, http::HeaderMap as AxumHeaders};
use fairline_private_servers::testing::Servers;
use fairline_sale::SaleId;
use fairline_server::Secret;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    task::spawn_blocking,
};
use uuid::Uuid;

use crate::test_checkout::{AdmissionSetup, MERCHANT_KEY, Reply, TestCheckout, call, eventually, listener};

async fn ask(test: &TestCheckout, path: &str, headers: &[(&str, &str)]) -> Reply {
    call(test.checkout, "GET", path, headers, "").await.expect("a response")
}

/// Repeats the check until it returns this status: states are cached for one second.
async fn becomes(test: &TestCheckout, path: &str, cookie: &str, status: u16) -> Reply {
    eventually(|| async {
        let answer = ask(test, path, &[("cookie", cookie)]).await;
        if answer.status == status { Ok(answer) } else { Err(answer) }
    })
    .await
}

fn in_cookie(token: &str) -> String {
    format!("fairline_admission={token}")
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_auth_passes_while_the_visit_lasts() {
    let test = TestCheckout::open().await;
    let sale = test.sale(3).await;
    let shopper = test.admit(sale).await;
    let path = format!("/forward-auth/verify?sale={sale}");
    let cookie = in_cookie(&shopper.token);
    for _ in 0..2 {
        let answer = ask(&test, &path, &[("cookie", &cookie)]).await;
        assert_eq!((answer.status, &answer.body), (200, &json!("")), "{answer:?}");
        let header = |name: &str| answer.headers[name].to_str().expect("text").to_owned();
        assert_eq!(header("x-fairline-sale"), sale.to_string());
        assert_eq!(header("x-fairline-admission"), shopper.claims.jti.to_string());
        assert_eq!(
            (header("x-fairline-quantity"), header("x-fairline-expires")),
            ("1".to_owned(), shopper.claims.exp.to_string())
        );
        assert_eq!(header("cache-control"), "no-store");
        assert!(!answer.headers.contains_key("set-cookie"));
        assert_eq!(header("x-fairline-order"), "", "set, so that a proxy overwrites what a client sent");
    }
    assert_eq!(test.stock(sale).await.promised, 1, "nothing was used up");
    let bearer = format!("Bearer {}", shopper.token);
    for headers in [
        [("authorization", bearer.as_str())],
        [("x-original-uri", format!("/buy?fairline_token={}", shopper.token).as_str())],
        [("x-forwarded-uri", format!("/buy?fairline_token={}", shopper.token).as_str())],
    ] {
        assert_eq!(ask(&test, &path, &headers).await.status, 200, "{headers:?}");
    }
    let envoys = ask(&test, &format!("/forward-auth/verify/buy/now?fairline_token={}", shopper.token), &[]).await;
    assert_eq!(envoys.status, 200);
    let kept = envoys.headers["set-cookie"].to_str().expect("text");
    assert_eq!(kept, format!("{cookie}; Path=/; HttpOnly; SameSite=Lax; Secure"));

    // The token has expired; the visit continues while its units are held.
    let brief = test
        .admit_as(sale, AdmissionSetup { token_expires_in: -1, row_expires_in: -1, ..AdmissionSetup::default() })
        .await;
    let cookie = in_cookie(&brief.token);
    let over = ask(&test, &path, &[("cookie", &cookie)]).await;
    assert_eq!((over.status, over.slug()), (401, "token-expired"));
    sqlx::query(
        "WITH used AS (UPDATE admissions SET state = 'redeemed' WHERE id = $1 RETURNING *), \
         stocked AS (UPDATE stock SET promised = promised - 1, held = held + 1 WHERE sale_id = (SELECT sale_id FROM used)) \
         INSERT INTO holds (id, admission_id, sale_id, visitor, quantity, amount_minor, currency, expires_at) \
         SELECT id, id, sale_id, visitor, quantity, 1234, 'EUR', now() + interval '1 minute' FROM used",
    )
    .bind(brief.claims.jti)
    .execute(&test.pool)
    .await
    .expect("redeemed in time");
    let held = becomes(&test, &path, &cookie, 200).await;
    assert_eq!(held.headers["x-fairline-order"].to_str().ok(), Some(brief.claims.jti.to_string().as_str()));
    let key = format!("Bearer {MERCHANT_KEY}");
    let release = format!("/api/orders/{}/cancel", brief.claims.jti);
    assert_eq!(
        call(test.checkout, "POST", &release, &[("authorization", &key)], "").await.expect("a response").status,
        200
    );
    becomes(&test, &path, &cookie, 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_does_not_pass_before_it_expires() {
    let test = TestCheckout::open().await;
    let sale = test.sale(4).await;
    let path = format!("/forward-auth/verify?sale={sale}");
    // Lapsed, as unclaimed and revoked ones are; signed again, as after its key was revoked; and
    // untouched.
    let (lapsed, resigned, kept) = (test.admit(sale).await, test.admit(sale).await, test.admit(sale).await);
    for shopper in [&lapsed, &resigned, &kept] {
        assert_eq!(ask(&test, &path, &[("cookie", &in_cookie(&shopper.token))]).await.status, 200);
    }
    let taken_back = "WITH lapsed AS (UPDATE admissions SET state = 'lapsed' WHERE id = $1 RETURNING sale_id) \
         UPDATE stock SET promised = promised - 1 FROM lapsed WHERE stock.sale_id = lapsed.sale_id";
    test.change(taken_back, lapsed.claims.jti).await;
    test.change("UPDATE admissions SET kid = 'another' WHERE id = $1", resigned.claims.jti).await;
    for shopper in [&lapsed, &resigned] {
        let answer = becomes(&test, &path, &in_cookie(&shopper.token), 401).await;
        assert_eq!(answer.slug(), "token-expired");
    }
    assert_eq!(ask(&test, &path, &[("cookie", &in_cookie(&kept.token))]).await.status, 200);

    // A shopper who has paid sees the order until the token expires; one who has cancelled it has
    // left.
    let ((payer, paid), (quitter, left)) = (test.hold(sale).await, (kept.clone(), test.purchase(&kept, 1).await));
    assert_eq!(test.pay(&payer, paid, "tok_visa").await.status, 200);
    let thanks = ask(&test, &path, &[("cookie", &in_cookie(&payer.token))]).await;
    assert_eq!((thanks.status, thanks.headers["x-fairline-order"].to_str().ok()), (200, Some(&*paid.to_string())));
    let cancel = format!("/api/orders/{}/cancel", left.body["id"].as_str().expect("an order"));
    let cancelled = call(test.checkout, "POST", &cancel, &[("cookie", &quitter.cookie)], "").await;
    assert_eq!(cancelled.expect("a response").status, 200);
    becomes(&test, &path, &in_cookie(&quitter.token), 401).await;
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_the_token_alone_decides() {
    let mut servers = spawn_blocking(|| Servers::start().expect("servers")).await.expect("no panic");
    let url = servers.postgres.create_database("shop").expect("a database");
    let redis_url = Secret::new(servers.redis.url());
    let test = TestCheckout::open_on(&url, |settings| settings.redis_url = redis_url).await;
    let sale = test.sale(4).await;
    let good = test.admit(sale).await;
    let over = test.admit_as(sale, AdmissionSetup { token_expires_in: -301, ..AdmissionSetup::default() }).await;
    test.pool.close().await;
    let _servers = spawn_blocking(move || {
        servers.postgres.kill().expect("killed");
        servers
    })
    .await
    .expect("no panic");
    let path = format!("/forward-auth/verify?sale={sale}");
    assert_eq!(ask(&test, &path, &[("cookie", &in_cookie(&good.token))]).await.status, 200);
    assert_eq!(ask(&test, &path, &[("cookie", &in_cookie(&over.token))]).await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_original_path_may_follow_the_path_of_forward_auth() {
    let test = TestCheckout::open().await;
    let sale = test.sale(1).await;
    let cookie = in_cookie(&test.admit(sale).await.token);
    // As Envoy checks `/` and `/buy`, with the method of the request.
    for path in
        ["/forward-auth/enter/", "/forward-auth/verify/", "/forward-auth/enter/buy/now", "/forward-auth/verify/buy/now"]
    {
        for method in ["GET", "POST", "DELETE"] {
            let answer = call(test.checkout, method, path, &[("cookie", &cookie)], "").await.expect("a response");
            assert_eq!(answer.status, 200, "{method} {path}");
            assert_eq!(call(test.checkout, method, path, &[], "").await.expect("a response").status, 401);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_valid_token_do_not_pass() {
    let test =
        TestCheckout::open_with(|settings| settings.waiting_room_url = Some("https://waiting.example/".to_owned()))
            .await;
    let [sale, other] = [test.sale(2).await, test.sale(2).await];
    let (shopper, thief) = (test.admit(sale).await, test.admit(sale).await);
    let genuine = in_cookie(&shopper.token);
    let mut forged = shopper.token.clone();
    let last = forged.pop().expect("a token");
    forged.push(if last == 'A' { 'Q' } else { 'A' });
    let stolen = format!("{genuine}; {}", thief.cookie);
    let own = format!("{genuine}; {}", shopper.cookie);
    let verify = |sale: &dyn std::fmt::Display| format!("/forward-auth/verify?sale={sale}");
    for (path, cookie, header, status, slug) in [
        (verify(&sale), "", "", 401, "missing-admission-token"),
        (verify(&sale), "fairline_admission=a.b.c", "", 401, "invalid-admission-token"),
        (verify(&sale), &in_cookie(&forged), "", 401, "invalid-admission-token"),
        (verify(&sale), &stolen, "", 401, "invalid-admission-token"),
        (verify(&sale), &own, "", 200, ""),
        (verify(&other), &genuine, "", 403, "token-of-other-sale"),
        (verify(&"nonsense"), &genuine, "", 403, "token-of-other-sale"),
        (verify(&sale), &genuine, &other.to_string(), 403, "token-of-other-sale"),
        ("/forward-auth/verify".to_owned(), &genuine, "", 200, ""),
    ] {
        let mut headers = vec![("cookie", cookie)];
        if !header.is_empty() {
            headers.push(("x-fairline-sale", header));
        }
        let answer = ask(&test, &path, &headers).await;
        assert_eq!((answer.status, answer.slug()), (status, slug), "{path} {cookie}");
        assert_eq!(answer.headers["cache-control"], "no-store");
        let entered = ask(&test, &path.replace("verify", "enter"), &headers).await;
        if status == 200 {
            assert_eq!(entered.status, 200);
        } else {
            assert_eq!(
                (entered.status, entered.headers["location"].to_str().ok()),
                (303, Some("https://waiting.example/"))
            );
        }
    }
    // Without a waiting room URL, a rejection is returned.
    let test = TestCheckout::open().await;
    assert_eq!(ask(&test, "/forward-auth/enter", &[]).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bearer_tokens_and_cookies_do_not_reject_a_shopper() {
    let test = TestCheckout::open().await;
    let sale = test.sale(2).await;
    let shopper = test.admit(sale).await;
    let other = test
        .admit_as(sale, AdmissionSetup { token_expires_in: -1, row_expires_in: -1, ..AdmissionSetup::default() })
        .await;
    let ours = in_cookie(&shopper.token);
    let ours_twice = format!("{}; {ours}", in_cookie(&other.token));
    let noisy = format!("promo=\u{e9}; {ours}; theme=dark");
    let query = format!("/buy?fairline_token={}", other.token);
    for (what, headers) in [
        ("the shop's bearer", &[("authorization", "Bearer shop.jwt.x"), ("cookie", ours.as_str())][..]),
        ("a cookie that is not ASCII", &[("cookie", noisy.as_str())]),
        ("several headers", &[("cookie", "promo=\u{e9}"), ("cookie", ours.as_str())]),
        ("an older cookie before it", &[("cookie", ours_twice.as_str())]),
        ("an old token in the query", &[("x-original-uri", query.as_str()), ("cookie", ours.as_str())]),
    ] {
        for path in [format!("/forward-auth/verify?sale={sale}"), format!("/forward-auth/enter?sale={sale}")] {
            let answer = ask(&test, &path, headers).await;
            assert_eq!(answer.status, 200, "{what}: {answer:?}");
            assert_eq!(answer.headers["x-fairline-admission"].to_str().ok(), Some(&*shopper.claims.jti.to_string()));
            assert!(!answer.headers.contains_key("set-cookie"), "{what}");
        }
    }
    let all_wrong = [("authorization", "Bearer shop.jwt.x"), ("cookie", &in_cookie(&other.token))];
    let answer = ask(&test, &format!("/forward-auth/verify?sale={sale}"), &all_wrong).await;
    assert_eq!((answer.status, answer.slug()), (401, "token-expired"), "what is wrong with ours is reported");
}

const PREFLIGHT: [(&str, &str); 2] = [("origin", "https://app.example"), ("access-control-request-method", "PUT")];

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_passes_and_other_options_requests_do_not() {
    let test =
        TestCheckout::open_with(|settings| settings.waiting_room_url = Some("https://waiting.example/".to_owned()))
            .await;
    let sale = test.sale(1).await;
    let asked = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        call(test.checkout, method, path, headers, "").await.expect("a response")
    };
    for path in [
        "/forward-auth/verify",
        "/forward-auth/verify/",
        "/forward-auth/verify/buy",
        "/forward-auth/enter",
        "/forward-auth/enter/",
        "/forward-auth/enter/buy",
    ] {
        let path = format!("{path}?sale={sale}");
        let passed = asked("OPTIONS", &path, &PREFLIGHT).await;
        assert_eq!(passed.status, 200, "{path}: {passed:?}");
        for name in ["sale", "admission", "quantity", "expires", "order"] {
            assert_eq!(passed.headers[format!("x-fairline-{name}")], "", "a client says nothing under this name");
        }
        let refused = if path.contains("enter") { 303 } else { 401 };
        assert_eq!(asked("OPTIONS", &path, &PREFLIGHT[..1]).await.status, refused);
        assert_eq!(asked("GET", &path, &PREFLIGHT).await.status, refused);
        // A proxy that repeats the request's method also repeats its origin, which is not a foreign
        // page here.
        assert_eq!(asked("PUT", &path, &PREFLIGHT).await.status, refused);
        let imitated =
            [&PREFLIGHT[..], &[("x-forwarded-method", "OPTIONS"), ("x-original-method", "OPTIONS")]].concat();
        assert_eq!(asked("GET", &path, &imitated).await.status, refused, "headers may be the client's");
    }
    let cookie = in_cookie(&test.admit(sale).await.token);
    let change =
        asked("PUT", "/forward-auth/enter/cart", &[("origin", "https://shop.example"), ("cookie", &cookie)]).await;
    assert_eq!(change.status, 200, "{change:?}");
}

/// nginx with `docs/forward-auth/nginx.conf`, and the shop behind it. Killed when dropped.
struct Nginx {
    address: SocketAddr,
    _nginx: Child,
    _folder: TempDir,
}

/// The shop's own checkout, which echoes the headers that it received.
async fn echo(headers: AxumHeaders) -> axum::Json<Value> {
    let seen = headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap_or_default())));
    axum::Json(Value::Object(seen.collect()))
}

impl Nginx {
    async fn start(checkout: SocketAddr, sale: SaleId) -> Self {
        let (shop_listener, shop) = listener().await;
        tokio::spawn(async move { axum::serve(shop_listener, Router::new().fallback(echo)).await });
        // nginx can't report a free port that it has chosen. No other process uses a port of this
        // address.
        let address = TcpListener::bind("127.9.9.9:0").and_then(|free| free.local_addr()).expect("a port");
        let folder = TempDir::new().expect("a folder");
        let server = include_str!("../../../docs/forward-auth/nginx.conf");
        let server = [
            ("listen 8080;", format!("listen {address};")),
            ("http://shop.internal:8000", format!("http://{shop}")),
            ("http://checkout.internal:8082", format!("http://{checkout}")),
            ("0190a6a0-0000-7000-8000-000000000001", sale.to_string()),
        ]
        .into_iter()
        .fold(server.to_owned(), |server, (documented, ours)| {
            assert!(server.contains(documented), "{documented} is not in the documentation's configuration");
            server.replace(documented, &ours)
        });
        let conf = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{}}\nhttp {{\n\
             access_log off;\nclient_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\n\
             uwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\n{server}\n}}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), conf).expect("written");
        let nginx = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let nginx = Command::new(nginx.expect("nginx is installed: scripts/setup.sh test"))
            .args(["-e", "stderr", "-c", "nginx.conf", "-p"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("nginx starts");
        let proxy = Self { address, _nginx: nginx, _folder: folder };
        eventually(|| async { proxy.get("/elsewhere", &[]).await.map(drop).ok_or("nginx does not respond") }).await;
        proxy
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Option<Reply> {
        call(self.address, "GET", path, headers, "").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_passes_admitted_shoppers_only() {
    let test = TestCheckout::open().await;
    let [sale, other] = [test.sale(3).await, test.sale(3).await];
    let proxy = Nginx::start(test.checkout, sale).await;
    let get = async |path: &str, headers: &[(&str, &str)]| proxy.get(path, headers).await.expect("a response");
    let shopper = test.admit(sale).await;
    let sent_away = |answer: &Reply| {
        assert_eq!((answer.status, answer.headers["location"].to_str().ok()), (303, Some("https://waiting.example/")));
    };

    sent_away(&get("/checkout/", &[]).await);
    sent_away(&get("/checkout/?fairline_token=a.b.c", &[]).await);
    let foreign = test.admit(other).await;
    sent_away(&get("/checkout/", &[("cookie", &in_cookie(&foreign.token))]).await);
    sent_away(
        &get("/checkout/", &[("cookie", &in_cookie(&foreign.token)), ("x-fairline-sale", &other.to_string())]).await,
    );
    let over = test
        .admit_as(sale, AdmissionSetup { token_expires_in: -1, row_expires_in: -1, ..AdmissionSetup::default() })
        .await;
    sent_away(&get("/checkout/", &[("cookie", &in_cookie(&over.token))]).await);

    // From the waiting room with the token in the URL, then with the cookie that forward auth set.
    let first = get(&format!("/checkout/cart?fairline_token={}", shopper.token), &[]).await;
    assert_eq!(first.status, 200, "{first:?}");
    let cookie = first.headers["set-cookie"].to_str().expect("text").split(';').next().expect("a cookie").to_owned();
    let imitated = [
        ("cookie", cookie.as_str()),
        ("x-fairline-quantity", "100"),
        ("x-fairline-order", "0190a6a0-0000-7000-8000-000000000001"),
        ("x-fairline-admission", "mine"),
    ];
    let answer = get("/checkout/pay", &imitated).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["x-fairline-sale"], json!(sale));
    assert_eq!(answer.body["x-fairline-admission"], json!(shopper.claims.jti));
    assert_eq!((&answer.body["x-fairline-quantity"], &answer.body["x-fairline-order"]), (&json!("1"), &Value::Null));
    assert!(!answer.headers.contains_key("set-cookie"));

    // With the shop's own token, and as a CORS preflight.
    let own = [("authorization", "Bearer shop.jwt.x"), ("cookie", cookie.as_str())];
    assert_eq!(get("/checkout/pay", &own).await.status, 200);
    let preflight = async |method: &str, headers: &[(&str, &str)]| {
        call(proxy.address, method, "/checkout/pay", headers, "").await.expect("a response")
    };
    let asked_first = preflight("OPTIONS", &[&PREFLIGHT[..], &[("x-fairline-quantity", "100")]].concat()).await;
    assert_eq!((asked_first.status, &asked_first.body["x-fairline-quantity"]), (200, &Value::Null));
    sent_away(&preflight("PUT", &[&PREFLIGHT[..], &[("x-original-method", "OPTIONS")]].concat()).await);
    let change = preflight("PUT", &[("origin", "https://app.example"), ("cookie", cookie.as_str())]).await;
    assert_eq!(change.status, 200, "{change:?}");

    // After the redemption the visit continues, and the token buys no second unit.
    let key = format!("Bearer {MERCHANT_KEY}");
    let redeem = json!({ "sale_id": sale, "token": shopper.token, "quantity": 1 }).to_string();
    let redeemed = async || {
        call(test.checkout, "POST", "/api/admissions/redeem", &[("authorization", &key)], &redeem)
            .await
            .expect("a response")
    };
    assert_eq!((redeemed().await.status, redeemed().await.slug().to_owned()), (201, "token-used".to_owned()));
    assert_eq!(get("/checkout/pay", &[("cookie", &cookie)]).await.status, 200);
    assert_eq!(Uuid::try_parse(answer.body["x-fairline-admission"].as_str().expect("an id")), Ok(shopper.claims.jti));
}
