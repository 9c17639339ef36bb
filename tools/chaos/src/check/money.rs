//! Promise 6: every charge is an order or refunded, and none comes after its order is gone.

use std::collections::HashMap;

use fairline_rush::Happening;
use uuid::Uuid;

use super::{Evidence, SLACK_US};
use crate::books::{Charge, Payment};

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

/// The last observation of each charge.
fn last_seen(charges: &[Charge]) -> impl Iterator<Item = &Charge> {
    let last: HashMap<&str, usize> = charges.iter().enumerate().map(|(at, charge)| (charge.id.as_str(), at)).collect();
    let mut at: Vec<usize> = last.into_values().collect();
    at.sort_unstable();
    at.into_iter().map(|at| &charges[at])
}

/// Promise 6: the first authorisation comes before the shopper is notified that the order is gone.
pub(super) fn charged_after_the_end(evidence: &Evidence<'_>) -> Vec<String> {
    let mut gone: HashMap<Uuid, i64> = HashMap::new();
    for event in evidence.events {
        if let Happening::Order { order, status } = &event.what
            && ["lapsed", "refunded"].contains(&status.as_str())
        {
            let first = gone.entry(*order).or_insert(event.at_us);
            *first = event.at_us.min(*first);
        }
    }
    let payments: HashMap<Uuid, &Payment> = evidence.payments.iter().map(|payment| (payment.id, payment)).collect();
    let mut found = Vec::new();
    for charge in last_seen(evidence.charges) {
        let Some(payment) = charge.payment.and_then(|id| payments.get(&id)) else { continue };
        let after = |moment_us: i64| (charge.made_at_us - moment_us) as f64 / 1e6;
        if let Some(gone_us) = gone.get(&payment.hold_id)
            && charge.made_at_us > gone_us + SLACK_US
        {
            let late = after(*gone_us);
            found.push(format!(
                "{} was authorised {late:.1} s after the shopper was notified that the order is gone",
                charge.id
            ));
        }
    }
    found
}
