//! The open connections of this node: event streams and WebSockets.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::response::sse::Event;
use fairline_server::Shutdown;
use futures_util::{Stream, StreamExt as _, stream};
use hyper::upgrade::OnUpgrade;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::debug;

use super::error::RoomError;
use crate::{
    line::room::Tab,
    stream::session::StreamSession,
    websocket::{event_loop::EventLoopHandle, handshake},
};

/// The connections of this node.
#[derive(Clone)]
pub(crate) struct Connections {
    pub(crate) event_loop: EventLoopHandle,
    /// Free connection slots.
    pub(crate) slots: Arc<Semaphore>,
    /// All connection slots.
    pub(crate) slots_max: usize,
    /// How long a stopping node takes to move its clients to other nodes.
    pub(crate) move_over: Duration,
    pub(crate) shutdown: Shutdown,
}

/// A reserved connection slot, free again when the connection is dropped.
pub(super) struct ConnectionSlot {
    connections: Connections,
    permit: OwnedSemaphorePermit,
}

impl Connections {
    /// Reserves a connection slot of this node.
    pub(super) fn reserve(self) -> Result<ConnectionSlot, RoomError> {
        let permit = self.slots.clone().try_acquire_owned().map_err(|_| RoomError::Full)?;
        Ok(ConnectionSlot { connections: self, permit })
    }
}

impl ConnectionSlot {
    /// The messages to a tab as an event stream.
    pub(super) fn events(self, tab: Tab) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
        let Self { connections: Connections { slots, slots_max, move_over, shutdown, .. }, permit } = self;
        let events = stream::unfold((StreamSession::new(tab), OpenStream::new(permit)), move |(mut session, open)| {
            let slots = slots.clone();
            async move {
                if session.is_over() {
                    return None;
                }
                let message = session.next_or_heartbeat(|| slots_max - slots.available_permits()).await;
                let json = serde_json::to_string(&message).expect("messages are strings, numbers and dates");
                metrics::counter!("line_bytes_sent_total", "transport" => "events").increment(json.len() as u64);
                Some((Ok(Event::default().data(json)), (session, open)))
            }
        });
        // A node that stops spreads the ends of its streams over time, so that other nodes can
        // accept the reconnections.
        let leave_after = move_over.mul_f64(rand::random());
        events.take_until(Box::pin(async move {
            shutdown.triggered().await;
            tokio::time::sleep(leave_after).await;
        }))
    }

    /// Moves an upgraded connection to the event loop after the handshake.
    pub(super) fn upgrade(self, upgraded: OnUpgrade, tab: Tab) {
        let Self { connections: Connections { event_loop, shutdown, .. }, permit } = self;
        shutdown.spawn(async move {
            match upgraded.await.map_err(std::io::Error::other).and_then(handshake::into_socket) {
                Ok((stream, received)) => event_loop.add(stream, received, tab, permit).await,
                // The client disconnected during the upgrade: the tab closes and the grace period
                // starts.
                Err(error) => debug!(%error, "upgrade websocket failed"),
            }
        });
    }
}

/// Counts an open event stream and holds its connection slot until it is dropped.
struct OpenStream {
    open: metrics::Gauge,
    _permit: OwnedSemaphorePermit,
}

impl OpenStream {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        let open = metrics::gauge!("line_connections", "transport" => "events");
        open.increment(1.0);
        Self { open, _permit: permit }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}
