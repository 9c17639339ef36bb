//! Tokens of programs: owners say who has one, and for what.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_idempotency::Confidential;
use fairline_server::{Json, Path, Problem, ProblemBody};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Admin, field, sessions::Operator};
use crate::{
    operator::{ApiToken, Role, is_name},
    problem::AdminError,
    store::TokenRow,
};

pub(super) fn routes() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(list_tokens, add_token)).routes(routes!(revoke_token))
}

/// A token of a program.
#[derive(Debug, Serialize, ToSchema)]
struct AdminToken {
    /// What it is for; the audit log notes its changes as those of `token {name}`.
    name: String,
    role: Role,
    /// Who has made it.
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

/// Tokens, by name; also those that have run out.
#[derive(Debug, Serialize, ToSchema)]
struct AdminTokens {
    tokens: Vec<AdminToken>,
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddToken {
    /// Lower-case letters, digits, and what e-mail addresses have; at most 63.
    name: String,
    role: Role,
    /// How long it is good, in days; 90 unless said.
    #[serde(default = "a_quarter")]
    lasts_days: i32,
}

fn a_quarter() -> i32 {
    90
}

/// A new token. It is not kept, and not shown again.
#[derive(Serialize, ToSchema)]
struct AddedToken {
    token: AdminToken,
    /// To be sent as `Authorization: Bearer {bearer}`.
    bearer: String,
}

/// The tokens of programs.
#[utoipa::path(get, path = "/api/admin/tokens", security(("admin" = [])), responses(
    (status = 200, description = "The tokens, without what they are proved by.", body = AdminTokens),
    (status = 403, description = "Only owners may see them.", body = ProblemBody),
))]
async fn list_tokens(State(admin): State<Admin>) -> Result<axum::Json<AdminTokens>, Problem> {
    let tokens = admin.store.tokens().await.map_err(AdminError::from)?;
    Ok(axum::Json(AdminTokens { tokens: tokens.into_iter().map(AdminToken::from).collect() }))
}

/// Make a token for a program, with a role of its own.
#[utoipa::path(post, path = "/api/admin/tokens", request_body = AddToken, security(("admin" = [])), responses(
    (status = 201, description = "The token: this once.", body = AddedToken),
    (status = 403, description = "Only owners may.", body = ProblemBody),
    (status = 409, description = "The name is taken, or there are 200 already.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
))]
async fn add_token(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Json(new): Json<AddToken>,
) -> Result<(StatusCode, Confidential, axum::Json<AddedToken>), Problem> {
    field("name", is_name(&new.name), "be 1 to 63 lower-case letters, digits, dots, underscores, hyphens or @")?;
    field("lasts_days", (1..=3650).contains(&new.lasts_days), "be between 1 and 3650")?;
    let made = ApiToken::new(rand::random());
    let added = admin.store.add_token(&operator.by(), &new.name, new.role, made.digest(), new.lasts_days).await;
    let token = added.map_err(AdminError::from)?.ok_or(AdminError::TooManyTokens)?.into();
    Ok((StatusCode::CREATED, Confidential, axum::Json(AddedToken { token, bearer: made.bearer().to_owned() })))
}

/// Revoke a token. From now on it is worth nothing.
#[utoipa::path(delete, path = "/api/admin/tokens/{name}", params(("name" = String, Path)), security(("admin" = [])), responses(
    (status = 204, description = "It is revoked."),
    (status = 403, description = "Only owners may.", body = ProblemBody),
    (status = 404, description = "There is no such token.", body = ProblemBody),
))]
async fn revoke_token(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let is_gone = admin.store.revoke_token(&operator.by(), &name).await.map_err(AdminError::from)?;
    if is_gone { Ok(StatusCode::NO_CONTENT) } else { Err(AdminError::UnknownToken.into()) }
}
