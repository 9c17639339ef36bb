//! The layers that authenticate and authorise requests of the admin API.

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};
use fairline_server::Problem;

use super::{error::AdminAuthError, operator::Operator, role::Role, service::Auth};

/// Authenticates requests and rejects others. Viewers may read, operators may change.
pub(crate) async fn signed_in(State(auth): State<Auth>, mut request: Request, next: Next) -> Result<Response, Problem> {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let given = auth.given(request.headers()).ok_or(AdminAuthError::NoToken)?;
    let operator = auth.authenticate(given, changes).await?;
    // Any operator may end their own session and change their own password.
    let is_own = request.uri().path().starts_with("/api/admin/session");
    if changes && !is_own && operator.role < Role::Operator {
        return Err(AdminAuthError::Role { needed: Role::Operator.as_str() }.into());
    }
    request.extensions_mut().insert(operator);
    Ok(next.run(request).await)
}

/// Rejects callers who are not owners.
pub(crate) async fn owners_only(request: Request, next: Next) -> Result<Response, Problem> {
    match request.extensions().get::<Operator>() {
        Some(operator) if operator.role >= Role::Owner => Ok(next.run(request).await),
        _ => Err(AdminAuthError::Role { needed: Role::Owner.as_str() }.into()),
    }
}
