//! Sign-in, sessions, reminders and push subscriptions. Sign-ins are written in tasks that finish
//! even if the client disconnects.

use fairline_line::ticket::Ticket;
use fairline_notification_channels::{Address, Channels, Subscription};
use fairline_server::{RateLimit, Shutdown, TrustedProxies};
use rand::RngExt as _;
use subtle::ConstantTimeEq as _;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    accounts::{
        error::AccountError,
        oidc::Issuer,
        store::{AccountRow, AccountStore, CODE_GOOD_S, RefreshOutcome},
    },
    auth::{
        account::{AccountId, AccountProof, RefreshToken, SignInKey},
        caller::Callers,
        error::AuthError,
    },
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

/// A way to sign in.
pub(crate) enum SignInWay {
    /// By a code that is sent to an address, which was given in `field`.
    Code { address: Address, field: &'static str },
    /// By an ID token of the merchant's issuer.
    IdToken(String),
}

/// The outcome of a sign-in.
pub(crate) enum LogInOutcome {
    CodeQueued(CodeQueued),
    Session(SessionTokens),
}

/// A code that will be sent.
pub(crate) struct CodeQueued {
    pub(crate) sign_in_id: Uuid,
    pub(crate) expires_at: OffsetDateTime,
}

/// The tokens of a session.
pub(crate) struct SessionTokens {
    pub(crate) account: AccountId,
    pub(crate) access: String,
    pub(crate) refresh: RefreshToken,
}

impl Accounts {
    fn account_key(&self) -> Result<&SignInKey, AuthError> {
        self.callers.accounts().ok_or(AuthError::NoSignIn)
    }

    /// Queues a sign-in code, or signs in by an ID token.
    pub(crate) async fn log_in(&self, way: SignInWay) -> Result<LogInOutcome, AccountError> {
        let key = self.account_key()?;
        match way {
            SignInWay::Code { address, field } => Ok(LogInOutcome::CodeQueued(self.send_code(address, field).await?)),
            SignInWay::IdToken(id_token) => {
                let issuer = self.issuer.as_ref().ok_or(AccountError::NoChannel { field: "id_token" })?;
                let verified_identity = issuer.verify_id_token(&id_token).await?;
                let account =
                    key.account(AccountProof::Issuer { issuer: issuer.name(), subject: &verified_identity.subject });
                let session = self.begin_session(None, account, verified_identity.address).await?;
                Ok(LogInOutcome::Session(session.ok_or(AccountError::SignedOut)?))
            }
        }
    }

    async fn send_code(&self, address: Address, field: &'static str) -> Result<CodeQueued, AccountError> {
        self.channels.to(address.kind()).ok_or(AccountError::NoChannel { field })?;
        let store = self.store.clone();
        let queued = self.shutdown.spawn(async move { store.ask_for_code(&address).await });
        let sign_in_id = queued.await??.ok_or(AccountError::TooManyCodes)?;
        let expires_at = OffsetDateTime::now_utc() + Duration::seconds(CODE_GOOD_S.into());
        Ok(CodeQueued { sign_in_id, expires_at })
    }

    /// Signs in by a code.
    pub(crate) async fn enter_code(&self, sign_in: Uuid, code: &str) -> Result<SessionTokens, AccountError> {
        let key = self.account_key()?;
        // Count before comparing, so that parallel requests get no extra attempts.
        let address = self.store.try_code(sign_in).await?;
        let is_right = bool::from(key.code(sign_in).as_bytes().ct_eq(code.trim().as_bytes()));
        let address = address.filter(|_| is_right).ok_or(AccountError::InvalidCode)?;
        let account = key.account(AccountProof::Address(&address));
        self.begin_session(Some(sign_in), account, Some(address)).await?.ok_or(AccountError::InvalidCode)
    }

    /// Begins a session. Returns none if the sign-in was used already.
    async fn begin_session(
        &self,
        sign_in: Option<Uuid>,
        account: AccountId,
        address: Option<Address>,
    ) -> Result<Option<SessionTokens>, AccountError> {
        let refresh = RefreshToken::new(rand::rng().random());
        let (store, digest) = (self.store.clone(), refresh.digest());
        let begun = self.shutdown.spawn(async move { store.sign_in(sign_in, account, address.as_ref(), digest).await });
        if begun.await?? { Ok(Some(self.tokens(account, refresh)?)) } else { Ok(None) }
    }

    /// The tokens of a session, with a new access token.
    fn tokens(&self, account: AccountId, refresh: RefreshToken) -> Result<SessionTokens, AccountError> {
        let access = self.account_key()?.access_token(account, OffsetDateTime::now_utc().unix_timestamp());
        Ok(SessionTokens { account, access, refresh })
    }

    /// Exchanges a refresh token for the next two tokens. A token that is used twice ends its
    /// session.
    pub(crate) async fn refresh(&self, given: Option<RefreshToken>) -> Result<SessionTokens, AccountError> {
        self.account_key()?;
        let given = given.ok_or(AccountError::SignedOut)?;
        let next = RefreshToken::new(rand::rng().random());
        let (store, digests) = (self.store.clone(), (given.digest(), next.digest()));
        match self.shutdown.spawn(async move { store.refresh(digests.0, digests.1).await }).await?? {
            RefreshOutcome::Signed(account) => self.tokens(account, next),
            RefreshOutcome::Reused => {
                metrics::counter!("checkout_refresh_tokens_reused_total").increment(1);
                Err(AccountError::SignedOut)
            }
            RefreshOutcome::Unknown => Err(AccountError::SignedOut),
        }
    }

    /// Ends the session of a refresh token.
    pub(crate) async fn log_out(&self, token: &RefreshToken) -> Result<(), AccountError> {
        Ok(self.store.sign_out(token.digest()).await?)
    }

    /// The profile of an account, unless it was erased.
    pub(crate) async fn profile(&self, account: AccountId) -> Result<AccountRow, AccountError> {
        Ok(self.store.profile(account).await?.ok_or(AuthError::NotSignedIn)?)
    }

    /// Erases an account, unless one of its orders is open.
    pub(crate) async fn forget(&self, account: AccountId) -> Result<u64, AccountError> {
        let store = self.store.clone();
        let forgotten = self.shutdown.spawn(async move { store.forget_account(account).await });
        Ok(forgotten.await??.ok_or(CommonError::OrderInProgress)?)
    }

    /// Notifies an account when the turn of a ticket is near.
    pub(crate) async fn remind(&self, account: AccountId, ticket: &Ticket) -> Result<(), AccountError> {
        let is_stored = self.notifications.remind(ticket.sale, account, ticket.epoch, ticket.ordinal).await?;
        if is_stored { Ok(()) } else { Err(AccountError::NoReminder) }
    }

    /// The public key for push subscriptions.
    pub(crate) fn push_key(&self) -> Result<&str, AccountError> {
        let (push, _) = self.channels.push().ok_or(AccountError::NoPush)?;
        Ok(push.public_key())
    }

    /// Subscribes a browser to the notifications of an account, with the keys for messages to it.
    pub(crate) async fn subscribe(
        &self,
        account: AccountId,
        endpoint: &str,
        p256dh: &str,
        auth: &str,
    ) -> Result<(), AccountError> {
        let (_, push_services) = self.channels.push().ok_or(AccountError::NoPush)?;
        if !push_services.include(endpoint) {
            return Err(AccountError::InvalidSignIn { field: "endpoint", wrong: "is not at a permitted push service" });
        }
        if Subscription::new(endpoint, p256dh, auth).is_none() {
            return Err(AccountError::InvalidSignIn {
                field: "keys",
                wrong: "has no valid keys of a push subscription",
            });
        }
        let is_known = self.notifications.subscribe(account, endpoint, p256dh, auth).await?;
        if is_known { Ok(()) } else { Err(AuthError::NotSignedIn.into()) }
    }

    /// Unsubscribes a browser.
    pub(crate) async fn unsubscribe(&self, account: AccountId, endpoint: &str) -> Result<(), AccountError> {
        Ok(self.notifications.unsubscribe(account, endpoint).await?)
    }
}
