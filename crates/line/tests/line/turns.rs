//! Turns, claims and their outcomes.

use fairline_line::{
    change::Turn,
    store::{Claim, LineError, UpcomingQuery},
};

use fairline_sale::Status;
use time::OffsetDateTime;

use crate::support::{Line, live};

/// A node follows a limited number of sales, and no scheduled or closed one takes the room of an
/// open one.
#[tokio::test]
async fn open_sales_are_listed_before_the_next_to_open_and_these_before_closed_ones() {
    let mut in_order = Vec::new();
    for (status, opens_in_days) in
        [(Status::Scheduled, 3650), (Status::Closed, -1), (Status::Scheduled, 1), (Status::Open, -1)]
    {
        let mut line = Line::published().await;
        line.card.status = status;
        line.card.opens_at = OffsetDateTime::now_utc() + time::Duration::days(opens_in_days);
        line.publish(&[], &[]).await;
        in_order.push(line);
    }
    in_order.swap(0, 1);
    in_order.reverse();
    let own: Vec<_> = in_order.iter().map(|line| line.card.id).collect();
    let store = &in_order[0].store;
    let mut listed = store.sales(100_000).await.expect("listed").listed;
    listed.retain(|sale| own.contains(sale));
    assert_eq!(listed, own, "open, opens tomorrow, opens in ten years, closed");
    assert!(store.open_sales().await.expect("counted") >= 3);
}

#[tokio::test]
async fn a_shopper_who_leaves_between_commit_and_publication_returns_the_unit_at_once() {
    let mut line = Line::published().await;
    line.join(2).await;
    let upcoming = line.upcoming(0, 1, 100).await;
    line.store.leave(&line.ticket(1)).await.expect("left");
    line.publish_admissions(&upcoming).await;
    let upcoming = line.upcoming(1, 0, 0).await;
    assert_eq!(upcoming.claims, [(1, Claim::Left)]);
    line.publish(&upcoming.claims, &[(1, Turn::Lapsed)]).await;
    assert_eq!(line.resume(1).await, Turn::Left);
    assert_eq!(line.upcoming(1, 0, 0).await.claims, []);
}

#[tokio::test]
async fn a_claim_is_read_until_it_is_handled() {
    let mut line = Line::published().await;
    line.join(3).await;
    line.store.claim(&line.ticket(1)).await.expect("too early to mean anything");
    line.admit(2).await;
    let claims = |line: &Line| {
        let (store, sale) = (line.store.clone(), line.card.id);
        async move { store.upcoming(sale, &UpcomingQuery::default()).await.expect("read").claims }
    };
    assert!(claims(&line).await.is_empty());
    line.store.claim(&line.ticket(1)).await.expect("claimed");
    line.store.claim(&line.ticket(1)).await.expect("claimed again");
    line.store.leave(&line.ticket(2)).await.expect("left");
    let mut read = claims(&line).await;
    read.sort_unstable_by_key(|claim| claim.0);
    assert_eq!(read, [(1, Claim::Claimed), (2, Claim::Left)]);
    line.publish(&read, &[]).await;
    assert!(claims(&line).await.is_empty());

    line.publish(&[], &[(2, Turn::Expired)]).await;
    assert_eq!(line.resume(2).await, Turn::Left, "left is final");
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
    assert_eq!(line.store.revision(line.card.id).await, revision, "a controller of an earlier epoch is rejected");
}

#[tokio::test]
async fn republished_turns_do_not_affect_tickets_that_wait_again() {
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
    store.republish_turns(sale, number, &Turn::Bought, &[2, 4, 5, 6]).await.expect("published");
    store.republish_turns(sale, number, &Turn::Lapsed, &[1]).await.expect("published");
    assert_eq!(line.next(10).await, [1], "it waits, and its old turn changes nothing");
    let turns = line.resume_all(&[1, 2, 4, 5, 6]).await;
    assert_eq!(turns, [Turn::Waiting, Turn::Bought, Turn::Bought, Turn::Left, Turn::Bought]);
    let old = store.republish_turns(sale, (line.epoch - 1, line.publication), &Turn::Bought, &[1]).await;
    assert_eq!(old, Err(LineError::NotPublished), "of another epoch");
}

#[tokio::test]
async fn a_late_republication_overwrites_no_later_turn() {
    let mut line = Line::published().await;
    line.join(1).await;
    line.admit(1).await;
    line.begin().await;
    line.publish(&[], &[(1, Turn::Lapsed)]).await;
    let sent = (line.epoch, line.publication);
    assert_eq!(line.resume(1).await, Turn::Waiting);
    assert_eq!(line.admit(1).await, [1]);
    for turn in [Turn::Lapsed, Turn::Expired] {
        let late = line.store.republish_turns(line.card.id, sent, &turn, &[1]).await;
        assert_eq!(late, Err(LineError::Late));
        assert_eq!(line.resume(1).await, live(1));
    }
}
