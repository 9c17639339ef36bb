//! Payments without HTTP, over the caller's own gateway.

use std::sync::Arc;

use fairline_payment_gateway as gateway;
use fairline_postgres::{PostgresSettings, StoreError};
use fairline_sale::{OrderStatus, SaleId};
use fairline_server::{Secret, Shutdown, StartError};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    PAYMENT_CONNECTIONS,
    auth::caller::{Caller, Callers},
    orders::{expiry::store::ExpiryStore, order::OrderId, store::OrderStore},
    payments::{
        gateway_events::store::{GatewayEvent, GatewayReceipt},
        service::Payments,
        store::PaymentStore,
    },
};

/// Payments that one sweep resumes at the same time.
const TOGETHER: u32 = 8;

/// The payments of one process, without its loops: each step is taken when it is called for.
pub struct DirectPayments {
    payments: Arc<Payments>,
    expiry: ExpiryStore,
}

impl DirectPayments {
    /// Opens payments on a database and over a gateway.
    ///
    /// # Errors
    /// Returns an error if the URL is invalid.
    pub fn open(postgres_url: &str, gateway: Box<dyn gateway::Gateway>) -> Result<Self, StartError> {
        let pool = |name| PostgresSettings::default().pool(postgres_url, name, PAYMENT_CONNECTIONS);
        let (requests, payments) = (pool("checkout")?, pool("checkout-payments")?);
        let stripe = gateway::Stripe::new("http://127.0.0.1", Secret::new("unused"))?;
        // A circuit that no call opens.
        let (_, circuit) = gateway::ResilientGateway::new(stripe);
        // No caller sends a ticket.
        let tickets = "0".repeat(64).parse().expect("64 digits");
        let payments = Payments {
            store: PaymentStore { requests: requests.clone(), payments },
            orders: OrderStore(requests.clone()),
            callers: Callers::new(tickets, None, None),
            gateway,
            circuit,
            webhook_secrets: Vec::new(),
            shutdown: Shutdown::new(),
        };
        Ok(Self { payments: Arc::new(payments), expiry: ExpiryStore(requests) })
    }

    /// The number of tasks that have not ended.
    #[must_use]
    pub fn tasks(&self) -> usize {
        Arc::strong_count(&self.payments) - 1
    }

    /// A shopper's request to pay, until it would wait for longer.
    pub fn pay(&self, order: Uuid, payment_method: &str) {
        let (payments, method) = (self.payments.clone(), payment_method.to_owned());
        tokio::spawn(async move {
            if let Ok(Some(mut payment)) = payments.begin(OrderId(order), &method).await {
                let _ = payments.drive(&mut payment).await;
            }
        });
    }

    /// What the page of an order shows.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn status(&self, order: Uuid) -> Result<Option<OrderStatus>, StoreError> {
        let order = self.payments.orders.order_for(OrderId(order), &Caller::Merchant).await?;
        Ok(order.map(|order| order.status))
    }

    /// Cancels an order, or withdraws its payment only. Returns the status that is reported as
    /// done; none if it is rejected, or not reported yet.
    pub async fn give_up(&self, order: Uuid, keeps_order: bool) -> Option<OrderStatus> {
        let order = OrderId(order);
        let attempt = if keeps_order {
            self.payments.try_to_withdraw(order, &Caller::Merchant).await
        } else {
            self.payments.try_to_cancel(order, &Caller::Merchant).await
        };
        match attempt {
            Ok(Ok(order)) => Some(order.status),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// One sweep: expired holds, late and interrupted payments, settlements, and requested refunds.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn sweep(&self, sale: SaleId) -> Result<(), StoreError> {
        self.expiry.expire_holds(sale).await?;
        let slots = Arc::new(Semaphore::new(TOGETHER as usize));
        self.payments.finish_payments(&slots, TOGETHER).await.map(drop)
    }

    /// An event of the gateway about an intent.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn receive(&self, id: &str, reference: &str, event: DirectEvent) -> Result<(), StoreError> {
        let DirectEvent { payment, may_be_open, moves_money_back } = event;
        let event = GatewayEvent { id, reference, payment: Some(payment), may_be_open, moves_money_back };
        if let GatewayReceipt::About(mut payment) = self.payments.store.receive_gateway_event(&event).await? {
            let payments = self.payments.clone();
            tokio::spawn(async move { payments.drive(&mut payment).await });
        }
        Ok(())
    }

    /// The merchant's request for a refund; the next sweep executes it.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn request_refund(&self, order: Uuid, amount_minor: Option<i64>) -> Result<(), StoreError> {
        self.payments.store.request_refund(OrderId(order), amount_minor, "a reason").await.map(drop)
    }
}

/// What an event of the gateway says.
#[derive(Debug, Clone, Copy)]
pub struct DirectEvent {
    /// The payment of the intent.
    pub payment: gateway::PaymentId,
    /// The gateway has authorised or captured money.
    pub may_be_open: bool,
    /// A refund or a dispute.
    pub moves_money_back: bool,
}
