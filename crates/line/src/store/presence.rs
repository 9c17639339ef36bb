//! Presence: grace periods, reports of nodes, and roll calls.

use std::time::Duration;

use fairline_sale::SaleId;
use fred::types::Value;

use super::{
    LineError, LineStore,
    calls::{Absent, Present, RollCall, Sweep, milliseconds, number},
};
use crate::ticket::Ordinal;

/// What a node reports of itself.
#[derive(Debug, Clone)]
pub struct NodeReport<'a> {
    /// Unique among the nodes.
    pub name: &'a str,
    /// How long the report is valid.
    pub up_for: Duration,
    /// The ordinals of its connected shoppers: a bitmap like those of Redis, bit `n` from the most
    /// significant bit of the first byte for ordinal `n`.
    pub connected: Vec<u8>,
}

impl LineStore {
    /// Starts the grace periods of these tickets, whose holders have disconnected. With `notify`,
    /// every node receives the change, so that a node to which the shopper is still connected
    /// resumes the ticket. May be repeated.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn absent(
        &self,
        sale: SaleId,
        grace: Duration,
        notify: bool,
        ordinals: &[Ordinal],
    ) -> Result<(), LineError> {
        let call = Absent {
            grace_ms: milliseconds(grace),
            notify: number(notify.into()),
            ordinals: ordinals.iter().map(|&ordinal| [number(ordinal)]).collect(),
        };
        self.call(sale, call).await?;
        Ok(())
    }

    /// Reports that a node has presented its tickets in this epoch and is up for a while, and which
    /// ordinals are connected to it. Changes nothing if the line is in another epoch.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn present(&self, sale: SaleId, epoch: u32, node: NodeReport<'_>) -> Result<(), LineError> {
        let call = Present {
            epoch: number(epoch.into()),
            node: Value::from(node.name),
            up_for_ms: milliseconds(node.up_for),
            connected: Value::Bytes(node.connected.into()),
        };
        self.call(sale, call).await?;
        Ok(())
    }

    /// Starts the grace period of every waiting ticket that is connected to no node, in steps: call
    /// it with `after` 0, then with each result, until the result is 0.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn roll_call(&self, sale: SaleId, grace: Duration, after: Ordinal) -> Result<Ordinal, LineError> {
        self.call(sale, RollCall { grace_ms: milliseconds(grace), after: number(after) }).await
    }

    /// Marks up to `max` tickets whose grace period has run out as departed, and returns how many.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn sweep(&self, sale: SaleId, max: u64) -> Result<u64, LineError> {
        self.call(sale, Sweep { max: number(max) }).await
    }
}
