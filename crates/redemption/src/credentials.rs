//! The credentials of a request: its bearer token and its tickets.

use axum::http::{HeaderMap, header};
use fairline_line::ticket::{Ticket, TicketKey, line_of_cookie};
use fairline_sale::{SaleId, VisitorId};
use fairline_server::cookies;

/// Tickets of one browser that are checked, at most.
const TICKETS_MAX: usize = 64;

/// The token from `Authorization: Bearer`.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The tickets of a request, genuine or not, each with its line.
pub fn tickets(headers: &HeaderMap) -> impl Iterator<Item = (SaleId, &str)> {
    cookies(headers).filter_map(|(name, signed)| Some((line_of_cookie(name)?, signed))).take(TICKETS_MAX)
}

/// Whether a request carries the ticket of a visitor.
#[must_use]
pub fn holds_ticket_of(headers: &HeaderMap, key: &TicketKey, visitor: VisitorId) -> bool {
    // Reading a ticket is cheap; verifying it is not.
    let names = |signed| Ticket::parse_unverified(signed).is_some_and(|(_, holder)| holder == visitor);
    tickets(headers).any(|(line, signed)| names(signed) && key.verify(line, signed).is_ok())
}
