//! The transactions of checkout and operators, one step each.

use admission_controller::lifecycle::{Action, after};
use fairline_line::{store::Home, ticket::Ordinal};
use fairline_sale::{Status, VisitorId};
use uuid::Uuid;

use super::{Hold, Ledger, State, TicketActionRow, tables::units};
use crate::bugs::Bug;

/// Epochs that a line may have had since the backup that it was restored from.
const EPOCHS_LEAPT: i32 = 1000;

/// Tickets of a line that may have been given since the backup, and that Redis does not have.
pub const MARGIN: i64 = 5000;

/// The maximum of extra admissions that wait to be made.
const AT_ONCE_MAX: u32 = 1_000_000;

/// The outcome of a redemption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redeemed {
    /// A row is locked.
    Waits,
    /// It was used.
    Yes,
    /// The token is used, expired or revoked, the sale is closed, or the shopper is at the limit.
    No,
}

impl Ledger {
    /// Whether a transaction has written this admission, so that others have to wait.
    fn is_row_locked(&self, at: usize) -> bool {
        self.transaction.as_ref().is_some_and(|own| own.admissions.contains_key(&at))
    }

    fn change_units(&mut self, visitor: VisitorId, change: i32) {
        let held = self.tables.units.entry(visitor).or_default();
        *held = held.saturating_add_signed(change);
    }

    /// The visitor for whom the limit counts.
    fn limited(&self, visitor: VisitorId, ordinal: Ordinal) -> VisitorId {
        if self.bugs.has(Bug::LimitPerTicket) { VisitorId(u128::from(ordinal).to_be_bytes()) } else { visitor }
    }

    /// The checkout redeems a token.
    pub fn redeem(&mut self, now_ms: u64, id: Uuid) -> Redeemed {
        let Some(at) = self.tables.admissions.iter().position(|row| row.id == id) else {
            self.check_refusal(id);
            return Redeemed::No;
        };
        if self.is_row_locked(at) {
            return Redeemed::Waits;
        }
        let now = self.clock(now_ms);
        let row = &self.tables.admissions[at];
        let (quantity, kid) = (row.quantity, row.kid.clone());
        let visitor = self.limited(row.visitor, row.ordinal);
        let is_good = row.state == State::Promised
            && row.expires_at > now
            && !self.tables.revoked.contains(&kid)
            && matches!(self.tables.row.stored_status(), Status::Open | Status::Paused);
        // A constraint of the schema.
        let has = self.tables.units.get(&visitor).copied().unwrap_or(0);
        if !is_good || has + quantity > units(self.tables.row.per_shopper_limit) {
            self.check_refusal(id);
            return Redeemed::No;
        }
        let row = &mut self.tables.admissions[at];
        row.state = State::Redeemed;
        row.claimed_at.get_or_insert(now);
        let until = now + time::Duration::seconds(self.tables.row.hold_s.into());
        self.tables.holds.push(Hold { admission: id, visitor, quantity, until, open: true, expired: false });
        self.move_stock(-1, 1, 0, quantity);
        self.change_units(visitor, i32::try_from(quantity).unwrap_or(0));
        self.check_limit(at);
        self.committed();
        Redeemed::Yes
    }

    /// The holder of this ticket is within the limit per shopper.
    fn check_limit(&mut self, at: usize) {
        let visitor = self.tables.admissions[at].visitor;
        let holder = |id: Uuid| self.tables.admissions.iter().find(|row| row.id == id).map(|row| row.visitor);
        let own = self.tables.holds.iter().filter(|hold| !hold.expired && holder(hold.admission) == Some(visitor));
        let (has, most) = (own.map(|hold| hold.quantity).sum::<u32>(), units(self.tables.row.per_shopper_limit));
        if has > most {
            self.breaks(format!("above the limit: a shopper has {has} units, and may have {most}"));
        }
    }

    fn move_stock(&mut self, promised: i32, held: i32, sold: i32, quantity: u32) {
        let (row, quantity) = (&mut self.tables.row, i32::try_from(quantity).unwrap_or(0));
        row.promised += promised * quantity;
        row.held += held * quantity;
        row.sold += sold * quantity;
    }

    /// The checkout takes the payment of an open hold.
    pub fn pay(&mut self, id: Uuid) {
        let Some(hold) = self.tables.holds.iter_mut().find(|hold| hold.admission == id && hold.open) else { return };
        hold.open = false;
        let quantity = hold.quantity;
        self.move_stock(0, -1, 1, quantity);
        self.committed();
    }

    /// The checkout returns the units of expired holds.
    pub fn expire_holds(&mut self, now_ms: u64) {
        let now = self.clock(now_ms);
        let due = |hold: &Hold| hold.open && hold.until <= now;
        if !self.tables.holds.iter().any(due) {
            return;
        }
        for at in 0..self.tables.holds.len() {
            let hold = self.tables.holds[at];
            if due(&hold) {
                (self.tables.holds[at].open, self.tables.holds[at].expired) = (false, true);
                self.move_stock(0, -1, 0, hold.quantity);
                self.change_units(hold.visitor, -i32::try_from(hold.quantity).unwrap_or(0));
            }
        }
        self.committed();
    }

    /// `AdminSaleStore::change`: an operator adds or removes units; whether it could be done now.
    /// Waits for a tick that moves the sale by the clock. The schema rejects a stock that is
    /// smaller than what is promised, held and sold.
    pub fn change_stock(&mut self, more: i32) -> bool {
        let waits = self.transaction.as_ref().is_some_and(|own| own.status.is_some());
        let row = &self.tables.row;
        if waits || row.promised + row.held + row.sold > row.total + more {
            return false;
        }
        self.tables.row.total += more;
        self.tables.version += 1;
        self.committed();
        true
    }

    /// `TicketActionStore::admit_now`; whether the lock was free.
    pub fn admit_now(&mut self, more: u32) -> bool {
        if self.transaction.is_some() {
            return false;
        }
        self.tables.admit_now = self.tables.admit_now.saturating_add(more).min(AT_ONCE_MAX);
        true
    }

    /// `TicketActionStore::revoke_tokens`; whether the lock was free.
    pub fn revoke_tokens(&mut self) -> bool {
        if self.transaction.is_some() {
            return false;
        }
        self.record_revocation();
        let mut returned = 0;
        for row in self.tables.admissions.iter_mut().filter(|row| row.state == State::Promised) {
            (row.state, row.claimed_at, row.excused, row.faultless) = (State::Lapsed, None, true, true);
            returned += row.quantity;
        }
        self.move_stock(-1, 0, 0, returned);
        self.committed();
        true
    }

    /// `KeyStore::revoke_key`; whether the lock was free.
    pub fn revoke_key(&mut self, kid: &str) -> bool {
        if self.transaction.is_some() {
            return false;
        }
        if !self.tables.revoked.iter().any(|revoked| revoked == kid) {
            self.tables.revoked.push(kid.to_owned());
        }
        let signed = |row: &&mut super::Admission| row.kid == kid && row.state == State::Promised;
        for row in self.tables.admissions.iter_mut().filter(signed) {
            (row.kid, row.published) = (String::new(), None);
        }
        self.committed();
        true
    }

    /// `TicketActionStore::insert_ticket_action`: a ticket is removed or preferred, unless it has
    /// had its turn; whether the lock was free.
    pub fn insert_ticket_action(&mut self, line: usize, ordinal: Ordinal, visitor: VisitorId, removed: bool) -> bool {
        if self.transaction.is_some() {
            return false;
        }
        let has_turn =
            |row: &super::Admission| row.line == line && row.ordinal == ordinal && row.state != State::Lapsed;
        if !self.tables.admissions.iter().any(has_turn) {
            let is_same = |row: &TicketActionRow| row.line == line && row.ordinal == ordinal && row.removed == removed;
            match self.tables.ticket_actions.iter_mut().find(|row| is_same(row)) {
                Some(row) => (row.done, row.published_epoch) = (false, 0),
                None => self.tables.ticket_actions.push(TicketActionRow {
                    line,
                    ordinal,
                    visitor,
                    removed,
                    at_limit: false,
                    done: false,
                    published_epoch: 0,
                }),
            }
            self.committed();
        }
        true
    }

    /// `AdminSaleStore::set_status`; whether it could be done now. Pauses wait for the lock. A sale
    /// that is opened early gets the current time as its opening.
    pub fn act(&mut self, now_ms: u64, action: Action) -> bool {
        let from = self.tables.row.stored_status();
        let Some(to) = after(from, action) else { return false };
        let waits = self
            .transaction
            .as_ref()
            .is_some_and(|own| own.status.is_some() || from == Status::Paused || to == Status::Paused);
        if waits {
            return false;
        }
        to.as_stored().clone_into(&mut self.tables.row.status);
        if to == Status::Open {
            self.tables.row.opens_at = self.tables.row.opens_at.min(self.clock(now_ms));
        }
        self.tables.version += 1;
        if from == Status::Paused || to == Status::Paused {
            self.tables.admit_now = 0;
        }
        self.committed();
        true
    }

    /// `RestoreStore::raise`, as `fairline restore` calls it for a database that was put back.
    pub fn raise(&mut self, line: usize, redis: &Home) {
        let row = &mut self.tables.lines[line];
        row.epoch = row.epoch.max(i32::try_from(redis.epoch).unwrap_or(0)) + EPOCHS_LEAPT;
        let margin = if self.bugs.has(Bug::RestoreWithoutMargin) { 0 } else { MARGIN };
        row.granted = row.granted.max(i64::try_from(redis.granted).unwrap_or(0)) + margin;
        (row.home, row.rapid_epochs) = (None, 0);
    }
}
