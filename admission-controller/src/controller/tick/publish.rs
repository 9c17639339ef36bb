//! Publishes a commit to Redis, in the order of commits: under the lock of the sale.

use std::{collections::HashMap, time::Duration};

use fairline_admission_token::{AUDIENCE, Claims, ISSUER};
use fairline_line::{
    change::{LiveTurn, Turn},
    store::Publication,
    ticket::Ordinal,
};
use fairline_sale::{AdmissionState, SaleId};

use super::{
    KnownSale, Ticker, draw,
    known::{KnownLine, PublishedLine},
    lines::CommittedLine,
};
use crate::controller::{
    error::TickError,
    ledger::{Ledger, LineStatements as _, LockedLedger as _, TicketActionStatements as _},
    line::LineRow,
    turns::{PUBLICATIONS_A_TICK, PUBLISHED_MAX, UnpublishedAdmission},
};

/// How long one tick publishes past turns again after a loss; the next tick continues.
const REPUBLISHES_FOR: Duration = Duration::from_millis(50);

/// The turns of one publication.
struct PublishedTurns {
    turns: Vec<(Ordinal, Turn)>,
    published: Vec<UnpublishedAdmission>,
    /// Whether a turn is missing, since its token has no valid key.
    is_withheld: bool,
}

impl<L: Ledger> Ticker<L> {
    /// Publishes what was committed, in the order of commits: under the lock.
    pub(super) async fn publish(
        &self,
        sale: SaleId,
        committed: &[CommittedLine],
        known: &mut KnownSale,
    ) -> Result<(), TickError> {
        // The controller that begins an epoch publishes it and waits for the lock: unpublished, it
        // would be begun again.
        let begins = committed.iter().any(|line| line.begins.is_some());
        let Some((mut sale, mut rows)) = self.ledger.lock(sale, begins).await? else { return Ok(()) };
        // A line that cannot be published delays no other.
        let mut failed = None;
        (known.published, known.published_at) = (HashMap::with_capacity(committed.len()), Some(self.clock.now()));
        for committed in committed {
            let Some(row) = rows.iter_mut().find(|row| row.line() == committed.known.line) else { continue };
            // A later commit publishes this, too.
            if row.publication != committed.known.publication {
                continue;
            }
            match self.publish_line(&mut sale, row, committed).await {
                Ok(()) => {
                    known.published.insert(row.line(), PublishedLine::of(&sale, row));
                }
                Err(error @ TickError::Line(_)) => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
        sale.commit().await?;
        failed.map_or(Ok(()), Err)
    }

    async fn publish_line(
        &self,
        sale: &mut L::LockedLedger,
        row: &mut LineRow,
        committed: &CommittedLine,
    ) -> Result<(), TickError> {
        let drawn = row.drawn();
        let KnownLine { publication: last, seen, .. } = &committed.known;
        if let Some((pool, key)) = drawn
            && pool != seen.drawn
        {
            draw::publish(&self.line, row, pool, key).await?;
        }
        let (mut begins, mut claims) = (committed.begins.as_deref(), seen.claims.as_slice());
        let mut again = committed.again.as_slice();
        for number in last - PUBLICATIONS_A_TICK + 1..=*last {
            let unpublished = sale.unpublished(row, again).await?;
            let is_full = i64::try_from(unpublished.len()).is_ok_and(|count| count == PUBLISHED_MAX);
            let removed = sale.unpublished_removals(row, again).await?;
            let PublishedTurns { turns, published, is_withheld } = self.turns(sale.sale(), unpublished, &removed);
            let card = sale.card(row);
            let publication = Publication {
                number,
                epoch: row.epoch(),
                begins,
                above: row.above(),
                // A ticket that the cursor passed without its turn would have neither: the cursor
                // of Redis stays.
                cursor: if is_withheld && begins.is_none() { 0 } else { row.cursor() },
                drawn: drawn.map_or(0, |(pool, _)| pool),
                recorded: row.recorded_revision(),
                granted: row.granted(),
                recall_window: Duration::from_secs(u64::try_from(sale.recall_window_s).unwrap_or(0)),
                card: &card,
                handled_claims: claims,
                turns: &turns,
            };
            self.line.publish(&publication).await?;
            sale.mark_published(row, &published, begins.is_some()).await?;
            let removed: Vec<Ordinal> = removed.iter().map(|removal| removal.0).collect();
            sale.mark_removals_published(row, &removed).await?;
            (begins, claims, again) = (None, &[], &[]);
            if !is_full {
                break;
            }
        }
        self.republish(sale, row).await
    }

    /// Publishes past turns to a Redis that has lost the line, a part at a time.
    async fn republish(&self, sale: &mut L::LockedLedger, row: &mut LineRow) -> Result<(), TickError> {
        let started = self.clock.now();
        while row.is_republishing() && self.clock.since(started) < REPUBLISHES_FOR {
            let past = sale.past_turns(row).await?;
            let (line, number) = (row.line(), (row.epoch(), row.publication));
            let turns = [(Turn::Bought, &past.bought), (Turn::Expired, &past.expired), (Turn::Lapsed, &past.lapsed)];
            for (turn, ordinals) in turns.into_iter().filter(|(_, ordinals)| !ordinals.is_empty()) {
                self.line.republish_turns(line, number, &turn, ordinals).await?;
            }
            sale.mark_republished(row, &past).await?;
        }
        Ok(())
    }

    /// The turns of one publication, and the admissions that are published with it.
    fn turns(
        &self,
        sale: SaleId,
        unpublished: Vec<UnpublishedAdmission>,
        removed: &[(Ordinal, bool)],
    ) -> PublishedTurns {
        let mut turns = Vec::with_capacity(unpublished.len() + removed.len());
        let (mut published, mut is_withheld) = (Vec::with_capacity(unpublished.len()), false);
        for admission in unpublished {
            // Only the newest turn of a ticket is published: an older one would overwrite it.
            if !admission.superseded {
                let Some(turn) = self.turn(sale, &admission) else {
                    is_withheld = true;
                    continue;
                };
                turns.push((admission.ordinal(), turn));
            }
            published.push(admission);
        }
        let taken_out = |at_limit| if at_limit { Turn::Limit } else { Turn::Removed };
        turns.extend(removed.iter().map(|&(ordinal, at_limit)| (ordinal, taken_out(at_limit))));
        PublishedTurns { turns, published, is_withheld }
    }

    /// The published state of an admission: none while its token's key is revoked or belongs to
    /// another controller.
    fn turn(&self, sale: SaleId, admission: &UnpublishedAdmission) -> Option<Turn> {
        Some(match AdmissionState::try_from(admission.state.as_str()) {
            Ok(AdmissionState::Promised) => Turn::Now(LiveTurn {
                token: self.keys.named(&admission.kid)?.mint(&Claims {
                    iss: ISSUER.to_owned(),
                    aud: AUDIENCE.to_owned(),
                    sub: admission.visitor().to_string(),
                    jti: admission.id,
                    sale,
                    qty: admission.quantity(),
                    iat: admission.issued_at.unix_timestamp(),
                    exp: admission.expires_at.unix_timestamp(),
                }),
                quantity: admission.quantity(),
                claim_by: admission.claim_by,
                expires_at: admission.expires_at,
            }),
            Ok(AdmissionState::Redeemed) => Turn::Bought,
            _ if admission.may_come_again() => Turn::Lapsed,
            _ => Turn::Expired,
        })
    }
}
