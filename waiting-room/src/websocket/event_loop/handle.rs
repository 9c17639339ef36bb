//! The handle to the event loop, and the tasks that send requests of pages to Redis.

use std::{io, sync::Arc, time::Duration};

use fairline_line::{store::LineStore, ticket::Ticket};
use fairline_server::{REPORT_EVERY, Shutdown, report_alive};
use fairline_update_policy::PageMessage;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use mio::Poll;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::sleep,
};
use tracing::{debug, error};

use super::{COMMANDS_MAX, EventLoop, REQUEST_WORKERS, REQUESTS_AT_ONCE, REQUESTS_MAX, WAKER};
use crate::line::{room::Tab, wake_up::LoopWaker};

/// Commands to the loop.
pub(super) enum Command {
    /// Adds a socket, with the bytes that its page has sent already.
    Add { stream: std::net::TcpStream, received: Vec<u8>, tab: Tab, place: OwnedSemaphorePermit },
    /// A page's request has been sent to Redis, or has failed.
    RequestDone { slot: usize, serial: u32, succeeded: bool },
    /// Closes all sockets, spread over this time.
    Move { over: Duration },
}

/// A request of a page to the line.
pub(super) struct PageRequest {
    pub(super) slot: usize,
    pub(super) serial: u32,
    pub(super) ticket: Ticket,
    pub(super) message: PageMessage,
}

/// Sends commands to the event loop.
#[derive(Clone)]
pub(crate) struct EventLoopHandle {
    commands: mpsc::Sender<Command>,
    waker: Arc<LoopWaker>,
}

impl EventLoopHandle {
    /// Starts the loop's thread. On shutdown the loop closes all sockets, spread over `move_over`,
    /// and ends.
    ///
    /// # Errors
    /// When the operating system provides no thread or no poll.
    pub(crate) fn start(store: &LineStore, move_over: Duration, shutdown: &Shutdown) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(LoopWaker::new(poll.registry(), WAKER)?);
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let handle = Self { commands, waker };
        let request_workers = (0..REQUEST_WORKERS).map(|_| handle.request_worker(store.clone(), shutdown)).collect();
        let event_loop = EventLoop::new(poll, receiver, handle.waker.clone(), request_workers);
        let (closes, closed) = oneshot::channel();
        let watched = shutdown.watch("websocket-event-loop");
        std::thread::Builder::new().name("handle".to_owned()).spawn(move || {
            let kept = watched.run_blocking(|| event_loop.run());
            // The receiver is dropped when the runtime has ended.
            let _ = closes.send(kept);
        })?;
        let (mover, stop) = (handle.clone(), shutdown.clone());
        shutdown.spawn(async move {
            let mut closed = closed;
            let kept = tokio::select! {
                kept = &mut closed => kept,
                () = stop.triggered() => {
                    mover.send(Command::Move { over: move_over }).await;
                    closed.await
                }
            };
            let error = match kept {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "its thread panicked".to_owned(),
            };
            error!(%error, "websocket event loop failed; shutting down");
            stop.trigger();
        });
        Ok(handle)
    }

    /// Wakes the loop.
    pub(crate) fn waker(&self) -> Arc<LoopWaker> {
        self.waker.clone()
    }

    /// Adds a socket, which the loop then owns.
    pub(crate) async fn add(
        &self,
        stream: std::net::TcpStream,
        received: Vec<u8>,
        tab: Tab,
        place: OwnedSemaphorePermit,
    ) {
        self.send(Command::Add { stream, received, tab, place }).await;
    }

    async fn send(&self, command: Command) {
        // A loop that has ended drops the command: the socket closes, and its page reconnects
        // elsewhere.
        if self.commands.send(command).await.is_ok() {
            self.waker.wake();
        }
    }

    /// Starts a task that sends requests of pages to Redis.
    fn request_worker(&self, store: LineStore, shutdown: &Shutdown) -> mpsc::Sender<PageRequest> {
        let (requests, mut waiting) = mpsc::channel(REQUESTS_MAX);
        let (handle, watched) = (self.clone(), shutdown.watch("page-requests"));
        // Ends with the event loop.
        shutdown
            .spawn(async move { while watched.caught(handle.send_requests(&mut waiting, &store)).await.is_none() {} });
        requests
    }

    /// Several at once: a request to a silent Redis shard delays none to the others.
    async fn send_requests(&self, waiting: &mut mpsc::Receiver<PageRequest>, store: &LineStore) {
        let mut under_way = FuturesUnordered::new();
        loop {
            report_alive();
            // While none can begin and none ends, the worker stalls.
            let is_free = under_way.len() < REQUESTS_AT_ONCE;
            tokio::select! {
                request = waiting.recv(), if is_free => match request {
                    Some(request) => under_way.push(self.send_request(request, store)),
                    None => break,
                },
                Some(()) = under_way.next() => {}
                () = sleep(REPORT_EVERY), if is_free => {}
            }
        }
        under_way.collect::<()>().await;
    }

    async fn send_request(&self, request: PageRequest, store: &LineStore) {
        let PageRequest { slot, serial, ticket, message } = request;
        let done = match message {
            PageMessage::Claim => store.claim(&ticket).await,
            PageMessage::Leave => store.leave(&ticket).await,
        };
        if let Err(error) = &done {
            debug!(%error, "page request failed");
        }
        self.send(Command::RequestDone { slot, serial, succeeded: done.is_ok() }).await;
    }
}
