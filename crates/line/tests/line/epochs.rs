//! Epochs: a lost Redis, a lost Postgres.

use std::time::Duration;

use fairline_line::{change::Turn, store::LineError};

use crate::support::{LONG_GRACE, Line, joining, live, place};

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
async fn a_new_epoch_in_a_redis_with_all_its_data_waits_for_the_tickets_too() {
    let mut line = Line::published().await;
    line.join(4).await;
    line.depart(&[1]).await;
    line.admit(1).await;
    line.resume(1).await;
    line.begin().await;
    assert_eq!((line.next(10).await, line.snapshot().await.waiting()), (vec![], 0), "no ticket is presented");
    line.recall_window = Duration::ZERO;
    line.publish(&[], &[]).await;
    line.recall_window = LONG_GRACE;
    line.publish(&[], &[]).await;
    assert_eq!(line.resume_all(&[3, 1]).await, [Turn::Waiting, Turn::Waiting], "the recall window runs again");
    assert_eq!(line.next(10).await, [1, 3]);
}

#[tokio::test]
async fn a_redis_that_is_an_epoch_behind_answers_a_query_beyond_its_ordinals() {
    let mut line = Line::published().await;
    line.join(3).await;
    // Postgres has begun the next epoch, above all that was granted, and this process does not have
    // it.
    let cursor = line.granted + 1000;
    let seen = line.upcoming(cursor, 5, 10).await;
    assert_eq!((seen.epoch, seen.waiting, seen.cursor), (line.epoch, 0, cursor));
    assert!(seen.tickets.is_empty(), "{:?}", seen.tickets);
}

#[tokio::test]
async fn an_epoch_begins_only_in_the_named_redis_process() {
    let mut line = Line::unpublished().await;
    (line.epoch, line.begins) = (1, Some("0".repeat(40)));
    assert_eq!(line.publish_as(1, &[], &[]).await, Err(LineError::NotPublished), "another process");
    line.begins = Some(line.home().await);
    line.publish_as(2, &[], &[]).await.expect("published");
    let home = line.store.home(line.card.id).await.expect("read");
    let seen = line.upcoming(0, 0, 0).await;
    assert_eq!((home.epoch, &home.run_id, home.granted), (1, &seen.home, seen.granted));
}

#[tokio::test]
async fn a_ticket_that_postgres_has_lost_keeps_its_place() {
    let mut line = Line::published().await;
    assert_eq!(line.resume(4000).await, Turn::Waiting);
    line.granted = 5000;
    line.publish(&[], &[]).await;
    assert_eq!(line.join(1).await, 4001, "no ordinal is given twice");
    line.cursor = 3999;
    assert_eq!(line.next(2).await, [4000, 4001]);
}

#[tokio::test]
async fn redis_deletes_turns_after_postgres_was_restored() {
    let mut line = Line::published().await;
    line.join(2).await;
    line.admit(1).await;
    line.begin().await;
    assert_eq!(line.resume(1).await, live(1), "a loss of Redis keeps turns");
    // As `fairline restore` raises it; a crash of Redis may have undone the deletion.
    line.epoch += 999;
    line.begin().await;
    assert_eq!(line.resume_all(&[1, 2]).await, [Turn::Waiting, Turn::Waiting]);
    assert_eq!(line.next(2).await, [1, 2]);
}
