//! The WebSocket of one waiting shopper, in few bytes: no task, and bounded buffers only while a
//! frame or a write is incomplete.

use std::io::{self, ErrorKind, Read as _, Write as _};

use fairline_update_policy::{HEARTBEAT_S, SentState};
use mio::{Registry, Token, event::Source as _, net::TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::{line::room::Tab, websocket::frame};

/// A socket without traffic for this long is pinged.
const PING_AFTER_S: u32 = 50;
/// A page that has sent nothing for this long is pinged even if it is sent messages: proxies accept
/// bytes for pages that have disconnected.
const PING_ANYWAY_AFTER_S: u32 = 240;
/// A socket that leaves a ping unanswered for this long is dead.
const SILENCE_MAX_S: u32 = 60;
/// A socket that accepts no bytes for this long is dropped; its page reconnects and receives the
/// present state.
const BLOCKED_MAX_S: u32 = 10;
/// Unsent bytes of one socket, at most, including pongs and the close frame.
const UNSENT_BYTES_MAX: usize = 16 * 1024;
/// The kernel's send buffer, in bytes: small, so that a slow page receives the present state, not a
/// backlog.
const SEND_BYTES: usize = 8 * 1024;

/// Why a socket is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The last message has been sent.
    Over,
    /// The page sent a message that a line does not accept.
    Unsupported,
    /// The page violated the WebSocket protocol.
    ProtocolError,
    /// This node shuts down or can't handle the page's request; the page reconnects to another
    /// node.
    GoingAway,
    /// The page closed the connection.
    ClosedByPage,
}

impl CloseReason {
    /// Appends the close frame.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let (code, reason) = match self {
            Self::Over => (CloseCode::Normal, "over"),
            Self::Unsupported => (CloseCode::Policy, "only claim and leave are understood"),
            Self::ProtocolError => (CloseCode::Protocol, "not a frame of RFC 6455"),
            Self::GoingAway => (CloseCode::Restart, "this node is going away; reconnect"),
            Self::ClosedByPage => (CloseCode::Normal, ""),
        };
        frame::close(code, reason, out);
    }
}

/// What a socket needs to stay alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeepAlive {
    Nothing,
    Heartbeat,
    Ping,
    /// The socket is to be removed.
    Dead,
}

/// The socket of a waiting shopper. Dropping it closes the connection and the shopper's tab.
pub(crate) struct IdleConnection {
    stream: TcpStream,
    /// `None` once the last message has been sent.
    pub(crate) tab: Option<Tab>,
    pub(crate) sent: SentState,
    /// Distinguishes this socket from an earlier one in the same slot.
    pub(crate) serial: u32,
    /// Whether the ticket had a turn at the last refresh.
    pub(crate) has_turn: bool,
    /// Unanswered requests of the page.
    pub(crate) requests: u8,
    /// When the unanswered ping was sent, in seconds since the loop started; 0 without one.
    pinged_at_s: u32,
    /// When bytes other than heartbeats were last sent, and when any were received, in seconds
    /// since the loop started.
    sent_at_s: u32,
    received_at_s: u32,
    /// When bytes were last sent, heartbeats included.
    heartbeat_at_s: u32,
    buffers: Option<Box<Buffers>>,
    _place: OwnedSemaphorePermit,
}

/// A socket whose handshake is done, and the tab that it shows.
pub(crate) struct Upgraded {
    pub(crate) stream: std::net::TcpStream,
    pub(crate) tab: Tab,
    /// Its share of the sockets that this node may have.
    pub(crate) place: OwnedSemaphorePermit,
}

/// Allocated only for the few sockets that need them.
#[derive(Default)]
struct Buffers {
    /// The received part of an incomplete frame.
    partial: Vec<u8>,
    /// Bytes that the socket has not accepted.
    unsent: Vec<u8>,
    blocked_since_s: u32,
}

impl IdleConnection {
    pub(crate) fn new(upgraded: Upgraded, serial: u32, now_s: u32) -> Self {
        let Upgraded { stream, tab, place } = upgraded;
        // If the system refuses, the kernel buffers more; nothing else depends on it.
        let _ = socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BYTES);
        Self {
            stream: TcpStream::from_std(stream),
            tab: Some(tab),
            sent: SentState::default(),
            serial,
            has_turn: true,
            requests: 0,
            pinged_at_s: 0,
            sent_at_s: now_s,
            received_at_s: now_s,
            heartbeat_at_s: now_s,
            buffers: None,
            _place: place,
        }
    }

    /// Registers the socket, edge-triggered: each event requires reading all available bytes.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream.register(registry, token, mio::Interest::READABLE | mio::Interest::WRITABLE)
    }

    /// Whether the socket accepts no bytes at present.
    pub(crate) fn is_blocked(&self) -> bool {
        self.buffers.as_ref().is_some_and(|buffers| !buffers.unsent.is_empty())
    }

    fn buffers(&mut self) -> &mut Buffers {
        self.buffers.get_or_insert_default()
    }

    fn tidy(&mut self) {
        self.buffers.take_if(|buffers| buffers.partial.is_empty() && buffers.unsent.is_empty());
    }

    /// Sends bytes, and buffers what the socket does not accept. On a blocked socket, callers send
    /// only what is required: pongs and the close frame.
    ///
    /// # Errors
    /// When the socket is broken.
    pub(crate) fn send(&mut self, mut bytes: &[u8], now_s: u32) -> io::Result<()> {
        (self.sent_at_s, self.heartbeat_at_s) = (now_s, now_s);
        if !self.is_blocked() {
            while !bytes.is_empty() {
                match self.stream.write(bytes) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(taken) => bytes = &bytes[taken..],
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            if bytes.is_empty() {
                return Ok(());
            }
            self.buffers().blocked_since_s = now_s;
        }
        let unsent = &mut self.buffers().unsent;
        if unsent.len() + bytes.len() > UNSENT_BYTES_MAX {
            return Err(ErrorKind::StorageFull.into());
        }
        unsent.extend_from_slice(bytes);
        Ok(())
    }

    /// Sends a heartbeat, which does not postpone the next ping.
    ///
    /// # Errors
    /// When the socket is broken.
    pub(crate) fn send_heartbeat(&mut self, heartbeat: &[u8], now_s: u32) -> io::Result<()> {
        let sent_at_s = self.sent_at_s;
        let sent = self.send(heartbeat, now_s);
        self.sent_at_s = sent_at_s;
        sent
    }

    /// Sends buffered bytes as far as the socket accepts them. Returns whether the buffer is empty.
    ///
    /// # Errors
    /// When the socket is broken.
    pub(crate) fn flush(&mut self, now_s: u32) -> io::Result<bool> {
        let Some(buffers) = &mut self.buffers else { return Ok(true) };
        let mut sent = 0;
        while sent < buffers.unsent.len() {
            match self.stream.write(&buffers.unsent[sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => sent += taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffers.unsent.drain(..sent);
        if sent > 0 {
            buffers.blocked_since_s = now_s;
        }
        self.tidy();
        Ok(!self.is_blocked())
    }

    /// Reads up to the length of `buffer`. `None`: nothing is available.
    ///
    /// # Errors
    /// When the socket is broken, or the page has closed without a close frame.
    pub(crate) fn read(&mut self, buffer: &mut [u8], now_s: u32) -> io::Result<Option<usize>> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    (self.received_at_s, self.pinged_at_s) = (now_s, 0);
                    return Ok(Some(length));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Copies the partial frame to the beginning of `buffer` and returns its length.
    pub(crate) fn take_partial(&mut self, buffer: &mut [u8]) -> usize {
        let Some(buffers) = &mut self.buffers else { return 0 };
        let partial = std::mem::take(&mut buffers.partial);
        buffer[..partial.len()].copy_from_slice(&partial);
        self.tidy();
        partial.len()
    }

    /// Keeps an incomplete frame.
    pub(crate) fn keep_partial(&mut self, partial: &[u8]) {
        if !partial.is_empty() {
            self.buffers().partial = partial.to_vec();
        }
    }

    /// Ends sending; the page may still send.
    pub(crate) fn shut_down_writing(&self) {
        // A socket that the page has closed meanwhile needs no shutdown.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// What the socket needs now. A ping that this returns counts as sent.
    pub(crate) fn keep_alive(&mut self, now_s: u32) -> KeepAlive {
        let blocked_since_s =
            self.buffers.as_ref().filter(|buffers| !buffers.unsent.is_empty()).map(|buffers| buffers.blocked_since_s);
        if let Some(blocked_since_s) = blocked_since_s {
            return if now_s - blocked_since_s >= BLOCKED_MAX_S { KeepAlive::Dead } else { KeepAlive::Nothing };
        }
        let (sent_s, received_s) = (now_s - self.sent_at_s, now_s - self.received_at_s);
        if self.pinged_at_s > 0 {
            if now_s - self.pinged_at_s >= SILENCE_MAX_S {
                return KeepAlive::Dead;
            }
        } else if sent_s.min(received_s) >= PING_AFTER_S || received_s >= PING_ANYWAY_AFTER_S {
            self.pinged_at_s = now_s;
            return KeepAlive::Ping;
        }
        if now_s - self.heartbeat_at_s >= HEARTBEAT_S { KeepAlive::Heartbeat } else { KeepAlive::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        sync::Arc,
    };

    use tokio::sync::Semaphore;

    use super::*;
    use crate::line::{
        room::{self, Tab},
        shoppers::Browser,
    };

    /// A connection and the page at its other end.
    fn connection() -> (IdleConnection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let page = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let (stream, _) = listener.accept().expect("accepted");
        stream.set_nonblocking(true).expect("set");
        let room = Arc::new(room::tests::room());
        let ticket = room::tests::ticket(&room, 1);
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("free");
        let tab = Tab::open(room, &ticket, Browser::Desktop);
        (IdleConnection::new(Upgraded { stream, tab, place }, 1, 0), page)
    }

    /// What a socket needs at a moment; heartbeats are sent.
    fn keep_alive(connection: &mut IdleConnection, now_s: u32) -> KeepAlive {
        let keep_alive = connection.keep_alive(now_s);
        if keep_alive != KeepAlive::Heartbeat {
            return keep_alive;
        }
        connection.send_heartbeat(b"send_heartbeat", now_s).expect("sent");
        connection.keep_alive(now_s)
    }

    #[test]
    fn a_quiet_page_is_pinged_and_a_silent_one_is_closed() {
        let (mut connection, page) = connection();
        let mut buffer = [0; 16];
        assert_eq!(keep_alive(&mut connection, 49), KeepAlive::Nothing);
        connection.send(b"news", 40).expect("sent");
        assert_eq!(keep_alive(&mut connection, 89), KeepAlive::Nothing, "it received a message recently");
        assert_eq!(keep_alive(&mut connection, 90), KeepAlive::Ping);
        connection.send(b"ping", 90).expect("sent");
        assert_eq!(keep_alive(&mut connection, 149), KeepAlive::Nothing);
        (&page).write_all(b"pong").expect("sent");
        while connection.read(&mut buffer, 149).expect("open").is_none() {}
        assert_eq!(keep_alive(&mut connection, 198), KeepAlive::Nothing);
        assert_eq!(keep_alive(&mut connection, 199), KeepAlive::Ping);
        assert_eq!(keep_alive(&mut connection, 258), KeepAlive::Nothing);
        assert_eq!(keep_alive(&mut connection, 259), KeepAlive::Dead);
    }

    #[test]
    fn a_page_receives_something_at_every_heartbeat() {
        let (mut connection, _page) = connection();
        let (mut received_s, mut heartbeats) = (0, 0);
        for now_s in 0..110 {
            match connection.keep_alive(now_s) {
                KeepAlive::Nothing => continue,
                KeepAlive::Heartbeat => connection.send_heartbeat(b"send_heartbeat", now_s).expect("sent"),
                KeepAlive::Ping => connection.send(b"ping and send_heartbeat", now_s).expect("sent"),
                KeepAlive::Dead => panic!("{now_s} s are too soon"),
            }
            assert!(now_s - received_s <= HEARTBEAT_S, "silent from {received_s} s to {now_s} s");
            (received_s, heartbeats) = (now_s, heartbeats + 1);
        }
        assert!(heartbeats <= 6, "{heartbeats} in 110 s");
        assert_eq!(
            connection.keep_alive(110),
            KeepAlive::Dead,
            "a heartbeat requests nothing, and puts no question off"
        );
    }

    #[test]
    fn a_page_that_sends_nothing_is_pinged_in_the_end() {
        let (mut connection, _page) = connection();
        for now_s in 0..240 {
            connection.send(b"news", now_s).expect("sent");
            assert_eq!(connection.keep_alive(now_s), KeepAlive::Nothing, "and receives no heartbeat beside the news");
        }
        connection.send(b"news", 240).expect("sent");
        assert_eq!(connection.keep_alive(240), KeepAlive::Ping);
    }

    #[test]
    fn a_page_that_reads_nothing_costs_one_frame_and_is_closed() {
        let (mut connection, mut page) = connection();
        let frame = [b'x'; 4000];
        let mut sent = 0;
        while !connection.is_blocked() {
            connection.send(&frame, 100).expect("sent");
            sent += frame.len();
        }
        let unsent =
            |connection: &IdleConnection| connection.buffers.as_ref().map_or(0, |buffers| buffers.unsent.len());
        assert!(unsent(&connection) <= frame.len());
        assert_eq!(connection.keep_alive(109), KeepAlive::Nothing);
        assert_eq!(connection.keep_alive(110), KeepAlive::Dead);
        assert!((0..5).any(|_| connection.send(&frame, 101).is_err()), "what it must receive has a bound, too");

        page.set_nonblocking(true).expect("set");
        let (mut received, mut buffer) = (0, [0; 4096]);
        while !connection.flush(102).expect("open") {
            received += page.read(&mut buffer).unwrap_or(0);
        }
        page.set_nonblocking(false).expect("set");
        connection.shut_down_writing();
        while let Ok(length @ 1..) = page.read(&mut buffer) {
            received += length;
        }
        assert!(received >= sent && connection.buffers.is_none(), "{received} of {sent}");
    }

    #[test]
    fn a_partial_frame_is_kept_until_the_rest_comes() {
        let (mut connection, _page) = connection();
        let mut buffer = [0; 32];
        connection.keep_partial(b"partial");
        assert_eq!(connection.take_partial(&mut buffer), 7);
        assert_eq!((&buffer[..7], connection.buffers.is_none()), (b"partial".as_slice(), true));
        assert_eq!(connection.take_partial(&mut buffer), 0);
    }
}
