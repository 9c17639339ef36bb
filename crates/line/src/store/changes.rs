//! The change channels of lines.

use fairline_redis::{Subscriber, SubscriberEvent};
use fairline_sale::SaleId;
use serde::Deserialize;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{LineError, channel, sale_of};
use crate::change::{Change, Revision};

/// Receives the changes of many lines over one connection to each shard of Redis, with sharded
/// publish and subscribe: a blocking read of streams could not span the slots of a shard.
pub struct ChangeReader(Subscriber);

/// What a [`ChangeReader`] receives.
#[derive(Debug, Clone, PartialEq)]
pub enum LineEvent {
    /// A change of a line, and the revision that it leads to.
    Change(SaleId, Revision, Change),
    /// A connection is new, or lines have moved to another shard. Changes may have been lost, and
    /// every line has to be followed again.
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
pub struct Inbox(Receiver<SubscriberEvent>);

impl ChangeReader {
    /// Connects. Nothing is lost from the first call of [`Self::inbox`] on.
    ///
    /// # Errors
    /// When Redis can't be reached.
    pub async fn connect(url: &str) -> Result<Self, LineError> {
        Ok(Self(Subscriber::connect(url).await?))
    }

    /// The events from now on.
    #[must_use]
    pub fn inbox(&self) -> Inbox {
        Inbox(self.0.inbox())
    }

    /// Subscribes to the changes of this line. May be repeated.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn follow(&self, sale: SaleId) -> Result<(), LineError> {
        Ok(self.0.subscribe(&channel(sale)).await?)
    }

    /// Unsubscribes from this line.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn unfollow(&self, sale: SaleId) -> Result<(), LineError> {
        Ok(self.0.unsubscribe(&channel(sale)).await?)
    }
}

impl Inbox {
    /// Waits for the next event.
    pub async fn next(&mut self) -> LineEvent {
        loop {
            let message = match self.0.recv().await {
                Ok(SubscriberEvent::Message(message)) => message,
                Ok(SubscriberEvent::Anew) | Err(RecvError::Lagged(_)) => return LineEvent::Reconnected,
                // The reader was dropped.
                Err(RecvError::Closed) => std::future::pending().await,
            };
            let Some(sale) = sale_of(&message.channel) else { continue };
            let published = message.value.as_bytes().and_then(|json| serde_json::from_slice(json).ok());
            // An unreadable message leaves a gap in the revisions, so it is noticed.
            if let Some(Published { revision, change }) = published {
                return LineEvent::Change(sale, revision, change);
            }
        }
    }
}
