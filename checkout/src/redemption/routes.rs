//! The HTTP route that redeems an admission token.

use std::{num::NonZeroU16, sync::Arc};

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use fairline_server::{Json, Path, Problem, ProblemBody};
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
    params(("id" = String, Path, description = "The sale."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats the stored response of the same key for 24 hours.")),
    security(("admission" = [])), responses(
    (status = 201, description = "The units are held.", body = Order),
    (status = 400, description = "The Idempotency-Key is invalid.", body = ProblemBody),
    (status = 401, description = "No token, or it is not genuine or belongs to another shopper; or the sale is for accounts, and the client is not \
        signed in.", body = ProblemBody),
    (status = 403, description = "The token is for another sale, or the request comes from another site's page.", body = ProblemBody),
    (status = 404, description = "There is no such sale.", body = ProblemBody),
    (status = 409, description = "The token was used before (`order` contains its order), or the sale is not open; or the first \
        request with this Idempotency-Key is still being processed.", body = ProblemBody),
    (status = 410, description = "The token has expired.", body = ProblemBody),
    (status = 413, description = "The body is too large.", body = ProblemBody),
    (status = 415, description = "The Content-Type is not JSON.", body = ProblemBody),
    (status = 422, description = "A field is wrong, or the quantity exceeds the promise or the limit of the account or of \
        the shopper (`shopper-over-limit`: `left` has the rest); or the Idempotency-Key was used \
        with another body before.", body = ProblemBody),
    (status = 429, description = "Too many requests from this address.", body = ProblemBody),
    (status = 503, description = "The database does not answer; nothing was lost.", body = ProblemBody),
))]
async fn purchase(
    State(redemptions): State<Arc<Redemptions>>,
    Path(sale): Path<String>,
    BearerToken(token): BearerToken,
    shopper: ShopperIdentity,
    Json(Purchase { quantity }): Json<Purchase>,
) -> Result<impl IntoResponse, Problem> {
    let order = redemptions.purchase(&sale, &token, &shopper, quantity).await?;
    Ok((StatusCode::CREATED, NO_STORE, axum::Json(order)))
}
