//! The parts of the admin API. Each handler takes its feature's part.

use axum::extract::FromRef;

use super::{
    keys::service::SigningKeys, lanes::service::Lanes, live::service::Live, media::service::Media,
    orders::service::SaleOrders, product_csv::service::ProductTable, products::service::Products,
    rehearsals::service::Rehearsals, reports::service::Reports, sales::service::Sales,
    ticket_actions::service::TicketActions,
};
use crate::{auth::service::Auth, db::Store};

/// All parts of the admin API.
#[derive(Clone)]
pub(crate) struct AdminState {
    pub(crate) auth: Auth,
    pub(crate) keys: SigningKeys,
    pub(crate) lanes: Lanes,
    pub(crate) live: Live,
    pub(crate) media: Media,
    pub(crate) orders: SaleOrders,
    pub(crate) product_table: ProductTable,
    pub(crate) products: Products,
    pub(crate) rehearsals: Rehearsals,
    pub(crate) reports: Reports,
    pub(crate) sales: Sales,
    pub(crate) store: Store,
    pub(crate) ticket_actions: TicketActions,
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
    auth: Auth,
    keys: SigningKeys,
    lanes: Lanes,
    live: Live,
    media: Media,
    orders: SaleOrders,
    product_table: ProductTable,
    products: Products,
    rehearsals: Rehearsals,
    reports: Reports,
    sales: Sales,
    store: Store,
    ticket_actions: TicketActions,
}
