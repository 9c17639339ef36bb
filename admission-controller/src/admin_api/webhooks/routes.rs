//! The routes of webhooks.

use axum::{
    Extension,
    extract::State,
    http::{StatusCode, Uri},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use fairline_events::EventKind;
use fairline_idempotency::Confidential;
use fairline_server::{Json, Path, Problem};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    error::WebhookError,
    store::{WEBHOOKS_MAX, WebhookRow, WebhookSettingsStore},
};
use crate::{admin_api::AdminState, auth::operator::Operator, error::check_field};

const URL_BYTES_MAX: usize = 2000;

/// The routes for owners.
pub(in crate::admin_api) fn owner_routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(add_webhook)).routes(routes!(delete_webhook)).routes(routes!(enable_webhook))
}

/// The routes for every operator.
pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(list_webhooks))
}

/// A new webhook.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddWebhook {
    /// The address that receives events: http:// or https://.
    #[schema(example = "https://shop.example/hooks/fairline")]
    url: String,
    /// The kinds of events to send; all if empty.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["PurchaseCompleted"]))]
    kinds: Vec<EventKind>,
}

/// Whether a webhook receives events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WebhookStatus {
    /// It receives events.
    Enabled,
    /// It receives events, but the last deliveries have failed.
    Failing,
    /// It was disabled: deliveries have failed for days, or it answered that it is gone.
    Disabled,
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
struct AdminWebhook {
    id: Uuid,
    url: String,
    /// The kinds of events that it receives; all if empty.
    kinds: Vec<String>,
    status: WebhookStatus,
    /// Since when deliveries fail.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    failing_since: Option<OffsetDateTime>,
    /// Why the last delivery failed.
    #[schema(required)]
    last_error: Option<String>,
    /// Events that wait for delivery, or for another attempt.
    waiting: i64,
    /// Events of the last week that were delivered.
    delivered: i64,
    /// Events of the last week that were given up.
    given_up: i64,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

/// Webhooks, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
struct AdminWebhooks {
    webhooks: Vec<AdminWebhook>,
}

/// A new webhook.
#[derive(Debug, Serialize, ToSchema)]
struct AddedWebhook {
    id: Uuid,
    /// The key that signs its messages, as in Standard Webhooks. It is not shown again.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: String,
}

impl From<WebhookRow> for AdminWebhook {
    fn from(row: WebhookRow) -> Self {
        let status = match (row.disabled_at, row.failing_since) {
            (Some(_), _) => WebhookStatus::Disabled,
            (None, Some(_)) => WebhookStatus::Failing,
            (None, None) => WebhookStatus::Enabled,
        };
        Self {
            id: row.id,
            url: row.url,
            kinds: row.kinds,
            status,
            failing_since: row.failing_since,
            last_error: row.last_error,
            waiting: row.waiting,
            delivered: row.delivered,
            given_up: row.given_up,
            created_at: row.created_at,
        }
    }
}

/// Whether events can be sent to an address. Addresses are displayed, so they must not contain a
/// password.
fn is_address(url: &str) -> bool {
    url.len() <= URL_BYTES_MAX
        && url.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        })
}

async fn all(store: &WebhookSettingsStore) -> Result<AdminWebhooks, WebhookError> {
    let rows = store.webhooks().await?;
    Ok(AdminWebhooks { webhooks: rows.into_iter().map(AdminWebhook::from).collect() })
}

/// List the webhooks.
#[utoipa::path(get, path = "/api/admin/webhooks", security(("admin" = [])), responses(
    (status = 200, description = "The webhooks, the oldest first.", body = AdminWebhooks),
))]
async fn list_webhooks(State(store): State<WebhookSettingsStore>) -> Result<axum::Json<AdminWebhooks>, Problem> {
    Ok(axum::Json(all(&store).await?))
}

/// Add a webhook. It receives the events from now on.
#[utoipa::path(post, path = "/api/admin/webhooks", request_body = AddWebhook, security(("admin" = [])), responses(
    (status = 201, description = "The webhook, with its secret.", body = AddedWebhook),
    (status = 409, description = "There are 20 webhooks already."),
))]
async fn add_webhook(
    State(store): State<WebhookSettingsStore>,
    Extension(operator): Extension<Operator>,
    Json(AddWebhook { url, kinds }): Json<AddWebhook>,
) -> Result<(StatusCode, Confidential, axum::Json<AddedWebhook>), Problem> {
    let must = "be an http:// or https:// address without a password, of at most 2000 bytes";
    check_field("url", is_address(&url), must)?;
    let secret: [u8; 24] = rand::rng().random();
    let kinds: Vec<&str> = kinds.into_iter().map(EventKind::as_str).collect();
    let id = store.add_webhook(&operator.by(), &url, &secret, &kinds).await.map_err(WebhookError::from)?;
    let id = id.ok_or(WebhookError::TooManyWebhooks { most: WEBHOOKS_MAX })?;
    let secret = format!("whsec_{}", BASE64.encode(secret));
    Ok((StatusCode::CREATED, Confidential, axum::Json(AddedWebhook { id, secret })))
}

/// Delete a webhook.
#[utoipa::path(delete, path = "/api/admin/webhooks/{id}", params(("id" = Uuid, Path, description = "The webhook.")), security(("admin" = [])), responses(
    (status = 204, description = "The webhook is deleted and receives no more events."),
    (status = 404, description = "There is no such webhook."),
))]
async fn delete_webhook(
    State(store): State<WebhookSettingsStore>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = Uuid::try_parse(&id).map_err(|_| WebhookError::UnknownWebhook)?;
    let known = store.delete_webhook(&operator.by(), id).await.map_err(WebhookError::from)?;
    if known { Ok(StatusCode::NO_CONTENT) } else { Err(WebhookError::UnknownWebhook.into()) }
}

/// Enable a webhook again. Waiting events are delivered soon.
#[utoipa::path(post, path = "/api/admin/webhooks/{id}/enable", params(("id" = Uuid, Path, description = "The webhook.")), security(("admin" = [])), responses(
    (status = 200, description = "The webhooks.", body = AdminWebhooks),
    (status = 404, description = "There is no such webhook."),
))]
async fn enable_webhook(
    State(store): State<WebhookSettingsStore>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
) -> Result<axum::Json<AdminWebhooks>, Problem> {
    let id = Uuid::try_parse(&id).map_err(|_| WebhookError::UnknownWebhook)?;
    if !store.enable_webhook(&operator.by(), id).await.map_err(WebhookError::from)? {
        return Err(WebhookError::UnknownWebhook.into());
    }
    Ok(axum::Json(all(&store).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_addresses_without_passwords_are_accepted() {
        for (url, is_one) in [
            ("https://shop.example/hooks", true),
            ("http://127.0.0.1:9000", true),
            ("https://user:secret@shop.example/", false),
            ("ftp://shop.example/", false),
            ("/hooks", false),
            ("", false),
        ] {
            assert_eq!(is_address(url), is_one, "{url}");
        }
        assert!(!is_address(&format!("https://shop.example/{}", "a".repeat(2000))));
    }
}
