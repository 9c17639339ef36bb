//! What operators do to a running sale, ticket by ticket: let more in, take one out, have one served next, revoke tokens.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_line::store::{Found, LineError};
use fairline_sale::{SaleId, Status};
use fairline_server::{Json, Path, Problem, ProblemBody};
use serde::{Deserialize, Serialize};
use tracing::warn;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Admin, AdminSale, field, sessions::Operator};
use crate::{problem::AdminError, store::Intervention};

pub(super) fn routes() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(admit_now))
        .routes(routes!(remove_ticket))
        .routes(routes!(prefer_ticket))
        .routes(routes!(revoke_tokens))
}

/// How many to let in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdmitNow {
    count: i32,
}

/// Why, and of which line.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveTicket {
    /// For the audit log; 500 characters at most.
    reason: String,
    /// The id of a lane; the sale's own line unless said.
    lane: Option<SaleId>,
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeTokens {
    /// For the audit log; 500 characters at most.
    reason: String,
}

/// A ticket that an operator has moved.
#[derive(Debug, Serialize, ToSchema)]
struct MovedTicket {
    ordinal: u64,
}

/// Tokens that are worth nothing any more.
#[derive(Debug, Serialize, ToSchema)]
struct RevokedTokens {
    revoked: i64,
}

impl Admin {
    async fn intervene(
        &self,
        operator: &Operator,
        (id, ordinal): (String, u64),
        wanted: MoveTicket,
        what: Intervention,
    ) -> Result<(StatusCode, axum::Json<MovedTicket>), Problem> {
        let by = operator.because(&wanted.reason)?;
        let sale = self.sale(&id).await?;
        let line = wanted.lane.unwrap_or_else(|| sale.row.sale());
        let known = sale.lines.iter().find(|known| known.line() == line).ok_or(AdminError::UnknownLane)?;
        let status = sale.row.shown_status();
        let is_served = what == Intervention::Prefer;
        if status == Status::Closed || (is_served && (status == Status::SoldOut || sale.row.draw_is_due(known))) {
            return Err(AdminError::IllegalTransition { status }.into());
        }
        let visitor = match self.line.find(line, ordinal).await {
            Ok(Found::Waiting(visitor)) => visitor,
            Ok(Found::Gone) => return Err(AdminError::NotWaiting.into()),
            Ok(Found::Unknown) | Err(LineError::NotPublished) => return Err(AdminError::UnknownTicket.into()),
            Err(error) => {
                warn!(%error, "a ticket could not be looked up");
                return Err(Problem::unavailable("The line does not answer. Nothing was changed; try again."));
            }
        };
        let (sale, slug) = (sale.row.sale(), &sale.row.slug);
        let done = self.store.intervene(&by, sale, slug, what, (line, ordinal, visitor)).await;
        if !done.map_err(AdminError::from)? {
            return Err(AdminError::NotWaiting.into());
        }
        self.nudges.sale(sale);
        Ok((StatusCode::ACCEPTED, axum::Json(MovedTicket { ordinal })))
    }
}

/// Admit extra shoppers at once: above the rate, the cap on checkout and the back-off, never above the
/// stock. Extra admissions without a waiting shopper or a unit are dropped.
#[utoipa::path(post, path = "/api/admin/sales/{id}/admit", params(("id" = String, Path)), request_body = AdmitNow,
    security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    (status = 404, description = "There is no such sale.", body = ProblemBody),
    (status = 409, description = "The sale is not open.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
))]
async fn admit_now(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
    Json(AdmitNow { count }): Json<AdmitNow>,
) -> Result<axum::Json<AdminSale>, Problem> {
    field("count", (1..=100_000).contains(&count), "be between 1 and 100000")?;
    let row = admin.sale(&id).await?.row;
    if row.shown_status() != Status::Open {
        return Err(AdminError::IllegalTransition { status: row.shown_status() }.into());
    }
    admin.store.admit_now(&operator.by(), row.sale(), &row.slug, count).await.map_err(AdminError::from)?;
    admin.nudges.sale(row.sale());
    Ok(axum::Json(admin.shown(&id).await?))
}

/// Remove a ticket from the line. Its shopper is notified, those behind move up, and the public record
/// shows it.
#[utoipa::path(post, path = "/api/admin/sales/{id}/tickets/{ordinal}/remove", request_body = MoveTicket,
    params(("id" = String, Path), ("ordinal" = u64, Path)), security(("admin" = [])), responses(
    (status = 202, description = "It is taken out within a tick.", body = MovedTicket),
    (status = 404, description = "There is no such sale, lane or ticket.", body = ProblemBody),
    (status = 409, description = "It does not wait, or the sale has ended.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
))]
async fn remove_ticket(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(ticket): Path<(String, u64)>,
    Json(wanted): Json<MoveTicket>,
) -> Result<(StatusCode, axum::Json<MovedTicket>), Problem> {
    admin.intervene(&operator, ticket, wanted, Intervention::Remove).await
}

/// Have a ticket served before all others, as soon as there is a unit. The public record shows that it was.
#[utoipa::path(post, path = "/api/admin/sales/{id}/tickets/{ordinal}/prefer", request_body = MoveTicket,
    params(("id" = String, Path), ("ordinal" = u64, Path)), security(("admin" = [])), responses(
    (status = 202, description = "It is served next.", body = MovedTicket),
    (status = 404, description = "There is no such sale, lane or ticket.", body = ProblemBody),
    (status = 409, description = "It does not wait, or the sale has ended, is sold out, or its draw is not made.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
))]
async fn prefer_ticket(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(ticket): Path<(String, u64)>,
    Json(wanted): Json<MoveTicket>,
) -> Result<(StatusCode, axum::Json<MovedTicket>), Problem> {
    admin.intervene(&operator, ticket, wanted, Intervention::Prefer).await
}

/// Revoke every token of a sale that is out. Its shoppers wait again, in front; holds and orders stay.
#[utoipa::path(post, path = "/api/admin/sales/{id}/revoke", params(("id" = String, Path)), request_body = RevokeTokens,
    security(("admin" = [])), responses(
    (status = 200, description = "From now on no checkout takes one of them.", body = RevokedTokens),
    (status = 404, description = "There is no such sale.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
))]
async fn revoke_tokens(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
    Json(wanted): Json<RevokeTokens>,
) -> Result<axum::Json<RevokedTokens>, Problem> {
    let by = operator.because(&wanted.reason)?;
    let row = admin.sale(&id).await?.row;
    let revoked = admin.store.revoke_tokens(&by, row.sale(), &row.slug).await.map_err(AdminError::from)?;
    admin.nudges.sale(row.sale());
    Ok(axum::Json(RevokedTokens { revoked }))
}
