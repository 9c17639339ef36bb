//! Batches of resumed tickets: one call to the line carries all recent ones. A polling page
//! presents its ticket with each poll, and after a node failure all of its clients present theirs
//! at once.

use std::{sync::Arc, time::Duration};

use fairline_line::{
    store::{LineError, LineStore},
    ticket::Ticket,
};
use fairline_server::Shutdown;
use tokio::sync::{mpsc, oneshot};

use crate::line::{
    batches::{self, Bounds},
    room::Room,
    room_sync::resume,
};

const BOUNDS: Bounds = Bounds { waiting_max: 20_000, batch_max: 1000, calls_max: 8, gather: Duration::from_millis(2) };

struct PresentedTicket {
    room: Arc<Room>,
    ticket: Ticket,
    answer: oneshot::Sender<Result<(), LineError>>,
}

/// Sends presented tickets to the batching task.
pub(crate) struct Resumes(mpsc::Sender<PresentedTicket>);

impl Resumes {
    /// Starts the task that gathers batches.
    pub(crate) fn start(store: LineStore, shutdown: &Shutdown) -> Self {
        let sale = |shown: &PresentedTicket| shown.room.sale;
        Self(batches::start(BOUNDS, shutdown, sale, move |_, shown| present(store.clone(), shown)))
    }

    /// Presents a ticket to the line and notifies its tabs of its turn.
    ///
    /// # Errors
    /// When the line does not respond, or the queue is full.
    pub(crate) async fn resume(&self, room: Arc<Room>, ticket: Ticket) -> Result<(), LineError> {
        let (answer, answered) = oneshot::channel();
        let crowded = || LineError::Unavailable("too many tickets are waiting to be presented".to_owned());
        self.0.try_send(PresentedTicket { room, ticket, answer }).map_err(|_| crowded())?;
        answered.await.map_err(|_| crowded())?
    }
}

/// Presents one or more tickets of one sale.
async fn present(store: LineStore, shown: Vec<PresentedTicket>) {
    let Some(PresentedTicket { room, .. }) = shown.first() else { return };
    let tickets: Vec<Ticket> = shown.iter().map(|shown| shown.ticket).collect();
    let resumed = resume(&store, room, &tickets).await;
    for PresentedTicket { answer, .. } in shown {
        // A client that disconnected meanwhile presents the ticket again.
        let _ = answer.send(resumed.clone());
    }
}
