//! A checkout process whose clock is off (libfaketime): its clock decides nothing.

use std::{net::SocketAddr, process::Stdio};

use fairline_private_servers::testing::libfaketime;
use fairline_server::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use time::OffsetDateTime;
use tokio::process::{Child, Command};

use crate::test_checkout::{AdmissionSetup, TestCheckout, WEBHOOK_SECRET, call, eventually, listener};

/// A checkout on a shop's database, with a clock that is `seconds` ahead.
async fn checkout_ahead(test: &TestCheckout, seconds: i64) -> (Child, SocketAddr) {
    let (listener, address) = listener().await;
    drop(listener);
    let settings = &test.settings;
    let secret = |secret: &Secret| secret.expose().to_owned();
    let child = Command::new(env!("CARGO_BIN_EXE_checkout"))
        // The library instead of its wrapper, which would stay between the test and the process.
        .env("LD_PRELOAD", libfaketime())
        .env("FAKETIME", format!("{seconds:+}s"))
        // Timeouts and intervals stay as they are.
        .env("DONT_FAKE_MONOTONIC", "1")
        .env("FAIRLINE_LISTEN", address.to_string())
        .env("FAIRLINE_POSTGRES_URL", secret(&settings.postgres_url))
        .env("FAIRLINE_REDIS_URL", secret(&settings.redis_url))
        .env("FAIRLINE_JWKS", &settings.jwks)
        .env("FAIRLINE_TICKET_KEY", secret(&settings.ticket_key))
        .env("FAIRLINE_GATEWAY_URL", &settings.gateway_url)
        .env("FAIRLINE_WEBHOOK_SECRETS", WEBHOOK_SECRET)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("checkout starts");
    eventually(|| async {
        let ready = call(address, "GET", "/health/ready", &[], "").await;
        if ready.as_ref().is_some_and(|answer| answer.status == 200) { Ok(()) } else { Err(ready) }
    })
    .await;
    (child, address)
}

fn signed_now(body: &str) -> String {
    let at = OffsetDateTime::now_utc().unix_timestamp();
    let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).expect("any length");
    mac.update(format!("{at}.{body}").as_bytes());
    let signed: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at},v1={signed}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_with_a_wrong_clock_redeems_exactly_the_valid_tokens() {
    let test = TestCheckout::open().await;
    let sale = test.sale(20).await;
    for (nth, ahead) in [5, 70, 400, -70, -400].into_iter().enumerate() {
        let (_checkout, address) = checkout_ahead(&test, ahead).await;
        let fresh = test
            .admit_as(sale, AdmissionSetup { token_expires_in: 60, row_expires_in: 60, ..AdmissionSetup::default() })
            .await;
        let path = format!("/forward-auth/verify?sale={sale}");
        let bearer = format!("Bearer {}", fresh.token);
        let passes = call(address, "GET", &path, &[("authorization", &bearer)], "").await.expect("a response");
        assert_eq!(passes.status, 200, "{ahead}: {passes:?}");
        let redeemed = test.purchase_at(address, &fresh, 1).await.expect("a response");
        assert_eq!(redeemed.status, 201, "{ahead}: {redeemed:?}");

        // By the database's clock it has expired, whatever the local clock shows.
        let late = AdmissionSetup { token_expires_in: -1, row_expires_in: -1, ..AdmissionSetup::default() };
        let late = test.admit_as(sale, late).await;
        let refused = test.purchase_at(address, &late, 1).await.expect("a response");
        assert_eq!((refused.status, refused.slug()), (410, "token-expired"), "{ahead}");
        let bearer = format!("Bearer {}", late.token);
        let stays_out = call(address, "GET", &path, &[("authorization", &bearer)], "").await.expect("a response");
        assert_eq!(stays_out.status, 401, "{ahead}: {stays_out:?}");

        let intent = json!({ "object": "payment_intent", "id": "pi_unknown", "status": "succeeded" });
        let event =
            json!({ "id": format!("evt_{nth}"), "type": "payment_intent.succeeded", "data": { "object": intent } });
        let event = event.to_string();
        let headers = [("stripe-signature", &*signed_now(&event))];
        let received = call(address, "POST", "/webhooks/stripe", &headers, &event).await.expect("a response");
        assert_eq!(received.status, 200, "{ahead}: {received:?}");
    }
    test.stock_is_reconciled().await;
}
