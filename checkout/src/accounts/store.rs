//! Accounts, their sign-ins and their sessions.

use fairline_notification_channels::{Address, AddressKind};
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    auth::account::{AccountId, REFRESH_S},
    db::{PgPool, StoreError},
    notifications::{
        notification::Content,
        store::{NewNotification, write},
    },
    orders::store::unlink,
};

/// Lifetime of a code, in seconds.
pub(crate) const CODE_GOOD_S: i32 = 600;
/// Codes that are sent to one e-mail address in an hour, at most.
const CODES_MAX: i64 = 5;
/// Codes that are sent to one phone number in an hour, at most: text messages cost money.
const PHONE_CODES_MAX: i64 = 3;
/// Attempts at one code.
const ATTEMPTS_MAX: i32 = 5;

/// An account.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct AccountRow {
    pub(crate) address: Option<String>,
    pub(crate) created_at: OffsetDateTime,
}

/// The outcome of exchanging a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RefreshOutcome {
    /// The token was valid; the next one is valid now.
    Signed(AccountId),
    /// The token was used before, so one of its two users has stolen it. The session has ended.
    Reused,
    /// The token does not exist, or has expired.
    Unknown,
}

/// Accounts, sign-ins and sessions.
#[derive(Clone)]
pub(crate) struct AccountStore(pub(crate) PgPool);

impl AccountStore {
    /// Begins a sign-in and queues its code. Returns none if the address has received too many
    /// codes.
    pub(crate) async fn ask_for_code(&self, address: &Address) -> Result<Option<Uuid>, StoreError> {
        let id = Uuid::new_v4();
        let mut transaction = self.0.begin().await?;
        // Serialise the sign-ins of one address, so that the count is exact.
        let lock = sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))").bind(address.as_str());
        lock.execute(&mut *transaction).await?;
        let begun = sqlx::query(
            "INSERT INTO sign_ins (id, address) SELECT $1, $2 WHERE (SELECT count(*) FROM sign_ins \
             WHERE address = $2 AND created_at > now() - interval '1 hour') < $3",
        );
        let most = if address.kind() == AddressKind::Phone { PHONE_CODES_MAX } else { CODES_MAX };
        let begun = begun.bind(id).bind(address.as_str()).bind(most).execute(&mut *transaction).await?;
        if begun.rows_affected() == 0 {
            return Ok(None);
        }
        let (subject, code) = (format!("sign-in/{id}"), Content::Code { sign_in: id });
        let new = NewNotification {
            subject: &subject,
            account: None,
            address,
            content: &code,
            relevant_s: CODE_GOOD_S,
            happened_at: None,
        };
        write(&mut transaction, new).await?;
        transaction.commit().await?;
        Ok(Some(id))
    }

    /// Counts an attempt at a code. Returns the code's address if another attempt is allowed.
    pub(crate) async fn try_code(&self, sign_in: Uuid) -> Result<Option<Address>, StoreError> {
        let address: Option<String> = sqlx::query_scalar(
            "UPDATE sign_ins SET attempts = attempts + 1 WHERE id = $1 AND done_at IS NULL AND attempts < $2 \
             AND created_at > now() - make_interval(secs => $3) RETURNING address",
        )
        .bind(sign_in)
        .bind(ATTEMPTS_MAX)
        .bind(f64::from(CODE_GOOD_S))
        .fetch_optional(&self.0)
        .await?;
        Ok(address.map(Address::stored))
    }

    /// Signs an account in, with the digest of its first refresh token. Returns false if the
    /// sign-in was used already.
    pub(crate) async fn sign_in(
        &self,
        sign_in: Option<Uuid>,
        account: AccountId,
        address: Option<&Address>,
        digest: [u8; 32],
    ) -> Result<bool, StoreError> {
        let mut transaction = self.0.begin().await?;
        if let Some(sign_in) = sign_in {
            let done =
                sqlx::query("UPDATE sign_ins SET done_at = now() WHERE id = $1 AND done_at IS NULL").bind(sign_in);
            if done.execute(&mut *transaction).await?.rows_affected() == 0 {
                return Ok(false);
            }
        }
        let session = Uuid::new_v4();
        let known = sqlx::query(
            "INSERT INTO accounts (id, address) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE \
             SET seen_at = now(), address = coalesce(excluded.address, accounts.address)",
        );
        known.bind(account.0).bind(address.map(Address::as_str)).execute(&mut *transaction).await?;
        let begun = sqlx::query("INSERT INTO sessions (id, account_id) VALUES ($1, $2)").bind(session).bind(account.0);
        begun.execute(&mut *transaction).await?;
        let token = sqlx::query(
            "INSERT INTO refresh_tokens (digest, session_id, expires_at) VALUES ($1, $2, now() + make_interval(secs => $3))",
        );
        token.bind(&digest[..]).bind(session).bind(REFRESH_S as f64).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Exchanges a refresh token for the next one. A token that is used twice ends its session.
    pub(crate) async fn refresh(&self, digest: [u8; 32], next: [u8; 32]) -> Result<RefreshOutcome, StoreError> {
        let mut transaction = self.0.begin().await?;
        let used: Option<(Uuid, Uuid)> = sqlx::query_as(
            "UPDATE refresh_tokens SET used_at = now() FROM sessions WHERE digest = $1 AND used_at IS NULL AND expires_at > now() \
             AND sessions.id = session_id RETURNING session_id, account_id",
        )
        .bind(&digest[..])
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((session, account)) = used else {
            let ended = sqlx::query(
                "DELETE FROM sessions WHERE id = (SELECT session_id FROM refresh_tokens WHERE digest = $1 AND used_at IS NOT NULL)",
            );
            let ended = ended.bind(&digest[..]).execute(&mut *transaction).await?.rows_affected();
            transaction.commit().await?;
            return Ok(if ended > 0 { RefreshOutcome::Reused } else { RefreshOutcome::Unknown });
        };
        sqlx::query(
            "WITH seen AS (UPDATE accounts SET seen_at = now() WHERE id = $4) \
             INSERT INTO refresh_tokens (digest, session_id, expires_at) VALUES ($1, $2, now() + make_interval(secs => $3))",
        )
        .bind(&next[..])
        .bind(session)
        .bind(REFRESH_S as f64)
        .bind(account)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(RefreshOutcome::Signed(AccountId(account)))
    }

    /// Ends the session of a refresh token.
    pub(crate) async fn sign_out(&self, digest: [u8; 32]) -> Result<(), StoreError> {
        let ended =
            sqlx::query("DELETE FROM sessions WHERE id = (SELECT session_id FROM refresh_tokens WHERE digest = $1)");
        ended.bind(&digest[..]).execute(&self.0).await?;
        Ok(())
    }

    /// An account, unless it was erased.
    pub(crate) async fn profile(&self, account: AccountId) -> Result<Option<AccountRow>, StoreError> {
        let profile = sqlx::query_as("SELECT address, created_at FROM accounts WHERE id = $1").bind(account.0);
        Ok(profile.fetch_optional(&self.0).await?)
    }

    /// Erases an account: its address, its sessions, and the link to its orders. Purchases of sales
    /// with a limit stay counted under its id, which nothing refers to any more. Returns the number
    /// of orders, or none if an order is still open; then nothing changes.
    pub(crate) async fn forget_account(&self, account: AccountId) -> Result<Option<u64>, StoreError> {
        let mut transaction = self.0.begin().await?;
        let under_way: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM holds WHERE account_id = $1 AND (state IN ('promised', 'held') OR EXISTS (SELECT FROM payments \
             WHERE hold_id = holds.id AND state IN ('started', 'authorised', 'refund_due'))))",
        )
        .bind(account.0)
        .fetch_one(&mut *transaction)
        .await?;
        if under_way {
            return Ok(None);
        }
        let holds: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM holds WHERE account_id = $1")
            .bind(account.0)
            .fetch_all(&mut *transaction)
            .await?;
        unlink(&mut transaction, &holds).await?;
        for statement in [
            "DELETE FROM notifications WHERE account_id = $1",
            "DELETE FROM sign_ins WHERE address = (SELECT address FROM accounts WHERE id = $1)",
            "DELETE FROM accounts WHERE id = $1",
        ] {
            sqlx::query(statement).bind(account.0).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(Some(holds.len() as u64))
    }

    /// Anonymises an order for the merchant; or, given the id of an account, erases the account and
    /// anonymises its orders.
    pub(crate) async fn erase(&self, id: Uuid) -> Result<ErasureOutcome, StoreError> {
        let mut transaction = self.0.begin().await?;
        let ended: Option<bool> = sqlx::query_scalar(
            "SELECT state NOT IN ('promised', 'held') AND NOT EXISTS (SELECT FROM payments WHERE hold_id = holds.id \
             AND state IN ('started', 'authorised', 'refund_due')) FROM holds WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
        match ended {
            Some(true) => {
                unlink(&mut transaction, &[id]).await?;
                transaction.commit().await?;
                return Ok(ErasureOutcome::Orders(1));
            }
            Some(false) => return Ok(ErasureOutcome::UnderWay),
            None => {}
        }
        let is_one: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM accounts WHERE id = $1) OR EXISTS (SELECT FROM holds WHERE account_id = $1)",
        )
        .bind(id)
        .fetch_one(&mut *transaction)
        .await?;
        drop(transaction);
        if !is_one {
            return Ok(ErasureOutcome::Unknown);
        }
        Ok(self.forget_account(AccountId(id)).await?.map_or(ErasureOutcome::UnderWay, ErasureOutcome::Orders))
    }
}

/// The outcome of the merchant's request to erase personal data.
#[derive(Debug)]
pub(crate) enum ErasureOutcome {
    /// The number of anonymised orders.
    Orders(u64),
    /// An order is still open.
    UnderWay,
    /// No order and no account has this id.
    Unknown,
}
