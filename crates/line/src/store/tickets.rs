//! Joining, and what the holder of a ticket does.

use bytes::Bytes;
use fairline_sale::{SaleId, VisitorId};

use super::{
    LineError, LineStore,
    calls::{BindAccount, Claimed, Find, Join, JoinReply, Leave, Resume, ResumeReply, bytes, number},
    visitor_id,
};
use crate::{
    change::{Revision, Turn},
    ticket::{Ordinal, Ticket},
};

/// A shopper who joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JoinRequest {
    /// The holder of the ticket, if it is a new one.
    pub visitor: VisitorId,
    /// The shopper's account, where the merchant names its shoppers: one account has one place.
    pub account: Option<LineAccount>,
}

/// An account at the merchant, as the line stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineAccount {
    /// A digest that only the waiting rooms can make.
    pub digest: [u8; 16],
    /// Whether a place whose turn is over is exchanged for a new one.
    pub rejoins: bool,
}

/// The turns of some tickets at a revision of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumedTurns {
    /// The turn of each, in the order of the tickets.
    pub turns: Vec<Turn>,
    /// The turns include changes up to this revision, and no later ones.
    pub revision: Revision,
}

/// The report of a page about its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It has the token.
    Claimed,
    /// The shopper left, and returns the token.
    Left,
}

impl Claim {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Left => "left",
        }
    }
}

/// What Redis stores about a ticket, by its ordinal alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketHolder {
    /// It waits, and this is its holder.
    Waiting(VisitorId),
    /// It does not wait: it has departed, or had its turn.
    Gone,
    /// It was never given.
    Unknown,
}

/// Packs the accounts of a batch, 17 bytes for each shopper; empty if no shopper has one.
fn pack_accounts(joining: &[JoinRequest]) -> Vec<u8> {
    let mut accounts = Vec::new();
    if joining.iter().any(|joining| joining.account.is_some()) {
        for joining in joining {
            let (wish, digest) = match joining.account {
                None => (b'0', [0; 16]),
                Some(LineAccount { digest, rejoins: false }) => (b'1', digest),
                Some(LineAccount { digest, rejoins: true }) => (b'2', digest),
            };
            accounts.push(wish);
            accounts.extend(digest);
        }
    }
    accounts
}

impl LineStore {
    /// Issues a ticket to each shopper of a batch: the next ordinals, in order, or the place that
    /// the account has already.
    ///
    /// `batch` is a unique id of this batch. A call that is repeated with it within a minute,
    /// because the first may have succeeded without its reply, receives the reply of the first.
    ///
    /// # Errors
    /// When Redis does not respond; ordinals may have been issued all the same.
    pub async fn join(&self, sale: SaleId, batch: [u8; 8], joining: &[JoinRequest]) -> Result<Vec<Ticket>, LineError> {
        let visitors: Vec<u8> = joining.iter().flat_map(|joining| joining.visitor.0).collect();
        let call = Join { batch: bytes(&batch), visitors: bytes(&visitors), accounts: bytes(&pack_accounts(joining)) };
        let JoinReply { epoch, first, places } = self.call(sale, call).await?;
        let mut new = first..;
        let mut places = places.into_iter().peekable();
        let tickets = joining.iter().enumerate().map(|(at, joining)| {
            let (ordinal, visitor) = match places.next_if(|place| place.at == at) {
                Some(place) => (place.ordinal, visitor_id(&place.visitor)?),
                None => (new.next().unwrap_or(first), joining.visitor),
            };
            Ok(Ticket { sale, epoch, ordinal, visitor })
        });
        tickets.collect()
    }

    /// Makes a ticket that is presented for an account the account's place, if it has none: Redis
    /// may have lost it. May be repeated.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn bind_account(&self, ticket: &Ticket, account: &LineAccount) -> Result<(), LineError> {
        let call = BindAccount {
            digest: bytes(&account.digest),
            ordinal: number(ticket.ordinal),
            visitor: bytes(&ticket.visitor.0),
        };
        self.call(ticket.sale, call).await?;
        Ok(())
    }

    /// Presents tickets of one sale whose holders have connected: ends their grace periods, returns
    /// or recalls them, and reads their turns. May be repeated.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn resume(&self, sale: SaleId, tickets: &[Ticket]) -> Result<ResumedTurns, LineError> {
        let tickets = tickets.iter().map(|ticket| [number(ticket.ordinal), bytes(&ticket.visitor.0)]).collect();
        let ResumeReply { epoch, rev, turns } = self.call(sale, Resume { tickets }).await?;
        let unexpected = |turn: &str| LineError::Unexpected(turn.chars().take(40).collect());
        let turns = turns.iter().map(|turn| Turn::from_text(turn).ok_or_else(|| unexpected(turn)));
        Ok(ResumedTurns { turns: turns.collect::<Result<_, LineError>>()?, revision: Revision { epoch, rev } })
    }

    /// Gives the place up, with the token if one is outstanding. May be repeated.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn leave(&self, ticket: &Ticket) -> Result<(), LineError> {
        self.call(ticket.sale, Leave { ordinal: number(ticket.ordinal) }).await?;
        Ok(())
    }

    /// Confirms that a page has received its token. May be repeated.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn claim(&self, ticket: &Ticket) -> Result<(), LineError> {
        self.call(ticket.sale, Claimed { ordinal: number(ticket.ordinal) }).await?;
        Ok(())
    }

    /// The holder of a ticket, if it waits.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn find(&self, line: SaleId, ordinal: Ordinal) -> Result<TicketHolder, LineError> {
        let found: Bytes = self.call(line, Find { ordinal: number(ordinal) }).await?;
        Ok(match &found[..] {
            b"unknown" => TicketHolder::Unknown,
            b"gone" => TicketHolder::Gone,
            visitor => TicketHolder::Waiting(visitor_id(visitor)?),
        })
    }
}
