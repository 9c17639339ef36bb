//! The lines of a sale: what the controller knows of each, and what it does to one.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use fairline_line::{
    invitation::InvitationKey,
    store::{Claim, Home, Upcoming},
    ticket::Ordinal,
};
use fairline_sale::{AdmissionState, DrawFacts, LaneFacts, RecordHead, SaleCard, SaleId, SaleMode, VisitorId};
use sqlx::{FromRow, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{LockedSale, SaleRow, Store, StoreError, count, ordinal, record};
use crate::{
    epochs,
    ledger::{LineStatements, NotServed},
};

/// Turns told to Redis in one publication at most.
pub const PUBLISHED_MAX: i64 = 500;
/// Publications that one tick may make of a line.
pub const PUBLICATIONS_A_TICK: i64 = 4;
/// Turns that are over and are told again in one call.
pub const RETOLD_AT_ONCE: i64 = 5000;
/// Epochs that a line may have had since the backup that it was restored from.
const EPOCHS_LEAPT: i32 = 1000;
/// A ticket whose turn lapsed this often without a page to claim it is not recalled again.
const LAPSES_MAX: i64 = 3;

fn stored(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Shoppers who wait with an open page.
pub fn present(seen: &Upcoming) -> i64 {
    stored(seen.waiting.saturating_sub(seen.absent))
}

/// A line of a sale, as stored: its own, or a lane.
#[derive(Debug, Clone, PartialEq, FromRow)]
#[allow(missing_docs, reason = "the columns of the schema")]
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
    /// When Redis was told that the epoch begins; until that is known, by when it is at the latest.
    pub epoch_began_at: OffsetDateTime,
    /// The number of the last publication that a commit may be told in.
    pub publication: i64,
    /// The Redis process that the epoch lives in.
    pub home: Option<String>,
    /// Epochs that were begun in short succession.
    pub restless: i32,
    /// Turns that are over, of tickets below this one, are still to be published again.
    pub retell_below: Option<i64>,
    /// Tickets let in; one that came again is one.
    pub admitted: i64,
    /// People who wait, as of the last tick.
    pub waiting: i64,
    /// Of these, the ones with the page open.
    pub present: i64,
    /// Of those who wait, the ones with the page open before the line was lost.
    pub expected: i64,
    /// While they come back, no shopper is admitted, until then at the latest.
    pub recovers_until: Option<OffsetDateTime>,
}

/// The lines of some sales: of each its own first, then the lanes in the order of their names.
pub(super) async fn of<'c>(executor: impl PgExecutor<'c>, sales: &[Uuid]) -> Result<Vec<LineRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, sale_id, lane, share, invitation_key, invitations, epoch, cursor, highest_ordinal, granted, above, \
         drawn, draw_key, record_seq, record_hash, recorded_epoch, recorded_rev, recorded_tickets, recorded_status, \
         published_status, epoch_began_at, publication, home, restless, retell_below, admitted, \
         waiting, present, expected, recovers_until FROM lines WHERE sale_id = ANY($1) ORDER BY lane NULLS FIRST",
    );
    Ok(rows.bind(sales).fetch_all(executor).await?)
}

impl LineRow {
    /// The id of the line.
    pub fn line(&self) -> SaleId {
        SaleId(self.id)
    }

    /// The highest number whose turn has come.
    pub fn cursor(&self) -> Ordinal {
        ordinal(self.cursor)
    }

    /// The highest ordinal that was given.
    pub fn highest(&self) -> Ordinal {
        ordinal(self.highest_ordinal)
    }

    /// Up to which ordinal Redis may give them.
    pub fn granted(&self) -> Ordinal {
        ordinal(self.granted)
    }

    /// Which life of the line this is.
    pub fn epoch(&self) -> u32 {
        count(self.epoch)
    }

    /// How many epochs have begun in short succession.
    pub fn restless(&self) -> u32 {
        count(self.restless)
    }

    /// The line has moved, with so many admissions made, of which so many are of tickets that had none before. Ordinals are
    /// granted so many ahead.
    pub fn move_on(
        &mut self,
        cursor: Ordinal,
        seen: &Upcoming,
        ahead: i64,
        (made, first): (i64, i64),
        now: OffsetDateTime,
    ) {
        self.recovers_until = epochs::recovers_until(self, seen, now);
        // Those who have just been let in were seen to wait.
        self.waiting = (stored(seen.waiting) - made).max(0);
        self.present = (self.waiting - stored(seen.absent)).max(0);
        self.cursor = self.cursor.max(stored(cursor));
        self.highest_ordinal = self.highest_ordinal.max(stored(seen.highest)).max(self.cursor);
        self.granted = self.granted.max(self.highest_ordinal + ahead);
        self.home = Some(seen.home.clone());
        self.admitted += first;
    }

    /// Of so many present shoppers those who had a ticket before this epoch, which begins above
    /// all earlier ordinals.
    pub fn returned(&self, present: i64, highest: i64) -> i64 {
        present - (highest - self.above)
    }

    /// Redis has lost the line: the present shoppers are expected back, with those still missing since
    /// an earlier loss.
    pub fn lose(&mut self, now: OffsetDateTime) {
        let still_expected = self.recovers_until.filter(|&until| until > now).map_or(0, |_| self.expected);
        self.expected = self.present.max(still_expected);
        self.recovers_until = (self.expected > 0).then(|| now + epochs::RECOVERY_MAX);
        (self.waiting, self.present) = (0, 0);
    }

    /// How many epochs have begun in short succession, with one that begins now.
    pub fn restless_with_another(&self, now: OffsetDateTime) -> i32 {
        let is_one_of_a_series = self.epoch > 0 && now - self.epoch_began_at < epochs::SETTLED;
        if is_one_of_a_series { self.restless.saturating_add(1) } else { 0 }
    }

    /// Whether turns of earlier epochs are still to be told again.
    pub fn is_retelling(&self) -> bool {
        self.retell_below.is_some()
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
#[allow(missing_docs, reason = "the columns of the schema")]
pub struct Unpublished {
    pub id: Uuid,
    pub ordinal: i64,
    pub visitor: Vec<u8>,
    pub quantity: i32,
    /// The key of its token; empty after that was revoked, until there is another.
    pub kid: String,
    pub state: String,
    pub issued_at: OffsetDateTime,
    pub claim_by: OffsetDateTime,
    pub claimed_at: Option<OffsetDateTime>,
    pub expires_at: OffsetDateTime,
    /// Turns of the ticket that lapsed and are not excused.
    pub lapses: i64,
    /// The ticket has had another turn since, which alone is told.
    pub superseded: bool,
}

/// Turns of earlier epochs that are over, of some tickets.
#[derive(Debug, Default)]
pub struct TurnsOver {
    /// Used.
    pub bought: Vec<Ordinal>,
    /// Ran out.
    pub expired: Vec<Ordinal>,
    /// Nobody claimed them, and they come again.
    pub lapsed: Vec<Ordinal>,
    below: Option<i64>,
}

/// One turn, as it is published again.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "the columns of the schema")]
pub struct TurnRow {
    pub ordinal: i64,
    pub state: String,
    pub claimed: bool,
    pub excused: bool,
}

impl TurnsOver {
    /// Reads turns, the newest tickets first, and of each ticket the newest turn first; [`RETOLD_AT_ONCE`] at most.
    pub fn of(rows: &[TurnRow]) -> Self {
        let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == RETOLD_AT_ONCE);
        let mut over = Self::default();
        let mut turns = rows.chunk_by(|one, other| one.ordinal == other.ordinal).peekable();
        while let Some(of_ticket) = turns.next() {
            let TurnRow { ordinal: number, claimed, .. } = &of_ticket[0];
            if is_full && turns.peek().is_none() {
                // There may be more of this ticket, so it comes with the next ones.
                over.below = Some(number + 1);
                break;
            }
            let is = |state: AdmissionState| of_ticket.iter().any(|turn| turn.state == state.as_str());
            let missed =
                of_ticket.iter().filter(|turn| turn.state == AdmissionState::Lapsed.as_str() && !turn.excused).count();
            let lapses = i64::try_from(missed).unwrap_or(i64::MAX);
            let told = match () {
                // A live token is published with all live tokens.
                () if is(AdmissionState::Promised) => continue,
                () if is(AdmissionState::Redeemed) => &mut over.bought,
                () if *claimed || lapses >= LAPSES_MAX => &mut over.expired,
                () => &mut over.lapsed,
            };
            told.push(ordinal(*number));
        }
        over
    }

    /// Turns of tickets below this one are still to be published; `None`: all are.
    pub fn below(&self) -> Option<i64> {
        self.below
    }
}

impl Unpublished {
    /// Whose ticket it is of.
    pub fn ordinal(&self) -> Ordinal {
        ordinal(self.ordinal)
    }

    /// How many units.
    pub fn quantity(&self) -> u32 {
        count(self.quantity)
    }

    /// Who holds the ticket.
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

/// Lines of a database that was restored from a backup.
impl Store {
    /// Every line of a sale that has not ended.
    pub async fn lines_of_open_sales(&self) -> Result<Vec<SaleId>, StoreError> {
        let lines: Vec<Uuid> = sqlx::query_scalar(
            "SELECT lines.id FROM lines JOIN sales ON sales.id = sale_id WHERE status <> 'closed' ORDER BY lines.id",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(lines.into_iter().map(SaleId).collect())
    }

    /// Raises a line above all that Redis knows of it, and `margin` ordinals more. Gives its epoch, and the ordinal that the
    /// next one begins above. The epoch leaps, too: nodes may have heard of some that the backup does not know.
    /// Nothing if that would be above `most`.
    pub async fn raise(
        &self,
        line: SaleId,
        redis: &Home,
        margin: u32,
        most: Ordinal,
    ) -> Result<Option<(u32, Ordinal)>, StoreError> {
        let raised: Option<(i32, i64)> = sqlx::query_as(
            "UPDATE lines SET epoch = greatest(epoch, $2) + $3, granted = greatest(granted, $4) + $5, home = NULL, restless = 0 \
             WHERE id = $1 AND greatest(granted, $4) + $5 <= $6 RETURNING epoch, granted",
        )
        .bind(line.0)
        .bind(i32::try_from(redis.epoch).unwrap_or(0))
        .bind(EPOCHS_LEAPT)
        .bind(i64::try_from(redis.granted).unwrap_or(0))
        .bind(i64::from(margin))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_optional(&self.pool)
        .await?;
        Ok(raised.map(|(epoch, granted)| (count(epoch), ordinal(granted))))
    }
}

#[async_trait]
impl LineStatements for LockedSale {
    async fn hear(&mut self, at: usize, claims: &[(Ordinal, Claim)]) -> Result<(), StoreError> {
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
            .bind(self.sale.lines[at].id)
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
            .bind(self.sale.lines[at].id)
            .bind(left)
            .fetch_one(&mut *self.transaction)
            .await?;
            self.promised -= units;
        }
        Ok(())
    }

    async fn not_to_be_served(&mut self, at: usize, tickets: &[Ordinal]) -> Result<NotServed, StoreError> {
        let numbers: Vec<i64> = tickets.iter().filter_map(|&ordinal| i64::try_from(ordinal).ok()).collect();
        let found: Vec<(i64, bool, bool)> = sqlx::query_as(
            "SELECT ordinal, false, false FROM admissions WHERE line_id = $1 AND state <> 'lapsed' AND ordinal = ANY($2) \
             UNION ALL SELECT ordinal, false, true FROM admissions WHERE line_id = $1 AND state = 'lapsed' \
             AND published_state IS DISTINCT FROM state AND ordinal = ANY($2) \
             UNION ALL SELECT ordinal, NOT done, false FROM interventions \
             WHERE line_id = $1 AND kind = 'removed' AND ordinal = ANY($2)",
        )
        .bind(self.sale.lines[at].id)
        .bind(numbers)
        .fetch_all(&mut *self.transaction)
        .await?;
        let of = |is_lapsed: bool| found.iter().filter(move |found| found.2 == is_lapsed).map(|found| ordinal(found.0));
        let unrecorded = found.iter().filter(|found| found.1).map(|found| ordinal(found.0)).collect();
        Ok(NotServed { passed_over: of(false).collect(), unrecorded, lapsed: of(true).collect() })
    }

    async fn admit(
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
        .bind(self.sale.row.id)
        .bind(self.sale.lines[at].epoch)
        .bind(ids)
        .bind(ordinals)
        .bind(visitors)
        .bind(quantities)
        .bind(kid)
        .bind(f64::from(self.sale.row.claim_window_s))
        .bind(f64::from(self.sale.row.token_ttl_s))
        .bind(self.sale.lines[at].id)
        .fetch_one(&mut *self.transaction)
        .await?;
        self.made[at] += i64::try_from(made.len()).unwrap_or(i64::MAX);
        self.first[at] += first;
        self.promised += units;
        self.promises |= units > 0;
        let made: HashSet<Ordinal> = made.into_iter().map(ordinal).collect();
        Ok(tickets.iter().map(|ticket| ticket.0).filter(|ordinal| made.contains(ordinal)).collect())
    }

    async fn note_moved(&mut self, at: usize, cursor: Ordinal, seen: &Upcoming) -> Result<(), StoreError> {
        let is_settled = self.sale.row.now - self.sale.lines[at].epoch_began_at > epochs::SETTLED;
        let line = &mut self.sale.lines[at];
        let before = line.clone();
        let ahead = epochs::granted_ahead(if is_settled { 0 } else { line.restless() });
        line.move_on(cursor, seen, ahead, (self.made[at], self.first[at]), self.sale.row.now);
        if *line == before {
            return Ok(());
        }
        sqlx::query(
            "UPDATE lines SET joined = joined + $2, waiting = $3, present = $4, cursor = $5, highest_ordinal = $6, granted = $7, \
             admitted = $8, home = $9, recovers_until = $10 WHERE id = $1",
        )
        .bind(line.id)
        .bind((stored(seen.highest) - before.highest_ordinal).max(0))
        .bind(line.waiting)
        .bind(line.present)
        .bind(line.cursor)
        .bind(line.highest_ordinal)
        .bind(line.granted)
        .bind(line.admitted)
        .bind(&line.home)
        .bind(line.recovers_until)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn number_publications(&mut self) -> Result<(), StoreError> {
        let numbers: Vec<(Uuid, i64)> = sqlx::query_as(
            "UPDATE lines SET publication = publication + $2 WHERE sale_id = $1 RETURNING id, publication",
        )
        .bind(self.sale.row.id)
        .bind(PUBLICATIONS_A_TICK)
        .fetch_all(&mut *self.transaction)
        .await?;
        let numbers: HashMap<Uuid, i64> = numbers.into_iter().collect();
        for line in &mut self.sale.lines {
            line.publication = numbers.get(&line.id).copied().unwrap_or(line.publication);
        }
        Ok(())
    }

    async fn unpublished(&mut self, at: usize, again: &[Ordinal]) -> Result<Vec<Unpublished>, StoreError> {
        let again: Vec<i64> = again.iter().filter_map(|&ordinal| i64::try_from(ordinal).ok()).collect();
        Ok(sqlx::query_as(
            "WITH found AS ( \
             (SELECT id FROM admissions WHERE line_id = $1 AND state = 'promised' AND published_epoch < $3 LIMIT $2) UNION \
             (SELECT id FROM admissions WHERE line_id = $1 AND published_state IS DISTINCT FROM state \
              ORDER BY state <> 'promised', issued_at, ordinal LIMIT $2) UNION \
             SELECT id FROM admissions WHERE line_id = $1 AND ordinal = ANY($4) AND state <> 'lapsed') \
             SELECT id, ordinal, visitor, quantity, kid, state, issued_at, claim_by, claimed_at, expires_at, \
             (SELECT count(*) FROM admissions AS other WHERE other.line_id = $1 \
              AND other.ordinal = told.ordinal AND other.state = 'lapsed' AND NOT other.excused) AS lapses, \
             state = 'lapsed' AND ( \
              EXISTS (SELECT FROM admissions AS newer WHERE newer.line_id = $1 AND newer.ordinal = told.ordinal \
               AND newer.state <> 'lapsed') OR \
              EXISTS (SELECT FROM admissions AS newer WHERE newer.line_id = $1 AND newer.ordinal = told.ordinal \
               AND newer.state = 'lapsed' AND newer.number > told.number)) AS superseded \
             FROM admissions AS told WHERE id = ANY (ARRAY(SELECT id FROM found)) \
             ORDER BY state <> 'promised', issued_at, ordinal LIMIT $2",
        )
        .bind(self.sale.lines[at].id)
        .bind(PUBLISHED_MAX)
        .bind(self.sale.lines[at].epoch)
        .bind(again)
        .fetch_all(&mut *self.transaction)
        .await?)
    }

    async fn begin_epoch(&mut self, at: usize, redis: &Home) -> Result<(), StoreError> {
        let before_draw = self.sale.row.draw_is_due(&self.sale.lines[at]);
        let line = &mut self.sale.lines[at];
        line.restless = line.restless_with_another(self.sale.row.now);
        line.lose(self.sale.row.now);
        (line.epoch, line.above) = sqlx::query_as(
            "UPDATE lines SET epoch = greatest(epoch, $4) + 1, above = greatest(granted, $5), \
             cursor = CASE WHEN $3 THEN cursor ELSE greatest(granted, $5) END, highest_ordinal = greatest(granted, $5), \
             granted = greatest(granted, $5) + $2, home = $6, restless = $7, \
             retell_below = CASE WHEN epoch > 0 THEN $9::bigint END, \
             waiting = 0, present = 0, expected = $10, recovers_until = $11, \
             epoch_began_at = clock_timestamp() + make_interval(secs => $8) WHERE id = $1 RETURNING epoch, above",
        )
        .bind(line.id)
        .bind(epochs::granted_ahead(line.restless()))
        .bind(before_draw)
        .bind(i32::try_from(redis.epoch).unwrap_or(i32::MAX - 1))
        .bind(i64::try_from(redis.granted).unwrap_or(0))
        .bind(&redis.run_id)
        .bind(line.restless)
        .bind(epochs::SAYS_WITHIN.as_secs_f64())
        .bind(i64::MAX)
        .bind(line.expected)
        .bind(line.recovers_until)
        .fetch_one(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn note_published(&mut self, at: usize, published: &[Unpublished], begins: bool) -> Result<(), StoreError> {
        if !published.is_empty() {
            let ids: Vec<Uuid> = published.iter().map(|admission| admission.id).collect();
            let states: Vec<String> = published.iter().map(|admission| admission.state.clone()).collect();
            sqlx::query(
                "UPDATE admissions SET published_state = told.state, published_epoch = $3 \
                 FROM unnest($1::uuid[], $2::text[]) AS told (id, state) \
                 WHERE admissions.id = ANY($1) AND admissions.id = told.id",
            )
            .bind(ids)
            .bind(states)
            .bind(self.sale.lines[at].epoch)
            .execute(&mut *self.transaction)
            .await?;
        }
        sqlx::query(
            "UPDATE lines SET published_status = $2, \
             epoch_began_at = CASE WHEN $3 THEN clock_timestamp() ELSE epoch_began_at END \
             WHERE id = $1 AND ($3 OR published_status IS DISTINCT FROM $2)",
        )
        .bind(self.sale.lines[at].id)
        .bind(&self.sale.row.status)
        .bind(begins)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn turns_over(&mut self, at: usize) -> Result<TurnsOver, StoreError> {
        let rows: Vec<TurnRow> = sqlx::query_as(
            "SELECT ordinal, state, claimed, excused FROM ( \
             (SELECT ordinal, state, claimed_at IS NOT NULL AS claimed, excused, number FROM admissions \
              WHERE line_id = $1 AND state <> 'lapsed' AND ordinal < $2 ORDER BY ordinal DESC LIMIT $3) UNION ALL \
             (SELECT ordinal, state, claimed_at IS NOT NULL, excused, number FROM admissions \
              WHERE line_id = $1 AND state = 'lapsed' AND ordinal < $2 ORDER BY ordinal DESC LIMIT $3)) AS turns \
             ORDER BY ordinal DESC, number DESC LIMIT $3",
        )
        .bind(self.sale.lines[at].id)
        .bind(self.sale.lines[at].retell_below)
        .bind(RETOLD_AT_ONCE)
        .fetch_all(&mut *self.transaction)
        .await?;
        Ok(TurnsOver::of(&rows))
    }

    async fn note_retold(&mut self, at: usize, told: &TurnsOver) -> Result<(), StoreError> {
        self.sale.lines[at].retell_below = told.below;
        sqlx::query("UPDATE lines SET retell_below = $2 WHERE id = $1")
            .bind(self.sale.lines[at].id)
            .bind(told.below)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
impl LineRow {
    /// A line in an epoch that began then, in a process of that name.
    pub(crate) fn in_epoch(epoch: i32, home: &str, epoch_began_at: OffsetDateTime, restless: i32) -> Self {
        Self {
            id: Uuid::nil(),
            sale_id: Uuid::nil(),
            lane: None,
            share: None,
            invitation_key: None,
            invitations: 0,
            epoch,
            cursor: 0,
            highest_ordinal: 0,
            granted: 0,
            above: 0,
            drawn: None,
            draw_key: None,
            record_seq: None,
            record_hash: Vec::new(),
            recorded_epoch: 0,
            recorded_rev: 0,
            recorded_tickets: Vec::new(),
            recorded_status: String::new(),
            published_status: None,
            epoch_began_at,
            publication: 0,
            home: Some(home.to_owned()),
            restless,
            retell_below: None,
            admitted: 0,
            waiting: 0,
            present: 0,
            expected: 0,
            recovers_until: None,
        }
    }
}
