//! Caller identity: the bearer of an admission token, the holder of tickets, a signed-in account,
//! or the merchant. [`super::extract`] has the extractors.

use std::sync::Arc;

use axum::http::HeaderMap;
use fairline_admission_token::named_holder;
use fairline_line::ticket::{Ticket, TicketKey, cookie_name};
use fairline_redemption::{bearer, tickets};
use fairline_sale::{SaleId, VisitorId};
use fairline_server::{Secret, cookies_named};
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;

use crate::auth::account::{AccountId, SignInKey};

/// The cookie with the access token of a signed-in browser.
pub(crate) const ACCOUNT_COOKIE: &str = "fairline_account";
/// The header with an access token, for requests whose `Authorization` carries an admission token.
const ACCOUNT_HEADER: &str = "fairline-account";

/// The visitors whose tickets a browser holds, and the account that it is signed in to. A visitor
/// id is secret and unique across all lines: those of sales and of their lanes.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShopperIdentity {
    visitors: Vec<VisitorId>,
    account: Option<AccountId>,
}

impl ShopperIdentity {
    /// Reads the ticket cookies and the access token. Tickets and tokens that are not genuine are
    /// ignored.
    pub(crate) fn of(headers: &HeaderMap, key: &TicketKey, accounts: Option<&SignInKey>) -> Self {
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

fn account(headers: &HeaderMap, key: &SignInKey) -> Option<AccountId> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let header = headers.get(ACCOUNT_HEADER).and_then(|value| value.to_str().ok());
    let mut given = header.into_iter().chain(cookies_named(headers, ACCOUNT_COOKIE)).chain(bearer(headers));
    given.find_map(|token| key.account_of(token, now))
}

/// The caller of an order route.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// The merchant's systems, authenticated by the merchant key.
    Merchant,
    /// A browser with these tickets.
    Shopper(ShopperIdentity),
}

impl Caller {
    pub(crate) fn is_merchant(&self) -> bool {
        matches!(self, Self::Merchant)
    }

    /// The caller's tickets; the merchant has none.
    pub(crate) fn shopper(&self) -> &ShopperIdentity {
        const NONE: &ShopperIdentity = &ShopperIdentity { visitors: Vec::new(), account: None };
        match self {
            Self::Merchant => NONE,
            Self::Shopper(shopper) => shopper,
        }
    }
}

/// Proof that the request carries the merchant key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MerchantKey(());

impl MerchantKey {
    /// Whether the request carries the merchant key, if one is configured.
    fn of(headers: &HeaderMap, key: Option<&Secret>) -> Option<Self> {
        let given = bearer(headers)?;
        bool::from(given.as_bytes().ct_eq(key?.expose().as_bytes())).then_some(Self(()))
    }
}

/// The keys that prove who a caller is.
#[derive(Clone)]
pub(crate) struct Callers(Arc<CallerKeys>);

struct CallerKeys {
    tickets: TicketKey,
    accounts: Option<SignInKey>,
    merchant: Option<Secret>,
}

impl Callers {
    pub(crate) fn new(tickets: TicketKey, accounts: Option<SignInKey>, merchant: Option<Secret>) -> Self {
        Self(Arc::new(CallerKeys { tickets, accounts, merchant }))
    }

    /// The key of accounts, if they are offered.
    pub(crate) fn accounts(&self) -> Option<&SignInKey> {
        self.0.accounts.as_ref()
    }

    /// Proof that a request carries the merchant key.
    pub(crate) fn merchant(&self, headers: &HeaderMap) -> Option<MerchantKey> {
        MerchantKey::of(headers, self.0.merchant.as_ref())
    }

    pub(crate) fn shopper(&self, headers: &HeaderMap) -> ShopperIdentity {
        ShopperIdentity::of(headers, &self.0.tickets, self.accounts())
    }

    pub(crate) fn caller(&self, headers: &HeaderMap) -> Caller {
        match self.merchant(headers) {
            Some(_) => Caller::Merchant,
            None => Caller::Shopper(self.shopper(headers)),
        }
    }

    /// The account that a request is signed in to.
    pub(crate) fn signed_in(&self, headers: &HeaderMap) -> Option<AccountId> {
        account(headers, self.accounts()?)
    }

    /// The key that signs tickets.
    pub(crate) fn tickets(&self) -> &TicketKey {
        &self.0.tickets
    }

    /// The genuine ticket of a line that a request carries.
    pub(crate) fn ticket(&self, headers: &HeaderMap, line: SaleId) -> Option<Ticket> {
        let name = cookie_name(line);
        cookies_named(headers, &name).find_map(|signed| self.0.tickets.verify(line, signed).ok())
    }

    /// See [`idempotency_scope`].
    pub(crate) fn idempotency_scope(&self, headers: &HeaderMap) -> Vec<Vec<u8>> {
        let CallerKeys { tickets, accounts, merchant } = &*self.0;
        idempotency_scope(headers, tickets, accounts.as_ref(), merchant.as_ref())
    }
}

/// The identities under which idempotency keys of a request are stored, the strongest first; empty
/// for a caller that will be rejected. A caller stays the same with a second ticket, a sign-in or
/// another access token between two attempts.
pub(crate) fn idempotency_scope(
    headers: &HeaderMap,
    tickets: &TicketKey,
    accounts: Option<&SignInKey>,
    merchant: Option<&Secret>,
) -> Vec<Vec<u8>> {
    if MerchantKey::of(headers, merchant).is_some() {
        return vec![b"merchant".to_vec()];
    }
    let shopper = ShopperIdentity::of(headers, tickets, accounts);
    // A token belongs to one holder, and a ticket has many tokens.
    let admission = bearer(headers).and_then(|token| Some((token, named_holder(token)?.parse().ok()?)));
    if let Some((token, holder)) = admission {
        return if shopper.include(holder) { vec![[b"token", token.as_bytes()].concat()] } else { Vec::new() };
    }
    let mut visitors: Vec<&VisitorId> = shopper.iter().collect();
    visitors.sort_unstable_by_key(|visitor| visitor.0);
    let visitors = visitors.into_iter().map(|VisitorId(visitor)| [&b"visitor"[..], visitor].concat());
    let account = shopper.account().map(|AccountId(account)| [&b"account"[..], account.as_bytes()].concat());
    visitors.chain(account).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_genuine_tickets_identify_a_visitor() {
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
        let shopper = ShopperIdentity::of(&headers, &key, None);
        assert_eq!(shopper.visitors, [visitor(1), visitor(2)]);
        assert!(shopper.include(visitor(1)) && !shopper.include(visitor(3)));
    }
}
