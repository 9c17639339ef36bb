//! The routes of signing keys.

use axum::{Extension, extract::State};
use fairline_server::{Path, Problem};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::service::{AdminKeys, SigningKeys};
use crate::{admin_api::AdminState, auth::operator::Operator};

/// The routes for every operator.
pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(list_keys))
}

/// The routes for owners.
pub(in crate::admin_api) fn owner_routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(revoke_key))
}

/// List the signing keys.
#[utoipa::path(get, path = "/api/admin/keys", security(("admin" = [])), responses(
    (status = 200, description = "The keys of the controller that responds.", body = AdminKeys),
))]
async fn list_keys(State(keys): State<SigningKeys>) -> Result<axum::Json<AdminKeys>, Problem> {
    Ok(axum::Json(keys.list().await?))
}

/// Revoke a key. Checkouts immediately reject the tokens that it has signed. Shoppers who hold one
/// receive another, signed with the next key. Without a next key, no shopper is admitted. It can't
/// be undone.
#[utoipa::path(post, path = "/api/admin/keys/{kid}/revoke", params(("kid" = String, Path, description = "The id of the key.")), security(("admin" = [])), responses(
    (status = 200, description = "The keys.", body = AdminKeys),
    (status = 404, description = "There is no such key."),
))]
async fn revoke_key(
    State(keys): State<SigningKeys>,
    Extension(operator): Extension<Operator>,
    Path(kid): Path<String>,
) -> Result<axum::Json<AdminKeys>, Problem> {
    keys.revoke(&operator.by(), &kid).await?;
    Ok(axum::Json(keys.list().await?))
}
