use fairline_record::verify::{InvalidRecord, Verdict};
use fairline_sale::{LineOrder, SaleMode};
use insta::assert_snapshot;
use uuid::Uuid;

use super::{Report, ReportInputs, SENTENCES_MAX};
use crate::{
    ledger::{Admission, Hold, LedgerRows, Order, Payment, Stock},
    messages::AdminSale,
    plan::{ShopperModel, Transport},
    record::{AcceptedPurchase, ObservedRejection, ObservedTurn, Paid, RedeemedHold, ShopperRecord, VisitOutcome},
};

const SECOND: i64 = 1_000_000;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// The inputs that a test modifies before the verdict.
struct World {
    records: Vec<ShopperRecord>,
    ledger: LedgerRows,
    admin: AdminSale,
    record: Option<Result<Verdict, InvalidRecord>>,
    mode: SaleMode,
}

impl World {
    /// Two units, and four shoppers: the first lets its turn lapse, two buy, one is notified
    /// that all is sold.
    fn kept() -> World {
        let visitor = |ordinal: i64| format!("visitor-{ordinal}");
        let admission = |ordinal: i64, state: &str| Admission {
            id: id(100 + ordinal.unsigned_abs() as u128),
            line: id(1),
            ordinal,
            visitor: visitor(ordinal),
            quantity: 1,
            state: state.to_owned(),
            issued_at_us: ordinal * SECOND,
            claim_by_us: (ordinal + 15) * SECOND,
            claimed: true,
            expires_at_us: (ordinal + 120) * SECOND,
        };
        let ledger = LedgerRows {
            stock: Stock { total: 2, promised: 0, held: 0, sold: 2 },
            admissions: vec![admission(1, "lapsed"), admission(2, "redeemed"), admission(3, "redeemed")],
            holds: [2, 3]
                .map(|n: i64| Hold {
                    id: id(200 + n.unsigned_abs() as u128),
                    admission_id: id(100 + n.unsigned_abs() as u128),
                    visitor: visitor(n),
                    quantity: 1,
                    state: "paid".to_owned(),
                    created_at_us: (n + 1) * SECOND,
                })
                .to_vec(),
            payments: [2, 3]
                .map(|n| Payment { id: id(300 + n), hold_id: id(200 + n), state: "captured".to_owned() })
                .to_vec(),
            orders: [2_i64, 3]
                .map(|n| Order {
                    id: id(200 + n.unsigned_abs() as u128),
                    payment_id: id(300 + n.unsigned_abs() as u128),
                    visitor: visitor(n),
                    quantity: 1,
                    paid_at_us: (n + 2) * SECOND,
                })
                .to_vec(),
            published_orders: vec![id(202), id(203)],
        };
        let turn = |n: i64| ObservedTurn {
            admission: id(100 + n.unsigned_abs() as u128),
            visitor: visitor(n),
            issued_at_s: n,
            connected_at_us: 0,
            seen_at_us: n * SECOND + 5_000,
        };
        let shopper = |index: u32, outcome: VisitOutcome| {
            let mut record = ShopperRecord::new(index, id(1), ShopperModel::Buy, Transport::WebSocket);
            record.ordinal = Some(u64::from(index) + 1);
            record.join_ms = Some(f64::from(index) + 1.0);
            record.outcome = Some(outcome);
            record
        };
        let buyer = |index: u32| {
            let n = i64::from(index) + 1;
            let (admission, order) = (id(100 + n.unsigned_abs() as u128), id(200 + n.unsigned_abs() as u128));
            let mut record = shopper(index, VisitOutcome::Paid);
            record.turns.push(turn(n));
            record.accepted.push(AcceptedPurchase { admission, order });
            record.redemption = Some(RedeemedHold { admission, order, took_ms: 7.0 });
            record.paid = Some(Paid { order, units: 1 });
            record
        };
        let mut expired = shopper(0, VisitOutcome::Expired);
        expired.turns.push(turn(1));
        let records = vec![expired, buyer(1), buyer(2), shopper(3, VisitOutcome::SoldOut)];
        let admin = AdminSale { id: id(1), slug: "sale".to_owned(), total: 2, promised: 0, held: 0, sold: 2 };
        World { records, ledger, admin, record: None, mode: SaleMode::Guarantee }
    }

    fn judged(&self) -> Report {
        Report::of(&ReportInputs {
            seed: 7,
            total_on_card: 2,
            per_shopper_limit: 1,
            mode: self.mode,
            grace_ms: 60_000,
            elapsed_s: 1.0,
            records: &self.records,
            ledger: Ok(Some(&self.ledger)),
            admin: Some(Ok(self.admin.clone())),
            record: self.record.clone().map(Ok),
        })
    }
}

#[test]
fn kept_promises_are_ok() {
    let report = World::kept().judged();
    assert_eq!((report.broken.as_slice(), report.mismatches.as_slice()), (&[][..], &[][..]));
    assert!(report.ok);
    assert_eq!(report.exit_code(), 0);
    assert_eq!((report.shoppers, report.joined, report.admitted, report.redeemed, report.paid), (4, 4, 3, 2, 2));
    assert_eq!((report.stock, report.sold, report.stayed), (2, 2, 4));
    assert_eq!((report.admission_p50_ms, report.redeem_p99_ms), (Some(5.0), Some(7.0)));
}

/// The negative controls: one way to break each promise, and each disagreement, is detected and
/// named.
#[test]
fn every_broken_promise_is_detected() {
    type Break = fn(&mut World);
    let ways: &[(&str, Break)] = &[
        ("promise 1: 1 unit is", |world| world.ledger.stock.held = 1),
        ("promise 1: 1 unit is", |world| world.records[1].paid = Some(Paid { order: id(202), units: 2 })),
        ("promise 2: 1 token was accepted twice", |world| {
            let again = world.records[1].accepted[0];
            world.records[1].accepted.push(again);
        }),
        ("promise 2: 1 token was accepted twice", |world| {
            world.records[1].accepted[0].order = id(203);
        }),
        ("promise 2: 1 token was accepted twice", |world| world.ledger.holds[1].admission_id = id(102)),
        ("promise 2: 1 forged token was", |world| world.records[0].forged_accepted.push("algorithm none".to_owned())),
        ("promise 2: 1 token was accepted from another shopper", |world| world.records[0].stolen_accepted = 1),
        ("promise 2: 1 token was accepted from another shopper", |world| {
            world.ledger.holds[0].visitor = "visitor-1".to_owned();
        }),
        ("promise 2: 1 token was accepted after", |world| world.records[0].expired_accepted = 1),
        ("promise 2: 1 token was accepted after", |world| world.ledger.holds[0].created_at_us = 500 * SECOND),
        ("promise 3: 1 shopper was", |world| world.records[2].expired_early = true),
        ("promise 3: 1 shopper was", |world| {
            let rejection =
                ObservedRejection { admission: id(101), at_us: 2 * SECOND, why: "409 sale-not-open".to_owned() };
            world.records[0].rejections.push(rejection);
        }),
        ("promise 4: 1 pair of", |world| world.ledger.admissions[1].issued_at_us = 9 * SECOND),
        ("promise 4: 3 pairs", |world| {
            // Passed over: the first of the line is never admitted, the others are.
            world.records[3].ordinal = Some(0);
        }),
        ("promise 5: 1 shopper lost their place", |world| world.records[3].places_lost = 1),
        ("promise 6: 1 captured payment is", |world| {
            let payment = Payment { id: id(309), hold_id: id(209), state: "captured".to_owned() };
            world.ledger.payments.push(payment);
        }),
        ("promise 6: 1 payment was never completed", |world| {
            let payment = Payment { id: id(309), hold_id: id(209), state: "refund_due".to_owned() };
            world.ledger.payments.push(payment);
        }),
        ("promise 7: 1 shopper never", |world| world.records[3].outcome = None),
        ("captured 2 times", |world| {
            let payment = Payment { id: id(309), hold_id: id(202), state: "captured".to_owned() };
            world.ledger.payments.push(payment);
        }),
        ("was published 0 times", |world| world.ledger.published_orders.truncate(1)),
        ("was published 2 times", |world| world.ledger.published_orders.push(id(202))),
        ("counts 2 units sold, its rows 1", |world| drop(world.ledger.orders.pop())),
        ("counts 1 unit promised, its rows 0", |world| world.ledger.stock.promised = 1),
        ("saw the order", |world| world.ledger.orders[0].id = id(999)),
        ("never seen paid by its shopper", |world| world.records[1].paid = None),
        ("a hold that does not exist", |world| world.ledger.holds[0].id = id(999)),
        ("a turn that is not an admission", |world| world.records[0].turns[0].admission = id(999)),
        ("shoppers were given the ordinal 4", |world| world.records[0].ordinal = Some(4)),
        ("2 shoppers paid for the one order", |world| world.records[1].paid = world.records[2].paid),
        ("was notified that the sale is sold out, but 1 unit is unsold", |world| world.ledger.stock.sold = 1),
        ("showed an order to another shopper", |world| world.records[0].leaked = 1),
        ("promise 8: 1 shopper has more", |world| world.records[0].over_limit = 1),
        ("promise 8: 1 shopper has more", |world| world.ledger.holds[0].quantity = 2),
        ("the admin API shows", |world| world.admin.sold = 1),
    ];
    for (sentence, break_it) in ways {
        let mut world = World::kept();
        break_it(&mut world);
        let report = world.judged();
        let sentences = [report.broken.as_slice(), report.mismatches.as_slice()].concat();
        assert!(sentences.iter().any(|other| other.contains(sentence)), "`{sentence}` is not in {sentences:#?}");
        assert!(!report.ok, "{sentence}");
        assert_eq!(report.exit_code(), 1, "{sentence}");
    }
}

#[test]
fn the_record_alone_judges_the_order_of_a_draw() {
    let mut world = World::kept();
    world.ledger.admissions[1].issued_at_us = 9 * SECOND;
    let by_joining = world.judged();
    assert!(!by_joining.ok && by_joining.order_honest.is_none(), "the control: against the order of joining");
    let mut verdict = Verdict {
        sale: fairline_sale::SaleId(id(1)),
        order: LineOrder::Draw,
        head: fairline_record::entry::Head::default(),
        status: fairline_sale::Status::Open,
        joined: 4,
        admitted: 3,
        preferred: 0,
        removed: 0,
        redeemed: 2,
        lapsed: 1,
        losses: 0,
        pool: Some(4),
        story: Vec::new(),
    };
    world.record = Some(Ok(verdict.clone()));
    assert!(world.judged().ok);
    verdict.order = LineOrder::Fifo;
    world.record = Some(Ok(verdict));
    assert!(!world.judged().ok);
    world.record = Some(Err(InvalidRecord { seq: 7, why: "ticket 3 was admitted, but".to_owned() }));
    let dishonest = world.judged();
    assert_eq!(dishonest.order_honest, Some(false));
    assert!(dishonest.broken.iter().any(|broken| broken.contains("entry 7: ticket 3")), "{:?}", dishonest.broken);
}

#[test]
fn an_unreadable_source_is_not_ok() {
    let World { records, admin, .. } = World::kept();
    let evidence = |ledger, admin| ReportInputs {
        seed: 7,
        total_on_card: 2,
        per_shopper_limit: 1,
        mode: SaleMode::Guarantee,
        grace_ms: 60_000,
        elapsed_s: 1.0,
        records: &records,
        ledger,
        admin,
        record: None,
    };
    let unread = Report::of(&evidence(Err("gone".to_owned()), None));
    assert_eq!((unread.ok, unread.mismatches.len()), (false, 1));
    let unread = Report::of(&evidence(Ok(None), Some(Err("gone".to_owned()))));
    assert_eq!((unread.ok, unread.mismatches.len()), (false, 1));
    let shoppers_alone = Report::of(&evidence(Ok(None), Some(Ok(admin))));
    assert!(shoppers_alone.ok && shoppers_alone.database.is_none());
}

#[test]
fn a_shopper_without_a_unit_breaks_a_promise_in_guarantee_mode_only() {
    let mut world = World::kept();
    world.records[0].no_unit = true;
    assert_eq!((world.judged().ok, world.judged().turned_away), (false, 1));
    world.mode = SaleMode::Yield;
    assert_eq!((world.judged().ok, world.judged().no_unit), (true, 1));
    world.records[0].expired_early = true;
    assert_eq!(world.judged().turned_away, 1);
    // Rejected although in time, which either mode forbids.
    world.records[2].expired_early = true;
    assert!(!world.judged().ok);
    assert_eq!(world.judged().t99_s, Some(4.0), "from the first admission to the second of two orders");
}

#[test]
fn each_line_has_its_own_order() {
    let mut world = World::kept();
    world.ledger.admissions[1].issued_at_us = 9 * SECOND;
    assert_eq!(world.judged().inversions, 1, "the control");
    // The second shopper is invited, with the first ordinal of a lane.
    (world.ledger.admissions[1].line, world.records[1].line) = (id(2), id(2));
    (world.ledger.admissions[1].ordinal, world.records[1].ordinal) = (1, Some(1));
    let report = world.judged();
    assert_eq!((report.inversions, report.mismatches.as_slice()), (0, &[][..]));
}

#[test]
fn shoppers_who_did_not_stay_may_be_admitted_in_any_order() {
    let late = |world: &mut World| world.ledger.admissions[1].issued_at_us = 9 * SECOND;
    let changes: [fn(&mut ShopperRecord); 3] =
        [|record| record.walked_out = true, |record| record.away_ms_max = 60_001, |record| record.join_ms = None];
    for change in changes {
        let mut world = World::kept();
        late(&mut world);
        assert_eq!(world.judged().inversions, 1, "the control");
        change(&mut world.records[1]);
        assert_eq!(world.judged().inversions, 0);
    }
}

#[test]
fn a_recalled_ticket_counts_by_its_first_admission() {
    let mut world = World::kept();
    let mut again = world.ledger.admissions[0].clone();
    (again.id, again.issued_at_us) = (id(150), 9 * SECOND);
    world.ledger.admissions.push(again);
    // Its page was away when the first turn came, and received the second.
    world.records[0].turns[0].admission = id(150);
    assert_eq!(world.judged().inversions, 0);
}

#[test]
fn a_rejection_after_the_claim_window_breaks_no_promise() {
    let mut world = World::kept();
    let rejection = ObservedRejection { admission: id(101), at_us: 20 * SECOND, why: "410 token-expired".to_owned() };
    world.records[0].rejections.push(rejection);
    assert_eq!(world.judged().turned_away, 1, "the control: it had claimed");
    world.ledger.admissions[0].claimed = false;
    assert!(world.judged().ok);
}

/// Scripts depend on the keys, readers on the text.
#[test]
fn the_report_as_text_and_as_json() {
    let report = World::kept().judged();
    assert_snapshot!("kept_text", report);
    assert_snapshot!("kept_json", format!("{:#}", serde_json::to_value(&report).unwrap()));
    let mut world = World::kept();
    world.ledger.stock.held = 1;
    world.ledger.published_orders.clear();
    world.records[3].outcome = None;
    world.records[1].unexpected.insert("purchase: 418".to_owned(), 2);
    assert_snapshot!("broken_text", world.judged());
    assert_eq!(serde_json::from_str::<serde_json::Value>(&report.to_json()).unwrap()["ok"], true, "one line of JSON");
}

#[test]
fn long_lists_are_cut() {
    let mut world = World::kept();
    world.records = (0..40)
        .map(|index| {
            let mut record = ShopperRecord::new(index, id(1), ShopperModel::Buy, Transport::Sse);
            record.paid = Some(Paid { order: id(1_000 + u128::from(index)), units: 1 });
            record
        })
        .collect();
    let report = world.judged();
    assert_eq!(report.mismatches.len(), SENTENCES_MAX + 1);
    assert!(report.mismatches.last().unwrap().starts_with("and "));
}
