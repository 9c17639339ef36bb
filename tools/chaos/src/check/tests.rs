mod liveness;
mod money;
mod news;

use std::time::Duration;

use uuid::Uuid;

use super::*;

const S: i64 = 1_000_000;
/// No promise is broken.
const KEPT: [u8; 0] = [];

/// What happened in a shop that keeps every promise: two shoppers wait, are admitted, and pay.
struct Doctored {
    profile: CrowdProfile,
    sale: SaleKind,
    guests: u32,
    report: Report,
    events: Vec<HistoryEvent>,
    faults: Vec<Injected>,
    admissions: Vec<IssuedAdmission>,
    payments: Vec<Payment>,
    charges: Vec<GatewayCharge>,
    reserved: Vec<GatewayCharge>,
    stock: Vec<(i64, Stock)>,
    pauses: Vec<Pause>,
    ended: Vec<Exit>,
    deadlocks: Vec<String>,
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn honest() -> Doctored {
    let profile = CrowdProfile {
        mix: "buy=1".parse().expect("shares"),
        transports: "websocket=1".parse().expect("shares"),
        payments: "visa=1".parse().expect("shares"),
        arrive_within: Duration::ZERO,
        act_within: Duration::ZERO,
        disconnected: Duration::ZERO,
        think_up_to: Duration::ZERO,
        chance_percent: 50,
        faster: 1,
    };
    let mut doctored = Doctored {
        profile,
        sale: SaleKind::Plain,
        guests: 0,
        report: Report { order_honest: Some(true), ..Report::default() },
        events: Vec::new(),
        faults: Vec::new(),
        admissions: Vec::new(),
        payments: Vec::new(),
        charges: Vec::new(),
        reserved: Vec::new(),
        stock: (0..60).map(|at| (at * S / 2, Stock { total: 9, overbook: 0, promised: 1, held: 1, sold: 2 })).collect(),
        pauses: Vec::new(),
        ended: Vec::new(),
        deadlocks: Vec::new(),
    };
    for shopper in 0..2 {
        let (n, at) = (u128::from(shopper) + 1, i64::from(shopper) * S);
        let (admission, order, payment) = (id(n), id(10 + n), id(20 + n));
        for (at_us, what) in [
            (at, HistoryEventKind::Connected { room: 0 }),
            (at + S, HistoryEventKind::Place { ordinal: u64::from(shopper) + 1 }),
            (at + 5 * S, HistoryEventKind::Turn { admission, expires_s: 60 }),
            (at + 6 * S, HistoryEventKind::PaySent { order }),
            (at + 7 * S, HistoryEventKind::Order { order, status: "paid".to_owned() }),
            (at + 20 * S, HistoryEventKind::Disconnected),
            (at + 20 * S, HistoryEventKind::Ended { outcome: Some("paid".to_owned()) }),
        ] {
            doctored.events.push(HistoryEvent { at_us, shopper, what });
        }
        let ordinal = i64::from(shopper) + 1;
        let issued_at_us = at + 4 * S;
        doctored.admissions.push(IssuedAdmission {
            id: admission,
            is_guest: false,
            ordinal,
            issued_at_us,
            expires_at_us: 60 * S,
        });
        let state = "captured".to_owned();
        let hold_expires_at_us = 60 * S;
        let began_us = at + 6 * S;
        let (hold_id, has_order) = (order, true);
        doctored.payments.push(Payment { id: payment, hold_id, state, began_us, hold_expires_at_us, has_order });
        doctored.charges.push(GatewayCharge {
            id: format!("pi_{n}"),
            payment: Some(payment),
            status: "succeeded".to_owned(),
            amount: 100,
            refunded: 0,
            made_at_us: at + 6 * S,
            captured_at_us: Some(at + 7 * S),
        });
    }
    doctored
}

impl Doctored {
    fn evidence(&self) -> Evidence<'_> {
        Evidence {
            seed: 1,
            profile: &self.profile,
            sale: self.sale,
            guests: self.guests,
            report: &self.report,
            events: &self.events,
            faults: &self.faults,
            admissions: &self.admissions,
            payments: &self.payments,
            charges: &self.charges,
            reserved: &self.reserved,
            stock: &self.stock,
            pauses: &self.pauses,
            ended: &self.ended,
            deadlocks: &self.deadlocks,
        }
    }

    fn promises(&self) -> Vec<u8> {
        check(&self.evidence()).into_iter().map(|violation| violation.promise).collect()
    }

    /// The same, had there been a fault all the time.
    fn with_a_fault(self) -> Self {
        self.with_a_fault_at(0, 60 * S)
    }

    /// The same, had a fault begun and the shop recovered from it then: it excuses two seconds
    /// more.
    fn with_a_fault_at(mut self, began_us: i64, recovered_us: i64) -> Self {
        let fault = Fault::Kill("checkout-1");
        self.faults.push(Injected { fault, began_us, ended_us: began_us, recovered_us });
        self
    }

    fn forget(&mut self, is: impl Fn(&HistoryEvent) -> bool) {
        self.events.retain(|event| !is(event));
    }
}

#[test]
fn a_shop_that_keeps_its_promises_has_no_violations() {
    assert_eq!(honest().promises(), KEPT);
}

#[test]
fn violations_of_the_report_keep_the_number_of_their_promise() {
    let mut doctored = honest();
    for promise in [1, 2, 3, 4, 5, 6, 7, 8] {
        doctored.report.broken.push(format!("promise {promise}: 1 thing"));
    }
    doctored.report.mismatches.push("the counts differ".to_owned());
    doctored.report.order_honest = Some(false);
    assert_eq!(doctored.promises(), [1, 2, 3, 4, 5, 6, 7, 8, 0, 10]);
}

#[test]
fn a_passed_shopper_is_found_unless_away_when_redis_lost_the_line() {
    let passed = |doctored: &mut Doctored| {
        doctored.admissions[0].issued_at_us = 8 * S;
        for event in &mut doctored.events {
            if event.shopper == 0 && event.at_us > 4 * S {
                event.at_us += 4 * S;
            }
        }
    };
    let mut doctored = honest();
    passed(&mut doctored);
    assert_eq!(doctored.promises(), [4]);
    // The report counts it, too, by a rule that does not consider faults.
    doctored
        .report
        .broken
        .push("promise 4: 1 pair of shoppers who stayed was admitted against their ordinals".to_owned());
    assert_eq!(doctored.promises(), [4]);
    let away = HistoryEvent { at_us: 4 * S, shopper: 0, what: HistoryEventKind::Disconnected };
    doctored.events.push(away);
    assert_eq!(doctored.promises(), [4], "Redis has not lost the line");
    let fault = Fault::RedisEmptied(0);
    doctored.faults.push(Injected { fault, began_us: 3 * S, ended_us: 4 * S, recovered_us: 6 * S });
    assert_eq!(doctored.promises(), KEPT);
    doctored.events.retain(|event| !matches!(event.what, HistoryEventKind::Disconnected) || event.at_us > 5 * S);
    assert_eq!(doctored.promises(), [4], "it was always connected");
}

#[test]
fn guests_pass_others_but_not_each_other_and_a_draw_has_its_own_order() {
    let passed = || {
        let mut doctored = honest();
        doctored.admissions[0].issued_at_us = 8 * S;
        for event in doctored.events.iter_mut().filter(|event| event.shopper == 0 && event.at_us > 4 * S) {
            event.at_us += 4 * S;
        }
        doctored
    };
    assert_eq!(passed().promises(), [4]);
    assert_eq!(Doctored { sale: SaleKind::Draw, ..passed() }.promises(), KEPT);
    let mut guest = Doctored { sale: SaleKind::Lane, guests: 1, ..passed() };
    guest.admissions[0].is_guest = true;
    assert_eq!(guest.promises(), KEPT, "they wait in two lines");
    guest.guests = 2;
    guest.admissions[1].is_guest = true;
    assert_eq!(guest.promises(), [4], "they wait in the lane");
}

#[test]
fn yield_mode_promises_more_than_the_stock_and_never_sells_more() {
    let stock = Stock { total: 9, overbook: 2, promised: 8, held: 1, sold: 2 };
    assert!(!stock.is_oversold() && Stock { overbook: 1, ..stock }.is_oversold());
    assert!(Stock { promised: 0, held: 5, sold: 5, ..stock }.is_oversold());
}

#[test]
fn a_turn_that_is_lost_without_a_fault_is_found() {
    let lose = |mut doctored: Doctored| {
        let outcome = "Expired".to_owned();
        doctored.events.push(HistoryEvent { at_us: 10 * S, shopper: 0, what: HistoryEventKind::Over { outcome } });
        doctored
    };
    assert_eq!(lose(honest()).promises(), [5]);
    assert_eq!(lose(honest()).with_a_fault().promises(), KEPT);
}

#[test]
fn a_deadlock_is_found_whatever_the_fault() {
    let mut doctored = honest().with_a_fault();
    assert_eq!(doctored.promises(), KEPT);
    let deadlock = "[7] ERROR:  deadlock detected".to_owned();
    doctored.deadlocks.push(deadlock.clone());
    assert_eq!(check(&doctored.evidence()), [Violation { promise: 9, what: deadlock }]);
}

#[test]
fn time_without_a_fault_is_counted_up_to_the_last_admission() {
    let quiet = |doctored: &Doctored| doctored.evidence().quiet();
    let mut doctored = honest();
    doctored.admissions[1].issued_at_us = 100 * S;
    assert_eq!(quiet(&doctored), Quiet { quiet_s: 100.0, whole_s: 100.0 });
    // Two that overlap, one of which another one contains, and one after the end.
    for (began, recovered) in [(20, 38), (30, 31), (35, 48), (90, 93), (120, 130)] {
        doctored = doctored.with_a_fault_at(began * S, recovered * S);
    }
    assert_eq!(quiet(&doctored), Quiet { quiet_s: 65.0, whole_s: 100.0 });
    assert!(quiet(&doctored).is_enough());
    let doctored = doctored.with_a_fault_at(5 * S, 83 * S);
    assert_eq!(quiet(&doctored), Quiet { quiet_s: 15.0, whole_s: 100.0 });
    assert!(!quiet(&doctored).is_enough(), "a sale without quiet times checks next to nothing");
}
