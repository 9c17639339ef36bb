//! Rehearsals: a crowd of simulated shoppers is sent to a copy of a sale.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_sale::SaleId;
use fairline_server::{Json, Path, Problem, ProblemBody};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{Admin, field, sessions::Operator};
use crate::{problem::AdminError, rehearsal::Crowd, store::RehearsalRow};

pub(super) fn routes() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(rehearse, list_rehearsals)).routes(routes!(stop_rehearsal))
}

/// Who is to come.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rehearse {
    /// How many, at most 20,000.
    shoppers: u32,
    /// Seconds within which they come; 10 unless said.
    #[serde(default = "ten_seconds")]
    arrival_s: u32,
    /// The part of them that gives up, closes the lid or dawdles; 0.2 unless said.
    #[serde(default = "a_fifth")]
    abandon: f64,
}

fn ten_seconds() -> u32 {
    10
}

fn a_fifth() -> f64 {
    0.2
}

/// The states of a rehearsal, for the OpenAPI document.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the database holds the state as text; only the schema of this is used")]
enum RehearsalState {
    Running,
    Stopping,
    Passed,
    Failed,
    Stopped,
}

/// A rehearsal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Rehearsal {
    id: Uuid,
    /// The copy that the crowd was sent to.
    sale_id: SaleId,
    /// The sale that was copied.
    original_id: SaleId,
    shoppers: i32,
    #[schema(value_type = RehearsalState)]
    state: String,
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    ended_at: Option<OffsetDateTime>,
    /// How it stands, in words.
    #[schema(required)]
    progress: Option<String>,
    /// What the crowd has seen, promise by promise: the last line of `fairline rush`.
    #[schema(required, value_type = Option<Object>)]
    report: Option<Value>,
}

/// Rehearsals of a sale, the newest first; twenty at most.
#[derive(Debug, Serialize, ToSchema)]
struct Rehearsals {
    rehearsals: Vec<Rehearsal>,
}

impl From<RehearsalRow> for Rehearsal {
    fn from(row: RehearsalRow) -> Self {
        let RehearsalRow { id, sale_id, original_id, shoppers, state, progress, report, started_at, ended_at } = row;
        let (sale_id, original_id) = (SaleId(sale_id), SaleId(original_id));
        Self { id, sale_id, original_id, shoppers, state, started_at, ended_at, progress, report }
    }
}

/// Rehearse a sale: copy it, and send a crowd to the copy, which no shopper finds in a list. One rehearsal runs at a time. The crowd
/// has no accounts and no invitations: a limit per account and lanes are not rehearsed.
#[utoipa::path(post, path = "/api/admin/sales/{id}/rehearsals", params(("id" = String, Path)), request_body = Rehearse,
    security(("admin" = [])), responses(
    (status = 202, description = "The crowd is on its way.", body = Rehearsal),
    (status = 404, description = "There is no such sale.", body = ProblemBody),
    (status = 409, description = "Another rehearsal runs, or this controller is not set up for any.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
))]
async fn rehearse(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
    Json(crowd): Json<Rehearse>,
) -> Result<(StatusCode, axum::Json<Rehearsal>), Problem> {
    field("shoppers", (1..=20_000).contains(&crowd.shoppers), "be between 1 and 20000")?;
    field("arrival_s", crowd.arrival_s <= 3600, "be at most 3600")?;
    field("abandon", (0.0..=1.0).contains(&crowd.abandon), "be between 0 and 1")?;
    let stage = admin.stage.as_ref().ok_or(AdminError::NoRehearsals)?;
    let sale = admin.sale(&id).await?;
    let crowd = Crowd { shoppers: crowd.shoppers, arrival_s: crowd.arrival_s, abandon: crowd.abandon };
    let begun = admin.store.begin_rehearsal(&operator.by(), &sale, crowd).await.map_err(AdminError::from)?;
    let begun = begun.ok_or(AdminError::RehearsalRuns)?;
    admin.nudges.all();
    stage.begin(admin.store.clone(), begun.clone(), crowd);
    Ok((StatusCode::ACCEPTED, axum::Json(begun.into())))
}

/// The rehearsals of a sale; of a copy, its own.
#[utoipa::path(get, path = "/api/admin/sales/{id}/rehearsals", params(("id" = String, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The rehearsals.", body = Rehearsals),
    (status = 404, description = "There is no such sale.", body = ProblemBody),
))]
async fn list_rehearsals(
    State(admin): State<Admin>,
    Path(id): Path<String>,
) -> Result<axum::Json<Rehearsals>, Problem> {
    let sale = admin.sale(&id).await?.row.sale();
    let rehearsals = admin.store.rehearsals(sale).await.map_err(AdminError::from)?;
    Ok(axum::Json(Rehearsals { rehearsals: rehearsals.into_iter().map(Rehearsal::from).collect() }))
}

/// Send the crowd of a rehearsal home.
#[utoipa::path(delete, path = "/api/admin/rehearsals/{id}", params(("id" = Uuid, Path)), security(("admin" = [])), responses(
    (status = 204, description = "It ends within a few seconds."),
    (status = 404, description = "No such rehearsal runs.", body = ProblemBody),
))]
async fn stop_rehearsal(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id: Uuid = id.parse().map_err(|_| AdminError::UnknownRehearsal)?;
    let stops = admin.store.stop_rehearsal(&operator.by(), id).await.map_err(AdminError::from)?;
    if stops { Ok(StatusCode::NO_CONTENT) } else { Err(AdminError::UnknownRehearsal.into()) }
}
