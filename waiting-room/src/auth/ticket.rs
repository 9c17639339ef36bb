//! Tickets in cookies: reads and verifies them, and sets them.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use fairline_line::ticket::{Ticket, TicketKey, cookie_name, line_of_cookie};
use fairline_sale::SaleId;
use fairline_server::{Origins, cookies, cookies_named};

/// Lifetime of a ticket cookie.
const TICKET_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Ticket cookies read from one request, at most.
const TICKETS_MAX: usize = 64;
/// The cookie that shows whether a browser stores cookies.
const PROBE: &str = "fairline_cookies";

/// Authenticates requests by their ticket cookies.
pub(crate) struct TicketAuth {
    pub(crate) key: TicketKey,
    pub(crate) origins: Origins,
    /// Whether cookies are sent over HTTPS only.
    pub(crate) secure_cookies: bool,
}

/// The lines whose ticket cookies a request carries, verified or not.
pub(crate) fn lines_of_tickets(headers: &HeaderMap) -> impl Iterator<Item = SaleId> {
    cookies(headers).filter_map(|(name, _)| line_of_cookie(name)).take(TICKETS_MAX)
}

impl TicketAuth {
    /// The genuine ticket of a sale that a request carries.
    pub(crate) fn ticket(&self, sale: SaleId, headers: &HeaderMap) -> Option<Ticket> {
        cookies_named(headers, &cookie_name(sale)).find_map(|value| self.key.verify(sale, value).ok())
    }

    /// Whether a request comes from a page of another site whose origin is not allowed. Clients
    /// that are not browsers send no origin and are not exposed to CSRF, so they are not foreign.
    pub(crate) fn is_foreign(&self, headers: &HeaderMap) -> bool {
        self.origins.is_foreign(headers)
    }

    /// The cookie that holds a ticket.
    pub(crate) fn cookie(&self, ticket: &Ticket) -> HeaderValue {
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
