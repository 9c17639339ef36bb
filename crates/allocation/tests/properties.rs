//! Properties of the allocation, on small random sales.
//!
//! Rounds are compared with [`Naive`], which walks the whole line, and the checker with the
//! definition of a wronged ticket in [`wronged_by`].

use std::{
    collections::{BTreeMap, BTreeSet},
    iter::from_fn,
    num::NonZeroU32,
};

use fairline_allocation::{ItemId, Line, Number, Offer, Promise, Request, Supply, Wishes, check};
use proptest::prelude::*;

const ITEMS: u8 = 4;

fn item(number: u8) -> ItemId {
    ItemId::new(number).expect("an item")
}

fn units(units: u32) -> NonZeroU32 {
    NonZeroU32::new(units).expect("some units")
}

fn wishes() -> impl Strategy<Value = Wishes> {
    let items: Vec<ItemId> = (1..=ITEMS).map(item).collect();
    let some = prop::sample::subsequence(items, 0..=usize::from(ITEMS)).prop_shuffle();
    some.prop_map(|items| Wishes::of(&items).expect("different items"))
}

fn request() -> impl Strategy<Value = Request> {
    (wishes(), 1..4u32).prop_map(|(wishes, most)| Request { wishes, units: units(most) })
}

fn requests(most: usize) -> impl Strategy<Value = BTreeMap<Number, Request>> {
    prop::collection::btree_map(1..40u64, request(), 0..most)
}

fn offers() -> impl Strategy<Value = BTreeMap<ItemId, Offer>> {
    let offer = (0..4u32, 1..4u32).prop_map(|(free, most)| Offer { free, per_shopper: units(most) });
    prop::collection::btree_map((1..=ITEMS).prop_map(item), offer, 0..=usize::from(ITEMS))
}

fn lane() -> impl Strategy<Value = Option<BTreeSet<ItemId>>> {
    prop::option::of(prop::collection::btree_set((1..=ITEMS).prop_map(item), 0..=usize::from(ITEMS)))
}

fn line_of(items: Option<&BTreeSet<ItemId>>, requests: &BTreeMap<Number, Request>) -> Line {
    let mut line = items.map_or_else(Line::default, |items| Line::to(items.clone()));
    requests.iter().for_each(|(&number, &request)| line.wait(number, request));
    line
}

fn supply_of(offers: &BTreeMap<ItemId, Offer>) -> Supply {
    offers.iter().map(|(&item, &offer)| (item, offer)).collect()
}

/// Serves a line until no more tickets can be served, or this many were.
fn round(offers: &BTreeMap<ItemId, Offer>, line: &mut Line, most: usize) -> Vec<Promise> {
    let mut supply = supply_of(offers);
    from_fn(|| supply.serve(line)).take(most).collect()
}

/// The line as a list.
struct Naive<'a> {
    items: Option<&'a BTreeSet<ItemId>>,
    requests: BTreeMap<Number, Request>,
}

impl Naive<'_> {
    fn leads_to(&self, item: ItemId) -> bool {
        self.items.is_none_or(|items| items.contains(&item))
    }

    fn round(&mut self, offers: &BTreeMap<ItemId, Offer>, most: usize) -> Vec<Promise> {
        let (mut offers, mut round) = (offers.clone(), Vec::new());
        for (number, request) in self.requests.clone() {
            let free = |item: &ItemId| self.leads_to(*item) && offers.get(item).is_some_and(|offer| offer.free > 0);
            let mut choices: Vec<ItemId> = request.wishes.items().filter(free).collect();
            if request.wishes.is_any() {
                choices = offers.keys().copied().filter(free).collect();
                choices.sort_by_key(|item| std::cmp::Reverse(offers[item].free));
            }
            if let Some(&item) = choices.first()
                && round.len() < most
            {
                let offer = offers.get_mut(&item).expect("it is offered");
                let units =
                    [request.units.get(), offer.per_shopper.get(), offer.free].into_iter().min().expect("three");
                offer.free -= units;
                round.push(Promise { number, item, units });
                self.requests.remove(&number);
            }
        }
        round
    }
}

/// The tickets that the last of these promises has wronged, by definition: an earlier waiting one
/// that wants its item; one that had been promised a less wanted item, and itself, if it does not
/// want it.
fn wronged_by(
    items: Option<&BTreeSet<ItemId>>,
    requests: &BTreeMap<Number, Request>,
    round: &[Promise],
) -> Vec<Number> {
    let Some((by, before)) = round.split_last() else { return Vec::new() };
    let leads_to = |item: ItemId| items.is_none_or(|items| items.contains(&item));
    let may_have = |request: &Request, item| request.wishes.want(item) && leads_to(item);
    let is_wronged =
        |(&number, request): (&Number, &Request)| match before.iter().find(|promise| promise.number == number) {
            None if number == by.number => !may_have(request, by.item),
            None => number < by.number && may_have(request, by.item),
            Some(earlier) => {
                let at = |item| request.wishes.items().position(|wanted| wanted == item);
                leads_to(by.item) && at(by.item).zip(at(earlier.item)).is_some_and(|(now, then)| now < then)
            }
        };
    requests.iter().filter(|ticket| is_wronged(*ticket)).map(|ticket| *ticket.0).collect()
}

/// Something that happens between two rounds.
#[derive(Debug, Clone)]
enum Step {
    Wait(Number, Request),
    Leave(Number),
    Round(BTreeMap<ItemId, Offer>, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..40u64, request()).prop_map(|(number, request)| Step::Wait(number, request)),
        1 => (1..40u64).prop_map(Step::Leave),
        1 => (offers(), 0..12usize).prop_map(|(offers, most)| Step::Round(offers, most)),
    ]
}

proptest! {
    #[test]
    fn rounds_are_those_of_a_walk_through_the_whole_line(items in lane(), steps in prop::collection::vec(step(), 0..60)) {
        let mut line = line_of(items.as_ref(), &BTreeMap::new());
        let mut naive = Naive { items: items.as_ref(), requests: BTreeMap::new() };
        for step in steps {
            match step {
                Step::Wait(number, request) => {
                    line.wait(number, request);
                    naive.requests.insert(number, request);
                }
                Step::Leave(number) => prop_assert_eq!(line.leave(number), naive.requests.remove(&number)),
                Step::Round(offers, most) => {
                    prop_assert_eq!(round(&offers, &mut line, most), naive.round(&offers, most));
                }
            }
        }
    }

    #[test]
    fn a_round_wrongs_no_ticket_and_promises_no_more_than_there_is(
        items in lane(), requests in requests(20), offers in offers(), most in 0..20usize,
    ) {
        let before = line_of(items.as_ref(), &requests);
        let round = round(&offers, &mut before.clone(), most);
        for end in 0..=round.len() {
            prop_assert!(wronged_by(items.as_ref(), &requests, &round[..end]).is_empty());
        }
        prop_assert_eq!(check(&mut before.clone(), &round), Ok(()));
        for (&item, offer) in &offers {
            let promised = round.iter().filter(|promise| promise.item == item);
            prop_assert!(promised.clone().map(|promise| promise.units).sum::<u32>() <= offer.free);
            prop_assert!(promised.clone().all(|promise| (1..=offer.per_shopper.get()).contains(&promise.units)));
        }
        prop_assert!(round.iter().all(|promise| promise.units <= requests[&promise.number].units.get()));
        let is_left = |item: &ItemId| {
            let promised: u32 = round.iter().filter(|promise| promise.item == *item).map(|promise| promise.units).sum();
            offers[item].free > promised
        };
        if round.len() < most {
            let mut after = before;
            check(&mut after, &round).expect("an honest round");
            prop_assert!(offers.keys().filter(|item| is_left(item)).all(|&item| after.first_wanting(item).is_none()));
        }
    }

    #[test]
    fn lines_that_share_a_supply_are_each_served_in_their_order(
        first in requests(12), second in requests(12), items in lane(), offers in offers(),
        turns in prop::collection::vec(any::<bool>(), 0..24),
    ) {
        let before = [line_of(None, &first), line_of(items.as_ref(), &second)];
        let (mut lines, mut rounds, mut supply) = (before.clone(), [vec![], vec![]], supply_of(&offers));
        for turn in turns.into_iter().map(usize::from) {
            rounds[turn].extend(supply.serve(&mut lines[turn]));
        }
        for (mut line, round) in before.into_iter().zip(rounds) {
            prop_assert_eq!(check(&mut line, &round), Ok(()));
        }
    }

    #[test]
    fn the_checker_finds_the_first_promise_that_wrongs_a_ticket(
        items in lane(), requests in requests(12), round in prop::collection::btree_map(1..40u64, 1..=ITEMS, 0..12),
        in_order in any::<bool>(),
    ) {
        let promise = |(number, item_number)| Promise { number, item: item(item_number), units: 1 };
        let mut round: Vec<Promise> = round.into_iter().filter(|promise| requests.contains_key(&promise.0)).map(promise).collect();
        if !in_order {
            round.reverse();
        }
        let wronged = |end: &usize| !wronged_by(items.as_ref(), &requests, &round[..*end]).is_empty();
        let first = (1..=round.len()).find(wronged).map(|end| round[end - 1]);
        let found = check(&mut line_of(items.as_ref(), &requests), &round);
        prop_assert_eq!(found.err().map(|wronged| wronged.by), first);
        if let Err(wronged) = found {
            let end = round.iter().position(|promise| *promise == wronged.by).expect("it is in the round") + 1;
            let tickets = wronged_by(items.as_ref(), &requests, &round[..end]);
            prop_assert_eq!(Some(&wronged.ticket()), tickets.first());
        }
    }

    /// So tickets can be proposed before it is known how many units each may have.
    #[test]
    fn a_ticket_that_is_served_is_also_served_if_each_takes_one_unit(items in lane(), requests in requests(20), offers in offers()) {
        let one_each = requests.iter().map(|(&number, &request)| (number, Request { units: units(1), ..request })).collect();
        let served = |requests| -> BTreeSet<Number> {
            let served = round(&offers, &mut line_of(items.as_ref(), requests), usize::MAX);
            served.iter().map(|promise| promise.number).collect()
        };
        prop_assert!(served(&requests).is_subset(&served(&one_each)));
    }

    #[test]
    fn a_change_of_wishes_never_changes_a_place(
        requests in requests(20), changes in prop::collection::vec((any::<prop::sample::Index>(), request()), 0..20),
    ) {
        prop_assume!(!requests.is_empty());
        let mut line = line_of(None, &requests);
        for (ticket, request) in &changes {
            let number = *requests.keys().nth(ticket.index(requests.len())).expect("a ticket");
            line.wait(number, *request);
        }
        let plenty = (1..=ITEMS).map(|number| (item(number), Offer { free: 1000, per_shopper: units(1) })).collect();
        let served: Vec<Number> = round(&plenty, &mut line, usize::MAX).iter().map(|promise| promise.number).collect();
        prop_assert_eq!(served, requests.keys().copied().collect::<Vec<_>>());
    }

    /// Over several rounds, since units come back: no shopper who states other wishes than the true
    /// ones is served earlier, or at the same time with an item that is wanted more.
    #[test]
    fn no_shopper_gains_by_stating_other_wishes(
        requests in prop::collection::btree_map(1..6u64, request(), 1..5), liar in any::<prop::sample::Index>(),
        rounds in prop::collection::vec(offers(), 1..4),
    ) {
        let number = *requests.keys().nth(liar.index(requests.len())).expect("a ticket");
        let truth = requests[&number].wishes;
        let outcome = |stated: Wishes| {
            let mut line = line_of(None, &requests);
            line.wait(number, Request { wishes: stated, ..requests[&number] });
            let promised = |offers| round(offers, &mut line, usize::MAX).into_iter().find(|promise| promise.number == number);
            let served = rounds.iter().map(promised).enumerate().find_map(|(at, promise)| Some((at, promise?.item)));
            // The lower, the better. An item that is not wanted is as bad as none.
            let (at, item) = served.filter(|served| truth.want(served.1))?;
            Some((at, truth.items().position(|wanted| wanted == item)))
        };
        let honest = outcome(truth);
        for lie in all_wishes() {
            let lied = outcome(lie);
            prop_assert!(lied.is_none() || honest.is_some_and(|honest| Some(honest) <= lied), "{lie:?}: {lied:?}, {honest:?}");
        }
    }
}

/// Every list of wishes, and any.
fn all_wishes() -> Vec<Wishes> {
    let mut lists = vec![vec![]];
    for at in 0.. {
        let Some(list) = lists.get(at).cloned() else { break };
        let longer = (1..=ITEMS).map(item).filter(|item| !list.contains(item));
        lists.extend(longer.map(|item| [list.as_slice(), &[item]].concat()));
    }
    lists.iter().map(|items| Wishes::of(items).expect("different items")).collect()
}

#[test]
fn a_crowd_that_is_passed_over_delays_no_other() {
    let mut line = Line::default();
    let wants = |number| Request { wishes: Wishes::of(&[item(number)]).expect("a wish"), units: units(1) };
    (1..=90_000).for_each(|number| line.wait(number, wants(1)));
    (90_001..=100_000).for_each(|number| line.wait(number, wants(2)));
    let offer = |free| Offer { free, per_shopper: units(1) };
    // A walk through the whole line would take a billion steps.
    for number in 90_001..=100_000 {
        let offers = BTreeMap::from([(item(1), offer(0)), (item(2), offer(1))]);
        assert_eq!(round(&offers, &mut line, 10), [Promise { number, item: item(2), units: 1 }]);
    }
    // A unit comes back: the first that was passed over is the first to have it.
    assert_eq!(round(&BTreeMap::from([(item(1), offer(1))]), &mut line, 10)[0].number, 1);
}
