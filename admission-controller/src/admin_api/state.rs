//! The parts of the admin API. Each handler takes its feature's part.

use axum::extract::FromRef;

use super::{
    audit::service::AuditLog, banners::service::Banners, items::service::Items, keys::service::SigningKeys,
    lanes::service::Lanes, live::service::Live, media::service::Media, operators::service::Operators,
    orders::service::SaleOrders, product_csv::service::ProductTable, products::service::Products,
    rehearsals::service::Rehearsals, reports::service::Reports, sales::service::Sales,
    ticket_actions::service::TicketActions, tokens::service::ApiTokens, webhooks::service::WebhookSettings,
};
use crate::{auth::service::Auth, db::Database};

/// All parts of the admin API.
#[derive(Clone)]
pub(crate) struct AdminState {
    pub(crate) audit: AuditLog,
    pub(crate) auth: Auth,
    pub(crate) banners: Banners,
    /// For the idempotency keys of all features. No handler can take it.
    pub(crate) database: Database,
    pub(crate) items: Items,
    pub(crate) keys: SigningKeys,
    pub(crate) lanes: Lanes,
    pub(crate) live: Live,
    pub(crate) media: Media,
    pub(crate) operators: Operators,
    pub(crate) orders: SaleOrders,
    pub(crate) product_table: ProductTable,
    pub(crate) products: Products,
    pub(crate) rehearsals: Rehearsals,
    pub(crate) reports: Reports,
    pub(crate) sales: Sales,
    pub(crate) ticket_actions: TicketActions,
    pub(crate) tokens: ApiTokens,
    pub(crate) webhooks: WebhookSettings,
}

macro_rules! parts {
    ($($part:ident: $type:ty),* $(,)?) => {
        $(impl FromRef<AdminState> for $type {
            fn from_ref(state: &AdminState) -> Self {
                state.$part.clone()
            }
        })*
    };
}

parts! {
    audit: AuditLog,
    auth: Auth,
    banners: Banners,
    items: Items,
    keys: SigningKeys,
    lanes: Lanes,
    live: Live,
    media: Media,
    operators: Operators,
    orders: SaleOrders,
    product_table: ProductTable,
    products: Products,
    rehearsals: Rehearsals,
    reports: Reports,
    sales: Sales,
    ticket_actions: TicketActions,
    tokens: ApiTokens,
    webhooks: WebhookSettings,
}
