//! The routes of webhooks.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_events::EventKind;
use fairline_idempotency::Confidential;
use fairline_server::{Json, Path, Problem};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{service::WebhookSettings, store::WebhookRow};
use crate::{admin_api::AdminState, auth::operator::Operator};

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
    /// It was disabled: deliveries have failed for three days, or the receiver returned 410 Gone.
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
    /// Events that wait for delivery, or for another attempt: up to 500 are counted.
    waiting: i64,
    /// Events of the last week that were delivered: up to 500 are counted.
    delivered: i64,
    /// Events of the last week that were given up: up to 500 are counted.
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

fn shown(rows: Vec<WebhookRow>) -> axum::Json<AdminWebhooks> {
    axum::Json(AdminWebhooks { webhooks: rows.into_iter().map(AdminWebhook::from).collect() })
}

/// List the webhooks.
#[utoipa::path(get, path = "/api/admin/webhooks", security(("admin" = [])), responses(
    (status = 200, description = "The webhooks, the oldest first.", body = AdminWebhooks),
))]
async fn list_webhooks(State(webhooks): State<WebhookSettings>) -> Result<axum::Json<AdminWebhooks>, Problem> {
    Ok(shown(webhooks.list_webhooks().await?))
}

/// Add a webhook. It receives the events from now on.
#[utoipa::path(post, path = "/api/admin/webhooks", request_body = AddWebhook, security(("admin" = [])), responses(
    (status = 201, description = "The webhook, with its secret.", body = AddedWebhook),
    (status = 409, description = "There are 20 webhooks already."),
))]
async fn add_webhook(
    State(webhooks): State<WebhookSettings>,
    Extension(operator): Extension<Operator>,
    Json(AddWebhook { url, kinds }): Json<AddWebhook>,
) -> Result<(StatusCode, Confidential, axum::Json<AddedWebhook>), Problem> {
    let (id, secret) = webhooks.add_webhook(&operator.by(), &url, kinds).await?;
    Ok((StatusCode::CREATED, Confidential, axum::Json(AddedWebhook { id, secret })))
}

/// Delete a webhook.
#[utoipa::path(delete, path = "/api/admin/webhooks/{id}", params(("id" = Uuid, Path, description = "The webhook.")), security(("admin" = [])), responses(
    (status = 204, description = "The webhook is deleted and receives no more events."),
    (status = 404, description = "There is no such webhook."),
))]
async fn delete_webhook(
    State(webhooks): State<WebhookSettings>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    webhooks.delete_webhook(&operator.by(), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Enable a webhook again. Waiting events are delivered soon.
#[utoipa::path(post, path = "/api/admin/webhooks/{id}/enable", params(("id" = Uuid, Path, description = "The webhook.")), security(("admin" = [])), responses(
    (status = 200, description = "The webhooks.", body = AdminWebhooks),
    (status = 404, description = "There is no such webhook."),
))]
async fn enable_webhook(
    State(webhooks): State<WebhookSettings>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
) -> Result<axum::Json<AdminWebhooks>, Problem> {
    Ok(shown(webhooks.enable_webhook(&operator.by(), &id).await?))
}
