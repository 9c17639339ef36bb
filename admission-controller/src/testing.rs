//! For tools, behind the feature `testing`. The service uses none of it.
//!
//! - `tools/simulate` runs a [`Controller`]: the real tick, over a ledger and a Redis of its own,
//!   in virtual time.
//! - `tools/fuzz` calls [`TARGETS`]: the parsers that face the network, each as a function of
//!   arbitrary bytes that panics if its parser panics or breaks its contract.

use std::{
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use axum::{extract::Query, http::Uri};
use fairline_admission_token::SigningKey;
use fairline_line::store::LineStore;
use fairline_sale::SaleId;
use serde::de::DeserializeOwned;

use crate::{
    admin_api::{
        audit, lanes, live, operators, orders, product_csv, products,
        products::fields::{ChangeProduct, CreateProduct},
        rehearsals, sales,
        sales::{change::ChangeSale, create::CreateSale},
        ticket_actions, tokens, webhooks,
    },
    auth::{credentials::SessionKey, routes as sessions},
    controller::{
        keys::KeyRing,
        schedule::{Next, TickNow, Ticks as _},
        tick::{KnownSale, Permits, Ticker},
    },
    public_api::record,
};
pub use crate::{
    controller::{
        agenda::Agenda,
        clock::Clock,
        epochs::{LineMove, PUBLISHED_WITHIN, RECOVERY_MAX, SETTLED, granted_ahead},
        ledger::{
            Ledger, LimitStatements, LineStatements, LockedLedger, RecordStatements, SkippedTickets,
            TicketActionStatements,
        },
        line::LineRow,
        record::Recorder,
        sale::{RunningSale, SaleRow, TickResult},
        ticket_actions::TicketAction,
        turns::{PUBLICATIONS_A_TICK, PUBLISHED_MAX, PastTurns, REPUBLISHED_AT_ONCE, TurnRow, UnpublishedAdmission},
    },
    db::StoreError,
};

/// The signing keys, the preferred one first.
#[derive(Clone)]
pub struct SigningKeys(Arc<KeyRing>);

impl SigningKeys {
    /// Takes at least one key.
    #[must_use]
    pub fn new(keys: Vec<SigningKey>) -> Self {
        Self(Arc::new(KeyRing::new(keys)))
    }

    /// The name of the key that signs, as long as none is revoked.
    #[must_use]
    pub fn preferred(&self) -> &str {
        self.0.kids().next().unwrap_or_default()
    }
}

/// How often a controller ticks, and by which clock.
pub struct Timing {
    /// The period of its ticks.
    pub every: Duration,
    /// Its clock.
    pub clock: Clock,
}

/// A controller of one sale.
pub struct Controller<L> {
    ticker: Ticker<L>,
    known: KnownSale,
}

impl<L: Ledger> Controller<L> {
    /// A controller that has just started.
    pub fn new(ledger: L, line: LineStore, keys: SigningKeys, Timing { every, clock }: Timing) -> Self {
        let (permits, tick_now) = (Permits::new(1), TickNow::default());
        let ticker =
            Ticker { ledger, line, keys: keys.0, every, clock, permits, tick_now, running: AtomicU32::default() };
        Self { ticker, known: KnownSale::default() }
    }

    /// Ticks the sale. Returns the time from the beginning of this tick to the next one, or `None`
    /// without one.
    ///
    /// # Errors
    /// Why the tick failed.
    pub async fn tick(&mut self, sale: SaleId, requested: bool) -> Result<Option<Duration>, String> {
        match self.ticker.tick(sale, requested, &mut self.known).await? {
            Next::After(period) => Ok(Some(period)),
            Next::Over => Ok(None),
        }
    }
}

/// The error of a statement whose session has ended.
#[must_use]
pub fn session_lost() -> StoreError {
    sqlx::Error::WorkerCrashed.into()
}

/// A name, and a function that accepts arbitrary bytes.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// The targets.
pub const TARGETS: &[FuzzTarget] = &[
    ("create-sale-body", create_sale),
    ("change-sale-body", body::<ChangeSale>),
    ("create-product-body", create_product),
    ("change-product-body", change_product),
    ("product-table", product_table),
    ("media-name", media_name),
    ("add-lane-body", body::<lanes::routes::AddLane>),
    ("change-lane-body", body::<lanes::routes::ChangeLane>),
    ("invite-body", body::<lanes::routes::InviteRequest>),
    ("add-operator-body", body::<operators::routes::AddOperator>),
    ("change-operator-body", body::<operators::routes::ChangeOperator>),
    ("enrol-body", body::<operators::routes::EnrolRequest>),
    ("operator-sign-in-body", body::<sessions::SignIn>),
    ("change-password-body", body::<sessions::ChangePassword>),
    ("admit-now-body", body::<ticket_actions::routes::AdmitNow>),
    ("move-ticket-body", body::<ticket_actions::routes::MoveTicket>),
    ("revoke-tokens-body", body::<ticket_actions::routes::RevokeTokens>),
    ("add-token-body", body::<tokens::routes::AddToken>),
    ("add-webhook-body", body::<webhooks::routes::AddWebhook>),
    ("rehearse-body", body::<rehearsals::routes::RehearseRequest>),
    ("refund-order-body", body::<orders::routes::RefundOrder>),
    ("cancel-order-body", body::<orders::routes::CancelOrder>),
    ("audit-query", query::<audit::routes::AuditQuery>),
    ("live-query", query::<live::routes::LiveQuery>),
    ("samples-query", query::<live::routes::SamplesQuery>),
    ("sales-query", query::<sales::routes::SalesQuery>),
    ("orders-query", query::<orders::routes::OrdersQuery>),
    ("products-query", query::<products::routes::ProductsQuery>),
    ("import-query", query::<product_csv::routes::ImportQuery>),
    ("record-query", query::<record::routes::EntriesQuery>),
    ("operator-session", operator_session),
];

fn body<T: DeserializeOwned>(bytes: &[u8]) {
    let _ = serde_json::from_slice::<T>(bytes);
}

fn query<T: DeserializeOwned>(bytes: &[u8]) {
    let Ok(uri) = Uri::try_from([b"/?", bytes].concat()) else { return };
    let _ = Query::<T>::try_from_uri(&uri);
}

fn create_sale(bytes: &[u8]) {
    let Ok(sale) = serde_json::from_slice::<CreateSale>(bytes) else { return };
    if let Ok(new) = sale.checked() {
        assert!((1..=63).contains(&new.slug.len()) && new.total >= 0 && new.price_minor > 0, "a checked sale is valid");
    }
}

fn create_product(bytes: &[u8]) {
    let Ok(new) = serde_json::from_slice::<CreateProduct>(bytes) else { return };
    if new.check().is_ok() {
        assert!(!new.name.is_empty() && new.variants.len() <= 200, "a checked product is valid");
    }
}

fn change_product(bytes: &[u8]) {
    let Ok(change) = serde_json::from_slice::<ChangeProduct>(bytes) else { return };
    let _ = change.check();
}

fn product_table(bytes: &[u8]) {
    if let Ok(rows) = product_csv::format::read(bytes) {
        assert!(rows.len() <= 20_000, "the number of rows is bounded");
    }
}

fn media_name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = text.parse::<fairline_media::MediaName>() {
        assert_eq!(name.to_string(), text, "a name has one spelling");
    }
}

fn operator_session(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let key = SessionKey::from_cookie(text);
    let _ = (key.digest(), key.csrf());
}
