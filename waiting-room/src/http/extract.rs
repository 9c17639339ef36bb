//! What handlers of the API extract from a request, with a problem where it is missing.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use fairline_line::{store::LineError, ticket::Ticket};
use fairline_sale::SaleId;
use fairline_server::{Path, Problem};

use super::error::RoomError;
use crate::{
    auth::ticket::TicketAuth,
    line::{room::Room, rooms::Rooms},
};

/// The room of the sale whose id is in the path: 404 if this node follows no such sale. The holder
/// of a ticket gets 503 instead: there is such a sale, and Redis has lost it for the moment.
pub(super) struct SaleRoom(pub(super) Arc<Room>);

impl<S> FromRequestParts<S> for SaleRoom
where
    S: Send + Sync,
    Rooms: FromRef<S>,
    Arc<TicketAuth>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(sale) = Path::<String>::from_request_parts(parts, state).await?;
        let sale: SaleId = sale.parse().map_err(|_| RoomError::SaleNotFound)?;
        if let Some(room) = Rooms::from_ref(state).requested(sale) {
            return Ok(Self(room));
        }
        let is_held = Arc::<TicketAuth>::from_ref(state).ticket(sale, &parts.headers).is_some();
        Err(if is_held { RoomError::Line(LineError::NotPublished) } else { RoomError::SaleNotFound }.into())
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
