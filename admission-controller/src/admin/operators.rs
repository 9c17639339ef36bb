//! Operators: owners say who they are.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_idempotency::Confidential;
use fairline_server::{Json, Path, Problem, ProblemBody};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Admin, field,
    sessions::{Operator, keep},
};
use crate::{
    operator::{Codes, EnrolmentCode as Code, Role, is_name, secret_text},
    problem::AdminError,
    store::{NewOperator, OperatorChange, OperatorRow},
};

pub(super) fn routes() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(list_operators, add_operator))
        .routes(routes!(change_operator, remove_operator))
        .routes(routes!(renew_totp))
        .routes(routes!(renew_enrolment))
}

/// The routes of enrolment, for an operator with a code.
pub(super) fn open_routes() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(enrol))
}

/// An operator.
#[derive(Debug, Serialize, ToSchema)]
struct AdminOperator {
    name: String,
    role: Role,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When they signed in for the last time.
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
    /// At least 12 characters. Without one the answer has an enrolment code, with which the operator
    /// chooses a password, so that only the operator knows it and the secret of the authenticator app.
    password: Option<String>,
}

/// What an owner changes of an operator; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeOperator {
    role: Option<Role>,
    /// Another password, for one who has forgotten it: 12 characters at least. The operator's sessions end.
    password: Option<String>,
}

/// The secret that an authenticator app makes an operator's codes of. It is not shown again.
#[derive(Serialize, ToSchema)]
struct TotpSecret {
    /// To type into the app.
    totp_secret: String,
    /// To open with it, or to show as a QR code.
    totp_url: String,
}

/// A new operator.
#[derive(Serialize, ToSchema)]
struct AddedOperator {
    operator: AdminOperator,
    #[serde(flatten)]
    proof: Proof,
}

/// What a new operator begins with.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Proof {
    /// Where the owner has chosen the password.
    Secret(TotpSecret),
    /// Else.
    Code(EnrolmentCode),
}

/// What an operator enrols with, once, within three days. It is not shown again.
#[derive(Serialize, ToSchema)]
struct EnrolmentCode {
    enrolment_code: String,
}

/// An operator who begins.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enrol {
    code: String,
    /// 12 characters at least.
    password: String,
}

/// An operator who has begun, and may sign in.
#[derive(Serialize, ToSchema)]
struct Enrolled {
    name: String,
    role: Role,
    #[serde(flatten)]
    secret: TotpSecret,
}

fn told(name: &str, secret: &[u8]) -> TotpSecret {
    TotpSecret { totp_secret: secret_text(secret), totp_url: Codes::of(name, secret).url() }
}

/// The operators.
#[utoipa::path(get, path = "/api/admin/operators", security(("admin" = [])), responses(
    (status = 200, description = "The operators.", body = AdminOperators),
    (status = 403, description = "Only owners may see them.", body = ProblemBody),
))]
async fn list_operators(State(admin): State<Admin>) -> Result<axum::Json<AdminOperators>, Problem> {
    let operators = admin.store.operators().await.map_err(AdminError::from)?;
    Ok(axum::Json(AdminOperators { operators: operators.into_iter().map(AdminOperator::from).collect() }))
}

/// Add an operator. The first is added with the admin token.
#[utoipa::path(post, path = "/api/admin/operators", request_body = AddOperator, security(("admin" = [])), responses(
    (status = 201, description = "The operator, and the secret for the authenticator app, or the code to enrol with.", body = AddedOperator),
    (status = 403, description = "Only owners may.", body = ProblemBody),
    (status = 409, description = "The name is taken, or there are 200 already.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
))]
async fn add_operator(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Json(new): Json<AddOperator>,
) -> Result<(StatusCode, Confidential, axum::Json<AddedOperator>), Problem> {
    field("name", is_name(&new.name), "be 1 to 63 lower-case letters, digits, dots, underscores, hyphens or @")?;
    let secret: [u8; 20] = rand::random();
    let code = Code::new(rand::random());
    let (password, enrols, proof) = match new.password {
        Some(password) => (keep("password", password).await?, None, Proof::Secret(told(&new.name, &secret))),
        // Until then nobody knows the password.
        None => {
            let unknown = keep("password", Code::new(rand::random()).shown().to_owned()).await?;
            let shown = EnrolmentCode { enrolment_code: code.shown().to_owned() };
            (unknown, Some(code.digest()), Proof::Code(shown))
        }
    };
    let row = NewOperator { name: &new.name, role: new.role, password: &password, totp_secret: &secret, enrols };
    let added = admin.store.add_operator(&operator.by(), &row).await.map_err(AdminError::from)?;
    let operator = added.ok_or(AdminError::TooManyOperators)?.into();
    Ok((StatusCode::CREATED, Confidential, axum::Json(AddedOperator { operator, proof })))
}

/// Give an operator another code to enrol with, who has lost the first, the password or the app. The sessions end once it is used.
#[utoipa::path(post, path = "/api/admin/operators/{name}/enrolment", params(("name" = String, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The code.", body = EnrolmentCode),
    (status = 403, description = "Only owners may.", body = ProblemBody),
    (status = 404, description = "There is no such operator.", body = ProblemBody),
))]
async fn renew_enrolment(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
) -> Result<(Confidential, axum::Json<EnrolmentCode>), Problem> {
    let code = Code::new(rand::random());
    let is_known = admin.store.renew_enrolment(&operator.by(), &name, code.digest()).await.map_err(AdminError::from)?;
    if !is_known {
        return Err(AdminError::UnknownOperator.into());
    }
    Ok((Confidential, axum::Json(EnrolmentCode { enrolment_code: code.shown().to_owned() })))
}

/// Choose a password with a code from an owner, and be given the secret of the authenticator app.
#[utoipa::path(post, path = "/api/admin/enrolment", request_body = Enrol, responses(
    (status = 200, description = "The secret for the authenticator app: this once. Sign in.", body = Enrolled),
    (status = 401, description = "There is no such code, it was used, or it has run out.", body = ProblemBody),
    (status = 422, description = "The password is too short.", body = ProblemBody),
    (status = 503, description = "Too many enrol or sign in at this moment.", body = ProblemBody),
))]
async fn enrol(
    State(admin): State<Admin>,
    Json(Enrol { code, password }): Json<Enrol>,
) -> Result<axum::Json<Enrolled>, Problem> {
    let digest = Code::from_shown(&code).digest();
    // A password costs more than a look at whether there is such a code.
    if !admin.store.is_enrolment(digest).await.map_err(AdminError::from)? {
        return Err(AdminError::WrongEnrolment.into());
    }
    let password = keep("password", password).await?;
    let secret: [u8; 20] = rand::random();
    let enrolled = admin.store.enrol(digest, &password, &secret).await.map_err(AdminError::from)?;
    let (name, role) = enrolled.ok_or(AdminError::WrongEnrolment)?;
    Ok(axum::Json(Enrolled { role: Role::of(&role), secret: told(&name, &secret), name }))
}

/// Give an operator another role, or another password.
#[utoipa::path(patch, path = "/api/admin/operators/{name}", params(("name" = String, Path)), request_body = ChangeOperator,
    security(("admin" = [])), responses(
    (status = 200, description = "The operator.", body = AdminOperator),
    (status = 403, description = "Only owners may.", body = ProblemBody),
    (status = 404, description = "There is no such operator.", body = ProblemBody),
    (status = 422, description = "The password is too short.", body = ProblemBody),
))]
async fn change_operator(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Json(change): Json<ChangeOperator>,
) -> Result<axum::Json<AdminOperator>, Problem> {
    let password = match change.password {
        Some(password) => Some(keep("password", password).await?),
        None => None,
    };
    let change = OperatorChange { role: change.role, password: password.as_deref(), totp_secret: None };
    let changed = admin.store.change_operator(&operator.by(), "change_operator", &name, &change).await;
    Ok(axum::Json(changed.map_err(AdminError::from)?.ok_or(AdminError::UnknownOperator)?.into()))
}

/// Give an operator another secret, whose app is lost. The operator's sessions end.
#[utoipa::path(post, path = "/api/admin/operators/{name}/totp", params(("name" = String, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The secret for the authenticator app.", body = TotpSecret),
    (status = 403, description = "Only owners may.", body = ProblemBody),
    (status = 404, description = "There is no such operator.", body = ProblemBody),
))]
async fn renew_totp(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
) -> Result<(Confidential, axum::Json<TotpSecret>), Problem> {
    let secret: [u8; 20] = rand::random();
    let change = OperatorChange { totp_secret: Some(&secret), ..OperatorChange::default() };
    let changed = admin.store.change_operator(&operator.by(), "renew_totp", &name, &change).await;
    changed.map_err(AdminError::from)?.ok_or(AdminError::UnknownOperator)?;
    Ok((Confidential, axum::Json(told(&name, &secret))))
}

/// Remove an operator. What they have changed stays in the audit log.
#[utoipa::path(delete, path = "/api/admin/operators/{name}", params(("name" = String, Path)), security(("admin" = [])), responses(
    (status = 204, description = "The operator is no more one."),
    (status = 403, description = "Only owners may.", body = ProblemBody),
    (status = 404, description = "There is no such operator.", body = ProblemBody),
))]
async fn remove_operator(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let is_gone = admin.store.remove_operator(&operator.by(), &name).await.map_err(AdminError::from)?;
    if is_gone { Ok(StatusCode::NO_CONTENT) } else { Err(AdminError::UnknownOperator.into()) }
}
