//! Promise 6: every charge is an order or refunded, and none follows the end of its order.

use std::collections::HashMap;

use fairline_rush::{HistoryEvent, HistoryEventKind};
use uuid::Uuid;

use super::{Evidence, SLACK_US};
use crate::ledger_reader::{GatewayCharge, Payment};

/// A payment that began within the time of its hold may be authorised for this long.
const BEGUN_KEEPS_US: i64 = 15 * 60 * 1_000_000;
/// How long after a withdrawal a call that began before it may arrive at the gateway.
const ON_ITS_WAY_US: i64 = 2_000_000;

/// Promise 6: captured money without order and refund, or captured twice for one order.
pub(super) fn charges_without_order(evidence: &Evidence<'_>) -> Vec<String> {
    let payments: HashMap<Uuid, &Payment> = evidence.payments.iter().map(|payment| (payment.id, payment)).collect();
    let mut found = Vec::new();
    let mut kept: HashMap<Uuid, u32> = HashMap::new();
    for charge in last_seen(evidence.charges) {
        if charge.captured_at_us.is_none() || charge.refunded >= charge.amount {
            continue;
        }
        match charge.payment.and_then(|id| payments.get(&id)) {
            Some(payment) if payment.has_order => *kept.entry(payment.hold_id).or_default() += 1,
            Some(payment) => found.push(format!("{} is captured, but its payment is {}", charge.id, payment.state)),
            None => found.push(format!("{} is captured, but has no payment", charge.id)),
        }
    }
    found.extend(
        kept.iter().filter(|(_, times)| **times > 1).map(|(order, times)| format!("{order} is paid {times} times")),
    );
    found
}

/// Promise 6: when all payments have ended, no money stays reserved.
pub(super) fn never_released(evidence: &Evidence<'_>) -> Vec<String> {
    let state = |charge: &GatewayCharge| {
        let payment = evidence.payments.iter().find(|payment| Some(payment.id) == charge.payment);
        payment.map_or("missing", |payment| payment.state.as_str())
    };
    let found = evidence.reserved.iter();
    found.map(|charge| format!("{} still {}, and its payment is {}", charge.id, charge.status, state(charge))).collect()
}

/// The last observation of each charge.
fn last_seen(charges: &[GatewayCharge]) -> impl Iterator<Item = &GatewayCharge> {
    let last: HashMap<&str, usize> = charges.iter().enumerate().map(|(at, charge)| (charge.id.as_str(), at)).collect();
    let mut at: Vec<usize> = last.into_values().collect();
    at.sort_unstable();
    at.into_iter().map(|at| &charges[at])
}

/// A withdrawal that a checkout has confirmed.
struct Withdrawal {
    sent_us: i64,
    confirmed_us: i64,
}

/// The notifications of shoppers, by order.
#[derive(Default)]
struct OrderEnds {
    /// When a page first reported the order as expired, cancelled or refunded.
    gone_us: HashMap<Uuid, i64>,
    withdrawals: HashMap<Uuid, Vec<Withdrawal>>,
}

impl OrderEnds {
    fn of(events: &[HistoryEvent]) -> OrderEnds {
        let mut events: Vec<&HistoryEvent> = events.iter().collect();
        events.sort_by_key(|event| event.at_us);
        let (mut ends, mut sent) = (OrderEnds::default(), HashMap::new());
        for HistoryEvent { at_us, what, .. } in events {
            match what {
                HistoryEventKind::Order { order, status }
                    if ["expired", "cancelled", "refunded"].contains(&status.as_str()) =>
                {
                    ends.gone_us.entry(*order).or_insert(*at_us);
                }
                HistoryEventKind::WithdrawalSent { order } => drop(sent.insert(*order, *at_us)),
                HistoryEventKind::Withdrawn { order } => {
                    let sent_us = sent.get(order).copied().unwrap_or(*at_us);
                    ends.withdrawals.entry(*order).or_default().push(Withdrawal { sent_us, confirmed_us: *at_us });
                }
                _ => {}
            }
        }
        ends
    }
}

/// Promise 6: a payment is first authorised before its deadline, before the shopper is notified
/// that the order has ended, and before it is withdrawn.
pub(super) fn charged_after_the_end(evidence: &Evidence<'_>) -> Vec<String> {
    let ends = OrderEnds::of(evidence.events);
    let payments: HashMap<Uuid, &Payment> = evidence.payments.iter().map(|payment| (payment.id, payment)).collect();
    let mut found = Vec::new();
    for charge in last_seen(evidence.charges) {
        let Some(payment) = charge.payment.and_then(|id| payments.get(&id)) else { continue };
        let withdrawals = ends.withdrawals.get(&payment.hold_id).map_or(&[][..], Vec::as_slice);
        let gone = ends.gone_us.get(&payment.hold_id).map(|at_us| OrderEnd {
            at_us: *at_us,
            what: "the shopper was notified that the order has ended",
            may_be_on_its_way: !withdrawals.is_empty(),
        });
        let withdrawn = withdrawals.iter().filter(|withdrawal| is_about(withdrawal, evidence, payment));
        let withdrawn = withdrawn.map(|withdrawal| OrderEnd {
            at_us: withdrawal.confirmed_us,
            what: "the payment was withdrawn",
            may_be_on_its_way: true,
        });
        let late = after_the_deadline(charge, payment).or_else(|| {
            gone.into_iter().chain(withdrawn).find_map(|end| after_an_end(evidence, charge, payment, &end))
        });
        found.extend(late.map(|late| format!("{} was {late}", charge.id)));
    }
    found
}

fn late(what: &str, at_us: i64, after_us: i64, end: &str) -> Option<String> {
    let late_s = (at_us - after_us) as f64 / 1e6;
    (at_us > after_us + SLACK_US).then(|| format!("{what} {late_s:.1} s after {end}"))
}

fn after_the_deadline(charge: &GatewayCharge, payment: &Payment) -> Option<String> {
    let deadline_us = payment.hold_expires_at_us;
    let until_us = deadline_us.max(payment.began_us + BEGUN_KEEPS_US);
    late("begun", payment.began_us, deadline_us, "the deadline of its hold")
        .or_else(|| late("authorised", charge.made_at_us, until_us, "the last moment for it"))
}

/// After this nothing is charged.
struct OrderEnd {
    at_us: i64,
    what: &'static str,
    /// The gateway may receive the payment only now, though it was sent before; checkout then
    /// releases it.
    may_be_on_its_way: bool,
}

fn after_an_end(evidence: &Evidence<'_>, charge: &GatewayCharge, payment: &Payment, end: &OrderEnd) -> Option<String> {
    let was_on_its_way = end.may_be_on_its_way
        && payment.began_us <= end.at_us
        && (charge.made_at_us <= end.at_us + ON_ITS_WAY_US || evidence.is_excused(payment.began_us, charge.made_at_us));
    let authorised = if was_on_its_way { None } else { late("authorised", charge.made_at_us, end.at_us, end.what) };
    authorised.or_else(|| late("captured", charge.captured_at_us?, end.at_us, end.what))
}

/// A payment that begins after the withdrawal was sent is another one. While a fault lasts, it may
/// begin later than its time in the database.
fn is_about(withdrawal: &Withdrawal, evidence: &Evidence<'_>, payment: &Payment) -> bool {
    payment.began_us < withdrawal.sent_us && !evidence.is_excused(payment.began_us, withdrawal.confirmed_us)
}
