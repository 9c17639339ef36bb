use std::{os::unix::process::ExitStatusExt as _, process::ExitStatus};

use super::{super::liveness::STALLED_US, *};

/// The same, had no unit been free.
fn sold_out(mut doctored: Doctored) -> Doctored {
    for (_, stock) in &mut doctored.stock {
        stock.sold = 7;
    }
    doctored
}

/// The second shopper is admitted this much later.
fn admitted_later(mut doctored: Doctored, by_us: i64) -> Doctored {
    doctored.admissions[1].issued_at_us += by_us;
    for event in doctored.events.iter_mut().filter(|event| event.shopper == 1 && event.at_us > 2 * S) {
        event.at_us += by_us;
    }
    doctored
}

/// A page that stays open for a minute receives an update every 20 s.
fn with_heartbeats() -> Doctored {
    let mut doctored = admitted_later(sold_out(honest()), 60 * S);
    let received = |at: i64| HistoryEvent { at_us: at * S, shopper: 1, what: HistoryEventKind::Received };
    doctored.events.extend([22, 42, 62].map(received));
    doctored
}

#[test]
fn a_page_without_a_first_message_is_found() {
    let silent = || {
        let mut doctored = honest();
        doctored.forget(|event| event.shopper == 0 && matches!(event.what, HistoryEventKind::Place { .. }));
        doctored
    };
    assert_eq!(silent().promises(), [7]);
    assert_eq!(silent().with_a_fault().promises(), KEPT);
    assert_eq!(silent().with_a_fault_at(10 * S, 20 * S).promises(), [7], "the page was silent before");
}

#[test]
fn a_page_that_falls_silent_later_is_found() {
    let silent = || {
        let mut doctored = with_heartbeats();
        doctored.forget(|event| event.at_us == 42 * S);
        doctored
    };
    assert_eq!(with_heartbeats().promises(), KEPT);
    assert_eq!(silent().promises(), [7]);
    assert_eq!(silent().with_a_fault().promises(), KEPT);
    // From 22 to 62 s it is silent: 22 s of these are quiet, or 34.
    assert_eq!(silent().with_a_fault_at(30 * S, 38 * S).promises(), KEPT);
    assert_eq!(silent().with_a_fault_at(23 * S, 26 * S).promises(), [7], "34 s without a fault");
    assert_eq!(silent().with_a_fault_at(5 * S, 15 * S).promises(), [7], "the fault was over");
}

#[test]
fn a_page_on_a_dead_connection_is_silent_until_it_notices() {
    let silent = |began: i64| {
        let mut doctored = with_heartbeats();
        doctored.forget(|event| event.at_us == 42 * S);
        let fault = Fault::Link { from: SHOPPERS, to: "waiting-room-1", how: crate::fault::LinkFault::Dead };
        let (began_us, ended_us) = (began * S, began * S + S / 20);
        doctored.faults.push(Injected { fault, began_us, ended_us, recovered_us: ended_us });
        doctored
    };
    assert_eq!(silent(23).promises(), KEPT);
    assert_eq!(silent(15).promises(), [7], "a message came through later");
}

#[test]
fn a_turn_that_its_page_does_not_show_is_found() {
    let hidden = |doctored: Doctored| {
        let mut doctored = doctored;
        doctored.forget(|event| event.shopper == 0 && matches!(event.what, HistoryEventKind::Turn { .. }));
        doctored
    };
    // It waits to the end, so the line has stalled, too.
    assert_eq!(hidden(honest()).promises(), [7, 9]);
    assert_eq!(hidden(honest()).with_a_fault().promises(), KEPT);
    // It was admitted after 4 s.
    let hidden = || hidden(sold_out(honest()));
    assert_eq!(hidden().with_a_fault_at(3 * S, 4 * S).promises(), KEPT);
    assert_eq!(hidden().with_a_fault_at(20 * S, 25 * S).promises(), [7], "the turn was late before");
}

#[test]
fn a_line_that_stalls_without_a_fault_is_found() {
    let stalled = || admitted_later(honest(), STALLED_US);
    assert_eq!(stalled().promises(), [9]);
    assert_eq!(sold_out(stalled()).promises(), KEPT);
    let mut oversold = sold_out(stalled());
    oversold.stock[3].1.sold = 8;
    assert_eq!(oversold.promises(), [1]);
}

#[test]
fn a_line_that_stalls_in_a_quiet_time_is_found_whatever_failed_before() {
    // No admission from 4 to 19 s.
    let stalled = || admitted_later(honest(), 14 * S);
    assert_eq!(stalled().promises(), [9]);
    assert_eq!(stalled().with_a_fault().promises(), KEPT);
    assert_eq!(stalled().with_a_fault_at(10 * S, 14 * S).promises(), KEPT, "neither part lasts 8 s");
    assert_eq!(stalled().with_a_fault_at(5 * S, 7 * S).promises(), [9]);
    assert_eq!(stalled().with_a_fault_at(16 * S, 17 * S).promises(), [9]);
}

#[test]
fn a_line_that_never_moves_again_is_found() {
    let stalled = || {
        let mut doctored = honest();
        doctored.admissions.truncate(1);
        doctored.forget(|event| event.shopper == 1 && event.at_us > 2 * S && event.at_us < 20 * S);
        doctored
    };
    assert_eq!(stalled().promises(), [9, 9], "twice as long as a line may stand still");
    assert_eq!(stalled().with_a_fault().promises(), KEPT);
}

#[test]
fn a_service_that_ends_unexpectedly_is_found_unless_its_start_fails_during_a_fault_of_a_server() {
    // As `wait` gives it: an exit code in the second byte, or a signal in the first.
    let ended = |raw: i32, fault: Fault| {
        let mut doctored = honest();
        let status = ExitStatus::from_raw(raw);
        doctored.ended.push(Exit { service: "checkout-1", at_us: 10 * S, status });
        doctored.faults.push(Injected { fault, began_us: 9 * S, ended_us: 9 * S, recovered_us: 11 * S });
        doctored
    };
    let (failed_start, panic, orderly, segmentation_fault) = (2 << 8, 101 << 8, 0, 11);
    assert_eq!(ended(failed_start, Fault::RedisKill(0)).promises(), KEPT);
    assert_eq!(ended(failed_start, Fault::Kill("checkout-1")).promises(), [9], "Redis and Postgres were well");
    for raw in [panic, orderly, segmentation_fault] {
        assert_eq!(ended(raw, Fault::RedisKill(0)).promises(), [9], "{raw}");
    }
    let mut later = ended(failed_start, Fault::RedisKill(0));
    later.ended[0].at_us = 14 * S;
    assert_eq!(later.promises(), [9], "Redis was back");
}
