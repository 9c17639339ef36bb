//! The routes of API tokens, for owners.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_idempotency::Confidential;
use fairline_server::{Json, Path, Problem};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{service::ApiTokens, store::TokenRow};
use crate::{
    admin_api::AdminState,
    auth::{operator::Operator, role::Role},
};

pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(list_tokens, add_token)).routes(routes!(revoke_token))
}

/// An API token of a program.
#[derive(Debug, Serialize, ToSchema)]
struct AdminToken {
    /// Its purpose. The audit log names the author of its changes `token {name}`.
    name: String,
    role: Role,
    /// The operator who created it.
    created_by: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

impl From<TokenRow> for AdminToken {
    fn from(row: TokenRow) -> Self {
        let TokenRow { name, role, created_by, created_at, expires_at } = row;
        Self { name, role: Role::of(&role), created_by, created_at, expires_at }
    }
}

/// API tokens by name, including expired ones.
#[derive(Debug, Serialize, ToSchema)]
struct AdminTokens {
    tokens: Vec<AdminToken>,
}

/// A new token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddToken {
    /// Lower-case letters, digits, and `._@-`; at most 63.
    name: String,
    role: Role,
    /// Its lifetime in days; 90 by default.
    #[serde(default = "a_quarter")]
    lasts_days: i32,
}

fn a_quarter() -> i32 {
    90
}

/// A new token, which is stored only as a digest and not shown again.
#[derive(Serialize, ToSchema)]
struct AddedToken {
    token: AdminToken,
    /// The token, to be sent as `Authorization: Bearer {bearer}`.
    bearer: String,
}

/// List the API tokens.
#[utoipa::path(get, path = "/api/admin/tokens", security(("admin" = [])), responses(
    (status = 200, description = "The tokens, without their secrets.", body = AdminTokens),
))]
async fn list_tokens(State(tokens): State<ApiTokens>) -> Result<axum::Json<AdminTokens>, Problem> {
    let tokens = tokens.list_tokens().await?.into_iter().map(AdminToken::from).collect();
    Ok(axum::Json(AdminTokens { tokens }))
}

/// Create an API token for a program, with a role.
#[utoipa::path(post, path = "/api/admin/tokens", request_body = AddToken, security(("admin" = [])), responses(
    (status = 201, description = "The token, shown only once.", body = AddedToken),
    (status = 409, description = "The name is taken, or there are 200 already."),
))]
async fn add_token(
    State(tokens): State<ApiTokens>,
    Extension(operator): Extension<Operator>,
    Json(AddToken { name, role, lasts_days }): Json<AddToken>,
) -> Result<(StatusCode, Confidential, axum::Json<AddedToken>), Problem> {
    let (row, made) = tokens.add_token(&operator.by(), &name, role, lasts_days).await?;
    let added = AddedToken { token: row.into(), bearer: made.bearer().to_owned() };
    Ok((StatusCode::CREATED, Confidential, axum::Json(added)))
}

/// Revoke an API token immediately.
#[utoipa::path(delete, path = "/api/admin/tokens/{name}", params(("name" = String, Path, description = "The token's name.")), security(("admin" = [])), responses(
    (status = 204, description = "It is revoked."),
    (status = 404, description = "There is no such token."),
))]
async fn revoke_token(
    State(tokens): State<ApiTokens>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    tokens.revoke_token(&operator.by(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
