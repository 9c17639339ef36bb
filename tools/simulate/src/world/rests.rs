//! Two controllers, of which one finds the sale at rest while the other ticks it.

use fairline_line::port::LIBRARY;

use super::World;
use crate::{
    bugs::Bugs,
    event::{ProcessIndex, StoryEvent, StoryFault},
    sale::{StorySetup, StoryTerms},
};

const CAP_PER_S: f64 = 2.0;
/// What a sale at rest has earned: a part of an admission, and one period of 0.2 s.
const AT_REST: f64 = 1.0 + CAP_PER_S * 0.2;
/// Within this time a controller notices that shoppers have joined a sale at rest, in s.
const NOTICED_S: f64 = 0.5;

/// A sale that both controllers have found at rest, and that all shoppers have joined. Neither
/// controller continues for `paused_ms`.
fn crowd_at_rest(paused_ms: [u64; 2]) -> World {
    let terms = StoryTerms {
        total: 10,
        limit: 1,
        claim_window_s: 60,
        token_ttl_s: 120,
        hold_s: 60,
        rate_cap_per_s: CAP_PER_S,
        opens_after_ms: 0,
        draws: false,
    };
    let setting = StorySetup { terms, accounts: false, stops_often: false };
    let mut world = World::new(LIBRARY, &Bugs::default(), &setting);
    world.apply(&StoryEvent::Calm(9000));
    for (controller, ms) in paused_ms.into_iter().enumerate() {
        assert!(world.ledger().rests(controller), "controller {controller} has nothing to do");
        world.apply(&StoryEvent::Fault(StoryFault::Pause(controller, ms)));
    }
    world.apply(&StoryEvent::Join(2, (0..10).collect()));
    world
}

fn pass(world: &mut World, ms: u64) {
    world.apply(&StoryEvent::Calm(ms));
    world.check();
    assert_eq!(world.broken, None);
}

fn admitted(world: &World) -> f64 {
    world.ledger().tables.admissions.len() as f64
}

/// Runs one controller alone until it sleeps, or until `is_reached`.
fn run_alone(world: &mut World, controller: ProcessIndex, is_reached: impl Fn(&World) -> bool) {
    while !is_reached(world) && world.runnable().contains(&(controller, 0)) {
        world.apply(&StoryEvent::Run(controller, 0));
    }
}

#[test]
fn controllers_that_alternate_deliver_the_cap_and_no_more() {
    let mut world = crowd_at_rest([0, 2500]);
    pass(&mut world, 2000);
    let by_first = admitted(&world);
    assert!((CAP_PER_S * (2.0 - NOTICED_S)..=AT_REST + CAP_PER_S * 2.0).contains(&by_first), "{by_first} in 2 s");
    assert!(world.ledger().rests(1), "the second controller has not continued yet");
    world.apply(&StoryEvent::Fault(StoryFault::Pause(0, 60_000)));
    // It has found the sale at rest: what the first one has left is not lost, and nothing is added.
    pass(&mut world, 2000);
    assert!(!world.ledger().rests(1), "the second controller has ticked the sale");
    let by_both = admitted(&world);
    let lost_s = 2.0 * NOTICED_S + 0.5;
    assert!((CAP_PER_S * (4.0 - lost_s)..=AT_REST + CAP_PER_S * 4.0).contains(&by_both), "{by_both} in 4 s");
}

#[test]
fn a_controller_at_rest_that_finds_the_sale_locked_earns_from_then_on() {
    let mut world = crowd_at_rest([0, 2000]);
    pass(&mut world, 1000);
    let before = admitted(&world);
    world.apply(&StoryEvent::Fault(StoryFault::Pause(0, 1000)));
    pass(&mut world, 1000);
    run_alone(&mut world, 0, |world| world.ledger().is_locked());
    assert!(world.ledger().is_locked() && world.ledger().rests(1), "the first controller is at work");
    run_alone(&mut world, 1, |_| false);
    assert!(!world.ledger().rests(1), "the second one has found the sale locked");
    world.apply(&StoryEvent::Fault(StoryFault::Kill(0)));
    world.apply(&StoryEvent::Fault(StoryFault::Pause(0, 60_000)));
    pass(&mut world, 400);
    let earned = admitted(&world) - before;
    assert!((2.0..=1.0 + CAP_PER_S * 1.9).contains(&earned), "{earned} in 1.2 to 1.9 s since the last tick");
}
