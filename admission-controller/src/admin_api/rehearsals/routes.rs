//! The routes of rehearsals.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_server::{Json, Path, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{error::RehearsalError, responses::Rehearsal, service::Rehearsals};
use crate::{admin_api::AdminState, auth::operator::Operator, error::SaleNotFound, jobs::rehearsals::RehearsalCrowd};

pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(rehearse, list_rehearsals)).routes(routes!(stop_rehearsal))
}

/// The crowd of a rehearsal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RehearseRequest {
    /// The number of shoppers, at most 20,000.
    shoppers: u32,
    /// Seconds within which they arrive; 10 by default.
    #[serde(default = "ten_seconds")]
    arrival_s: u32,
    /// The share of shoppers who leave, disconnect or hesitate; 0.2 by default.
    #[serde(default = "a_fifth")]
    abandon: f64,
}

fn ten_seconds() -> u32 {
    10
}

fn a_fifth() -> f64 {
    0.2
}

/// Rehearsals of a sale, the newest first; at most twenty.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rehearsals)]
struct RehearsalList {
    rehearsals: Vec<Rehearsal>,
}

/// Rehearse a sale: copy it, and send a crowd to the copy, which no public list contains. One
/// rehearsal runs at a time. The crowd has no accounts and no invitations: a limit per account and
/// lanes are not rehearsed.
#[utoipa::path(post, path = "/api/admin/sales/{id}/rehearsals", params(("id" = String, Path, description = "The sale.")), request_body = RehearseRequest,
    security(("admin" = [])), responses(
    (status = 202, description = "The rehearsal has begun.", body = Rehearsal),
    SaleNotFound,
    (status = 409, description = "Another rehearsal is running, or this controller is not set up for rehearsals."),
))]
async fn rehearse(
    State(rehearsals): State<Rehearsals>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
    Json(crowd): Json<RehearseRequest>,
) -> Result<(StatusCode, axum::Json<Rehearsal>), Problem> {
    let crowd = RehearsalCrowd { shoppers: crowd.shoppers, arrival_s: crowd.arrival_s, abandon: crowd.abandon };
    let begun = rehearsals.begin(&operator.by(), &id, crowd).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(begun)))
}

/// List the rehearsals of a sale; for a copy, its own.
#[utoipa::path(get, path = "/api/admin/sales/{id}/rehearsals", params(("id" = String, Path, description = "The sale.")), security(("admin" = [])), responses(
    (status = 200, description = "The rehearsals.", body = RehearsalList),
    SaleNotFound,
))]
async fn list_rehearsals(
    State(rehearsals): State<Rehearsals>,
    Path(id): Path<String>,
) -> Result<axum::Json<RehearsalList>, Problem> {
    Ok(axum::Json(RehearsalList { rehearsals: rehearsals.list(&id).await? }))
}

/// Stop a rehearsal.
#[utoipa::path(delete, path = "/api/admin/rehearsals/{id}", params(("id" = Uuid, Path, description = "The rehearsal.")), security(("admin" = [])), responses(
    (status = 204, description = "It ends within a few seconds."),
    (status = 404, description = "No such rehearsal is running."),
))]
async fn stop_rehearsal(
    State(rehearsals): State<Rehearsals>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id: Uuid = id.parse().map_err(|_| RehearsalError::RehearsalNotFound)?;
    rehearsals.stop(&operator.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
