//! Refunds: of a payment that came too late, and those that operators and the merchant request.
//!
//! - The rows of payments and requests hold the remaining work, so the sweeper continues after a
//!   crash.
//! - The gateway recognises a repeated refund by the id of its payment or request.

use std::sync::Arc;

use fairline_payment_gateway::{IntentStatus, PartialRefund, PartialRefundOutcome};
use fairline_sale::{OrderRequestKind, OrderRequestState, gateway_amount, price_text};
use tracing::{info, warn};

use crate::{
    auth::caller::Caller,
    db::StoreError,
    error::CommonError,
    payments::{
        error::PaymentError,
        refunds::store::{CapturedPayment, OrderRequest},
        service::{PaymentBlocked, Payments},
        store::Payment,
    },
};

impl Payments {
    /// Refunds a whole payment, whose money was captured while no unit was left.
    pub(in crate::payments) async fn refund(&self, payment: &Payment) -> Result<Payment, PaymentBlocked> {
        match self.gateway.refund(payment.id, payment.authorised_reference()?).await?.status {
            IntentStatus::Refunded => Ok(self.store.refunded(payment).await?),
            permanent => Err(PaymentBlocked::Permanent(permanent)),
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

    /// Executes a request if the gateway responds; otherwise it is retried later.
    pub(crate) async fn do_request(self: &Arc<Self>, request: &OrderRequest) -> Result<(), StoreError> {
        let failed = match request.kind {
            OrderRequestKind::Cancel => match self.cancel_order(request.order, Caller::Merchant).await {
                Ok(_) => None,
                Err(PaymentError::Common(CommonError::Store(error))) => return Err(error),
                Err(reason) => Some(reason.to_string()),
            },
            OrderRequestKind::Refund => match self.refund_part(request).await {
                Ok(PartialRefundOutcome::Made) => None,
                Ok(PartialRefundOutcome::Refused(why)) => Some(why),
                Err(PaymentBlocked::Store(error)) => return Err(error),
                Err(reason) => {
                    warn!(order = %request.order.0, %reason, "refund order failed; it will be retried");
                    return Ok(());
                }
            },
        };
        let ended = if failed.is_some() { OrderRequestState::Failed } else { OrderRequestState::Done };
        let outcome = ended.as_str();
        info!(order = %request.order.0, kind = ?request.kind, outcome, reason = failed, "order request ended");
        metrics::counter!("checkout_order_requests_total", "outcome" => outcome).increment(1);
        if let Some(payment) = self.store.end_request(request, failed.as_deref()).await? {
            self.settle_soon(payment);
        }
        Ok(())
    }

    async fn refund_part(self: &Arc<Self>, request: &OrderRequest) -> Result<PartialRefundOutcome, PaymentBlocked> {
        let Some(CapturedPayment { payment, refunded_minor }) = self.store.paid_with(request.order).await? else {
            return Ok(PartialRefundOutcome::Refused("the order was not paid for here".to_owned()));
        };
        let left = payment.amount_minor - refunded_minor;
        // An earlier attempt has refunded it, or it was refunded by hand.
        if request.amount_minor.is_none() && left == 0 {
            return Ok(PartialRefundOutcome::Made);
        }
        let wanted = request.amount_minor.unwrap_or(left);
        let amount = gateway_amount(wanted, &payment.currency).filter(|amount| *amount > 0);
        match (amount, &payment.reference) {
            (Some(amount), Some(reference)) => {
                let part = PartialRefund { request: request.id, reference: reference.clone(), amount };
                Ok(self.gateway.refund_part(&part).await?)
            }
            _ => Ok(PartialRefundOutcome::Refused(format!(
                "{} can't be refunded",
                price_text(wanted, &payment.currency)
            ))),
        }
    }
}
