//! Operators and their initial credentials, as the admin API shows them.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::auth::{
    credentials::{Codes, secret_text},
    role::Role,
    store::OperatorRow,
};

/// An operator.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AdminOperator {
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
pub(super) struct AdminOperators {
    pub(super) operators: Vec<AdminOperator>,
}

/// The secret for an operator's authenticator app. It is not shown again.
#[derive(Serialize, ToSchema)]
pub(super) struct TotpSecret {
    /// The secret as base32, to be typed into the app.
    totp_secret: String,
    /// The secret as a URL, for a link or a QR code.
    totp_url: String,
}

impl TotpSecret {
    pub(super) fn of(name: &str, secret: &[u8]) -> Self {
        Self { totp_secret: secret_text(secret), totp_url: Codes::of(name, secret).url() }
    }
}

/// A new operator, with the initial credentials.
#[derive(Serialize, ToSchema)]
pub(super) struct AddedOperator {
    pub(super) operator: AdminOperator,
    #[serde(flatten)]
    pub(super) proof: Proof,
}

/// The secret or the enrolment code of a new operator.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Proof {
    /// If the owner has chosen the password.
    Secret(TotpSecret),
    /// Otherwise.
    Code(EnrolmentCode),
}

/// The single-use code with which an operator enrols within three days. It is not shown again.
#[derive(Serialize, ToSchema)]
pub(super) struct EnrolmentCode {
    pub(super) enrolment_code: String,
}

/// An enrolled operator, who can sign in now.
#[derive(Serialize, ToSchema)]
pub(super) struct Enrolled {
    pub(super) name: String,
    pub(super) role: Role,
    #[serde(flatten)]
    pub(super) secret: TotpSecret,
}
