//! The statements of the controller's tick, each as `admission-controller/src/controller/postgres/` has it in SQL.

use std::{
    collections::{HashMap, HashSet},
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use admission_controller::simulated::{
    Agenda, Intervention, InterventionStatements, LimitStatements, LineRow, LineStatements, Locked, Moved, NotServed,
    PUBLICATIONS_A_TICK, PUBLISHED_MAX, PUBLISHED_WITHIN, PastTurns, REPUBLISHED_AT_ONCE, RecordStatements, Recorder,
    Running, SETTLED, Sale, StoreError, Ticked, TurnRow, Unpublished, granted_ahead, session_lost,
};
use async_trait::async_trait;
use fairline_admission::{Prior, Visits};
use fairline_line::{
    store::{Claim, Home, Upcoming},
    ticket::Ordinal,
};
use fairline_record::Hash;
use fairline_sale::{SaleId, Status, VisitorId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Admission, Intervened, Ledger, Noted, SessionLost, State, Tables, status_word, tables::units};
use crate::{
    bugs::Bug,
    gate::{Gate, Now, Wait},
    sale::{SALE, SEED},
};

/// Of the ordinals that are granted ahead, one in so many, and the fewest: bitmaps stay small.
const GRANTED_PART: i64 = 1000;
const GRANTED_MIN: i64 = 50;
/// Turns that are over and are told in one tick at most.
const OVER_MAX: usize = 2000;
/// How much later what happened in checkout is taken in.
const SETTLED_S: i64 = 1;

/// A controller's way to the ledger.
#[derive(Clone)]
pub struct Postgres {
    /// The ledger.
    pub ledger: Arc<Mutex<Ledger>>,
    /// Where transactions stop.
    pub gate: Gate,
    /// Virtual time.
    pub now: Now,
    /// They stop before each statement, not only before locks and before and after commits.
    pub stops_often: bool,
}

/// A transaction on a locked sale.
pub struct Session {
    sale: Sale,
    id: u64,
    postgres: Postgres,
    /// Admissions made, line by line, and how many of these are of tickets that had none before.
    made: Vec<i64>,
    first: Vec<i64>,
    promised: i32,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.postgres.ledger().roll_back(self.id);
    }
}

impl Deref for Session {
    type Target = Sale;

    fn deref(&self) -> &Sale {
        &self.sale
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Sale {
        &mut self.sale
    }
}

impl From<SessionLost> for StoreError {
    fn from(_: SessionLost) -> Self {
        session_lost()
    }
}

fn stored(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn sum(rows: &[Admission]) -> i32 {
    i32::try_from(rows.iter().map(|row| row.quantity).sum::<u32>()).unwrap_or(i32::MAX)
}

impl Postgres {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another one after every change of the sale.
    pub fn version(&self) -> u64 {
        self.ledger().tables.version
    }

    fn now_ms(&self) -> u64 {
        self.now.get()
    }
}

#[async_trait]
impl admission_controller::simulated::Ledger for Postgres {
    type Locked = Session;

    async fn running(&self) -> Result<Vec<Running>, StoreError> {
        Ok(Vec::new())
    }

    async fn lock(&self, sale: SaleId, waits: bool) -> Result<Option<Session>, StoreError> {
        debug_assert_eq!(sale, SALE, "there is one sale");
        self.gate.stop(Wait::Ready).await;
        let began = self.ledger().clock(self.now_ms());
        loop {
            if let Some(session) = self.locked(began) {
                return Ok(Some(session));
            }
            if !waits {
                return Ok(None);
            }
            self.gate.stop(Wait::Lock).await;
        }
    }
}

impl Postgres {
    fn locked(&self, began: OffsetDateTime) -> Option<Session> {
        let now_ms = self.now_ms();
        let mut ledger = self.ledger();
        let id = ledger.begin(now_ms, began)?;
        let mut row = ledger.tables.row.clone();
        row.now = ledger.clock(now_ms);
        let mut lines = ledger.tables.lines.clone();
        row.revealed_seed = lines.iter().any(|line| line.drawn.is_some()).then(|| SEED.to_vec());
        if ledger.bugs.has(Bug::NumbersFromWhatWasNoted) {
            for (at, line) in lines.iter_mut().enumerate() {
                line.publication += ledger.unnoted.get(&at).copied().unwrap_or(0);
            }
        }
        if ledger.bugs.has(Bug::NoFence) {
            lines.iter_mut().for_each(|line| (line.home, line.restless) = (None, 0));
        }
        drop(ledger);
        let none = vec![0; lines.len()];
        let (made, first) = (none.clone(), none);
        Some(Session { sale: Sale { row, lines }, id, postgres: self.clone(), made, first, promised: 0 })
    }
}

impl Session {
    /// One statement: `now()` is when the transaction began.
    async fn statement<T>(
        &mut self,
        does: impl FnOnce(&mut Self, &mut Ledger, OffsetDateTime) -> T + Send,
    ) -> Result<T, StoreError> {
        if self.postgres.stops_often {
            self.postgres.gate.stop(Wait::Ready).await;
        }
        let postgres = self.postgres.clone();
        let mut ledger = postgres.ledger();
        let began = ledger.own(self.id, postgres.now_ms())?.began;
        Ok(does(self, &mut ledger, began))
    }

    /// Writes the row of a line, as it is here.
    fn keep_line(&self, ledger: &mut Ledger, at: usize) {
        let notes_late = ledger.bugs.has(Bug::NumbersFromWhatWasNoted);
        if let Some(own) = &mut ledger.transaction {
            let noted = own.lines[at].publication;
            own.lines[at] = self.sale.lines[at].clone();
            if notes_late {
                own.lines[at].publication = noted;
            }
        }
    }
}

fn interventions(ledger: &mut Ledger) -> &mut Vec<Intervened> {
    match &mut ledger.transaction {
        Some(own) => &mut own.interventions,
        // Not reached: a statement has a transaction.
        None => &mut ledger.tables.interventions,
    }
}

/// Whether a token runs out at this moment.
fn is_over(row: &Admission, now: OffsetDateTime, claims_age: Duration) -> bool {
    row.expires_at <= now || (row.claimed_at.is_none() && row.claim_by <= now - claims_age)
}

/// How many ordinals this ledger grants ahead of the controller's number.
fn ahead(restless: u32) -> i64 {
    (granted_ahead(restless) / GRANTED_PART).max(GRANTED_MIN)
}

fn at_limit(tables: &Tables, visitor: VisitorId) -> bool {
    let most = units(tables.row.per_shopper_limit);
    tables.units.get(&visitor).is_some_and(|&units| units >= most)
}

#[async_trait]
impl Locked for Session {
    async fn agenda(&mut self, good_keys: &[String]) -> Result<Agenda, StoreError> {
        let good_keys = good_keys.to_vec();
        self.statement(|own, ledger, now| {
            let closed = own.sale.row.stored_status() == Status::Closed;
            let epoch = |at: usize| own.sale.lines[at].epoch;
            let out = || ledger.seen().map(|(_, row)| row).filter(|row| row.state == State::Promised);
            let mut all = ledger.seen().map(|(_, row)| row);
            let unrecorded = all.any(|row| row.recorded != row.state);
            let mut all = ledger.seen().map(|(_, row)| row);
            let row = &ledger.tables.row;
            let wanted = ledger.transaction.as_ref().map_or(&[][..], |own| &own.interventions);
            let agenda = Agenda {
                total: row.total,
                promised: row.promised,
                held: row.held,
                sold: row.sold,
                admit_now: i32::try_from(ledger.tables.admit_now).unwrap_or(0),
                revoked: ledger.tables.revoked.clone(),
                lapses: out().any(|row| closed || is_over(row, now, Duration::ZERO)),
                unsigned: out().any(|row| !good_keys.contains(&row.kid)),
                unrecorded,
                unpublished: all.any(|row| row.published != Some(row.state))
                    || out().any(|row| row.published_epoch < epoch(row.line)),
                interventions: wanted.iter().any(|row| !row.done),
                unpublished_removals: wanted.iter().any(|row| row.removed && row.told_epoch < epoch(row.line)),
                known: 0,
                here: 0,
                answered: 0,
                failed: 0,
                slow: 0,
            };
            own.sale.row.take_stock(&agenda);
            agenda
        })
        .await
    }

    // In guarantee mode visits decide nothing.
    async fn visits(&mut self) -> Result<(Visits, OffsetDateTime), StoreError> {
        let till = self.sale.row.now - time::Duration::seconds(SETTLED_S);
        let after = if self.sale.row.observed_at > self.sale.row.now { till } else { self.sale.row.observed_at };
        Ok((Visits::default(), till.max(after)))
    }

    async fn prior(&mut self) -> Result<Prior, StoreError> {
        Ok(Prior::cautious())
    }

    async fn set_status(&mut self, to: Status) -> Result<bool, StoreError> {
        let id = self.id;
        self.postgres.ledger().transaction.iter_mut().filter(|own| own.id == id).for_each(|own| own.moves = true);
        self.statement(move |own, ledger, _| {
            ledger.transaction.iter_mut().for_each(|own| own.moves = false);
            let moves = ledger.tables.row.status == own.sale.row.status;
            if let Some(transaction) = ledger.transaction.as_mut().filter(|_| moves) {
                transaction.status = Some(to);
                transaction.is_open = to == Status::Open;
            }
            if !moves && !ledger.bugs.has(Bug::MovedAfterAnOperator) {
                return false;
            }
            status_word(to).clone_into(&mut own.sale.row.status);
            true
        })
        .await
    }

    async fn lapse(&mut self, claims_age: Duration) -> Result<bool, StoreError> {
        self.statement(move |own, ledger, now| {
            let closed = own.sale.row.stored_status() == Status::Closed;
            let (from, till) = (own.sale.row.away_from, own.sale.row.away_till);
            let excuses = !ledger.bugs.has(Bug::OutagesCount);
            let lapsed = ledger.update(
                |row| row.state == State::Promised && (closed || is_over(row, now, claims_age)),
                |row| {
                    row.state = State::Lapsed;
                    let was_away =
                        from.is_some_and(|from| row.claim_by > from) && till.is_some_and(|till| row.issued_at < till);
                    row.faultless = row.claimed_at.is_none() && was_away;
                    row.excused = excuses && row.faultless;
                },
            );
            own.promised -= sum(&lapsed);
            !lapsed.is_empty()
        })
        .await
    }

    async fn sign_again(&mut self, good: &[String], kid: &str) -> Result<(), StoreError> {
        let (good, kid) = (good.to_vec(), kid.to_owned());
        self.statement(move |_, ledger, _| {
            ledger.update(
                |row| row.state == State::Promised && !good.contains(&row.kid),
                |row| (row.kid, row.published) = (kid.clone(), None),
            );
        })
        .await
    }

    async fn note(&mut self, ticked: &Ticked<'_>) -> Result<(), StoreError> {
        let memory = ticked.memory.and_then(|memory| serde_json::to_string(memory).ok());
        let (why, observed_till, settled) = (ticked.why.to_owned(), ticked.observed_till, ticked.settled);
        self.statement(move |own, ledger, _| {
            let row = &own.sale.row;
            let noted = Noted {
                memory: memory.unwrap_or_else(|| row.memory.clone()),
                last_decision: Some(why),
                ticked_at: row.now,
                observed_at: observed_till.unwrap_or(row.observed_at),
                away: (row.away_from, row.away_till),
                settled,
            };
            if let Some(transaction) = &mut ledger.transaction {
                transaction.noted = Some(noted);
            }
        })
        .await
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.postgres.gate.stop(Wait::Ready).await;
        self.postgres.ledger().commit(self.id, self.postgres.now_ms(), self.promised)?;
        self.postgres.gate.stop(Wait::Ready).await;
        Ok(())
    }
}

#[async_trait]
impl LineStatements for Session {
    async fn take_claims(&mut self, at: usize, claims: &[(Ordinal, Claim)]) -> Result<(), StoreError> {
        let ordinals = |wanted: Claim| -> Vec<Ordinal> {
            claims.iter().filter(|claim| claim.1 == wanted).map(|claim| claim.0).collect()
        };
        let (claimed, left) = (ordinals(Claim::Claimed), ordinals(Claim::Left));
        self.statement(move |own, ledger, now| {
            let is_out = |row: &Admission| row.line == at && row.state == State::Promised;
            ledger.update(
                |row| is_out(row) && claimed.contains(&row.ordinal) && row.claimed_at.is_none(),
                |row| row.claimed_at = Some(now),
            );
            let left = ledger.update(|row| is_out(row) && left.contains(&row.ordinal), |row| row.state = State::Lapsed);
            own.promised -= sum(&left);
        })
        .await
    }

    async fn not_to_be_served(&mut self, at: usize, tickets: &[Ordinal]) -> Result<NotServed, StoreError> {
        let tickets = tickets.to_vec();
        self.statement(move |_, ledger, _| {
            let own = ledger.seen().map(|(_, row)| row);
            let own: Vec<_> = own.filter(|row| row.line == at && tickets.contains(&row.ordinal)).collect();
            let had = own.iter().filter(|row| row.state != State::Lapsed).map(|row| row.ordinal);
            let lapsed = own.iter().filter(|row| row.state == State::Lapsed && row.published != Some(row.state));
            let removed = |row: &&Intervened| row.line == at && row.removed && tickets.contains(&row.ordinal);
            let wanted = ledger.transaction.as_ref().map_or(&[][..], |own| &own.interventions);
            let taken_out = wanted.iter().filter(removed);
            NotServed {
                passed_over: had.chain(taken_out.clone().map(|row| row.ordinal)).collect(),
                unrecorded: taken_out.filter(|row| !row.done).map(|row| row.ordinal).collect(),
                lapsed: lapsed.filter(|_| !ledger.bugs.has(Bug::AdmitsUnpublished)).map(|row| row.ordinal).collect(),
            }
        })
        .await
    }

    async fn admit(
        &mut self,
        at: usize,
        tickets: &[(Ordinal, VisitorId, u32)],
        kid: &str,
    ) -> Result<Vec<Ordinal>, StoreError> {
        if tickets.is_empty() {
            return Ok(Vec::new());
        }
        let (tickets, kid) = (tickets.to_vec(), kid.to_owned());
        self.statement(move |own, ledger, _| {
            let now = ledger.clock(own.postgres.now_ms());
            let after = |seconds: i32| now + time::Duration::seconds(seconds.into());
            let (claim_by, expires_at) = (after(own.sale.row.claim_window_s), after(own.sale.row.token_ttl_s));
            let mut made = Vec::new();
            for (ordinal, visitor, quantity) in tickets {
                let of_ticket = |row: &Admission| row.line == at && row.ordinal == ordinal;
                let (mut taken, mut lapsed) = (false, false);
                for (_, row) in ledger.seen().filter(|(_, row)| of_ticket(row)) {
                    taken |= row.state != State::Lapsed;
                    lapsed |= row.state == State::Lapsed;
                }
                if taken {
                    continue;
                }
                ledger.ids += 1;
                let row = Admission {
                    id: Uuid::from_u128(ledger.ids),
                    line: at,
                    ordinal,
                    visitor,
                    quantity,
                    kid: kid.clone(),
                    state: State::Promised,
                    issued_at: now,
                    claim_by,
                    expires_at,
                    claimed_at: None,
                    excused: false,
                    faultless: false,
                    published: None,
                    published_epoch: 0,
                    recorded: State::Promised,
                };
                if let Some(transaction) = &mut ledger.transaction {
                    transaction.made.push(row);
                }
                own.made[at] += 1;
                own.first[at] += i64::from(!lapsed);
                own.promised += i32::try_from(quantity).unwrap_or(0);
                made.push(ordinal);
            }
            made
        })
        .await
    }

    async fn note_moved(&mut self, at: usize, cursor: Ordinal, seen: &Upcoming) -> Result<(), StoreError> {
        let seen = seen.clone();
        self.statement(move |own, ledger, _| {
            let line = &mut own.sale.lines[at];
            let is_settled = own.sale.row.now - line.epoch_began_at > SETTLED;
            let granted_ahead = ahead(if is_settled { 0 } else { line.restless() });
            let moved = Moved { cursor, granted_ahead, admitted: own.made[at], first: own.first[at] };
            line.move_on(&moved, &seen, own.sale.row.now);
            own.keep_line(ledger, at);
        })
        .await
    }

    async fn number_publications(&mut self) -> Result<(), StoreError> {
        self.statement(|own, ledger, _| {
            let noted: Vec<i64> = ledger.tables.lines.iter().map(|line| line.publication).collect();
            for (at, noted) in noted.into_iter().enumerate() {
                own.sale.lines[at].publication = noted + PUBLICATIONS_A_TICK;
                if ledger.bugs.has(Bug::NumbersFromWhatWasNoted) {
                    ledger.unnoted.insert(at, PUBLICATIONS_A_TICK);
                    continue;
                }
                if let Some(transaction) = &mut ledger.transaction {
                    transaction.lines[at].publication = noted + PUBLICATIONS_A_TICK;
                }
            }
        })
        .await
    }

    async fn unpublished(&mut self, at: usize, again: &[Ordinal]) -> Result<Vec<Unpublished>, StoreError> {
        let again = again.to_vec();
        self.statement(move |own, ledger, _| {
            let epoch = own.sale.lines[at].epoch;
            let bug = ledger.bugs.has(Bug::OldAdmissionsToldAgain);
            let by_clock = ledger.bugs.has(Bug::NewestByClock);
            let counts = |row: &Admission| !row.excused || ledger.bugs.has(Bug::RevocationsCount);
            // Their positions are the column `number`.
            let rows: Vec<(usize, &Admission)> = ledger.seen().filter(|(_, row)| row.line == at).collect();
            let mut found: Vec<(usize, &Admission)> = rows
                .iter()
                .copied()
                .filter(|(_, row)| {
                    let anew = row.state == State::Promised || bug;
                    row.published != Some(row.state)
                        || (anew && row.published_epoch < epoch)
                        || (again.contains(&row.ordinal) && row.state != State::Lapsed)
                })
                .collect();
            found.sort_by_key(|(_, row)| (row.state != State::Promised, row.issued_at, row.ordinal));
            found.truncate(usize::try_from(PUBLISHED_MAX).unwrap_or(0));
            let unpublished = |(number, row): (usize, &Admission)| {
                let of_ticket = || rows.iter().copied().filter(|(_, other)| other.ordinal == row.ordinal);
                let lapses = of_ticket().filter(|(_, other)| other.state == State::Lapsed && counts(other)).count();
                let is_newer = |(other, newer): (usize, &Admission)| {
                    let is_later = if by_clock { newer.issued_at > row.issued_at } else { other > number };
                    newer.state != State::Lapsed || is_later
                };
                Unpublished {
                    id: row.id,
                    ordinal: stored(row.ordinal),
                    visitor: row.visitor.0.to_vec(),
                    quantity: i32::try_from(row.quantity).unwrap_or(0),
                    kid: row.kid.clone(),
                    state: row.state.word().to_owned(),
                    issued_at: row.issued_at,
                    claim_by: row.claim_by,
                    claimed_at: row.claimed_at,
                    expires_at: row.expires_at,
                    lapses: stored(lapses as u64),
                    superseded: !bug && row.state == State::Lapsed && of_ticket().any(is_newer),
                }
            };
            found.into_iter().map(unpublished).collect()
        })
        .await
    }

    async fn begin_epoch(&mut self, at: usize, redis: &Home) -> Result<(), StoreError> {
        let redis = redis.clone();
        self.statement(move |own, ledger, _| {
            let before_draw = own.sale.row.draw_is_due(&own.sale.lines[at]);
            let now = own.sale.row.now;
            let clock = ledger.clock(own.postgres.now_ms());
            let line: &mut LineRow = &mut own.sale.lines[at];
            line.restless = line.restless_with_another(now);
            line.lose(now);
            line.retell_below = (line.epoch > 0).then_some(i64::MAX);
            line.epoch = line.epoch.max(i32::try_from(redis.epoch).unwrap_or(i32::MAX - 1)) + 1;
            line.above = line.granted.max(stored(redis.granted));
            if !before_draw {
                line.cursor = line.above;
            }
            line.highest_ordinal = line.above;
            line.granted = line.above + ahead(line.restless());
            line.home = Some(redis.run_id.clone());
            line.epoch_began_at = clock + PUBLISHED_WITHIN;
            own.keep_line(ledger, at);
        })
        .await
    }

    async fn note_published(&mut self, at: usize, published: &[Unpublished], begins: bool) -> Result<(), StoreError> {
        let told: Vec<(Uuid, State)> = published.iter().map(|row| (row.id, State::of(&row.state))).collect();
        self.statement(move |own, ledger, _| {
            let epoch = own.sale.lines[at].epoch;
            for (id, state) in told {
                ledger.update(|row| row.id == id, |row| (row.published, row.published_epoch) = (Some(state), epoch));
            }
            let clock = ledger.clock(own.postgres.now_ms());
            let line = &mut own.sale.lines[at];
            line.published_status = Some(own.sale.row.status.clone());
            if begins {
                line.epoch_began_at = clock;
            }
            own.keep_line(ledger, at);
            let publication = own.sale.lines[at].publication;
            if let Some(transaction) = &mut ledger.transaction {
                transaction.lines[at].publication = publication;
                transaction.told = true;
            }
        })
        .await
    }

    async fn past_turns(&mut self, at: usize) -> Result<PastTurns, StoreError> {
        self.statement(move |own, ledger, _| {
            let below = own.sale.lines[at].retell_below.unwrap_or(0);
            let counts = ledger.bugs.has(Bug::RevocationsCount);
            let is_below = |row: &Admission| row.line == at && stored(row.ordinal) < below;
            let mut rows: Vec<(usize, &Admission)> = ledger.seen().filter(|(_, row)| is_below(row)).collect();
            rows.sort_by_key(|(number, row)| std::cmp::Reverse((row.ordinal, *number)));
            rows.truncate(usize::try_from(REPUBLISHED_AT_ONCE).unwrap_or(0));
            let turn = |(_, row): &(usize, &Admission)| TurnRow {
                ordinal: stored(row.ordinal),
                state: row.state.word().to_owned(),
                claimed: row.claimed_at.is_some(),
                excused: row.excused && !counts,
            };
            PastTurns::of(&rows.iter().map(turn).collect::<Vec<_>>())
        })
        .await
    }

    async fn note_republished(&mut self, at: usize, told: &PastTurns) -> Result<(), StoreError> {
        let below = told.below();
        self.statement(move |own, ledger, _| {
            own.sale.lines[at].retell_below = below;
            own.keep_line(ledger, at);
        })
        .await
    }
}

#[async_trait]
impl RecordStatements for Session {
    async fn write_record(&mut self, at: usize, record: Recorder) -> Result<(), StoreError> {
        if !self.sale.lines[at].is_record_changed(&record) {
            return Ok(());
        }
        self.statement(move |own, ledger, _| {
            let (entries, head) = record.entries();
            own.sale.lines[at].keep_record(&record, head);
            let entries = entries.iter().filter_map(|entry| entry.to_line().ok());
            if let Some(transaction) = &mut ledger.transaction {
                transaction.entries.extend(entries.map(|entry| (at, entry)));
            }
            own.keep_line(ledger, at);
        })
        .await
    }

    async fn take_over(&mut self, at: usize) -> Result<(Vec<Ordinal>, Vec<Ordinal>), StoreError> {
        self.statement(move |_, ledger, _| {
            let news = ledger.seen().filter(|(_, row)| row.line == at && row.recorded != row.state);
            let mut news: Vec<_> = news.map(|(index, row)| (row.issued_at, row.ordinal, index)).collect();
            news.sort_unstable();
            let written = |(_, _, index)| ledger.write(index, |row| row.recorded = row.state);
            let over: Vec<Admission> = news.into_iter().take(OVER_MAX).filter_map(written).collect();
            let of = |state: State| {
                let mut ordinals: Vec<Ordinal> =
                    over.iter().filter(|row| row.state == state).map(|row| row.ordinal).collect();
                ordinals.sort_unstable();
                ordinals
            };
            (of(State::Lapsed), of(State::Redeemed))
        })
        .await
    }

    async fn seed(&mut self) -> Result<[u8; 32], StoreError> {
        Ok(SEED)
    }

    async fn note_draw(&mut self, at: usize, pool: Ordinal, key: Hash) -> Result<(), StoreError> {
        self.statement(move |own, ledger, _| {
            let line = &mut own.sale.lines[at];
            if line.drawn.is_none() {
                (line.drawn, line.draw_key) = (Some(stored(pool)), Some(key.0.to_vec()));
            }
            own.keep_line(ledger, at);
        })
        .await
    }
}

#[async_trait]
impl InterventionStatements for Session {
    async fn unrecorded_removals(&mut self, at: usize) -> Result<Vec<Ordinal>, StoreError> {
        self.statement(move |_, ledger, _| {
            let wanted = interventions(ledger).iter().filter(|row| row.line == at && row.removed && !row.done);
            wanted.map(|row| row.ordinal).collect()
        })
        .await
    }

    async fn unpublished_removals(&mut self, at: usize, again: &[Ordinal]) -> Result<Vec<(Ordinal, bool)>, StoreError> {
        let again = again.to_vec();
        self.statement(move |own, ledger, _| {
            let epoch = own.sale.lines[at].epoch;
            let untold = |row: &&Intervened| {
                row.line == at && row.removed && (row.told_epoch < epoch || again.contains(&row.ordinal))
            };
            interventions(ledger).iter().filter(untold).map(|row| (row.ordinal, row.at_limit)).collect()
        })
        .await
    }

    async fn preferred(&mut self, at: usize) -> Result<Vec<(Ordinal, VisitorId)>, StoreError> {
        self.statement(move |_, ledger, _| {
            let wanted = interventions(ledger).iter().filter(|row| row.line == at && !row.removed && !row.done);
            wanted.map(|row| (row.ordinal, row.visitor)).collect()
        })
        .await
    }

    async fn note_done(&mut self, at: usize, what: Intervention, tickets: &[Ordinal]) -> Result<(), StoreError> {
        let tickets = tickets.to_vec();
        self.statement(move |_, ledger, _| {
            for row in interventions(ledger) {
                let is_of_kind = row.removed == (what == Intervention::Remove);
                row.done |= row.line == at && is_of_kind && tickets.contains(&row.ordinal);
            }
        })
        .await
    }

    async fn note_removals_published(&mut self, at: usize, tickets: &[Ordinal]) -> Result<(), StoreError> {
        let tickets = tickets.to_vec();
        self.statement(move |own, ledger, _| {
            let epoch = own.sale.lines[at].epoch;
            for row in interventions(ledger) {
                if row.line == at && row.removed && tickets.contains(&row.ordinal) {
                    row.told_epoch = epoch;
                }
            }
        })
        .await
    }

    async fn note_at_once(&mut self, left: u32) -> Result<(), StoreError> {
        self.statement(move |_, ledger, _| {
            if let Some(transaction) = &mut ledger.transaction {
                transaction.admit_now = Some(left);
            }
        })
        .await
    }
}

#[async_trait]
impl LimitStatements for Session {
    async fn take_out_at_limit(
        &mut self,
        at: usize,
        tickets: &[(Ordinal, VisitorId)],
    ) -> Result<Vec<Ordinal>, StoreError> {
        if tickets.is_empty() {
            return Ok(Vec::new());
        }
        let tickets = tickets.to_vec();
        self.statement(move |_, ledger, _| {
            let out: Vec<_> = tickets.into_iter().filter(|&(_, visitor)| at_limit(&ledger.tables, visitor)).collect();
            let mut taken_out = Vec::new();
            for (ordinal, visitor) in out {
                let known = interventions(ledger)
                    .iter_mut()
                    .find(|row| row.line == at && row.removed && row.ordinal == ordinal);
                match known {
                    Some(row) if row.done => continue,
                    Some(row) => row.done = true,
                    None => {
                        let new = Intervened {
                            line: at,
                            ordinal,
                            visitor,
                            removed: true,
                            at_limit: true,
                            done: true,
                            told_epoch: 0,
                        };
                        interventions(ledger).push(new);
                    }
                }
                taken_out.push(ordinal);
            }
            taken_out
        })
        .await
    }

    async fn take_back_at_limit(&mut self) -> Result<bool, StoreError> {
        self.statement(|own, ledger, _| {
            let news = ledger.seen().map(|(_, row)| row);
            let news = news.filter(|row| row.state == State::Redeemed && row.recorded != row.state);
            let full: HashSet<VisitorId> =
                news.map(|row| row.visitor).filter(|&visitor| at_limit(&ledger.tables, visitor)).collect();
            let lapsed = ledger.update(
                |row| row.state == State::Promised && full.contains(&row.visitor),
                |row| row.state = State::Lapsed,
            );
            own.promised -= sum(&lapsed);
            for row in &lapsed {
                let known = interventions(ledger)
                    .iter()
                    .any(|known| known.line == row.line && known.removed && known.ordinal == row.ordinal);
                if !known {
                    interventions(ledger).push(Intervened {
                        line: row.line,
                        ordinal: row.ordinal,
                        visitor: row.visitor,
                        removed: true,
                        at_limit: true,
                        done: false,
                        told_epoch: 0,
                    });
                }
            }
            !lapsed.is_empty()
        })
        .await
    }

    async fn left_of_limit(&mut self, visitors: &[VisitorId]) -> Result<HashMap<VisitorId, u32>, StoreError> {
        let visitors = visitors.to_vec();
        self.statement(move |_, ledger, _| {
            let most = units(ledger.tables.row.per_shopper_limit);
            let left = |visitor: VisitorId| {
                let units = ledger.tables.units.get(&visitor).copied().filter(|&units| units > 0)?;
                Some((visitor, most.saturating_sub(units)))
            };
            visitors.into_iter().filter_map(left).collect()
        })
        .await
    }
}
