//! The routes of operators and of enrolment.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_idempotency::Confidential;
use fairline_server::{Json, Path, Problem};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::{OperatorError, UnknownOperator},
    store::{NewOperator, OPERATORS_MAX, OperatorStore},
};
use crate::{
    admin_api::AdminState,
    auth::{
        credentials::{Codes, NewEnrolmentCode, is_name, secret_text},
        operator::Operator,
        password_queue::hash,
        role::Role,
        service::Auth,
        store::{OperatorChange, OperatorRow},
    },
    error::check_field,
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

/// An operator.
#[derive(Debug, Serialize, ToSchema)]
struct AdminOperator {
    name: String,
    role: Role,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// The time of the last sign-in.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    last_seen_at: Option<OffsetDateTime>,
}

impl From<OperatorRow> for AdminOperator {
    fn from(row: OperatorRow) -> Self {
        let OperatorRow { name, role, created_at, last_seen_at } = row;
        Self { name, role: Role::of(&role), created_at, last_seen_at }
    }
}

/// Operators, by name.
#[derive(Debug, Serialize, ToSchema)]
struct AdminOperators {
    operators: Vec<AdminOperator>,
}

/// A new operator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddOperator {
    /// Lower-case letters, digits, and what e-mail addresses have; at most 63.
    name: String,
    role: Role,
    /// At least 12 characters. Without one the answer has an enrolment code, with which the
    /// operator chooses a password, so that only the operator knows it and the secret of the
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

/// The secret for an operator's authenticator app. It is not shown again.
#[derive(Serialize, ToSchema)]
struct TotpSecret {
    /// The secret as base32, to be typed into the app.
    totp_secret: String,
    /// The secret as a URL, for a link or a QR code.
    totp_url: String,
}

/// A new operator, and what the operator begins with.
#[derive(Serialize, ToSchema)]
struct AddedOperator {
    operator: AdminOperator,
    #[serde(flatten)]
    proof: Proof,
}

/// The secret or the enrolment code of a new operator.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Proof {
    /// If the owner has chosen the password.
    Secret(TotpSecret),
    /// Otherwise.
    Code(EnrolmentCode),
}

/// The single-use code with which an operator enrols within three days. It is not shown again.
#[derive(Serialize, ToSchema)]
struct EnrolmentCode {
    enrolment_code: String,
}

/// An operator who enrols.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enrol {
    code: String,
    /// At least 12 characters.
    password: String,
}

/// An enrolled operator, who can sign in now.
#[derive(Serialize, ToSchema)]
struct Enrolled {
    name: String,
    role: Role,
    #[serde(flatten)]
    secret: TotpSecret,
}

fn totp_secret(name: &str, secret: &[u8]) -> TotpSecret {
    TotpSecret { totp_secret: secret_text(secret), totp_url: Codes::of(name, secret).url() }
}

/// List the operators.
#[utoipa::path(get, path = "/api/admin/operators", security(("admin" = [])), responses(
    (status = 200, description = "The operators.", body = AdminOperators),
))]
async fn list_operators(State(store): State<OperatorStore>) -> Result<axum::Json<AdminOperators>, Problem> {
    let operators = store.operators().await.map_err(OperatorError::from)?;
    Ok(axum::Json(AdminOperators { operators: operators.into_iter().map(AdminOperator::from).collect() }))
}

/// Add an operator. The first is added with the admin token.
#[utoipa::path(post, path = "/api/admin/operators", request_body = AddOperator, security(("admin" = [])), responses(
    (status = 201, description = "The operator, and the secret for the authenticator app, or the enrolment code.", body = AddedOperator),
    (status = 409, description = "The name is taken, or there are 200 already."),
))]
async fn add_operator(
    State(store): State<OperatorStore>,
    Extension(operator): Extension<Operator>,
    Json(new): Json<AddOperator>,
) -> Result<(StatusCode, Confidential, axum::Json<AddedOperator>), Problem> {
    check_field("name", is_name(&new.name), "be 1 to 63 lower-case letters, digits, dots, underscores, hyphens or @")?;
    let secret: [u8; 20] = rand::random();
    let code = NewEnrolmentCode::new(rand::random());
    let (password, enrols, proof) = match new.password {
        Some(password) => (hash("password", password).await?, None, Proof::Secret(totp_secret(&new.name, &secret))),
        // Until the operator enrols, the password is random and unknown.
        None => {
            let unknown = hash("password", NewEnrolmentCode::new(rand::random()).shown().to_owned()).await?;
            let shown = EnrolmentCode { enrolment_code: code.shown().to_owned() };
            (unknown, Some(code.digest()), Proof::Code(shown))
        }
    };
    let row = NewOperator { name: &new.name, role: new.role, password: &password, totp_secret: &secret, enrols };
    let added = store.add_operator(&operator.by(), &row).await.map_err(OperatorError::from)?;
    let operator = added.ok_or(OperatorError::TooManyOperators { most: OPERATORS_MAX })?.into();
    Ok((StatusCode::CREATED, Confidential, axum::Json(AddedOperator { operator, proof })))
}

/// Create a new enrolment code for an operator who has lost the first one, the password or the app.
/// When it is used, the operator's sessions end.
#[utoipa::path(post, path = "/api/admin/operators/{name}/enrolment", params(("name" = String, Path, description = "The operator's name.")), security(("admin" = [])), responses(
    (status = 200, description = "The code.", body = EnrolmentCode),
    UnknownOperator,
))]
async fn renew_enrolment(
    State(store): State<OperatorStore>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
) -> Result<(Confidential, axum::Json<EnrolmentCode>), Problem> {
    let code = NewEnrolmentCode::new(rand::random());
    let is_known = store.renew_enrolment(&operator.by(), &name, code.digest()).await.map_err(OperatorError::from)?;
    if !is_known {
        return Err(OperatorError::UnknownOperator.into());
    }
    Ok((Confidential, axum::Json(EnrolmentCode { enrolment_code: code.shown().to_owned() })))
}

/// Enrol: choose a password with the code from an owner, and receive the secret for the
/// authenticator app.
#[utoipa::path(post, path = "/api/admin/enrolment", request_body = Enrol, responses(
    (status = 200, description = "The secret for the authenticator app, shown only once. Sign in with it.", body = Enrolled),
    (status = 401, description = "The code is unknown, was used or has expired."),
    (status = 422, description = "The password is too short."),
    (status = 503, description = "Too many operators enrol or sign in at this moment."),
))]
async fn enrol(
    State(store): State<OperatorStore>,
    Json(Enrol { code, password }): Json<Enrol>,
) -> Result<axum::Json<Enrolled>, Problem> {
    let digest = NewEnrolmentCode::from_shown(&code).digest();
    // The cheap check comes before the password is hashed.
    if !store.is_enrolment(digest).await.map_err(OperatorError::from)? {
        return Err(OperatorError::WrongEnrolment.into());
    }
    let password = hash("password", password).await?;
    let secret: [u8; 20] = rand::random();
    let enrolled = store.enrol(digest, &password, &secret).await.map_err(OperatorError::from)?;
    let (name, role) = enrolled.ok_or(OperatorError::WrongEnrolment)?;
    Ok(axum::Json(Enrolled { role: Role::of(&role), secret: totp_secret(&name, &secret), name }))
}

/// Change an operator's role or password.
#[utoipa::path(patch, path = "/api/admin/operators/{name}", params(("name" = String, Path, description = "The operator's name.")), request_body = ChangeOperator,
    security(("admin" = [])), responses(
    (status = 200, description = "The operator.", body = AdminOperator),
    UnknownOperator,
    (status = 422, description = "The password is too short."),
))]
async fn change_operator(
    State(auth): State<Auth>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Json(change): Json<ChangeOperator>,
) -> Result<axum::Json<AdminOperator>, Problem> {
    let password = match change.password {
        Some(password) => Some(hash("password", password).await?),
        None => None,
    };
    let change = OperatorChange { role: change.role, password: password.as_deref(), totp_secret: None };
    let changed = auth.store.change_operator(&operator.by(), "change_operator", &name, &change).await;
    Ok(axum::Json(changed.map_err(OperatorError::from)?.ok_or(OperatorError::UnknownOperator)?.into()))
}

/// Create a new secret for an operator who has lost the authenticator app. The operator's sessions
/// end.
#[utoipa::path(post, path = "/api/admin/operators/{name}/totp", params(("name" = String, Path, description = "The operator's name.")), security(("admin" = [])), responses(
    (status = 200, description = "The secret for the authenticator app.", body = TotpSecret),
    UnknownOperator,
))]
async fn renew_totp(
    State(auth): State<Auth>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
) -> Result<(Confidential, axum::Json<TotpSecret>), Problem> {
    let secret: [u8; 20] = rand::random();
    let change = OperatorChange { totp_secret: Some(&secret), ..OperatorChange::default() };
    let changed = auth.store.change_operator(&operator.by(), "renew_totp", &name, &change).await;
    changed.map_err(OperatorError::from)?.ok_or(OperatorError::UnknownOperator)?;
    Ok((Confidential, axum::Json(totp_secret(&name, &secret))))
}

/// Remove an operator. The audit log keeps the operator's entries.
#[utoipa::path(delete, path = "/api/admin/operators/{name}", params(("name" = String, Path, description = "The operator's name.")), security(("admin" = [])), responses(
    (status = 204, description = "The operator is removed."),
    UnknownOperator,
))]
async fn remove_operator(
    State(store): State<OperatorStore>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let is_gone = store.remove_operator(&operator.by(), &name).await.map_err(OperatorError::from)?;
    if is_gone { Ok(StatusCode::NO_CONTENT) } else { Err(OperatorError::UnknownOperator.into()) }
}
