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
    let (order, status) = (doctored.payments[0].hold_id, "expired".to_owned());
    doctored.events.push(HistoryEvent { at_us: 3 * S, shopper: 0, what: HistoryEventKind::Order { order, status } });
    assert_eq!(doctored.promises(), [6]);
    // It had been authorised before, and was captured nevertheless.
    doctored.charges[0].made_at_us = 2 * S;
    assert_eq!(doctored.promises(), [6]);
    doctored.charges[0].captured_at_us = Some(2 * S);
    assert_eq!(doctored.promises(), KEPT);
}

#[test]
fn a_payment_begins_and_is_authorised_before_its_deadlines() {
    // It begins and is authorised after 6 s.
    let with_deadline = |hold_expires_at_us| {
        let mut doctored = honest().with_a_fault();
        doctored.payments[0].hold_expires_at_us = hold_expires_at_us;
        doctored
    };
    assert_eq!(with_deadline(7 * S).promises(), KEPT);
    assert_eq!(with_deadline(5 * S).promises(), [6]);
    let authorised_at = |made_at_us| {
        let mut doctored = with_deadline(7 * S);
        (doctored.charges[0].made_at_us, doctored.charges[0].captured_at_us) = (made_at_us, Some(made_at_us));
        doctored
    };
    assert_eq!(authorised_at(900 * S).promises(), KEPT, "it began in time");
    assert_eq!(authorised_at(910 * S).promises(), [6]);
}

/// The first shopper withdraws the payment of 6 s, or cancels the order, half a second later.
fn withdrawn(cancels: bool) -> Doctored {
    let mut doctored = honest();
    let order = doctored.payments[0].hold_id;
    let mut note = |at_us, what| doctored.events.push(HistoryEvent { at_us, shopper: 0, what });
    note(6 * S + S / 5, HistoryEventKind::WithdrawalSent { order });
    note(6 * S + S / 2, HistoryEventKind::Withdrawn { order });
    if cancels {
        note(6 * S + S / 2, HistoryEventKind::Order { order, status: "cancelled".to_owned() });
    }
    doctored.charges[0].captured_at_us = None;
    doctored
}

#[test]
fn a_cancelled_order_is_not_charged() {
    assert_eq!(withdrawn(true).promises(), KEPT);
    let captured = |doctored: Doctored| {
        let mut doctored = doctored;
        doctored.charges[0].captured_at_us = Some(8 * S);
        doctored
    };
    assert_eq!(captured(withdrawn(true)).promises(), [6]);
    assert_eq!(captured(withdrawn(true)).with_a_fault().promises(), [6]);
    let authorised_at = |at: i64| {
        let mut doctored = withdrawn(true);
        doctored.charges[0].made_at_us = at * S;
        doctored
    };
    assert_eq!(authorised_at(8).promises(), KEPT, "it was on its way");
    assert_eq!(authorised_at(9).promises(), [6]);
    assert_eq!(authorised_at(9).with_a_fault().promises(), KEPT, "it was on its way, through a fault");
    let mut begun_later = authorised_at(9).with_a_fault();
    begun_later.payments[0].began_us = 8 * S;
    assert_eq!(begun_later.promises(), [6]);
}

#[test]
fn a_withdrawn_payment_is_not_charged_and_the_next_one_is() {
    assert_eq!(withdrawn(false).promises(), KEPT);
    let captured = |began_us: i64| {
        let mut doctored = withdrawn(false);
        doctored.payments[0].began_us = began_us;
        doctored.charges[0].captured_at_us = Some(8 * S);
        doctored
    };
    assert_eq!(captured(6 * S).promises(), [6]);
    assert_eq!(captured(6 * S).with_a_fault().promises(), KEPT, "it may have begun after the withdrawal");
    assert_eq!(captured(7 * S).promises(), KEPT, "it began after the withdrawal");
    let mut authorised_later = withdrawn(false);
    authorised_later.charges[0].made_at_us = 9 * S;
    assert_eq!(authorised_later.promises(), [6]);
}

#[test]
fn money_that_stays_reserved_is_found() {
    let mut doctored = honest().with_a_fault();
    doctored.payments[0].state = "voided".to_owned();
    let reserved = GatewayCharge { status: "requires_capture".to_owned(), ..doctored.charges[0].clone() };
    assert!(reserved.is_reserved() && !doctored.charges[0].is_reserved());
    doctored.reserved.push(reserved);
    let what = "pi_1 still requires_capture, and its payment is voided".to_owned();
    assert_eq!(check(&doctored.evidence()), [Violation { promise: 6, what }]);
}
