use fairline_rush::SaleStatus;

use super::*;

/// Two shoppers wait from the beginning, and stay; the stock has free units.
fn waiting() -> Doctored {
    let mut doctored = honest();
    doctored.forget(|event| event.at_us > S + i64::from(event.shopper) * S);
    for shopper in 0..2 {
        doctored.events.push(HistoryEvent { at_us: 29 * S, shopper, what: HistoryEventKind::Disconnected });
    }
    doctored.admissions.clear();
    doctored.payments.clear();
    doctored.charges.clear();
    doctored
}

/// All free units are promised, so that no admission is due.
fn without_free_units(mut doctored: Doctored) -> Doctored {
    doctored.stock.iter_mut().for_each(|(_, stock)| stock.promised = stock.total - stock.held - stock.sold);
    doctored
}

fn paused(mut doctored: Doctored) -> Doctored {
    doctored.pauses.push(Pause { began_us: 10 * S, ended_us: 16 * S, resumed_us: 16 * S });
    doctored
}

fn shows(mut doctored: Doctored, at_us: i64, what: &HistoryEventKind) -> Doctored {
    for shopper in 0..2 {
        doctored.events.push(HistoryEvent { at_us, shopper, what: what.clone() });
    }
    doctored
}

#[test]
fn a_pause_that_pages_do_not_show_in_time_is_found() {
    let news = HistoryEventKind::Sale { status: SaleStatus::Paused };
    let at = |at_us| shows(paused(without_free_units(waiting())), at_us, &news);
    assert_eq!(at(11 * S).promises(), KEPT);
    assert_eq!(at(15 * S).promises(), [7, 7]);
    assert_eq!(at(15 * S).with_a_fault().promises(), KEPT);
}

#[test]
fn an_end_that_pages_do_not_show_in_time_is_found() {
    let ends = |at_us| {
        let mut doctored = without_free_units(waiting());
        for (sampled_us, stock) in &mut doctored.stock {
            if *sampled_us >= 10 * S {
                *stock = Stock { total: 9, overbook: 0, promised: 0, held: 0, sold: 9 };
            }
        }
        shows(doctored, at_us, &HistoryEventKind::Over { outcome: "SoldOut".to_owned() })
    };
    assert_eq!(ends(12 * S).promises(), KEPT);
    assert_eq!(ends(15 * S).promises(), [7, 7]);
}

#[test]
fn an_admission_during_a_pause_is_found() {
    let admitted = |at_us| {
        let news = HistoryEventKind::Sale { status: SaleStatus::Paused };
        let mut doctored = shows(paused(without_free_units(waiting())), 11 * S, &news);
        let (id, expires_at_us) = (id(1), 60 * S);
        doctored.admissions.push(IssuedAdmission {
            id,
            is_guest: false,
            ordinal: 9,
            issued_at_us: at_us,
            expires_at_us,
        });
        doctored
    };
    assert_eq!(admitted(10 * S).promises(), KEPT, "a tick that was under way");
    assert_eq!(admitted(13 * S).promises(), [7]);
}

#[test]
fn a_line_that_does_not_move_after_a_pause_is_found() {
    let news = HistoryEventKind::Sale { status: SaleStatus::Paused };
    let mut doctored = shows(paused(waiting()), 11 * S, &news);
    // The line is known to have moved before and after, so that it has not stalled as a whole.
    for at_us in [0, 6, 12, 19, 21, 26].map(|s| s * S) {
        let (id, expires_at_us) = (id(1), 60 * S);
        doctored.admissions.push(IssuedAdmission {
            id,
            is_guest: false,
            ordinal: 9,
            issued_at_us: at_us,
            expires_at_us,
        });
    }
    doctored.pauses[0] = Pause { began_us: 10 * S, ended_us: 11 * S, resumed_us: 13 * S };
    assert_eq!(doctored.promises(), [9]);
    doctored.admissions[3].issued_at_us = 15 * S;
    assert_eq!(doctored.promises(), KEPT);
}
