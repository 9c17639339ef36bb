//! Grace periods, nodes and roll calls.

use std::time::Duration;

use fairline_line::{
    store::{NodeReport, UpcomingQuery},
    ticket::Ordinal,
};

use crate::support::{LONG_GRACE, Line, NO_GRACE, PATIENCE};

/// A bitmap as a node reports it.
fn bitmap(ordinals: &[Ordinal]) -> Vec<u8> {
    let mut bitmap = vec![0; 700];
    ordinals.iter().for_each(|&ordinal| bitmap[(ordinal / 8) as usize] |= 0x80 >> (ordinal % 8));
    bitmap
}

#[tokio::test]
async fn a_grace_period_keeps_the_place_and_ends_when_the_shopper_is_back() {
    let mut line = Line::published().await;
    line.join(2).await;
    line.store.absent(line.card.id, LONG_GRACE, true, &[1]).await.expect("a response");
    assert_eq!(line.store.sweep(line.card.id, 10).await, Ok(0));
    assert_eq!(line.next(1).await, [1]);
    line.store.absent(line.card.id, NO_GRACE, false, &[1]).await.expect("a response");
    line.resume(1).await;
    assert_eq!(line.store.sweep(line.card.id, 10).await, Ok(0), "it is back");
}

#[tokio::test]
async fn a_roll_call_finds_the_shoppers_of_a_dead_node() {
    let mut line = Line::published().await;
    let (store, sale) = (line.store.clone(), line.card.id);
    line.join(6).await;
    line.depart(&[1, 5]).await;
    line.admit(2).await;
    line.resume(1).await;
    let up = Duration::from_millis(400);
    assert_eq!(store.roll_call(sale, NO_GRACE, 0).await, Ok(0), "no node has reported its shoppers");
    assert_eq!(store.sweep(sale, 100).await, Ok(0));

    line.report("one", up, bitmap(&[1])).await;
    line.report("two", up * 100, bitmap(&[4, 6])).await;
    assert_eq!(store.roll_call(sale, NO_GRACE, 0).await, Ok(0));
    assert_eq!(store.sweep(sale, 100).await, Ok(0), "every shopper is connected");
    // The first node reports no more: it has died.
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

    // A shopper who joined after the node's last report is missing until its next report.
    line.join(2).await;
    assert_eq!(store.roll_call(sale, NO_GRACE, 0).await, Ok(0));
    line.report("two", up * 100, bitmap(&[4, 6, 7])).await;
    assert_eq!(store.sweep(sale, 100).await, Ok(1));
    assert_eq!(line.next(10).await, [4, 6, 7]);
}

#[tokio::test]
async fn absent_counts_waiting_tickets_with_a_closed_page() {
    let mut line = Line::published().await;
    let (store, sale) = (line.store.clone(), line.card.id);
    let absent = async || store.upcoming(sale, &UpcomingQuery::default()).await.expect("read").absent;
    line.join(4).await;
    line.admit(1).await;
    store.absent(sale, LONG_GRACE, true, &[1, 2, 3]).await.expect("a response");
    assert_eq!(absent().await, 2, "the first has a turn");
    line.admit(1).await;
    assert_eq!(absent().await, 1);
    // In a new epoch only presented tickets wait.
    line.begin().await;
    assert_eq!(absent().await, 0);
}

#[tokio::test]
async fn shoppers_are_not_absent_once_an_unreachable_node_reports_them() {
    let mut line = Line::published().await;
    let (store, sale) = (line.store.clone(), line.card.id);
    let absent = async || store.upcoming(sale, &UpcomingQuery::default()).await.expect("read").absent;
    line.join(5).await;
    line.report("one", LONG_GRACE, bitmap(&[1])).await;
    assert_eq!(store.roll_call(sale, LONG_GRACE, 0).await, Ok(0));
    assert_eq!(absent().await, 4);
    line.report("two", LONG_GRACE, bitmap(&[2, 4, 5])).await;
    assert_eq!(absent().await, 1);
    // It reconnects after its node's report.
    line.resume(3).await;
    assert_eq!(store.roll_call(sale, LONG_GRACE, 0).await, Ok(0));
    assert_eq!(absent().await, 1);
    line.report("one", LONG_GRACE, bitmap(&[1, 3])).await;
    assert_eq!(absent().await, 0);
}

#[tokio::test]
async fn a_large_roll_call_takes_several_steps() {
    let mut line = Line::published().await;
    let (store, sale) = (line.store.clone(), line.card.id);
    line.granted = 10_000;
    line.publish(&[], &[]).await;
    line.join(5000).await;
    // Half of them are recalled, in a second epoch.
    line.begin().await;
    line.resume_all(&(1..=2500).collect::<Vec<_>>()).await;
    line.granted += 10_000;
    line.publish(&[], &[]).await;
    line.joined = line.cursor;
    line.join(2500).await;
    line.report("one", LONG_GRACE, bitmap(&[3])).await;
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
async fn the_nodes_of_an_epoch_are_counted_once_they_have_presented_their_tickets() {
    let mut line = Line::published().await;
    let (store, sale) = (line.store.clone(), line.card.id);
    let nodes = async || store.upcoming(sale, &UpcomingQuery::default()).await.expect("read").nodes;
    assert_eq!(nodes().await, 0);
    for _ in 0..2 {
        line.report("one", LONG_GRACE, bitmap(&[1])).await;
        line.report("two", LONG_GRACE, bitmap(&[2])).await;
    }
    assert_eq!(nodes().await, 2);
    let earlier = line.epoch;
    line.begin().await;
    assert_eq!(nodes().await, 0, "none has presented its tickets");
    let late = NodeReport { name: "two", up_for: LONG_GRACE, connected: bitmap(&[2]) };
    store.present(sale, earlier, late).await.expect("a response");
    assert_eq!(nodes().await, 0, "a late report of the earlier epoch");
    line.report("one", LONG_GRACE, bitmap(&[1])).await;
    assert_eq!(nodes().await, 1);
}
