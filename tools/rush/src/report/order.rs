//! Inversions of the order in which shoppers were admitted, line by line.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use crate::{ledger::Admission, record::ShopperRecord, statistics::inversions};

/// The lines in which these shoppers wait.
fn lines(records: &[ShopperRecord]) -> BTreeSet<Uuid> {
    records.iter().map(|record| record.line).collect()
}

/// Inversions of the order in which shoppers who stayed were first admitted, in all lines. A
/// shopper who never was ranks behind all who were, so being passed over counts.
pub(super) fn inversions_in_the_database(records: &[ShopperRecord], grace_ms: u64, admissions: &[Admission]) -> u64 {
    lines(records).into_iter().map(|line| inversions_in_line(line, records, grace_ms, admissions)).sum()
}

fn inversions_in_line(line: Uuid, records: &[ShopperRecord], grace_ms: u64, admissions: &[Admission]) -> u64 {
    let admissions: Vec<&Admission> = admissions.iter().filter(|row| row.line == line).collect();
    // Ordinals are unique in a line, across its epochs.
    let mut first_admitted: HashMap<i64, i64> = HashMap::new();
    for row in &admissions {
        let first = first_admitted.entry(row.ordinal).or_insert(row.issued_at_us);
        *first = row.issued_at_us.min(*first);
    }
    let tickets: HashMap<Uuid, i64> = admissions.iter().map(|row| (row.id, row.ordinal)).collect();
    let ticket = |record: &ShopperRecord| {
        let by_turn = record.turns.first().and_then(|turn| tickets.get(&turn.admission).copied());
        by_turn.or_else(|| i64::try_from(record.ordinal?).ok())
    };
    let stayed = records.iter().filter(|record| record.line == line && record.stayed(grace_ms));
    let mut order: Vec<(i64, i64)> = stayed
        .filter_map(ticket)
        .map(|ordinal| (first_admitted.get(&ordinal).copied().unwrap_or(i64::MAX), ordinal))
        .collect();
    order.sort_unstable();
    inversions(&order.iter().map(|(_, ordinal)| *ordinal).collect::<Vec<_>>())
}

/// The same from the shoppers' tokens, whose times are whole seconds.
pub(super) fn inversions_seen(records: &[ShopperRecord], grace_ms: u64) -> u64 {
    let in_line = |line: Uuid| {
        let stayed = records.iter().filter(|record| record.line == line && record.stayed(grace_ms));
        let mut order: Vec<(i64, u64)> =
            stayed.filter_map(|record| Some((record.turns.first()?.issued_at_s, record.ordinal?))).collect();
        order.sort_unstable();
        inversions(&order.iter().map(|(_, ordinal)| *ordinal).collect::<Vec<_>>())
    };
    lines(records).into_iter().map(in_line).sum()
}
