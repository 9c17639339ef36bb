//! Lists and revokes signing keys.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::{error::KeyError, store::KeyStore};
use crate::{
    controller::{keys::KeyRing, schedule::TickNow},
    db::Author,
};

/// Dependencies of the keys' routes.
#[derive(Clone)]
pub(crate) struct SigningKeys {
    pub(crate) store: KeyStore,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) tick_now: TickNow,
}

/// What a key is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeyUse {
    /// It signs the next token.
    Signs,
    /// Its tokens are valid, and it signs none.
    Shown,
    /// Its tokens are not valid.
    Revoked,
}

/// One signing key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AdminKey {
    /// Its name in the key set and in every token.
    kid: String,
    #[serde(rename = "use")]
    usage: KeyUse,
}

/// The signing keys of the controller that responds, the preferred one first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AdminKeys {
    keys: Vec<AdminKey>,
}

impl SigningKeys {
    /// The keys, the preferred one first.
    pub(super) async fn list(&self) -> Result<AdminKeys, KeyError> {
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

    /// Revokes a key, and requests an immediate tick of every sale, so that its tokens are
    /// replaced.
    pub(super) async fn revoke(&self, by: &Author, kid: &str) -> Result<(), KeyError> {
        if self.keys.named(kid).is_none() {
            return Err(KeyError::KeyNotFound);
        }
        self.store.revoke_key(by, kid).await?;
        self.tick_now.all();
        tracing::warn!(kid, "signing key revoked");
        Ok(())
    }
}
