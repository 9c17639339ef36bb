//! The sale that is simulated.

use std::{sync::LazyLock, time::Duration};

use admission_controller::testing::{LineRow, SaleRow, SigningKeys};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD};
use fairline_admission_token::{Claims, SigningKey};
use fairline_record::draw;
use fairline_sale::{LineOrder, SaleId, SaleMode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// Its id.
pub const SALE: SaleId = SaleId(Uuid::from_u128(1));

/// How often it is ticked.
pub(crate) const TICK: Duration = Duration::from_millis(200);

/// Admissions a second, unless a story has another cap.
fn usual_rate_cap_per_s() -> f64 {
    10.0
}

/// How long after its turn a ticket is still recalled, in s.
const RECALL_WINDOW_S: i32 = 600;

/// What a story starts with; its events are the rest.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct StorySetup {
    /// The sale.
    pub terms: StoryTerms,
    /// Most shoppers have accounts.
    pub accounts: bool,
    /// Transactions stop before each statement.
    pub stops_often: bool,
}

/// The parameters of a story's sale.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct StoryTerms {
    /// Initial units.
    pub total: i32,
    /// Limit per shopper.
    pub limit: i32,
    /// Claim window, in s.
    pub claim_window_s: i32,
    /// Lifetime of a token, in s.
    pub token_ttl_s: i32,
    /// Lifetime of a hold, in s.
    pub hold_s: i32,
    /// Admissions a second.
    #[serde(default = "usual_rate_cap_per_s")]
    pub rate_cap_per_s: f64,
    /// Time from the beginning of the story to the opening, in ms.
    pub opens_after_ms: i64,
    /// It opens with a draw.
    pub draws: bool,
}

/// The seed of its draw.
pub const SEED: [u8; 32] = [7; 32];

/// A moment of the simulation, in ms since its start.
#[must_use]
pub fn moment(ms: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(ms)
}

/// When stories begin, in ms.
pub const BEGIN_MS: u64 = 1_000_000;

fn begin() -> OffsetDateTime {
    moment(i64::try_from(BEGIN_MS).unwrap_or(0))
}

/// The row of the sale.
#[must_use]
pub fn row(terms: &StoryTerms) -> SaleRow {
    let opens_at = begin() + time::Duration::milliseconds(terms.opens_after_ms);
    SaleRow {
        id: SALE.0,
        slug: "simulated".to_owned(),
        name: "Simulated".to_owned(),
        description: String::new(),
        price_minor: 100,
        currency: "EUR".to_owned(),
        per_shopper_limit: terms.limit,
        per_account_limit: None,
        status: "scheduled".to_owned(),
        message: None,
        rate_cap_per_s: terms.rate_cap_per_s,
        token_ttl_s: terms.token_ttl_s,
        claim_window_s: terms.claim_window_s,
        hold_s: terms.hold_s,
        recall_window_s: RECALL_WINDOW_S,
        grace_s: None,
        mode: SaleMode::Guarantee.as_str().to_owned(),
        risk: 0.0,
        opens_at,
        ends_at: None,
        created_at: begin(),
        line_order: if terms.draws { LineOrder::Draw } else { LineOrder::Fifo }.as_str().to_owned(),
        commitment: terms.draws.then(|| draw::commitment(&SEED).0.to_vec()),
        revealed_seed: None,
        total: terms.total,
        promised: 0,
        held: 0,
        sold: 0,
        prior_sale: None,
        prior: None,
        memory: "{}".to_owned(),
        in_checkout_max: None,
        ticked_at: begin() - time::Duration::HOUR,
        observed_at: begin() - time::Duration::HOUR,
        unreachable_from: None,
        unreachable_until: None,
        last_decision: None,
        inside: 0,
        orders: 0,
        rehearsal_of: None,
        theme: serde_json::json!({}),
        time_zone: "UTC".to_owned(),
        can_open: true,
        now: begin(),
    }
}

/// The rows of its lines.
#[must_use]
pub fn lines() -> Vec<LineRow> {
    vec![LineRow {
        id: SALE.0,
        sale_id: SALE.0,
        lane: None,
        share: None,
        invitation_key: None,
        invitations: 0,
        epoch: 0,
        cursor: 0,
        highest_ordinal: 0,
        granted: 0,
        above: 0,
        drawn: None,
        draw_key: None,
        record_seq: Some(0),
        record_hash: vec![0; 32],
        recorded_epoch: 0,
        recorded_rev: 0,
        recorded_tickets: Vec::new(),
        recorded_status: "scheduled".to_owned(),
        published_status: None,
        epoch_began_at: begin() - time::Duration::HOUR,
        publication: 0,
        home: None,
        rapid_epochs: 0,
        republish_below: None,
        admitted: 0,
        waiting: 0,
        present: 0,
        expected: 0,
        nodes: 0,
        expected_nodes: 0,
        recovers_until: None,
    }]
}

/// The keys that sign its tokens; no result depends on their values.
#[must_use]
pub fn keys() -> &'static SigningKeys {
    static KEYS: LazyLock<SigningKeys> =
        LazyLock::new(|| SigningKeys::new(vec![SigningKey::generate(), SigningKey::generate()]));
    &KEYS
}

/// The key in Redis of a part of its line.
pub(crate) fn redis_key(part: &str) -> Vec<u8> {
    format!("fairline:{{{SALE}}}:{part}").into_bytes()
}

/// The admission of a token.
#[must_use]
pub fn admission_of(token: &str) -> Option<Uuid> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    Some(serde_json::from_slice::<Claims>(&claims).ok()?.jti)
}
