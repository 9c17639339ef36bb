//! Webhooks: who is told over HTTP what happens, and how that goes.

use axum::{
    Extension,
    extract::State,
    http::{StatusCode, Uri},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use fairline_events::Kind;
use fairline_idempotency::Confidential;
use fairline_server::{Json, Path, Problem, ProblemBody};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{Admin, sessions::Operator};
use crate::{problem::AdminError, store::WebhookRow};

const URL_BYTES_MAX: usize = 2000;

pub(super) fn routes() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(add_webhook)).routes(routes!(delete_webhook)).routes(routes!(switch_on_webhook))
}

/// What everybody may see of them.
pub(super) fn seen_routes() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(list_webhooks))
}

/// A new webhook.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddWebhook {
    /// Where to send events: an http:// or https:// address.
    #[schema(example = "https://shop.example/hooks/fairline")]
    url: String,
    /// The kinds of events to send; none: all.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["PurchaseCompleted"]))]
    kinds: Vec<Kind>,
}

/// Whether a webhook receives events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WebhookStatus {
    /// It is.
    On,
    /// It is, but nothing has come through of late.
    Failing,
    /// It was switched off: nothing has come through for days, or it said that it is gone.
    Off,
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
struct AdminWebhook {
    id: Uuid,
    url: String,
    /// The kinds of events that it hears of; none: all.
    kinds: Vec<String>,
    status: WebhookStatus,
    /// Since when nothing has come through.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    failing_since: Option<OffsetDateTime>,
    /// Why.
    #[schema(required)]
    last_error: Option<String>,
    /// Events that wait for delivery, or for another attempt.
    waiting: i64,
    /// Events of the last week that were told.
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
    /// What its messages are signed with, as Standard Webhooks has it. It is not shown again.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: String,
}

impl From<WebhookRow> for AdminWebhook {
    fn from(row: WebhookRow) -> Self {
        let status = match (row.off_at, row.failing_since) {
            (Some(_), _) => WebhookStatus::Off,
            (None, Some(_)) => WebhookStatus::Failing,
            (None, None) => WebhookStatus::On,
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

/// Whether something may be sent there. Passwords do not belong into addresses: those are shown.
fn is_address(url: &str) -> bool {
    url.len() <= URL_BYTES_MAX
        && url.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        })
}

impl Admin {
    async fn list_webhooks(&self) -> Result<AdminWebhooks, AdminError> {
        let rows = self.store.webhooks().await?;
        Ok(AdminWebhooks { webhooks: rows.into_iter().map(AdminWebhook::from).collect() })
    }
}

/// Webhooks.
#[utoipa::path(get, path = "/api/admin/webhooks", security(("admin" = [])), responses(
    (status = 200, description = "The webhooks, the oldest first.", body = AdminWebhooks),
    (status = 401, description = "No admin token, or a wrong one.", body = ProblemBody),
))]
async fn list_webhooks(State(admin): State<Admin>) -> Result<axum::Json<AdminWebhooks>, Problem> {
    Ok(axum::Json(admin.list_webhooks().await?))
}

/// Add a webhook. It hears of what happens from now on.
#[utoipa::path(post, path = "/api/admin/webhooks", request_body = AddWebhook, security(("admin" = [])), responses(
    (status = 201, description = "The webhook, with its secret.", body = AddedWebhook),
    (status = 401, description = "No admin token, or a wrong one.", body = ProblemBody),
    (status = 409, description = "There are as many webhooks as there may be.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
))]
async fn add_webhook(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Json(AddWebhook { url, kinds }): Json<AddWebhook>,
) -> Result<(StatusCode, Confidential, axum::Json<AddedWebhook>), Problem> {
    if !is_address(&url) {
        let must = "be an http:// or https:// address without a password, of at most 2000 bytes";
        return Err(AdminError::WrongField { field: "url", must }.into());
    }
    let secret: [u8; 24] = rand::rng().random();
    let kinds: Vec<&str> = kinds.into_iter().map(Kind::word).collect();
    let id = admin.store.add_webhook(&operator.by(), &url, &secret, &kinds).await.map_err(AdminError::from)?;
    let id = id.ok_or(AdminError::TooManyWebhooks)?;
    let secret = format!("whsec_{}", BASE64.encode(secret));
    Ok((StatusCode::CREATED, Confidential, axum::Json(AddedWebhook { id, secret })))
}

/// Forget a webhook.
#[utoipa::path(delete, path = "/api/admin/webhooks/{id}", params(("id" = Uuid, Path)), security(("admin" = [])), responses(
    (status = 204, description = "The webhook is deleted and receives no more events."),
    (status = 401, description = "No admin token, or a wrong one.", body = ProblemBody),
    (status = 404, description = "There is no such webhook.", body = ProblemBody),
))]
async fn delete_webhook(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = Uuid::try_parse(&id).map_err(|_| AdminError::UnknownWebhook)?;
    let known = admin.store.delete_webhook(&operator.by(), id).await.map_err(AdminError::from)?;
    if known { Ok(StatusCode::NO_CONTENT) } else { Err(AdminError::UnknownWebhook.into()) }
}

/// Enable a webhook again. Waiting events are delivered soon.
#[utoipa::path(post, path = "/api/admin/webhooks/{id}/on", params(("id" = Uuid, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The webhooks.", body = AdminWebhooks),
    (status = 401, description = "No admin token, or a wrong one.", body = ProblemBody),
    (status = 404, description = "There is no such webhook.", body = ProblemBody),
))]
async fn switch_on_webhook(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
) -> Result<axum::Json<AdminWebhooks>, Problem> {
    let id = Uuid::try_parse(&id).map_err(|_| AdminError::UnknownWebhook)?;
    if !admin.store.switch_on_webhook(&operator.by(), id).await.map_err(AdminError::from)? {
        return Err(AdminError::UnknownWebhook.into());
    }
    Ok(axum::Json(admin.list_webhooks().await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_where_something_can_be_sent() {
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
