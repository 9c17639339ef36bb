//! Extractors of the caller, for every state from which the keys of [`Callers`] can be taken.

use std::convert::Infallible;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use fairline_redemption::bearer;
use fairline_server::Problem;

use crate::auth::{
    account::AccountId,
    caller::{Caller, Callers, MerchantKey, ShopperIdentity},
    error::AuthError,
};

impl<S: Sync> FromRequestParts<S> for MerchantKey
where
    Callers: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Callers::from_ref(state).merchant(&parts.headers).ok_or_else(|| AuthError::NoMerchantKey.into())
    }
}

impl<S: Sync> FromRequestParts<S> for Caller
where
    Callers: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Callers::from_ref(state).caller(&parts.headers))
    }
}

impl<S: Sync> FromRequestParts<S> for ShopperIdentity
where
    Callers: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Callers::from_ref(state).shopper(&parts.headers))
    }
}

/// A signed-in account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignedIn(pub(crate) AccountId);

impl<S: Sync> FromRequestParts<S> for SignedIn
where
    Callers: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let callers = Callers::from_ref(state);
        callers.accounts().ok_or(AuthError::NoSignIn)?;
        Ok(callers.signed_in(&parts.headers).map(Self).ok_or(AuthError::NotSignedIn)?)
    }
}

/// An admission token from `Authorization: Bearer`.
pub(crate) struct BearerToken(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for BearerToken {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        bearer(&parts.headers).map(|token| Self(token.to_owned())).ok_or_else(|| AuthError::NoToken.into())
    }
}
