//! The routes of ticket actions.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_sale::SaleId;
use fairline_server::{Json, Path, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::service::{TicketActions, TicketRef};
use crate::{
    admin_api::{AdminState, sales::responses::AdminSale},
    auth::operator::Operator,
    controller::ticket_actions::TicketAction,
    error::SaleNotFound,
};

pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .routes(routes!(admit_now))
        .routes(routes!(remove_ticket))
        .routes(routes!(prefer_ticket))
        .routes(routes!(revoke_tokens))
}

/// The number of extra admissions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdmitNow {
    count: i32,
}

/// The reason, and the line of the ticket.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveTicket {
    /// For the audit log; at most 500 characters.
    reason: String,
    /// The id of a lane; by default the sale's own line.
    lane: Option<SaleId>,
}

/// The reason of a revocation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeTokens {
    /// For the audit log; at most 500 characters.
    reason: String,
}

/// A ticket that an operator has moved.
#[derive(Debug, Serialize, ToSchema)]
struct MovedTicket {
    ordinal: u64,
}

/// The number of revoked tokens.
#[derive(Debug, Serialize, ToSchema)]
struct RevokedTokens {
    revoked: i64,
}

/// Admit extra shoppers immediately: above the rate, the cap on checkout and the back-off, never
/// above the stock. Extra admissions without a waiting shopper or a unit are dropped.
#[utoipa::path(post, path = "/api/admin/sales/{id}/admit", params(("id" = String, Path, description = "The sale.")), request_body = AdmitNow,
    security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    SaleNotFound,
    (status = 409, description = "The sale is not open."),
))]
async fn admit_now(
    State(actions): State<TicketActions>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
    Json(AdmitNow { count }): Json<AdmitNow>,
) -> Result<axum::Json<AdminSale>, Problem> {
    Ok(axum::Json(actions.admit_now(&operator.by(), &id, count).await?))
}

/// Remove a ticket from the line. Its shopper is notified, those behind move up, and the public
/// record shows it.
#[utoipa::path(post, path = "/api/admin/sales/{id}/tickets/{ordinal}/remove", request_body = MoveTicket,
    params(("id" = String, Path, description = "The sale."), ("ordinal" = u64, Path, description = "The ticket's number.")), security(("admin" = [])), responses(
    (status = 202, description = "The ticket is removed within a tick.", body = MovedTicket),
    (status = 404, description = "There is no such sale, lane or ticket."),
    (status = 409, description = "The ticket is not waiting, or the sale has ended."),
))]
async fn remove_ticket(
    State(actions): State<TicketActions>,
    Extension(operator): Extension<Operator>,
    Path((sale, ordinal)): Path<(String, u64)>,
    Json(wanted): Json<MoveTicket>,
) -> Result<(StatusCode, axum::Json<MovedTicket>), Problem> {
    let by = operator.with_reason(&wanted.reason)?;
    let ticket = TicketRef { sale, lane: wanted.lane, ordinal };
    actions.apply(&by, &ticket, TicketAction::Remove).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(MovedTicket { ordinal })))
}

/// Serve a ticket before all others, as soon as a unit is free. The public record shows it.
#[utoipa::path(post, path = "/api/admin/sales/{id}/tickets/{ordinal}/prefer", request_body = MoveTicket,
    params(("id" = String, Path, description = "The sale."), ("ordinal" = u64, Path, description = "The ticket's number.")), security(("admin" = [])), responses(
    (status = 202, description = "The ticket is served next.", body = MovedTicket),
    (status = 404, description = "There is no such sale, lane or ticket."),
    (status = 409, description = "The ticket is not waiting, or the sale has ended, is sold out, or its draw is due."),
))]
async fn prefer_ticket(
    State(actions): State<TicketActions>,
    Extension(operator): Extension<Operator>,
    Path((sale, ordinal)): Path<(String, u64)>,
    Json(wanted): Json<MoveTicket>,
) -> Result<(StatusCode, axum::Json<MovedTicket>), Problem> {
    let by = operator.with_reason(&wanted.reason)?;
    let ticket = TicketRef { sale, lane: wanted.lane, ordinal };
    actions.apply(&by, &ticket, TicketAction::Prefer).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(MovedTicket { ordinal })))
}

/// Revoke all outstanding tokens of a sale. Their shoppers wait again, at the front; holds and
/// orders are not affected.
#[utoipa::path(post, path = "/api/admin/sales/{id}/revoke", params(("id" = String, Path, description = "The sale.")), request_body = RevokeTokens,
    security(("admin" = [])), responses(
    (status = 200, description = "The tokens are revoked: no checkout accepts them any more.", body = RevokedTokens),
    SaleNotFound,
))]
async fn revoke_tokens(
    State(actions): State<TicketActions>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
    Json(wanted): Json<RevokeTokens>,
) -> Result<axum::Json<RevokedTokens>, Problem> {
    let revoked = actions.revoke_tokens(&operator.with_reason(&wanted.reason)?, &id).await?;
    Ok(axum::Json(RevokedTokens { revoked }))
}
