//! Creates and revokes API tokens.

use super::{
    error::ApiTokenError,
    store::{NewToken, TOKENS_MAX, TokenRow, TokenStore},
};
use crate::{
    auth::{
        credentials::{ApiToken, is_name},
        role::Role,
    },
    db::Author,
    error::check_field,
};

/// Dependencies of the routes of API tokens.
#[derive(Clone)]
pub(crate) struct ApiTokens {
    pub(crate) store: TokenStore,
}

impl ApiTokens {
    /// API tokens by name, including expired ones.
    pub(super) async fn list_tokens(&self) -> Result<Vec<TokenRow>, ApiTokenError> {
        Ok(self.store.tokens().await?)
    }

    /// Creates a token. Only its digest is stored.
    pub(super) async fn add_token(
        &self,
        by: &Author,
        name: &str,
        role: Role,
        lasts_days: i32,
    ) -> Result<(TokenRow, ApiToken), ApiTokenError> {
        check_field("name", is_name(name), "be 1 to 63 lower-case letters, digits, dots, underscores, hyphens or @")?;
        check_field("lasts_days", (1..=3650).contains(&lasts_days), "be between 1 and 3650")?;
        let made = ApiToken::new(rand::random());
        let row = NewToken { name, role, digest: made.digest(), lasts_days };
        let added = self.store.add_token(by, &row).await?;
        Ok((added.ok_or(ApiTokenError::TooManyTokens { most: TOKENS_MAX })?, made))
    }

    /// Revokes a token immediately.
    pub(super) async fn revoke_token(&self, by: &Author, name: &str) -> Result<(), ApiTokenError> {
        let is_gone = self.store.revoke_token(by, name).await?;
        if is_gone { Ok(()) } else { Err(ApiTokenError::TokenNotFound) }
    }
}
