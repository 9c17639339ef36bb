//! The promises: those that always hold are checked after each step, those that take time when all
//! faults have ended.

use std::collections::BTreeMap;

use admission_controller::testing::LineRow;
use fairline_line::{change::Turn, ticket::Ordinal};
use fairline_record::draw::Draw;
use waiting_room::testing::ShownOutcome;

use crate::{
    event::{CONTROLLERS, NODES, StoryEvent},
    ledger::{Admission, Ledger, Newest, State, Tables},
    redis::Reply,
    sale::{admission_of, redis_key},
    world::{Progress, World},
};

/// Time until everything has settled after all faults ended, in ms.
const SETTLES_MS: u64 = 60_000;
/// It stays settled for this long before the check, in ms.
const SETTLED_MS: u64 = 3000;
/// The unit of a shopper who leaves with a token is returned within this time, in ms.
const LEFT_MS_MAX: u64 = 3000;
/// Epochs that may begin after all faults ended: one for an earlier fault, and one whose
/// announcement was in progress.
const EPOCHS_MAX: i32 = 3;

fn text(reply: Reply) -> Option<String> {
    match reply {
        Reply::Bulk(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        _ => None,
    }
}

impl World {
    /// The state of a ticket's turn in a Redis.
    pub(crate) fn turn_in_redis(&self, server: usize, ordinal: Ordinal) -> Option<String> {
        text(self.servers[server].read(&[b"HGET", &redis_key("turns"), ordinal.to_string().as_bytes()]))
    }

    fn revision_of(&self, server: usize) -> Option<(u64, u64)> {
        let field = |name: &[u8]| text(self.servers[server].read(&[b"HGET", &redis_key("line"), name]))?.parse().ok();
        Some((field(b"epoch")?, field(b"rev")?))
    }

    /// Checks what holds after each step.
    pub(crate) fn check(&mut self) {
        self.check_pages();
        self.check_turns();
        self.check_order();
    }

    /// Redis has what the ledger has recorded as published.
    fn check_turns(&mut self) {
        let now = (self.ledger().commits, [0, 1].map(|server| self.servers[server].writes));
        if std::mem::replace(&mut self.checked, now) == now {
            return;
        }
        let found = {
            let ledger = self.ledger();
            let (line, newest) = (&ledger.tables.lines[0], ledger.tables.newest());
            self.home_of(line).and_then(|server| {
                self.turn_mismatch(server, line, &newest).or_else(|| self.recalled_with_turn(server, line, &newest))
            })
        };
        if let Some(why) = found {
            self.breaks(why);
        }
    }

    /// The Redis that has the line in the ledger's epoch, if the ledger names it.
    pub(crate) fn home_of(&self, line: &LineRow) -> Option<usize> {
        let server = (0..2).find(|&server| Some(self.servers[server].run_id()) == line.home)?;
        let field = |name: &[u8]| text(self.servers[server].read(&[b"HGET", &redis_key("line"), name]));
        (field(b"home") == line.home && field(b"epoch") == Some(line.epoch.to_string())).then_some(server)
    }

    /// Turns that are published are the same in Redis.
    fn turn_mismatch(&self, server: usize, line: &LineRow, newest: &Newest<'_>) -> Option<String> {
        let claim = |ordinal: Ordinal| {
            text(self.servers[server].read(&[b"HGET", &redis_key("claims"), ordinal.to_string().as_bytes()]))
        };
        for (&(_, ordinal), row) in newest.iter().filter(|(_, row)| is_published(row, line)) {
            let word = self.turn_in_redis(server, ordinal);
            if !agrees(row, word.as_deref()) {
                return Some(format!(
                    "turn differs: ticket {ordinal} is {:?} and published, and {} in Redis",
                    row.state,
                    word.unwrap_or_else(|| "nothing".to_owned())
                ));
            }
            let is_left = row.state == State::Promised && word.as_deref() == Some("left");
            if is_left && claim(ordinal).as_deref() != Some("left") {
                return Some(format!(
                    "leave not recorded: ticket {ordinal} has left with a token, and no controller can read it"
                ));
            }
        }
        None
    }

    /// The numbers of the recalled tickets.
    pub(crate) fn recalled(&self, server: usize) -> Vec<u64> {
        let recalled = self.servers[server].read(&[b"ZRANGE", &redis_key("recalled"), b"0", b"-1", b"WITHSCORES"]);
        let Reply::Array(parts) = recalled else { return Vec::new() };
        parts.into_iter().skip(1).step_by(2).filter_map(|score| text(score)?.parse().ok()).collect()
    }

    /// No ticket is recalled whose turn is published. The next tick would serve it again.
    fn recalled_with_turn(&self, server: usize, line: &LineRow, newest: &Newest<'_>) -> Option<String> {
        let numbers = self.recalled(server);
        if numbers.is_empty() {
            return None;
        }
        let drawn = line.drawn().and_then(|(pool, key)| Draw::new(key, pool).ok());
        let ordinal_at = |number: u64| match &drawn {
            Some(draw) if number <= draw.pool() => draw.ordinal_at(number),
            _ => number,
        };
        let has_turn = |ordinal: &Ordinal| {
            newest.get(&(0, *ordinal)).is_some_and(|row| row.state != State::Lapsed && is_published(row, line))
        };
        let found = numbers.into_iter().map(ordinal_at).find(has_turn)?;
        Some(format!("recalled with a turn: ticket {found} waits to be recalled, and has its turn"))
    }

    /// No silent page: a shopper who is connected to a node that is up to date has a place, a turn
    /// or an outcome.
    fn check_pages(&mut self) {
        for process in CONTROLLERS..CONTROLLERS + NODES {
            if !std::mem::take(&mut self.unchecked[process - CONTROLLERS]) || self.is_in_trouble(process) {
                continue;
            }
            let silent = {
                let inside = self.inside(process);
                let Some(room) = &inside.room else { continue };
                if inside.busy > 0 || !inside.inbox.is_empty() || !room.is_line_reachable() {
                    continue;
                }
                let known = (u64::from(room.revision().epoch), room.revision().rev);
                if self.revision_of(self.server_of(process)) != Some(known) {
                    continue;
                }
                inside
                    .pages
                    .keys()
                    .copied()
                    .find(|shopper| !inside.showing.contains(shopper) && inside.pages[shopper].is_silent())
            };
            if let Some(shopper) = silent {
                self.breaks(format!(
                    "silent page: shopper {shopper} is connected, and has neither place nor turn nor outcome"
                ));
            }
        }
    }

    /// Runs all tasks in turn, without faults, until everything has settled.
    pub(crate) fn be_quiet(&mut self, apart: bool) {
        self.end_faults(apart);
        let begin = self.now.get();
        let (mut epoch, mut epochs) = (self.epoch(), 0);
        let mut settled_since = None;
        self.progress = Progress::default();
        let mut left_since = BTreeMap::new();
        while self.broken.is_none() {
            self.go_round();
            let now = self.now.get();
            let waits = self.check_progress(true);
            // An empty sale rests, so neither primary learns that the other is in use: see
            // docs/verification.md.
            if std::mem::replace(&mut epoch, self.epoch()) != epoch && !(apart && self.is_empty()) {
                epochs += 1;
            }
            if epochs > EPOCHS_MAX {
                self.breaks("epochs without end: Redis is well, and the line begins again and again".to_owned());
            }
            let left = if self.pauses() { Vec::new() } else { self.left_and_promised() };
            left_since.retain(|ordinal, _| left.contains(ordinal));
            for ordinal in left {
                if now > *left_since.entry(ordinal).or_insert(now) + LEFT_MS_MAX && !apart {
                    self.breaks(format!(
                        "leave not recorded: ticket {ordinal} has left, and its unit is still promised"
                    ));
                }
            }
            let settled = !waits && (apart || self.is_settled());
            let since = *settled_since.get_or_insert(now);
            if !settled {
                settled_since = None;
            } else if now >= since + SETTLED_MS && !apart {
                break;
            }
            if now > begin + SETTLES_MS {
                if !apart {
                    self.breaks(format!("not settled: {}", self.unsettled().unwrap_or_default()));
                }
                break;
            }
            let next = self.next_wake().max(now + 1);
            self.pass(next - now);
        }
        if !apart && self.broken.is_none() {
            self.check_quiet();
        }
    }

    /// Whether the primary has the current epoch of the line, begun in this process; any other
    /// process rejects every call.
    pub(crate) fn knows_line(&self, tables: &Tables) -> bool {
        let server = &self.servers[self.primary];
        let field = |name: &[u8]| text(server.read(&[b"HGET", &redis_key("line"), name]));
        field(b"epoch") == Some(tables.lines[0].epoch.to_string()) && field(b"home") == Some(server.run_id())
    }

    /// Whether no shopper waits or has a turn.
    fn is_empty(&self) -> bool {
        let idle = {
            let row = &self.ledger().tables.row;
            row.promised == 0 && row.held == 0
        };
        idle && !(0..self.shoppers.len()).any(|shopper| self.waits(shopper))
    }

    fn epoch(&self) -> i32 {
        self.ledger().tables.lines[0].epoch
    }

    /// Tickets that have left according to Redis, with outstanding unclaimed tokens.
    fn left_and_promised(&self) -> Vec<u64> {
        let ledger = self.ledger();
        let rows = ledger.tables.admissions.iter();
        let out = rows.filter(|row| row.state == State::Promised && row.claimed_at.is_none());
        out.map(|row| row.ordinal)
            .filter(|&ordinal| self.turn_in_redis(self.primary, ordinal).as_deref() == Some("left"))
            .collect()
    }

    fn pass(&mut self, ms: u64) {
        self.step_quietly(&StoryEvent::Elapse(ms));
    }

    fn step_quietly(&mut self, event: &StoryEvent) {
        self.apply(event);
        self.check();
    }

    /// Runs every task until it sleeps, for this long. Faults remain.
    pub(crate) fn be_calm(&mut self, ms: u64) {
        let until = self.now.get() + ms;
        self.progress = Progress::default();
        while self.now.get() < until && self.broken.is_none() {
            self.run_tasks();
            self.check_progress(false);
            let now = self.now.get();
            self.pass(self.next_wake().clamp(now + 1, until) - now);
        }
    }

    /// Runs every task until it sleeps.
    fn run_tasks(&mut self) {
        for _ in 0..200 {
            let tasks = self.runnable();
            if tasks.is_empty() {
                break;
            }
            for (process, slot) in tasks {
                self.step_quietly(&StoryEvent::Run(process, slot));
                if self.broken.is_some() {
                    return;
                }
            }
        }
    }

    /// Runs every task until it sleeps, and every shopper does what a page does automatically.
    fn go_round(&mut self) {
        self.run_tasks();
        if self.broken.is_some() {
            return;
        }
        for shopper in 0..self.shoppers.len() {
            let own = &self.shoppers[shopper];
            let event = match own {
                _ if !own.present || own.over.is_some() || own.pending.is_some() => continue,
                _ if own.node.is_none() && own.ticket.is_some() => {
                    StoryEvent::Open(CONTROLLERS + shopper % NODES, shopper)
                }
                _ if own.node.is_none() => StoryEvent::Join(CONTROLLERS + shopper % NODES, vec![shopper]),
                _ if own.token.is_none() => continue,
                _ if !own.claimed => StoryEvent::Claim(shopper),
                _ if !own.redeemed => StoryEvent::Redeem(shopper),
                _ => StoryEvent::Pay(shopper),
            };
            self.step_quietly(&event);
        }
    }

    /// Shoppers who wait with an open page.
    pub(crate) fn waits(&self, shopper: usize) -> bool {
        let own = &self.shoppers[shopper];
        own.node.is_some() && own.over.is_none() && own.token.is_none()
    }

    fn is_settled(&self) -> bool {
        self.unsettled().is_none()
    }

    /// The first thing that has not settled.
    fn unsettled(&self) -> Option<String> {
        {
            let ledger = self.ledger();
            if ledger.is_locked() {
                return Some("a controller holds the lock".to_owned());
            }
            // It is never ticked again, so a Redis that loses it stays without it.
            if ledger.settled {
                return None;
            }
            if !ledger.is_all_published() {
                return Some("not everything is published".to_owned());
            }
            // Epochs in quick succession are delayed, so this may take a while.
            if ledger.tables.lines[0].epoch > 0 && !self.knows_line(&ledger.tables) {
                return Some("Redis does not have the line".to_owned());
            }
        }
        let open = |shopper: &usize| {
            let own = &self.shoppers[*shopper];
            own.present && own.over.is_none() && (own.node.is_none() || own.pending.is_some())
        };
        if let Some(shopper) = (0..self.shoppers.len()).find(open) {
            return Some(format!("shopper {shopper} can't open the page"));
        }
        let redeems = |shopper: &usize| self.shoppers[*shopper].token.is_some() && self.can_redeem(*shopper);
        (0..self.shoppers.len()).find(redeems).map(|shopper| format!("shopper {shopper} has a turn to use"))
    }

    fn can_redeem(&self, shopper: usize) -> bool {
        let own = &self.shoppers[shopper];
        own.node.is_some() && own.over.is_none() && !own.redeemed
    }

    fn check_quiet(&mut self) {
        let found = {
            let ledger = self.ledger();
            if ledger.settled { None } else { self.pages_differ(&ledger) }
        };
        if let Some(why) = found {
            self.breaks(why);
        }
    }

    /// Every page shows a place, a turn or an outcome, and outstanding tokens are on their pages.
    fn pages_differ(&self, ledger: &Ledger) -> Option<String> {
        let newest = ledger.tables.newest();
        for (shopper, own) in self.shoppers.iter().enumerate() {
            let (Some(node), Some(ticket)) = (own.node, own.ticket) else { continue };
            if matches!(own.shown, None | Some(ShownOutcome::Reconnecting)) {
                return Some(format!("silent page: shopper {shopper} is connected and sees {:?}", own.shown));
            }
            let live = newest.get(&(0, ticket.ordinal)).filter(|row| row.state == State::Promised);
            let inside = self.inside(node);
            let turn = inside.room.as_ref().map(|room| room.turn(ticket.ordinal));
            let shows = matches!(&turn, Some(Turn::Now(_)));
            if let Some(row) = live
                && !shows
            {
                return Some(format!(
                    "turn unseen: token {} of shopper {shopper} is out, and the page sees {turn:?}",
                    row.id
                ));
            }
        }
        None
    }
}

/// Whether Redis must have the state of an admission: it was published in this epoch, or again.
fn is_published(row: &Admission, line: &LineRow) -> bool {
    row.published == Some(row.state)
        && (row.published_epoch == line.epoch || (row.state != State::Promised && !line.is_republishing()))
}

/// Whether the turn in Redis is that of the newest admission. Departures and removals are final.
fn agrees(row: &Admission, turn: Option<&str>) -> bool {
    let gone = matches!(turn, Some("left" | "removed" | "limit"));
    gone || match row.state {
        State::Promised => turn.and_then(token).and_then(|token| admission_of(&token)) == Some(row.id),
        State::Redeemed => turn == Some("bought"),
        State::Lapsed => matches!(turn, None | Some("lapsed" | "expired")),
    }
}

/// The token of a turn, as Redis keeps it.
fn token(turn: &str) -> Option<String> {
    let turn: serde_json::Value = serde_json::from_str(turn).ok()?;
    turn["token"].as_str().map(str::to_owned)
}
