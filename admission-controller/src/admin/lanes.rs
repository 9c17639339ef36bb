//! The lanes of a sale, and invitations to them.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_idempotency::Confidential;
use fairline_sale::SaleId;
use fairline_server::{Json, Path, Problem, ProblemBody};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Admin, AdminSale, field, sessions::Operator};
use crate::{
    problem::AdminError,
    store::{LineRow, Sale},
};

/// Invitations that one request makes at most.
const INVITATIONS_MAX: u32 = 1000;

pub(super) fn routes() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(add_lane)).routes(routes!(change_lane)).routes(routes!(invite))
}

/// A lane as its admin sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminLane {
    /// Its id among the lines: it stands where a sale's does, in `/api/flash-sales/{id}/line` and in `fairline verify`.
    id: SaleId,
    /// Its name.
    name: String,
    /// Its page is `/sales/{slug}`.
    slug: String,
    /// The share of the admissions while shoppers wait in the lane, from 0 to 1.
    share: f64,
    /// People who wait in it, as of the last tick.
    waiting: i64,
    /// Tickets let in from it.
    admitted: i64,
    /// Invitations made.
    invitations: i64,
}

/// The facts of a new lane.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddLane {
    /// Its name in addresses: lower-case letters, digits and single hyphens, at most 32.
    name: String,
    /// The share of the admissions while shoppers wait in the lane, from 0 to 1; with 0, what others do
    /// not use. The sale's own line has the remaining share.
    share: f64,
}

/// What an admin changes of a lane.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeLane {
    /// The share of the admissions while shoppers wait in the lane, from 0 to 1.
    share: f64,
}

/// How many to invite.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invite {
    /// Invitations to make, at most 1000.
    count: u32,
}

/// New invitations: each is one place in the lane, on whichever device it is shown. They are not kept, but for a day with an `Idempotency-Key`, and not shown again.
#[derive(Debug, Serialize, ToSchema)]
struct Invitations {
    /// Their codes: `/sales/{slug of the lane}?invitation={code}` is the page to send.
    codes: Vec<String>,
}

fn check_share(share: f64) -> Result<(), AdminError> {
    field("share", (0.0..=1.0).contains(&share), "be between 0 and 1")
}

/// A line as its admin sees it, if it is a lane.
pub(super) fn shown(sale: &Sale, line: &LineRow) -> Option<AdminLane> {
    let (name, share) = line.lane.clone().zip(line.share)?;
    let slug = sale.row.card(line).slug;
    let LineRow { waiting, admitted, invitations, .. } = *line;
    Some(AdminLane { id: line.line(), name, slug, share, waiting, admitted, invitations })
}

/// Give a sale a lane: a line of its own for those who are invited, which leads to the same stock.
#[utoipa::path(post, path = "/api/admin/sales/{id}/lanes", params(("id" = String, Path)), request_body = AddLane,
    security(("admin" = [])), responses(
    (status = 201, description = "The sale, with the lane.", body = AdminSale),
    (status = 404, description = "There is no such sale.", body = ProblemBody),
    (status = 409, description = "The name is taken, the sale has seven lanes already or is over, the shares of its lanes \
        would be more than 1, or its draw is made.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
))]
async fn add_lane(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
    Json(new): Json<AddLane>,
) -> Result<(StatusCode, axum::Json<AdminSale>), Problem> {
    let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let ok = new.name.len() <= 32 && new.name.split('-').all(plain);
    field("name", ok, "be lower-case letters, digits and single hyphens, at most 32 of them")?;
    check_share(new.share)?;
    let lanes = admin.lanes(&operator, "add_lane", &id).await?;
    let added = lanes.add(&new.name, new.share, &rand::random()).await.map_err(AdminError::from)?;
    added.map_err(AdminError::Lane)?;
    admin.nudges.all();
    Ok((StatusCode::CREATED, axum::Json(admin.shown(&id).await?)))
}

/// Give a lane another share of the admissions.
#[utoipa::path(patch, path = "/api/admin/sales/{id}/lanes/{lane}", params(("id" = String, Path), ("lane" = String, Path)),
    request_body = ChangeLane, security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    (status = 404, description = "There is no such sale, or no such lane.", body = ProblemBody),
    (status = 409, description = "The shares of the lanes would be more than 1.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
))]
async fn change_lane(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path((id, lane)): Path<(String, String)>,
    Json(change): Json<ChangeLane>,
) -> Result<axum::Json<AdminSale>, Problem> {
    check_share(change.share)?;
    let lanes = admin.lanes(&operator, "change_lane", &id).await?;
    let changed = lanes.share(&lane, change.share).await.map_err(AdminError::from)?;
    changed.map_err(AdminError::Lane)?;
    admin.nudges.all();
    Ok(axum::Json(admin.shown(&id).await?))
}

/// Make invitations to a lane.
#[utoipa::path(post, path = "/api/admin/sales/{id}/lanes/{lane}/invitations", request_body = Invite,
    params(("id" = String, Path), ("lane" = String, Path)), security(("admin" = [])), responses(
    (status = 201, description = "The invitations.", body = Invitations),
    (status = 404, description = "There is no such sale, or no such lane.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
))]
async fn invite(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path((id, lane)): Path<(String, String)>,
    Json(invite): Json<Invite>,
) -> Result<(StatusCode, Confidential, axum::Json<Invitations>), Problem> {
    field("count", (1..=INVITATIONS_MAX).contains(&invite.count), "be between 1 and 1000")?;
    let lanes = admin.lanes(&operator, "invite", &id).await?;
    let counted = lanes.count_invitations(&lane, invite.count).await.map_err(AdminError::from)?;
    let (line, key) =
        counted.and_then(|line| line.invitations().map(|key| (line, key))).ok_or(AdminError::UnknownLane)?;
    let first = u32::try_from(line.invitations).map_err(|_| AdminError::UnknownLane)?;
    let codes = (first..).take(invite.count as usize).map(|number| key.invite(line.line(), number)).collect();
    Ok((StatusCode::CREATED, Confidential, axum::Json(Invitations { codes })))
}
