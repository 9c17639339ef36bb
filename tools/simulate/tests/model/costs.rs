//! What functions cost, counted in the model: commands, and elements of their replies.

use std::{sync::Arc, time::Duration};

use fairline_line::{
    change::Revision,
    port::LIBRARY,
    store::{JoinRequest, LineStore, Publication},
};
use fairline_sale::{SaleCard, SaleId, VisitorId};
use fairline_simulate::{
    gate::Gate,
    server::{RedisServer, complete},
};

const NOW_MS: u64 = 1_800_000_000_000;

/// The costs of repeating the first, the middle and the last of a number of joins.
fn costs_of_repetitions(library: &str, batches: u64) -> [u64; 3] {
    let (gate, mut server) = (Gate::default(), RedisServer::new(1, library));
    let store = LineStore::over(Arc::new(gate.clone()));
    let card = SaleCard { id: SaleId(uuid::Uuid::from_u128(1)), ..SaleCard::example() };
    let home = complete(&gate, &mut server, NOW_MS, store.home(card.id)).expect("read").run_id;
    let publication = Publication {
        number: 1,
        epoch: 1,
        begins: Some(&home),
        above: 0,
        cursor: 0,
        drawn: 0,
        recorded: Revision::default(),
        granted: batches,
        recall_window: Duration::from_secs(600),
        card: &card,
        handled_claims: &[],
        turns: &[],
    };
    complete(&gate, &mut server, NOW_MS, store.publish(&publication)).expect("published");
    let mut join = |batch: u64| {
        let one = [JoinRequest { visitor: VisitorId([7; 16]), account: None }];
        server.take_work();
        let tickets = complete(&gate, &mut server, NOW_MS, store.join(card.id, batch.to_be_bytes(), &one));
        (tickets.expect("joined"), server.take_work())
    };
    let first: Vec<_> = (0..batches).map(|batch| join(batch).0).collect();
    [0, batches / 2, batches - 1].map(|batch| {
        let (repeated, work) = join(batch);
        assert_eq!(Some(&repeated), first.get(usize::try_from(batch).expect("small")), "the answer of the first");
        work
    })
}

#[test]
fn a_repeated_join_costs_the_same_however_many_have_joined() {
    let few = costs_of_repetitions(LIBRARY, 10);
    assert!(few[0] > 0 && few == [few[0]; 3], "{few:?}");
    assert_eq!(costs_of_repetitions(LIBRARY, 20_000), few);

    // The control looks for the batch among the arrivals.
    let remembers = "local packed = call('GET', remembered)";
    let scans = LIBRARY.replace(remembers, &format!("call('XRANGE', keys[ARRIVALS], '-', '+') {remembers}"));
    assert_ne!(scans, LIBRARY, "the library has the line");
    let costs = costs_of_repetitions(&scans, 1000);
    assert!(costs[0] > 1000, "{costs:?}");
}
