//! Sign-in and sessions. Writes run in tasks that finish even if the client disconnects.

use std::sync::Arc;

use axum::extract::FromRef;
use fairline_notification_channels::{Address, Channels};
use fairline_server::{RateLimit, Shutdown, TrustedProxies};
use rand::RngExt as _;
use subtle::ConstantTimeEq as _;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    accounts::{
        account::{AccountId, AccountProof, RefreshToken, SignInKey},
        error::AccountError,
        oidc::Issuer,
        store::{AccountStore, CODE_GOOD_S, Refreshed},
    },
    auth::{caller::Callers, error::AuthError},
    error::CommonError,
    notifications::store::NotificationStore,
};

/// The state of accounts.
pub(crate) struct Accounts {
    pub(crate) store: AccountStore,
    pub(crate) notifications: NotificationStore,
    pub(crate) callers: Callers,
    pub(crate) issuer: Option<Issuer>,
    pub(crate) channels: Channels,
    /// Sign-in codes of one client.
    pub(crate) codes: RateLimit,
    pub(crate) phone_codes: RateLimit,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) secure_cookies: bool,
    pub(crate) shutdown: Shutdown,
}

impl FromRef<Arc<Accounts>> for Callers {
    fn from_ref(accounts: &Arc<Accounts>) -> Self {
        accounts.callers.clone()
    }
}

/// A code that will be sent.
pub(crate) struct CodeQueued {
    pub(crate) sign_in_id: Uuid,
    pub(crate) expires_at: OffsetDateTime,
}

impl Accounts {
    pub(crate) fn account_key(&self) -> Result<&SignInKey, AuthError> {
        self.callers.accounts().ok_or(AuthError::NoSignIn)
    }

    /// Queues a sign-in code for an address, which was given in `field`.
    pub(crate) async fn send_code(&self, address: &Address, field: &'static str) -> Result<CodeQueued, AccountError> {
        self.account_key()?;
        self.channels.to(address.kind()).ok_or(AccountError::NoChannel { field })?;
        let (store, to) = (self.store.clone(), address.clone());
        let queued = self.shutdown.spawn(async move { store.ask_for_code(&to).await });
        let sign_in_id = queued.await??.ok_or(AccountError::TooManyCodes)?;
        let expires_at = OffsetDateTime::now_utc() + Duration::seconds(CODE_GOOD_S.into());
        Ok(CodeQueued { sign_in_id, expires_at })
    }

    /// Signs in by a code. Returns the account and its first refresh token.
    pub(crate) async fn enter_code(
        &self,
        sign_in: Uuid,
        code: &str,
    ) -> Result<(AccountId, RefreshToken), AccountError> {
        let key = self.account_key()?;
        // Count before comparing, so that parallel requests get no extra attempts.
        let address = self.store.try_code(sign_in).await?;
        let is_right = bool::from(key.code(sign_in).as_bytes().ct_eq(code.trim().as_bytes()));
        let address = address.filter(|_| is_right).ok_or(AccountError::WrongCode)?;
        let account = key.account(AccountProof::Address(&address));
        let token = self.begin_session(Some(sign_in), account, Some(address)).await?;
        Ok((account, token.ok_or(AccountError::WrongCode)?))
    }

    /// Signs in and returns the first refresh token, or none if the sign-in was used already.
    pub(crate) async fn begin_session(
        &self,
        sign_in: Option<Uuid>,
        account: AccountId,
        address: Option<Address>,
    ) -> Result<Option<RefreshToken>, AccountError> {
        let token = RefreshToken::new(rand::rng().random());
        let (store, digest) = (self.store.clone(), token.digest());
        let begun = self.shutdown.spawn(async move { store.sign_in(sign_in, account, address.as_ref(), digest).await });
        Ok(begun.await??.then_some(token))
    }

    /// Exchanges a refresh token for the next one.
    pub(crate) async fn refresh(&self, given: &RefreshToken, next: &RefreshToken) -> Result<Refreshed, AccountError> {
        let (store, digest, next) = (self.store.clone(), given.digest(), next.digest());
        Ok(self.shutdown.spawn(async move { store.refresh(digest, next).await }).await??)
    }

    /// Erases an account, unless one of its orders is open.
    pub(crate) async fn forget(&self, account: AccountId) -> Result<u64, AccountError> {
        let store = self.store.clone();
        let forgotten = self.shutdown.spawn(async move { store.forget_account(account).await });
        Ok(forgotten.await??.ok_or(CommonError::OrderInProgress)?)
    }
}
