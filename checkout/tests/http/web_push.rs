//! Web Push: a browser that subscribed is notified, and only it can read the message.

use fairline_server::Secret;
use serde_json::json;
use uuid::Uuid;

use crate::{
    notifications::{access_token, hold_of},
    test_checkout::{TestCheckout, call, eventually, listener},
};

/// The browser, the sender, and the message.
type Pushed = (String, String, Vec<u8>);

/// A browser's push service, and the messages that it received.
#[derive(Clone, Default)]
struct PushService(std::sync::Arc<std::sync::Mutex<Vec<Pushed>>>);

impl PushService {
    async fn open() -> (Self, String) {
        let (listener, address) = listener().await;
        let service = Self::default();
        let take = |axum::extract::State(service): axum::extract::State<Self>,
                    axum::extract::Path(browser): axum::extract::Path<String>,
                    headers: axum::http::HeaderMap,
                    body: axum::body::Bytes| async move {
            assert_eq!(
                (headers["content-encoding"].as_bytes(), headers["urgency"].as_bytes()),
                (&b"aes128gcm"[..], &b"high"[..])
            );
            let sender = headers["authorization"].to_str().expect("text").to_owned();
            let status = if browser == "gone" { 410 } else { 201 };
            service.0.lock().expect("no panic").push((browser, sender, body.to_vec()));
            axum::http::StatusCode::from_u16(status).expect("a status")
        };
        let router =
            axum::Router::new().route("/push/{browser}", axum::routing::post(take)).with_state(service.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (service, format!("http://{address}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_subscribed_is_notified_and_only_it_can_read_it() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
    use ring::{agreement, rand::SystemRandom};

    // The key pair of RFC 8291, appendix A.
    let public_key = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8";
    let (service, origin) = PushService::open().await;
    let test = TestCheckout::open_with(|settings| {
        settings.channels.push_public_key = Some(public_key.to_owned());
        settings.channels.push_key = Some(Secret::new("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"));
        settings.channels.push_contact = Some("mailto:ops@lamps.example".to_owned());
        settings.channels.push_services = vec![origin.clone()];
    })
    .await;
    let sale = test.sale(5).await;
    let (shopper, order) = hold_of(&test, sale, "shopper@example.org").await;
    let id: Uuid = sqlx::query_scalar("SELECT account_id FROM holds WHERE id = $1")
        .bind(order)
        .fetch_one(&test.pool)
        .await
        .expect("one");
    test.change("UPDATE accounts SET address = NULL WHERE id = $1", id).await;
    let token = access_token(&test, id);
    let answer = call(test.checkout, "GET", "/users/push", &[], "").await.expect("a response");
    assert_eq!(answer.body["public_key"], public_key);

    let browser = agreement::EphemeralPrivateKey::generate(&agreement::ECDH_P256, &SystemRandom::new()).expect("a key");
    let browsers_key = browser.compute_public_key().expect("a key").as_ref().to_vec();
    let subscription = |endpoint: &str, key: &[u8]| json!({ "endpoint": endpoint, "expirationTime": null, "keys": { "p256dh": BASE64.encode(key), "auth": BASE64.encode([7; 16]) } });
    let subscribe = async |body: serde_json::Value, token: &str| {
        call(test.checkout, "POST", "/users/push", &[("fairline-account", token)], &body.to_string())
            .await
            .expect("a response")
    };
    let (here, gone) = (format!("{origin}/push/here"), format!("{origin}/push/gone"));
    assert_eq!(subscribe(subscription(&here, &browsers_key), "invalid-token").await.status, 401);
    assert_eq!(
        subscribe(subscription("https://evil.example/push", &browsers_key), &token).await.body["field"],
        "endpoint"
    );
    assert_eq!(subscribe(subscription(&here, b"short"), &token).await.body["field"], "keys");
    for endpoint in [&here, &gone] {
        let answer = subscribe(subscription(endpoint, &browsers_key), &token).await;
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    assert_eq!(test.pay(&shopper, order, "tok_visa").await.body["status"], "paid");
    let got = eventually(|| async {
        let got = service.0.lock().expect("no panic").clone();
        if got.len() == 2 { Ok(got) } else { Err(got.len()) }
    })
    .await;
    let (_, sender, message) = got.iter().find(|(browser, ..)| browser == "here").expect("one for each");
    assert_eq!(sender_of(sender, &origin), (public_key.to_owned(), "mailto:ops@lamps.example".to_owned()));

    let text = read(message, browser, &browsers_key, &[7; 16]);
    assert_eq!(text["subject"], "Your order at Lamps & Co: The drop");
    assert!(text["link"].as_str().is_some_and(|link| link.starts_with("https://lamps.example/sales/drop-")), "{text}");
    // The browser that is gone gets no more messages.
    eventually(|| async {
        let left: Vec<String> =
            sqlx::query_scalar("SELECT endpoint FROM push_subscriptions").fetch_all(&test.pool).await.expect("rows");
        if left == [here.clone()] { Ok(()) } else { Err(left) }
    })
    .await;
    // Of six browsers the newest five are notified.
    for nth in 0..5 {
        let answer = subscribe(subscription(&format!("{origin}/push/{nth}"), &browsers_key), &token).await;
        assert_eq!(answer.status, 204);
    }
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM push_subscriptions").fetch_one(&test.pool).await.expect("a count");
    assert_eq!(count, 5);
    let body = json!({ "endpoint": format!("{origin}/push/4") }).to_string();
    let left = call(test.checkout, "DELETE", "/users/push", &[("fairline-account", &token)], &body).await;
    assert_eq!(left.expect("a response").status, 204);
}

/// The public key and the contact of a verified sender (RFC 8292).
fn sender_of(authorization: &str, origin: &str) -> (String, String) {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
    let (vouched, key) =
        authorization.strip_prefix("vapid t=").and_then(|sender| sender.split_once(", k=")).expect("RFC 8292");
    let point = BASE64.decode(key).expect("base64");
    let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..]));
    let verifying = jsonwebtoken::DecodingKey::from_ec_components(&x, &y).expect("a key");
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_audience(&[origin]);
    let claims = jsonwebtoken::decode::<serde_json::Value>(vouched, &verifying, &validation).expect("genuine").claims;
    (key.to_owned(), claims["sub"].as_str().expect("a contact").to_owned())
}

/// Decrypts a message as a browser does (RFC 8291, section 3.4).
fn read(
    message: &[u8],
    browser: ring::agreement::EphemeralPrivateKey,
    its_key: &[u8],
    auth: &[u8],
) -> serde_json::Value {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use ring::{aead, agreement};
    let mac = |key: &[u8], data: &[u8]| -> Vec<u8> {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).expect("any length");
        mac.update(data);
        mac.finalize().into_bytes().to_vec()
    };
    let (salt, ours, sealed) = (&message[..16], &message[21..86], &message[86..]);
    assert_eq!((&message[16..20], message[20]), (&[0, 0, 16, 0][..], 65));
    let theirs = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, ours);
    let secret = agreement::agree_ephemeral(browser, &theirs, <[u8]>::to_vec).expect("a secret");
    let input = mac(&mac(auth, &secret), &[b"WebPush: info\0", its_key, ours, &[1]].concat());
    let extracted = mac(salt, &input);
    let key = mac(&extracted, b"Content-Encoding: aes128gcm\0\x01");
    let nonce = mac(&extracted, b"Content-Encoding: nonce\0\x01");
    let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_128_GCM, &key[..16]).expect("a key"));
    let mut sealed = sealed.to_vec();
    let nonce = aead::Nonce::try_assume_unique_for_key(&nonce[..12]).expect("a nonce");
    let text = key.open_in_place(nonce, aead::Aad::empty(), &mut sealed).expect("for this browser");
    serde_json::from_slice(text.strip_suffix(&[2]).expect("the last record")).expect("JSON")
}
