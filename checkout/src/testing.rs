//! For tools, behind the feature `testing`. The service uses none of it.
//!
//! - `tools/fuzz` calls [`TARGETS`]: the parsers that face the network, each as a function of
//!   arbitrary bytes that panics if its parser panics or breaks its contract.
//! - `tools/simulate` calls [`DirectPayments`]: payments without HTTP, over a gateway of its own.
//! - Its tests of the ledger call [`DirectHolds`]: redemption and the expiry of holds, one transaction
//!   each.
//! - `tools/bench-redeem` calls [`DirectRedemption`]: redemption without HTTP, signatures and
//!   tickets.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use fairline_http_client::web_address;
use fairline_line::ticket::TicketKey;
use fairline_notification_channels::{Address, Subscription};
use fairline_payment_gateway::{self as gateway, GatewayCall, webhook};
pub use fairline_postgres::StoreError;
use fairline_postgres::{PgPool, PoolOptions, PostgresSettings};
use fairline_redemption::{bearer, holds_ticket_of};
pub use fairline_sale::OrderStatus;
use fairline_sale::{SaleId, VisitorId};
use fairline_server::{Secret, Shutdown, StartError};
use jsonwebtoken::DecodingKey;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    PAYMENT_CONNECTIONS, REDEMPTION_CONNECTIONS,
    accounts::{account::SignInKey, oidc, routes as users},
    auth::caller::{Caller, Callers, ShopperIdentity, idempotency_scope},
    forward_auth::request::AuthRequest,
    merchant_api::request as merchant_api,
    orders::{expiry::store::ExpiryStore, order::OrderId, store::OrderStore},
    payments::{
        gateway_events::store::{GatewayEvent, GatewayReceipt},
        routes::PaymentRequest,
        service::Payments,
        store::PaymentStore,
    },
    redemption::{
        batcher::RedemptionBatcher,
        outcome::{Redemption, RedemptionRejection},
        routes::Purchase,
        store::RedemptionStore,
    },
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

/// Redemption and the expiry of holds, one transaction each.
pub struct DirectHolds {
    redemptions: RedemptionStore,
    expiry: ExpiryStore,
}

/// What is redeemed.
#[derive(Debug, Clone)]
pub struct DirectToken {
    /// Its admission.
    pub admission: Uuid,
    /// The key that has signed it.
    pub kid: String,
    /// Its sale.
    pub sale: SaleId,
    /// Its holder.
    pub visitor: VisitorId,
    /// Number of units.
    pub quantity: i32,
}

impl DirectHolds {
    /// Opens both on a database.
    ///
    /// # Errors
    /// Returns an error if the URL is invalid.
    pub fn open(postgres_url: &str) -> Result<Self, StartError> {
        let pool = PostgresSettings::default().pool(postgres_url, "checkout", REDEMPTION_CONNECTIONS)?;
        Ok(Self { redemptions: RedemptionStore(pool.clone()), expiry: ExpiryStore(pool) })
    }

    /// Redeems a token, once. Returns the id of the order, or the reason for a rejection; `None`: a
    /// row was locked.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn redeem(&self, token: DirectToken) -> Result<Option<Result<Uuid, String>>, StoreError> {
        let DirectToken { admission, kid, sale, visitor, quantity } = token;
        let redemption = Redemption { admission, kid, sale, visitor, account: None, quantity, trace: None };
        let redeemed = self.redemptions.redeem(&[redemption]).await?;
        Ok(redeemed.into_iter().next().and_then(|result| match result {
            Ok(order) => Some(Ok(order.id.0)),
            Err(RedemptionRejection::Locked) => None,
            Err(reason) => Some(Err(format!("{reason:?}"))),
        }))
    }

    /// Returns the units of expired holds.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn expire(&self, sale: SaleId) -> Result<(), StoreError> {
        self.expiry.expire_holds(sale).await.map(drop)
    }
}

/// Payments that one sweep resumes at the same time.
const TOGETHER: u32 = 8;
/// Statement timeout of redemptions that are measured.
const STATEMENT: Duration = Duration::from_secs(5);

/// A redemption batcher that trusts its caller.
#[derive(Clone)]
pub struct DirectRedemption(RedemptionBatcher);

impl DirectRedemption {
    /// Opens a batcher on a database.
    ///
    /// # Errors
    /// Returns an error if the URL is invalid.
    pub fn open(postgres_url: &str, shutdown: &Shutdown) -> Result<Self, StartError> {
        let options = PoolOptions::new("checkout-redemptions", REDEMPTION_CONNECTIONS, STATEMENT);
        let pool = PgPool::new(postgres_url, &PostgresSettings::default(), options)?;
        Ok(Self(RedemptionBatcher::open(RedemptionStore(pool), shutdown)))
    }

    /// Redeems one unit of an admission. Returns the id of the order, or the reason for a
    /// rejection.
    ///
    /// # Errors
    /// Returns an error if the admission was not redeemed.
    pub async fn redeem(&self, admission: Uuid, kid: String, sale: SaleId, visitor: VisitorId) -> Result<Uuid, String> {
        let redeemed =
            self.0.redeem(Redemption { admission, kid, sale, visitor, account: None, quantity: 1, trace: None }).await;
        redeemed.map(|order| order.id.0).map_err(|reason| format!("{reason:?}"))
    }
}

/// The payments of one process, without its loops: each step is taken when it is called for.
pub struct DirectPayments {
    payments: Arc<Payments>,
    expiry: ExpiryStore,
}

impl DirectPayments {
    /// Opens payments on a database and over a gateway.
    ///
    /// # Errors
    /// Returns an error if the URL is invalid.
    pub fn open(postgres_url: &str, gateway: Box<dyn gateway::Gateway>) -> Result<Self, StartError> {
        let pool = |name| PostgresSettings::default().pool(postgres_url, name, PAYMENT_CONNECTIONS);
        let (requests, payments) = (pool("checkout")?, pool("checkout-payments")?);
        let stripe = gateway::Stripe::new("http://127.0.0.1", Secret::new("unused"))?;
        // A circuit that no call opens.
        let (_, circuit) = gateway::ResilientGateway::new(stripe);
        let payments = Payments {
            store: PaymentStore { requests: requests.clone(), payments },
            orders: OrderStore(requests.clone()),
            callers: Callers::new(TICKETS.clone(), None, None),
            gateway,
            circuit,
            webhook_secrets: Vec::new(),
            shutdown: Shutdown::new(),
        };
        Ok(Self { payments: Arc::new(payments), expiry: ExpiryStore(requests) })
    }

    /// The number of tasks that have not ended.
    #[must_use]
    pub fn tasks(&self) -> usize {
        Arc::strong_count(&self.payments) - 1
    }

    /// A shopper's request to pay, until it would wait for longer.
    pub fn pay(&self, order: Uuid, payment_method: &str) {
        let (payments, method) = (self.payments.clone(), payment_method.to_owned());
        tokio::spawn(async move {
            if let Ok(Some(mut payment)) = payments.begin(OrderId(order), &method).await {
                let _ = payments.drive(&mut payment).await;
            }
        });
    }

    /// What the page of an order shows.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn status(&self, order: Uuid) -> Result<Option<OrderStatus>, StoreError> {
        let order = self.payments.orders.order_for(OrderId(order), &Caller::Merchant).await?;
        Ok(order.map(|order| order.status))
    }

    /// Cancels an order, or withdraws its payment only. Returns the status that is reported as
    /// done; none if it is rejected.
    pub async fn give_up(&self, order: Uuid, keeps_order: bool) -> Option<OrderStatus> {
        let order = OrderId(order);
        let done = if keeps_order {
            self.payments.withdraw(order, Caller::Merchant).await
        } else {
            self.payments.cancel_order(order, Caller::Merchant).await
        };
        done.ok().map(|order| order.status)
    }

    /// One sweep: expired holds, late and interrupted payments, settlements, and requested refunds.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn sweep(&self, sale: SaleId) -> Result<(), StoreError> {
        self.expiry.expire_holds(sale).await?;
        let slots = Arc::new(Semaphore::new(TOGETHER as usize));
        self.payments.finish_payments(&slots, TOGETHER).await.map(drop)
    }

    /// An event of the gateway about an intent.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn receive(&self, id: &str, reference: &str, event: DirectEvent) -> Result<(), StoreError> {
        let DirectEvent { payment, may_be_open, moves_money_back } = event;
        let event = GatewayEvent { id, reference, payment: Some(payment), may_be_open, moves_money_back };
        if let GatewayReceipt::About(mut payment) = self.payments.store.receive_gateway_event(&event).await? {
            let payments = self.payments.clone();
            tokio::spawn(async move { payments.drive(&mut payment).await });
        }
        Ok(())
    }

    /// The merchant's request for a refund; the next sweep executes it.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn request_refund(&self, order: Uuid, amount_minor: Option<i64>) -> Result<(), StoreError> {
        self.payments.store.request_refund(OrderId(order), amount_minor, "a reason").await.map(drop)
    }
}

/// What an event of the gateway says.
#[derive(Debug, Clone, Copy)]
pub struct DirectEvent {
    /// The payment of the intent.
    pub payment: gateway::PaymentId,
    /// The gateway has authorised or captured money.
    pub may_be_open: bool,
    /// A refund or a dispute.
    pub moves_money_back: bool,
}
