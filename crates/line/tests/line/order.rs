//! The order of service.

use std::time::Duration;

use fairline_line::{
    change::{Revision, Turn},
    store::{Presence, RecordQuery, UpcomingQuery},
    ticket::Ticket,
};
use time::OffsetDateTime;

use crate::support::{LONG_GRACE, Line, live, place, visitor};

#[tokio::test]
async fn tickets_are_admitted_in_order_and_departed_ones_are_passed() {
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
async fn a_ticket_back_before_its_turn_keeps_its_place_and_one_back_after_it_is_next() {
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
async fn a_ticket_back_between_the_read_and_the_publication_is_served_next() {
    let mut line = Line::published().await;
    line.join(4).await;
    line.depart(&[1, 2]).await;
    let upcoming = line.upcoming(0, 1, 100).await;
    assert_eq!((upcoming.tickets[0].0, upcoming.cursor), (3, 3), "the departed are passed");
    assert_eq!(line.resume_all(&[1, 2]).await, [Turn::Waiting, Turn::Waiting]);
    line.depart(&[2]).await;
    line.publish_admissions(&upcoming).await;
    assert_eq!(line.snapshot().await.place(1), place(0, 0, 1));
    assert_eq!((line.snapshot().await.place(2), line.next(10).await), (None, vec![1, 4]));
    let record = RecordQuery { recorded: 4, up_to: None, history_after: Some(Revision::default()), max: 100 };
    let query = UpcomingQuery { cursor: 3, wanted: 0, reach: 0, record: Some(record) };
    let history = line.store.upcoming(line.card.id, &query).await.expect("read").history;
    let last = history.last().map(|entry| (entry.presence, entry.ordinals.clone(), entry.visitors.clone()));
    assert_eq!(last, Some((Presence::Recalled, vec![1], vec![visitor(0)])), "and the record receives it");
}

#[tokio::test]
async fn a_run_of_departed_tickets_is_passed_in_one_read() {
    let mut line = Line::published().await;
    // Before a draw all tickets of a lost epoch are departed, until they are presented.
    let above = 300_000;
    line.granted = above;
    line.begin_before_draw().await;
    let read = line.upcoming(0, 5, 5000).await;
    assert_eq!((read.tickets.len(), read.cursor), (0, above));
    let first = line.join(3).await;
    line.resume(250_000).await;
    let read = line.upcoming(0, 5, 5000).await;
    let next: Vec<_> = read.tickets.iter().map(|ticket| ticket.0).collect();
    assert_eq!((next, read.cursor), (vec![250_000, first, first + 1, first + 2], first + 2));
    let near = line.upcoming(0, 5, 2).await;
    assert_eq!((near.tickets.len(), near.cursor), (2, first), "no more than that many are examined");
}

#[tokio::test]
async fn a_ticket_is_not_recalled_after_the_recall_window() {
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

#[tokio::test]
async fn arrivals_are_deleted_behind_the_cursor_only() {
    let mut line = Line::published().await;
    for _ in 0..50 {
        line.join(7).await;
    }
    line.admit(100).await;
    assert_eq!(line.admit(250).await, (101..=350).collect::<Vec<_>>());
}
