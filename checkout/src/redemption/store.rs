//! Redemption: one statement for a whole batch, and a second one for those that were not redeemed.

use std::{collections::HashMap, hash::Hash};

use fairline_sale::{AdmissionState, SaleId, VisitorId};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{
    auth::account::AccountId,
    db::{PgPool, StoreError},
    orders::{
        order::Order,
        store::{OrderRow, order_rows},
    },
    redemption::outcome::{AdmissionUse, Redemption, RedemptionRejection},
};

/// Redeems a batch. It locks the stocks, then the counters of the sales, each in the order of their
/// keys, so that no two batches deadlock.
/// Every join goes from the wanted rows to a row by its key: the planner can't know how many rows
/// are wanted, and a nested loop over a large batch would be quadratic. `|| ''` keeps it from the
/// indexes of outstanding tokens, which it takes for empty while the statistics are old.
const REDEEM: &str = "WITH free AS ( \
        SELECT admissions.id, wanted.hold, wanted.account, wanted.trace, wanted.quantity, price_minor, currency, hold_s, mode = 'yield' AS is_yield \
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bytea[], $5::integer[], $6::text[], $7::uuid[], $8::integer[], $9::text[], $10::integer[]) \
        AS wanted (hold, admission, sale, visitor, quantity, kid, account, by_account, trace, by_visitor) \
        JOIN admissions ON admissions.id = wanted.admission JOIN sales ON sales.id = admissions.sale_id \
        WHERE admissions.sale_id = wanted.sale AND admissions.visitor = wanted.visitor AND admissions.state || '' = 'promised' \
        AND admissions.expires_at > now() AND admissions.quantity >= wanted.quantity AND admissions.kid = wanted.kid \
        AND sales.status IN ('open', 'paused') AND (per_account_limit IS NULL OR wanted.account IS NOT NULL \
        AND wanted.by_account + coalesce((SELECT units FROM allowances WHERE allowances.sale_id = sales.id \
        AND account_id = wanted.account), 0) <= per_account_limit) \
        AND wanted.by_visitor + coalesce((SELECT units FROM shopper_allowances WHERE shopper_allowances.sale_id = sales.id \
        AND shopper_allowances.visitor = wanted.visitor), 0) <= per_shopper_limit FOR UPDATE OF admissions SKIP LOCKED \
    ), used AS ( \
        UPDATE admissions SET state = 'redeemed', claimed_at = coalesce(claimed_at, now()) FROM free \
        WHERE admissions.id = free.id \
        RETURNING admissions.id, admissions.sale_id, admissions.visitor, admissions.quantity AS promised, \
        free.quantity, hold, account, trace, price_minor, currency, hold_s, is_yield \
    ), made AS ( \
        INSERT INTO holds (id, admission_id, sale_id, visitor, quantity, amount_minor, currency, expires_at, state, account_id, traceparent) \
        SELECT hold, id, sale_id, visitor, quantity, price_minor * quantity, currency, \
        now() + make_interval(secs => hold_s), CASE WHEN is_yield THEN 'promised' ELSE 'held' END, account, trace \
        FROM used RETURNING * \
    ), units AS ( \
        SELECT sale_id, sum(promised - CASE WHEN is_yield THEN quantity ELSE 0 END)::integer AS promised, \
        sum(CASE WHEN is_yield THEN 0 ELSE quantity END)::integer AS held \
        FROM used GROUP BY sale_id \
    ), in_order AS ( \
        SELECT sale_id FROM stock WHERE sale_id IN (SELECT sale_id FROM units) AND item = 1 ORDER BY sale_id FOR UPDATE \
    ), taken AS ( \
        UPDATE stock SET promised = stock.promised - units.promised, held = stock.held + units.held \
        FROM units JOIN in_order USING (sale_id) WHERE stock.sale_id = units.sale_id AND item = 1 RETURNING units.sale_id \
    ), published AS ( \
        INSERT INTO outbox (sale_id, number, kind, data) SELECT sale_id, number_events(sale_id, count(*)), 'InventoryReserved', json_agg( \
        json_build_object('order_id', id, 'quantity', quantity, 'hold_expires_at', expires_at, 'traceparent', traceparent)) \
        FROM made JOIN taken USING (sale_id) WHERE state = 'held' GROUP BY sale_id ORDER BY sale_id \
    ) \
    SELECT id, admission_id, sale_id, quantity, amount_minor, currency, state, created_at, expires_at, \
    false AS is_expired, NULL::timestamptz AS paid_at, NULL AS newest_payment FROM made";

/// An admission that was not redeemed, with the reasons.
#[derive(FromRow)]
struct AdmissionRow {
    nth: i64,
    state: String,
    quantity: i32,
    is_expired: bool,
    sale_is_open: bool,
    per_account_limit: Option<i32>,
    /// Units of the sale that the account has already.
    has: i32,
    per_shopper_limit: i32,
    /// Units of the sale that the visitor has already.
    visitor_has: i32,
}

fn column<'a, T>(redemptions: &'a [Redemption], value: impl Fn(&'a Redemption) -> T) -> Vec<T> {
    redemptions.iter().map(value).collect()
}

/// For each redemption, the units of its person in the batch up to and including it: the batch as a
/// whole must respect the limit.
fn units_by<P: Eq + Hash>(redemptions: &[Redemption], person: impl Fn(&Redemption) -> Option<P>) -> Vec<i32> {
    let mut units: HashMap<(SaleId, P), i32> = HashMap::new();
    let with = |redemption: &Redemption| match person(redemption) {
        Some(person) => {
            let units = units.entry((redemption.sale, person)).or_default();
            *units = units.saturating_add(redemption.quantity);
            *units
        }
        None => redemption.quantity,
    };
    redemptions.iter().map(with).collect()
}

/// Redemptions.
#[derive(Clone)]
pub(crate) struct RedemptionStore(pub(crate) PgPool);

impl RedemptionStore {
    pub(crate) async fn sale_exists(&self, sale: SaleId) -> Result<bool, StoreError> {
        let exists = sqlx::query_scalar("SELECT EXISTS (SELECT FROM sales WHERE id = $1)").bind(sale.0);
        Ok(exists.fetch_one(&self.0).await?)
    }

    /// Redeems admissions and returns the results in their order. Each promise becomes a hold, or
    /// in yield mode stays a promise until a payment begins; unwanted units become free. Of
    /// concurrent attempts on one admission, one succeeds.
    pub(crate) async fn redeem(
        &self,
        redemptions: &[Redemption],
    ) -> Result<Vec<Result<Order, RedemptionRejection>>, StoreError> {
        let holds: Vec<Uuid> = redemptions.iter().map(|_| Uuid::now_v7()).collect();
        let held: Vec<OrderRow> = sqlx::query_as(REDEEM)
            .bind(&holds)
            .bind(column(redemptions, |redemption| redemption.admission))
            .bind(column(redemptions, |redemption| redemption.sale.0))
            .bind(column(redemptions, |redemption| &redemption.visitor.0[..]))
            .bind(column(redemptions, |redemption| redemption.quantity))
            .bind(column(redemptions, |redemption| redemption.kid.as_str()))
            .bind(column(redemptions, |redemption| redemption.account.map(|AccountId(id)| id)))
            .bind(units_by(redemptions, |redemption| redemption.account))
            .bind(column(redemptions, |redemption| redemption.trace.map(|trace| trace.to_string())))
            .bind(units_by(redemptions, |redemption| Some(redemption.visitor)))
            .fetch_all(&self.0)
            .await?;
        let mut held: HashMap<Uuid, OrderRow> = held.into_iter().map(|row| (row.id, row)).collect();
        let held: Vec<Option<OrderRow>> = holds.iter().map(|hold| held.remove(hold)).collect();
        let others: Vec<Redemption> =
            redemptions.iter().zip(&held).filter(|(_, held)| held.is_none()).map(|(other, _)| other.clone()).collect();
        let mut reasons = self.why_not_redeemed(&others).await.into_iter();
        let answer = |held: Option<OrderRow>| match held {
            Some(row) => Ok(Ok(row.try_into()?)),
            None => Ok(Err(reasons.next().unwrap_or(RedemptionRejection::Locked))),
        };
        held.into_iter().map(answer).collect()
    }

    /// Why each of these was not redeemed, in their order.
    async fn why_not_redeemed(&self, redemptions: &[Redemption]) -> Vec<RedemptionRejection> {
        match self.reasons(redemptions).await {
            Ok(reasons) => reasons,
            Err(error) => redemptions.iter().map(|_| RedemptionRejection::Unread(error.clone())).collect(),
        }
    }

    async fn reasons(&self, redemptions: &[Redemption]) -> Result<Vec<RedemptionRejection>, StoreError> {
        if redemptions.is_empty() {
            return Ok(Vec::new());
        }
        let found: Vec<AdmissionRow> = sqlx::query_as(
            "SELECT nth, admissions.state, quantity, expires_at <= now() AS is_expired, status IN ('open', 'paused') AS sale_is_open, \
             per_account_limit, coalesce((SELECT units FROM allowances WHERE allowances.sale_id = wanted.sale \
             AND account_id = wanted.account), 0) AS has, per_shopper_limit, \
             coalesce((SELECT units FROM shopper_allowances WHERE shopper_allowances.sale_id = wanted.sale \
             AND shopper_allowances.visitor = wanted.visitor), 0) AS visitor_has \
             FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::text[], $5::uuid[]) WITH ORDINALITY \
             AS wanted (admission, sale, visitor, kid, account, nth) \
             JOIN admissions ON admissions.id = wanted.admission JOIN sales ON sales.id = admissions.sale_id \
             WHERE admissions.sale_id = wanted.sale AND admissions.visitor = wanted.visitor AND admissions.kid = wanted.kid",
        )
        .bind(column(redemptions, |redemption| redemption.admission))
        .bind(column(redemptions, |redemption| redemption.sale.0))
        .bind(column(redemptions, |redemption| &redemption.visitor.0[..]))
        .bind(column(redemptions, |redemption| redemption.kid.as_str()))
        .bind(column(redemptions, |redemption| redemption.account.map(|AccountId(id)| id)))
        .fetch_all(&self.0)
        .await?;
        let mut found: HashMap<i64, AdmissionRow> = found.into_iter().map(|row| (row.nth, row)).collect();
        let found: Vec<(&Redemption, Option<AdmissionRow>)> =
            redemptions.iter().zip(1..).map(|(redemption, nth)| (redemption, found.remove(&nth))).collect();
        let was_used =
            |row: &Option<AdmissionRow>| row.as_ref().is_some_and(|row| row.state == AdmissionState::Redeemed.as_str());
        let used = found.iter().filter(|(_, row)| was_used(row)).map(|(redemption, _)| redemption.admission).collect();
        let orders = self.orders_of_admissions(used).await?;
        found.into_iter().map(|(redemption, row)| reason(redemption, row, &orders)).collect()
    }

    /// The states of these visitors' admissions, in their order.
    pub(crate) async fn admission_states(&self, asked: &[(Uuid, VisitorId)]) -> Result<Vec<AdmissionUse>, StoreError> {
        let admissions: Vec<Uuid> = asked.iter().map(|(admission, _)| *admission).collect();
        let visitors: Vec<&[u8]> = asked.iter().map(|(_, visitor)| &visitor.0[..]).collect();
        // For a redeemable admission, only its key is needed.
        let live: Vec<(Option<String>, bool)> = sqlx::query_as(
            "SELECT CASE WHEN state = 'promised' AND expires_at > now() THEN kid END, coalesce(expires_at > now(), false) FROM unnest($1::uuid[]) \
             WITH ORDINALITY AS asked (admission, nth) LEFT JOIN admissions ON admissions.id = asked.admission ORDER BY nth",
        )
        .bind(&admissions)
        .fetch_all(&self.0)
        .await?;
        let rows: Vec<OrderRow> = sqlx::query_as(order_rows!(
            "JOIN unnest($1::uuid[], $2::bytea[]) AS asked (admission, visitor) \
             ON holds.admission_id = asked.admission AND holds.visitor = asked.visitor"
        ))
        .bind(&admissions)
        .bind(visitors)
        .fetch_all(&self.0)
        .await?;
        let of_admission = |row: OrderRow| Some((row.admission_id?, row));
        let orders: Result<HashMap<Uuid, Order>, StoreError> = rows
            .into_iter()
            .filter_map(of_admission)
            .map(|(admission, row)| Ok((admission, row.try_into()?)))
            .collect();
        let orders = orders?;
        let state = |(admission, (live, in_time)): (&Uuid, (Option<String>, bool))| match (orders.get(admission), live)
        {
            (Some(order), _) => AdmissionUse::Order { order: Box::new(order.clone()), in_time },
            (None, Some(kid)) => AdmissionUse::NotYet { kid },
            (None, None) => AdmissionUse::Nothing,
        };
        Ok(admissions.iter().zip(live).map(state).collect())
    }

    /// The orders of these admissions.
    async fn orders_of_admissions(&self, admissions: Vec<Uuid>) -> Result<HashMap<Uuid, Order>, StoreError> {
        if admissions.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<OrderRow> = sqlx::query_as(order_rows!("WHERE holds.admission_id = ANY($1)"))
            .bind(admissions)
            .fetch_all(&self.0)
            .await?;
        let of_admission = |row: OrderRow| Some((row.admission_id?, row));
        rows.into_iter().filter_map(of_admission).map(|(admission, row)| Ok((admission, row.try_into()?))).collect()
    }
}

/// Why a redemption failed, given its admission row. Without one, the token is genuine, but belongs
/// to another installation with the same key, or its key is revoked.
fn reason(
    Redemption { admission, quantity, account, .. }: &Redemption,
    row: Option<AdmissionRow>,
    orders: &HashMap<Uuid, Order>,
) -> Result<RedemptionRejection, StoreError> {
    let Some(row) = row else { return Ok(RedemptionRejection::InvalidToken) };
    if row.state == AdmissionState::Redeemed.as_str() {
        let missing = || StoreError::Corrupt(format!("admission {admission} was redeemed without a hold"));
        let order = orders.get(admission).cloned().ok_or_else(missing)?;
        return Ok(RedemptionRejection::TokenUsed(Box::new(order)));
    }
    let allowance = row.per_account_limit.map(|limit| (limit, (limit - row.has).max(0)));
    let shopper_left = (row.per_shopper_limit - row.visitor_has).max(0);
    Ok(if !row.sale_is_open {
        RedemptionRejection::SaleNotOpen
    } else if allowance.is_some() && account.is_none() {
        RedemptionRejection::NoAccount
    } else if let Some((limit, left)) = allowance.filter(|(_, left)| left < quantity) {
        RedemptionRejection::OverAllowance { left, limit }
    } else if shopper_left < row.quantity.min(*quantity) {
        RedemptionRejection::OverShopperLimit { left: shopper_left, limit: row.per_shopper_limit }
    } else if row.quantity < *quantity {
        RedemptionRejection::QuantityOverLimit { promised: row.quantity }
    } else if row.state == AdmissionState::Lapsed.as_str() || row.is_expired {
        RedemptionRejection::TokenExpired
    } else {
        RedemptionRejection::Locked
    })
}

#[cfg(test)]
mod tests {
    use fairline_snapshots::statement;
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn the_statement_of_a_batch_matches_its_snapshot() {
        assert_snapshot!("redeem", statement(REDEEM));
    }

    #[test]
    fn a_token_without_an_admission_is_a_bad_token() {
        let redemption = Redemption {
            admission: Uuid::from_u128(1),
            kid: "key".to_owned(),
            sale: SaleId(Uuid::from_u128(2)),
            visitor: VisitorId([3; 16]),
            account: None,
            quantity: 1,
            trace: None,
        };
        let reason = reason(&redemption, None, &HashMap::new());
        assert!(matches!(reason, Ok(RedemptionRejection::InvalidToken)), "{reason:?}");
    }
}
