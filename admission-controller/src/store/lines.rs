//! The lines of a sale: what the controller knows of each, and what it does to one.

use std::collections::HashSet;

use fairline_line::{
    invitation::InvitationKey,
    store::{Claim, Upcoming},
    ticket::Ordinal,
};
use fairline_sale::{DrawFacts, LaneFacts, RecordHead, SaleCard, SaleId, SaleMode, VisitorId};
use sqlx::{FromRow, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{LockedSale, SaleRow, StoreError, count, ordinal, record};

/// Ordinals that a line may give before the controller grants more: those of one tick at least, and of an outage of the
/// controller as far as it goes.
const GRANTED_AHEAD: i64 = 100_000;
/// Turns told to Redis in one publication at most.
const PUBLISHED_MAX: i64 = 500;
/// A ticket whose turn lapsed this often without a page to claim it is not recalled again.
const LAPSES_MAX: i64 = 3;

/// A line of a sale, as stored: its own, or a lane.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct LineRow {
    /// The sale's for its own line.
    pub id: Uuid,
    pub sale_id: Uuid,
    /// The name of a lane.
    pub lane: Option<String>,
    /// The part of the admissions that a lane gets while somebody waits in it.
    pub share: Option<f64>,
    /// What a lane's invitations are signed with.
    pub invitation_key: Option<Vec<u8>>,
    pub invitations: i64,
    pub epoch: i32,
    pub cursor: i64,
    pub highest_ordinal: i64,
    pub granted: i64,
    pub above: i64,
    pub drawn: Option<i64>,
    pub draw_key: Option<Vec<u8>>,
    pub record_seq: Option<i64>,
    pub record_hash: Vec<u8>,
    pub recorded_epoch: i32,
    pub recorded_rev: i64,
    pub recorded_tickets: Vec<i64>,
    pub recorded_status: String,
    pub published_status: Option<String>,
    pub epoch_began_at: OffsetDateTime,
    pub publication: i64,
    /// Tickets let in; one that came again is one.
    pub admitted: i64,
    /// People who wait, as of the last tick.
    pub waiting: i64,
    /// Of these, the ones with the page open.
    pub present: i64,
}

/// The lines of some sales: of each its own first, then the lanes in the order of their names.
pub(super) async fn of<'c>(executor: impl PgExecutor<'c>, sales: &[Uuid]) -> Result<Vec<LineRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, sale_id, lane, share, invitation_key, invitations, epoch, cursor, highest_ordinal, granted, above, \
         drawn, draw_key, record_seq, record_hash, recorded_epoch, recorded_rev, recorded_tickets, recorded_status, published_status, epoch_began_at, publication, admitted, \
         waiting, present FROM lines WHERE sale_id = ANY($1) ORDER BY lane NULLS FIRST",
    );
    Ok(rows.bind(sales).fetch_all(executor).await?)
}

impl LineRow {
    pub fn line(&self) -> SaleId {
        SaleId(self.id)
    }

    pub fn cursor(&self) -> Ordinal {
        ordinal(self.cursor)
    }

    pub fn highest(&self) -> Ordinal {
        ordinal(self.highest_ordinal)
    }

    pub fn granted(&self) -> Ordinal {
        ordinal(self.granted)
    }

    pub fn epoch(&self) -> u32 {
        count(self.epoch)
    }

    /// What signs the invitations to a lane.
    pub fn invitations(&self) -> Option<InvitationKey> {
        self.invitation_key.as_deref().map(|key| InvitationKey::new(&record::hash(key).0))
    }

    fn lane(&self) -> Option<LaneFacts> {
        let (name, key) = self.lane.clone().zip(self.invitations())?;
        Some(LaneFacts { sale: SaleId(self.sale_id), name, key: key.public() })
    }
}

impl SaleRow {
    /// The facts that anybody in one of its lines may see.
    pub fn card(&self, line: &LineRow) -> SaleCard {
        let lane = line.lane();
        SaleCard {
            id: line.line(),
            // No slug has two hyphens in a row.
            slug: lane.as_ref().map_or_else(|| self.slug.clone(), |lane| format!("{}--{}", self.slug, lane.name)),
            name: self.name.clone(),
            description: self.description.clone(),
            price_minor: self.price_minor,
            currency: self.currency.clone(),
            per_shopper_limit: self.units_per_admission(),
            per_account_limit: self.per_account_limit.map(i32::unsigned_abs),
            total: self.total(),
            remaining: self.remaining(),
            status: self.shown_status(),
            opens_at: self.opens_at,
            ends_at: self.ends_at,
            rate_cap_per_s: self.rate_cap_per_s,
            message: self.message.clone(),
            mode: if self.is_yield() { SaleMode::Yield } else { SaleMode::Guarantee },
            order: self.order(),
            draw: self.commitment().map(|commitment| DrawFacts {
                commitment: commitment.to_string(),
                pool: line.drawn.map(ordinal),
                seed: self.revealed_seed.as_deref().map(|seed| record::hash(seed).to_string()),
            }),
            lane,
            grace_s: self.grace_s.map(count),
            rehearsal: self.rehearsal_of.is_some(),
            look: serde_json::from_value(self.look.clone()).unwrap_or_default(),
            record: line
                .record_seq
                .map(|seq| RecordHead { seq: ordinal(seq), hash: record::hash(&line.record_hash).to_string() }),
        }
    }
}

/// One admission that Redis has not been told of, or not lately.
#[derive(Debug, Clone, FromRow)]
pub struct Unpublished {
    pub id: Uuid,
    ordinal: i64,
    visitor: Vec<u8>,
    quantity: i32,
    /// The key of its token; empty after that was revoked, until there is another.
    pub kid: String,
    pub state: String,
    pub issued_at: OffsetDateTime,
    pub claim_by: OffsetDateTime,
    pub claimed_at: Option<OffsetDateTime>,
    pub expires_at: OffsetDateTime,
    lapses: i64,
}

impl Unpublished {
    pub fn ordinal(&self) -> Ordinal {
        ordinal(self.ordinal)
    }

    pub fn quantity(&self) -> u32 {
        count(self.quantity)
    }

    pub fn visitor(&self) -> VisitorId {
        let mut id = [0; 16];
        // The schema checks the length.
        id.copy_from_slice(&self.visitor[..16]);
        VisitorId(id)
    }

    /// Whether nobody was there to claim it, and the ticket deserves another turn.
    pub fn may_come_again(&self) -> bool {
        self.claimed_at.is_none() && self.lapses < LAPSES_MAX
    }
}

/// What happens to the line at this position among the sale's.
impl LockedSale {
    /// Notes what pages have said: tokens that arrived, and tokens that were given back, which lapse at once.
    pub async fn hear(&mut self, at: usize, claims: &[(Ordinal, Claim)]) -> Result<(), StoreError> {
        let ordinals = |wanted: Claim| -> Vec<i64> {
            let heard = claims.iter().filter(|(_, claim)| *claim == wanted);
            heard.filter_map(|(ordinal, _)| i64::try_from(*ordinal).ok()).collect()
        };
        let (claimed, left) = (ordinals(Claim::Claimed), ordinals(Claim::Left));
        if !claimed.is_empty() {
            sqlx::query(
                "UPDATE admissions SET claimed_at = now() WHERE line_id = $1 AND ordinal = ANY($2) \
                 AND state = 'promised' AND claimed_at IS NULL",
            )
            .bind(self.lines[at].id)
            .bind(claimed)
            .execute(&mut *self.transaction)
            .await?;
        }
        if !left.is_empty() {
            let units: i64 = sqlx::query_scalar(
                "WITH lapsed AS (UPDATE admissions SET state = 'lapsed', left_at = now() WHERE line_id = $1 \
                 AND ordinal = ANY($2) AND state = 'promised' RETURNING quantity) \
                 SELECT coalesce(sum(quantity), 0) FROM lapsed",
            )
            .bind(self.lines[at].id)
            .bind(left)
            .fetch_one(&mut *self.transaction)
            .await?;
            self.promised -= units;
        }
        Ok(())
    }

    /// Makes admissions, and promises their units. A ticket that has one already is passed over. Gives those that were
    /// made, in order.
    pub async fn admit(
        &mut self,
        at: usize,
        tickets: &[(Ordinal, VisitorId, u32)],
        kid: &str,
    ) -> Result<Vec<Ordinal>, StoreError> {
        if tickets.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<Uuid> = tickets.iter().map(|_| Uuid::now_v7()).collect();
        let ordinals: Vec<i64> = tickets.iter().filter_map(|ticket| i64::try_from(ticket.0).ok()).collect();
        let visitors: Vec<Vec<u8>> = tickets.iter().map(|ticket| ticket.1.0.to_vec()).collect();
        let quantities: Vec<i32> = tickets.iter().filter_map(|ticket| i32::try_from(ticket.2).ok()).collect();
        let (made, units, first): (Vec<i64>, i64, i64) = sqlx::query_as(
            "WITH made AS (INSERT INTO admissions \
             (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, issued_at, claim_by, expires_at) \
             SELECT ticket.id, $1, $10, $2, ordinal, visitor, quantity, $7, moment.now, \
             moment.now + make_interval(secs => $8), moment.now + make_interval(secs => $9) \
             FROM unnest($3::uuid[], $4::bigint[], $5::bytea[], $6::integer[]) AS ticket (id, ordinal, visitor, quantity), \
             (SELECT clock_timestamp() AS now) AS moment \
             ON CONFLICT (line_id, ordinal) WHERE state <> 'lapsed' DO NOTHING RETURNING ordinal, quantity) \
             SELECT coalesce(array_agg(ordinal), '{}'), coalesce(sum(quantity), 0), count(*) FILTER (WHERE NOT EXISTS \
             (SELECT FROM admissions AS earlier WHERE earlier.line_id = $10 AND earlier.ordinal = made.ordinal AND state = 'lapsed')) \
             FROM made",
        )
        .bind(self.row.id)
        .bind(self.lines[at].epoch)
        .bind(ids)
        .bind(ordinals)
        .bind(visitors)
        .bind(quantities)
        .bind(kid)
        .bind(f64::from(self.row.claim_window_s))
        .bind(f64::from(self.row.token_ttl_s))
        .bind(self.lines[at].id)
        .fetch_one(&mut *self.transaction)
        .await?;
        self.made[at] += i64::try_from(made.len()).unwrap_or(i64::MAX);
        self.first[at] += first;
        self.promised += units;
        self.promises |= units > 0;
        let made: HashSet<Ordinal> = made.into_iter().map(ordinal).collect();
        Ok(tickets.iter().map(|ticket| ticket.0).filter(|ordinal| made.contains(ordinal)).collect())
    }

    /// Notes how far a line has moved, and who was seen to wait in it; nothing where that is as it was.
    pub async fn note_moved(&mut self, at: usize, cursor: Ordinal, seen: &Upcoming) -> Result<(), StoreError> {
        let stored = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let before = self.lines[at].clone();
        let line = &mut self.lines[at];
        // Those who have just been let in were seen to wait.
        line.waiting = (stored(seen.waiting) - self.made[at]).max(0);
        line.present = (line.waiting - stored(seen.absent)).max(0);
        line.cursor = line.cursor.max(stored(cursor));
        line.highest_ordinal = line.highest_ordinal.max(stored(seen.highest)).max(line.cursor);
        line.granted = line.granted.max(line.highest_ordinal + GRANTED_AHEAD);
        line.admitted += self.first[at];
        if *line == before {
            return Ok(());
        }
        sqlx::query(
            "UPDATE lines SET joined = joined + $2, waiting = $3, present = $4, cursor = $5, highest_ordinal = $6, granted = $7, \
             admitted = $8 WHERE id = $1",
        )
        .bind(line.id)
        .bind((stored(seen.highest) - before.highest_ordinal).max(0))
        .bind(line.waiting)
        .bind(line.present)
        .bind(line.cursor)
        .bind(line.highest_ordinal)
        .bind(line.granted)
        .bind(line.admitted)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// Admissions that Redis has not been told of as they are now: tokens that are out first, then the oldest.
    pub async fn unpublished(&mut self, at: usize) -> Result<Vec<Unpublished>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT id, ordinal, visitor, quantity, kid, state, issued_at, claim_by, claimed_at, expires_at, \
             (SELECT count(*) FROM admissions AS other WHERE other.line_id = admissions.line_id \
              AND other.ordinal = admissions.ordinal AND other.state = 'lapsed' AND NOT other.excused) AS lapses \
             FROM admissions WHERE line_id = $1 AND published_state IS DISTINCT FROM state \
             ORDER BY state <> 'promised', issued_at, ordinal LIMIT $2",
        )
        .bind(self.lines[at].id)
        .bind(PUBLISHED_MAX)
        .fetch_all(&mut *self.transaction)
        .await?)
    }

    /// Begins a new epoch, since Redis has lost the line: its ordinals start above all that were granted, and everything
    /// has to be told again. The cursor passes all earlier tickets; before a draw it passes none, since they are still in it.
    pub async fn begin_epoch(&mut self, at: usize) -> Result<(), StoreError> {
        let before_draw = self.row.draw_is_due(&self.lines[at]);
        let line = &mut self.lines[at];
        (line.epoch, line.publication, line.above) = sqlx::query_as(
            "UPDATE lines SET epoch = epoch + 1, cursor = CASE WHEN $3 THEN cursor ELSE granted END, above = granted, \
             highest_ordinal = granted, granted = granted + $2, \
             epoch_began_at = clock_timestamp() WHERE id = $1 \
             RETURNING epoch, publication, above",
        )
        .bind(line.id)
        .bind(GRANTED_AHEAD)
        .bind(before_draw)
        .fetch_one(&mut *self.transaction)
        .await?;
        sqlx::query("UPDATE admissions SET published_state = NULL WHERE line_id = $1 AND published_state IS NOT NULL")
            .bind(self.lines[at].id)
            .execute(&mut *self.transaction)
            .await?;
        self.forget_told_removals(self.lines[at].id).await?;
        Ok(())
    }

    /// Notes that Redis has been told these admissions, as they were then.
    pub async fn note_published(&mut self, at: usize, published: &[Unpublished]) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = published.iter().map(|admission| admission.id).collect();
        let states: Vec<String> = published.iter().map(|admission| admission.state.clone()).collect();
        sqlx::query(
            "UPDATE admissions SET published_state = told.state \
             FROM unnest($1::uuid[], $2::text[]) AS told (id, state) WHERE admissions.id = told.id",
        )
        .bind(ids)
        .bind(states)
        .execute(&mut *self.transaction)
        .await?;
        sqlx::query("UPDATE lines SET publication = publication + 1, published_status = $2 WHERE id = $1")
            .bind(self.lines[at].id)
            .bind(&self.row.status)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }
}
