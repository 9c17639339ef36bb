//! A sale as the admin API shows it.

use fairline_sale::{SaleCard, SaleId};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    controller::{line::LineRow, sale::Sale},
    error::CommonError,
};

/// A sale, with its stock, its lines and its settings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminSale {
    #[serde(flatten)]
    pub(in crate::admin_api) card: SaleCard,
    /// Units out as tokens.
    promised: u32,
    /// Units in checkout.
    held: u32,
    /// Units paid for.
    sold: u32,
    /// Shoppers who wait in all its lines, as of the last tick.
    waiting: i64,
    /// Of these, the ones with the page open.
    present: i64,
    /// Shoppers in checkout and on the way there, a second ago.
    inside: i64,
    /// Orders paid, a second ago.
    orders: i64,
    /// Tickets admitted from all its lines; a ticket that was admitted again counts once.
    admitted: i64,
    /// Its lanes.
    lanes: Vec<AdminLane>,
    /// The highest ordinal whose turn has come.
    cursor: u64,
    /// The highest ordinal given.
    highest_ordinal: u64,
    /// Seconds in which a token can be redeemed.
    token_ttl_s: i32,
    /// Seconds in which a page must claim its token.
    claim_window_s: i32,
    /// Seconds in which a hold must be paid.
    hold_s: i32,
    /// Seconds after its turn for which a ticket is still recalled when its shopper comes back.
    recall_window_s: i32,
    /// In yield mode: the accepted share of admitted shoppers who want to pay and find no unit.
    risk: f64,
    /// The maximum number of shoppers in checkout and on the way there; null: no limit.
    #[schema(required)]
    in_checkout_max: Option<i32>,
    /// The earlier sale whose shoppers behaved as this one's are expected to, if one was given.
    #[schema(required)]
    prior_sale: Option<SaleId>,
    /// The sale that this one is a rehearsal of, if it is one.
    #[schema(required)]
    rehearsal_of: Option<SaleId>,
    /// The time zone of its operators: a name of the IANA time zone database.
    time_zone: String,
    /// When the sale was created.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// What limits admissions, in words, after "Admission limited by".
    #[schema(required)]
    last_decision: Option<String>,
}

/// A lane of a sale.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminLane {
    /// Its id, which can be used like a sale's in `/api/flash-sales/{id}/line` and in `fairline
    /// verify`.
    id: SaleId,
    /// Its name.
    name: String,
    /// Its page is `/sales/{slug}`.
    slug: String,
    /// The share of the admissions while shoppers wait in the lane, from 0 to 1.
    share: f64,
    /// Shoppers who wait in it, as of the last tick.
    waiting: i64,
    /// Tickets admitted from it.
    admitted: i64,
    /// Invitations created.
    invitations: i64,
}

impl AdminLane {
    /// A line of a sale, if it is a lane.
    fn of(sale: &Sale, line: &LineRow) -> Option<Self> {
        let (name, share) = line.lane.clone().zip(line.share)?;
        let slug = sale.row.card(line).slug;
        let LineRow { waiting, admitted, invitations, .. } = *line;
        Some(Self { id: line.line(), name, slug, share, waiting, admitted, invitations })
    }
}

impl TryFrom<Sale> for AdminSale {
    type Error = CommonError;

    fn try_from(sale: Sale) -> Result<Self, CommonError> {
        let lanes = sale.lines.iter().filter_map(|line| AdminLane::of(&sale, line)).collect();
        let Sale { row, lines } = sale;
        let own = lines.first().ok_or(CommonError::SaleNotFound)?;
        Ok(Self {
            card: row.card(own),
            promised: row.promised(),
            held: row.held(),
            sold: row.sold(),
            waiting: lines.iter().map(|line| line.waiting).sum(),
            present: lines.iter().map(|line| line.present).sum(),
            inside: row.inside,
            orders: row.orders,
            admitted: lines.iter().map(|line| line.admitted).sum(),
            lanes,
            cursor: own.cursor(),
            highest_ordinal: own.highest(),
            token_ttl_s: row.token_ttl_s,
            claim_window_s: row.claim_window_s,
            hold_s: row.hold_s,
            recall_window_s: row.recall_window_s,
            risk: row.risk,
            in_checkout_max: row.in_checkout_max,
            prior_sale: row.prior_sale.map(SaleId),
            rehearsal_of: row.rehearsal_of.map(SaleId),
            time_zone: row.time_zone,
            created_at: row.created_at,
            last_decision: row.last_decision,
        })
    }
}
