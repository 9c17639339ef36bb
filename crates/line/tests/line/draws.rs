//! Draws.

use fairline_line::{
    change::{Revision, Turn},
    store::{LineError, Presence, RecordQuery, UpcomingQuery},
    ticket::Ordinal,
};
use fairline_private_servers::testing;
use fairline_record::{Hash, draw::Draw};

use crate::support::{LONG_GRACE, Line, NO_GRACE, place, visitor};

#[tokio::test]
async fn a_draw_takes_effect_in_one_step_once_its_table_is_stored() {
    let mut line = Line::published().await;
    let sale = line.card.id;
    line.join(20).await;
    line.depart(&[7]).await;
    let pool = line.store.close_pool(sale).await.expect("closed");
    line.join(5).await;
    assert_eq!(line.store.close_pool(sale).await, Ok(pool), "it stays closed");
    let draw = Draw::new(Hash([1; 32]), pool).expect("small");

    // A draw whose table is not stored is rejected.
    line.draw = Some(draw.clone());
    let rejected = line.publish_as(line.publication + 1, &[], &[]).await;
    assert!(matches!(&rejected, Err(LineError::Unavailable(why)) if why.starts_with("NODRAW")), "{rejected:?}");
    assert_eq!(line.snapshot().await.place(8), place(6, 0, 17), "the order of joining");

    line.store.store_draw(sale, line.epoch, &draw).await.expect("stored");
    assert!(!line.snapshot().await.is_drawn(), "the draw is not published");
    line.store_draw_and_publish(draw.clone()).await;
    line.store_draw_and_publish(draw.clone()).await;
    let drawn: Vec<Ordinal> =
        (1..=20).map(|number| draw.ordinal_at(number)).filter(|&ordinal| ordinal != 7).chain(21..=25).collect();
    assert_eq!(line.next(100).await, drawn);
    let view = line.snapshot().await;
    assert!(
        view.is_drawn()
            && drawn.iter().zip(0..).all(|(&ordinal, ahead)| view.place(ordinal) == place(ahead, 0, 23 - ahead))
    );

    assert_eq!(line.admit(10).await, drawn[..10]);
    assert_eq!(line.upcoming(line.cursor, 0, 0).await.waiting, 14);
    // A ticket back before its number keeps it, and one back after it is recalled.
    line.depart(&[drawn[15]]).await;
    line.resume(drawn[15]).await;
    let seven = draw.number_of(7);
    assert_eq!(line.resume(7).await, Turn::Waiting);
    let mut rest = drawn[10..].to_vec();
    rest.push(7);
    rest.sort_unstable_by_key(|&ordinal| draw.number_of(ordinal));
    assert_eq!(line.next(100).await, rest, "number {seven}, cursor {}", line.cursor);

    // A roll call misses shoppers who still wait, and none who were admitted.
    line.report("node", LONG_GRACE, vec![0]).await;
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
async fn a_ticket_lost_before_a_draw_takes_part_once_it_is_presented() {
    let mut line = Line::published().await;
    line.join(6).await;
    let above = line.granted;
    line.begin_before_draw().await;
    assert_eq!((line.snapshot().await.waiting(), line.next(10).await), (0, vec![]));
    assert_eq!(line.resume_all(&[2, 5]).await, [Turn::Waiting, Turn::Waiting]);
    assert_eq!(line.join(1).await, above + 1);
    assert_eq!((line.snapshot().await.waiting(), line.next(10).await), (3, vec![2, 5, above + 1]));
    let history_after = Some(Revision { epoch: 2, rev: 0 });
    let record = RecordQuery { recorded: above, up_to: None, history_after, max: 100 };
    let query = UpcomingQuery { record: Some(record), ..Default::default() };
    let seen = line.store.upcoming(line.card.id, &query).await.expect("read");
    assert_eq!(seen.arrivals, [(above + 1, vec![visitor(6)])]);
    let came_back: Vec<_> =
        seen.history.iter().map(|entry| (entry.presence, entry.ordinals.clone(), entry.visitors.clone())).collect();
    assert_eq!(came_back, [(Presence::Returned, vec![2, 5], vec![visitor(1), visitor(4)])]);
}

#[tokio::test]
async fn a_line_restored_to_before_its_draw_has_the_numbers_of_its_next_draw_only() {
    let mut line = Line::published().await;
    line.join(6).await;
    line.make_draw([1; 32]).await;
    let (sale, store) = (line.card.id, line.store.clone());
    // A call that arrives late, of a controller that ran before the restore.
    let (epoch, earlier) = (line.epoch, line.draw.take().expect("made"));
    let late = async || store.store_draw(sale, epoch, &earlier).await;

    store.delete(sale).await.expect("deleted");
    assert_eq!(late().await, Ok(()), "Redis has no epoch");
    line.epoch += 1000;
    line.begin_before_draw().await;
    assert_eq!(late().await, Err(LineError::Late));
    assert!(!line.snapshot().await.is_drawn());
    let tickets: Vec<Ordinal> = (1..=6).collect();
    assert_eq!(line.resume_all(&tickets).await, [const { Turn::Waiting }; 6]);
    assert_eq!(line.next(10).await, tickets, "the order of joining");

    line.make_draw([2; 32]).await;
    assert_eq!(late().await, Err(LineError::Late));
    let draw = line.draw.clone().expect("made");
    let mut order = tickets;
    order.sort_unstable_by_key(|&ordinal| draw.number_of(ordinal));
    assert_eq!(line.next(10).await, order);
    let view = line.snapshot().await;
    assert!(order.iter().zip(0..).all(|(&ordinal, ahead)| view.place(ordinal) == place(ahead, 0, 5 - ahead)));
}
