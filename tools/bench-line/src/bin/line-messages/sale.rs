//! What happens in the simulated sale.
//!
//! 20,000 shoppers join over the ten minutes before it opens, and some later. Then they are
//! admitted by ticks of 100 to 250 ms at the rate cap, each by a fourth more or less than it; the
//! cap is changed twice, for two minutes checkout is slower than the cap, and the sale is paused
//! for a minute. Three in a hundred give up in every twenty minutes; half of them come back. One in
//! ten who are admitted doesn't buy, and the unit comes back after two minutes. It ends when all
//! 6,000 units are sold.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    sync::Arc,
};

use fairline_line::{change::Change, places::LineView, ticket::Ordinal};
use fairline_sale::{SaleCard, Status};
use rand::{RngExt as _, rngs::StdRng};

/// The step of the simulation, in seconds.
pub(crate) const STEP_S: f64 = 0.05;
const STEPS_PER_S: f64 = 1.0 / STEP_S;
const SHOPPERS: u64 = 20_000;
const STOCK: u32 = 6_000;
const OPENS_S: f64 = 600.0;
const JOINS_END_S: f64 = 660.0;
/// The share of waiting shoppers who give up each second.
const GIVES_UP_PER_S: f64 = 0.03 / 1200.0;
const COMES_BACK: f64 = 0.5;
const COMES_BACK_S: (f64, f64) = (60.0, 400.0);
const BUYS: f64 = 0.9;
const BUYS_AFTER_S: (f64, f64) = (20.0, 90.0);
const UNIT_BACK_S: f64 = 120.0;
const NOISE: f64 = 0.25;
/// Rate caps: from when, and admissions per second.
const CAPS: [(f64, f64); 3] = [(0.0, 8.0), (900.0, 12.0), (1200.0, 6.0)];
/// While checkout is slower than the cap, and by how much.
const SLOW_S: (f64, f64) = (1020.0, 1140.0);
const SLOW: f64 = 0.6;
const PAUSED_S: (f64, f64) = (800.0, 860.0);

/// What a node receives.
pub(crate) enum NodeEvent {
    Joined(Ordinal),
    Changed(Change),
    /// The card has changed; `news`: in more than the number of remaining units.
    Card {
        before: Arc<SaleCard>,
        news: bool,
    },
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum SaleEvent {
    Tick,
    GiveUp(Ordinal),
    ComeBack(Ordinal),
    Buy(Ordinal),
    UnitBack,
}

pub(crate) struct ModelSale {
    pub(crate) view: LineView,
    pub(crate) card: Arc<SaleCard>,
    random: StdRng,
    steps: u64,
    joins: u64,
    events: BinaryHeap<Reverse<(u64, SaleEvent)>>,
    /// Away, and recalled.
    away: BTreeSet<Ordinal>,
    recalled: BTreeSet<Ordinal>,
    share: f64,
    credit: f64,
    ticked: u64,
    out: u32,
    admitted: u64,
}

impl ModelSale {
    /// A sale with this share of the shoppers, the units and the speed.
    pub(crate) fn new(random: StdRng, share: f64) -> Self {
        let stock = (f64::from(STOCK) * share) as u32;
        let card = SaleCard {
            total: stock,
            remaining: stock,
            status: Status::Scheduled,
            rate_cap_per_s: CAPS[0].1 * share,
            ..SaleCard::example()
        };
        let mut sale = Self {
            view: LineView::default(),
            card: Arc::new(card),
            random,
            steps: 0,
            joins: 0,
            events: BinaryHeap::new(),
            away: BTreeSet::new(),
            recalled: BTreeSet::new(),
            share,
            credit: 0.0,
            ticked: 0,
            out: 0,
            admitted: 0,
        };
        sale.after(OPENS_S, SaleEvent::Tick);
        sale
    }

    pub(crate) fn now_s(&self) -> f64 {
        self.steps as f64 * STEP_S
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn admitted(&self) -> u64 {
        self.admitted
    }

    fn after(&mut self, seconds: f64, event: SaleEvent) {
        self.events.push(Reverse((self.steps + (seconds * STEPS_PER_S).ceil() as u64, event)));
    }

    fn between(&mut self, (from, to): (f64, f64)) -> f64 {
        from + (to - from) * self.random.random::<f64>()
    }

    fn gives_up(&mut self, ordinal: Ordinal) {
        let seconds = -(1.0 - self.random.random::<f64>()).ln() / GIVES_UP_PER_S;
        self.after(seconds, SaleEvent::GiveUp(ordinal));
    }

    /// Simulates one step; `None` when all units are sold.
    pub(crate) fn step(&mut self) -> Option<Vec<NodeEvent>> {
        if self.card.status == Status::SoldOut {
            return None;
        }
        self.steps += 1;
        let now_s = self.now_s();
        let mut events = Vec::new();
        let joined = (SHOPPERS as f64 * self.share * (now_s / JOINS_END_S).min(1.0)) as u64;
        while self.joins < joined {
            self.joins += 1;
            self.view.given(self.joins);
            self.gives_up(self.joins);
            events.push(NodeEvent::Joined(self.joins));
        }
        let mut card = SaleCard::clone(&self.card);
        while self.events.peek().is_some_and(|Reverse((at, _))| *at <= self.steps) {
            let Some(Reverse((_, event))) = self.events.pop() else { break };
            if let Some(change) = self.happen(event, &mut card) {
                self.view.apply(&change);
                events.push(NodeEvent::Changed(change));
            }
        }
        let paused = now_s >= PAUSED_S.0 && now_s < PAUSED_S.1;
        card.status = match now_s {
            _ if now_s < OPENS_S => Status::Scheduled,
            _ if paused => Status::Paused,
            _ if card.remaining == 0 && self.out == 0 => Status::SoldOut,
            _ => Status::Open,
        };
        card.rate_cap_per_s =
            CAPS.iter().rfind(|(from_s, _)| *from_s <= now_s).map_or(1.0, |(_, cap)| *cap * self.share);
        if card != *self.card {
            let news = SaleCard { remaining: self.card.remaining, ..card.clone() } != *self.card;
            let before = std::mem::replace(&mut self.card, Arc::new(card));
            events.push(NodeEvent::Card { before, news });
        }
        Some(events)
    }

    fn happen(&mut self, event: SaleEvent, card: &mut SaleCard) -> Option<Change> {
        match event {
            SaleEvent::Tick => self.tick(card),
            SaleEvent::GiveUp(ordinal) => {
                let waits = self.view.place(ordinal).is_some();
                if !waits {
                    return None;
                }
                self.recalled.remove(&ordinal);
                self.away.insert(ordinal);
                if self.random.random_bool(COMES_BACK) {
                    let seconds = self.between(COMES_BACK_S);
                    self.after(seconds, SaleEvent::ComeBack(ordinal));
                }
                Some(Change::Departed { ordinals: vec![ordinal] })
            }
            SaleEvent::ComeBack(ordinal) => {
                self.away.remove(&ordinal);
                self.gives_up(ordinal);
                let ordinals = vec![ordinal];
                if ordinal > self.view.cursor() {
                    return Some(Change::Returned { ordinals });
                }
                self.recalled.insert(ordinal);
                Some(Change::Recalled { ordinals })
            }
            SaleEvent::Buy(ordinal) => {
                self.out -= 1;
                let (cursor, highest) = (self.view.cursor(), self.view.highest());
                Some(Change::Moved { cursor, highest, turns: vec![(ordinal, "bought".to_owned())] })
            }
            SaleEvent::UnitBack => {
                self.out -= 1;
                card.remaining += 1;
                None
            }
        }
    }

    fn tick(&mut self, card: &mut SaleCard) -> Option<Change> {
        let wait = f64::from(self.random.random_range(2..=5_u32)) * STEP_S;
        self.after(wait, SaleEvent::Tick);
        let elapsed_s = (self.steps - std::mem::replace(&mut self.ticked, self.steps)) as f64 * STEP_S;
        if self.card.status != Status::Open {
            return None;
        }
        let now_s = self.now_s();
        let slow = if now_s >= SLOW_S.0 && now_s < SLOW_S.1 { SLOW } else { 1.0 };
        let noise = 1.0 + NOISE * (2.0 * self.random.random::<f64>() - 1.0);
        let cap = card.rate_cap_per_s;
        self.credit = (self.credit + cap * slow * noise * elapsed_s).min((cap * 0.5).max(1.0));
        let mut turns = Vec::new();
        let mut cursor = self.view.cursor();
        while self.credit >= 1.0 && card.remaining > 0 {
            let ordinal = match self.recalled.pop_first() {
                Some(ordinal) => ordinal,
                None => {
                    cursor += 1;
                    while self.away.contains(&cursor) {
                        cursor += 1;
                    }
                    if cursor > self.joins {
                        break;
                    }
                    cursor
                }
            };
            self.credit -= 1.0;
            card.remaining -= 1;
            self.out += 1;
            self.admitted += 1;
            turns.push((ordinal, "now".to_owned()));
            if self.random.random_bool(BUYS) {
                let seconds = self.between(BUYS_AFTER_S);
                self.after(seconds, SaleEvent::Buy(ordinal));
            } else {
                self.after(UNIT_BACK_S, SaleEvent::UnitBack);
            }
        }
        (!turns.is_empty()).then(|| Change::Moved { cursor: cursor.min(self.joins), highest: self.joins, turns })
    }
}
