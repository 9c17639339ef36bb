//! Entry to a line: authorises a request and issues or verifies its ticket.

use std::{net::IpAddr, sync::Arc};

use axum::http::{HeaderMap, HeaderValue};
use fairline_line::{
    change::Turn,
    invitation,
    store::{LineAccount, LineError, LineStore},
    ticket::Ticket,
};
use fairline_sale::{SaleCard, SaleId, VisitorId};
use fairline_server::{Problem, RateLimit};
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::IntoParams;

use crate::{
    auth::{
        account::ShopAccountKey,
        ticket::{TicketAuth, lines_of_tickets},
    },
    http::error::RoomError,
    line::{
        joins::Joins,
        resumes::Resumes,
        room::{Room, Tab},
        rooms::Rooms,
        shoppers::Browser,
    },
};

/// Admits shoppers to lines.
pub(crate) struct LineEntry {
    pub(crate) rooms: Rooms,
    pub(crate) store: LineStore,
    pub(crate) joins: Joins,
    pub(crate) resumes: Resumes,
    pub(crate) tickets: Arc<TicketAuth>,
    pub(crate) accounts: AccountPolicy,
    pub(crate) join_limit: RateLimit,
}

/// The merchant's accounts.
pub(crate) struct AccountPolicy {
    /// The key of account tokens, if the merchant asserts accounts.
    pub(crate) key: Option<ShopAccountKey>,
    /// Whether every shopper needs an account.
    pub(crate) required: bool,
}

/// A request to enter a line.
pub(crate) struct EntryRequest<'a> {
    pub(crate) room: Arc<Room>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) client: IpAddr,
    pub(crate) mode: EntryMode,
    /// Whether the page can wait for a line that Redis has lost.
    pub(crate) waits: bool,
    pub(crate) credentials: &'a EntryCredentials,
}

/// Which tickets a request may enter with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryMode {
    /// With the ticket in the request, or a new one.
    JoinOrResume,
    /// Only with the ticket in the request.
    Resume,
    /// As `JoinOrResume`, but exchanges a ticket whose turn is over for a new one.
    Rejoin,
}

/// What a request proves beside a ticket.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EntryCredentials {
    /// The account of the shopper: a JSON Web Token that the shop has signed.
    account: Option<String>,
    /// An invitation to the lane whose line this is.
    pub(crate) invitation: Option<String>,
}

/// A shopper who has entered.
pub(crate) struct EnteredShopper {
    pub(crate) tab: Tab,
    pub(crate) ticket: Ticket,
    /// The cookie to set: it holds a new ticket, or extends the lifetime of the one in the request.
    pub(crate) cookie: HeaderValue,
}

/// Verifies the invitation to a lane and returns its number; `None` without a genuine one.
pub(crate) fn invited(lane: &SaleCard, credentials: &EntryCredentials) -> Option<u32> {
    invitation::verify(lane.id, &lane.lane.as_ref()?.key, credentials.invitation.as_deref()?)
}

impl LineEntry {
    /// Admits a shopper to a line, with a new ticket or an existing one.
    pub(crate) async fn enter(&self, request: EntryRequest<'_>) -> Result<EnteredShopper, Problem> {
        let EntryRequest { room, headers, client, mode, waits, credentials } = request;
        if self.tickets.is_foreign(headers) {
            return Err(RoomError::ForeignOrigin.into());
        }
        let (ticket, browser) = (self.tickets.ticket(room.sale, headers), Browser::of(headers));
        let account = self.account(&room.card(), credentials, mode);
        if let Some(ticket) = ticket {
            if let Ok(Some(account)) = &account {
                self.store.bind_account(&ticket, account).await.map_err(RoomError::from)?;
            }
            let tab = Tab::open(room.clone(), &ticket, browser);
            let presented = self.resumes.resume(room.clone(), ticket).await;
            // Redis has lost the line, so no node can serve this ticket. The page waits here: the
            // reload of the room presents all connected tickets, in order.
            let waits_here = waits && mode != EntryMode::Rejoin && !room.is_line_reachable();
            if !(waits_here && presented == Err(LineError::NotPublished)) {
                presented.map_err(RoomError::from)?;
            }
            let turn = room.shoppers.turn(ticket.ordinal);
            let over =
                matches!(turn, Turn::Expired | Turn::Bought | Turn::Left | Turn::Removed | Turn::Missed | Turn::Limit);
            if !(over && mode == EntryMode::Rejoin) {
                return Ok(EnteredShopper { tab, ticket, cookie: self.tickets.cookie(&ticket) });
            }
        }
        if mode == EntryMode::Resume {
            return Err(RoomError::NoTicket.into());
        }
        if room.card().status.is_over() {
            return Err(RoomError::SaleOver.into());
        }
        let account = account?;
        self.join_limit.check(client)?;
        let visitor = self.visitor(&room.card(), ticket, headers, account);
        let ticket = self.joins.join(room.clone(), visitor, account).await.map_err(RoomError::from)?;
        room.joined(ticket.ordinal);
        let tab = Tab::open(room.clone(), &ticket, browser);
        // The turn may have come, or the ticket may have been removed, between the join and here,
        // with no page open to show it; or the account already had the place.
        if account.is_some() || !room.waits(ticket.ordinal) {
            self.resumes.resume(room.clone(), ticket).await.map_err(RoomError::from)?;
        }
        Ok(EnteredShopper { tab, ticket, cookie: self.tickets.cookie(&ticket) })
    }

    /// The visitor who joins. A shopper keeps one visitor id across turns and across the lines of a
    /// sale, and an account across devices. It finds the orders of earlier turns and shares the
    /// sale's limit.
    fn visitor(
        &self,
        card: &SaleCard,
        ticket: Option<Ticket>,
        headers: &HeaderMap,
        account: Option<LineAccount>,
    ) -> VisitorId {
        let sale_of = |card: &SaleCard| card.lane.as_ref().map_or(card.id, |lane| lane.sale);
        let sale = sale_of(card);
        let of_sale = |line: &SaleId| self.rooms.get(*line).is_some_and(|room| sale_of(&room.card()) == sale);
        let elsewhere = || {
            // The sale's own line first, then the lanes in a fixed order, so that a shopper with
            // tickets of several lines resolves to one visitor.
            let mut lines: Vec<SaleId> = lines_of_tickets(headers).filter(of_sale).collect();
            lines.sort_unstable_by_key(|line| (*line != sale, *line));
            lines.into_iter().find_map(|line| self.tickets.ticket(line, headers))
        };
        // An invitation has its own place and is not linked to an account in another line.
        let by_account = account.filter(|_| card.lane.is_none()).map(|account| VisitorId(account.digest));
        let known = ticket.or_else(elsewhere).map(|ticket| ticket.visitor).or(by_account);
        known.unwrap_or_else(|| VisitorId(rand::random()))
    }

    /// The account of a shopper, as asserted by the merchant. In a lane the invitation is the
    /// account and has one turn.
    fn account(
        &self,
        card: &SaleCard,
        credentials: &EntryCredentials,
        mode: EntryMode,
    ) -> Result<Option<LineAccount>, RoomError> {
        if card.lane.is_some() {
            let number = invited(card, credentials).ok_or(RoomError::NotInvited)?;
            let digest = (u128::from_be_bytes(*b"fairline invited") ^ u128::from(number)).to_be_bytes();
            return Ok(Some(LineAccount { digest, rejoins: false }));
        }
        let named = credentials.account.as_deref().zip(self.accounts.key.as_ref());
        let digest =
            named.map(|(token, key)| key.digest(card.id, token, OffsetDateTime::now_utc()).ok_or(RoomError::NoAccount));
        match digest.transpose()? {
            Some(digest) => Ok(Some(LineAccount { digest, rejoins: mode == EntryMode::Rejoin })),
            None if self.accounts.required => Err(RoomError::NoAccount),
            None => Ok(None),
        }
    }
}
