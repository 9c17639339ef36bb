//! The state of a replayed line: which tickets joined, are present, and are next. Each event is
//! compared with that state, and changes it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use fairline_sale::{LineOrder, SaleId, Status};

use crate::{
    Hash, Ordinal, Ranges,
    draw::{self, Draw},
    entry::{RecordEvent, TICKETS_MAX},
};

/// The line, replayed.
#[derive(Debug, Default)]
pub(super) struct ReplayedLine {
    pub(super) sale: Option<SaleId>,
    pub(super) order: LineOrder,
    commitment: Option<Hash>,
    pub(super) status: Option<Status>,
    epoch: u32,
    /// The number of epochs. After a restored backup the epoch numbers are not consecutive.
    pub(super) lives: u32,
    /// The ordinals of the current epoch are higher.
    above: Ordinal,
    pub(super) joined: Ranges,
    pub(super) draw: Option<Draw>,
    /// The highest number whose turn has come.
    cursor: u64,
    away: AbsentTickets,
    /// Tickets behind the cursor that wait again, by number.
    recalled: BTreeMap<u64, Ordinal>,
    /// Numbers of recalled tickets whose turn lapsed meanwhile. The record does not show whether
    /// they still wait, so they may be served or passed over until they are recalled again.
    doubtful: BTreeSet<u64>,
    /// Tickets that were removed from the line, whether their pages are open or not.
    removed: HashSet<Ordinal>,
    /// Tickets with a current turn.
    live: HashSet<Ordinal>,
    /// Tickets whose turn was used.
    used: HashSet<Ordinal>,
}

/// The absent tickets.
#[derive(Debug, Default)]
struct AbsentTickets {
    gone: HashSet<Ordinal>,
    /// A loss of Redis before the draw reset the presence of all tickets up to this ordinal, except
    /// for those in `back`.
    forgotten_to: Ordinal,
    back: HashSet<Ordinal>,
}

impl AbsentTickets {
    fn leave(&mut self, ordinal: Ordinal) {
        self.back.remove(&ordinal);
        self.gone.insert(ordinal);
    }

    fn come_back(&mut self, ordinal: Ordinal) {
        self.gone.remove(&ordinal);
        if ordinal <= self.forgotten_to {
            self.back.insert(ordinal);
        }
    }

    fn has(&self, ordinal: Ordinal) -> bool {
        self.gone.contains(&ordinal) || (ordinal <= self.forgotten_to && !self.back.contains(&ordinal))
    }
}

/// Returns an error with this sentence unless the condition holds.
fn must(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

impl ReplayedLine {
    pub(super) fn take(&mut self, head: Hash, event: &RecordEvent) -> Result<(), String> {
        if let RecordEvent::Sale { .. } = event {
            must(self.sale.is_none(), || "a record begins but once".to_owned())?;
        } else {
            must(self.sale.is_some(), || "a record begins with its sale".to_owned())?;
        }
        match event {
            RecordEvent::Sale { sale, order, commitment } => {
                must(commitment.is_some() == (*order == LineOrder::Draw), || {
                    "a draw, and no other sale, has a commitment".to_owned()
                })?;
                (self.sale, self.order, self.commitment) = (Some(*sale), *order, *commitment);
                Ok(())
            }
            RecordEvent::Status { status } => self.become_status(*status),
            RecordEvent::Epoch { epoch, above } => self.begin_epoch(*epoch, *above),
            RecordEvent::Joined { first, receipts } => self.join(*first, receipts.0.len()),
            RecordEvent::Shown { ordinals, receipts } => self.show(ordinals, receipts.0.len()),
            RecordEvent::Departed { ordinals } | RecordEvent::Left { ordinals } => self.each(ordinals, Self::leave),
            RecordEvent::Removed { ordinals } => self.each(ordinals, |line, ordinal| {
                line.removed.insert(ordinal);
                line.leave(ordinal)
            }),
            RecordEvent::Preferred { ordinals } => self.prefer(ordinals),
            RecordEvent::Returned { ordinals } => self.each(ordinals, Self::come_back),
            RecordEvent::Recalled { ordinals } => self.each(ordinals, Self::recall),
            RecordEvent::Drawn { pool, seed } => self.make_draw(head, *pool, seed),
            RecordEvent::Admitted { ordinals, cursor } => self.admit(ordinals, *cursor),
            RecordEvent::Lapsed { ordinals } => self.each(ordinals, Self::lapse),
            RecordEvent::Redeemed { ordinals } => self.each(ordinals, Self::redeem),
        }
    }

    /// Calls a function for each ticket, all of which must have been issued.
    fn each(&mut self, ordinals: &[Ordinal], act: fn(&mut Self, Ordinal) -> Result<(), String>) -> Result<(), String> {
        bounded(ordinals.len())?;
        ordinals.iter().try_for_each(|&ordinal| {
            must(self.joined.contains(ordinal), || format!("ticket {ordinal} was never given"))?;
            act(self, ordinal)
        })
    }

    fn number_of(&self, ordinal: Ordinal) -> u64 {
        self.draw.as_ref().map_or(ordinal, |draw| draw.number_of(ordinal))
    }

    fn ordinal_at(&self, number: u64) -> Ordinal {
        self.draw.as_ref().map_or(number, |draw| draw.ordinal_at(number))
    }

    fn draw_is_due(&self) -> bool {
        self.order == LineOrder::Draw && self.draw.is_none()
    }

    fn become_status(&mut self, status: Status) -> Result<(), String> {
        must(self.status != Some(Status::Closed), || "the sale had ended".to_owned())?;
        self.status = Some(status);
        Ok(())
    }

    fn begin_epoch(&mut self, epoch: u32, above: Ordinal) -> Result<(), String> {
        must(epoch > self.epoch, || format!("epoch {epoch} does not follow epoch {}", self.epoch))?;
        must(above >= self.joined.highest() && above >= self.above, || {
            format!("the epoch's ordinals start above {above}, but {} was given already", self.joined.highest())
        })?;
        within_a_line(above)?;
        (self.epoch, self.above, self.lives) = (epoch, above, self.lives + 1);
        self.recalled.clear();
        self.doubtful.clear();
        self.away = AbsentTickets::default();
        if self.draw_is_due() {
            self.away.forgotten_to = above;
        } else {
            self.cursor = above;
        }
        Ok(())
    }

    fn join(&mut self, first: Ordinal, count: usize) -> Result<(), String> {
        must(self.epoch > 0, || "tickets were issued before the first epoch".to_owned())?;
        bounded(count)?;
        must(count > 0, || "no ticket was issued".to_owned())?;
        let floor = self.joined.highest().max(self.above).max(self.draw.as_ref().map_or(0, Draw::pool));
        must(first > floor, || format!("ticket {first} was given late: {floor} had been reached"))?;
        let last = first.checked_add(count as u64 - 1).ok_or("there are no such ordinals")?;
        within_a_line(last)?;
        self.joined.insert(first, last);
        Ok(())
    }

    fn show(&mut self, ordinals: &[Ordinal], receipts: usize) -> Result<(), String> {
        bounded(ordinals.len())?;
        must(ordinals.len() == receipts, || "not every ticket has its receipt".to_owned())?;
        for &ordinal in ordinals {
            must((1..=self.above).contains(&ordinal), || format!("ticket {ordinal} is of no life that was lost"))?;
            must(!self.joined.contains(ordinal), || format!("ticket {ordinal} was issued before"))?;
            self.joined.insert(ordinal, ordinal);
        }
        Ok(())
    }

    fn leave(&mut self, ordinal: Ordinal) -> Result<(), String> {
        let number = self.number_of(ordinal);
        self.away.leave(ordinal);
        self.recalled.remove(&number);
        self.doubtful.remove(&number);
        Ok(())
    }

    fn come_back(&mut self, ordinal: Ordinal) -> Result<(), String> {
        self.away.come_back(ordinal);
        Ok(())
    }

    fn recall(&mut self, ordinal: Ordinal) -> Result<(), String> {
        let number = self.number_of(ordinal);
        must(number <= self.cursor, || format!("ticket {ordinal} is served next, but its turn had not come"))?;
        self.away.come_back(ordinal);
        self.doubtful.remove(&number);
        self.recalled.insert(number, ordinal);
        Ok(())
    }

    fn make_draw(&mut self, head: Hash, pool: Ordinal, seed: &Hash) -> Result<(), String> {
        must(self.draw_is_due(), || "a draw that was not announced, or a second one".to_owned())?;
        must(self.status == Some(Status::Open), || "a draw is made when the sale opens".to_owned())?;
        must(self.commitment == Some(draw::commitment(&seed.0)), || {
            "the seed is not the one that the shop had committed to".to_owned()
        })?;
        let all = self.joined.highest().max(self.above);
        must(pool == all, || format!("{pool} tickets were shuffled, but {all} had been given"))?;
        self.draw = Some(Draw::new(draw::key(&seed.0, head), pool).map_err(|error| error.to_string())?);
        Ok(())
    }

    /// Whether a ticket has to be admitted once it is next.
    fn is_waiting(&self, ordinal: Ordinal) -> bool {
        self.joined.contains(ordinal)
            && !self.away.has(ordinal)
            && !self.removed.contains(&ordinal)
            && !self.live.contains(&ordinal)
            && !self.used.contains(&ordinal)
    }

    fn admit(&mut self, ordinals: &[Ordinal], cursor: u64) -> Result<(), String> {
        bounded(ordinals.len())?;
        must(self.status == Some(Status::Open), || "tickets were admitted while the sale was not open".to_owned())?;
        must(!self.draw_is_due(), || "tickets were admitted before the draw".to_owned())?;
        let highest = self.joined.highest().max(self.above);
        must((self.cursor..=highest.max(self.cursor)).contains(&cursor), || {
            format!("the cursor went from {} to {cursor}, and the highest ticket is {highest}", self.cursor)
        })?;
        let mut reached = self.cursor;
        for &ordinal in ordinals {
            must(self.joined.contains(ordinal), || format!("ticket {ordinal} was never given"))?;
            must(!self.live.contains(&ordinal), || format!("ticket {ordinal} was admitted twice at once"))?;
            must(!self.used.contains(&ordinal), || {
                format!("ticket {ordinal} was admitted again after its turn was used")
            })?;
            let number = self.number_of(ordinal);
            if number <= self.cursor {
                must(reached == self.cursor, || format!("ticket {ordinal} was recalled, but served after others"))?;
                must(self.recalled.contains_key(&number), || {
                    format!("ticket {ordinal} was admitted, but its turn had passed and it was not recalled")
                })?;
                self.pass_recalled(number, ordinal)?;
                self.recalled.remove(&number);
                self.doubtful.remove(&number);
            } else {
                must(number > reached, || format!("ticket {ordinal} was admitted after others who were behind it"))?;
                self.pass_recalled(u64::MAX, ordinal)?;
                must(!self.away.has(ordinal), || format!("ticket {ordinal} was admitted, but had departed"))?;
                self.pass(reached, number - 1, ordinal)?;
                reached = number;
            }
            self.live.insert(ordinal);
        }
        must(cursor >= reached, || format!("the cursor is at {cursor}, but {reached} was served"))?;
        if cursor > self.cursor {
            self.pass_recalled(u64::MAX, 0)?;
            self.pass(reached, cursor, 0)?;
        }
        self.cursor = cursor;
        Ok(())
    }

    /// Admissions out of order, recorded as such.
    fn prefer(&mut self, ordinals: &[Ordinal]) -> Result<(), String> {
        must(self.status == Some(Status::Open), || "tickets were admitted while the sale was not open".to_owned())?;
        must(!self.draw_is_due(), || "tickets were admitted before the draw".to_owned())?;
        self.each(ordinals, |line, ordinal| {
            must(!line.used.contains(&ordinal), || {
                format!("ticket {ordinal} was admitted again after its turn was used")
            })?;
            must(line.live.insert(ordinal), || format!("ticket {ordinal} was admitted twice at once"))?;
            let number = line.number_of(ordinal);
            line.recalled.remove(&number);
            line.doubtful.remove(&number);
            Ok(())
        })
    }

    /// Checks that no recalled ticket with a lower number still waits.
    fn pass_recalled(&self, below: u64, for_whom: Ordinal) -> Result<(), String> {
        let waits = |number: &u64, ordinal: &Ordinal| {
            let is_over = self.live.contains(ordinal) || self.used.contains(ordinal) || self.removed.contains(ordinal);
            !is_over && !self.doubtful.contains(number)
        };
        match self.recalled.range(..below).find(|(number, ordinal)| waits(number, ordinal)) {
            Some((_, &who)) => Err(passed_over(who, for_whom, "was recalled")),
            None => Ok(()),
        }
    }

    /// Checks that no ticket with a number in `(from, to]` waits.
    fn pass(&self, from: u64, to: u64, for_whom: Ordinal) -> Result<(), String> {
        // The cursor was checked against the highest ticket, so this is bounded.
        match (from + 1..=to).map(|number| self.ordinal_at(number)).find(|&ordinal| self.is_waiting(ordinal)) {
            Some(who) => Err(passed_over(who, for_whom, "was ahead")),
            None => Ok(()),
        }
    }

    fn lapse(&mut self, ordinal: Ordinal) -> Result<(), String> {
        must(self.live.remove(&ordinal), || format!("the turn of ticket {ordinal} lapsed, but it had none"))?;
        let number = self.number_of(ordinal);
        if self.recalled.contains_key(&number) {
            self.doubtful.insert(number);
        }
        Ok(())
    }

    fn redeem(&mut self, ordinal: Ordinal) -> Result<(), String> {
        must(self.live.remove(&ordinal), || format!("ticket {ordinal} used a turn that it did not have"))?;
        self.used.insert(ordinal);
        let number = self.number_of(ordinal);
        self.recalled.remove(&number);
        self.doubtful.remove(&number);
        Ok(())
    }
}

/// Limits the work that a record can demand.
fn within_a_line(ordinal: Ordinal) -> Result<(), String> {
    must(ordinal <= draw::POOL_MAX, || format!("a line has {} tickets at most", draw::POOL_MAX))
}

fn passed_over(who: Ordinal, for_whom: Ordinal, why: &str) -> String {
    if for_whom == 0 {
        format!("ticket {who} {why}, and was passed over")
    } else {
        format!("ticket {for_whom} was admitted, but ticket {who} {why} and was still waiting")
    }
}

fn bounded(count: usize) -> Result<(), String> {
    must(count <= TICKETS_MAX, || format!("an entry contains up to {TICKETS_MAX} tickets"))
}
