//! Counts the messages of a whole sale, and measures the errors of the places on pages.
//!
//! A sale in virtual time, with the waiting room's own update policy and a second implementation of
//! the page, from the rules of `docs/line-protocol.md`. Prints one JSON object. Optional arguments:
//! a seed, and the share of the shoppers who join. `sale.rs` describes the sale.

mod page;
mod sale;

use std::{collections::BTreeMap, time::Duration};

use fairline_line::{
    change::{Change, LiveTurn, Turn},
    ticket::Ordinal,
};
use fairline_update_policy::{Flow, Inputs, LineMessage, SentState};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    page::ModelPage,
    sale::{ModelSale, NodeEvent, STEP_S},
};

/// Steps between two updates of the flow of a line.
const FLOW_UPDATE_STEPS: u64 = 10;
/// Every page is checked once a second, a share of them each time.
const SHARES: u64 = 10;
/// When the line moves, pages with fewer shoppers ahead are checked at once.
const FRONT: u64 = 1000;
/// One of this many pages is sampled in each step, also between checks.
const SAMPLED: u64 = 199;

/// One shopper's tab.
#[derive(Default)]
struct ModelTab {
    sent: SentState,
    page: ModelPage,
    turn: Option<Turn>,
    here: bool,
}

/// The errors of places on pages.
#[derive(Default)]
struct PlaceErrors {
    /// Samples by error, in tenths of a per cent of the place; one place is no error.
    samples: Vec<u64>,
    worst_places: u64,
}

impl PlaceErrors {
    fn note(&mut self, shown: u64, place: u64) {
        let places = shown.abs_diff(place);
        let permille = if places <= 1 { 0 } else { places * 1000 / place.max(1) };
        let at = usize::try_from(permille.min(10_000)).unwrap_or_default();
        if self.samples.len() <= at {
            self.samples.resize(at + 1, 0);
        }
        self.samples[at] += 1;
        self.worst_places = self.worst_places.max(places);
    }

    /// The error in per cent that at most the given share of samples exceeds.
    fn percentile(&self, share: f64) -> f64 {
        let (all, mut seen) = (self.samples.iter().sum::<u64>() as f64, 0.0);
        let at = self.samples.iter().position(|samples| {
            seen += *samples as f64;
            seen >= all * share
        });
        at.unwrap_or_default() as f64 / 10.0
    }

    /// The share of samples with an error of more than one place and one per cent.
    fn beyond(&self) -> f64 {
        self.samples.iter().skip(11).sum::<u64>() as f64 / self.samples.iter().sum::<u64>().max(1) as f64
    }

    fn to_json(&self) -> serde_json::Value {
        json!({
            "p99_percent": self.percentile(0.99),
            "worst_percent": self.percentile(1.0),
            "worst_places": self.worst_places,
            "share_beyond": self.beyond(),
        })
    }
}

struct ModelNode {
    sale: ModelSale,
    flow: Flow,
    tabs: Vec<ModelTab>,
    news: u32,
    messages: BTreeMap<&'static str, u64>,
    waited: BTreeMap<&'static str, u64>,
    when_checked: PlaceErrors,
    any_moment: PlaceErrors,
    waiting_s: f64,
}

impl ModelNode {
    fn update(&mut self, ordinal: Ordinal) {
        let now = Duration::from_secs_f64(self.sale.now_s());
        let tab = &mut self.tabs[ordinal as usize - 1];
        if !tab.here || tab.sent.over() {
            return;
        }
        let place = self.sale.view.place(ordinal);
        let waiting = Turn::Waiting;
        let facts = Inputs {
            ordinal,
            card: &self.sale.card,
            news: self.news,
            line_reachable: true,
            turn: tab.turn.as_ref().unwrap_or(&waiting),
            place,
            in_draw: None,
            forecast: self.flow.forecast(&self.sale.card),
            now,
        };
        let before = tab.page.shown(now);
        while let Some(message) = tab.sent.next(&facts) {
            *self.messages.entry(message.kind()).or_default() += 1;
            tab.page.receive(&message, now);
            if matches!(message, LineMessage::Over { .. }) {
                tab.here = false;
            }
        }
        if let Some(waited) = tab.sent.take_ended_wait(now) {
            *self.waited.entry(waited.within.as_str()).or_default() += 1;
        }
        if let (Some(shown), Some(place)) = (tab.page.shown(now), place) {
            let grown = before.is_some_and(|before| shown > before + tab.page.may_have_grown());
            assert!(!grown, "{ordinal} was shown {before:?} and then {shown}");
            self.when_checked.note(shown, place.ahead);
        }
    }

    fn apply(&mut self, event: NodeEvent) {
        match event {
            NodeEvent::Joined(ordinal) => {
                self.tabs.push(ModelTab { here: true, ..ModelTab::default() });
                self.update(ordinal);
            }
            NodeEvent::Changed(change) => match &change {
                Change::Departed { ordinals } => {
                    self.flow.departed(ordinals.len());
                    ordinals.iter().for_each(|ordinal| self.tabs[*ordinal as usize - 1] = ModelTab::default());
                }
                Change::Returned { ordinals } | Change::Recalled { ordinals } => {
                    match change {
                        Change::Returned { .. } => self.flow.returned(ordinals.len()),
                        _ => self.flow.recalled(ordinals.len()),
                    }
                    for ordinal in ordinals {
                        self.tabs[*ordinal as usize - 1].here = true;
                        self.update(*ordinal);
                    }
                }
                Change::Moved { turns, .. } => {
                    self.flow.admitted(turns.iter().filter(|(_, turn)| turn == "now").count());
                    for (ordinal, turn) in turns {
                        let at = OffsetDateTime::UNIX_EPOCH;
                        let live = LiveTurn { token: String::from("token"), quantity: 1, claim_by: at, expires_at: at };
                        let turn = if turn == "now" { Turn::Now(live) } else { Turn::Bought };
                        self.tabs[*ordinal as usize - 1].turn = Some(turn);
                        self.update(*ordinal);
                    }
                }
                _ => {}
            },
            NodeEvent::Card { before, news } => {
                self.flow.card_changed(&before, &self.sale.card);
                if news {
                    self.news += 1;
                    (1..=self.tabs.len() as u64).for_each(|ordinal| self.update(ordinal));
                }
            }
        }
    }

    fn run(&mut self) {
        let mut updates = 0;
        while let Some(events) = self.sale.step() {
            let moved = events.iter().any(|event| matches!(event, NodeEvent::Changed(_)));
            events.into_iter().for_each(|event| self.apply(event));
            let step = self.sale.steps();
            if step / FLOW_UPDATE_STEPS > updates {
                updates = step / FLOW_UPDATE_STEPS;
                let (waiting, status) = (self.sale.view.waiting(), self.sale.card.status);
                self.flow.passed(Duration::from_secs_f64(FLOW_UPDATE_STEPS as f64 * STEP_S), waiting, status);
            }
            // The node checks pages ten times a second.
            let checks = step.is_multiple_of(2);
            let now = Duration::from_secs_f64(self.sale.now_s());
            let mut front = moved && checks;
            for ordinal in 1..=self.tabs.len() as u64 {
                if !self.tabs[ordinal as usize - 1].here {
                    continue;
                }
                let in_share = checks && (ordinal + step / 2).is_multiple_of(SHARES);
                let sampled = (ordinal + step).is_multiple_of(SAMPLED);
                if in_share || front && ordinal > self.sale.view.cursor() {
                    self.update(ordinal);
                }
                if ordinal > self.sale.view.cursor() {
                    if front && self.sale.view.place(ordinal).is_none_or(|place| place.ahead > FRONT) {
                        front = false;
                    }
                    self.waiting_s += STEP_S;
                }
                let tab = &self.tabs[ordinal as usize - 1];
                if sampled
                    && tab.here
                    && let (Some(shown), Some(place)) = (tab.page.shown(now), self.sale.view.place(ordinal))
                {
                    self.any_moment.note(shown, place.ahead);
                }
            }
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seed = arguments.next().map_or(3, |seed| seed.parse().expect("a seed"));
    let share = arguments.next().map_or(1.0, |share| share.parse().expect("a share"));
    let sale = ModelSale::new(StdRng::seed_from_u64(seed), share);
    let mut node = ModelNode {
        sale,
        flow: Flow::default(),
        tabs: Vec::new(),
        news: 0,
        messages: BTreeMap::new(),
        waited: BTreeMap::new(),
        when_checked: PlaceErrors::default(),
        any_moment: PlaceErrors::default(),
        waiting_s: 0.0,
    };
    node.run();
    let messages = node.messages.values().sum::<u64>();
    let report = json!({
        "messages_vs_1hz": messages as f64 / node.waiting_s,
        "messages": messages,
        "messages_by_type": node.messages,
        "shoppers": node.tabs.len(),
        "admitted": node.sale.admitted(),
        "sale_s": node.sale.now_s(),
        "waiting_s_each": node.waiting_s / node.tabs.len() as f64,
        "error_when_checked": node.when_checked.to_json(),
        "error_at_any_moment": node.any_moment.to_json(),
        "waits_within": node.waited,
        "seed": seed,
    });
    println!("{report}");
}
