//! The ticket: a shopper's place in the line, signed, held by the browser as a cookie.
//!
//! With it a reload or a second tab is recognised without a look-up, and all tickets together are a
//! log of the line that survives the loss of Redis.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fairline_sale::{SaleId, VisitorId};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

pub use fairline_record::Ordinal;

/// One shopper's place in the line of one sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The sale.
    pub sale: SaleId,
    /// The epoch of the line in which the ordinal was given.
    pub epoch: u32,
    /// The ticket's number.
    pub ordinal: Ordinal,
    /// Its holder.
    pub visitor: VisitorId,
}

/// The key with which waiting rooms sign tickets and checkout verifies them: 32 bytes, as 64 hex
/// digits. It is stored as the initial state of HMAC, which saves two hashes of five.
///
/// ```
/// use fairline_line::ticket::{Ticket, TicketKey};
/// use fairline_sale::{SaleId, VisitorId};
///
/// let sale: SaleId = "3c6f7a52-0f5e-4c0e-9a39-6b8d3f5f6f10".parse().expect("a UUID");
/// let key: TicketKey = "ab".repeat(32).parse().expect("64 hex digits");
/// let ticket = Ticket { sale, epoch: 1, ordinal: 42, visitor: VisitorId([7; 16]) };
/// assert_eq!(key.verify(sale, &key.sign(&ticket)), Ok(ticket));
/// ```
#[derive(Clone)]
pub struct TicketKey(Hmac<Sha256>);

/// A ticket that was not signed with this key for this sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ticket is not genuine")]
pub struct InvalidTicket;

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey(secret)")
    }
}

impl FromStr for TicketKey {
    type Err = String;

    fn from_str(hex: &str) -> Result<Self, String> {
        let wrong = || "a ticket key is 64 hexadecimal digits; make one with `fairline keys ticket`".to_owned();
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(wrong());
        }
        let mut key = [0; 32];
        for (byte, at) in key.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(Hmac::new_from_slice(&key).expect("HMAC takes keys of any length")))
    }
}

/// The prefix of the names of ticket cookies.
const COOKIE: &str = "fairline_ticket_";

/// The name of the cookie that holds the ticket of a sale.
#[must_use]
pub fn cookie_name(sale: SaleId) -> String {
    format!("{COOKIE}{}", sale.0.simple())
}

/// The line whose ticket a cookie of this name holds, if it is a name that [`cookie_name`] gives.
#[must_use]
pub fn line_of_cookie(name: &str) -> Option<SaleId> {
    let line = name.strip_prefix(COOKIE)?;
    let id = Uuid::try_parse(line).ok()?;
    (id.simple().encode_lower(&mut Uuid::encode_buffer()) == line).then_some(SaleId(id))
}

/// Bytes of a signed ticket: version, epoch, ordinal, visitor, then half of an HMAC-SHA-256, which
/// RFC 2104 permits.
const BODY: usize = 1 + 4 + 8 + 16;
const TAG: usize = 16;

impl TicketKey {
    /// Signs a ticket: 60 characters that a cookie may contain.
    #[must_use]
    pub fn sign(&self, ticket: &Ticket) -> String {
        let mut bytes = [0; BODY + TAG];
        bytes[0] = 1;
        bytes[1..5].copy_from_slice(&ticket.epoch.to_be_bytes());
        bytes[5..13].copy_from_slice(&ticket.ordinal.to_be_bytes());
        bytes[13..BODY].copy_from_slice(&ticket.visitor.0);
        let tag = self.tag(ticket.sale, &bytes[..BODY]);
        bytes[BODY..].copy_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a ticket of this sale.
    ///
    /// # Errors
    /// When it was not signed with this key for this sale.
    pub fn verify(&self, sale: SaleId, signed: &str) -> Result<Ticket, InvalidTicket> {
        let (ticket, bytes) = read(sale, signed).ok_or(InvalidTicket)?;
        let tag = self.tag(sale, &bytes[..BODY]);
        if bool::from(tag.ct_eq(&bytes[BODY..])) { Ok(ticket) } else { Err(InvalidTicket) }
    }

    fn tag(&self, sale: SaleId, body: &[u8]) -> [u8; TAG] {
        let mut mac = self.0.clone();
        mac.update(b"fairline ticket");
        mac.update(sale.0.as_bytes());
        mac.update(body);
        let mut tag = [0; TAG];
        tag.copy_from_slice(&mac.finalize().into_bytes()[..TAG]);
        tag
    }
}

/// Parses a signed ticket without verifying it.
fn read(sale: SaleId, signed: &str) -> Option<(Ticket, [u8; BODY + TAG])> {
    let mut bytes = [0; BODY + TAG];
    let length = URL_SAFE_NO_PAD.decode_slice(signed, &mut bytes).ok()?;
    if length != bytes.len() || bytes[0] != 1 {
        return None;
    }
    let number = |range: std::ops::Range<usize>| bytes[range].iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    let mut visitor = [0; 16];
    visitor.copy_from_slice(&bytes[13..BODY]);
    let epoch = u32::try_from(number(1..5)).ok()?;
    Some((Ticket { sale, epoch, ordinal: number(5..13), visitor: VisitorId(visitor) }, bytes))
}

impl Ticket {
    /// The ordinal and the holder in a signed ticket, without a check that it is genuine.
    #[must_use]
    pub fn parse_unverified(signed: &str) -> Option<(Ordinal, VisitorId)> {
        let (ticket, _) = read(SaleId(Uuid::nil()), signed)?;
        Some((ticket.ordinal, ticket.visitor))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(digit: char) -> TicketKey {
        digit.to_string().repeat(64).parse().expect("64 digits")
    }

    #[test]
    fn a_cookie_has_one_name() {
        let line = SaleId(Uuid::from_u128(0xabc));
        let name = cookie_name(line);
        assert_eq!(line_of_cookie(&name), Some(line));
        for other in [
            name.to_uppercase(),
            name.replace("abc", "ABC"),
            format!("{COOKIE}{}", line.0),
            format!("{name}0"),
            COOKIE.to_owned(),
        ] {
            assert_eq!(line_of_cookie(&other), None, "{other}");
        }
    }

    fn sale(n: u128) -> SaleId {
        format!("{n:032x}").parse().expect("a UUID")
    }

    #[test]
    fn a_key_is_64_digits_and_never_shown() {
        assert!("ab".parse::<TicketKey>().is_err());
        assert!("g".repeat(64).parse::<TicketKey>().is_err());
        assert!("é".repeat(32).parse::<TicketKey>().is_err());
        assert_eq!(format!("{:?}", key('a')), "TicketKey(secret)");
    }

    proptest! {
        #[test]
        fn a_ticket_is_verified_as_signed_and_in_no_other_sale(
            epoch: u32, ordinal: u64, visitor: [u8; 16], at in 0usize..60, to in "[A-Za-z0-9_-]",
        ) {
            let ticket = Ticket { sale: sale(1), epoch, ordinal, visitor: VisitorId(visitor) };
            let signed = key('a').sign(&ticket);
            prop_assert_eq!(signed.len(), 60);
            prop_assert_eq!(key('a').verify(sale(1), &signed), Ok(ticket));
            prop_assert_eq!(Ticket::parse_unverified(&signed), Some((ordinal, VisitorId(visitor))));
            prop_assert_eq!(key('a').verify(sale(2), &signed), Err(InvalidTicket));
            prop_assert_eq!(key('b').verify(sale(1), &signed), Err(InvalidTicket));
            let changed = format!("{}{to}{}", &signed[..at], &signed[at + 1..]);
            prop_assume!(changed != signed);
            prop_assert_eq!(key('a').verify(sale(1), &changed), Err(InvalidTicket));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,100}") {
            prop_assert_eq!(key('a').verify(sale(1), &text), Err(InvalidTicket));
        }
    }
}
