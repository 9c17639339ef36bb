//! Adds, enables and deletes webhooks.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use fairline_events::EventKind;
use uuid::Uuid;

use super::{
    address::is_address,
    error::WebhookError,
    store::{WEBHOOKS_MAX, WebhookRow, WebhookSettingsStore},
};
use crate::{db::Author, error::check_field};

/// Dependencies of the routes of webhooks.
#[derive(Clone)]
pub(crate) struct WebhookSettings {
    pub(crate) store: WebhookSettingsStore,
}

impl WebhookSettings {
    /// The webhooks, the oldest first.
    pub(super) async fn list_webhooks(&self) -> Result<Vec<WebhookRow>, WebhookError> {
        Ok(self.store.webhooks().await?)
    }

    /// Adds a webhook. Returns its id, and the key that signs its messages.
    pub(super) async fn add_webhook(
        &self,
        by: &Author,
        url: &str,
        kinds: Vec<EventKind>,
    ) -> Result<(Uuid, String), WebhookError> {
        let must = "be an http:// or https:// address without a password, of at most 2000 bytes";
        check_field("url", is_address(url), must)?;
        let secret: [u8; 24] = rand::random();
        let kinds: Vec<&str> = kinds.into_iter().map(EventKind::as_str).collect();
        let id = self.store.add_webhook(by, url, &secret, &kinds).await?;
        let id = id.ok_or(WebhookError::TooManyWebhooks { most: WEBHOOKS_MAX })?;
        Ok((id, format!("whsec_{}", BASE64.encode(secret))))
    }

    /// Deletes a webhook.
    pub(super) async fn delete_webhook(&self, by: &Author, id: &str) -> Result<(), WebhookError> {
        let is_known = self.store.delete_webhook(by, webhook_id(id)?).await?;
        if is_known { Ok(()) } else { Err(WebhookError::WebhookNotFound) }
    }

    /// Enables a webhook again. Returns all webhooks.
    pub(super) async fn enable_webhook(&self, by: &Author, id: &str) -> Result<Vec<WebhookRow>, WebhookError> {
        if !self.store.enable_webhook(by, webhook_id(id)?).await? {
            return Err(WebhookError::WebhookNotFound);
        }
        self.list_webhooks().await
    }
}

fn webhook_id(id: &str) -> Result<Uuid, WebhookError> {
    Uuid::try_parse(id).map_err(|_| WebhookError::WebhookNotFound)
}
