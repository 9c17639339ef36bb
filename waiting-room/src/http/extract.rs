//! What handlers of the API extract from a request, with a problem where it is missing.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use fairline_line::ticket::Ticket;
use fairline_sale::SaleId;
use fairline_server::{Path, Problem};

use super::error::RoomError;
use crate::{
    auth::ticket::TicketAuth,
    line::{room::Room, rooms::Rooms},
};

/// The room of the sale whose id is in the path: 404 if this node follows no such sale.
pub(super) struct SaleRoom(pub(super) Arc<Room>);

impl<S> FromRequestParts<S> for SaleRoom
where
    S: Send + Sync,
    Rooms: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(sale) = Path::<String>::from_request_parts(parts, state).await?;
        let sale: SaleId = sale.parse().map_err(|_| RoomError::UnknownSale)?;
        Ok(Self(Rooms::from_ref(state).requested(sale).ok_or(RoomError::UnknownSale)?))
    }
}

/// The ticket that the client holds of the sale in the path: 403 for a page of another site, 404
/// without a genuine ticket.
pub(super) struct HeldTicket(pub(super) Ticket);

impl<S> FromRequestParts<S> for HeldTicket
where
    S: Send + Sync,
    Rooms: FromRef<S>,
    Arc<TicketAuth>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let SaleRoom(room) = SaleRoom::from_request_parts(parts, state).await?;
        let tickets = Arc::<TicketAuth>::from_ref(state);
        if tickets.is_foreign(&parts.headers) {
            return Err(RoomError::ForeignOrigin.into());
        }
        Ok(Self(tickets.ticket(room.sale, &parts.headers).ok_or(RoomError::NoTicket)?))
    }
}
