//! The route of what a sale offers.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use fairline_server::{Path, Problem};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::service::{OfferedItems, Offers};
use crate::public_api::entity_tag::is_named;

pub(crate) fn routes(offers: Offers) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(sale_items)).with_state(offers)
}

/// Read what a sale offers: names, prices and images, but not what is left.
#[utoipa::path(get, path = "/api/flash-sales/{id}/items", params(("id" = String, Path, description = "The sale, or its lane.")), responses(
    (status = 200, description = "The items. May be cached for a minute.", body = OfferedItems),
    (status = 304, description = "The items have the entity tag that the caller has."),
    (status = 404, description = "There is no such sale."),
))]
async fn sale_items(
    State(offers): State<Offers>,
    Path(sale): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let offer = offers.of(&sale).await?;
    let cached = [(header::CACHE_CONTROL, "public, max-age=60".to_owned()), (header::ETAG, offer.entity_tag.clone())];
    if is_named(&headers, &offer.entity_tag) {
        return Ok((StatusCode::NOT_MODIFIED, cached).into_response());
    }
    Ok((cached, [(header::CONTENT_TYPE, "application/json")], offer.json.clone()).into_response())
}
