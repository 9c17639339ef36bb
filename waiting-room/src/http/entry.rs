//! Entry to a line: authorises a request and issues or verifies its ticket.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::http::{HeaderMap, HeaderValue};
use fairline_line::{
    change::Turn,
    invitation,
    store::{Account, LineStore},
    ticket::{Ticket, TicketKey, cookie_name, line_of_cookie},
};
use fairline_sale::{SaleCard, SaleId, VisitorId};
use fairline_server::{Origins, Problem, RateLimit, Shutdown, cookies, cookies_named};
use serde::Deserialize;
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::IntoParams;

use crate::{
    auth::account::ShopAccountKey,
    http::error::RoomError,
    line::{
        absences::Absences,
        grace::Grace,
        joins::Joins,
        resumes::Resumes,
        room::{Room, Tab},
        rooms::Rooms,
        shoppers::Browser,
    },
    websocket::event_loop::EventLoopHandle,
};

/// Lifetime of a ticket cookie.
const TICKET_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Ticket cookies read from one request, at most.
const TICKETS_MAX: usize = 64;
/// The cookie that shows whether a browser stores cookies.
const PROBE: &str = "fairline_cookies";

/// Shared state of all routes into a line.
pub(crate) struct LineEntry {
    pub(crate) rooms: Rooms,
    pub(crate) store: LineStore,
    pub(crate) joins: Joins,
    pub(crate) resumes: Resumes,
    pub(crate) absences: Absences,
    pub(crate) key: TicketKey,
    /// The key of account tokens, if the shop asserts accounts.
    pub(crate) accounts: Option<ShopAccountKey>,
    /// Whether every shopper needs an account.
    pub(crate) accounts_only: bool,
    pub(crate) join_limit: RateLimit,
    pub(crate) origins: Origins,
    pub(crate) secure_cookies: bool,
    /// The URL prefix of the shop's own checkout, up to the token; empty without one.
    pub(crate) own_checkout: Arc<str>,
    pub(crate) grace: Grace,
    pub(crate) event_loop: EventLoopHandle,
    /// Free connection slots of this node.
    pub(crate) places: Arc<Semaphore>,
    /// How long a stopping node takes to move its clients to other nodes.
    pub(crate) move_over: Duration,
    pub(crate) shutdown: Shutdown,
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

/// What a shopper shows at the entry, beside a ticket.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Credentials {
    /// The account of the shopper: a JSON Web Token that the shop has signed.
    account: Option<String>,
    /// An invitation to the lane whose line this is.
    pub(crate) invitation: Option<String>,
}

/// A shopper who has entered.
pub(crate) struct Entered {
    pub(crate) tab: Tab,
    pub(crate) ticket: Ticket,
    /// The cookie to set: it holds a new ticket, or extends the lifetime of the one in the request.
    pub(crate) cookie: HeaderValue,
}

/// Verifies the invitation to a lane and returns its number; `None` without a genuine one.
pub(crate) fn invited(lane: &SaleCard, credentials: &Credentials) -> Option<u32> {
    invitation::verify(lane.id, &lane.lane.as_ref()?.key, credentials.invitation.as_deref()?)
}

/// The lines whose ticket cookies a request carries, verified or not.
fn lines_of_tickets(headers: &HeaderMap) -> impl Iterator<Item = SaleId> {
    cookies(headers).filter_map(|(name, _)| line_of_cookie(name)).take(TICKETS_MAX)
}

impl LineEntry {
    pub(crate) fn room(&self, sale: &str) -> Result<Arc<Room>, RoomError> {
        let sale: SaleId = sale.parse().map_err(|_| RoomError::UnknownSale)?;
        self.rooms.get(sale).inspect(|room| room.asked()).ok_or(RoomError::UnknownSale)
    }

    pub(crate) fn room_by_slug(&self, slug: &str) -> Result<Arc<Room>, RoomError> {
        self.rooms.by_slug(slug).inspect(|room| room.asked()).ok_or(RoomError::UnknownSale)
    }

    /// The genuine ticket of a sale that a request carries.
    pub(crate) fn ticket(&self, sale: SaleId, headers: &HeaderMap) -> Option<Ticket> {
        cookies_named(headers, &cookie_name(sale)).find_map(|value| self.key.verify(sale, value).ok())
    }

    /// Rejects requests from pages of other sites, unless their origin is allowed. Clients that are
    /// not browsers send no origin and are not exposed to CSRF, so they are accepted.
    pub(crate) fn check_origin(&self, headers: &HeaderMap) -> Result<(), RoomError> {
        if self.origins.is_foreign(headers) { Err(RoomError::ForeignOrigin) } else { Ok(()) }
    }

    /// Reserves one connection slot of this node until the permit is dropped.
    pub(crate) fn take_place(&self) -> Result<OwnedSemaphorePermit, RoomError> {
        self.places.clone().try_acquire_owned().map_err(|_| RoomError::Full)
    }

    /// Admits a shopper to a line, with a new ticket or an existing one.
    pub(crate) async fn enter(
        &self,
        room: Arc<Room>,
        headers: &HeaderMap,
        client: IpAddr,
        mode: EntryMode,
        credentials: &Credentials,
    ) -> Result<Entered, Problem> {
        self.check_origin(headers)?;
        let (ticket, browser) = (self.ticket(room.sale, headers), Browser::of(headers));
        let account = self.account(&room.card(), credentials, mode);
        if let Some(ticket) = ticket {
            if let Ok(Some(account)) = &account {
                self.store.name(&ticket, account).await.map_err(RoomError::from)?;
            }
            let tab = Tab::open(room.clone(), &ticket, browser);
            self.resumes.resume(room.clone(), ticket).await.map_err(RoomError::from)?;
            let turn = room.shoppers.turn(ticket.ordinal);
            let over =
                matches!(turn, Turn::Expired | Turn::Bought | Turn::Left | Turn::Removed | Turn::Missed | Turn::Limit);
            if !(over && mode == EntryMode::Rejoin) {
                return Ok(Entered { tab, ticket, cookie: self.cookie(&ticket) });
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
        Ok(Entered { tab, ticket, cookie: self.cookie(&ticket) })
    }

    /// The visitor who joins. A shopper keeps one visitor id across turns and across the lines of a
    /// sale, and an account across devices. It finds the orders of earlier turns and shares the
    /// sale's limit.
    fn visitor(
        &self,
        card: &SaleCard,
        ticket: Option<Ticket>,
        headers: &HeaderMap,
        account: Option<Account>,
    ) -> VisitorId {
        let sale_of = |card: &SaleCard| card.lane.as_ref().map_or(card.id, |lane| lane.sale);
        let sale = sale_of(card);
        let of_sale = |line: &SaleId| self.rooms.get(*line).is_some_and(|room| sale_of(&room.card()) == sale);
        let elsewhere = || {
            // The sale's own line first, then the lanes in a fixed order, so that a shopper with
            // tickets of several lines resolves to one visitor.
            let mut lines: Vec<SaleId> = lines_of_tickets(headers).filter(of_sale).collect();
            lines.sort_unstable_by_key(|line| (*line != sale, *line));
            lines.into_iter().find_map(|line| self.ticket(line, headers))
        };
        // An invitation has its own place and is not linked to an account in another line.
        let by_account = account.filter(|_| card.lane.is_none()).map(|account| VisitorId(account.digest));
        let known = ticket.or_else(elsewhere).map(|ticket| ticket.visitor).or(by_account);
        known.unwrap_or_else(|| VisitorId(rand::random()))
    }

    /// The account of a shopper, as asserted by the shop. In a lane the invitation is the account
    /// and has one turn.
    fn account(
        &self,
        card: &SaleCard,
        credentials: &Credentials,
        mode: EntryMode,
    ) -> Result<Option<Account>, RoomError> {
        if card.lane.is_some() {
            let number = invited(card, credentials).ok_or(RoomError::NotInvited)?;
            let digest = (u128::from_be_bytes(*b"fairline invited") ^ u128::from(number)).to_be_bytes();
            return Ok(Some(Account { digest, rejoins: false }));
        }
        let named = credentials.account.as_deref().zip(self.accounts.as_ref());
        let digest =
            named.map(|(token, key)| key.digest(card.id, token, OffsetDateTime::now_utc()).ok_or(RoomError::NoAccount));
        match digest.transpose()? {
            Some(digest) => Ok(Some(Account { digest, rejoins: mode == EntryMode::Rejoin })),
            None if self.accounts_only => Err(RoomError::NoAccount),
            None => Ok(None),
        }
    }

    /// Gives up the shopper's place.
    pub(crate) async fn leave(&self, ticket: &Ticket) -> Result<(), RoomError> {
        Ok(self.store.leave(ticket).await?)
    }

    fn cookie(&self, ticket: &Ticket) -> HeaderValue {
        let (name, value, age_s) = (cookie_name(ticket.sale), self.key.sign(ticket), TICKET_AGE.as_secs());
        let secure = if self.secure_cookies { "; Secure" } else { "" };
        let line = format!("{name}={value}; HttpOnly; SameSite=Lax; Path=/; Max-Age={age_s}{secure}");
        HeaderValue::from_str(&line).expect("a ticket is base64url")
    }

    /// Whether a request shows that the browser stores cookies. A page sets the probe before a
    /// shopper can join.
    pub(crate) fn keeps_cookies(&self, sale: SaleId, headers: &HeaderMap) -> bool {
        self.ticket(sale, headers).is_some() || cookies_named(headers, PROBE).next().is_some()
    }

    /// The probe cookie.
    pub(crate) fn probe(&self) -> HeaderValue {
        HeaderValue::from_static(match self.secure_cookies {
            true => "fairline_cookies=1; HttpOnly; SameSite=Lax; Path=/; Secure",
            false => "fairline_cookies=1; HttpOnly; SameSite=Lax; Path=/",
        })
    }
}
