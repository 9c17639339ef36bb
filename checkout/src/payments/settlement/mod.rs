//! Settlement with the gateway after a payment has ended here.
//!
//! - Cancels intents that could still be confirmed, reads refunds and disputes, including those
//!   made elsewhere, and executes requests of operators and the merchant.
//! - The rows of payments and requests hold the remaining work, so the sweeper continues after a
//!   crash.
//! - Refunds are never summed from events: the gateway is asked for the total, so repeated or
//!   reordered events change nothing.

pub(crate) mod store;

use std::{sync::Arc, time::Duration};

use fairline_payment_gateway::{GatewayError, IntentStatus, Part, PartRefund};
use fairline_sale::{gateway_amount, price_text};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::{
    auth::caller::Caller,
    db::StoreError,
    error::CommonError,
    orders::state::PaymentState,
    payments::{
        error::PaymentError,
        refunds::store::{OrderRequest, PaidWith, RequestKind},
        service::Payments,
        store::Payment,
    },
};

/// Until this long after a payment has begun, an empty search does not prove that the gateway has
/// none: a call may be in flight, and the search index lags.
const FOUND_WITHIN: Duration = Duration::from_secs(120);

/// Why a payment is not settled yet.
#[derive(Debug, thiserror::Error)]
enum Unsettled {
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
                Err(Unsettled::NoAnswer(GatewayError::CircuitOpen | GatewayError::NotYet(_))) => {}
                Err(reason @ Unsettled::NoAnswer(GatewayError::Unanswered(_) | GatewayError::Failed(_))) => {
                    warn!(payment = %payment.id, %reason, "settle payment failed; it will be retried");
                }
                Err(reason) => error!(payment = %payment.id, %reason, "settle payment failed; it will be retried"),
            }
        }))
    }

    async fn settle(self: &Arc<Self>, payment: &Payment) -> Result<(), Unsettled> {
        match (&payment.reference, payment.state) {
            _ if payment.has_ended_unpaid() => self.release(payment).await,
            // It is settled once it has ended.
            (_, PaymentState::Started | PaymentState::Authorised | PaymentState::RefundDue) => Ok(()),
            (Some(reference), PaymentState::Captured | PaymentState::Refunded) => {
                let balance = self.gateway.balance(reference).await?;
                if self.store.note_balance(payment, &balance).await? {
                    warn!(payment = %payment.id, "payment disputed by the bank");
                    metrics::counter!("checkout_payment_disputes_total").increment(1);
                }
                Ok(())
            }
            _ => Ok(self.store.settled(payment, None).await?),
        }
    }

    /// Cancels what the gateway may still authorise, or has authorised.
    async fn release(self: &Arc<Self>, payment: &Payment) -> Result<(), Unsettled> {
        let reference = match &payment.reference {
            Some(reference) => reference.clone(),
            None => match self.gateway.find(payment.id).await?.reference {
                Some(reference) => reference,
                None if payment.age < FOUND_WITHIN => return Ok(()),
                None => return Ok(self.store.settled(payment, None).await?),
            },
        };
        match self.gateway.cancel(payment.id, &reference).await?.status {
            IntentStatus::Cancelled | IntentStatus::Declined | IntentStatus::Refunded | IntentStatus::Unknown => {
                Ok(self.store.settled(payment, Some(&reference)).await?)
            }
            IntentStatus::Captured => {
                error!(payment = %payment.id, "payment captured at the gateway after it had ended here; refunding it");
                let mut owed = self.store.owe(payment, &reference).await?;
                // The sweeper continues if it still has to wait.
                let _ = self.drive(&mut owed).await;
                Ok(())
            }
            open @ (IntentStatus::NeedsAction | IntentStatus::Authorised) => {
                info!(payment = %payment.id, ?open, "payment is not released yet");
                Err(Unsettled::Open(open))
            }
        }
    }

    /// Starts the requests of operators and the merchant.
    pub(crate) async fn do_requests(self: &Arc<Self>, at_once: i64) -> Result<(), StoreError> {
        for request in self.store.adopt_requests(at_once).await? {
            let payments = self.clone();
            self.shutdown.spawn(async move {
                if let Err(error) = payments.do_request(&request).await {
                    warn!(order = %request.order.0, %error, "order request failed; it will be retried");
                }
            });
        }
        Ok(())
    }

    /// Executes a request if the gateway answers; otherwise it is retried later.
    pub(crate) async fn do_request(self: &Arc<Self>, request: &OrderRequest) -> Result<(), StoreError> {
        let failed = match request.kind {
            RequestKind::Cancel => match self.give_back(request.order, Caller::Merchant).await {
                Ok(_) => None,
                Err(PaymentError::Common(CommonError::Store(error))) => return Err(error),
                Err(reason) => Some(reason.to_string()),
            },
            RequestKind::Refund => match self.refund_part(request).await {
                Ok(PartRefund::Made) => None,
                Ok(PartRefund::Refused(why)) => Some(why),
                Err(Unsettled::Store(error)) => return Err(error),
                Err(reason) => {
                    warn!(order = %request.order.0, %reason, "refund order failed; it will be retried");
                    return Ok(());
                }
            },
        };
        let outcome = if failed.is_some() { "failed" } else { "done" };
        info!(order = %request.order.0, kind = ?request.kind, outcome, reason = failed, "order request ended");
        metrics::counter!("checkout_order_requests_total", "outcome" => outcome).increment(1);
        if let Some(payment) = self.store.end_request(request, failed.as_deref()).await? {
            self.settle_soon(payment);
        }
        Ok(())
    }

    async fn refund_part(self: &Arc<Self>, request: &OrderRequest) -> Result<PartRefund, Unsettled> {
        let Some(PaidWith { payment, refunded_minor }) = self.store.paid_with(request.order).await? else {
            return Ok(PartRefund::Refused("the order was not paid for here".to_owned()));
        };
        let left = payment.amount_minor - refunded_minor;
        // An earlier attempt has refunded it, or it was refunded by hand.
        if request.amount_minor.is_none() && left == 0 {
            return Ok(PartRefund::Made);
        }
        let wanted = request.amount_minor.unwrap_or(left);
        let amount = gateway_amount(wanted, &payment.currency).filter(|amount| *amount > 0);
        match (amount, &payment.reference) {
            (Some(amount), Some(reference)) => {
                let part = Part { request: request.id, reference: reference.clone(), amount };
                Ok(self.gateway.refund_part(&part).await?)
            }
            _ => Ok(PartRefund::Refused(format!("{} can't be refunded", price_text(wanted, &payment.currency)))),
        }
    }
}
