//! The routes of live updates and of samples.

use axum::{
    Extension,
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::HeaderMap,
    response::Response,
};
use fairline_sale::SaleId;
use fairline_server::{Path, Problem, Query};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{connection::ConsoleConnection, error::LiveError, service::Live, update::Sample};
use crate::{admin_api::AdminState, auth::operator::Operator, error::SaleNotFound};

/// Browsers send nothing but pongs.
const RECEIVED_BYTES_MAX: usize = 1024;

pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(samples))
}

/// Samples of a sale, the oldest first. While nothing changes, there is one every ten seconds.
#[derive(Debug, Serialize, ToSchema)]
struct Samples {
    samples: Vec<Sample>,
}

/// Selects samples.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SamplesQuery {
    /// Only samples after this time.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[param(value_type = Option<String>)]
    after: Option<OffsetDateTime>,
}

/// Selects what is shown.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LiveQuery {
    /// One sale; all by default.
    sale: Option<SaleId>,
}

/// List the samples of a sale: at most 2,000, thinned out evenly if there are more.
#[utoipa::path(get, path = "/api/admin/sales/{id}/samples", params(("id" = String, Path, description = "The sale."), SamplesQuery), security(("admin" = [])), responses(
    (status = 200, description = "The samples.", body = Samples),
    SaleNotFound,
))]
async fn samples(
    State(live): State<Live>,
    Path(id): Path<String>,
    Query(after): Query<SamplesQuery>,
) -> Result<axum::Json<Samples>, Problem> {
    let sale = live.sales.find(&id).await?.row.sale();
    let samples = live.samples(sale, after.after.unwrap_or(OffsetDateTime::UNIX_EPOCH)).await?;
    Ok(axum::Json(Samples { samples }))
}

/// Open a WebSocket with live updates, as JSON: `{"type":"sales"}` whenever a sale changes; of one
/// sale, `{"type":"stage"}` first (whether it can be rehearsed here), `{"type":"sale"}`,
/// `{"type":"samples"}` with the new ones, and `{"type":"rehearsal"}`. After five seconds without a
/// change, `{"type":"heartbeat"}`: a client that receives nothing for much longer shows that its
/// data may be outdated.
#[utoipa::path(get, path = "/api/admin/live", params(LiveQuery), security(("admin" = [])), responses(
    (status = 101, description = "The WebSocket is open. It is closed with 4401 when the session ends."),
    (status = 403, description = "The page belongs to another site."),
    SaleNotFound,
    (status = 503, description = "Fifty consoles are connected to this controller already."),
))]
async fn live(
    State(live): State<Live>,
    (Extension(operator), Query(subject)): (Extension<Operator>, Query<LiveQuery>),
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejected| LiveError::NotAWebSocket { why: rejected.body_text() })?;
    // Browsers send the cookie with WebSockets that pages of other sites open, together with the
    // page's origin.
    if live.origins.is_foreign(&headers) {
        return Err(LiveError::OtherOrigin.into());
    }
    if let Some(sale) = subject.sale {
        live.sales.find(&sale.to_string()).await?;
    }
    let permit = live.consoles.connect()?;
    let shutdown = live.consoles.shutdown.clone();
    let console = ConsoleConnection { live, operator, sale: subject.sale, _permit: permit };
    let upgrade = upgrade.max_message_size(RECEIVED_BYTES_MAX).max_frame_size(RECEIVED_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let _ = shutdown.spawn(console.run(socket)).await;
    }))
}
