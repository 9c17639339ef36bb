//! The routes of operators and of enrolment.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_idempotency::Confidential;
use fairline_server::{Json, Path, Problem};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::OperatorNotFound,
    responses::{AddedOperator, AdminOperator, AdminOperators, Enrolled, EnrolmentCode, TotpSecret},
    service::Operators,
};
use crate::{
    admin_api::AdminState,
    auth::{operator::Operator, role::Role},
};

/// The routes for owners.
pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .routes(routes!(list_operators, add_operator))
        .routes(routes!(change_operator, remove_operator))
        .routes(routes!(renew_totp))
        .routes(routes!(renew_enrolment))
}

/// The routes of enrolment, for an operator with a code.
pub(in crate::admin_api) fn open_routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(enrol))
}

/// A new operator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddOperator {
    /// Lower-case letters, digits, and `._@-`; at most 63.
    name: String,
    role: Role,
    /// At least 12 characters. Without a password, the response contains an enrolment code. The
    /// operator chooses the password with it, and is the only one who sees the secret of the
    /// authenticator app.
    password: Option<String>,
}

/// The changes of an operator. Fields that are left out stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeOperator {
    role: Option<Role>,
    /// A new password of at least 12 characters. The operator's sessions end.
    password: Option<String>,
}

/// An operator who enrols.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnrolRequest {
    code: String,
    /// At least 12 characters.
    password: String,
}

/// List the operators.
#[utoipa::path(get, path = "/api/admin/operators", security(("admin" = [])), responses(
    (status = 200, description = "The operators.", body = AdminOperators),
))]
async fn list_operators(State(operators): State<Operators>) -> Result<axum::Json<AdminOperators>, Problem> {
    Ok(axum::Json(operators.list_operators().await?))
}

/// Add an operator. The first is added with the admin token.
#[utoipa::path(post, path = "/api/admin/operators", request_body = AddOperator, security(("admin" = [])), responses(
    (status = 201, description = "The operator, and the secret for the authenticator app, or the enrolment code.", body = AddedOperator),
    (status = 409, description = "The name is taken, or there are 200 already."),
))]
async fn add_operator(
    State(operators): State<Operators>,
    Extension(operator): Extension<Operator>,
    Json(AddOperator { name, role, password }): Json<AddOperator>,
) -> Result<(StatusCode, Confidential, axum::Json<AddedOperator>), Problem> {
    let added = operators.add_operator(&operator.by(), &name, role, password).await?;
    Ok((StatusCode::CREATED, Confidential, axum::Json(added)))
}

/// Create a new enrolment code for an operator who has lost the first one, the password or the app.
/// When it is used, the operator's sessions end.
#[utoipa::path(post, path = "/api/admin/operators/{name}/enrolment", params(("name" = String, Path, description = "The operator's name.")), security(("admin" = [])), responses(
    (status = 200, description = "The code.", body = EnrolmentCode),
    OperatorNotFound,
))]
async fn renew_enrolment(
    State(operators): State<Operators>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
) -> Result<(Confidential, axum::Json<EnrolmentCode>), Problem> {
    Ok((Confidential, axum::Json(operators.renew_enrolment(&operator.by(), &name).await?)))
}

/// Enrol: choose a password with the code from an owner, and receive the secret for the
/// authenticator app.
#[utoipa::path(post, path = "/api/admin/enrolment", request_body = EnrolRequest, responses(
    (status = 200, description = "The secret for the authenticator app, shown only once. Sign in with it.", body = Enrolled),
    (status = 401, description = "The code is unknown, was used or has expired."),
    (status = 422, description = "The password is too short."),
    (status = 503, description = "Too many operators enrol or sign in at this moment."),
))]
async fn enrol(
    State(operators): State<Operators>,
    Json(EnrolRequest { code, password }): Json<EnrolRequest>,
) -> Result<axum::Json<Enrolled>, Problem> {
    Ok(axum::Json(operators.enrol(&code, password).await?))
}

/// Change an operator's role or password.
#[utoipa::path(patch, path = "/api/admin/operators/{name}", params(("name" = String, Path, description = "The operator's name.")), request_body = ChangeOperator,
    security(("admin" = [])), responses(
    (status = 200, description = "The operator.", body = AdminOperator),
    OperatorNotFound,
    (status = 422, description = "The password is too short."),
))]
async fn change_operator(
    State(operators): State<Operators>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Json(ChangeOperator { role, password }): Json<ChangeOperator>,
) -> Result<axum::Json<AdminOperator>, Problem> {
    Ok(axum::Json(operators.change_operator(&operator.by(), &name, role, password).await?))
}

/// Create a new secret for an operator who has lost the authenticator app. The operator's sessions
/// end.
#[utoipa::path(post, path = "/api/admin/operators/{name}/totp", params(("name" = String, Path, description = "The operator's name.")), security(("admin" = [])), responses(
    (status = 200, description = "The secret for the authenticator app.", body = TotpSecret),
    OperatorNotFound,
))]
async fn renew_totp(
    State(operators): State<Operators>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
) -> Result<(Confidential, axum::Json<TotpSecret>), Problem> {
    Ok((Confidential, axum::Json(operators.renew_totp(&operator.by(), &name).await?)))
}

/// Remove an operator. The audit log keeps the operator's entries.
#[utoipa::path(delete, path = "/api/admin/operators/{name}", params(("name" = String, Path, description = "The operator's name.")), security(("admin" = [])), responses(
    (status = 204, description = "The operator is removed."),
    OperatorNotFound,
))]
async fn remove_operator(
    State(operators): State<Operators>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    operators.remove_operator(&operator.by(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
