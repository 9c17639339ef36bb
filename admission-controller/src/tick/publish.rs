//! What a commit publishes to Redis, in the order of commits: under the lock of the sale.

use std::time::Duration;

use fairline_admission_token::{AUDIENCE, Claims, ISSUER};
use fairline_line::{
    change::{LiveTurn, Turn},
    store::Publication,
    ticket::Ordinal,
};
use fairline_sale::SaleId;

use super::{Committed, Known, TickError, Ticker, known::Told};
use crate::{
    draw,
    ledger::{DeskStatements as _, Ledger, LineStatements as _, Locked as _},
    store::{PUBLICATIONS_A_TICK, PUBLISHED_MAX, Unpublished},
};

/// How long one tick publishes again which turns are over, after a loss; the next tick continues.
const RETELLS_FOR: Duration = Duration::from_millis(50);

impl<L: Ledger> Ticker<L> {
    /// Says what has been committed, in the order of commits: under the lock.
    pub(super) async fn publish(
        &self,
        sale: SaleId,
        committed: &[Committed],
        known: &mut Known,
    ) -> Result<(), TickError> {
        // The controller that begins an epoch publishes it and waits for the lock: unpublished, it would be begun again.
        let begins = committed.iter().any(|committed| committed.begins.is_some());
        let Some(mut sale) = self.ledger.lock(sale, begins).await? else { return Ok(()) };
        // A line that cannot be published delays no other.
        let mut failed = None;
        (known.told, known.told_at) = (Vec::with_capacity(committed.len()), Some(self.clock.now()));
        for committed in committed {
            let Some(at) = sale.lines.iter().position(|line| line.line() == committed.line) else { continue };
            // A later commit publishes this, too.
            if sale.lines[at].publication != committed.publication {
                continue;
            }
            if let Err(error) = self.publish_line(&mut sale, at, committed).await {
                match error {
                    TickError::Line(_) => failed = Some(error),
                    TickError::Store(_) => return Err(error),
                }
            } else {
                let line = &sale.lines[at];
                known.told.push(Told::of(&sale.row, line));
            }
        }
        sale.commit().await?;
        failed.map_or(Ok(()), Err)
    }

    async fn publish_line(&self, sale: &mut L::Locked, at: usize, committed: &Committed) -> Result<(), TickError> {
        let drawn = sale.lines[at].drawn();
        if let Some((pool, key)) = drawn
            && pool != committed.drawn
        {
            draw::lay_down(&self.line, committed.line, pool, key).await?;
        }
        let (mut begins, mut heard) = (committed.begins.as_deref(), committed.heard.as_slice());
        let mut again = committed.again.as_slice();
        for number in committed.publication - PUBLICATIONS_A_TICK + 1..=committed.publication {
            let unpublished = sale.unpublished(at, again).await?;
            let is_full = i64::try_from(unpublished.len()).is_ok_and(|count| count == PUBLISHED_MAX);
            let removed = sale.untold_removals(at, again).await?;
            let (mut told, mut is_withheld) = (Vec::with_capacity(unpublished.len()), false);
            let mut turns = Vec::with_capacity(unpublished.len() + removed.len());
            for admission in unpublished {
                // Only the newest turn of a ticket is published: an older one would overwrite it.
                if !admission.superseded {
                    let Some(turn) = self.turn(sale.row.sale(), &admission) else {
                        is_withheld = true;
                        continue;
                    };
                    turns.push((admission.ordinal(), turn));
                }
                told.push(admission);
            }
            let taken_out = |at_limit| if at_limit { Turn::Limit } else { Turn::Removed };
            turns.extend(removed.iter().map(|&(ordinal, at_limit)| (ordinal, taken_out(at_limit))));
            let line = &sale.lines[at];
            let card = sale.row.card(line);
            let publication = Publication {
                number,
                epoch: line.epoch(),
                begins,
                above: line.above(),
                // A ticket that the cursor passed without its turn would have neither: the cursor of Redis stays.
                cursor: if is_withheld && begins.is_none() { 0 } else { line.cursor() },
                drawn: drawn.map_or(0, |(pool, _)| pool),
                recorded: line.noted(),
                granted: line.granted(),
                recall_window: Duration::from_secs(u64::try_from(sale.row.recall_window_s).unwrap_or(0)),
                card: &card,
                handled_claims: heard,
                turns: &turns,
            };
            self.line.publish(&publication).await?;
            sale.note_published(at, &told, begins.is_some()).await?;
            let removed: Vec<Ordinal> = removed.iter().map(|removal| removal.0).collect();
            sale.note_removals_told(at, &removed).await?;
            (begins, heard, again) = (None, &[], &[]);
            if !is_full {
                break;
            }
        }
        self.retell(sale, at).await
    }

    /// Publishes to a Redis that has lost the line which turns are over, a part at a time.
    async fn retell(&self, sale: &mut L::Locked, at: usize) -> Result<(), TickError> {
        let started = self.clock.now();
        while sale.lines[at].is_retelling() && self.clock.since(started) < RETELLS_FOR {
            let over = sale.turns_over(at).await?;
            let row = &sale.lines[at];
            let (line, number) = (row.line(), (row.epoch(), row.publication));
            let told = [(Turn::Bought, &over.bought), (Turn::Expired, &over.expired), (Turn::Lapsed, &over.lapsed)];
            for (turn, ordinals) in told.into_iter().filter(|(_, ordinals)| !ordinals.is_empty()) {
                self.line.republish_turns(line, number, &turn, ordinals).await?;
            }
            sale.note_retold(at, &over).await?;
        }
        Ok(())
    }

    /// What a shopper is to hear of an admission: nothing, as long as its token's key is revoked or another controller's.
    fn turn(&self, sale: SaleId, admission: &Unpublished) -> Option<Turn> {
        Some(match admission.state.as_str() {
            "promised" => Turn::Now(LiveTurn {
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
            "redeemed" => Turn::Bought,
            _ if admission.may_come_again() => Turn::Lapsed,
            _ => Turn::Expired,
        })
    }
}
