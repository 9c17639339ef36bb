//! The parsers that face the network, each as a function of arbitrary bytes that panics if its
//! parser panics or breaks its contract.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use fairline_http_client::web_address;
use fairline_line::ticket::TicketKey;
use fairline_notification_channels::{Address, Subscription};
use fairline_payment_gateway::{self as gateway, GatewayCall, webhook};
use fairline_redemption::{bearer, holds_ticket_of};
use fairline_sale::VisitorId;
use fairline_server::Secret;
use jsonwebtoken::DecodingKey;
use serde::de::DeserializeOwned;

use crate::{
    accounts::{oidc, routes as users},
    auth::{
        account::SignInKey,
        caller::{ShopperIdentity, idempotency_scope},
    },
    forward_auth::request::AuthRequest,
    merchant_api::request as merchant_api,
    payments::routes::PaymentRequest,
    redemption::routes::Purchase,
};

/// A name, and a function that accepts arbitrary bytes.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// The targets.
pub const TARGETS: &[FuzzTarget] = &[
    ("webhook-signature", webhook_signature),
    ("webhook-event", body::<webhook::WebhookEvent>),
    ("gateway-answer", gateway_answer),
    ("caller-headers", caller_headers),
    ("access-token", access_token),
    ("forward-auth", forward_auth),
    ("purchase-body", body::<Purchase>),
    ("payment-body", body::<PaymentRequest>),
    ("merchant-redeem-body", body::<merchant_api::RedeemRequest>),
    ("merchant-confirm-body", body::<merchant_api::ConfirmRequest>),
    ("merchant-refund-body", body::<merchant_api::RefundRequest>),
    ("merchant-reserve-body", body::<merchant_api::ReserveRequest>),
    ("sign-in-body", body::<users::LogInRequest>),
    ("sign-in-code-body", body::<users::LogInCodeRequest>),
    ("refresh-body", body::<users::RefreshRequest>),
    ("subscription-body", body::<users::SubscribeRequest>),
    ("unsubscribe-body", body::<users::UnsubscribeRequest>),
    ("id-token", id_token),
    ("id-token-claims", id_token_claims),
    ("issuer-answer", issuer_answer),
    ("email-address", email_address),
    ("push-subscription", push_subscription),
    ("web-address", address),
];

/// The time at which the corpus was signed.
const NOW_UNIX_S: i64 = 1_800_000_000;

static TICKETS: LazyLock<TicketKey> = LazyLock::new(|| "5a".repeat(32).parse().expect("64 digits"));
static ACCOUNTS: LazyLock<SignInKey> =
    LazyLock::new(|| SignInKey::new(&Secret::new("the account key of the corpus, 40 bytes")).expect("long enough"));

fn body<T: DeserializeOwned>(bytes: &[u8]) {
    let _ = serde_json::from_slice::<T>(bytes);
}

/// Builds headers: each line of the input becomes the value of the next name, in a cycle.
fn headers(names: &[HeaderName], bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, line) in names.iter().cycle().zip(bytes.split(|byte| *byte == b'\n')) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    headers
}

fn webhook_signature(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (header, body) = text.split_once('\n').unwrap_or((text, "{}"));
    let signed_at = webhook::signed_at(header, body.as_bytes(), &[Secret::new("whsec_that_signs_nothing")]);
    assert_eq!(signed_at, None, "no input is signed with a secret that has signed nothing");
}

fn gateway_answer(bytes: &[u8]) {
    for step in [GatewayCall::Authorise, GatewayCall::LookUp, GatewayCall::Refund] {
        for status in [StatusCode::OK, StatusCode::PAYMENT_REQUIRED, StatusCode::NOT_FOUND] {
            let _ = gateway::read(step, status, &HeaderMap::new(), bytes);
        }
    }
}

fn caller_headers(bytes: &[u8]) {
    let headers = headers(&[header::COOKIE, header::AUTHORIZATION, header::COOKIE], bytes);
    let shopper = ShopperIdentity::of(&headers, &TICKETS, Some(&ACCOUNTS));
    for visitor in shopper.iter() {
        assert!(holds_ticket_of(&headers, &TICKETS, *visitor), "a ticket's holder holds it");
    }
    assert!(!holds_ticket_of(&headers, &TICKETS, VisitorId([0xff; 16])), "no ticket of the corpus has this holder");
    let _ = (bearer(&headers), idempotency_scope(&headers, &TICKETS, Some(&ACCOUNTS), None));
}

fn access_token(bytes: &[u8]) {
    let Ok(token) = std::str::from_utf8(bytes) else { return };
    let _ = ACCOUNTS.account_of(token, NOW_UNIX_S);
}

fn id_token(bytes: &[u8]) {
    static KEY: LazyLock<DecodingKey> = LazyLock::new(|| {
        DecodingKey::from_ed_components("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("base64url")
    });
    let Ok(token) = std::str::from_utf8(bytes) else { return };
    let Ok(header) = oidc::header_of(token) else { return };
    let validation = oidc::validation(header.alg, "https://id.example", "fairline");
    assert!(
        oidc::validated(token, &KEY, &validation).is_err(),
        "no input is signed with a key that has signed nothing"
    );
}

fn id_token_claims(bytes: &[u8]) {
    let Ok(claims) = serde_json::from_slice::<oidc::IdTokenClaims>(bytes) else { return };
    if let Ok(verified_identity) = claims.verified_identity() {
        assert!((1..=255).contains(&verified_identity.subject.len()), "a subject has a bound");
    }
}

/// The first line is an ID token; the rest is the discovery document, or keys that verify the
/// token.
fn issuer_answer(bytes: &[u8]) {
    let (token, json) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    body::<oidc::Discovery>(json);
    let (Ok(token), Ok(keys)) = (std::str::from_utf8(token), oidc::IssuerKeys::of_json(json)) else { return };
    for key in [keys.key(None), keys.key(Some("first"))].into_iter().flatten() {
        let Ok(header) = oidc::header_of(token) else { return };
        let _ = oidc::validated(token, &key, &oidc::validation(header.alg, "https://id.example", "fairline"));
    }
}

fn forward_auth(bytes: &[u8]) {
    let (uri, rest) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()));
    let Ok(uri) = Uri::try_from(uri) else { return };
    let names = [
        HeaderName::from_static("x-original-uri"),
        HeaderName::from_static("x-forwarded-uri"),
        header::AUTHORIZATION,
        header::COOKIE,
        HeaderName::from_static("x-fairline-sale"),
    ];
    let _ = AuthRequest::of(&Method::GET, &uri, &headers(&names, rest.strip_prefix(b"\n").unwrap_or(rest)));
}

fn email_address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(address) = Address::email(text) {
        let again = Address::email(address.as_str());
        assert_eq!(again.as_ref().map(Address::as_str), Some(address.as_str()), "an address is its own normal form");
    }
}

fn push_subscription(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.splitn(3, '\n');
    let mut next = || parts.next().unwrap_or_default();
    let _ = Subscription::new(next(), next(), next());
}

fn address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = web_address(text);
}
