//! The logs of checkout while a shopper uses every feature: no personal data at any level.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
};

use checkout::Settings;
use fairline_sandbox_notifications::NotificationSandbox;
use fairline_server::Shutdown;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::test_checkout::{MERCHANT_KEY, Reply, SIGN_IN_KEY, TestCheckout, call, eventually, listener};

const VISITORS_ADDRESS: &str = "203.0.113.77";
const EMAIL: &str = "ada.lovelace@example.org";

/// A shopper behind a proxy.
struct Client {
    checkout: SocketAddr,
}

/// What signing in shows to the shopper only.
struct ShopperSecrets {
    code: String,
    access: String,
    refresh: String,
}

impl Client {
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Reply {
        let headers = [headers, &[("x-forwarded-for", VISITORS_ADDRESS)]].concat();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        call(self.checkout, method, path, &headers, &body).await.expect("a response")
    }

    async fn sign_in(&self, sandbox: &NotificationSandbox) -> ShopperSecrets {
        let asked = self.ask("POST", "/users/login", &[], json!({ "email": EMAIL })).await;
        assert_eq!(asked.status, 202, "{asked:?}");
        let notification =
            eventually(|| async { sandbox.notifications_to(EMAIL).first().cloned().ok_or("no notification") }).await;
        let code = notification.subject.split(' ').next().expect("a code").to_owned();
        let entered = json!({ "sign_in_id": asked.body["sign_in_id"], "code": code });
        let signed_in = self.ask("POST", "/users/login/code", &[], entered).await;
        assert_eq!(signed_in.status, 200, "{signed_in:?}");
        let text = |field: &str| signed_in.body[field].as_str().expect("text").to_owned();
        ShopperSecrets { code, access: text("access_token"), refresh: text("refresh_token") }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_is_logged_even_at_debug() {
    let test = TestCheckout::open().await;
    let (notifications, smtp) = listener().await;
    let sandbox = NotificationSandbox::open(notifications, &Shutdown::new());
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("checkout.log");
    let settings = &test.settings;
    let (address, _checkout) = start_checkout(settings, smtp, &file).await;

    let client = Client { checkout: address };
    let ShopperSecrets { code, access, refresh } = client.sign_in(&sandbox).await;

    let sale = test.sale(5).await;
    let shopper = test.admit(sale).await;
    let bearer = format!("Bearer {}", shopper.token);
    let holder = [("authorization", &*bearer), ("cookie", &*shopper.cookie), ("fairline-account", &*access)];
    let purchase = format!("/api/flash-sales/{sale}/purchase");
    let mut forged = shopper.token.clone();
    forged.truncate(forged.len() - 4);
    let forgery = format!("Bearer {forged}AAAA");
    let refused =
        client.ask("POST", &purchase, &[("authorization", &forgery), holder[1]], json!({ "quantity": 1 })).await;
    assert_eq!(refused.status, 401);
    let bought = client.ask("POST", &purchase, &holder, json!({ "quantity": 1 })).await;
    assert_eq!(bought.status, 201, "{bought:?}");
    assert_eq!(client.ask("POST", &purchase, &holder, json!({ "quantity": 1 })).await.status, 409);
    let order = bought.body["id"].as_str().expect("an order").to_owned();
    let payment = format!("/api/orders/{order}/payment");
    let paid = client.ask("POST", &payment, &holder[1..], json!({ "payment_method": "tok_visa" })).await;
    assert_eq!(paid.status, 200, "{paid:?}");
    let admission = format!("fairline_admission={}", shopper.token);
    for (path, cookie) in [
        (format!("/forward-auth/verify?sale={sale}"), admission.as_str()),
        (format!("/forward-auth/verify/buy?fairline_token={}", shopper.token), ""),
        (format!("/forward-auth/verify/buy?fairline_token={forged}"), ""),
    ] {
        client.ask("GET", &path, &[("cookie", cookie)], Value::Null).await;
    }
    client.ask("POST", &format!("/users/reminders/{sale}"), &holder[1..], Value::Null).await;
    eventually(|| async { sandbox.notifications_to(EMAIL).get(1).cloned().ok_or("no notification") }).await;
    assert_eq!(client.ask("DELETE", "/api/orders", &holder[1..], Value::Null).await.status, 200);

    let logged = eventually(|| async {
        let logged = std::fs::read_to_string(&file).expect("logs");
        if logged.matches("notification sent").count() >= 2 { Ok(logged) } else { Err(logged.len()) }
    })
    .await;
    assert!(logged.contains("\"level\":\"DEBUG\""), "as much as there is is logged");
    let ticket = shopper.cookie.split_once('=').expect("a cookie").1;
    let (_, signature) = shopper.token.rsplit_once('.').expect("a token");
    for (what, secret) in [
        ("the visitor", shopper.claims.sub.as_str()),
        ("the token", signature),
        ("the forged token", &forged),
        ("the ticket", ticket),
        ("the e-mail address", EMAIL),
        ("its name", "lovelace"),
        ("the code", &format!("{code} is your sign-in code")),
        ("the access token", &access),
        ("the refresh token", &refresh),
        ("the network address", VISITORS_ADDRESS),
        ("what was paid with", "tok_visa"),
        ("the shop's key", MERCHANT_KEY),
        ("the sign-in key", SIGN_IN_KEY),
        ("the ticket key", settings.ticket_key.expose()),
    ] {
        let line = logged.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{what} is logged");
    }
}

/// The program itself, since its libraries may log, too.
async fn start_checkout(settings: &Settings, smtp: SocketAddr, log: &Path) -> (SocketAddr, Child) {
    // It can't report a free port that it has chosen; no other process uses a port of this address.
    let address = TcpListener::bind("127.9.9.8:0").and_then(|free| free.local_addr()).expect("a port");
    let checkout = Command::new(env!("CARGO_BIN_EXE_checkout"))
        .arg(format!("--listen={address}"))
        .arg(format!("--postgres-url={}", settings.postgres_url.expose()))
        .arg(format!("--redis-url={}", settings.redis_url.expose()))
        .arg(format!("--jwks={}", settings.jwks))
        .arg(format!("--ticket-key={}", settings.ticket_key.expose()))
        .arg(format!("--gateway-url={}", settings.gateway_url))
        .args(["--gateway-key=sk_test", "--trusted-proxies=127.0.0.0/8", "--mail-from=Lamps <shop@lamps.example>"])
        .arg(format!("--merchant-key={MERCHANT_KEY}"))
        .arg(format!("--sign-in-key={SIGN_IN_KEY}"))
        .arg(format!("--smtp-url=smtp://{smtp}"))
        .args(["--log=json", "--log-level=debug"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(log).expect("a file"))
        .kill_on_drop(true)
        .spawn()
        .expect("checkout starts");
    eventually(|| async { call(address, "GET", "/health/live", &[], "").await.map(drop).ok_or("no response") }).await;
    (address, checkout)
}
