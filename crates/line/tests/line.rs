//! The line, in a real Redis.

use std::{collections::BTreeSet, time::Duration};

use fairline_line::{
    change::{Change, LiveTurn, Turn},
    store::{ChangeReader, Claim, LineError, LineStore, Publication, Resumed},
    ticket::{Ordinal, Ticket},
    view::{LineView, Place},
};
use fairline_private_servers::testing;
use fairline_sale::{SaleCard, SaleId, Status, VisitorId};
use proptest::prelude::*;
use time::OffsetDateTime;

const NO_GRACE: Duration = Duration::ZERO;
const LONG_GRACE: Duration = Duration::from_secs(600);

fn visitor(n: u64) -> VisitorId {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    VisitorId(id)
}

/// A line of its own, with the publications that a controller would make.
struct Line {
    store: LineStore,
    card: SaleCard,
    publication: i64,
    cursor: Ordinal,
}

impl Line {
    async fn unpublished() -> Self {
        let store = LineStore::connect(&testing::redis_url()).await.expect("a Redis");
        let id = SaleId(uuid::Uuid::new_v4());
        let card = SaleCard {
            id,
            slug: format!("sale-{}", id.0.simple()),
            name: "A sale".to_owned(),
            description: String::new(),
            price_minor: 100,
            currency: "EUR".to_owned(),
            per_shopper_limit: 1,
            total: 10,
            remaining: 10,
            status: Status::Open,
            opens_at: OffsetDateTime::UNIX_EPOCH,
            ends_at: None,
            message: None,
        };
        Self { store, card, publication: 0, cursor: 0 }
    }

    async fn published() -> Self {
        let mut line = Self::unpublished().await;
        line.publish(&[], &[]).await;
        line
    }

    async fn publish(&mut self, heard: &[(Ordinal, Claim)], turns: &[(Ordinal, Turn)]) {
        self.publication += 1;
        self.publish_as(self.publication, heard, turns).await;
    }

    async fn publish_as(&self, number: i64, heard: &[(Ordinal, Claim)], turns: &[(Ordinal, Turn)]) {
        let publication =
            Publication { number, epoch: 1, cursor: self.cursor, highest: 0, card: &self.card, heard, turns };
        self.store.publish(&publication).await.expect("published");
    }

    async fn join(&self, count: u64) -> Ordinal {
        let visitors: Vec<_> = (0..count).map(visitor).collect();
        self.store.join(self.card.id, 0, &visitors).await.expect("joined").first
    }

    fn ticket(&self, ordinal: Ordinal) -> Ticket {
        Ticket { sale: self.card.id, epoch: 1, ordinal, visitor: visitor(ordinal - 1) }
    }

    async fn resume(&self, ordinal: Ordinal) -> Turn {
        let Resumed { turn, .. } = self.store.resume(&self.ticket(ordinal)).await.expect("resumed");
        turn
    }

    async fn depart(&self, ordinals: &[Ordinal]) {
        self.store.absent(self.card.id, NO_GRACE, true, ordinals).await.expect("noted");
        self.store.sweep(self.card.id, 1000).await.expect("swept");
    }

    async fn next(&self, wanted: u64) -> Vec<Ordinal> {
        let upcoming = self.store.upcoming(self.card.id, self.cursor, wanted, 10_000).await.expect("read");
        upcoming.tickets.into_iter().map(|(ordinal, _)| ordinal).collect()
    }

    /// Lets the next `count` in.
    async fn admit(&mut self, count: u64) -> Vec<Ordinal> {
        let upcoming = self.store.upcoming(self.card.id, self.cursor, count, 10_000).await.expect("read");
        self.cursor = upcoming.cursor;
        let turns: Vec<_> = upcoming.tickets.iter().map(|&(ordinal, _)| (ordinal, live(ordinal))).collect();
        self.publish(&upcoming.claims, &turns).await;
        turns.into_iter().map(|(ordinal, _)| ordinal).collect()
    }

    async fn snapshot(&self) -> LineView {
        self.store.snapshot(self.card.id).await.expect("a snapshot").view
    }
}

fn live(ordinal: Ordinal) -> Turn {
    let at = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(ordinal);
    Turn::Now(LiveTurn { token: format!("token.of.{ordinal}"), quantity: 1, claim_by: at, expires_at: at })
}

#[tokio::test]
async fn a_line_that_is_not_published_gives_no_ordinals() {
    let line = Line::unpublished().await;
    assert_eq!(line.store.join(line.card.id, 0, &[visitor(1)]).await, Err(LineError::NotPublished));
    assert_eq!(line.store.resume(&line.ticket(1)).await, Err(LineError::NotPublished));
    assert_eq!(line.store.snapshot(line.card.id).await.err(), Some(LineError::NotPublished));
    assert_eq!(line.store.rev(line.card.id).await, Ok(None));
}

#[tokio::test]
async fn many_joining_at_once_each_get_one_ordinal() {
    let line = Line::published().await;
    let joins = (0..50).map(|_| {
        let (store, sale) = (line.store.clone(), line.card.id);
        tokio::spawn(async move { store.join(sale, 0, &[visitor(1), visitor(2), visitor(3)]).await })
    });
    let mut ordinals = BTreeSet::new();
    for joined in futures_util::future::join_all(joins).await {
        let first = joined.expect("no panic").expect("joined").first;
        ordinals.extend(first..first + 3);
    }
    assert_eq!(ordinals, (1..=150).collect());
}

#[tokio::test]
async fn people_are_let_in_in_order_and_the_departed_are_passed_over() {
    let mut line = Line::published().await;
    line.join(4).await;
    line.join(6).await;
    line.depart(&[2, 5]).await;
    assert_eq!(line.admit(3).await, [1, 3, 4]);
    assert_eq!(line.admit(2).await, [6, 7], "the cursor passes the departed");
    assert_eq!(line.resume(1).await, live(1));

    let view = line.snapshot().await;
    assert_eq!(view.place(8), Some(Place { ahead: 0, behind: 2 }));
}

#[tokio::test]
async fn who_comes_back_before_the_turn_keeps_the_place_and_who_comes_after_is_next() {
    let mut line = Line::published().await;
    line.join(6).await;
    line.depart(&[1, 2, 5]).await;
    assert_eq!(line.resume(2).await, Turn::Waiting);
    assert_eq!(line.admit(1).await, [2]);
    assert_eq!(line.resume(1).await, Turn::Waiting, "passed, and recalled");
    assert_eq!(line.snapshot().await.place(1), Some(Place { ahead: 0, behind: 3 }));
    assert_eq!(line.snapshot().await.place(3), Some(Place { ahead: 1, behind: 2 }));
    assert_eq!(line.admit(2).await, [1, 3]);
    assert_eq!(line.resume(1).await, live(1));
}

#[tokio::test]
async fn a_recalled_ticket_that_departs_again_holds_nobody_up() {
    let mut line = Line::published().await;
    line.join(3).await;
    line.depart(&[1]).await;
    line.admit(1).await;
    line.resume(1).await;
    line.depart(&[1]).await;
    assert_eq!(line.next(2).await, [3]);
    assert_eq!(line.resume(1).await, Turn::Waiting, "and may be recalled again");
    assert_eq!(line.next(2).await, [1, 3]);
}

#[tokio::test]
async fn grace_keeps_a_place_and_coming_back_ends_it() {
    let line = Line::published().await;
    line.join(2).await;
    line.store.absent(line.card.id, LONG_GRACE, true, &[1]).await.expect("noted");
    assert_eq!(line.store.sweep(line.card.id, 10).await, Ok(0));
    assert_eq!(line.next(1).await, [1]);
    line.store.absent(line.card.id, NO_GRACE, false, &[1]).await.expect("noted");
    line.resume(1).await;
    assert_eq!(line.store.sweep(line.card.id, 10).await, Ok(0), "it is back");
}

#[tokio::test]
async fn a_turn_is_claimed_and_heard_once() {
    let mut line = Line::published().await;
    line.join(3).await;
    line.store.claim(&line.ticket(1)).await.expect("too early to mean anything");
    line.admit(2).await;
    let claims = |line: &Line| {
        let (store, sale) = (line.store.clone(), line.card.id);
        async move { store.upcoming(sale, 0, 0, 0).await.expect("read").claims }
    };
    assert!(claims(&line).await.is_empty());
    line.store.claim(&line.ticket(1)).await.expect("claimed");
    line.store.claim(&line.ticket(1)).await.expect("claimed again");
    line.store.leave(&line.ticket(2)).await.expect("left");
    let mut heard = claims(&line).await;
    heard.sort_unstable_by_key(|claim| claim.0);
    assert_eq!(heard, [(1, Claim::Claimed), (2, Claim::Left)]);
    line.publish(&heard, &[]).await;
    assert!(claims(&line).await.is_empty());

    line.publish(&[], &[(2, Turn::Expired)]).await;
    assert_eq!(line.resume(2).await, Turn::Left, "who left stays so");
    line.publish(&[], &[(1, Turn::Bought)]).await;
    line.store.leave(&line.ticket(1)).await.expect("too late to leave");
    assert_eq!(line.resume(1).await, Turn::Bought);
}

#[tokio::test]
async fn a_turn_that_nobody_claimed_comes_again() {
    let mut line = Line::published().await;
    line.join(3).await;
    line.admit(1).await;
    line.publish(&[], &[(1, Turn::Lapsed)]).await;
    assert_eq!(line.next(2).await, [2, 3], "not before its shopper comes back");
    assert_eq!(line.resume(1).await, Turn::Waiting);
    assert_eq!(line.admit(1).await, [1]);
}

#[tokio::test]
async fn a_late_publication_undoes_nothing() {
    let mut line = Line::published().await;
    line.join(3).await;
    line.admit(1).await;
    line.publish(&[], &[(1, Turn::Bought)]).await;
    line.publish_as(line.publication - 1, &[], &[(1, live(1))]).await;
    assert_eq!(line.resume(1).await, Turn::Bought);

    let rev = line.store.rev(line.card.id).await;
    line.cursor = 0;
    line.publish_as(line.publication, &[], &[]).await;
    assert_eq!(line.store.rev(line.card.id).await, rev, "the same again changes nothing");
    assert_eq!(line.snapshot().await.cursor(), 1, "a cursor never goes back");
}

#[tokio::test]
async fn tickets_prove_what_redis_has_forgotten() {
    let mut line = Line::published().await;
    // Redis knows of nobody; a shopper shows ticket 40.
    assert_eq!(line.resume(40).await, Turn::Waiting);
    assert_eq!(line.join(1).await, 41, "no ordinal is given twice");
    assert_eq!(line.resume(39).await, Turn::Waiting);
    let joined = line.store.join(line.card.id, 50, &[visitor(50)]).await.expect("joined");
    assert_eq!(joined.first, 51, "nor is one that a node has seen");
    assert_eq!(line.admit(4).await, [39, 40, 41, 51], "ordinals that nobody can prove are passed over");
}

#[tokio::test]
async fn arrivals_behind_the_cursor_are_forgotten_and_those_before_it_are_not() {
    let mut line = Line::published().await;
    for _ in 0..50 {
        line.join(7).await;
    }
    line.admit(100).await;
    assert_eq!(line.admit(250).await, (101..=350).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_quiet_line_is_no_error() {
    let line = Line::published().await;
    let reader = ChangeReader::connect(&testing::redis_url()).await.expect("a Redis");
    let rev = line.store.rev(line.card.id).await.expect("read").expect("published");
    assert_eq!(reader.read(&[(line.card.id, rev)]).await, Ok(Vec::new()));
}

#[derive(Debug, Clone)]
enum Step {
    Join(u64),
    Depart(Ordinal),
    Return(Ordinal),
    Leave(Ordinal),
    Admit(u64),
    Lapse(Ordinal),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1u64..20).prop_map(Step::Join),
        3 => any::<Ordinal>().prop_map(Step::Depart),
        3 => any::<Ordinal>().prop_map(Step::Return),
        1 => any::<Ordinal>().prop_map(Step::Leave),
        2 => (1u64..8).prop_map(Step::Admit),
        1 => any::<Ordinal>().prop_map(Step::Lapse),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// The Lua library, the changes it says and the view that nodes compute from them agree on who waits, in which order.
    #[test]
    fn places_agree_with_the_order_of_service(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut line = Line::published().await;
            let sale = line.card.id;
            let reader = ChangeReader::connect(&testing::redis_url()).await.expect("a Redis");
            let start = line.store.snapshot(sale).await.expect("a snapshot");
            let (mut view, mut rev) = (start.view, start.rev);
            let mut highest = 0;
            for step in steps {
                let pick = |pick: Ordinal| pick % highest + 1;
                match step {
                    Step::Join(count) => {
                        // Visitors are told by their ordinals.
                        let visitors: Vec<_> = (highest..highest + count).map(visitor).collect();
                        line.store.join(sale, 0, &visitors).await.expect("joined");
                        highest += count;
                    }
                    _ if highest == 0 => continue,
                    Step::Depart(n) => line.depart(&[pick(n)]).await,
                    Step::Return(n) => { line.resume(pick(n)).await; }
                    Step::Leave(n) => line.store.leave(&line.ticket(pick(n))).await.expect("left"),
                    Step::Admit(count) => { line.admit(count).await; }
                    Step::Lapse(n) => {
                        let ordinal = pick(n);
                        if ordinal <= line.cursor {
                            line.publish(&[], &[(ordinal, Turn::Lapsed)]).await;
                        }
                    }
                }
            }
            let last = line.store.rev(sale).await.expect("read").expect("published");
            while rev < last {
                for (_, changes) in reader.read(&[(sale, rev)]).await.expect("changes") {
                    for (at, change) in changes {
                        assert_eq!(at, rev + 1, "no change is missing: {change:?}");
                        rev = at;
                        view.apply(&change);
                        assert!(!matches!(change, Change::Joined { highest: 0 }));
                    }
                }
            }
            let order = line.next(10_000).await;
            for view in [view, line.snapshot().await] {
                assert_eq!(view.waiting(), order.len() as u64);
                for (ahead, &ordinal) in order.iter().enumerate() {
                    let place = Place { ahead: ahead as u64, behind: (order.len() - ahead - 1) as u64 };
                    assert_eq!(view.place(ordinal), Some(place), "ordinal {ordinal} of {order:?}");
                }
            }
        });
    }
}
