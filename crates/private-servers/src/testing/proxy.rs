//! A TCP proxy for tests, which breaks the links that go through it.
//!
//! What it can do to a link: carry bytes, hold them back in either direction (a silent link: what is sent is acknowledged and goes
//! nowhere), lose them, carry them slowly, end it in good order, or reset it. A fault is of the links that are there, or of new
//! ones, too; so a lost NAT entry is `freeze_established`: those that are there are silent, new ones work.
//!
//! It is bounded: so many links at once, so many bytes held back for each.

use std::{
    io,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt};

/// Links at once; more are refused.
const LINKS_MAX: usize = 2000;
/// How often a pump looks whether it may go on.
const LOOK: Duration = Duration::from_millis(5);
/// Bytes carried at once, and in a slow link with each look.
const CHUNK: usize = 16 * 1024;
const SLOW_CHUNK: usize = 256;

/// What a link does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Carry {
    /// Passes them on.
    #[default]
    All,
    /// Passes on a little at a time.
    Slowly,
    /// Keeps them until this changes, as a link that stalls.
    Later,
    /// Takes them, and loses them: what follows makes no sense to the other end, so such a link is never well again.
    Never,
}

/// What a link does in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// From those who connected.
    pub there: Carry,
    /// Back to them.
    pub back: Carry,
}

impl Link {
    /// The same in both directions.
    #[must_use]
    pub fn both(carry: Carry) -> Self {
        Self { there: carry, back: carry }
    }
}

#[derive(Debug)]
struct Pair {
    number: u64,
    link: Mutex<Link>,
    ended: AtomicBool,
    near: TcpStream,
    far: TcpStream,
}

#[derive(Debug)]
struct Inner {
    target: Mutex<SocketAddr>,
    new: Mutex<Option<Link>>,
    pairs: Mutex<Vec<Arc<Pair>>>,
    next: AtomicU64,
    stopped: AtomicBool,
}

/// A proxy in front of one address. Stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    inner: Arc<Inner>,
    address: SocketAddr,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Starts one in front of `target`.
    ///
    /// # Errors
    /// When there is no port to listen on.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            target: Mutex::new(target),
            new: Mutex::new(Some(Link::default())),
            pairs: Mutex::default(),
            next: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let accepting = inner.clone();
        thread::Builder::new().name("proxy".to_owned()).spawn(move || accept(&listener, &accepting))?;
        Ok(Self { inner, address })
    }

    /// Starts one in front of the server of a URL, and gives the URL through it.
    ///
    /// # Errors
    /// When the URL names no address of this machine, or there is no port to listen on.
    pub fn before(url: &str) -> io::Result<(Self, String)> {
        let unusable = || io::Error::new(io::ErrorKind::InvalidInput, "the URL has no 127.0.0.1:PORT");
        let (before, rest) = url.split_once("127.0.0.1:").ok_or_else(unusable)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let port = rest[..end].parse().map_err(|_| unusable())?;
        let proxy = Self::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        let url = format!("{before}{}{}", proxy.address, &rest[end..]);
        Ok((proxy, url))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Links that are there.
    #[must_use]
    pub fn links(&self) -> usize {
        locked(&self.inner.pairs).len()
    }

    /// Leads new links elsewhere.
    pub fn lead_to(&self, target: SocketAddr) {
        *locked(&self.inner.target) = target;
    }

    /// What the links that are there do from now on.
    pub fn set_established(&self, link: Link) {
        for pair in locked(&self.inner.pairs).iter() {
            *locked(&pair.link) = link;
        }
    }

    /// What new links do; `None`: they are reset at once.
    pub fn set_new(&self, link: Option<Link>) {
        *locked(&self.inner.new) = link;
    }

    /// The links that are there go silent for ever, both ways; new ones work.
    pub fn freeze_established(&self) {
        self.set_established(Link::both(Carry::Never));
    }

    /// Nothing gets through, on old links and new ones.
    pub fn swallow(&self) {
        self.set_new(Some(Link::both(Carry::Never)));
        self.freeze_established();
    }

    /// New links work; those that are there stay as they are.
    pub fn heal(&self) {
        self.set_new(Some(Link::default()));
    }

    /// Ends the links that are there, in good order.
    pub fn cut(&self) {
        for pair in locked(&self.inner.pairs).iter() {
            pair.end();
        }
    }

    /// Resets the links that are there.
    pub fn reset(&self) {
        for pair in locked(&self.inner.pairs).iter() {
            let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
            for stream in [&pair.near, &pair.far] {
                let _ = setsockopt(stream, sockopt::Linger, &linger);
            }
            pair.end();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.inner.stopped.store(true, Ordering::Release);
        self.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Pair {
    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let _ = self.near.shutdown(Shutdown::Both);
        let _ = self.far.shutdown(Shutdown::Both);
    }
}

fn accept(listener: &TcpListener, inner: &Arc<Inner>) {
    for near in listener.incoming() {
        if inner.stopped.load(Ordering::Acquire) {
            return;
        }
        let Ok(near) = near else { continue };
        let Some(link) = *locked(&inner.new) else { continue };
        if locked(&inner.pairs).len() >= LINKS_MAX {
            continue;
        }
        let target = *locked(&inner.target);
        let Ok(far) = TcpStream::connect_timeout(&target, Duration::from_secs(1)) else { continue };
        let _ = open(inner, near, far, link);
    }
}

fn open(inner: &Arc<Inner>, near: TcpStream, far: TcpStream, link: Link) -> io::Result<()> {
    for stream in [&near, &far] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
    }
    let ends = [(near.try_clone()?, far.try_clone()?), (far.try_clone()?, near.try_clone()?)];
    let number = inner.next.fetch_add(1, Ordering::Relaxed);
    let pair = Arc::new(Pair { number, link: Mutex::new(link), ended: AtomicBool::new(false), near, far });
    locked(&inner.pairs).push(pair.clone());
    for (there, (from, to)) in [true, false].into_iter().zip(ends) {
        let (pair, inner) = (pair.clone(), inner.clone());
        thread::Builder::new().name("proxy-link".to_owned()).stack_size(64 * 1024).spawn(move || {
            let _ = pump(&pair, there, from, to);
            pair.end();
            locked(&inner.pairs).retain(|other| other.number != pair.number);
        })?;
    }
    Ok(())
}

/// Carries bytes in one direction until either end has gone.
#[expect(clippy::disallowed_methods, reason = "each direction of a link has a thread of its own, outside any runtime")]
fn pump(pair: &Pair, there: bool, mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    use io::{Read as _, Write as _};
    let mut bytes = vec![0; CHUNK];
    let carry = || {
        let link = *locked(&pair.link);
        if there { link.there } else { link.back }
    };
    while !pair.ended.load(Ordering::Acquire) {
        let most = match carry() {
            // Left in the kernel's buffers, which are the bound.
            Carry::Later => {
                thread::sleep(LOOK);
                continue;
            }
            Carry::Slowly => {
                thread::sleep(LOOK);
                SLOW_CHUNK
            }
            Carry::All | Carry::Never => CHUNK,
        };
        let read = match from.read(&mut bytes[..most]) {
            // Nothing gets through a link that has gone silent, nor that one end has hung up.
            Ok(0) if carry() == Carry::Never => {
                while !pair.ended.load(Ordering::Acquire) {
                    thread::sleep(10 * LOOK);
                }
                return Ok(());
            }
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => continue,
            Err(error) => return Err(error),
        };
        // It may have changed while this waited for bytes.
        while carry() == Carry::Later && !pair.ended.load(Ordering::Acquire) {
            thread::sleep(LOOK);
        }
        if carry() != Carry::Never {
            to.write_all(&bytes[..read])?;
        }
    }
    Ok(())
}
