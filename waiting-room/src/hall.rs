//! The hall: where sockets wait. One thread of the system holds all of a node's, with `mio`.
//!
//! A shopper who waits costs a record of a few dozen bytes: no task, no buffer, no parser. After the handshake a socket
//! leaves hyper and tokio for good and is *parked*. When its room's bell rings, or at the latest once a second, the hall
//! looks at the room as it is by then, asks `speech` what each page has to hear, and writes that. So there is no queue
//! anywhere: a page that was slow to read hears what is so now.
//!
//! The thread never waits for anything but the next event. What pages ask of the line is done by tasks.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    io,
    ops::Bound,
    sync::Arc,
    time::{Duration, Instant},
};

use fairline_line::{change::Turn, store::LineStore, ticket::Ordinal, ticket::Ticket, view::Place};
use fairline_sale::{SaleCard, SaleId};
use fairline_service::Shutdown;
use mio::{Events, Poll, Token};
use rand::seq::SliceRandom as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tracing::{debug, error};

use crate::{
    bell::{Bell, Note, Pull},
    frame::{self, HALF_BYTES_MAX, Heard, Refused},
    message::{LineMessage, PageMessage},
    parked::{Care, End, HEARTBEAT_S, Parked},
    room::{Outlook, Room, Tab},
    slots::Slots,
    speech::Facts,
    waits,
};

/// The hall's own waker among the sockets' events.
const WAKER: Token = Token(usize::MAX);
/// Events that are taken in one go.
const EVENTS_MAX: usize = 1024;
/// Words that wait for the hall at most; whoever has one more waits, too.
const WORDS_MAX: usize = 1024;
/// Every socket is looked at once a second, a share of them with each tick.
const TICK: Duration = Duration::from_millis(100);
const TICKS_A_ROUND: usize = 10;
/// When the line has moved, those with fewer people ahead are looked at with the next tick, not with their share.
const FRONT: u64 = 1000;
/// How long the hall sleeps while nobody is there.
const IDLE: Duration = Duration::from_secs(1);
/// While sockets are told to move, some go each time.
const MOVE_TICK: Duration = Duration::from_millis(20);
/// Sockets that are looked at together, at one moment of their line.
const TOGETHER: usize = 256;
/// What is read in one go, in bytes; a half frame goes before it.
const READ_BYTES: usize = 16 * 1024;
/// A page that says so much at once says nothing that a line listens to, in bytes.
const BURST_BYTES_MAX: usize = 64 * 1024;
/// How long a page may take to say goodbye after the last word.
const GOODBYE_MAX: Duration = Duration::from_secs(5);
/// The same, when the hall closes.
const LAST_GOODBYE_MAX: Duration = Duration::from_secs(2);
/// Tasks that do what pages ask. One ticket's wishes are done by one of them, in order.
const ASKERS: usize = 16;
/// Wishes that wait for each of them at most; beyond them a page is sent to another node.
const ASKS_MAX: usize = 256;
/// Wishes of one page that wait at most.
const ASKS_OF_ONE_MAX: u8 = 8;

/// What the rest of the node tells the hall.
enum Word {
    /// A socket that is to wait here, and what its page has said already.
    Park { stream: std::net::TcpStream, said: Vec<u8>, tab: Tab, place: OwnedSemaphorePermit },
    /// The line has heard what a page has asked, or has not.
    Answered { slot: usize, serial: u32, heard: bool },
    /// All have to go, spread over this time.
    Move { over: Duration },
}

/// What a page asks of the line.
struct Ask {
    slot: usize,
    serial: u32,
    ticket: Ticket,
    message: PageMessage,
}

/// The door to the hall.
#[derive(Clone)]
pub(crate) struct Hall {
    words: mpsc::Sender<Word>,
    pull: Arc<Pull>,
}

impl Hall {
    /// Opens the hall. When asked to stop it tells everybody to move, spread over `move_over`, and closes.
    ///
    /// # Errors
    /// When the system gives no thread or no poll.
    pub(crate) fn open(store: &LineStore, move_over: Duration, shutdown: &Shutdown) -> io::Result<Self> {
        let poll = Poll::new()?;
        let pull = Arc::new(Pull::new(poll.registry(), WAKER)?);
        let (words, receiver) = mpsc::channel(WORDS_MAX);
        let hall = Self { words, pull };
        let askers = (0..ASKERS).map(|_| hall.asker(store.clone(), shutdown)).collect();
        let keeper = Keeper::new(poll, receiver, hall.pull.clone(), askers);
        let (closes, closed) = oneshot::channel();
        std::thread::Builder::new().name("hall".to_owned()).spawn(move || {
            let kept = keeper.run();
            // Nobody listens once the runtime is gone.
            let _ = closes.send(kept);
        })?;
        let (mover, stop) = (hall.clone(), shutdown.clone());
        shutdown.spawn(async move {
            let mut closed = closed;
            let kept = tokio::select! {
                kept = &mut closed => kept,
                () = stop.triggered() => {
                    mover.tell(Word::Move { over: move_over }).await;
                    closed.await
                }
            };
            if !matches!(kept, Ok(Ok(()))) {
                error!(?kept, "the hall has fallen in; this process stops");
                stop.trigger();
            }
        });
        Ok(hall)
    }

    /// A bell that this hall hears.
    pub(crate) fn bell(&self) -> Bell {
        Bell::new(self.pull.clone())
    }

    /// Takes a socket in. From here on nobody else knows it.
    pub(crate) async fn park(&self, stream: std::net::TcpStream, said: Vec<u8>, tab: Tab, place: OwnedSemaphorePermit) {
        self.tell(Word::Park { stream, said, tab, place }).await;
    }

    async fn tell(&self, word: Word) {
        // A hall that has closed drops what it is told: the socket hangs up, and its page reconnects elsewhere.
        if self.words.send(word).await.is_ok() {
            self.pull.pull();
        }
    }

    /// Starts a task that does what pages ask.
    fn asker(&self, store: LineStore, shutdown: &Shutdown) -> mpsc::Sender<Ask> {
        let (asks, mut waiting) = mpsc::channel::<Ask>(ASKS_MAX);
        let hall = self.clone();
        // Ends with the hall.
        shutdown.spawn(async move {
            while let Some(Ask { slot, serial, ticket, message }) = waiting.recv().await {
                let done = match message {
                    PageMessage::Claim => store.claim(&ticket).await,
                    PageMessage::Leave => store.leave(&ticket).await,
                };
                if let Err(error) = &done {
                    debug!(%error, "the line did not hear a page");
                }
                hall.tell(Word::Answered { slot, serial, heard: done.is_ok() }).await;
            }
        });
        asks
    }
}

/// A room with somebody in it.
struct Company {
    room: Arc<Room>,
    /// Who is here, in the order of the line, with their slots.
    sockets: BTreeSet<(Ordinal, usize)>,
    /// Where this round has come to.
    looked_at: (Ordinal, usize),
    /// Whether the line has moved since those near its front were looked at, and when they were.
    moved: bool,
    front_at: Duration,
}

/// Whom a look at a room is for.
#[derive(Clone, Copy)]
enum Whom {
    All,
    /// Those with few people ahead, and those whose turn has come.
    Front,
    /// Some, so that everybody has been looked at within a round. They are cared for, too.
    Share,
}

/// All sockets on their way out.
struct Moving {
    since: Duration,
    over: Duration,
    all: usize,
    /// Less than one, at random, so that a single socket goes at any time.
    jitter: f64,
    /// Who is left, in random order.
    left: Vec<usize>,
}

/// What has been said, since the last time that it was counted.
#[derive(Default)]
struct Tally {
    messages: HashMap<&'static str, u64>,
    bytes: u64,
}

/// How a socket fares after what it said was read.
enum Fate {
    Stays,
    Gone,
    Ends(End),
}

/// The thread that keeps the hall.
struct Keeper {
    poll: Poll,
    words: mpsc::Receiver<Word>,
    pull: Arc<Pull>,
    askers: Vec<mpsc::Sender<Ask>>,
    opened: Instant,
    now: Duration,
    sockets: Slots<Parked>,
    rooms: HashMap<SaleId, Company>,
    /// Sockets that have heard the last word, with when they are hung up on, in that order.
    goodbyes: VecDeque<(Duration, usize, u32)>,
    serial: u32,
    moving: Option<Moving>,
    tally: Tally,
    ticked: Duration,
    counted: Duration,
    // Kept to be used again, and empty in between.
    scratch: Vec<u8>,
    out: Vec<u8>,
    json: Vec<u8>,
    places: Vec<Option<Place>>,
    together: Vec<(Ordinal, usize)>,
    /// The frame that says that a connection is alive.
    heartbeat: Vec<u8>,
    /// The last sale's facts, as the frame that tells them: the same for everybody.
    sale_frame: Option<(Arc<SaleCard>, Vec<u8>)>,
}

fn heartbeat() -> Vec<u8> {
    let message = LineMessage::Heartbeat { next_in_s: HEARTBEAT_S };
    let json = serde_json::to_vec(&message).expect("a number is JSON");
    let mut frame = Vec::new();
    frame::text(&json, &mut frame);
    frame
}

impl Keeper {
    fn new(poll: Poll, words: mpsc::Receiver<Word>, pull: Arc<Pull>, askers: Vec<mpsc::Sender<Ask>>) -> Self {
        Self {
            poll,
            words,
            pull,
            askers,
            opened: Instant::now(),
            now: Duration::ZERO,
            sockets: Slots::new(),
            rooms: HashMap::new(),
            goodbyes: VecDeque::new(),
            serial: 0,
            moving: None,
            tally: Tally::default(),
            ticked: Duration::ZERO,
            counted: Duration::ZERO,
            scratch: vec![0; HALF_BYTES_MAX + READ_BYTES],
            out: Vec::new(),
            json: Vec::new(),
            places: Vec::new(),
            together: Vec::new(),
            heartbeat: heartbeat(),
            sale_frame: None,
        }
    }

    /// Keeps the hall until everybody has moved out, or nobody can come in any more.
    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut more = false;
        loop {
            let pause = if more { Duration::ZERO } else { self.pause() };
            match self.poll.poll(&mut events, Some(pause)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            self.now = self.opened.elapsed();
            for event in &events {
                if event.token() != WAKER {
                    self.attend(event.token().0, event.is_writable());
                }
            }
            self.pull.heard();
            more = match self.take_words() {
                Some(more) => more,
                None => return Ok(()),
            };
            self.answer_bells();
            if self.now >= self.ticked + TICK {
                self.ticked = self.now;
                self.tick();
            }
            self.say_goodbyes();
            if self.moving.is_some() && self.move_on() {
                self.count();
                return Ok(());
            }
            if self.now >= self.counted + IDLE {
                self.count();
            }
        }
    }

    fn pause(&self) -> Duration {
        if self.moving.is_some() {
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

    /// Hears what the rest of the node says. Whether there is more, or `None` when nobody can say anything any more.
    fn take_words(&mut self) -> Option<bool> {
        for _ in 0..WORDS_MAX {
            match self.words.try_recv() {
                Ok(Word::Park { stream, said, tab, place }) => self.park(stream, &said, tab, place),
                Ok(Word::Answered { slot, serial, heard }) => {
                    let Some(parked) = self.sockets.get_mut(slot).filter(|parked| parked.serial == serial) else {
                        continue;
                    };
                    parked.asks = parked.asks.saturating_sub(1);
                    // The page hears nothing of it, and asks again when it reconnects. Who has left hears so as every other
                    // tab does: the line says it.
                    if !heard && parked.tab.is_some() {
                        self.end(slot, End::GoingAway);
                    }
                }
                Ok(Word::Move { over }) => {
                    let mut left: Vec<usize> = self.sockets.taken().collect();
                    left.shuffle(&mut rand::rng());
                    self.moving = Some(Moving { since: self.now, over, all: left.len(), jitter: rand::random(), left });
                }
                Err(mpsc::error::TryRecvError::Empty) => return Some(false),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
            }
        }
        Some(true)
    }

    fn park(&mut self, stream: std::net::TcpStream, said: &[u8], tab: Tab, place: OwnedSemaphorePermit) {
        let (room, ordinal) = (tab.room.clone(), tab.ordinal);
        self.serial = self.serial.wrapping_add(1);
        let slot = self.sockets.insert(Parked::new(stream, tab, place, self.serial, self.now_s()));
        let registered = self.sockets.get_mut(slot).map(|parked| parked.register(self.poll.registry(), Token(slot)));
        if let Some(Err(error)) = registered {
            debug!(%error, "a socket could not be parked");
            self.sockets.remove(slot);
            return;
        }
        let company = self.rooms.entry(room.sale).or_insert_with(|| Company {
            room: room.clone(),
            sockets: BTreeSet::new(),
            looked_at: (0, 0),
            moved: false,
            front_at: Duration::ZERO,
        });
        company.sockets.insert((ordinal, slot));
        if self.moving.is_some() {
            self.end(slot, End::GoingAway);
            return;
        }
        self.tell_one(slot);
        // The first says that there are heartbeats, and how often.
        let now_s = self.now_s();
        if let Some(parked) = self.sockets.get_mut(slot).filter(|parked| parked.tab.is_some()) {
            self.tally.bytes += self.heartbeat.len() as u64;
            if parked.say(&self.heartbeat, now_s).is_err() {
                self.forget(slot);
                return;
            }
        }
        if !said.is_empty() {
            let mut bytes = said.to_vec();
            let fate = match self.understand(slot, &mut bytes) {
                Ok(understood) => {
                    let half = &bytes[understood..];
                    if let Some(parked) = self.sockets.get_mut(slot) {
                        parked.keep_half(half);
                    }
                    Fate::Stays
                }
                Err(fate) => fate,
            };
            self.settle(slot, fate);
        }
    }

    /// Something has happened on a socket.
    fn attend(&mut self, slot: usize, writable: bool) {
        let now_s = self.now_s();
        let mut scratch = std::mem::take(&mut self.scratch);
        let fate = self.listen(slot, &mut scratch);
        self.scratch = scratch;
        self.settle(slot, fate);
        if !writable {
            return;
        }
        let Some(parked) = self.sockets.get_mut(slot).filter(|parked| parked.is_stuck()) else { return };
        match parked.flush(now_s) {
            Err(_) => self.forget(slot),
            Ok(false) => {}
            Ok(true) if parked.tab.is_none() => parked.hang_up(),
            // What it missed meanwhile is past: it hears what is so now.
            Ok(true) => self.tell_one(slot),
        }
    }

    fn settle(&mut self, slot: usize, fate: Fate) {
        match fate {
            Fate::Stays => {}
            Fate::Gone => self.forget(slot),
            Fate::Ends(end) => self.end(slot, end),
        }
    }

    /// Reads all there is.
    fn listen(&mut self, slot: usize, scratch: &mut [u8]) -> Fate {
        let now_s = self.now_s();
        let Some(parked) = self.sockets.get_mut(slot) else { return Fate::Stays };
        let mut filled = parked.take_half(scratch);
        let mut heard = 0;
        loop {
            let Some(parked) = self.sockets.get_mut(slot) else { return Fate::Stays };
            let end = match parked.read(&mut scratch[filled..], now_s) {
                Ok(Some(length)) => filled + length,
                Ok(None) => break,
                Err(_) => return Fate::Gone,
            };
            heard += end - filled;
            if parked.tab.is_none() {
                // Whatever it says after the last word is a goodbye.
                parked.hang_up();
                if heard > BURST_BYTES_MAX {
                    return Fate::Gone;
                }
                filled = 0;
                continue;
            }
            let understood = match self.understand(slot, &mut scratch[..end]) {
                Ok(understood) => understood,
                Err(fate) => return fate,
            };
            scratch.copy_within(understood..end, 0);
            filled = end - understood;
            // A short read has emptied the socket.
            if end < scratch.len() {
                break;
            }
            if heard > BURST_BYTES_MAX {
                return Fate::Ends(End::NotUnderstood);
            }
        }
        if let Some(parked) = self.sockets.get_mut(slot) {
            parked.keep_half(&scratch[..filled]);
        }
        Fate::Stays
    }

    /// Does what the whole frames at the beginning of `bytes` say, and gives their length.
    fn understand(&mut self, slot: usize, bytes: &mut [u8]) -> Result<usize, Fate> {
        let mut understood = 0;
        loop {
            let (heard, length) = match frame::read(&mut bytes[understood..]) {
                Ok(Some(read)) => read,
                Ok(None) => return Ok(understood),
                Err(Refused::NoFrame) => return Err(Fate::Ends(End::NoFrame)),
                Err(Refused::NotUnderstood) => return Err(Fate::Ends(End::NotUnderstood)),
            };
            understood += length;
            match heard {
                Heard::Pong => {}
                Heard::Close => return Err(Fate::Ends(End::Bye)),
                Heard::Ping(payload) => {
                    self.out.clear();
                    frame::pong(payload, &mut self.out);
                    self.say(slot)?;
                }
                Heard::Text(text) => {
                    let message = serde_json::from_str(text).map_err(|_| Fate::Ends(End::NotUnderstood))?;
                    self.ask(slot, message)?;
                }
            }
        }
    }

    /// Has a task do what a page asks.
    fn ask(&mut self, slot: usize, message: PageMessage) -> Result<(), Fate> {
        let Some(parked) = self.sockets.get_mut(slot) else { return Err(Fate::Stays) };
        let Some(tab) = &parked.tab else { return Err(Fate::Stays) };
        if parked.asks >= ASKS_OF_ONE_MAX {
            return Err(Fate::Ends(End::NotUnderstood));
        }
        let Some(ticket) = tab.room.shoppers.ticket(tab.ordinal) else { return Err(Fate::Ends(End::GoingAway)) };
        let asker = &self.askers[usize::try_from(tab.ordinal).unwrap_or_default() % self.askers.len()];
        let ask = Ask { slot, serial: parked.serial, ticket, message };
        asker.try_send(ask).map_err(|_| Fate::Ends(End::GoingAway))?;
        parked.asks += 1;
        Ok(())
    }

    /// Says what is in `out`.
    fn say(&mut self, slot: usize) -> Result<(), Fate> {
        let now_s = self.now_s();
        let Some(parked) = self.sockets.get_mut(slot) else { return Err(Fate::Stays) };
        self.tally.bytes += self.out.len() as u64;
        parked.say(&self.out, now_s).map_err(|_| Fate::Gone)
    }

    /// Says the last word and waits a little for the page's goodbye, so that a crowd that has to hear it does not wait for
    /// the goodbyes of others. Its tab is closed.
    fn end(&mut self, slot: usize, end: End) {
        self.out.clear();
        end.write(&mut self.out);
        match self.say(slot) {
            Ok(()) => self.see_off(slot),
            Err(_) => self.forget(slot),
        }
        // Its goodbye has come already.
        if let (End::Bye, Some(parked)) = (end, self.sockets.get_mut(slot).filter(|parked| !parked.is_stuck())) {
            parked.hang_up();
        }
    }

    fn see_off(&mut self, slot: usize) {
        let Some(parked) = self.sockets.get_mut(slot) else { return };
        self.goodbyes.push_back((self.now + GOODBYE_MAX, slot, parked.serial));
        if let Some(tab) = parked.tab.take() {
            self.leave(&tab, slot);
        }
    }

    fn forget(&mut self, slot: usize) {
        if let Some(tab) = self.sockets.remove(slot).and_then(|mut parked| parked.tab.take()) {
            self.leave(&tab, slot);
        }
    }

    /// A tab is no longer in its room. It closes when it is dropped.
    fn leave(&mut self, tab: &Tab, slot: usize) {
        if let Some(company) = self.rooms.get_mut(&tab.room.sale) {
            company.sockets.remove(&(tab.ordinal, slot));
            if company.sockets.is_empty() {
                self.rooms.remove(&tab.room.sale);
            }
        }
    }

    fn say_goodbyes(&mut self) {
        while let Some((_, slot, serial)) = self.goodbyes.pop_front_if(|(until, ..)| *until <= self.now) {
            if self.sockets.get(slot).is_some_and(|parked| parked.serial == serial) {
                self.forget(slot);
            }
        }
    }

    /// Looks at the rooms whose bells have rung.
    fn answer_bells(&mut self) {
        let notes = self.rooms.iter().map(|(sale, company)| (*sale, company.room.bell.take()));
        let rung: Vec<_> = notes.filter(|(_, note)| *note != Note::default()).collect();
        for (sale, Note { news, moved, turns, any_turn }) in rung {
            let turned = self.mark_turned(sale, turns);
            if any_turn {
                self.sockets.values_mut().for_each(|parked| parked.turned = true);
            }
            if news || any_turn {
                self.look(sale, Whom::All);
            } else {
                turned.into_iter().for_each(|slot| self.tell_one(slot));
            }
            let Some(company) = self.rooms.get_mut(&sale) else { continue };
            company.moved |= moved && !news;
            if company.moved && self.now >= company.front_at + TICK {
                self.look(sale, Whom::Front);
            }
        }
    }

    /// The sockets of tickets whose turns have changed: from now on their turns are looked up.
    fn mark_turned(&mut self, sale: SaleId, ordinals: impl IntoIterator<Item = Ordinal>) -> Vec<usize> {
        let Some(company) = self.rooms.get(&sale) else { return Vec::new() };
        let here = |ordinal| company.sockets.range((ordinal, 0)..=(ordinal, usize::MAX)).map(|(_, slot)| *slot);
        let slots: Vec<usize> = ordinals.into_iter().flat_map(here).collect();
        for slot in &slots {
            if let Some(parked) = self.sockets.get_mut(*slot) {
                parked.turned = true;
            }
        }
        slots
    }

    /// Looks at those near the front of lines that have moved, and at everybody's share of this tick.
    fn tick(&mut self) {
        let sales: Vec<SaleId> = self.rooms.keys().copied().collect();
        for sale in sales {
            if self.rooms.get(&sale).is_some_and(|company| company.moved) {
                self.look(sale, Whom::Front);
            }
            self.look(sale, Whom::Share);
        }
    }

    /// Looks at a room, and tells those whom it is about what they have to hear.
    fn look(&mut self, sale: SaleId, whom: Whom) {
        let Some(company) = self.rooms.get_mut(&sale) else { return };
        let room = company.room.clone();
        let (mut after, mut left) = ((0, 0), usize::MAX);
        match whom {
            Whom::All => {}
            Whom::Front => (company.moved, company.front_at) = (false, self.now),
            Whom::Share => (after, left) = (company.looked_at, company.sockets.len().div_ceil(TICKS_A_ROUND)),
        }
        let (mut together, mut places) = (std::mem::take(&mut self.together), std::mem::take(&mut self.places));
        'look: while left > 0 {
            let Some(company) = self.rooms.get(&sale) else { break };
            let beyond = (Bound::Excluded(after), Bound::Unbounded);
            together.clear();
            together.extend(company.sockets.range(beyond).take(left.min(TOGETHER)));
            let Some(last) = together.last() else {
                after = (0, 0);
                break;
            };
            (after, left) = (*last, left - together.len());
            let outlook = room.look(together.iter().map(|(ordinal, _)| *ordinal), &mut places);
            for (&(_, slot), &place) in together.iter().zip(&places) {
                match whom {
                    Whom::Front if place.is_some_and(|place| place.ahead >= FRONT) => break 'look,
                    Whom::Share if !self.care_for(slot) => continue,
                    _ => self.tell(slot, &outlook, place),
                }
            }
        }
        (self.together, self.places) = (together, places);
        if let (Whom::Share, Some(company)) = (whom, self.rooms.get_mut(&sale)) {
            company.looked_at = after;
        }
    }

    /// Asks a socket that is quiet whether it is still there, and forgets one that is not. Says whether it is kept.
    fn care_for(&mut self, slot: usize) -> bool {
        let now_s = self.now_s();
        let Some(parked) = self.sockets.get_mut(slot) else { return false };
        match parked.care(now_s) {
            Care::Nothing => return true,
            Care::Heartbeat => {
                self.tally.bytes += self.heartbeat.len() as u64;
                if parked.beat(&self.heartbeat, now_s).is_ok() {
                    return true;
                }
            }
            Care::Ping => {
                self.out.clear();
                frame::ping(&mut self.out);
                self.out.extend_from_slice(&self.heartbeat);
                if self.say(slot).is_ok() {
                    return true;
                }
            }
            Care::Forget => {}
        }
        self.forget(slot);
        false
    }

    /// Tells one page what it has to hear.
    fn tell_one(&mut self, slot: usize) {
        let Some(tab) = self.sockets.get(slot).and_then(|parked| parked.tab.as_ref()) else { return };
        let mut places = std::mem::take(&mut self.places);
        let outlook = tab.room.look([tab.ordinal], &mut places);
        let place = places.pop().flatten();
        self.places = places;
        self.tell(slot, &outlook, place);
    }

    /// Tells one page what it has to hear, with the line as it looks now.
    fn tell(&mut self, slot: usize, outlook: &Outlook, place: Option<Place>) {
        let Some(parked) = self.sockets.get_mut(slot).filter(|parked| !parked.is_stuck()) else { return };
        let Some(tab) = &parked.tab else { return };
        let turn = if parked.turned { tab.room.shoppers.turn(tab.ordinal) } else { Turn::Waiting };
        parked.turned = turn != Turn::Waiting;
        let facts = Facts {
            ordinal: tab.ordinal,
            card: &outlook.card,
            news: outlook.news,
            in_touch: outlook.in_touch,
            turn: &turn,
            place,
            in_draw: outlook.in_draw,
            forecast: outlook.forecast,
            now: self.now,
        };
        self.out.clear();
        while let Some(message) = parked.said.next(&facts) {
            *self.tally.messages.entry(message.kind()).or_default() += 1;
            let out = &mut self.out;
            match (&message, &self.sale_frame) {
                (LineMessage::Sale { .. }, Some((card, frame))) if Arc::ptr_eq(card, &outlook.card) => {
                    out.extend_from_slice(frame);
                }
                _ => {
                    self.json.clear();
                    serde_json::to_writer(&mut self.json, &message).expect("messages are strings, numbers and dates");
                    let start = out.len();
                    frame::text(&self.json, out);
                    if matches!(message, LineMessage::Sale { .. }) {
                        self.sale_frame = Some((outlook.card.clone(), out[start..].to_vec()));
                    }
                }
            }
        }
        if let Some(waited) = parked.said.take_waited(self.now) {
            waits::record(waited);
        }
        let over = parked.said.over();
        if over {
            End::Over.write(&mut self.out);
        }
        if self.out.is_empty() {
            return;
        }
        match self.say(slot) {
            Ok(()) if over => self.see_off(slot),
            Ok(()) => {}
            Err(_) => self.forget(slot),
        }
    }

    /// Sends those on their way whose time has come. Says whether the hall can close.
    fn move_on(&mut self) -> bool {
        let now = self.now;
        loop {
            let Some(moving) = &mut self.moving else { return false };
            let part = (now - moving.since).as_secs_f64() / moving.over.as_secs_f64().max(f64::MIN_POSITIVE);
            let staying = moving.all as f64 * (1.0 - part) + moving.jitter;
            if moving.left.is_empty() || (moving.left.len() as f64) <= staying {
                break;
            }
            if let Some(slot) = moving.left.pop()
                && self.sockets.get(slot).is_some_and(|parked| parked.tab.is_some())
            {
                self.end(slot, End::GoingAway);
            }
        }
        let Some(moving) = &self.moving else { return false };
        let all_said = moving.left.is_empty();
        all_said && (self.sockets.is_empty() || now >= moving.since + moving.over + LAST_GOODBYE_MAX)
    }

    /// Gives the figures to the recorder.
    fn count(&mut self) {
        self.counted = self.now;
        for (kind, count) in self.tally.messages.drain() {
            metrics::counter!("line_messages_total", "type" => kind).increment(count);
        }
        let bytes = std::mem::take(&mut self.tally.bytes);
        metrics::counter!("line_bytes_sent_total", "transport" => "websocket").increment(bytes);
        metrics::gauge!("line_open", "transport" => "websocket").set(self.sockets.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parked_socket_is_small() {
        assert!(size_of::<Option<Parked>>() <= 168, "{}", size_of::<Option<Parked>>());
    }
}
