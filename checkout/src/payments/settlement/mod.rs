//! Settlement with the gateway after a payment has ended here.
//!
//! - Cancels intents that could still be confirmed, and reads refunds and disputes, including those
//!   made elsewhere.
//! - The rows of payments hold the remaining work, so the sweeper continues after a crash.
//! - Refunds are never summed from events: the total is read from the gateway, so repeated or
//!   reordered events change nothing.

pub(crate) mod store;

use std::sync::Arc;

use fairline_payment_gateway::{GatewayError, IntentStatus};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::{
    db::StoreError,
    orders::state::PaymentState,
    payments::{service::Payments, store::Payment},
};

/// Why a payment is not settled yet.
#[derive(Debug, thiserror::Error)]
enum SettlementError {
    #[error("{0}")]
    NoAnswer(#[from] GatewayError),
    #[error("the gateway reports {0:?}")]
    Open(IntentStatus),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Payments {
    /// Settles an ended payment in the background, if there is something to settle.
    pub(crate) fn settle_soon(self: &Arc<Self>, payment: Payment) -> Option<JoinHandle<()>> {
        payment.to_settle?;
        let payments = self.clone();
        Some(self.shutdown.spawn(async move {
            match payments.settle(&payment).await {
                Ok(()) => {}
                Err(SettlementError::NoAnswer(GatewayError::CircuitOpen | GatewayError::NotYet(_))) => {}
                Err(reason @ SettlementError::NoAnswer(GatewayError::Unanswered(_) | GatewayError::Failed(_))) => {
                    warn!(payment = %payment.id, %reason, "settle payment failed; it will be retried");
                }
                Err(reason) => error!(payment = %payment.id, %reason, "settle payment failed; it will be retried"),
            }
        }))
    }

    async fn settle(self: &Arc<Self>, payment: &Payment) -> Result<(), SettlementError> {
        match (&payment.reference, payment.state) {
            _ if payment.has_ended_unpaid() => self.release(payment).await,
            // It is settled once it has ended.
            (_, PaymentState::Started | PaymentState::Authorised | PaymentState::RefundDue) => Ok(()),
            (Some(reference), PaymentState::Captured | PaymentState::Refunded) => {
                let balance = self.gateway.balance(reference).await?;
                if self.store.store_balance(payment, &balance).await? {
                    warn!(payment = %payment.id, "payment disputed by the bank");
                    metrics::counter!("checkout_payment_disputes_total").increment(1);
                }
                Ok(())
            }
            _ => Ok(self.store.settled(payment, None).await?),
        }
    }

    /// Cancels what the gateway may still authorise, or has authorised.
    async fn release(self: &Arc<Self>, payment: &Payment) -> Result<(), SettlementError> {
        let reference = match &payment.reference {
            Some(reference) => reference.clone(),
            None => match self.gateway.find(payment.id).await?.reference {
                Some(reference) => reference,
                None if self.store.may_be_unknown(payment.id).await? => return Ok(()),
                None => return Ok(self.store.settled(payment, None).await?),
            },
        };
        match self.gateway.cancel(payment.id, &reference).await?.status {
            IntentStatus::Cancelled | IntentStatus::Declined | IntentStatus::Refunded | IntentStatus::Unknown => {
                Ok(self.store.settled(payment, Some(&reference)).await?)
            }
            IntentStatus::Captured => {
                error!(payment = %payment.id, "payment captured at the gateway after it had ended here; refunding it");
                let mut owed = self.store.record_refund_due(payment, &reference).await?;
                // The sweeper continues if it still has to wait.
                let _ = self.drive(&mut owed).await;
                Ok(())
            }
            open @ (IntentStatus::NeedsAction | IntentStatus::Authorised) => {
                info!(payment = %payment.id, ?open, "payment is not released yet");
                Err(SettlementError::Open(open))
            }
        }
    }
}
