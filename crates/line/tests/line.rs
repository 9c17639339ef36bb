//! The line, in a real Redis.

use std::{collections::BTreeSet, time::Duration};

use fairline_line::{
    change::{Change, LiveTurn, Revision, Turn},
    store::{
        Account, ChangeReader, Claim, Heard, Inbox, Joining, LineError, LineStore, Look, NewsWanted, Presence,
        Publication, Upcoming,
    },
    ticket::{Ordinal, Ticket},
    view::{LineView, Place},
};
use fairline_private_servers::testing;
use fairline_record::{Hash, draw::Draw};
use fairline_sale::{SaleCard, SaleId, VisitorId};
use proptest::prelude::*;
use time::OffsetDateTime;

const NO_GRACE: Duration = Duration::ZERO;
const LONG_GRACE: Duration = Duration::from_secs(600);
/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

fn visitor(n: u64) -> VisitorId {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    VisitorId(id)
}

fn joining(n: u64) -> Joining {
    Joining { visitor: visitor(n), account: None }
}

/// A line of its own, with the publications that a controller would make.
struct Line {
    store: LineStore,
    card: SaleCard,
    publication: i64,
    epoch: u32,
    /// The Redis process that a new epoch is begun in.
    begins: Option<String>,
    cursor: Ordinal,
    granted: Ordinal,
    recall_window: Duration,
    joined: u64,
    /// Once it is made.
    draw: Option<Draw>,
    /// What a record has.
    noted: Revision,
}

impl Line {
    async fn unpublished() -> Self {
        Self::unpublished_at(&testing::redis_url()).await
    }

    async fn unpublished_at(redis_url: &str) -> Self {
        let store = LineStore::connect(redis_url).await.expect("a Redis");
        let id = SaleId(uuid::Uuid::new_v4());
        let card = SaleCard { id, slug: format!("sale-{}", id.0.simple()), ..SaleCard::example() };
        Self {
            store,
            card,
            publication: 0,
            epoch: 0,
            begins: None,
            cursor: 0,
            granted: 0,
            recall_window: LONG_GRACE,
            joined: 0,
            draw: None,
            noted: Revision::default(),
        }
    }

    async fn published() -> Self {
        let mut line = Self::unpublished().await;
        line.begin().await;
        line
    }

    /// Begins a new epoch, as the controller does when Redis does not know the line.
    async fn begin(&mut self) {
        (self.epoch, self.begins) = (self.epoch + 1, Some(self.home().await));
        (self.cursor, self.granted) = (self.granted, self.granted + 1000);
        self.publish(&[], &[]).await;
        self.begins = None;
    }

    async fn home(&self) -> String {
        self.store.home(self.card.id).await.expect("read").run_id
    }

    async fn publish(&mut self, heard: &[(Ordinal, Claim)], turns: &[(Ordinal, Turn)]) {
        self.publication += 1;
        self.publish_as(self.publication, heard, turns).await.expect("published");
    }

    async fn publish_as(
        &self,
        number: i64,
        heard: &[(Ordinal, Claim)],
        turns: &[(Ordinal, Turn)],
    ) -> Result<(), LineError> {
        let publication = Publication {
            number,
            epoch: self.epoch,
            begins: self.begins.as_deref(),
            above: self.cursor,
            cursor: self.cursor,
            drawn: self.draw.as_ref().map_or(0, Draw::pool),
            noted: self.noted,
            granted: self.granted,
            recall_window: self.recall_window,
            card: &self.card,
            heard,
            turns,
        };
        self.store.publish(&publication).await
    }

    /// Makes a draw of all who have joined, as the controller does.
    async fn make_draw(&mut self, key: [u8; 32]) {
        let pool = self.store.close_pool(self.card.id).await.expect("closed");
        self.lay_down_and_publish(Draw::new(Hash(key), pool).expect("small")).await;
    }

    async fn lay_down_and_publish(&mut self, draw: Draw) {
        self.store.lay_down(self.card.id, &draw).await.expect("laid down");
        self.draw = Some(draw);
        self.publish(&[], &[]).await;
    }

    fn number_of(&self, ordinal: Ordinal) -> u64 {
        self.draw.as_ref().map_or(ordinal, |draw| draw.number_of(ordinal))
    }

    /// Lets `count` join, each a visitor of its own; gives the first ordinal.
    async fn join(&mut self, count: u64) -> Ordinal {
        let joining: Vec<_> = (self.joined..self.joined + count).map(joining).collect();
        let batch = self.joined.to_be_bytes();
        self.joined += count;
        self.store.join(self.card.id, batch, &joining).await.expect("joined")[0].ordinal
    }

    /// The ticket of an ordinal, in a line where all who ever joined have ordinals from 1 on.
    fn ticket(&self, ordinal: Ordinal) -> Ticket {
        Ticket { sale: self.card.id, epoch: 1, ordinal, visitor: visitor(ordinal - 1) }
    }

    async fn resume(&self, ordinal: Ordinal) -> Turn {
        self.resume_all(&[ordinal]).await.remove(0)
    }

    async fn resume_all(&self, ordinals: &[Ordinal]) -> Vec<Turn> {
        let tickets: Vec<_> = ordinals.iter().map(|&ordinal| self.ticket(ordinal)).collect();
        self.store.resume(self.card.id, &tickets).await.expect("resumed").turns
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
        self.say(&upcoming).await;
        upcoming.tickets.into_iter().map(|(ordinal, _)| ordinal).collect()
    }

    /// Says that these have been let in.
    async fn say(&mut self, upcoming: &Upcoming) {
        self.cursor = upcoming.cursor;
        let turns: Vec<_> = upcoming.tickets.iter().map(|&(ordinal, _)| (ordinal, live(ordinal))).collect();
        self.publish(&upcoming.claims, &turns).await;
    }

    async fn snapshot(&self) -> LineView {
        self.store.snapshot(self.card.id).await.expect("a snapshot").view
    }
}

fn place(ahead: u64, recalled: u64, behind: u64) -> Option<Place> {
    Some(Place { ahead, recalled, behind })
}

fn live(ordinal: Ordinal) -> Turn {
    let at = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(ordinal);
    Turn::Now(LiveTurn { token: format!("token.of.{ordinal}"), quantity: 1, claim_by: at, expires_at: at })
}

#[tokio::test]
async fn a_line_that_is_not_published_gives_no_ordinals() {
    let line = Line::unpublished().await;
    let sale = line.card.id;
    assert_eq!(line.store.join(sale, [0; 8], &[joining(1)]).await, Err(LineError::NotPublished));
    assert_eq!(line.store.resume(sale, &[line.ticket(1)]).await, Err(LineError::NotPublished));
    assert_eq!(line.store.snapshot(sale).await.err(), Some(LineError::NotPublished));
    assert_eq!(line.store.revision(sale).await, Err(LineError::NotPublished));
    assert_eq!(line.publish_as(1, &[], &[]).await, Err(LineError::NotPublished), "only the first of an epoch makes it");
}

#[tokio::test]
async fn many_joining_at_once_each_get_one_ordinal() {
    let line = Line::published().await;
    let joins = (0..50u64).map(|n| {
        let (store, sale) = (line.store.clone(), line.card.id);
        tokio::spawn(async move { store.join(sale, n.to_be_bytes(), &[joining(1), joining(2), joining(3)]).await })
    });
    let mut ordinals = BTreeSet::new();
    for joined in futures_util::future::join_all(joins).await {
        let tickets = joined.expect("no panic").expect("joined");
        assert_eq!(
            tickets.iter().map(|ticket| ticket.visitor).collect::<Vec<_>>(),
            [visitor(1), visitor(2), visitor(3)]
        );
        ordinals.extend(tickets.iter().map(|ticket| ticket.ordinal));
    }
    assert_eq!(ordinals, (1..=150).collect());
}

#[tokio::test]
async fn a_repeated_join_has_the_answer_of_the_first() {
    let mut line = Line::published().await;
    let (store, sale) = (line.store.clone(), line.card.id);
    let account = |n, rejoins| Some(Account { digest: [n; 16], rejoins });
    let batch = [joining(1), Joining { account: account(7, false), ..joining(2) }, joining(3)];
    let first = store.join(sale, [1; 8], &batch).await.expect("joined");
    line.joined = 100;
    line.join(5).await;
    assert_eq!(store.join(sale, [1; 8], &batch).await, Ok(first), "the call had succeeded");
    let other = store.join(sale, [2; 8], &batch[..1]).await.expect("joined");
    assert_eq!(other[0].ordinal, 9, "the call had not");
    assert_eq!(line.join(1).await, 10);

    // Accounts, too: this one gives its place up and has another by the time the call comes again.
    let named = |n, rejoins| Joining { account: account(n, rejoins), ..joining(n.into()) };
    let batch = [named(20, true), joining(21), joining(22)];
    let first = store.join(sale, [3; 8], &batch).await.expect("joined");
    store.leave(&first[0]).await.expect("left");
    store.join(sale, [4; 8], &[named(20, true)]).await.expect("joined");
    assert_eq!(store.join(sale, [3; 8], &batch).await, Ok(first));
}

#[tokio::test]
async fn a_repeated_join_costs_the_same_however_many_have_joined() {
    let mut line = Line::published().await;
    line.granted = 100_000;
    line.publish(&[], &[]).await;
    let (store, sale) = (line.store.clone(), line.card.id);
    for thousand in 0..20u64 {
        let one = [joining(1)];
        let joins = (0..1000).map(|n| store.join(sale, (thousand * 1000 + n).to_be_bytes(), &one));
        for joined in futures_util::future::join_all(joins).await {
            joined.expect("joined");
        }
    }
    let (mut first, mut repeated) = (Duration::ZERO, Duration::ZERO);
    for n in 0..100u64 {
        let id = (1 << 50 | n).to_be_bytes();
        let started = std::time::Instant::now();
        let joined = store.join(sale, id, &[joining(1)]).await.expect("joined");
        first += started.elapsed();
        let started = std::time::Instant::now();
        assert_eq!(store.join(sale, id, &[joining(1)]).await, Ok(joined));
        repeated += started.elapsed();
    }
    // A scan of 20,000 batches takes a hundred times as long as a join.
    assert!(repeated < 10 * first, "{first:?} for 100 joins, {repeated:?} for their repetitions");
}

#[tokio::test]
async fn an_account_has_one_place_on_any_device() {
    let mut line = Line::published().await;
    let (store, sale) = (line.store.clone(), line.card.id);
    let named = |n, digest: u8, rejoins| Joining {
        visitor: visitor(n),
        account: Some(Account { digest: [digest; 16], rejoins }),
    };
    let batch = [named(1, 7, false), joining(2), named(3, 7, false), named(4, 8, false)];
    let tickets = store.join(sale, [1; 8], &batch).await.expect("joined");
    let held: Vec<_> = tickets.iter().map(|ticket| (ticket.ordinal, ticket.visitor)).collect();
    assert_eq!(held, [(1, visitor(1)), (2, visitor(2)), (1, visitor(1)), (3, visitor(4))]);
    assert_eq!(store.join(sale, [1; 8], &batch).await, Ok(tickets));

    let again = store.join(sale, [2; 8], &[named(5, 7, true), joining(6)]).await.expect("joined");
    assert_eq!((again[0].ordinal, again[1].ordinal), (1, 4), "its place is still good");
    store.leave(&again[0]).await.expect("left");
    let kept = store.join(sale, [3; 8], &[named(7, 7, false)]).await.expect("joined");
    assert_eq!(kept[0].ordinal, 1, "it hears that it has left");
    let rejoined = store.join(sale, [4; 8], &[named(8, 7, true)]).await.expect("joined");
    assert_eq!((rejoined[0].ordinal, rejoined[0].visitor), (5, visitor(8)));
    line.joined = 100;
    assert_eq!(line.join(1).await, 6);

    // A ticket from before the loss of Redis, shown for its account.
    let account = Account { digest: [9; 16], rejoins: false };
    store.name(&line.ticket(6), &account).await.expect("noted");
    store.name(&line.ticket(5), &account).await.expect("too late");
    let named = store.join(sale, [5; 8], &[named(9, 9, false)]).await.expect("joined");
    assert_eq!((named[0].ordinal, named[0].visitor), (6, visitor(5)));
}

#[tokio::test]
async fn no_more_ordinals_are_given_than_the_controller_has_granted() {
    let mut line = Line::published().await;
    line.join(999).await;
    let two = [joining(1), joining(2)];
    let refused = line.store.join(line.card.id, [9; 8], &two).await;
    assert_eq!(refused, Err(LineError::NoOrdinals));
    assert_eq!(line.join(1).await, 1000);
    line.granted += 10;
    line.publish(&[], &[]).await;
    assert_eq!(line.join(1).await, 1001);
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
    assert_eq!(view.place(8), place(0, 0, 2));
}

#[tokio::test]
async fn who_comes_back_before_the_turn_keeps_the_place_and_who_comes_after_is_next() {
    let mut line = Line::published().await;
    line.join(6).await;
    line.depart(&[1, 2, 5]).await;
    assert_eq!(line.resume(2).await, Turn::Waiting);
    assert_eq!(line.admit(1).await, [2]);
    assert_eq!(line.resume(1).await, Turn::Waiting, "passed, and recalled");
    assert_eq!(line.snapshot().await.place(1), place(0, 0, 3));
    assert_eq!(line.snapshot().await.place(3), place(1, 1, 2));
    assert_eq!(line.admit(2).await, [1, 3]);
    assert_eq!(line.resume(1).await, live(1));
}

#[tokio::test]
async fn two_tickets_of_one_visitor_are_recalled_each() {
    let mut line = Line::published().await;
    line.join(3).await;
    line.depart(&[1, 2]).await;
    line.admit(1).await;
    let both = [1, 2].map(|ordinal| Ticket { visitor: visitor(77), ..line.ticket(ordinal) });
    line.store.resume(line.card.id, &both).await.expect("resumed");
    assert_eq!(line.next(5).await, [1, 2]);
    assert_eq!((line.admit(1).await, line.next(5).await), (vec![1], vec![2]));
}

#[tokio::test]
async fn a_recalled_ticket_that_departs_again_delays_no_other() {
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
async fn who_comes_back_between_the_look_and_the_publication_is_served_next() {
    let mut line = Line::published().await;
    line.join(4).await;
    line.depart(&[1, 2]).await;
    let upcoming = line.store.upcoming(line.card.id, 0, 1, 100).await.expect("read");
    assert_eq!((upcoming.tickets[0].0, upcoming.cursor), (3, 3), "the departed are passed");
    assert_eq!(line.resume_all(&[1, 2]).await, [Turn::Waiting, Turn::Waiting]);
    line.depart(&[2]).await;
    line.say(&upcoming).await;
    assert_eq!(line.snapshot().await.place(1), place(0, 0, 1));
    assert_eq!((line.snapshot().await.place(2), line.next(10).await), (None, vec![1, 4]));
    let news = NewsWanted { recorded: 4, till: None, noted: Some(Revision::default()), most: 100 };
    let look = Look { cursor: 3, wanted: 0, reach: 0, news: Some(news) };
    let history = line.store.look(line.card.id, &look).await.expect("read").history;
    let last = history.last().map(|noted| (noted.presence, noted.ordinals.clone(), noted.visitors.clone()));
    assert_eq!(last, Some((Presence::Recalled, vec![1], vec![visitor(0)])), "and the record hears of it");
}

#[tokio::test]
async fn who_leaves_between_the_commit_and_the_publication_gives_the_unit_back_at_once() {
    let mut line = Line::published().await;
    line.join(2).await;
    let upcoming = line.store.upcoming(line.card.id, 0, 1, 100).await.expect("read");
    line.store.leave(&line.ticket(1)).await.expect("left");
    line.say(&upcoming).await;
    let upcoming = line.store.upcoming(line.card.id, 1, 0, 0).await.expect("read");
    assert_eq!(upcoming.claims, [(1, Claim::Left)]);
    line.publish(&upcoming.claims, &[(1, Turn::Lapsed)]).await;
    assert_eq!(line.resume(1).await, Turn::Left);
    assert_eq!(line.store.upcoming(line.card.id, 1, 0, 0).await.expect("read").claims, []);
}

#[tokio::test]
async fn a_run_of_departed_tickets_is_passed_in_one_look() {
    let mut line = Line::published().await;
    let sale = line.card.id;
    // Before a draw everybody of a lost epoch is departed, until the ticket is shown.
    let above = 300_000;
    line.granted = above;
    (line.epoch, line.publication, line.cursor) = (2, 2, 0);
    let home = line.home().await;
    let publication = Publication {
        number: line.publication,
        epoch: line.epoch,
        begins: Some(&home),
        above,
        cursor: 0,
        drawn: 0,
        noted: Revision::default(),
        granted: above + 1000,
        recall_window: LONG_GRACE,
        card: &line.card,
        heard: &[],
        turns: &[],
    };
    line.store.publish(&publication).await.expect("published");
    let looked = line.store.upcoming(sale, 0, 5, 5000).await.expect("read");
    assert_eq!((looked.tickets.len(), looked.cursor), (0, above));
    let first = line.join(3).await;
    line.resume(250_000).await;
    let looked = line.store.upcoming(sale, 0, 5, 5000).await.expect("read");
    let next: Vec<_> = looked.tickets.iter().map(|ticket| ticket.0).collect();
    assert_eq!((next, looked.cursor), (vec![250_000, first, first + 1, first + 2], first + 2));
    let near = line.store.upcoming(sale, 0, 5, 2).await.expect("read");
    assert_eq!((near.tickets.len(), near.cursor), (2, first), "no more than that many are looked at");
}

#[tokio::test]
async fn grace_keeps_a_place_and_coming_back_ends_it() {
    let mut line = Line::published().await;
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
async fn an_unclaimed_turn_comes_again() {
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
    for late in [line.publication - 1, line.publication] {
        assert_eq!(line.publish_as(late, &[], &[(1, live(1))]).await, Err(LineError::Late), "{late}");
    }
    assert_eq!(line.resume(1).await, Turn::Bought);

    let revision = line.store.revision(line.card.id).await;
    line.cursor = 0;
    line.publish(&[], &[]).await;
    assert_eq!(line.store.revision(line.card.id).await, revision, "nothing is new");
    assert_eq!(line.snapshot().await.cursor(), 1, "a cursor never goes back");
    line.epoch -= 1;
    assert_eq!(line.publish_as(line.publication + 1, &[], &[]).await, Err(LineError::Late));
    assert_eq!(line.store.revision(line.card.id).await, revision, "a controller of an earlier life has no say");
}

#[tokio::test]
async fn a_new_epoch_recalls_the_old_tickets_in_their_order_and_gives_no_ordinal_twice() {
    let mut line = Line::published().await;
    line.join(6).await;
    line.admit(1).await;
    line.begin().await;
    assert_eq!(line.join(2).await, 1001, "above all that can have been given before");
    assert_eq!(line.next(10).await, [1001, 1002], "a ticket that is not presented delays no other");
    assert_eq!(line.resume_all(&[5, 2, 4]).await, [Turn::Waiting, Turn::Waiting, Turn::Waiting]);
    assert_eq!(line.resume(1).await, live(1), "a turn is kept");
    let view = line.snapshot().await;
    assert_eq!(view.place(5), place(2, 2, 2));
    assert_eq!(view.place(1001), place(3, 3, 1));
    assert_eq!(line.admit(4).await, [2, 4, 5, 1001]);
}

#[tokio::test]
async fn a_new_epoch_of_a_redis_that_forgot_nothing_waits_for_the_tickets_all_the_same() {
    let mut line = Line::published().await;
    line.join(4).await;
    line.depart(&[1]).await;
    line.admit(1).await;
    line.resume(1).await;
    line.begin().await;
    assert_eq!((line.next(10).await, line.snapshot().await.waiting()), (vec![], 0), "who has shown no ticket");
    line.recall_window = Duration::ZERO;
    line.publish(&[], &[]).await;
    line.recall_window = LONG_GRACE;
    line.publish(&[], &[]).await;
    assert_eq!(line.resume_all(&[3, 1]).await, [Turn::Waiting, Turn::Waiting], "the recall window runs anew");
    assert_eq!(line.next(10).await, [1, 3]);
}

#[tokio::test]
async fn a_redis_that_is_an_epoch_behind_answers_a_look_beyond_all_that_it_knows() {
    let mut line = Line::published().await;
    line.join(3).await;
    // Postgres has begun the next epoch, above all that was granted, and this process has not heard of it.
    let look = Look { cursor: line.granted + 1000, wanted: 5, reach: 10, news: None };
    let seen = line.store.look(line.card.id, &look).await.expect("an answer");
    assert_eq!((seen.epoch, seen.waiting, seen.cursor), (line.epoch, 0, look.cursor));
    assert!(seen.tickets.is_empty(), "{:?}", seen.tickets);
}

#[tokio::test]
async fn an_epoch_begins_in_the_redis_that_it_is_for() {
    let mut line = Line::unpublished().await;
    (line.epoch, line.begins) = (1, Some("0".repeat(40)));
    assert_eq!(line.publish_as(1, &[], &[]).await, Err(LineError::NotPublished), "another process");
    line.begins = Some(line.home().await);
    line.publish_as(2, &[], &[]).await.expect("published");
    let home = line.store.home(line.card.id).await.expect("read");
    let seen = line.store.upcoming(line.card.id, 0, 0, 0).await.expect("read");
    assert_eq!((home.epoch, &home.run_id, home.granted), (1, &seen.home, seen.granted));
}

#[tokio::test]
async fn turns_that_are_over_are_told_again_in_bulk_and_leave_those_who_wait_alone() {
    let mut line = Line::published().await;
    let (store, sale) = (line.store.clone(), line.card.id);
    line.join(6).await;
    line.admit(5).await;
    store.leave(&line.ticket(5)).await.expect("left");
    line.begin().await;
    // 4 still has its token in Redis, and 6 has had a turn that Redis does not know of.
    let cleared = [(1, Turn::Lapsed), (2, Turn::Lapsed), (3, Turn::Lapsed)];
    line.publish(&[], &cleared).await;
    assert_eq!(line.resume_all(&[1, 2, 6]).await, [Turn::Waiting, Turn::Waiting, Turn::Waiting]);
    let number = (line.epoch, line.publication);
    store.retell(sale, number, &Turn::Bought, &[2, 4, 5, 6]).await.expect("told");
    store.retell(sale, number, &Turn::Lapsed, &[1]).await.expect("told");
    assert_eq!(line.next(10).await, [1], "it waits, and its old turn is no news");
    let turns = line.resume_all(&[1, 2, 4, 5, 6]).await;
    assert_eq!(turns, [Turn::Waiting, Turn::Bought, Turn::Bought, Turn::Left, Turn::Bought]);
    let old = store.retell(sale, (line.epoch - 1, line.publication), &Turn::Bought, &[1]).await;
    assert_eq!(old, Err(LineError::NotPublished), "of another epoch");
}

#[tokio::test]
async fn a_late_bulk_publication_of_turns_overwrites_no_turn_that_came_after_it() {
    let mut line = Line::published().await;
    line.join(1).await;
    line.admit(1).await;
    line.begin().await;
    line.publish(&[], &[(1, Turn::Lapsed)]).await;
    let sent = (line.epoch, line.publication);
    assert_eq!(line.resume(1).await, Turn::Waiting);
    assert_eq!(line.admit(1).await, [1]);
    for word in [Turn::Lapsed, Turn::Expired] {
        let late = line.store.retell(line.card.id, sent, &word, &[1]).await;
        assert_eq!(late, Err(LineError::Late));
        assert_eq!(line.resume(1).await, live(1));
    }
}

#[tokio::test]
async fn a_ticket_that_even_the_controller_has_forgotten_keeps_its_place() {
    let mut line = Line::published().await;
    assert_eq!(line.resume(4000).await, Turn::Waiting);
    line.granted = 5000;
    line.publish(&[], &[]).await;
    assert_eq!(line.join(1).await, 4001, "no ordinal is given twice");
    line.cursor = 3999;
    assert_eq!(line.next(2).await, [4000, 4001]);
}

#[tokio::test]
async fn whose_turn_passed_too_long_ago_is_not_recalled() {
    let mut line = Line::published().await;
    line.recall_window = Duration::ZERO;
    line.publish(&[], &[]).await;
    line.join(5).await;
    line.depart(&[1, 2, 4]).await;
    line.resume(2).await;
    assert_eq!(line.admit(2).await, [2, 3]);
    // The clock of Redis, which is this machine's, has gone on.
    let passed = OffsetDateTime::now_utc();
    while OffsetDateTime::now_utc() - passed < Duration::from_millis(2) {
        tokio::task::yield_now().await;
    }
    assert_eq!(line.resume_all(&[1, 2, 4, 5]).await, [Turn::Missed, live(2), Turn::Waiting, Turn::Waiting]);
    assert_eq!(line.next(5).await, [4, 5]);
    line.recall_window = LONG_GRACE;
    line.publish(&[], &[]).await;
    assert_eq!(line.resume(1).await, Turn::Waiting);
    assert_eq!(line.next(5).await, [1, 4, 5]);
}

/// A bitmap as a node hands it in.
fn bitmap(ordinals: &[Ordinal]) -> Vec<u8> {
    let mut bitmap = vec![0; 700];
    ordinals.iter().for_each(|&ordinal| bitmap[(ordinal / 8) as usize] |= 0x80 >> (ordinal % 8));
    bitmap
}

#[tokio::test]
async fn a_roll_call_finds_those_whose_node_has_died() {
    let mut line = Line::published().await;
    let (store, sale) = (line.store.clone(), line.card.id);
    line.join(6).await;
    line.depart(&[1, 5]).await;
    line.admit(2).await;
    line.resume(1).await;
    let up = Duration::from_millis(400);
    assert_eq!(store.roll_call(sale, NO_GRACE, 0).await, Ok(0), "no node has reported its shoppers");
    assert_eq!(store.sweep(sale, 100).await, Ok(0));

    store.present(sale, "one", up, bitmap(&[1])).await.expect("presented");
    store.present(sale, "two", up * 100, bitmap(&[4, 6])).await.expect("presented");
    assert_eq!(store.roll_call(sale, NO_GRACE, 0).await, Ok(0));
    assert_eq!(store.sweep(sale, 100).await, Ok(0), "everybody is somewhere");
    // The first node says no more; it has died.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        assert_eq!(store.roll_call(sale, NO_GRACE, 0).await, Ok(0));
        match store.sweep(sale, 100).await {
            Ok(1) => break,
            swept => assert_eq!(swept, Ok(0)),
        }
        assert!(tokio::time::Instant::now() < deadline, "the dead node's shopper was never found missing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(line.next(10).await, [4, 6]);

    // One who joined after their node had told of everybody is found missing, and then there.
    line.join(2).await;
    assert_eq!(store.roll_call(sale, NO_GRACE, 0).await, Ok(0));
    store.present(sale, "two", up * 100, bitmap(&[4, 6, 7])).await.expect("presented");
    assert_eq!(store.sweep(sale, 100).await, Ok(1));
    assert_eq!(line.next(10).await, [4, 6, 7]);
}

#[tokio::test]
async fn a_restored_database_makes_redis_forget_the_turns_that_it_does_not_know() {
    let mut line = Line::published().await;
    line.join(2).await;
    line.admit(1).await;
    line.begin().await;
    assert_eq!(line.resume(1).await, live(1), "a loss of Redis keeps turns");
    // As `fairline restore` raises it; a crash of Redis may have undone that the line was deleted.
    line.epoch += 999;
    line.begin().await;
    assert_eq!(line.resume_all(&[1, 2]).await, [Turn::Waiting, Turn::Waiting]);
    assert_eq!(line.next(2).await, [1, 2]);
}

#[tokio::test]
async fn absent_is_who_waits_with_a_closed_page() {
    let mut line = Line::published().await;
    let (store, sale) = (line.store.clone(), line.card.id);
    let absent = async || store.upcoming(sale, 0, 0, 0).await.expect("read").absent;
    line.join(4).await;
    line.admit(1).await;
    store.absent(sale, LONG_GRACE, true, &[1, 2, 3]).await.expect("noted");
    assert_eq!(absent().await, 2, "the first has a turn");
    line.admit(1).await;
    assert_eq!(absent().await, 1);
    // In a new epoch who waits is who presents a ticket.
    line.begin().await;
    assert_eq!(absent().await, 0);
}

#[tokio::test]
async fn shoppers_of_a_node_that_could_not_be_reached_are_not_absent() {
    let mut line = Line::published().await;
    let (store, sale) = (line.store.clone(), line.card.id);
    let absent = async || store.upcoming(sale, 0, 0, 0).await.expect("read").absent;
    line.join(5).await;
    store.present(sale, "one", LONG_GRACE, bitmap(&[1])).await.expect("presented");
    assert_eq!(store.roll_call(sale, LONG_GRACE, 0).await, Ok(0));
    assert_eq!(absent().await, 4);
    store.present(sale, "two", LONG_GRACE, bitmap(&[2, 4, 5])).await.expect("presented");
    assert_eq!(absent().await, 1);
    // It reconnects after its node has told who is there.
    line.resume(3).await;
    assert_eq!(store.roll_call(sale, LONG_GRACE, 0).await, Ok(0));
    assert_eq!(absent().await, 1);
    store.present(sale, "one", LONG_GRACE, bitmap(&[1, 3])).await.expect("presented");
    assert_eq!(absent().await, 0);
}

#[tokio::test]
async fn a_roll_call_of_many_goes_in_steps() {
    let mut line = Line::published().await;
    let (store, sale) = (line.store.clone(), line.card.id);
    line.granted = 10_000;
    line.publish(&[], &[]).await;
    line.join(5000).await;
    // Half of them are recalled, in a second life of the line.
    line.begin().await;
    line.resume_all(&(1..=2500).collect::<Vec<_>>()).await;
    line.granted += 10_000;
    line.publish(&[], &[]).await;
    line.joined = line.cursor;
    line.join(2500).await;
    store.present(sale, "one", LONG_GRACE, bitmap(&[3])).await.expect("presented");
    let (mut after, mut steps) = (0, 0);
    loop {
        after = store.roll_call(sale, NO_GRACE, after).await.expect("called");
        steps += 1;
        if after == 0 {
            break;
        }
    }
    assert!((3..6).contains(&steps), "{steps}");
    while store.sweep(sale, 1000).await.expect("swept") > 0 {}
    assert_eq!(line.next(10).await, [3]);
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

/// The next change of a line.
async fn heard(inbox: &mut Inbox) -> Heard {
    tokio::time::timeout(PATIENCE, inbox.next()).await.expect("a change is heard")
}

#[tokio::test]
async fn a_recalled_ticket_whose_turn_is_over_departs() {
    let mut line = Line::published().await;
    let sale = line.card.id;
    let reader = ChangeReader::connect(&testing::redis_url()).await.expect("a Redis");
    let mut inbox = reader.inbox();
    reader.follow(sale).await.expect("followed");
    line.join(3).await;
    line.depart(&[1]).await;
    line.admit(1).await;
    line.resume(1).await;
    line.publish(&[], &[(1, Turn::Lapsed)]).await;
    let last = line.store.revision(sale).await.expect("read");
    let mut changes = Vec::new();
    while changes.last().is_none_or(|(at, _)| *at < last) {
        if let Heard::Change(_, at, change) = heard(&mut inbox).await {
            changes.push((at, change));
        }
    }
    let revisions: Vec<u64> = changes.iter().map(|(at, _)| at.rev).collect();
    assert!(revisions.windows(2).all(|pair| pair[1] == pair[0] + 1), "{revisions:?}");
    let departed = |change: &Change| matches!(change, Change::Departed { ordinals } if *ordinals == [1]);
    assert_eq!(changes.iter().filter(|(_, change)| departed(change)).count(), 2, "{changes:?}");
}

#[tokio::test]
async fn changes_are_heard_while_a_line_is_followed() {
    let (mut line, mut other) = (Line::published().await, Line::published().await);
    let reader = ChangeReader::connect(&testing::redis_url()).await.expect("a Redis");
    let mut inbox = reader.inbox();
    reader.follow(line.card.id).await.expect("followed");
    let revision = line.store.revision(line.card.id).await.expect("read");
    other.join(1).await;
    other.publish(&[], &[]).await;
    line.join(1).await;
    line.publish(&[], &[]).await;
    let Heard::Change(sale, at, _) = heard(&mut inbox).await else { panic!("a change") };
    assert_eq!((sale, at), (line.card.id, revision.next()));
    reader.unfollow(line.card.id).await.expect("unfollowed");
    // Redis has heard of it once it answers what comes after it; the client may not wait for so long.
    reader.follow(other.card.id).await.expect("followed");
    line.depart(&[1]).await;
    other.depart(&[1]).await;
    let Heard::Change(sale, ..) = heard(&mut inbox).await else { panic!("a change") };
    assert_eq!(sale, other.card.id);
}

#[derive(Debug, Clone)]
enum Step {
    Join(u64),
    Depart(Ordinal),
    Return(Ordinal),
    Leave(Ordinal),
    /// The controller reads who is next, and commits.
    Look(u64),
    /// It says what it has committed.
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
        2 => (1u64..8).prop_map(Step::Look),
        2 => Just(Step::Publish),
        1 => any::<Ordinal>().prop_map(Step::Lapse),
    ]
}

#[tokio::test]
async fn a_draw_counts_in_one_step_once_its_table_is_whole() {
    let mut line = Line::published().await;
    let sale = line.card.id;
    line.join(20).await;
    line.depart(&[7]).await;
    let pool = line.store.close_pool(sale).await.expect("closed");
    line.join(5).await;
    assert_eq!(line.store.close_pool(sale).await, Ok(pool), "it stays closed");
    let draw = Draw::new(Hash([1; 32]), pool).expect("small");

    // Said before it is laid down, the draw is refused, and so it is with another one's table.
    line.draw = Some(draw.clone());
    let refused = line.publish_as(line.publication + 1, &[], &[]).await;
    assert!(matches!(&refused, Err(LineError::Unavailable(why)) if why.starts_with("NODRAW")), "{refused:?}");
    assert_eq!(line.snapshot().await.place(8), place(6, 0, 17), "the order of joining");

    line.store.lay_down(sale, &draw).await.expect("laid down");
    assert!(!line.snapshot().await.is_drawn(), "the draw is not published");
    line.lay_down_and_publish(draw.clone()).await;
    line.lay_down_and_publish(draw.clone()).await;
    let drawn: Vec<Ordinal> =
        (1..=20).map(|number| draw.ordinal_at(number)).filter(|&ordinal| ordinal != 7).chain(21..=25).collect();
    assert_eq!(line.next(100).await, drawn);
    let view = line.snapshot().await;
    assert!(
        view.is_drawn()
            && drawn.iter().zip(0..).all(|(&ordinal, ahead)| view.place(ordinal) == place(ahead, 0, 23 - ahead))
    );

    assert_eq!(line.admit(10).await, drawn[..10]);
    assert_eq!(line.store.upcoming(sale, line.cursor, 0, 0).await.expect("read").waiting, 14);
    // Who comes back before the number is drawn has it still, and who comes after it is recalled.
    line.depart(&[drawn[15]]).await;
    line.resume(drawn[15]).await;
    let seven = draw.number_of(7);
    assert_eq!(line.resume(7).await, Turn::Waiting);
    let mut rest = drawn[10..].to_vec();
    rest.push(7);
    rest.sort_unstable_by_key(|&ordinal| draw.number_of(ordinal));
    assert_eq!(line.next(100).await, rest, "number {seven}, cursor {}", line.cursor);

    // A roll call misses shoppers who still wait, and none who were admitted.
    line.store.present(sale, "node", LONG_GRACE, vec![0]).await.expect("presented");
    line.store.roll_call(sale, NO_GRACE, 0).await.expect("called");
    assert_eq!(line.store.sweep(sale, 100).await, Ok(rest.len() as u64));
    assert!(line.next(100).await.is_empty());
}

#[tokio::test]
async fn a_draw_is_one_step_in_a_cluster_too() {
    let cluster =
        tokio::task::spawn_blocking(|| testing::RedisCluster::start().expect("a cluster")).await.expect("no panic");
    for _ in 0..3 {
        let mut line = Line::unpublished_at(&cluster.url()).await;
        line.begin().await;
        line.join(30).await;
        line.make_draw([2; 32]).await;
        let draw = line.draw.clone().expect("made");
        let drawn: Vec<Ordinal> = (1..=30).map(|number| draw.ordinal_at(number)).collect();
        assert_eq!(line.admit(30).await, drawn);
    }
}

#[tokio::test]
async fn a_shopper_who_is_lost_before_a_draw_is_in_it_again_with_the_ticket() {
    let mut line = Line::published().await;
    line.join(6).await;
    // The controller begins a new epoch of a line before its draw: the cursor passes no ticket.
    let above = line.granted;
    (line.epoch, line.granted) = (line.epoch + 1, above + 1000);
    line.publication += 1;
    let publication = Publication {
        number: line.publication,
        epoch: line.epoch,
        begins: Some(&line.home().await),
        above,
        cursor: 0,
        drawn: 0,
        noted: Revision::default(),
        granted: line.granted,
        recall_window: LONG_GRACE,
        card: &line.card,
        heard: &[],
        turns: &[],
    };
    line.store.publish(&publication).await.expect("published");
    assert_eq!((line.snapshot().await.waiting(), line.next(10).await), (0, vec![]));
    assert_eq!(line.resume_all(&[2, 5]).await, [Turn::Waiting, Turn::Waiting]);
    assert_eq!(line.join(1).await, above + 1);
    assert_eq!((line.snapshot().await.waiting(), line.next(10).await), (3, vec![2, 5, above + 1]));
    let seen = line
        .store
        .look(
            line.card.id,
            &Look {
                cursor: 0,
                wanted: 0,
                reach: 0,
                news: Some(NewsWanted {
                    recorded: above,
                    till: None,
                    noted: Some(Revision { epoch: 2, rev: 0 }),
                    most: 100,
                }),
            },
        )
        .await
        .expect("read");
    assert_eq!(seen.arrivals, [(above + 1, vec![visitor(6)])]);
    let came_back: Vec<_> =
        seen.history.iter().map(|noted| (noted.presence, noted.ordinals.clone(), noted.visitors.clone())).collect();
    assert_eq!(came_back, [(Presence::Returned, vec![2, 5], vec![visitor(1), visitor(4)])]);
}

#[tokio::test]
async fn no_ticket_is_next_while_the_record_lags_and_what_it_has_is_forgotten() {
    let mut line = Line::published().await;
    let sale = line.card.id;
    for _ in 0..10 {
        line.join(10).await;
    }
    line.depart(&[1, 2]).await;
    let look = |recorded, rev, most| Look {
        cursor: 0,
        wanted: 5,
        reach: 100,
        news: Some(NewsWanted { recorded, till: None, noted: Some(Revision { epoch: 1, rev }), most }),
    };
    let lags = line.store.look(sale, &look(0, 0, 25)).await.expect("read");
    assert_eq!(lags.arrivals.iter().map(|run| run.1.len()).sum::<usize>(), 30, "whole batches");
    assert_eq!((lags.lags, lags.tickets.len(), lags.history.len()), (true, 0, 0));
    let middle = line.store.look(sale, &look(95, 0, 25)).await.expect("read");
    assert_eq!(middle.arrivals, [(96, (95..100).map(visitor).collect())], "from the middle of a batch on");
    assert_eq!(middle.history.iter().map(|noted| noted.ordinals.clone()).collect::<Vec<_>>(), [vec![1, 2]]);
    assert_eq!(middle.tickets.len(), 5);
    let noted = middle.history[0].at;
    let after = line.store.look(sale, &look(100, noted.rev, 25)).await.expect("read");
    assert_eq!((after.lags, after.arrivals.len(), after.history.len(), after.tickets.len()), (false, 0, 0, 5));
    line.noted = noted;
    line.publish(&[], &[]).await;
    let trimmed = line.store.look(sale, &look(100, 0, 25)).await.expect("read");
    assert!(trimmed.history.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// The Lua library, the changes it says and the view that nodes compute from them agree on who waits, in which order.
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
            let (mut view, mut revision) = (start.view, start.revision);
            let mut highest = 0;
            let mut committed = None;
            // Tickets that wait, as their holders were told.
            let mut waiting = BTreeSet::new();
            // Before a draw no shopper is admitted.
            let before = before.into_iter().filter(|step| draw.is_none() || !matches!(step, Step::Look(_) | Step::Lapse(_)));
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
                    Step::Look(_) if committed.is_some() => {}
                    Step::Look(count) => {
                        committed = Some(line.store.upcoming(sale, line.cursor, count, 10_000).await.expect("read"));
                    }
                    Step::Publish => {
                        let Some(upcoming) = committed.take() else { continue };
                        line.say(&upcoming).await;
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
                line.say(&upcoming).await;
                upcoming.tickets.iter().for_each(|ticket| { waiting.remove(&ticket.0); });
            }
            let last = line.store.revision(sale).await.expect("read");
            while revision < last {
                match heard(&mut inbox).await {
                    Heard::Change(_, at, _) if at <= revision => {}
                    Heard::Change(_, at, change) => {
                        assert_eq!(at, revision.next(), "no change is missing: {change:?}");
                        revision = at;
                        view.apply(&change);
                        if let Change::Drawn { .. } = change {
                            view.draw(line.store.numbers(sale).await.expect("read"));
                        }
                    }
                    Heard::Anew => {}
                }
            }
            let order = line.next(10_000).await;
            let numbers: Vec<u64> = order.iter().map(|&ordinal| line.number_of(ordinal)).collect();
            let recalled = numbers.iter().take_while(|number| **number <= line.cursor).count();
            assert!(numbers[..recalled].is_sorted() && numbers[recalled..].is_sorted(), "{numbers:?}");
            assert_eq!(order.iter().copied().collect::<BTreeSet<_>>(), waiting, "every waiting ticket is in the order");
            for view in [view, line.snapshot().await] {
                assert_eq!(view.waiting(), order.len() as u64);
                for (ahead, &ordinal) in order.iter().enumerate() {
                    let place = view.place(ordinal).expect("it waits");
                    let expected = (ahead as u64, (order.len() - ahead - 1) as u64);
                    assert_eq!((place.ahead, place.behind), expected, "ordinal {ordinal} of {order:?}");
                }
            }
        });
    }
}
