//! Orders as their owners see them.

use fairline_server::Shutdown;

use crate::{
    auth::{
        account::AccountId,
        caller::{Caller, Callers, ShopperIdentity},
    },
    error::CommonError,
    orders::{
        order::{Order, OrderId},
        store::OrderStore,
    },
};

/// The state of orders.
pub(crate) struct Orders {
    pub(crate) store: OrderStore,
    pub(crate) callers: Callers,
    pub(crate) shutdown: Shutdown,
}

/// The subject of an id: an order, or an account with its orders.
pub(crate) enum FoundOrder {
    Order(Box<Order>),
    OrdersOfAccount(Vec<Order>),
}

impl Orders {
    pub(crate) async fn orders(&self, shopper: &ShopperIdentity) -> Result<Vec<Order>, CommonError> {
        Ok(self.store.orders(shopper).await?)
    }

    pub(crate) async fn order_for(&self, order: OrderId, caller: &Caller) -> Result<Order, CommonError> {
        self.store.order_for(order, caller).await?.ok_or(CommonError::OrderNotFound)
    }

    /// The order with an id, or the orders of the account with it.
    pub(crate) async fn find(&self, id: OrderId, caller: &Caller) -> Result<FoundOrder, CommonError> {
        let account = AccountId(id.0);
        if caller.shopper().account() == Some(account) {
            return Ok(FoundOrder::OrdersOfAccount(self.store.orders_of_account(account).await?));
        }
        if let Some(order) = self.store.order_for(id, caller).await? {
            return Ok(FoundOrder::Order(Box::new(order)));
        }
        let orders = if caller.is_merchant() { self.store.orders_of_account(account).await? } else { Vec::new() };
        if orders.is_empty() { Err(CommonError::OrderNotFound) } else { Ok(FoundOrder::OrdersOfAccount(orders)) }
    }

    pub(crate) async fn forget(&self, shopper: ShopperIdentity) -> Result<u64, CommonError> {
        let store = self.store.clone();
        Ok(self.shutdown.spawn(async move { store.forget(&shopper).await }).await??)
    }
}
