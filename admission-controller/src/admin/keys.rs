//! Which keys sign admission tokens, and revoking one.

use axum::{Extension, extract::State};
use fairline_server::{Path, Problem};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Admin, sessions::Operator};
use crate::problem::AdminError;

pub(super) fn routes() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(revoke_key))
}

/// What everybody may see of them.
pub(super) fn seen_routes() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(list_keys))
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum KeyUse {
    /// It signs the next token.
    Signs,
    /// Its tokens are good, and it signs none.
    Shown,
    /// Its tokens are worth nothing.
    Revoked,
}

/// One signing key.
#[derive(Debug, Serialize, ToSchema)]
struct AdminKey {
    /// Its name in the key set and in every token.
    kid: String,
    #[serde(rename = "use")]
    usage: KeyUse,
}

/// The signing keys of the controller that answers, the preferred one first.
#[derive(Debug, Serialize, ToSchema)]
struct AdminKeys {
    keys: Vec<AdminKey>,
}

impl Admin {
    async fn keys(&self) -> Result<AdminKeys, AdminError> {
        let revoked = self.store.revoked_keys().await?;
        let signs = self.keys.signs(&revoked).map(|key| key.kid());
        let keys = self.keys.kids().map(|kid| {
            let usage = match kid {
                kid if revoked.iter().any(|revoked| revoked == kid) => KeyUse::Revoked,
                kid if signs == Some(kid) => KeyUse::Signs,
                _ => KeyUse::Shown,
            };
            AdminKey { kid: kid.to_owned(), usage }
        });
        Ok(AdminKeys { keys: keys.collect() })
    }

    /// The key set that verifies tokens, as JSON.
    pub(crate) async fn key_set(&self) -> Result<String, Problem> {
        let revoked = self.store.revoked_keys().await.map_err(AdminError::from)?;
        Ok(self.keys.public(&revoked).expect("no more than were read at the start").to_json())
    }
}

/// The signing keys.
#[utoipa::path(get, path = "/api/admin/keys", security(("admin" = [])), responses(
    (status = 200, description = "The keys of the controller that answers.", body = AdminKeys),
    (status = 401, description = "No admin token, or a wrong one.", body = fairline_server::ProblemBody),
))]
async fn list_keys(State(admin): State<Admin>) -> Result<axum::Json<AdminKeys>, Problem> {
    Ok(axum::Json(admin.keys().await?))
}

/// Revoke a key. Checkouts reject the tokens that it has signed at once, and shoppers who hold one receive
/// another, signed with the next key. Without a next key, no shopper is admitted. It can't be undone.
#[utoipa::path(post, path = "/api/admin/keys/{kid}/revoke", params(("kid" = String, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The keys.", body = AdminKeys),
    (status = 401, description = "No admin token, or a wrong one.", body = fairline_server::ProblemBody),
    (status = 404, description = "There is no such key.", body = fairline_server::ProblemBody),
))]
async fn revoke_key(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(kid): Path<String>,
) -> Result<axum::Json<AdminKeys>, Problem> {
    if admin.keys.named(&kid).is_none() {
        return Err(AdminError::UnknownKey.into());
    }
    admin.store.revoke_key(&operator.by(), &kid).await.map_err(AdminError::from)?;
    admin.nudges.all();
    tracing::warn!(kid, "a signing key was revoked");
    Ok(axum::Json(admin.keys().await?))
}
