use super::*;

#[test]
fn wrong_charges_are_found_during_faults_too() {
    let mut doctored = honest().with_a_fault();
    doctored.payments[0].has_order = false;
    assert_eq!(doctored.promises(), [6]);
    doctored.charges[0].refunded = 100;
    assert_eq!(doctored.promises(), KEPT);

    let mut doctored = honest().with_a_fault();
    doctored.charges[0].payment = None;
    assert_eq!(doctored.promises(), [6]);

    let mut doctored = honest().with_a_fault();
    doctored.payments[1].hold_id = doctored.payments[0].hold_id;
    assert_eq!(doctored.promises(), [6]);

    let mut doctored = honest().with_a_fault();
    let (order, status) = (doctored.payments[0].hold_id, "lapsed".to_owned());
    doctored.events.push(Event { at_us: 3 * S, shopper: 0, what: Happening::Order { order, status } });
    assert_eq!(doctored.promises(), [6]);
    // It had been authorised before.
    doctored.charges[0].made_at_us = 2 * S;
    assert_eq!(doctored.promises(), KEPT);
}
