//! The limit per shopper: a shopper who has reached it is removed from the line before an
//! admission. Triggers count each shopper's units when they are redeemed and released.

use std::collections::HashMap;

use async_trait::async_trait;
use fairline_line::ticket::Ordinal;
use fairline_sale::VisitorId;

use crate::{
    controller::{
        columns::{count, ordinal},
        ledger::LimitStatements,
        line::LineRow,
        postgres::LockedSale,
    },
    db::StoreError,
};

/// Shoppers whose tokens one step revokes at most.
const AT_ONCE: i64 = 500;

#[async_trait]
impl LimitStatements for LockedSale {
    async fn take_out_at_limit(
        &mut self,
        line: &LineRow,
        tickets: &[(Ordinal, VisitorId)],
    ) -> Result<Vec<Ordinal>, StoreError> {
        let (ordinals, visitors): (Vec<i64>, Vec<Vec<u8>>) = tickets
            .iter()
            .filter_map(|&(ordinal, VisitorId(visitor))| Some((i64::try_from(ordinal).ok()?, visitor.to_vec())))
            .unzip();
        if ordinals.is_empty() {
            return Ok(Vec::new());
        }
        let taken_out: Vec<i64> = sqlx::query_scalar(
            "INSERT INTO ticket_actions AS known (line_id, ordinal, kind, visitor, reason, done) \
             SELECT $1, ordinal, 'removed', ticket.visitor, 'limit', true FROM unnest($3::bigint[], $4::bytea[]) AS ticket (ordinal, visitor) \
             JOIN shopper_allowances AS has ON has.sale_id = $2 AND has.visitor = ticket.visitor AND has.units >= has.most \
             ON CONFLICT (line_id, ordinal, kind) DO UPDATE SET done = true WHERE NOT known.done RETURNING ordinal",
        )
        .bind(line.id)
        .bind(self.sale.id)
        .bind(ordinals)
        .bind(visitors)
        .fetch_all(&mut *self.transaction)
        .await?;
        Ok(taken_out.into_iter().map(ordinal).collect())
    }

    async fn take_back_at_limit(&mut self, lines: &[&LineRow]) -> Result<bool, StoreError> {
        let lines: Vec<_> = lines.iter().map(|line| line.id).collect();
        let units: i64 = sqlx::query_scalar(
            "WITH full_now AS ( \
                SELECT DISTINCT used.visitor FROM admissions AS used \
                JOIN shopper_allowances AS has ON has.sale_id = $1 AND has.visitor = used.visitor AND has.units >= has.most \
                WHERE used.line_id = ANY($2) AND used.recorded_state <> used.state AND used.state = 'redeemed' LIMIT $3 \
             ), lapsed AS ( \
                UPDATE admissions SET state = 'lapsed', left_at = now() FROM full_now \
                WHERE admissions.visitor = full_now.visitor AND admissions.sale_id = $1 AND admissions.state = 'promised' \
                RETURNING line_id, ordinal, admissions.visitor, quantity \
             ), taken_out AS ( \
                INSERT INTO ticket_actions (line_id, ordinal, kind, visitor, reason) \
                SELECT line_id, ordinal, 'removed', visitor, 'limit' FROM lapsed ON CONFLICT DO NOTHING \
             ) \
             SELECT coalesce(sum(quantity), 0) FROM lapsed",
        )
        .bind(self.sale.id)
        .bind(lines)
        .bind(AT_ONCE)
        .fetch_one(&mut *self.transaction)
        .await?;
        self.promised -= units;
        Ok(units > 0)
    }

    async fn left_of_limit(&mut self, visitors: &[VisitorId]) -> Result<HashMap<VisitorId, u32>, StoreError> {
        let visitors: Vec<Vec<u8>> = visitors.iter().map(|VisitorId(visitor)| visitor.to_vec()).collect();
        let left: Vec<(Vec<u8>, i32)> = sqlx::query_as(
            "SELECT visitor, greatest(most - units, 0) FROM shopper_allowances \
             WHERE sale_id = $1 AND visitor = ANY($2) AND units > 0",
        )
        .bind(self.sale.id)
        .bind(visitors)
        .fetch_all(&mut *self.transaction)
        .await?;
        // The schema checks the length.
        let visitor = |bytes: Vec<u8>| VisitorId(bytes.try_into().unwrap_or_default());
        Ok(left.into_iter().map(|(bytes, left)| (visitor(bytes), count(left))).collect())
    }
}
