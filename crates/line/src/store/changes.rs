//! The change channels of lines.

use fairline_sale::SaleId;
use fred::{
    clients::Client,
    interfaces::{EventInterface as _, PubsubInterface as _},
    types::{Message, config::Server},
};
use serde::Deserialize;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{LineError, channel, sale_of};
use crate::change::{Change, Revision};

/// Receives the changes of many lines over one connection to each shard of Redis, with sharded
/// publish and subscribe: a blocking read of streams could not span the slots of a shard.
pub struct ChangeReader {
    client: Client,
}

/// What a [`ChangeReader`] receives.
#[derive(Debug, Clone, PartialEq)]
pub enum LineEvent {
    /// A change of a line, and the revision that it leads to.
    Change(SaleId, Revision, Change),
    /// The connection is new. Changes may have been lost, and every line has to be followed again.
    Reconnected,
}

/// A change as the functions publish it.
#[derive(Deserialize)]
struct Published {
    #[serde(flatten)]
    revision: Revision,
    #[serde(flatten)]
    change: Change,
}

/// Where the events of a [`ChangeReader`] arrive.
pub struct Inbox {
    messages: Receiver<Message>,
    connections: Receiver<Server>,
}

impl ChangeReader {
    /// Connects. Nothing is lost from the first call of [`Self::inbox`] on.
    ///
    /// # Errors
    /// When Redis can't be reached.
    pub async fn connect(url: &str) -> Result<Self, LineError> {
        Ok(Self { client: fairline_redis::connect_subscriber(url).await? })
    }

    /// The events from now on.
    #[must_use]
    pub fn inbox(&self) -> Inbox {
        Inbox { messages: self.client.message_rx(), connections: self.client.reconnect_rx() }
    }

    /// Subscribes to the changes of this line. May be repeated.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn follow(&self, sale: SaleId) -> Result<(), LineError> {
        Ok(self.client.ssubscribe(channel(sale)).await?)
    }

    /// Unsubscribes from this line.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn unfollow(&self, sale: SaleId) -> Result<(), LineError> {
        Ok(self.client.sunsubscribe(channel(sale)).await?)
    }
}

impl Inbox {
    /// Waits for the next event.
    pub async fn next(&mut self) -> LineEvent {
        loop {
            let message = tokio::select! {
                biased;
                connection = self.connections.recv() => {
                    match connection {
                        Ok(_) | Err(RecvError::Lagged(_)) => return LineEvent::Reconnected,
                        // The client is gone.
                        Err(RecvError::Closed) => std::future::pending().await,
                    }
                }
                message = self.messages.recv() => message,
            };
            match message {
                Ok(message) => {
                    let Some(sale) = sale_of(&message.channel) else { continue };
                    let published = message.value.as_bytes().and_then(|json| serde_json::from_slice(json).ok());
                    // An unreadable message leaves a gap in the revisions, so it is noticed.
                    if let Some(Published { revision, change }) = published {
                        return LineEvent::Change(sale, revision, change);
                    }
                }
                // A gap, too.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
