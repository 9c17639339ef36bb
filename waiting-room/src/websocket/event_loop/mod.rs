//! The WebSocket event loop: one thread with `mio` owns all sockets of this node.
//!
//! A shopper who waits costs a record of at most 168 bytes: no task, no buffer, no parser. After
//! the handshake a socket leaves hyper and tokio. When its room changes, and at least once a
//! second, the loop takes a snapshot of the room, lets the update policy choose the messages of
//! each page, and writes them. There is no queue: a page that reads slowly receives the present
//! state, not a backlog.
//!
//! The thread blocks on nothing but the next event. Tasks send the requests of pages to Redis.
//!
//! - `handle`: commands to the loop, and those tasks.
//! - `reading`: frames that pages send. `refresh`: messages that pages lack.

mod handle;
mod reading;
mod refresh;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use fairline_line::{places::Place, ticket::Ordinal};
use fairline_sale::{SaleCard, SaleId};
use fairline_update_policy::{LineMessage, reconnect_within_ms};
use mio::{Events, Poll, Token};
use rand::seq::SliceRandom as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tracing::debug;

pub(crate) use self::handle::EventLoopHandle;
use self::handle::{Command, PageRequest};
use crate::{
    line::{
        room::{Room, Tab},
        wake_up::LoopWaker,
    },
    websocket::{
        frame::{self, PARTIAL_BYTES_MAX},
        idle_connection::{CloseReason, IdleConnection, Upgraded},
        slab::Slab,
    },
};

/// The loop's own waker among the sockets' events.
const WAKER: Token = Token(usize::MAX);
/// Events handled per poll.
const EVENTS_MAX: usize = 1024;
/// Commands in the queue, at most; further senders wait.
const COMMANDS_MAX: usize = 1024;
/// Every socket is refreshed once a second, a share of them in each tick.
const TICK: Duration = Duration::from_millis(100);
const TICKS_A_ROUND: usize = 10;
/// When the line moves, sockets with fewer shoppers ahead than this are refreshed in the next tick.
const FRONT: u64 = 1000;
/// How long the loop sleeps while no socket is open.
const IDLE: Duration = Duration::from_secs(1);
/// Interval between closing groups of sockets while the node drains.
const MOVE_TICK: Duration = Duration::from_millis(20);
/// Sockets that are refreshed from one snapshot of their room.
const BATCH: usize = 256;
/// Bytes per read; a partial frame precedes them.
const READ_BYTES: usize = 16 * 1024;
/// Bytes that a page may send at once before it is disconnected.
const BURST_BYTES_MAX: usize = 64 * 1024;
/// How long the loop waits for the page's close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same, at shutdown.
const LAST_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Tasks that send requests of pages to Redis. A claim and a departure of the same ticket may
/// arrive in either order: the departure prevails.
const REQUEST_WORKERS: usize = 16;
/// Requests in the queue of each task, at most; beyond them the page is sent to another node.
const REQUESTS_MAX: usize = 256;
/// Requests of one worker that wait for Redis at the same time.
const REQUESTS_AT_ONCE: usize = 64;
/// Unanswered requests per page, at most.
const REQUESTS_PER_PAGE_MAX: u8 = 8;

/// The sockets of one room.
struct RoomSockets {
    room: Arc<Room>,
    /// In the order of the line, with their slots.
    sockets: BTreeSet<(Ordinal, usize)>,
    /// The last socket that this round has refreshed.
    refreshed_up_to: (Ordinal, usize),
    /// Whether the line has moved since the sockets near its front were refreshed, and when they
    /// were.
    moved: bool,
    front_at: Duration,
}

/// Which sockets of a room to refresh.
#[derive(Clone, Copy)]
enum Recipients {
    All,
    /// Those with few shoppers ahead, and those with a turn.
    Front,
    /// This tick's share, so that every socket is refreshed within a round. These are also kept
    /// alive.
    Share,
}

/// All sockets, while the node drains.
struct Draining {
    since: Duration,
    over: Duration,
    all: usize,
    /// A random value below one, so that a single socket closes at a random time.
    jitter: f64,
    /// Sockets still open, in random order.
    left: Vec<usize>,
}

/// Messages and bytes sent since the last report.
#[derive(Default)]
struct MessageStats {
    messages: HashMap<&'static str, u64>,
    bytes: u64,
}

/// What to do after a read.
enum AfterRead {
    Stays,
    Broken,
    Ends(CloseReason),
}

/// The state of the event loop's thread.
struct EventLoop {
    poll: Poll,
    commands: mpsc::Receiver<Command>,
    waker: Arc<LoopWaker>,
    request_workers: Vec<mpsc::Sender<PageRequest>>,
    opened: Instant,
    now: Duration,
    sockets: Slab<IdleConnection>,
    rooms: HashMap<SaleId, RoomSockets>,
    /// Sockets with a close frame sent: when each is removed, in that order.
    closing: VecDeque<(Duration, usize, u32)>,
    serial: u32,
    draining: Option<Draining>,
    stats: MessageStats,
    ticked: Duration,
    counted: Duration,
    // Reused buffers, empty between uses.
    scratch: Vec<u8>,
    out: Vec<u8>,
    json: Vec<u8>,
    places: Vec<Option<Place>>,
    batch: Vec<(Ordinal, usize)>,
    /// The heartbeat as a frame, and the time that it announces.
    heartbeat: Vec<u8>,
    reconnect_within_ms: u32,
    /// The facts of the last sale as a frame, which is the same for all its pages.
    sale_frame: Option<(Arc<SaleCard>, Vec<u8>)>,
}

fn heartbeat(pages: usize) -> Vec<u8> {
    let json = serde_json::to_vec(&LineMessage::heartbeat(pages)).expect("a number is JSON");
    let mut frame = Vec::new();
    frame::text(&json, &mut frame);
    frame
}

impl EventLoop {
    fn new(
        poll: Poll,
        commands: mpsc::Receiver<Command>,
        waker: Arc<LoopWaker>,
        request_workers: Vec<mpsc::Sender<PageRequest>>,
    ) -> Self {
        Self {
            poll,
            commands,
            waker,
            request_workers,
            opened: Instant::now(),
            now: Duration::ZERO,
            sockets: Slab::new(),
            rooms: HashMap::new(),
            closing: VecDeque::new(),
            serial: 0,
            draining: None,
            stats: MessageStats::default(),
            ticked: Duration::ZERO,
            counted: Duration::ZERO,
            scratch: vec![0; PARTIAL_BYTES_MAX + READ_BYTES],
            out: Vec::new(),
            json: Vec::new(),
            places: Vec::new(),
            batch: Vec::new(),
            heartbeat: Vec::new(),
            reconnect_within_ms: 0,
            sale_frame: None,
        }
    }

    /// Runs until all sockets have closed on shutdown, or no sender is left.
    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut more = false;
        loop {
            fairline_server::report_alive();
            let pause = if more { Duration::ZERO } else { self.pause() };
            match self.poll.poll(&mut events, Some(pause)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            self.now = self.opened.elapsed();
            for event in &events {
                if event.token() != WAKER {
                    self.handle_event(event.token().0, event.is_writable());
                }
            }
            self.waker.reset();
            more = match self.take_commands() {
                Some(more) => more,
                None => return Ok(()),
            };
            self.handle_wake_ups();
            if self.now >= self.ticked + TICK {
                self.ticked = self.now;
                self.tick();
            }
            self.expire_closing();
            if self.draining.is_some() && self.drain() {
                self.report_metrics();
                return Ok(());
            }
            if self.now >= self.counted + IDLE {
                self.report_metrics();
            }
        }
    }

    fn pause(&self) -> Duration {
        if self.draining.is_some() {
            MOVE_TICK
        } else if self.sockets.is_empty() {
            IDLE
        } else {
            (self.ticked + TICK).saturating_sub(self.opened.elapsed())
        }
    }

    fn now_s(&self) -> u32 {
        u32::try_from(self.now.as_secs()).unwrap_or(u32::MAX)
    }

    /// Handles commands. Returns whether more wait, or `None` when no sender is left.
    fn take_commands(&mut self) -> Option<bool> {
        for _ in 0..COMMANDS_MAX {
            match self.commands.try_recv() {
                Ok(Command::Add { stream, received, tab, place }) => self.add(stream, &received, tab, place),
                Ok(Command::RequestDone { slot, serial, succeeded }) => {
                    let Some(connection) = self.sockets.get_mut(slot).filter(|connection| connection.serial == serial)
                    else {
                        continue;
                    };
                    connection.requests = connection.requests.saturating_sub(1);
                    // The page receives no reply; it repeats the request when it reconnects.
                    // Leaving is published by the line, to every tab.
                    if !succeeded && connection.tab.is_some() {
                        self.close(slot, CloseReason::GoingAway);
                    }
                }
                Ok(Command::Move { over }) => {
                    let mut left: Vec<usize> = self.sockets.taken().collect();
                    left.shuffle(&mut rand::rng());
                    self.draining =
                        Some(Draining { since: self.now, over, all: left.len(), jitter: rand::random(), left });
                }
                Err(mpsc::error::TryRecvError::Empty) => return Some(false),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
            }
        }
        Some(true)
    }

    /// Keeps the time that heartbeats announce in step with the number of sockets.
    fn renew_heartbeat(&mut self) {
        let within_ms = reconnect_within_ms(self.sockets.len());
        if within_ms != self.reconnect_within_ms {
            (self.reconnect_within_ms, self.heartbeat) = (within_ms, heartbeat(self.sockets.len()));
        }
    }

    fn add(&mut self, stream: std::net::TcpStream, received: &[u8], tab: Tab, place: OwnedSemaphorePermit) {
        let (room, ordinal) = (tab.room.clone(), tab.ordinal);
        self.serial = self.serial.wrapping_add(1);
        let upgraded = Upgraded { stream, tab, place };
        let slot = self.sockets.insert(IdleConnection::new(upgraded, self.serial, self.now_s()));
        let registered =
            self.sockets.get_mut(slot).map(|connection| connection.register(self.poll.registry(), Token(slot)));
        if let Some(Err(error)) = registered {
            debug!(%error, "register socket failed");
            self.sockets.remove(slot);
            return;
        }
        let room_sockets = self.rooms.entry(room.sale).or_insert_with(|| RoomSockets {
            room: room.clone(),
            sockets: BTreeSet::new(),
            refreshed_up_to: (0, 0),
            moved: false,
            front_at: Duration::ZERO,
        });
        room_sockets.sockets.insert((ordinal, slot));
        if self.draining.is_some() {
            self.close(slot, CloseReason::GoingAway);
            return;
        }
        self.update_page(slot);
        // The first heartbeat shows the page that there are heartbeats, and how often.
        self.renew_heartbeat();
        let now_s = self.now_s();
        if let Some(connection) = self.sockets.get_mut(slot).filter(|connection| connection.tab.is_some()) {
            self.stats.bytes += self.heartbeat.len() as u64;
            if connection.send(&self.heartbeat, now_s).is_err() {
                self.remove(slot);
                return;
            }
        }
        if !received.is_empty() {
            let mut bytes = received.to_vec();
            let outcome = match self.handle_frames(slot, &mut bytes) {
                Ok(handled) => {
                    let partial = &bytes[handled..];
                    if let Some(connection) = self.sockets.get_mut(slot) {
                        connection.keep_partial(partial);
                    }
                    AfterRead::Stays
                }
                Err(outcome) => outcome,
            };
            self.finish(slot, outcome);
        }
    }

    /// Sends the bytes in `out`.
    fn send(&mut self, slot: usize) -> Result<(), AfterRead> {
        let now_s = self.now_s();
        let Some(connection) = self.sockets.get_mut(slot) else { return Err(AfterRead::Stays) };
        self.stats.bytes += self.out.len() as u64;
        connection.send(&self.out, now_s).map_err(|_| AfterRead::Broken)
    }

    /// Sends a close frame and waits briefly, without blocking, for the page's own. Its tab is
    /// closed.
    fn close(&mut self, slot: usize, end: CloseReason) {
        self.out.clear();
        end.write(&mut self.out);
        match self.send(slot) {
            Ok(()) => self.await_close(slot),
            Err(_) => self.remove(slot),
        }
        // The page's close frame has arrived already.
        if let (CloseReason::ClosedByPage, Some(connection)) =
            (end, self.sockets.get_mut(slot).filter(|connection| !connection.is_blocked()))
        {
            connection.shut_down_writing();
        }
    }

    fn await_close(&mut self, slot: usize) {
        let Some(connection) = self.sockets.get_mut(slot) else { return };
        self.closing.push_back((self.now + CLOSE_TIMEOUT, slot, connection.serial));
        if let Some(tab) = connection.tab.take() {
            self.remove_from_room(&tab, slot);
        }
    }

    fn remove(&mut self, slot: usize) {
        if let Some(tab) = self.sockets.remove(slot).and_then(|mut connection| connection.tab.take()) {
            self.remove_from_room(&tab, slot);
        }
    }

    /// Removes a tab from its room. It closes when it is dropped.
    fn remove_from_room(&mut self, tab: &Tab, slot: usize) {
        if let Some(room_sockets) = self.rooms.get_mut(&tab.room.sale) {
            room_sockets.sockets.remove(&(tab.ordinal, slot));
            if room_sockets.sockets.is_empty() {
                self.rooms.remove(&tab.room.sale);
            }
        }
    }

    fn expire_closing(&mut self) {
        while let Some((_, slot, serial)) = self.closing.pop_front_if(|(until, ..)| *until <= self.now) {
            if self.sockets.get(slot).is_some_and(|connection| connection.serial == serial) {
                self.remove(slot);
            }
        }
    }

    /// Closes the sockets that are due. Returns whether the loop can end.
    fn drain(&mut self) -> bool {
        let now = self.now;
        loop {
            let Some(draining) = &mut self.draining else { return false };
            let part = (now - draining.since).as_secs_f64() / draining.over.as_secs_f64().max(f64::MIN_POSITIVE);
            let staying = draining.all as f64 * (1.0 - part) + draining.jitter;
            if draining.left.is_empty() || (draining.left.len() as f64) <= staying {
                break;
            }
            if let Some(slot) = draining.left.pop()
                && self.sockets.get(slot).is_some_and(|connection| connection.tab.is_some())
            {
                self.close(slot, CloseReason::GoingAway);
            }
        }
        let Some(draining) = &self.draining else { return false };
        let all_sent = draining.left.is_empty();
        all_sent && (self.sockets.is_empty() || now >= draining.since + draining.over + LAST_CLOSE_TIMEOUT)
    }

    /// Reports the figures as metrics.
    fn report_metrics(&mut self) {
        self.counted = self.now;
        for (kind, count) in self.stats.messages.drain() {
            metrics::counter!("line_messages_total", "type" => kind).increment(count);
        }
        let bytes = std::mem::take(&mut self.stats.bytes);
        metrics::counter!("line_bytes_sent_total", "transport" => "websocket").increment(bytes);
        metrics::gauge!("line_connections", "transport" => "websocket").set(self.sockets.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Option<IdleConnection>>() <= 168, "{}", size_of::<Option<IdleConnection>>());
    }
}
