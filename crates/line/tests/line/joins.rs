//! Joining, accounts and granted ordinals.

use std::collections::BTreeSet;

use fairline_line::store::{JoinRequest, LineAccount, LineError};

use crate::support::{Line, joining, visitor};

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
    let account = |n, rejoins| Some(LineAccount { digest: [n; 16], rejoins });
    let batch = [joining(1), JoinRequest { account: account(7, false), ..joining(2) }, joining(3)];
    let first = store.join(sale, [1; 8], &batch).await.expect("joined");
    line.joined = 100;
    line.join(5).await;
    assert_eq!(store.join(sale, [1; 8], &batch).await, Ok(first), "the call had succeeded");
    let other = store.join(sale, [2; 8], &batch[..1]).await.expect("joined");
    assert_eq!(other[0].ordinal, 9, "the call had not");
    assert_eq!(line.join(1).await, 10);

    // Accounts, too: this one gives its place up and has another by the time the call comes again.
    let named = |n, rejoins| JoinRequest { account: account(n, rejoins), ..joining(n.into()) };
    let batch = [named(20, true), joining(21), joining(22)];
    let first = store.join(sale, [3; 8], &batch).await.expect("joined");
    store.leave(&first[0]).await.expect("left");
    store.join(sale, [4; 8], &[named(20, true)]).await.expect("joined");
    assert_eq!(store.join(sale, [3; 8], &batch).await, Ok(first));
}

#[tokio::test]
async fn an_account_has_one_place_on_any_device() {
    let mut line = Line::published().await;
    let (store, sale) = (line.store.clone(), line.card.id);
    let named = |n, digest: u8, rejoins| JoinRequest {
        visitor: visitor(n),
        account: Some(LineAccount { digest: [digest; 16], rejoins }),
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
    assert_eq!(kept[0].ordinal, 1, "its holder left");
    let rejoined = store.join(sale, [4; 8], &[named(8, 7, true)]).await.expect("joined");
    assert_eq!((rejoined[0].ordinal, rejoined[0].visitor), (5, visitor(8)));
    line.joined = 100;
    assert_eq!(line.join(1).await, 6);

    // A ticket from before the loss of Redis, presented for its account.
    let account = LineAccount { digest: [9; 16], rejoins: false };
    store.bind_account(&line.ticket(6), &account).await.expect("a response");
    store.bind_account(&line.ticket(5), &account).await.expect("too late");
    let named = store.join(sale, [5; 8], &[named(9, 9, false)]).await.expect("joined");
    assert_eq!((named[0].ordinal, named[0].visitor), (6, visitor(5)));
}

#[tokio::test]
async fn no_more_ordinals_are_given_than_the_controller_has_granted() {
    let mut line = Line::published().await;
    line.join(999).await;
    let two = [joining(1), joining(2)];
    let rejected = line.store.join(line.card.id, [9; 8], &two).await;
    assert_eq!(rejected, Err(LineError::NoOrdinals));
    assert_eq!(line.join(1).await, 1000);
    line.granted += 10;
    line.publish(&[], &[]).await;
    assert_eq!(line.join(1).await, 1001);
}
