//! For tools, behind the feature `testing`. The service uses none of it.
//!
//! - `tools/simulate` runs a [`Controller`]: the real tick, over a ledger and a Redis of its own,
//!   in virtual time.
//! - Its tests compare that ledger with Postgres, through [`DirectLedger`].
//! - `tools/fuzz` calls [`TARGETS`]: the parsers that face the network, each as a function of
//!   arbitrary bytes that panics if its parser panics or breaks its contract.

use std::{
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use axum::{extract::Query, http::Uri};
use fairline_admission_token::SigningKey;
use fairline_line::{
    store::{Home, LineStore},
    ticket::Ordinal,
};
use fairline_postgres::{PgPool, PoolOptions, PostgresSettings};
use fairline_sale::{SaleId, VisitorId};
use fairline_server::StartError;
use serde::de::DeserializeOwned;

use crate::{
    admin_api::{
        audit, items,
        keys::store::KeyStore,
        lanes, live, operators, orders, product_csv, products,
        products::fields::{ChangeProduct, CreateProduct},
        rehearsals, sales,
        sales::{
            change::ChangeSale,
            create::CreateSale,
            store::{AdminSaleStore, SaleChange},
        },
        ticket_actions,
        ticket_actions::store::TicketActionStore,
        tokens, webhooks,
    },
    auth::{credentials::SessionKey, routes as sessions},
    controller::{
        keys::KeyRing,
        lifecycle::{self, Action},
        postgres::RestoreStore,
        sale::Sale,
        schedule::{Next, TickNow, Ticks as _},
        tick::{KnownSale, Permits, Ticker},
    },
    db::{Author, Database},
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
        postgres::{LedgerStore, LockedSale},
        record::Recorder,
        sale::{RunningSale, SaleRow, TickResult},
        ticket_actions::TicketAction,
        turns::{PUBLICATIONS_A_TICK, PUBLISHED_MAX, PastTurns, REPUBLISHED_AT_ONCE, TurnRow, UnpublishedAdmission},
    },
    db::StoreError,
};

/// Connections of each pool of [`DirectLedger`].
const CONNECTIONS: u32 = 4;
/// Statement timeout of [`DirectLedger`].
const STATEMENT: Duration = Duration::from_secs(5);

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

/// The ledger in Postgres, and what operators change in it, without HTTP.
pub struct DirectLedger {
    /// The ledger of the ticks.
    pub ticks: LedgerStore,
    operators: Database,
}

/// A change by an operator: one transaction.
#[derive(Debug, Clone)]
pub enum OperatorChange {
    /// Moves the sale to another status.
    Move(Action),
    /// Sets the number of units.
    Total(i32),
    /// Requests extra admissions.
    AdmitNow(i32),
    /// Removes or prefers a ticket of a line.
    Ticket(TicketAction, SaleId, Ordinal, VisitorId),
    /// Revokes all outstanding tokens.
    RevokeTokens,
    /// Revokes a signing key, by its name.
    RevokeKey(String),
    /// Raises a line by this many ordinals, after a restore.
    Raise(SaleId, Home, u32),
}

impl DirectLedger {
    /// Opens the ledger of the ticks, and the pool of the operators.
    ///
    /// # Errors
    /// When a URL is invalid.
    pub fn open(ticks: &str, operators: &str) -> Result<Self, StartError> {
        let pool = |url: &str, name| {
            let options = PoolOptions::new(name, CONNECTIONS, STATEMENT);
            PgPool::new(url, &PostgresSettings::default(), options).map(|pool| Database { pool })
        };
        Ok(Self { ticks: LedgerStore(pool(ticks, "ticks")?), operators: pool(operators, "operators")? })
    }

    /// A sale with its lines, as committed; `None` if it does not exist.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sale(&self, sale: SaleId) -> Result<Option<(SaleRow, Vec<LineRow>)>, StoreError> {
        let shown = AdminSaleStore(self.operators.clone()).show(sale).await?;
        Ok(shown.map(|Sale { row, lines }| (row, lines)))
    }

    /// Makes a change. `false` if it was not possible.
    ///
    /// # Errors
    /// When the database fails, or rejects it.
    pub async fn change(&self, sale: SaleId, change: OperatorChange) -> Result<bool, StoreError> {
        let by = Author { who: "operator".to_owned(), why: None };
        let (sales, actions) = (AdminSaleStore(self.operators.clone()), TicketActionStore(self.operators.clone()));
        let Some(Sale { row, .. }) = sales.show(sale).await? else { return Ok(false) };
        match change {
            OperatorChange::Move(action) => {
                let from = row.stored_status();
                let Some(to) = lifecycle::after(from, action) else { return Ok(false) };
                sales.set_status(&by, action, sale, (from, to)).await
            }
            OperatorChange::Total(total) => {
                sales.change(&by, sale, &SaleChange { total: Some(total), ..SaleChange::default() }).await
            }
            OperatorChange::AdmitNow(count) => actions.admit_now(&by, &row, count).await.map(|()| true),
            OperatorChange::Ticket(what, line, ordinal, visitor) => {
                actions.insert_ticket_action(&by, &row, what, (line, ordinal, visitor)).await
            }
            OperatorChange::RevokeTokens => actions.revoke_tokens(&by, &row).await.map(|_| true),
            OperatorChange::RevokeKey(kid) => {
                KeyStore(self.operators.clone()).revoke_key(&by, &kid).await.map(|()| true)
            }
            OperatorChange::Raise(line, redis, margin) => {
                let restore = RestoreStore(self.operators.clone());
                Ok(restore.raise(line, &redis, margin, Ordinal::MAX).await?.is_some())
            }
        }
    }
}

/// A name, and a function that accepts arbitrary bytes.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// The targets.
pub const TARGETS: &[FuzzTarget] = &[
    ("create-sale-body", create_sale),
    ("change-sale-body", body::<ChangeSale>),
    ("create-product-body", create_product),
    ("change-product-body", change_product),
    ("banner-body", body::<products::fields::ImageFields>),
    ("product-table", product_table),
    ("media-name", media_name),
    ("add-item-body", add_item),
    ("change-item-body", body::<items::fields::ChangeItem>),
    ("item-table", item_table),
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
        assert!((1..=63).contains(&new.slug.len()) && (1..=200).contains(&new.items.len()), "a checked sale is valid");
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

fn add_item(bytes: &[u8]) {
    let Ok(new) = serde_json::from_slice::<items::fields::NewItem>(bytes) else { return };
    if let Ok(item) = new.stored(0, &items::fields::CatalogueVariants::new(), "EUR") {
        assert!(!item.name.is_empty() && item.price_minor > 0 && item.total >= 0, "a checked item is valid");
    }
}

fn item_table(bytes: &[u8]) {
    if let Ok(rows) = items::import::read(bytes) {
        assert!(rows.len() <= 200, "the number of rows is bounded");
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
