//! HTTP: the JSON API, the pages, and their shared entry checks.
//!
//! - [`AppState`]: the state of each feature; `extract`: what handlers extract from a request.
//! - `entry`: admits a request to a line, by its ticket, account or invitation.
//! - `connections`: slots for streams and WebSockets; `polls`: presence of clients that poll.
//! - `api`, `pages`: the routes; `error`: their problem details.
//!
//! Calls every other folder, and none of them calls it. A request enters a line only through
//! `entry`.

pub(crate) mod api;
pub(crate) mod connections;
pub(crate) mod entry;
pub(crate) mod error;
mod extract;
pub(crate) mod pages;
pub(crate) mod polls;

use std::sync::Arc;

use axum::extract::FromRef;

use self::{api::LineApi, pages::Pages};
use crate::{auth::ticket::TicketAuth, line::rooms::Rooms};

/// The states of all features. A handler extracts the state of its feature, not all of it.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) rooms: Rooms,
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
    tickets: Arc<TicketAuth>,
    line_api: LineApi,
    pages: Pages,
}
