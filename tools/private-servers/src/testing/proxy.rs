//! A TCP proxy for tests, which injects faults into the links that go through it.
//!
//! A link can carry bytes, hold them back in either direction (a silent link: sent bytes are
//! acknowledged and not delivered), lose them, carry them slowly, end one direction or both
//! gracefully, or reset. A fault applies to existing links, or to new ones, too. A lost NAT entry
//! is therefore `freeze_established`: existing links are silent, new ones work.
//!
//! Faults apply to the links of all clients, or of one process ([`Proxy::aim_at`]).
//!
//! Limits: the number of links, and the bytes held back for each. All proxies of a process share
//! one thread, which sleeps while there is no traffic. A link keeps its source address, so limits
//! per address work behind a proxy, too.

use std::{
    collections::HashSet,
    fs,
    future::pending,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nix::sys::socket::{Shutdown, setsockopt, shutdown, sockopt};
use std::os::fd::AsRawFd as _;
use tokio::{
    net::{TcpSocket, TcpStream},
    runtime::{Builder, Runtime},
    sync::watch,
    time::{sleep, timeout},
};

/// Maximum number of links; further ones are rejected.
const LINKS_MAX: usize = 2000;
/// Pause of a slow link after each chunk.
const PAUSE: Duration = Duration::from_millis(5);
/// Bytes per chunk, and per chunk of a slow link.
const CHUNK: usize = 16 * 1024;
const SLOW_CHUNK: usize = 256;
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// How a link treats bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Forwarding {
    /// Passes them on.
    #[default]
    All,
    /// Delivers them in small chunks.
    Slowly,
    /// Holds them until this changes, like a stalled link.
    Later,
    /// Accepts and drops them. Later bytes make no sense to the other end, so such a link never
    /// recovers.
    Never,
    /// Delivers an end of stream, while the opposite direction still works.
    NoMore,
}

/// How a link treats each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkMode {
    /// From the client to the server.
    pub there: Forwarding,
    /// From the server to the client.
    pub back: Forwarding,
}

impl LinkMode {
    /// The same in both directions.
    #[must_use]
    pub fn both(carry: Forwarding) -> Self {
        Self { there: carry, back: carry }
    }
}

#[derive(Debug, Clone, Copy)]
enum State {
    Open(LinkMode),
    Ended,
}

/// An existing link. Setting its state wakes the task that carries its bytes.
#[derive(Debug)]
struct Pair {
    number: u64,
    client: SocketAddr,
    state: watch::Sender<State>,
    near: TcpStream,
    far: TcpStream,
}

#[derive(Debug)]
struct Inner {
    target: Mutex<SocketAddr>,
    new: Mutex<Option<LinkMode>>,
    /// The process whose links faults apply to; none for all.
    victim: Mutex<Option<u32>>,
    pairs: Mutex<Vec<Arc<Pair>>>,
    next: AtomicU64,
    stopped: watch::Sender<bool>,
}

/// A proxy in front of one address. Stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    inner: Arc<Inner>,
    address: SocketAddr,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The runtime of all proxies.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let build = || Builder::new_multi_thread().worker_threads(1).thread_name("proxies").enable_all().build();
    RUNTIME.get_or_init(|| build().expect("a thread can be started"))
}

impl Proxy {
    /// Starts one in front of `target`.
    ///
    /// # Errors
    /// When there is no port to listen on.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            target: Mutex::new(target),
            new: Mutex::new(Some(LinkMode::default())),
            victim: Mutex::default(),
            pairs: Mutex::default(),
            next: AtomicU64::new(0),
            stopped: watch::Sender::new(false),
        });
        runtime().spawn(accept(listener, inner.clone()));
        Ok(Self { inner, address })
    }

    /// Starts one in front of the server of a URL, and returns the URL through it.
    ///
    /// # Errors
    /// When the URL is not of this machine, or there is no port to listen on.
    pub fn before(url: &str) -> io::Result<(Self, String)> {
        let unusable = || io::Error::new(io::ErrorKind::InvalidInput, "the URL has no 127.0.0.1:PORT");
        let (before, rest) = url.split_once("127.0.0.1:").ok_or_else(unusable)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let port = rest[..end].parse().map_err(|_| unusable())?;
        let proxy = Self::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        let url = format!("{before}{}{}", proxy.address, &rest[end..]);
        Ok((proxy, url))
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Number of existing links.
    #[must_use]
    pub fn links(&self) -> usize {
        locked(&self.inner.pairs).len()
    }

    /// Changes the target of new links.
    pub fn lead_to(&self, target: SocketAddr) {
        *locked(&self.inner.target) = target;
    }

    /// Lets faults apply to the links of one process of this machine only, or again to all. Links
    /// that are broken stay so.
    pub fn aim_at(&self, process: Option<u32>) {
        *locked(&self.inner.victim) = process;
    }

    /// Changes the behaviour of existing links. Directions that have lost bytes or delivered an end
    /// of stream stay as they are.
    pub fn set_established(&self, link: LinkMode) {
        let final_or =
            |was: Forwarding, now| if matches!(was, Forwarding::Never | Forwarding::NoMore) { was } else { now };
        for pair in self.inner.affected() {
            pair.state.send_modify(|state| {
                if let State::Open(was) = state {
                    *was = LinkMode { there: final_or(was.there, link.there), back: final_or(was.back, link.back) };
                }
            });
        }
    }

    /// Sets the behaviour of new links; `None` resets them at once.
    pub fn set_new(&self, link: Option<LinkMode>) {
        *locked(&self.inner.new) = link;
    }

    /// Silences existing links for ever in both directions; new ones work.
    pub fn freeze_established(&self) {
        self.set_established(LinkMode::both(Forwarding::Never));
    }

    /// Blocks all bytes, on existing and new links.
    pub fn swallow(&self) {
        self.set_new(Some(LinkMode::both(Forwarding::Never)));
        self.freeze_established();
    }

    /// Makes new links work; existing ones stay as they are.
    pub fn heal(&self) {
        self.set_new(Some(LinkMode::default()));
    }

    /// Ends existing links gracefully.
    pub fn cut(&self) {
        for pair in self.inner.affected() {
            pair.end();
        }
    }

    /// Resets existing links.
    pub fn reset(&self) {
        for pair in self.inner.affected() {
            pair.reset();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.inner.stopped.send_replace(true);
        self.aim_at(None);
        self.cut();
    }
}

impl Inner {
    /// The existing links that faults apply to.
    fn affected(&self) -> Vec<Arc<Pair>> {
        let ports = locked(&self.victim).map(ports_of);
        let is_affected = |pair: &&Arc<Pair>| ports.as_ref().is_none_or(|ports| ports.contains(&pair.client.port()));
        locked(&self.pairs).iter().filter(is_affected).cloned().collect()
    }

    /// How a new link of this client behaves; `None` resets it.
    fn new_link(&self, client: SocketAddr) -> Option<LinkMode> {
        let is_affected = locked(&self.victim).is_none_or(|process| ports_of(process).contains(&client.port()));
        if is_affected { *locked(&self.new) } else { Some(LinkMode::default()) }
    }
}

/// The local ports of a process's TCP connections over IPv4; none if it has ended.
fn ports_of(process: u32) -> HashSet<u16> {
    let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let sockets: HashSet<String> = files
        .filter_map(|file| fs::read_link(file.path()).ok())
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap_or_default();
    let port = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, inode) = (fields.get(1)?, fields.get(9)?);
        let (_, port) = local.split_once(':')?;
        sockets.contains(*inode).then(|| u16::from_str_radix(port, 16).ok())?
    };
    table.lines().filter_map(port).collect()
}

impl Pair {
    fn end(&self) {
        self.state.send_replace(State::Ended);
        for stream in [&self.near, &self.far] {
            let _ = shutdown(stream.as_raw_fd(), Shutdown::Both);
        }
    }

    /// The reset is sent when the streams are closed, soon after.
    fn reset(&self) {
        for stream in [&self.near, &self.far] {
            let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
            let _ = setsockopt(stream, sockopt::Linger, &linger);
        }
        self.state.send_replace(State::Ended);
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let mut stopped = inner.stopped.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        // The process may be out of files for a moment.
        let Ok((near, from)) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        let link = inner.new_link(from);
        let is_full = locked(&inner.pairs).len() >= LINKS_MAX;
        match link {
            Some(link) if !is_full => drop(tokio::spawn(carry(inner.clone(), near, from, link))),
            _ => {
                let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
                let _ = setsockopt(&near, sockopt::Linger, &linger);
            }
        }
    }
}

/// Runs one link, from start to end.
async fn carry(inner: Arc<Inner>, near: TcpStream, client: SocketAddr, link: LinkMode) {
    let target = *locked(&inner.target);
    let Ok(Ok(far)) = timeout(CONNECT_WITHIN, connect(client.ip(), target)).await else { return };
    if near.set_nodelay(true).is_err() || far.set_nodelay(true).is_err() {
        return;
    }
    let number = inner.next.fetch_add(1, Ordering::Relaxed);
    let pair = Arc::new(Pair { number, client, state: watch::Sender::new(State::Open(link)), near, far });
    locked(&inner.pairs).push(pair.clone());
    if *inner.stopped.borrow() {
        pair.end();
    }
    let mut ended = pair.state.subscribe();
    tokio::select! {
        done = async { tokio::try_join!(pump(&pair, true), pump(&pair, false)) } => if done.is_err() { pair.end() },
        _ = ended.wait_for(|state| matches!(state, State::Ended)) => {}
    }
    locked(&inner.pairs).retain(|other| other.number != number);
}

/// Connects from the client's address, which is one of this machine's.
async fn connect(from: IpAddr, target: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if from.is_loopback() && from != IpAddr::V4(Ipv4Addr::LOCALHOST) {
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        socket.bind((from, 0).into())?;
    }
    socket.connect(target).await
}

/// Carries bytes in one direction until the end of the stream.
async fn pump(pair: &Pair, there: bool) -> io::Result<()> {
    let (from, to) = if there { (&pair.near, &pair.far) } else { (&pair.far, &pair.near) };
    let mut state = pair.state.subscribe();
    let carry = |state: &State| match state {
        State::Open(link) if there => link.there,
        State::Open(link) => link.back,
        State::Ended => Forwarding::Later,
    };
    let mut bytes = vec![0; CHUNK];
    loop {
        let now = carry(&state.borrow_and_update());
        let most = match now {
            // The bytes stay in the kernel's buffers, which are bounded.
            Forwarding::Later => {
                changed(&mut state).await;
                continue;
            }
            Forwarding::NoMore => {
                let _ = shutdown(to.as_raw_fd(), Shutdown::Write);
                return lose(from, &mut bytes).await;
            }
            Forwarding::Slowly => SLOW_CHUNK,
            Forwarding::All | Forwarding::Never => CHUNK,
        };
        tokio::select! {
            // A fault that has begun applies to bytes that arrived with it.
            biased;
            () = changed(&mut state) => continue,
            readable = from.readable() => readable?,
        }
        let read = match from.try_read(&mut bytes[..most]) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        match (now, read) {
            // A silent link delivers nothing, not even an end of stream.
            (Forwarding::Never, 0) => pending().await,
            (Forwarding::Never, _) => {}
            (_, 0) => {
                let _ = shutdown(to.as_raw_fd(), Shutdown::Write);
                return Ok(());
            }
            _ => write_all(to, &bytes[..read]).await?,
        }
        if now == Forwarding::Slowly {
            sleep(PAUSE).await;
        }
    }
}

/// Waits until the behaviour of the link changes.
async fn changed(state: &mut watch::Receiver<State>) {
    if state.changed().await.is_err() {
        pending().await
    }
}

async fn lose(from: &TcpStream, bytes: &mut [u8]) -> io::Result<()> {
    loop {
        from.readable().await?;
        match from.try_read(bytes) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn write_all(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
