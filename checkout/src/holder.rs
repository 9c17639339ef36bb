//! Who asks: the bearer of a token, the holder of tickets, or the shop itself.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use fairline_line::ticket::{TicketKey, cookie_name};
use fairline_sale::{SaleId, VisitorId};
use fairline_service::{Problem, Secret};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::{Checkout, problem::CheckoutError};

/// Tickets of one browser that are looked at, at most.
const TICKETS_MAX: usize = 64;

/// The visitors whose tickets one browser holds. A visitor's id is secret and like no other's, in whichever line it waits: a
/// sale's own, or one of its lanes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holders(Vec<VisitorId>);

impl Holders {
    /// Reads the ticket cookies; what is not genuine is nobody.
    pub(crate) fn of(headers: &HeaderMap, key: &TicketKey) -> Self {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let tickets = cookies.flat_map(|line| line.split(';')).filter_map(|cookie| {
            let (name, signed) = cookie.trim().split_once('=')?;
            let line = SaleId(Uuid::try_parse(name.strip_prefix("fairline_ticket_")?).ok()?);
            (name == cookie_name(line)).then_some((line, signed))
        });
        let visitors =
            tickets.take(TICKETS_MAX).filter_map(|(line, signed)| Some(key.verify(line, signed).ok()?.visitor));
        Self(visitors.collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &VisitorId> {
        self.0.iter()
    }

    pub(crate) fn include(&self, visitor: VisitorId) -> bool {
        self.0.contains(&visitor)
    }
}

/// Who asks for an order.
#[derive(Debug, Clone)]
pub(crate) enum Asker {
    /// The shop itself, whose key came along.
    Shop,
    /// Whoever holds these tickets.
    Holders(Holders),
}

impl Asker {
    pub(crate) fn is_shop(&self) -> bool {
        matches!(self, Self::Shop)
    }

    /// The tickets that came along; the shop has none.
    pub(crate) fn holders(&self) -> &Holders {
        const NONE: &Holders = &Holders(Vec::new());
        match self {
            Self::Shop => NONE,
            Self::Holders(holders) => holders,
        }
    }
}

/// Proof that the shop itself asks: its key came along.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShopKey(());

impl ShopKey {
    /// Whether the shop's key came along, if it has one.
    pub(crate) fn of(headers: &HeaderMap, key: Option<&Secret>) -> Option<Self> {
        let given = bearer(headers)?;
        bool::from(given.as_bytes().ct_eq(key?.expose().as_bytes())).then_some(Self(()))
    }
}

impl FromRequestParts<Checkout> for ShopKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, checkout: &Checkout) -> Result<Self, Problem> {
        Self::of(&parts.headers, checkout.shop_key.as_deref()).ok_or_else(|| CheckoutError::NoShopKey.into())
    }
}

impl FromRequestParts<Checkout> for Asker {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, checkout: &Checkout) -> Result<Self, Self::Rejection> {
        Ok(match ShopKey::of(&parts.headers, checkout.shop_key.as_deref()) {
            Some(_) => Self::Shop,
            None => Self::Holders(Holders::of(&parts.headers, &checkout.ticket_key)),
        })
    }
}

impl FromRequestParts<Checkout> for Holders {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, checkout: &Checkout) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.headers, &checkout.ticket_key))
    }
}

/// An admission token, as it stands behind `Authorization: Bearer`.
pub(crate) struct BearerToken(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for BearerToken {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        bearer(&parts.headers).map(|token| Self(token.to_owned())).ok_or_else(|| CheckoutError::NoToken.into())
    }
}

/// What stands behind `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use fairline_line::ticket::Ticket;

    use super::*;

    #[test]
    fn only_genuine_tickets_say_who_somebody_is() {
        let key: TicketKey = "a".repeat(64).parse().expect("64 digits");
        let other: TicketKey = "b".repeat(64).parse().expect("64 digits");
        let visitor = |n: u8| VisitorId([n; 16]);
        let line = |n: u8| SaleId(Uuid::from_bytes([n; 16]));
        let cookie = |key: &TicketKey, named: u8, of: u8| {
            let signed = key.sign(&Ticket { sale: line(of), epoch: 1, ordinal: 1, visitor: visitor(of) });
            format!("{}={signed}", cookie_name(line(named)))
        };
        let lines = [
            format!("theme=dark; {}; fairline_ticket_x=y; fairline_ticket_=", cookie(&key, 1, 1)),
            format!("{}; {}; {};;=", cookie(&key, 2, 2), cookie(&other, 3, 3), cookie(&key, 4, 5)),
        ];
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_str(&line).expect("a header"));
        }
        let holders = Holders::of(&headers, &key);
        assert_eq!(holders.0, [visitor(1), visitor(2)]);
        assert!(holders.include(visitor(1)) && !holders.include(visitor(3)));
    }
}
