//! The routes of lanes and invitations.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_idempotency::Confidential;
use fairline_server::{Json, Path, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::service::Lanes;
use crate::{
    admin_api::{AdminState, sales::responses::AdminSale},
    auth::operator::Operator,
    error::SaleNotFound,
};

pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(add_lane)).routes(routes!(change_lane)).routes(routes!(invite))
}

/// A new lane.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddLane {
    /// Its name in URLs: lower-case letters, digits and single hyphens, at most 32.
    name: String,
    /// The share of the admissions while shoppers wait in the lane, from 0 to 1; with 0, the
    /// admissions that other lines do not use. The sale's own line has the remaining share.
    share: f64,
}

/// The changes of a lane.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeLane {
    /// The share of the admissions while shoppers wait in the lane, from 0 to 1.
    share: f64,
}

/// The number of invitations.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InviteRequest {
    /// Invitations to make, at most 1000.
    count: u32,
}

/// New invitations, each for one place in the lane on any device. They are not shown again, and not
/// stored, except for a day with an `Idempotency-Key`.
#[derive(Debug, Serialize, ToSchema)]
struct Invitations {
    /// The codes. The URL to send is `/sales/{slug of the lane}?invitation={code}`.
    codes: Vec<String>,
}

/// Add a lane to a sale: a separate line for invited shoppers that sells from the same stock.
#[utoipa::path(post, path = "/api/admin/sales/{id}/lanes", params(("id" = String, Path, description = "The sale.")), request_body = AddLane,
    security(("admin" = [])), responses(
    (status = 201, description = "The sale, with the lane.", body = AdminSale),
    SaleNotFound,
    (status = 409, description = "The name is taken, the sale has seven lanes already or has ended, the shares of its lanes \
        would exceed 1, or its draw is made."),
))]
async fn add_lane(
    State(lanes): State<Lanes>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
    Json(new): Json<AddLane>,
) -> Result<(StatusCode, axum::Json<AdminSale>), Problem> {
    let sale = lanes.add(&operator.by(), &id, (&new.name, new.share)).await?;
    Ok((StatusCode::CREATED, axum::Json(sale)))
}

/// Change the share of the admissions that a lane gets.
#[utoipa::path(patch, path = "/api/admin/sales/{id}/lanes/{lane}", params(("id" = String, Path, description = "The sale."), ("lane" = String, Path, description = "The lane's name in URLs.")),
    request_body = ChangeLane, security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    (status = 404, description = "There is no such sale, or no such lane."),
    (status = 409, description = "The shares of the lanes would exceed 1."),
))]
async fn change_lane(
    State(lanes): State<Lanes>,
    Extension(operator): Extension<Operator>,
    Path((id, lane)): Path<(String, String)>,
    Json(change): Json<ChangeLane>,
) -> Result<axum::Json<AdminSale>, Problem> {
    Ok(axum::Json(lanes.change(&operator.by(), &id, (&lane, change.share)).await?))
}

/// Create invitations to a lane.
#[utoipa::path(post, path = "/api/admin/sales/{id}/lanes/{lane}/invitations", request_body = InviteRequest,
    params(("id" = String, Path, description = "The sale."), ("lane" = String, Path, description = "The lane's name in URLs.")), security(("admin" = [])), responses(
    (status = 201, description = "The invitations.", body = Invitations),
    (status = 404, description = "There is no such sale, or no such lane."),
))]
async fn invite(
    State(lanes): State<Lanes>,
    Extension(operator): Extension<Operator>,
    Path((id, lane)): Path<(String, String)>,
    Json(invite): Json<InviteRequest>,
) -> Result<(StatusCode, Confidential, axum::Json<Invitations>), Problem> {
    let codes = lanes.invite(&operator.by(), &id, (&lane, invite.count)).await?;
    Ok((StatusCode::CREATED, Confidential, axum::Json(Invitations { codes })))
}
