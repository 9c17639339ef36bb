//! A process of the crowd: up to 18,000 pages on one thread, each a socket and a few words. It must
//! be cheap, because it shares the machine with the measured servers.

use std::{
    io::{self, BufRead as _, Read as _, Write as _, stdin, stdout},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{
        Arc,
        mpsc::{TryRecvError, sync_channel},
    },
    thread,
    time::Duration,
};

use mio::{Events, Interest, Poll, Registry, Token, Waker, net::TcpStream};
use nix::{
    errno::Errno,
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt},
    },
};

use super::{
    AT_ONCE, ConnectedPages, PageCounts, PagesToConnect, PartRequest, PartResponse, Recorded,
    page::{Page, PageReaction, PageStage, masked},
};
use crate::{Failure, clock::now_us};

const WAKE: Token = Token(usize::MAX);
const READ_BYTES: usize = 64 * 1024;
/// Maximum recorded places.
const RECORDED_MAX: usize = 1_000_000;
/// How often pages leave.
const LEAVE_EVERY: Duration = Duration::from_millis(200);

/// Handles the requests on standard input until it closes.
pub(crate) fn carry() -> Result<(), Failure> {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // On failure, connections beyond the limit fail and report it.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    let mut poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
    let (sender, asked) = sync_channel(4);
    thread::spawn(move || {
        for line in stdin().lock().lines() {
            let sent = line.is_ok_and(|line| sender.send(line).is_ok());
            let woken = waker.wake();
            if !sent || woken.is_err() {
                break;
            }
        }
        drop(sender);
        // The loop below wakes at least once per LEAVE_EVERY anyway.
        let _ = waker.wake();
    });
    let mut part = Part::new(poll.registry().try_clone()?);
    let mut events = Events::with_capacity(4096);
    loop {
        match poll.poll(&mut events, Some(LEAVE_EVERY)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            part.handle(event.token(), event.is_readable(), event.is_writable());
        }
        match asked.try_recv() {
            Ok(line) => part.asked(serde_json::from_str(&line)?)?,
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
        part.open_more()?;
        part.leave_some();
    }
}

fn send_answer(answer: &PartResponse) -> Result<(), Failure> {
    let mut stdout = stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(answer)?)?;
    Ok(stdout.flush()?)
}

struct Part {
    registry: Registry,
    /// Pages by token; closed ones leave a gap.
    pages: Vec<Option<(TcpStream, Page)>>,
    joining: Option<ConnectJob>,
    counted: PageCounts,
    recorded: Option<Recorded>,
    leaves_per_s: f64,
    left_at_us: u64,
    buffer: Vec<u8>,
}

/// A job in progress.
struct ConnectJob {
    job: PagesToConnect,
    handshake: Vec<u8>,
    started_us: u64,
    opened: u32,
    done: ConnectedPages,
}

impl Part {
    fn new(registry: Registry) -> Self {
        Self {
            registry,
            pages: Vec::new(),
            joining: None,
            counted: PageCounts::default(),
            recorded: None,
            leaves_per_s: 0.0,
            left_at_us: now_us(),
            buffer: vec![0; READ_BYTES],
        }
    }

    fn asked(&mut self, ask: PartRequest) -> Result<(), Failure> {
        match ask {
            PartRequest::Join(job) => {
                let handshake = job.handshake();
                let started_us = now_us();
                self.joining =
                    Some(ConnectJob { job, handshake, started_us, opened: 0, done: ConnectedPages::default() });
                // The response is sent when all pages have connected.
                return Ok(());
            }
            PartRequest::Count => {
                let at = |stage| self.pages.iter().flatten().filter(|(_, page)| page.stage == stage).count() as u64;
                self.counted.waiting = at(PageStage::Waiting);
                self.counted.connected = self.counted.waiting + at(PageStage::In) + at(PageStage::Called);
                return send_answer(&PartResponse::Counted(self.counted));
            }
            PartRequest::Leave { per_s } => self.leaves_per_s = per_s,
            PartRequest::Record { up_to } => {
                let pages = self.pages.iter().flatten().filter(|(_, page)| page.ordinal <= up_to);
                let shown = pages.filter_map(|(_, page)| Some((page.ordinal, page.shown?))).collect();
                self.recorded = Some(Recorded { up_to, shown });
            }
            PartRequest::Recorded => {
                return send_answer(&PartResponse::Recorded(self.recorded.take().unwrap_or_default()));
            }
            PartRequest::HangUp => {
                self.pages.clear();
                self.counted = PageCounts::default();
            }
        }
        send_answer(&PartResponse::Done)
    }

    /// Keeps as many concurrent handshakes as the job allows.
    fn open_more(&mut self) -> Result<(), Failure> {
        let Some(joining) = &mut self.joining else { return Ok(()) };
        let ConnectJob { job, done, opened, .. } = joining;
        while *opened < job.count && *opened - done.entered - done.refused < AT_ONCE {
            let source = Ipv4Addr::from_bits(job.first_source.to_bits() + *opened);
            *opened += 1;
            match knock(source, job.to) {
                Ok(mut stream) => {
                    let token = Token(self.pages.len());
                    self.registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
                    self.pages.push(Some((stream, Page::default())));
                }
                Err(error) => done.refuse(&error.to_string()),
            }
        }
        if done.entered + done.refused == job.count {
            done.took_us = now_us() - joining.started_us;
            let joined = self.joining.take().map(|joining| joining.done).unwrap_or_default();
            send_answer(&PartResponse::Joined(joined))?;
        }
        Ok(())
    }

    /// Handles a page that is readable or writable.
    fn handle(&mut self, token: Token, readable: bool, writable: bool) {
        let Some((mut stream, mut page)) = self.pages.get_mut(token.0).and_then(Option::take) else { return };
        if writable
            && page.stage == PageStage::Coming
            && let Some(joining) = &self.joining
        {
            page.stage = PageStage::Knocking;
            // Written whole or not at all: a new socket's buffer is empty. A read reports a
            // failure.
            let _ = stream.write(&joining.handshake);
        }
        if !readable || self.read(&mut stream, &mut page) {
            self.pages[token.0] = Some((stream, page));
            return;
        }
        match page.stage {
            PageStage::Coming | PageStage::Knocking => self.refused("the connection ended"),
            PageStage::In | PageStage::Waiting | PageStage::Called => self.counted.lost += 1,
            PageStage::Over => {}
        }
    }

    /// Reads all available bytes; returns whether more may follow.
    fn read(&mut self, stream: &mut TcpStream, page: &mut Page) -> bool {
        let mut buffer = std::mem::take(&mut self.buffer);
        let wants_ticket = self.joining.as_ref().is_some_and(|joining| joining.job.wants_ticket);
        let mut alive = true;
        while alive {
            match stream.read(&mut buffer) {
                Ok(0) => alive = false,
                Ok(count) => {
                    self.counted.bytes += count as u64;
                    let now_us = now_us();
                    page.receive(&buffer[..count], now_us, wants_ticket, |page, deed| {
                        alive &= self.act(stream, page, &deed, now_us);
                    });
                    // The kernel reports later bytes again.
                    if count < buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => alive = false,
            }
        }
        self.buffer = buffer;
        alive
    }

    /// Performs the reaction of a page; returns whether it stays connected.
    fn act(&mut self, stream: &mut TcpStream, page: &Page, deed: &PageReaction, now_us: u64) -> bool {
        // If a write fails, the next read fails, too.
        let mut write = |frame: &[u8]| drop(stream.write(frame));
        self.counted.messages += u64::from(matches!(
            deed,
            PageReaction::Received | PageReaction::Moved | PageReaction::Called | PageReaction::Over
        ));
        match deed {
            PageReaction::Entered => self.joining.iter_mut().for_each(|joining| joining.done.entered += 1),
            PageReaction::Refused(why) => self.refused(why),
            PageReaction::Pong(payload) => write(&masked(10, payload)),
            PageReaction::Called => write(&masked(1, br#"{"type":"claim"}"#)),
            PageReaction::Over => {
                self.counted.over += 1;
                self.counted.last_over_us = now_us;
            }
            PageReaction::Nonsense | PageReaction::Received | PageReaction::Moved => {}
        }
        if matches!(deed, PageReaction::Moved | PageReaction::Called) {
            self.recorded.iter_mut().for_each(|recorded| recorded.note(page));
        }
        !matches!(deed, PageReaction::Refused(_) | PageReaction::Nonsense)
    }

    fn refused(&mut self, why: &str) {
        self.joining.iter_mut().for_each(|joining| joining.done.refuse(why));
    }

    /// Lets a few waiting pages leave, at any place.
    fn leave_some(&mut self) {
        let passed_s = (now_us() - self.left_at_us) as f64 / 1e6;
        if self.leaves_per_s == 0.0 || passed_s < LEAVE_EVERY.as_secs_f64() {
            return;
        }
        self.left_at_us = now_us();
        let mut due = self.leaves_per_s * passed_s;
        while due > rand::random::<f64>() {
            due -= 1.0;
            let at = rand::random_range(0..self.pages.len().max(1));
            if let Some(Some((stream, page))) = self.pages.get_mut(at)
                && page.stage == PageStage::Waiting
            {
                let _ = stream.write(&masked(1, br#"{"type":"leave"}"#));
            }
        }
    }
}

impl ConnectedPages {
    fn refuse(&mut self, why: &str) {
        self.refused += 1;
        self.why.get_or_insert_with(|| why.to_owned());
    }
}

impl Recorded {
    fn note(&mut self, page: &Page) {
        if let Some(shown) = page.shown
            && page.ordinal <= self.up_to
            && self.shown.len() < RECORDED_MAX
        {
            self.shown.push((page.ordinal, shown));
        }
    }
}

/// Starts to connect, from the page's own address.
fn knock(source: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let SocketAddr::V4(to) = to else { return Err(io::ErrorKind::Unsupported.into()) };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket: OwnedFd = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
    // Choose the port at connect time; choosing it at bind time is slow with many sockets.
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
    bind(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(source, 0)))?;
    match connect(socket.as_raw_fd(), &SockaddrIn::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from_std(socket.into())),
        Err(error) => Err(error.into()),
    }
}
