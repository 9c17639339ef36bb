//! Whether the visit of a proxy's shopper lasts.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fairline_admission_token::VerifiedToken;
use fairline_redemption::{ClaimsError, GenerationalCache, Keys};
use fairline_sale::{SaleId, VisitorId};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};
use tracing::warn;
use uuid::Uuid;

use crate::{
    auth::{
        CLOCK_SLACK_S,
        caller::{Callers, ShopperIdentity},
    },
    forward_auth::{
        error::ForwardAuthError,
        request::{AuthRequest, Candidate},
        visit::Visit,
    },
    redemption::{batcher::RedemptionBatcher, error::RedemptionError, outcome::AdmissionUse},
};

/// Admissions whose state the cache holds at least; twice as many at most.
const KNOWN_MAX: usize = 16_384;
/// How long the database may take before the token alone decides: proxies wait one second.
const READ_TIMEOUT: Duration = Duration::from_millis(300);
/// How long a cached state is valid.
const CACHED_FOR: Duration = Duration::from_secs(1);

/// The states of admissions as of a moment ago.
#[derive(Clone, Default)]
pub(crate) struct AdmissionCache(Arc<Mutex<GenerationalCache<Uuid, (AdmissionUse, Instant), KNOWN_MAX>>>);

impl AdmissionCache {
    fn of(&self, admission: Uuid) -> Option<AdmissionUse> {
        let visits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        visits.get(&admission).filter(|(_, at)| at.elapsed() < CACHED_FOR).map(|(state, _)| state.clone())
    }

    fn keep(&self, admission: Uuid, state: AdmissionUse) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keep(admission, (state, Instant::now()));
    }
}

/// The state of forward auth.
pub(crate) struct ForwardAuth {
    pub(crate) callers: Callers,
    pub(crate) keys: Keys,
    pub(crate) batcher: RedemptionBatcher,
    pub(crate) visits: AdmissionCache,
    pub(crate) waiting_room_url: Option<String>,
    pub(crate) secure_cookies: bool,
}

impl ForwardAuth {
    /// The first visit that lasts, with its token; or the error of our first token.
    pub(super) async fn visit<'a>(
        &self,
        asked: &'a AuthRequest,
        shopper: &ShopperIdentity,
    ) -> Result<(Visit, &'a Candidate), ForwardAuthError> {
        use ForwardAuthError::{NoToken, Redemption};
        let mut refused = NoToken;
        for candidate in &asked.tokens {
            match self.visit_by(&candidate.token, &asked.sales, shopper).await {
                Ok(visit) => return Ok((visit, candidate)),
                Err(error) if error.is_outage() => return Err(error),
                Err(error) if matches!(refused, NoToken | Redemption(RedemptionError::InvalidToken)) => refused = error,
                Err(_) => {}
            }
        }
        Err(refused)
    }

    async fn visit_by(
        &self,
        token: &str,
        sales: &[String],
        shopper: &ShopperIdentity,
    ) -> Result<Visit, ForwardAuthError> {
        let VerifiedToken { claims, kid } = match self.keys.verify(token) {
            Ok(genuine) => genuine,
            Err(ClaimsError::Token(_)) => return Err(RedemptionError::InvalidToken.into()),
            Err(ClaimsError::NoKeys) => return Err(RedemptionError::NoKeys.into()),
        };
        let is_for = |sale: &String| sale.parse() == Ok::<SaleId, _>(claims.sale);
        if !sales.iter().all(is_for) {
            return Err(RedemptionError::OtherSale.into());
        }
        let visitor = claims.sub.parse().map_err(|_| RedemptionError::InvalidToken)?;
        // If the request carries tickets, the holder's must be among them. On another domain no
        // tickets arrive, and the token alone counts.
        if shopper.iter().next().is_some() && !shopper.include(visitor) {
            return Err(RedemptionError::InvalidToken.into());
        }
        // An admitted shopper neither waits nor is turned away because the database is slow:
        // redemption decides what is bought. The local clock may be off, so it only decides which
        // tokens need the database.
        if claims.exp <= OffsetDateTime::now_utc().unix_timestamp() - CLOCK_SLACK_S {
            let state = self.state(claims.jti, visitor).await?;
            return Visit::of(claims, &kid, &state).ok_or(ForwardAuthError::VisitOver);
        }
        match timeout(READ_TIMEOUT, self.state(claims.jti, visitor)).await {
            Ok(Ok(state)) => Visit::of(claims, &kid, &state).ok_or(ForwardAuthError::VisitOver),
            Ok(Err(error)) => {
                warn!(%error, "read admission failed; accepting the token alone");
                Ok(Visit { until: claims.exp, claims, order: None })
            }
            Err(_) => {
                warn!(
                    within_ms = READ_TIMEOUT.as_millis() as u64,
                    "read admission timed out; accepting the token alone"
                );
                Ok(Visit { until: claims.exp, claims, order: None })
            }
        }
    }

    async fn state(&self, admission: Uuid, visitor: VisitorId) -> Result<AdmissionUse, RedemptionError> {
        if let Some(known) = self.visits.of(admission) {
            return Ok(known);
        }
        let state = self.batcher.state(admission, visitor).await?;
        self.visits.keep(admission, state.clone());
        Ok(state)
    }
}
