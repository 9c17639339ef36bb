//! The admin API: the routes under `/api/admin`, a folder for each feature.
//!
//! Within a feature, routes call the service, and the service calls the store. Each handler takes
//! its feature's part of [`AdminState`].
//!
//! A feature may call other features, `controller`, `auth` and the crowds of rehearsals in `jobs`.
//! Every route needs a signed-in caller, except sign-in and enrolment.

pub(crate) mod audit;
pub(crate) mod banners;
mod csv;
pub(crate) mod items;
pub(crate) mod keys;
pub(crate) mod lanes;
pub(crate) mod live;
pub(crate) mod media;
pub(crate) mod operators;
pub(crate) mod orders;
pub(crate) mod product_csv;
pub(crate) mod products;
pub(crate) mod rehearsals;
pub(crate) mod reports;
pub(crate) mod sales;
mod state;
pub(crate) mod table;
pub(crate) mod ticket_actions;
pub(crate) mod tokens;
pub(crate) mod webhooks;

use axum::{
    extract::FromRef as _,
    http::request::Parts,
    middleware::{from_fn, from_fn_with_state},
};
use fairline_idempotency::Idempotency;
use fairline_server::{Shutdown, list_problem, operations};
use utoipa_axum::router::OpenApiRouter;

pub(crate) use self::state::AdminState;
use crate::auth::{self, middleware, operator::Operator, service::Auth};

/// The routes, for callers who are signed in. A `POST` with an `Idempotency-Key` is executed once.
pub(crate) fn routes(state: AdminState, shutdown: &Shutdown) -> OpenApiRouter {
    let auth = Auth::from_ref(&state);
    // The layer of authentication is outside: every caller has a name here.
    let idempotency_scope = |parts: &Parts| {
        let operator = parts.extensions.get::<Operator>();
        operator.map(|operator| operator.name.as_bytes().to_vec()).into_iter().collect()
    };
    let idempotency = Idempotency::new(state.database.pool.clone(), idempotency_scope, shutdown)
        .with_body_bytes_max(products::fields::PRODUCT_BYTES_MAX);
    let owners = OpenApiRouter::new()
        .merge(keys::routes::owner_routes())
        .merge(operators::routes::routes())
        .merge(tokens::routes::routes())
        .merge(webhooks::routes::owner_routes());
    // The role is checked first: a former owner must not receive a stored response.
    let mut owners = idempotency.clone().before(owners).route_layer(from_fn(middleware::owners_only));
    for (_, operation) in operations(owners.get_openapi_mut()) {
        list_problem(operation, "403", "The caller is not an owner.");
    }
    let others = OpenApiRouter::new()
        .merge(sales::routes::routes())
        .merge(audit::routes::routes())
        .merge(banners::routes::routes())
        .merge(items::routes::routes())
        .merge(lanes::routes::routes())
        .merge(live::routes::routes())
        .merge(orders::routes::routes())
        .merge(products::routes::routes())
        .merge(rehearsals::routes::routes())
        .merge(reports::routes::routes())
        .merge(auth::routes::routes().with_state(auth.clone()))
        .merge(ticket_actions::routes::routes())
        .merge(keys::routes::routes())
        .merge(webhooks::routes::routes());
    idempotency
        .before(others)
        .merge(media::routes::routes())
        .merge(product_csv::routes::routes())
        .merge(items::routes::table_routes())
        .merge(owners)
        .route_layer(from_fn_with_state(auth.clone(), middleware::signed_in))
        .merge(operators::routes::open_routes())
        .merge(auth::routes::open_routes().with_state(auth))
        .with_state(state)
}
