//! The state of the routes. A handler extracts the state of its feature, not all of it.

use std::sync::Arc;

use axum::extract::FromRef;
use fairline_line::store::LineStore;

use super::{api::LineApi, pages::Pages};
use crate::{auth::ticket::TicketAuth, line::rooms::Rooms};

/// The states of all features.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) rooms: Rooms,
    pub(crate) store: LineStore,
    pub(crate) tickets: Arc<TicketAuth>,
    pub(crate) line_api: LineApi,
    pub(crate) pages: Pages,
}

macro_rules! from_ref {
    ($($field:ident: $state:ty),+ $(,)?) => {
        $(
            impl FromRef<AppState> for $state {
                fn from_ref(state: &AppState) -> Self {
                    state.$field.clone()
                }
            }
        )+
    };
}

from_ref! {
    rooms: Rooms,
    store: LineStore,
    tickets: Arc<TicketAuth>,
    line_api: LineApi,
    pages: Pages,
}
