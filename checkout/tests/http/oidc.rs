//! Sign-in through the shop's own OIDC issuer.

use std::sync::{Arc, Mutex};

use axum::{Router, extract::State, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    accounts::{post_json, profile, text},
    test_checkout::{TestCheckout, eventually, listener},
};

/// The shop's own issuer: its keys, and how often they were fetched.
#[derive(Clone, Default)]
struct TestIssuer(Arc<Mutex<(Vec<Value>, u32)>>);

impl TestIssuer {
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
    let (issuer, name) = TestIssuer::open().await;
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
        assert_eq!((answer.status, answer.slug()), (401, "invalid-id-token"), "{case}: {answer:?}");
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
