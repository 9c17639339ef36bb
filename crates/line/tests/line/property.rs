//! Random steps: places and the order of service agree.

use std::collections::BTreeSet;

use fairline_line::{
    change::{Change, Revision, Turn},
    places::LineView,
    store::{ChangeReader, Inbox, LineEvent},
    ticket::Ordinal,
};
use fairline_private_servers::testing;
use proptest::prelude::*;

use crate::support::{Line, next_event};

#[derive(Debug, Clone)]
enum Step {
    Join(u64),
    Depart(Ordinal),
    Return(Ordinal),
    Leave(Ordinal),
    /// The controller reads the next tickets, and commits.
    Read(u64),
    /// It publishes what it has committed.
    Publish,
    Lapse(Ordinal),
    Draw([u8; 32]),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1u64..20).prop_map(Step::Join),
        3 => any::<Ordinal>().prop_map(Step::Depart),
        3 => any::<Ordinal>().prop_map(Step::Return),
        1 => any::<Ordinal>().prop_map(Step::Leave),
        2 => (1u64..8).prop_map(Step::Read),
        2 => Just(Step::Publish),
        1 => any::<Ordinal>().prop_map(Step::Lapse),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// The library, its changes and the view that nodes compute from them agree on the waiting
    /// tickets and their order.
    #[test]
    fn places_agree_with_the_order_of_service(
        before in prop::collection::vec(step(), 0..20), draw in prop::option::of(any::<[u8; 32]>()),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut line = Line::published().await;
            let sale = line.card.id;
            let reader = ChangeReader::connect(&testing::redis_url()).await.expect("a Redis");
            let mut inbox = reader.inbox();
            reader.follow(sale).await.expect("followed");
            let start = line.store.snapshot(sale).await.expect("a snapshot");
            let (mut view, revision) = (start.view, start.revision);
            let mut highest = 0;
            let mut committed = None;
            // Tickets that wait, as their pages show it.
            let mut waiting = BTreeSet::new();
            // Before a draw no shopper is admitted.
            let before = before.into_iter().filter(|step| draw.is_none() || !matches!(step, Step::Read(_) | Step::Lapse(_)));
            for step in before.chain(draw.map(Step::Draw)).chain(steps) {
                let pick = |pick: Ordinal| pick % highest + 1;
                match step {
                    Step::Join(count) => {
                        line.join(count).await;
                        waiting.extend(highest + 1..=highest + count);
                        highest += count;
                        view.given(highest);
                    }
                    Step::Draw(key) => line.make_draw(key).await,
                    _ if highest == 0 => continue,
                    Step::Depart(n) => {
                        waiting.remove(&pick(n));
                        line.depart(&[pick(n)]).await;
                    }
                    Step::Return(n) => {
                        if line.resume(pick(n)).await == Turn::Waiting {
                            waiting.insert(pick(n));
                        }
                    }
                    Step::Leave(n) => {
                        waiting.remove(&pick(n));
                        line.store.leave(&line.ticket(pick(n))).await.expect("left");
                    }
                    Step::Read(_) if committed.is_some() => {}
                    Step::Read(count) => {
                        committed = Some(line.upcoming(line.cursor, count, 10_000).await);
                    }
                    Step::Publish => {
                        let Some(upcoming) = committed.take() else { continue };
                        line.publish_admissions(&upcoming).await;
                        upcoming.tickets.iter().for_each(|ticket| { waiting.remove(&ticket.0); });
                    }
                    Step::Lapse(n) => {
                        let ordinal = pick(n);
                        if line.number_of(ordinal) <= line.cursor {
                            line.publish(&[], &[(ordinal, Turn::Lapsed)]).await;
                            waiting.remove(&ordinal);
                        }
                    }
                }
            }
            if let Some(upcoming) = committed {
                line.publish_admissions(&upcoming).await;
                upcoming.tickets.iter().for_each(|ticket| { waiting.remove(&ticket.0); });
            }
            catch_up(&line, &mut inbox, &mut view, revision).await;
            let order = line.next(10_000).await;
            let numbers: Vec<u64> = order.iter().map(|&ordinal| line.number_of(ordinal)).collect();
            let recalled = numbers.iter().take_while(|number| **number <= line.cursor).count();
            assert!(numbers[..recalled].is_sorted() && numbers[recalled..].is_sorted(), "{numbers:?}");
            assert_eq!(order.iter().copied().collect::<BTreeSet<_>>(), waiting, "every waiting ticket is in the order");
            for view in [view, line.snapshot().await] {
                shows(&view, &order);
            }
        });
    }
}

/// Applies every change that the line has published.
async fn catch_up(line: &Line, inbox: &mut Inbox, view: &mut LineView, mut revision: Revision) {
    let sale = line.card.id;
    let last = line.store.revision(sale).await.expect("read");
    while revision < last {
        match next_event(inbox).await {
            LineEvent::Change(_, at, _) if at <= revision => {}
            LineEvent::Change(_, at, change) => {
                assert_eq!(at, revision.next(), "no change is missing: {change:?}");
                revision = at;
                view.apply(&change);
                if let Change::Drawn { .. } = change {
                    view.draw(line.store.numbers(sale).await.expect("read"));
                }
            }
            LineEvent::Reconnected => {}
        }
    }
}

/// Asserts that every ticket of the order has its place in the view.
fn shows(view: &LineView, order: &[Ordinal]) {
    assert_eq!(view.waiting(), order.len() as u64);
    for (ahead, &ordinal) in order.iter().enumerate() {
        let place = view.place(ordinal).expect("it waits");
        let expected = (ahead as u64, (order.len() - ahead - 1) as u64);
        assert_eq!((place.ahead, place.behind), expected, "ordinal {ordinal} of {order:?}");
    }
}
