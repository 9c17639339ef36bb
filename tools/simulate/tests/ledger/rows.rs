//! The committed rows of both sides, as one JSON document.

use fairline_record::entry::Entry;
use fairline_sale::VisitorId;
use fairline_simulate::ledger::{Hold, Tables};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

/// The rows in Postgres. `number` is the order of admissions.
pub(crate) const ROWS: &str = "SELECT json_build_object( \
    'admissions', (SELECT coalesce(json_agg(json_build_array(line_id, ordinal, encode(visitor, 'hex'), quantity, kid, state, \
        ms(issued_at), ms(claim_by), ms(expires_at), ms(claimed_at), excused, published_state, published_epoch, recorded_state) \
        ORDER BY number), '[]') FROM admissions WHERE sale_id = $1), \
    'holds', (SELECT coalesce(json_agg(json_build_array(line_id, ordinal, encode(holds.visitor, 'hex'), holds.quantity, \
        ms(holds.expires_at), holds.state) ORDER BY number), '[]') FROM holds JOIN admissions ON admissions.id = admission_id \
        WHERE holds.sale_id = $1), \
    'ticket_actions', (SELECT coalesce(json_agg(json_build_array(line_id, ordinal, kind, encode(visitor, 'hex'), reason = 'limit', \
        done, published_epoch) ORDER BY line_id, ordinal, kind), '[]') \
        FROM ticket_actions JOIN lines ON lines.id = line_id WHERE sale_id = $1), \
    'units', (SELECT coalesce(json_agg(json_build_array(encode(visitor, 'hex'), units) ORDER BY visitor), '[]') \
        FROM shopper_allowances WHERE sale_id = $1 AND units > 0), \
    'own', (SELECT json_build_array(admit_now, settled) FROM lines WHERE id = $1), \
    'revoked', (SELECT coalesce(json_agg(kid ORDER BY kid), '[]') FROM revoked_keys WHERE starts_with(kid, $2)), \
    'record', (SELECT coalesce(json_agg(json_build_array(line_id, seq, encode(hash, 'hex'), body) ORDER BY line_id, seq), '[]') \
        FROM record_entries JOIN lines ON lines.id = line_id WHERE sale_id = $1))::text";

fn ms(at: OffsetDateTime) -> i128 {
    at.unix_timestamp_nanos() / 1_000_000
}

fn hex(VisitorId(bytes): VisitorId) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The rows in memory.
pub(crate) fn rows(tables: &Tables, is_settled: bool) -> Value {
    let line = |at: usize| tables.lines[at].id;
    let number = |at: OffsetDateTime| i64::try_from(ms(at)).unwrap_or(i64::MAX);
    let admissions = tables.admissions.iter().map(|row| {
        json!([
            line(row.line),
            row.ordinal,
            hex(row.visitor),
            row.quantity,
            row.kid,
            row.state.as_str(),
            number(row.issued_at),
            number(row.claim_by),
            number(row.expires_at),
            row.claimed_at.map(number),
            row.excused,
            row.published.map(|state| state.as_str()),
            row.published_epoch,
            row.recorded.as_str()
        ])
    });
    let state = |hold: &Hold| match (hold.open, hold.expired) {
        (true, _) => "held",
        (false, true) => "expired",
        (false, false) => "paid",
    };
    let holds = tables.admissions.iter().filter_map(|row| {
        let hold = tables.holds.iter().find(|hold| hold.admission == row.id)?;
        let until = number(hold.until);
        Some(json!([line(row.line), row.ordinal, hex(hold.visitor), hold.quantity, until, state(hold)]))
    });
    let mut actions: Vec<_> = tables.ticket_actions.iter().collect();
    let kind = |removed: bool| if removed { "removed" } else { "preferred" };
    actions.sort_by_key(|row| (line(row.line), row.ordinal, kind(row.removed)));
    let actions = actions.into_iter().map(|row| {
        let (kind, visitor) = (kind(row.removed), hex(row.visitor));
        json!([line(row.line), row.ordinal, kind, visitor, row.at_limit, row.done, row.published_epoch])
    });
    let units = tables.units.iter().filter(|units| *units.1 > 0).map(|(visitor, units)| json!([hex(*visitor), units]));
    let mut revoked = tables.revoked.clone();
    revoked.sort_unstable();
    let mut record: Vec<(Uuid, Entry)> = Vec::new();
    for (at, entries) in tables.record.iter().enumerate() {
        record.extend(entries.iter().map(|entry| (line(at), Entry::from_line(entry).expect("an entry"))));
    }
    record.sort_by_key(|(line, entry)| (*line, entry.head.seq));
    let record =
        record.iter().map(|(line, entry)| json!([line, entry.head.seq, entry.head.hash.to_string(), entry.body]));
    json!({
        "admissions": admissions.collect::<Vec<_>>(),
        "holds": holds.collect::<Vec<_>>(),
        "ticket_actions": actions.collect::<Vec<_>>(),
        "units": units.collect::<Vec<_>>(),
        "own": [json!(tables.admit_now), json!(is_settled)],
        "revoked": revoked,
        "record": record.collect::<Vec<_>>(),
    })
}

/// The first difference between two documents of rows.
pub(crate) fn difference(memory: &Value, postgres: &Value) -> Option<String> {
    for (table, rows) in memory.as_object()? {
        let (ours, theirs) = (rows.as_array()?, postgres[table].as_array()?);
        for at in 0..ours.len().max(theirs.len()) {
            if ours.get(at) != theirs.get(at) {
                let text = |row: Option<&Value>| row.map_or_else(|| "none".to_owned(), Value::to_string);
                let (ours, theirs) = (text(ours.get(at)), text(theirs.get(at)));
                return Some(format!("row {at} of {table}:\n  in memory:   {ours}\n  in Postgres: {theirs}"));
            }
        }
    }
    None
}
