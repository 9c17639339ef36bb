//! The HTTP route that redeems an admission token.

use std::{num::NonZeroU16, sync::Arc};

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use fairline_server::{Json, Path, Problem};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth::{caller::ShopperIdentity, extract::BearerToken},
    http::NO_STORE,
    orders::order::Order,
    redemption::service::Redemptions,
};

/// The route that takes units.
pub(crate) fn purchasing() -> OpenApiRouter<Arc<Redemptions>> {
    OpenApiRouter::new().routes(routes!(purchase))
}

/// A purchase.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Purchase {
    /// Units, up to the quantity of the admission.
    #[schema(value_type = u16, minimum = 1)]
    quantity: NonZeroU16,
}

/// Redeem an admission token: its units are held until they are paid for or the hold expires.
#[utoipa::path(post, path = "/api/flash-sales/{id}/purchase", request_body = Purchase,
    params(("id" = String, Path, description = "The sale.")),
    security(("admission" = [])), responses(
    (status = 201, description = "The units are held.", body = Order),
    (status = 401, description = "No token, or it is not genuine or belongs to another shopper; or the sale is for accounts, and the client is not \
        signed in."),
    (status = 403, description = "The token is for another sale, or the request comes from another site's page."),
    (status = 404, description = "There is no such sale."),
    (status = 409, description = "The token was used before (`order` contains its order), or the sale is not open."),
    (status = 410, description = "The token has expired."),
    (status = 422, description = "A field is wrong, or the quantity exceeds the promise or the limit of the account or of \
        the shopper (`shopper-over-limit`: `left` has the rest)."),
    (status = 503, description = "The database does not respond; nothing was lost."),
))]
async fn purchase(
    State(redemptions): State<Arc<Redemptions>>,
    (Path(sale), BearerToken(token)): (Path<String>, BearerToken),
    shopper: ShopperIdentity,
    Json(Purchase { quantity }): Json<Purchase>,
) -> Result<impl IntoResponse, Problem> {
    let order = redemptions.purchase(&sale, &token, &shopper, quantity).await?;
    Ok((StatusCode::CREATED, NO_STORE, axum::Json(order)))
}
