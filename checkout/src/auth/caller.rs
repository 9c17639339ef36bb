//! Caller identity: the bearer of an admission token, the holder of tickets, a signed-in account,
//! or the shop.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use fairline_admission_token::named_holder;
use fairline_line::ticket::{Ticket, TicketKey, line_of_cookie};
use fairline_sale::{SaleId, VisitorId};
use fairline_server::{Problem, Secret, cookies, cookies_named};
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;

use crate::{
    Checkout,
    accounts::account::{AccountId, AccountKey},
    error::CheckoutError,
};

/// Tickets of one browser that are checked, at most.
const TICKETS_MAX: usize = 64;
/// The cookie with the access token of a signed-in browser.
pub(crate) const ACCOUNT_COOKIE: &str = "fairline_account";
/// The header with an access token, for requests whose `Authorization` carries an admission token.
const ACCOUNT_HEADER: &str = "fairline-account";

/// The visitors whose tickets a browser holds, and the account that it is signed in to. A visitor
/// id is secret and unique across all lines: those of sales and of their lanes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holders {
    visitors: Vec<VisitorId>,
    account: Option<AccountId>,
}

impl Holders {
    /// Reads the ticket cookies and the access token. Tickets and tokens that are not genuine are
    /// ignored.
    pub(crate) fn of(headers: &HeaderMap, key: &TicketKey, accounts: Option<&AccountKey>) -> Self {
        let visitor = |(line, signed)| Some(key.verify(line, signed).ok()?.visitor);
        Self {
            visitors: tickets(headers).filter_map(visitor).collect(),
            account: accounts.and_then(|key| account(headers, key)),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &VisitorId> {
        self.visitors.iter()
    }

    pub(crate) fn include(&self, visitor: VisitorId) -> bool {
        self.visitors.contains(&visitor)
    }

    pub(crate) fn account(&self) -> Option<AccountId> {
        self.account
    }
}

/// The tickets of a request, genuine or not, each with its line.
fn tickets(headers: &HeaderMap) -> impl Iterator<Item = (SaleId, &str)> {
    cookies(headers).filter_map(|(name, signed)| Some((line_of_cookie(name)?, signed))).take(TICKETS_MAX)
}

/// Whether a request carries the ticket of a visitor.
pub(crate) fn holds_ticket_of(headers: &HeaderMap, key: &TicketKey, visitor: VisitorId) -> bool {
    // Reading a ticket is cheap; verifying it is not.
    let names = |signed| Ticket::parse_unverified(signed).is_some_and(|(_, holder)| holder == visitor);
    tickets(headers).any(|(line, signed)| names(signed) && key.verify(line, signed).is_ok())
}

fn account(headers: &HeaderMap, key: &AccountKey) -> Option<AccountId> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let header = headers.get(ACCOUNT_HEADER).and_then(|value| value.to_str().ok());
    let mut given = header.into_iter().chain(cookies_named(headers, ACCOUNT_COOKIE)).chain(bearer(headers));
    given.find_map(|token| key.account_of(token, now))
}

/// The caller of an order route.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// The shop, authenticated by its key.
    Shop,
    /// A browser with these tickets.
    Holders(Holders),
}

impl Caller {
    pub(crate) fn is_shop(&self) -> bool {
        matches!(self, Self::Shop)
    }

    /// The caller's tickets; the shop has none.
    pub(crate) fn holders(&self) -> &Holders {
        const NONE: &Holders = &Holders { visitors: Vec::new(), account: None };
        match self {
            Self::Shop => NONE,
            Self::Holders(holders) => holders,
        }
    }
}

/// Proof that the request carries the shop key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShopKey(());

impl ShopKey {
    /// Whether the request carries the shop key, if one is configured.
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

impl FromRequestParts<Checkout> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, checkout: &Checkout) -> Result<Self, Self::Rejection> {
        Ok(match ShopKey::of(&parts.headers, checkout.shop_key.as_deref()) {
            Some(_) => Self::Shop,
            None => Self::Holders(checkout.holders(&parts.headers)),
        })
    }
}

impl FromRequestParts<Checkout> for Holders {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, checkout: &Checkout) -> Result<Self, Self::Rejection> {
        Ok(checkout.holders(&parts.headers))
    }
}

impl Checkout {
    /// The caller's proved identity.
    pub(crate) fn holders(&self, headers: &HeaderMap) -> Holders {
        Holders::of(headers, &self.ticket_key, self.account_key.as_ref())
    }
}

/// The identities under which idempotency keys of a request are stored, the strongest first; empty
/// for a caller that is rejected anyway. A caller stays the same with a second ticket, a sign-in or
/// another access token between two attempts.
pub(crate) fn idempotency_scope(
    headers: &HeaderMap,
    tickets: &TicketKey,
    accounts: Option<&AccountKey>,
    shop: Option<&Secret>,
) -> Vec<Vec<u8>> {
    if ShopKey::of(headers, shop).is_some() {
        return vec![b"shop".to_vec()];
    }
    let holders = Holders::of(headers, tickets, accounts);
    // A token belongs to one holder, and a ticket has many tokens.
    let admission = bearer(headers).and_then(|token| Some((token, named_holder(token)?.parse().ok()?)));
    if let Some((token, holder)) = admission {
        return if holders.include(holder) { vec![[b"token", token.as_bytes()].concat()] } else { Vec::new() };
    }
    let mut visitors: Vec<&VisitorId> = holders.iter().collect();
    visitors.sort_unstable_by_key(|visitor| visitor.0);
    let visitors = visitors.into_iter().map(|VisitorId(visitor)| [&b"visitor"[..], visitor].concat());
    let account = holders.account().map(|AccountId(account)| [&b"account"[..], account.as_bytes()].concat());
    visitors.chain(account).collect()
}

/// A signed-in account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignedIn(pub(crate) AccountId);

impl FromRequestParts<Checkout> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, checkout: &Checkout) -> Result<Self, Problem> {
        let key = checkout.account_key.as_ref().ok_or(CheckoutError::NoSignIn)?;
        Ok(account(&parts.headers, key).map(Self).ok_or(CheckoutError::NotSignedIn)?)
    }
}

/// An admission token from `Authorization: Bearer`.
pub(crate) struct BearerToken(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for BearerToken {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        bearer(&parts.headers).map(|token| Self(token.to_owned())).ok_or_else(|| CheckoutError::NoToken.into())
    }
}

/// The token from `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use fairline_line::ticket::cookie_name;
    use uuid::Uuid;

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
        let holders = Holders::of(&headers, &key, None);
        assert_eq!(holders.visitors, [visitor(1), visitor(2)]);
        assert!(holders.include(visitor(1)) && !holders.include(visitor(3)));
    }
}
