//! One parked socket: a shopper who waits, in as few bytes as will do. No task, no buffer; what does not fit into the
//! moment is put aside, within bounds.

use std::io::{self, ErrorKind, Read as _, Write as _};

use mio::{Registry, Token, event::Source as _, net::TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::{frame, room::Tab, speech::Said};

/// A page hears something this often: a half-open connection looks like a quiet one otherwise, and browsers hide pings from pages.
pub(crate) const HEARTBEAT_S: u32 = 20;
/// A socket on which nothing was said for so long is asked whether it is still there.
const PING_AFTER_S: u32 = 50;
/// A page that has said nothing for so long is asked, however much it is told: proxies take words for pages that are gone.
const PING_ANYWAY_AFTER_S: u32 = 240;
/// A socket that does not answer for so long is gone.
const SILENCE_MAX_S: u32 = 60;
/// How long a reader may take nothing of what was said; one this slow reconnects to newer news.
const STUCK_MAX_S: u32 = 10;
/// What was said and could not leave, in bytes at most, together with pongs and the close that follow it.
const UNSENT_BYTES_MAX: usize = 16 * 1024;
/// The system's buffer for what was said, in bytes. A reader who falls behind hears what is so, not what was.
const SEND_BYTES: usize = 8 * 1024;

/// Why a conversation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything is said.
    Over,
    /// The page says nothing that a line listens to.
    NotUnderstood,
    /// The page does not speak WebSocket.
    NoFrame,
    /// This node is going away, or can't do what the page asks: another one has the line, too.
    GoingAway,
    /// The page hangs up.
    Bye,
}

impl End {
    /// Appends the frame that says it.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let (code, reason) = match self {
            Self::Over => (CloseCode::Normal, "over"),
            Self::NotUnderstood => (CloseCode::Policy, "only claim and leave are understood"),
            Self::NoFrame => (CloseCode::Protocol, "not a frame of RFC 6455"),
            Self::GoingAway => (CloseCode::Restart, "this node is going away; reconnect"),
            Self::Bye => (CloseCode::Normal, ""),
        };
        frame::close(code, reason, out);
    }
}

/// What a socket needs now, apart from news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    Nothing,
    Heartbeat,
    Ping,
    /// It is gone.
    Forget,
}

/// A socket of a shopper who waits. Dropping it hangs up and closes the shopper's tab.
pub(crate) struct Parked {
    stream: TcpStream,
    /// `None` once the last word has been said.
    pub(crate) tab: Option<Tab>,
    pub(crate) said: Said,
    /// Tells this socket from an earlier one in the same slot.
    pub(crate) serial: u32,
    /// Whether the ticket's turn was other than waiting when it was looked at last.
    pub(crate) turned: bool,
    /// What the page has asked of the line and was not answered yet.
    pub(crate) asks: u8,
    /// When it was asked whether it is still there and has not answered: seconds since the hall opened, 0 if it was not.
    pinged_at_s: u32,
    /// When something was said, heartbeats apart, and heard, last: seconds since the hall opened.
    told_at_s: u32,
    heard_at_s: u32,
    /// When something was said last, heartbeats included.
    beat_at_s: u32,
    aside: Option<Box<Aside>>,
    _place: OwnedSemaphorePermit,
}

/// What only few sockets have.
#[derive(Default)]
struct Aside {
    /// The beginning of a frame whose end has not arrived.
    half: Vec<u8>,
    /// What was said and has not left.
    unsent: Vec<u8>,
    stuck_since_s: u32,
}

impl Parked {
    pub(crate) fn new(
        stream: std::net::TcpStream,
        tab: Tab,
        place: OwnedSemaphorePermit,
        serial: u32,
        now_s: u32,
    ) -> Self {
        // Less is sent in one go where that is refused; nothing else depends on it.
        let _ = socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BYTES);
        Self {
            stream: TcpStream::from_std(stream),
            tab: Some(tab),
            said: Said::default(),
            serial,
            turned: true,
            asks: 0,
            pinged_at_s: 0,
            told_at_s: now_s,
            heard_at_s: now_s,
            beat_at_s: now_s,
            aside: None,
            _place: place,
        }
    }

    /// Lets the hall hear of everything that happens to it. Edge-triggered: each time, all there is has to be read.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream.register(registry, token, mio::Interest::READABLE | mio::Interest::WRITABLE)
    }

    /// Whether it takes nothing for now.
    pub(crate) fn is_stuck(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| !aside.unsent.is_empty())
    }

    fn aside(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    fn tidy(&mut self) {
        self.aside.take_if(|aside| aside.half.is_empty() && aside.unsent.is_empty());
    }

    /// Says this, or puts aside what does not leave at once. To one that is stuck, only what it must hear is said: pongs
    /// and its last word.
    ///
    /// # Errors
    /// When the socket is broken.
    pub(crate) fn say(&mut self, mut bytes: &[u8], now_s: u32) -> io::Result<()> {
        (self.told_at_s, self.beat_at_s) = (now_s, now_s);
        if !self.is_stuck() {
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
            self.aside().stuck_since_s = now_s;
        }
        let unsent = &mut self.aside().unsent;
        if unsent.len() + bytes.len() > UNSENT_BYTES_MAX {
            return Err(ErrorKind::StorageFull.into());
        }
        unsent.extend_from_slice(bytes);
        Ok(())
    }

    /// Says a heartbeat, which is no reason to ask any later whether the page is still there.
    ///
    /// # Errors
    /// When the socket is broken.
    pub(crate) fn beat(&mut self, heartbeat: &[u8], now_s: u32) -> io::Result<()> {
        let told_at_s = self.told_at_s;
        let said = self.say(heartbeat, now_s);
        self.told_at_s = told_at_s;
        said
    }

    /// Sends what was put aside, as far as the socket takes it, and says whether it is free to hear more.
    ///
    /// # Errors
    /// When the socket is broken.
    pub(crate) fn flush(&mut self, now_s: u32) -> io::Result<bool> {
        let Some(aside) = &mut self.aside else { return Ok(true) };
        let mut sent = 0;
        while sent < aside.unsent.len() {
            match self.stream.write(&aside.unsent[sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => sent += taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        aside.unsent.drain(..sent);
        if sent > 0 {
            aside.stuck_since_s = now_s;
        }
        self.tidy();
        Ok(!self.is_stuck())
    }

    /// Reads what there is, up to the length of `buffer`. `None`: nothing for now.
    ///
    /// # Errors
    /// When the socket is broken, or the page has hung up without a word.
    pub(crate) fn read(&mut self, buffer: &mut [u8], now_s: u32) -> io::Result<Option<usize>> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    (self.heard_at_s, self.pinged_at_s) = (now_s, 0);
                    return Ok(Some(length));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Copies the frame that was put aside to the beginning of `buffer`, and gives its length.
    pub(crate) fn take_half(&mut self, buffer: &mut [u8]) -> usize {
        let Some(aside) = &mut self.aside else { return 0 };
        let half = std::mem::take(&mut aside.half);
        buffer[..half.len()].copy_from_slice(&half);
        self.tidy();
        half.len()
    }

    /// Puts a frame aside whose end has not arrived.
    pub(crate) fn keep_half(&mut self, half: &[u8]) {
        if !half.is_empty() {
            self.aside().half = half.to_vec();
        }
    }

    /// Says nothing more; the page still may.
    pub(crate) fn hang_up(&self) {
        // One that the page has closed meanwhile needs no hanging up.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// What it needs now. A ping is taken as said.
    pub(crate) fn care(&mut self, now_s: u32) -> Care {
        let stuck_since_s =
            self.aside.as_ref().filter(|aside| !aside.unsent.is_empty()).map(|aside| aside.stuck_since_s);
        if let Some(stuck_since_s) = stuck_since_s {
            return if now_s - stuck_since_s >= STUCK_MAX_S { Care::Forget } else { Care::Nothing };
        }
        let (told_s, heard_s) = (now_s - self.told_at_s, now_s - self.heard_at_s);
        if self.pinged_at_s > 0 {
            if now_s - self.pinged_at_s >= SILENCE_MAX_S {
                return Care::Forget;
            }
        } else if told_s.min(heard_s) >= PING_AFTER_S || heard_s >= PING_ANYWAY_AFTER_S {
            self.pinged_at_s = now_s;
            return Care::Ping;
        }
        if now_s - self.beat_at_s >= HEARTBEAT_S { Care::Heartbeat } else { Care::Nothing }
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
    use crate::{
        room::{self, Tab},
        shoppers::Browser,
    };

    /// A parked socket and the page at its other end.
    fn parked() -> (Parked, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let page = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let (stream, _) = listener.accept().expect("accepted");
        stream.set_nonblocking(true).expect("set");
        let room = Arc::new(room::tests::room());
        let ticket = room::tests::ticket(&room, 1);
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("free");
        (Parked::new(stream, Tab::open(room, &ticket, Browser::Desk), place, 1, 0), page)
    }

    /// What a socket needs at a moment, heartbeats apart, which are said.
    fn care(parked: &mut Parked, now_s: u32) -> Care {
        let care = parked.care(now_s);
        if care != Care::Heartbeat {
            return care;
        }
        parked.beat(b"beat", now_s).expect("sent");
        parked.care(now_s)
    }

    #[test]
    fn a_quiet_page_is_asked_and_a_silent_one_forgotten() {
        let (mut parked, page) = parked();
        let mut buffer = [0; 16];
        assert_eq!(care(&mut parked, 49), Care::Nothing);
        parked.say(b"news", 40).expect("sent");
        assert_eq!(care(&mut parked, 89), Care::Nothing, "it was told something lately");
        assert_eq!(care(&mut parked, 90), Care::Ping);
        parked.say(b"ping", 90).expect("sent");
        assert_eq!(care(&mut parked, 149), Care::Nothing);
        (&page).write_all(b"pong").expect("sent");
        while parked.read(&mut buffer, 149).expect("open").is_none() {}
        assert_eq!(care(&mut parked, 198), Care::Nothing);
        assert_eq!(care(&mut parked, 199), Care::Ping);
        assert_eq!(care(&mut parked, 258), Care::Nothing);
        assert_eq!(care(&mut parked, 259), Care::Forget);
    }

    #[test]
    fn a_page_hears_something_at_every_heartbeat() {
        let (mut parked, _page) = parked();
        let (mut heard_s, mut beats) = (0, 0);
        for now_s in 0..110 {
            match parked.care(now_s) {
                Care::Nothing => continue,
                Care::Heartbeat => parked.beat(b"beat", now_s).expect("sent"),
                Care::Ping => parked.say(b"ping and beat", now_s).expect("sent"),
                Care::Forget => panic!("{now_s} s are too soon"),
            }
            assert!(now_s - heard_s <= HEARTBEAT_S, "silent from {heard_s} s to {now_s} s");
            (heard_s, beats) = (now_s, beats + 1);
        }
        assert!(beats <= 6, "{beats} in 110 s");
        assert_eq!(parked.care(110), Care::Forget, "a heartbeat asks nothing, and puts no question off");
    }

    #[test]
    fn a_page_that_only_listens_is_asked_in_the_end() {
        let (mut parked, _page) = parked();
        for now_s in 0..240 {
            parked.say(b"news", now_s).expect("sent");
            assert_eq!(parked.care(now_s), Care::Nothing, "and hears no heartbeat beside the news");
        }
        parked.say(b"news", 240).expect("sent");
        assert_eq!(parked.care(240), Care::Ping);
    }

    #[test]
    fn who_takes_nothing_costs_one_frame_and_is_forgotten() {
        let (mut parked, mut page) = parked();
        let frame = [b'x'; 4000];
        let mut said = 0;
        while !parked.is_stuck() {
            parked.say(&frame, 100).expect("sent");
            said += frame.len();
        }
        let unsent = |parked: &Parked| parked.aside.as_ref().map_or(0, |aside| aside.unsent.len());
        assert!(unsent(&parked) <= frame.len());
        assert_eq!(parked.care(109), Care::Nothing);
        assert_eq!(parked.care(110), Care::Forget);
        assert!((0..5).any(|_| parked.say(&frame, 101).is_err()), "what it must hear has a bound, too");

        page.set_nonblocking(true).expect("set");
        let (mut heard, mut buffer) = (0, [0; 4096]);
        while !parked.flush(102).expect("open") {
            heard += page.read(&mut buffer).unwrap_or(0);
        }
        page.set_nonblocking(false).expect("set");
        parked.hang_up();
        while let Ok(length @ 1..) = page.read(&mut buffer) {
            heard += length;
        }
        assert!(heard >= said && parked.aside.is_none(), "{heard} of {said}");
    }

    #[test]
    fn a_half_frame_is_kept_until_the_rest_comes() {
        let (mut parked, _page) = parked();
        let mut buffer = [0; 32];
        parked.keep_half(b"half");
        assert_eq!(parked.take_half(&mut buffer), 4);
        assert_eq!((&buffer[..4], parked.aside.is_none()), (b"half".as_slice(), true));
        assert_eq!(parked.take_half(&mut buffer), 0);
    }
}
