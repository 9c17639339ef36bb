//! Adds, changes, enrols and removes operators. Creates their secrets and enrolment codes, which
//! are shown only once.

use super::{
    error::OperatorError,
    responses::{AddedOperator, AdminOperator, AdminOperators, Enrolled, EnrolmentCode, Proof, TotpSecret},
    store::{NewOperator, OPERATORS_MAX, OperatorStore},
};
use crate::{
    auth::{
        credentials::{NewEnrolmentCode, is_name},
        password_queue::hash,
        role::Role,
        store::{AuthStore, OperatorChange},
    },
    db::Author,
    error::check_field,
};

/// Dependencies of the routes of operators.
#[derive(Clone)]
pub(crate) struct Operators {
    pub(crate) store: OperatorStore,
    pub(crate) auth: AuthStore,
}

impl Operators {
    /// Operators, by name.
    pub(super) async fn list_operators(&self) -> Result<AdminOperators, OperatorError> {
        let operators = self.store.operators().await?;
        Ok(AdminOperators { operators: operators.into_iter().map(AdminOperator::from).collect() })
    }

    /// Adds an operator, with a password or with an enrolment code.
    pub(super) async fn add_operator(
        &self,
        by: &Author,
        name: &str,
        role: Role,
        password: Option<String>,
    ) -> Result<AddedOperator, OperatorError> {
        check_field("name", is_name(name), "be 1 to 63 lower-case letters, digits, dots, underscores, hyphens or @")?;
        let secret: [u8; 20] = rand::random();
        let code = NewEnrolmentCode::new(rand::random());
        let (password, enrols, proof) = match password {
            Some(password) => (hash("password", password).await?, None, Proof::Secret(TotpSecret::of(name, &secret))),
            // Until the operator enrols, the password is random and unknown.
            None => {
                let unknown = hash("password", NewEnrolmentCode::new(rand::random()).shown().to_owned()).await?;
                let shown = EnrolmentCode { enrolment_code: code.shown().to_owned() };
                (unknown, Some(code.digest()), Proof::Code(shown))
            }
        };
        let row = NewOperator { name, role, password: &password, totp_secret: &secret, enrols };
        let added = self.store.add_operator(by, &row).await?;
        let operator = added.ok_or(OperatorError::TooManyOperators { most: OPERATORS_MAX })?.into();
        Ok(AddedOperator { operator, proof })
    }

    /// Replaces an operator's enrolment code.
    pub(super) async fn renew_enrolment(&self, by: &Author, name: &str) -> Result<EnrolmentCode, OperatorError> {
        let code = NewEnrolmentCode::new(rand::random());
        if !self.store.renew_enrolment(by, name, code.digest()).await? {
            return Err(OperatorError::OperatorNotFound);
        }
        Ok(EnrolmentCode { enrolment_code: code.shown().to_owned() })
    }

    /// Enrols the operator who has a code.
    pub(super) async fn enrol(&self, code: &str, password: String) -> Result<Enrolled, OperatorError> {
        let digest = NewEnrolmentCode::from_shown(code).digest();
        // The cheap check comes before the password is hashed.
        if !self.store.is_enrolment(digest).await? {
            return Err(OperatorError::InvalidEnrolmentCode);
        }
        let password = hash("password", password).await?;
        let secret: [u8; 20] = rand::random();
        let enrolled = self.store.enrol(digest, &password, &secret).await?;
        let (name, role) = enrolled.ok_or(OperatorError::InvalidEnrolmentCode)?;
        Ok(Enrolled { role: Role::of(&role), secret: TotpSecret::of(&name, &secret), name })
    }

    /// Changes an operator's role or password. A new password ends the operator's sessions.
    pub(super) async fn change_operator(
        &self,
        by: &Author,
        name: &str,
        role: Option<Role>,
        password: Option<String>,
    ) -> Result<AdminOperator, OperatorError> {
        let password = match password {
            Some(password) => Some(hash("password", password).await?),
            None => None,
        };
        let change = OperatorChange { role, password: password.as_deref(), totp_secret: None };
        let changed = self.auth.change_operator(by, "change_operator", name, &change).await?;
        Ok(changed.ok_or(OperatorError::OperatorNotFound)?.into())
    }

    /// Replaces the secret of an operator's authenticator app, and ends the operator's sessions.
    pub(super) async fn renew_totp(&self, by: &Author, name: &str) -> Result<TotpSecret, OperatorError> {
        let secret: [u8; 20] = rand::random();
        let change = OperatorChange { totp_secret: Some(&secret), ..OperatorChange::default() };
        let changed = self.auth.change_operator(by, "renew_totp", name, &change).await?;
        changed.ok_or(OperatorError::OperatorNotFound)?;
        Ok(TotpSecret::of(name, &secret))
    }

    /// Removes an operator, and ends the operator's sessions.
    pub(super) async fn remove_operator(&self, by: &Author, name: &str) -> Result<(), OperatorError> {
        let is_gone = self.store.remove_operator(by, name).await?;
        if is_gone { Ok(()) } else { Err(OperatorError::OperatorNotFound) }
    }
}
