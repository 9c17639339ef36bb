//! Random honest histories of a line verify, and every tampering with one is found.

use std::collections::{BTreeMap, BTreeSet};

use fairline_record::{
    Hash, Ordinal,
    draw::{self, Draw},
    entry::{Body, Entry, Head, Receipts, RecordEvent, receipt},
    verify::{Holder, InvalidRecord, Verdict, Verifier},
};
use fairline_sale::{LineOrder, SaleId, Status, VisitorId};
use proptest::prelude::*;
use time::{Duration, OffsetDateTime};

const SEED: [u8; 32] = [9; 32];

fn sale() -> SaleId {
    "00000000-0000-0000-0000-00000000002a".parse().expect("a UUID")
}

fn visitor(ordinal: Ordinal) -> VisitorId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&ordinal.wrapping_mul(0x9e37_79b9).to_be_bytes());
    VisitorId(id)
}

fn receipts(ordinals: impl IntoIterator<Item = Ordinal>) -> Receipts {
    Receipts(ordinals.into_iter().map(|ordinal| receipt(sale(), ordinal, visitor(ordinal))).collect())
}

/// What happens next; numbers pick a ticket.
#[derive(Debug, Clone)]
enum Step {
    Join(u64),
    Depart(u64),
    Leave(u64),
    Return(u64),
    Admit(usize),
    Lapse(u64),
    Redeem(u64),
    Open,
    /// Redis is lost, with this many joins that the record lacks.
    Lose(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u64..30).prop_map(Step::Join),
        3 => any::<u64>().prop_map(Step::Depart),
        1 => any::<u64>().prop_map(Step::Leave),
        4 => any::<u64>().prop_map(Step::Return),
        6 => (0usize..12).prop_map(Step::Admit),
        3 => any::<u64>().prop_map(Step::Lapse),
        3 => any::<u64>().prop_map(Step::Redeem),
        2 => Just(Step::Open),
        1 => (0u64..5).prop_map(Step::Lose),
    ]
}

/// A shop that is honest, and its line as Redis and Postgres keep it.
struct Shop {
    events: Vec<RecordEvent>,
    head: Head,
    order: LineOrder,
    open: bool,
    draw: Option<Draw>,
    epoch: u32,
    above: Ordinal,
    highest: Ordinal,
    cursor: u64,
    known: BTreeSet<Ordinal>,
    away: BTreeSet<Ordinal>,
    left: BTreeSet<Ordinal>,
    recalled: BTreeMap<u64, Ordinal>,
    live: BTreeSet<Ordinal>,
    used: BTreeSet<Ordinal>,
}

fn body(n: usize, event: RecordEvent) -> Body {
    Body { at: OffsetDateTime::UNIX_EPOCH + Duration::seconds(n as i64), event }
}

impl Shop {
    fn new(order: LineOrder) -> Self {
        let mut shop = Self {
            events: Vec::new(),
            head: Head::default(),
            order,
            open: false,
            draw: None,
            epoch: 1,
            above: 0,
            highest: 0,
            cursor: 0,
            known: BTreeSet::new(),
            away: BTreeSet::new(),
            left: BTreeSet::new(),
            recalled: BTreeMap::new(),
            live: BTreeSet::new(),
            used: BTreeSet::new(),
        };
        let commitment = (order == LineOrder::Draw).then(|| draw::commitment(&SEED));
        shop.write(RecordEvent::Sale { sale: sale(), order, commitment });
        shop.write(RecordEvent::Epoch { epoch: 1, above: 0 });
        shop
    }

    fn write(&mut self, event: RecordEvent) {
        self.head = Entry::after(self.head, &body(self.events.len(), event.clone())).head;
        self.events.push(event);
    }

    fn number_of(&self, ordinal: Ordinal) -> u64 {
        self.draw.as_ref().map_or(ordinal, |draw| draw.number_of(ordinal))
    }

    fn pick(&self, pick: u64) -> Option<Ordinal> {
        let all: Vec<_> = self.known.iter().copied().collect();
        (!all.is_empty()).then(|| all[(pick % all.len() as u64) as usize])
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Join(count) => {
                let first = self.highest + 1;
                self.highest += count;
                self.known.extend(first..=self.highest);
                self.write(RecordEvent::Joined { first, receipts: receipts(first..=self.highest) });
            }
            Step::Depart(pick) | Step::Leave(pick) => {
                let Some(ordinal) = self.pick(pick) else { return };
                self.away.insert(ordinal);
                self.recalled.remove(&self.number_of(ordinal));
                let ordinals = vec![ordinal];
                if matches!(step, Step::Leave(_)) {
                    self.left.insert(ordinal);
                    self.write(RecordEvent::Left { ordinals });
                } else {
                    self.write(RecordEvent::Departed { ordinals });
                }
            }
            Step::Return(pick) => {
                let Some(ordinal) = self.pick(pick) else { return };
                if self.left.contains(&ordinal) || self.used.contains(&ordinal) || self.live.contains(&ordinal) {
                    return;
                }
                let number = self.number_of(ordinal);
                if number > self.cursor {
                    if self.away.remove(&ordinal) {
                        self.write(RecordEvent::Returned { ordinals: vec![ordinal] });
                    }
                } else if !self.recalled.contains_key(&number) {
                    self.away.remove(&ordinal);
                    self.recalled.insert(number, ordinal);
                    self.write(RecordEvent::Recalled { ordinals: vec![ordinal] });
                }
            }
            Step::Admit(wanted) => self.admit(wanted),
            Step::Lapse(pick) | Step::Redeem(pick) => {
                let live: Vec<_> = self.live.iter().copied().collect();
                if live.is_empty() {
                    return;
                }
                let ordinal = live[(pick % live.len() as u64) as usize];
                self.live.remove(&ordinal);
                let ordinals = vec![ordinal];
                if matches!(step, Step::Redeem(_)) {
                    self.used.insert(ordinal);
                    self.write(RecordEvent::Redeemed { ordinals });
                } else {
                    self.write(RecordEvent::Lapsed { ordinals });
                }
            }
            Step::Open if !self.open => {
                self.open = true;
                self.write(RecordEvent::Status { status: Status::Open });
                if self.order == LineOrder::Draw {
                    let pool = self.highest;
                    self.draw = Some(Draw::new(draw::key(&SEED, self.head.hash), pool).expect("small"));
                    self.write(RecordEvent::Drawn { pool, seed: Hash(SEED) });
                }
            }
            Step::Open => {}
            Step::Lose(unpublished) => self.lose(unpublished),
        }
    }

    fn lose(&mut self, unpublished: u64) {
        let shown_to = self.highest;
        self.above = self.highest + unpublished + 3;
        (self.epoch, self.highest) = (self.epoch + 1, self.above);
        self.recalled.clear();
        self.left.clear();
        self.away = self.known.clone();
        self.write(RecordEvent::Epoch { epoch: self.epoch, above: self.above });
        let shown: Vec<_> = (shown_to + 1..=shown_to + unpublished).collect();
        if !shown.is_empty() {
            self.known.extend(&shown);
            self.away.extend(&shown);
            self.write(RecordEvent::Shown { receipts: receipts(shown.clone()), ordinals: shown });
        }
        if self.order == LineOrder::Fifo || self.draw.is_some() {
            self.cursor = self.above;
        }
    }

    fn admit(&mut self, wanted: usize) {
        if !self.open {
            return;
        }
        let mut ordinals: Vec<_> = self.recalled.values().copied().take(wanted).collect();
        while ordinals.len() < wanted && self.cursor < self.highest {
            self.cursor += 1;
            let ordinal = self.draw.as_ref().map_or(self.cursor, |draw| draw.ordinal_at(self.cursor));
            if self.known.contains(&ordinal) && !self.away.contains(&ordinal) {
                ordinals.push(ordinal);
            }
        }
        for ordinal in &ordinals {
            self.recalled.remove(&self.number_of(*ordinal));
        }
        // A ticket whose turn is out has it: it is passed over.
        ordinals.retain(|ordinal| !self.live.contains(ordinal) && !self.used.contains(ordinal));
        self.live.extend(&ordinals);
        self.write(RecordEvent::Admitted { ordinals, cursor: self.cursor });
    }
}

fn history(order: LineOrder, steps: Vec<Step>) -> Vec<RecordEvent> {
    let mut shop = Shop::new(order);
    shop.take(Step::Join(8));
    steps.into_iter().for_each(|step| shop.take(step));
    // Every history ends with a crowd that is served.
    [Step::Open, Step::Join(5), Step::Admit(6), Step::Admit(6)].into_iter().for_each(|step| shop.take(step));
    shop.events
}

/// Chains these events, as a shop would that forges its record.
fn chained(events: &[RecordEvent]) -> Vec<String> {
    let mut head = Head::default();
    let lines = events.iter().enumerate().map(|(n, event)| {
        let entry = Entry::after(head, &body(n, event.clone()));
        head = entry.head;
        entry.to_line().expect("JSON")
    });
    lines.collect()
}

fn replay(lines: &[String], pins: Vec<Head>, holder: Option<Holder>) -> Result<Verdict, InvalidRecord> {
    let mut verifier = Verifier::new(holder, pins);
    lines.iter().try_for_each(|line| verifier.take(line))?;
    verifier.finish()
}

fn head_of(lines: &[String]) -> Head {
    Entry::from_line(lines.last().expect("an entry")).expect("an entry").head
}

fn histories() -> impl Strategy<Value = Vec<RecordEvent>> {
    let order = prop_oneof![Just(LineOrder::Fifo), Just(LineOrder::Draw)];
    (order, prop::collection::vec(step(), 0..60)).prop_map(|(order, steps)| history(order, steps))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn an_honest_history_verifies(events in histories()) {
        let lines = chained(&events);
        let verdict = replay(&lines, vec![head_of(&lines)], None);
        prop_assert!(verdict.is_ok(), "{:?}\n{}", verdict, lines.join("\n"));
        let verdict = verdict.expect("checked");
        let admitted: usize = events.iter().map(|event| match event { RecordEvent::Admitted { ordinals, .. } => ordinals.len(), _ => 0 }).sum();
        prop_assert_eq!((verdict.head, verdict.admitted), (head_of(&lines), admitted as u64));
    }

    #[test]
    fn every_ticket_is_found_by_its_holder_only(events in histories(), pick: prop::sample::Index) {
        let lines = chained(&events);
        let given: Vec<Ordinal> = events.iter().flat_map(|event| match event {
            RecordEvent::Joined { first, receipts } => (*first..).take(receipts.0.len()).collect(),
            RecordEvent::Shown { ordinals, .. } => ordinals.clone(),
            _ => Vec::new(),
        }).collect();
        let ordinal = *pick.get(&given);
        let story = replay(&lines, Vec::new(), Some(Holder { ordinal, visitor: visitor(ordinal) })).expect("honest").story;
        prop_assert!(!story.is_empty());
        let stolen = replay(&lines, Vec::new(), Some(Holder { ordinal, visitor: VisitorId([0xff; 16]) }));
        prop_assert!(stolen.expect_err("another's").why.contains("another visitor's"));
        let unknown = Holder { ordinal: 1_000_000, visitor: visitor(1_000_000) };
        prop_assert!(replay(&lines, Vec::new(), Some(unknown)).is_err());
    }

    #[test]
    fn a_byte_changed_an_entry_dropped_moved_or_added_is_found(
        events in histories(), at: prop::sample::Index, byte: prop::sample::Index, to in 0x20u8..0x7f,
    ) {
        let lines = chained(&events);
        let at = at.index(lines.len());
        let kept = head_of(&lines);

        let mut edited = lines.clone();
        let byte = byte.index(edited[at].len());
        edited[at].replace_range(byte..=byte, &char::from(to).to_string());
        if edited != lines {
            prop_assert!(replay(&edited, Vec::new(), None).is_err(), "{}", edited[at]);
        }
        let mut dropped = lines.clone();
        dropped.remove(at);
        prop_assert!(replay(&dropped, vec![kept], None).is_err());
        if at + 1 < lines.len() {
            prop_assert!(replay(&dropped, Vec::new(), None).is_err(), "without a kept head, only the end can be cut off");
            let mut moved = lines.clone();
            moved.swap(at, at + 1);
            prop_assert!(replay(&moved, Vec::new(), None).is_err());
        }
        let mut twice = lines.clone();
        twice.insert(at, lines[at].clone());
        prop_assert!(replay(&twice, Vec::new(), None).is_err());
        prop_assert!(replay(&lines[..at.max(1)], vec![kept], None).is_err() || at.max(1) == lines.len());
    }

    #[test]
    fn a_rewritten_record_does_not_match_a_saved_head(events in histories(), at: prop::sample::Index, how in 0u8..3) {
        let kept = head_of(&chained(&events));
        let mut other = events.clone();
        let at = at.index(events.len());
        match how {
            0 => { other.remove(at); }
            1 => other.swap(at, (at + 1) % events.len()),
            _ => other.insert(at, RecordEvent::Joined { first: 1, receipts: receipts([1]) }),
        }
        prop_assume!(other != events);
        prop_assert!(replay(&chained(&other), vec![kept], None).is_err());
    }

    /// Frauds of a shop with a valid chain, where no saved head shows them.
    #[test]
    fn a_chain_in_order_hides_no_dishonest_order(events in histories(), pick: prop::sample::Index, other: prop::sample::Index) {
        let turns: Vec<usize> = (0..events.len())
            .filter(|&at| matches!(&events[at], RecordEvent::Admitted { ordinals, .. } if !ordinals.is_empty())).collect();
        prop_assume!(!turns.is_empty());
        let at = turns[pick.index(turns.len())];
        let RecordEvent::Admitted { ordinals, cursor } = events[at].clone() else { unreachable!("checked") };
        let cheat = |ordinals: Vec<Ordinal>, cursor: u64| {
            let mut cheated = events.clone();
            cheated[at] = RecordEvent::Admitted { ordinals, cursor };
            replay(&chained(&cheated), Vec::new(), None)
        };
        let which = other.index(ordinals.len());
        if ordinals.len() > 1 {
            let mut swapped = ordinals.clone();
            swapped.swap(which, (which + 1) % ordinals.len());
            prop_assert!(cheat(swapped, cursor).is_err(), "two change places");
        }
        let mut skipped = ordinals.clone();
        skipped.remove(which);
        if which + 1 < ordinals.len() {
            prop_assert!(cheat(skipped, cursor).is_err(), "one is passed over");
        }
        let mut twice = ordinals.clone();
        twice.push(ordinals[which]);
        prop_assert!(cheat(twice, cursor).is_err(), "one has two turns");
        let mut unknown = ordinals;
        unknown[which] = 1_000_000;
        prop_assert!(cheat(unknown, cursor).is_err(), "a friend without a ticket");
    }

    #[test]
    fn a_draw_is_made_once_with_the_committed_seed(steps in prop::collection::vec(step(), 0..40), seed: [u8; 32], pool in 0u64..20) {
        let events = history(LineOrder::Draw, steps);
        let at = events.iter().position(|event| matches!(event, RecordEvent::Drawn { .. })).expect("the sale opened");
        let RecordEvent::Drawn { pool: drawn, seed: own } = events[at].clone() else { unreachable!("checked") };
        let with = |event: RecordEvent| {
            let mut other = events.clone();
            other[at] = event;
            replay(&chained(&other), Vec::new(), None)
        };
        prop_assume!(Hash(seed) != own && pool != drawn);
        let reseeded = with(RecordEvent::Drawn { pool: drawn, seed: Hash(seed) }).expect_err("reseeded");
        prop_assert!(reseeded.why.contains("committed"));
        let resized = with(RecordEvent::Drawn { pool, seed: own }).expect_err("another pool");
        prop_assert!(resized.why.contains("shuffled"));
        let undrawn = with(RecordEvent::Status { status: Status::Open });
        prop_assert!(undrawn.is_err(), "no draw at all");
        let mut again = events.clone();
        again.push(events[at].clone());
        prop_assert!(replay(&chained(&again), Vec::new(), None).is_err(), "a second one");
    }
}

#[test]
fn a_fault_names_the_entry_and_the_ticket_that_was_passed_over() {
    let mut events = history(LineOrder::Fifo, Vec::new());
    let at = events.iter().position(|event| matches!(event, RecordEvent::Admitted { .. })).expect("an admission");
    events[at] = RecordEvent::Admitted { ordinals: vec![1, 3], cursor: 3 };
    let fault = replay(&chained(&events), Vec::new(), None).expect_err("a friend was admitted");
    assert_eq!(
        fault.to_string(),
        format!("entry {}: ticket 3 was admitted, but ticket 2 was ahead and was still waiting", at + 1)
    );
}

#[test]
fn a_removed_ticket_that_returns_is_not_passed_over() {
    let joined = |first, last| RecordEvent::Joined { first, receipts: receipts(first..=last) };
    let mut events = vec![
        RecordEvent::Sale { sale: sale(), order: LineOrder::Fifo, commitment: None },
        RecordEvent::Status { status: Status::Open },
        RecordEvent::Epoch { epoch: 1, above: 0 },
        joined(1, 3),
        RecordEvent::Removed { ordinals: vec![1] },
        // Redis did not have yet.
        RecordEvent::Departed { ordinals: vec![1] },
        RecordEvent::Returned { ordinals: vec![1] },
        RecordEvent::Admitted { ordinals: vec![2], cursor: 2 },
        RecordEvent::Recalled { ordinals: vec![1] },
        RecordEvent::Admitted { ordinals: vec![3], cursor: 3 },
    ];
    replay(&chained(&events), Vec::new(), None).expect("honest");
    events.remove(4);
    let fault = replay(&chained(&events), Vec::new(), None).expect_err("the first ticket waited");
    assert!(fault.why.contains("ticket 1 was ahead"), "{fault}");
}

#[test]
fn an_empty_record_proves_nothing() {
    assert!(replay(&[], Vec::new(), None).is_err());
}
