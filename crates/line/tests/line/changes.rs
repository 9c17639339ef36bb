//! What nodes and the record receive.

use fairline_line::{
    change::{Change, Revision, Turn},
    store::{ChangeReader, LineEvent, RecordQuery, UpcomingQuery},
};
use fairline_private_servers::testing;

use crate::support::{Line, next_event, visitor};

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
        if let LineEvent::Change(_, at, change) = next_event(&mut inbox).await {
            changes.push((at, change));
        }
    }
    let revisions: Vec<u64> = changes.iter().map(|(at, _)| at.rev).collect();
    assert!(revisions.windows(2).all(|pair| pair[1] == pair[0] + 1), "{revisions:?}");
    let departed = |change: &Change| matches!(change, Change::Departed { ordinals } if *ordinals == [1]);
    assert_eq!(changes.iter().filter(|(_, change)| departed(change)).count(), 2, "{changes:?}");
}

#[tokio::test]
async fn changes_arrive_while_a_line_is_followed() {
    let (mut line, mut other) = (Line::published().await, Line::published().await);
    let reader = ChangeReader::connect(&testing::redis_url()).await.expect("a Redis");
    let mut inbox = reader.inbox();
    reader.follow(line.card.id).await.expect("followed");
    let revision = line.store.revision(line.card.id).await.expect("read");
    other.join(1).await;
    other.publish(&[], &[]).await;
    line.join(1).await;
    line.publish(&[], &[]).await;
    let LineEvent::Change(sale, at, _) = next_event(&mut inbox).await else { panic!("a change") };
    assert_eq!((sale, at), (line.card.id, revision.next()));
    reader.unfollow(line.card.id).await.expect("unfollowed");
    // The reply to a later command shows that Redis has unsubscribed; the client may not wait.
    reader.follow(other.card.id).await.expect("followed");
    line.depart(&[1]).await;
    other.depart(&[1]).await;
    let LineEvent::Change(sale, ..) = next_event(&mut inbox).await else { panic!("a change") };
    assert_eq!(sale, other.card.id);
}

#[tokio::test]
async fn no_ticket_is_next_while_the_record_lags_and_recorded_history_is_deleted() {
    let mut line = Line::published().await;
    let sale = line.card.id;
    for _ in 0..10 {
        line.join(10).await;
    }
    line.depart(&[1, 2]).await;
    let store = line.store.clone();
    let read = async |recorded, rev| {
        let history_after = Some(Revision { epoch: 1, rev });
        let record = RecordQuery { recorded, up_to: None, history_after, max: 25 };
        let query = UpcomingQuery { cursor: 0, wanted: 5, reach: 100, record: Some(record) };
        store.upcoming(sale, &query).await.expect("read")
    };
    let lags = read(0, 0).await;
    assert_eq!(lags.arrivals.iter().map(|run| run.1.len()).sum::<usize>(), 30, "whole batches");
    assert_eq!((lags.lags, lags.tickets.len(), lags.history.len()), (true, 0, 0));
    let middle = read(95, 0).await;
    assert_eq!(middle.arrivals, [(96, (95..100).map(visitor).collect())], "from the middle of a batch on");
    assert_eq!(middle.history.iter().map(|entry| entry.ordinals.clone()).collect::<Vec<_>>(), [vec![1, 2]]);
    assert_eq!(middle.tickets.len(), 5);
    let recorded = middle.history[0].at;
    let after = read(100, recorded.rev).await;
    assert_eq!((after.lags, after.arrivals.len(), after.history.len(), after.tickets.len()), (false, 0, 0, 5));
    line.recorded = recorded;
    line.publish(&[], &[]).await;
    let trimmed = read(100, 0).await;
    assert!(trimmed.history.is_empty());
}
