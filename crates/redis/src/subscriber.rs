//! Sharded publish and subscribe.

use fred::{error::Error, interfaces::PubsubInterface as _};
use tokio::sync::broadcast::{Receiver, Sender};

use crate::{
    client::{MESSAGES_WAITING_MAX, SubscriberEvent},
    redis::Redis,
};

/// Receives the messages of channels, over one connection to each primary that has some.
pub struct Subscriber {
    redis: Redis,
    inbox: Sender<SubscriberEvent>,
}

impl Subscriber {
    /// Connects. Of a cluster, one primary suffices.
    ///
    /// # Errors
    /// When the URL is invalid, or no server responds there.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let inbox = Sender::new(MESSAGES_WAITING_MAX);
        Ok(Self { redis: Redis::connect_subscriber(url, Some(inbox.clone())).await?, inbox })
    }

    /// What arrives from now on.
    #[must_use]
    pub fn inbox(&self) -> Receiver<SubscriberEvent> {
        self.inbox.subscribe()
    }

    /// Subscribes to a channel. May be repeated.
    ///
    /// # Errors
    /// When the server of the channel does not respond.
    pub async fn subscribe(&self, channel: &str) -> Result<(), Error> {
        self.redis.run(channel, |client| async move { client.ssubscribe(channel).await }).await
    }

    /// Unsubscribes from a channel.
    ///
    /// # Errors
    /// When the server of the channel does not respond.
    pub async fn unsubscribe(&self, channel: &str) -> Result<(), Error> {
        self.redis.run(channel, |client| async move { client.sunsubscribe(channel).await }).await
    }
}
