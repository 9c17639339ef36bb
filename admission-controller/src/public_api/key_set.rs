//! The public keys that verify admission tokens, as a JSON Web Key Set.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use fairline_server::Problem;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{admin_api::keys::store::KeyStore, controller::keys::KeyRing, error::CommonError};

/// Dependencies of the route. The store has connections of its own, since checkouts depend on it.
#[derive(Clone)]
pub(crate) struct PublicKeys {
    pub(crate) store: KeyStore,
    pub(crate) keys: Arc<KeyRing>,
}

pub(crate) fn routes(keys: PublicKeys) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(key_set)).with_state(keys)
}

/// A set of public keys (RFC 7517).
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the keys write their own JSON")]
struct KeySet {
    /// JSON Web Keys of Ed25519 (RFC 8037).
    #[schema(value_type = Vec<Object>)]
    keys: Vec<serde_json::Value>,
}

/// Read the public keys of the signing keys that are not revoked.
#[utoipa::path(get, path = "/.well-known/jwks.json", responses(
    (status = 200, description = "The keys. May be cached for a minute.", body = KeySet),
))]
async fn key_set(State(PublicKeys { store, keys }): State<PublicKeys>) -> Result<Response, Problem> {
    let revoked = store.revoked_keys().await.map_err(CommonError::from)?;
    let set = keys.public(&revoked).expect("no more than were read at the start").to_json();
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=60")];
    Ok((headers, set).into_response())
}
