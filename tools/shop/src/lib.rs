//! A whole shop of real processes: two waiting rooms, two controllers, two checkouts, the sandbox
//! gateway, a private Redis and a private Postgres. Each can be killed and restarted at its
//! address.
//!
//! - Services are started by the thread that calls, and die with it.
//! - With proxies, each service has its own link to each server and service that it calls, and
//!   shoppers have one to each service that they call.
//! - Two shops at a time on a machine, which mostly wait.
//!
//! Panics where a test can not continue.
//!
//! ```no_run
//! use fairline_shop::{CHECKOUTS, Shop};
//!
//! # async fn test() {
//! let mut shop = Shop::open(100).await;
//! shop.kill(CHECKOUTS[0]);
//! shop.open_sale().await;
//! shop.restart(CHECKOUTS[0]).await;
//! shop.until_sold(100).await;
//! # }
//! ```

mod call;
mod sale;
mod service;

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use fairline_admission_token::SigningKey;
use fairline_private_servers::testing::{Proxy, Servers};
pub use hyper::Method;
use hyper::StatusCode;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_tungstenite::{client_async, tungstenite::client::IntoClientRequest as _};

pub use call::call;

use service::{ShopService, address_of};

/// The two waiting rooms.
pub const WAITING_ROOMS: [&str; 2] = ["waiting-room-1", "waiting-room-2"];
/// The two admission controllers.
pub const CONTROLLERS: [&str; 2] = ["admission-controller-1", "admission-controller-2"];
/// The two checkouts.
pub const CHECKOUTS: [&str; 2] = ["checkout-1", "checkout-2"];
/// The payment gateway.
pub const GATEWAY: &str = "sandbox-gateway-1";
/// All of them.
pub const NAMES: [&str; 7] =
    [WAITING_ROOMS[0], WAITING_ROOMS[1], CONTROLLERS[0], CONTROLLERS[1], CHECKOUTS[0], CHECKOUTS[1], GATEWAY];
/// A client with links that is not a service.
pub const SHOPPERS: &str = "shoppers";
/// The observer: its link to Postgres is never broken.
pub const ONLOOKER: &str = "onlooker";

const ADMIN_TOKEN: &str = "admin-token-of-the-fault-tests";
const READY_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(50);
/// A shop and its crowd mostly wait, so two share the cores of a small machine.
const SHOPS_AT_ONCE: u32 = 2;

/// The Redis and the Postgres of a shop.
pub trait Backends {
    /// The address of Redis.
    fn redis_url(&self) -> String;
    /// The address of a database for the shop, made if it is missing.
    fn postgres_url(&mut self) -> String;
}

impl Backends for Servers {
    fn redis_url(&self) -> String {
        self.redis.url()
    }

    fn postgres_url(&mut self) -> String {
        self.postgres.create_database("shop").expect("a database can be made")
    }
}

/// A link through a proxy.
#[derive(Debug)]
pub struct Link {
    /// The client: a service, [`SHOPPERS`] or [`ONLOOKER`].
    pub from: &'static str,
    /// `redis`, `postgres`, or a service.
    pub to: &'static str,
    /// Its proxy.
    pub proxy: Proxy,
}

/// How a shop is opened.
#[derive(Debug, Default)]
pub struct Opening<'a> {
    /// Whether all links go through proxies.
    pub behind_proxies: bool,
    /// More settings for its checkouts.
    pub checkout: &'a [&'a str],
    /// More settings for its controllers.
    pub controller: &'a [&'a str],
    /// Where logs are kept; a temporary folder if none is given.
    pub folder: Option<PathBuf>,
}

/// A whole shop. Everything ends when it is dropped, or when its process is killed.
#[derive(Debug)]
pub struct Shop<S = Servers> {
    services: Vec<ShopService>,
    /// The servers of the services.
    pub servers: S,
    /// The id of its one sale.
    pub sale: String,
    postgres_url: String,
    /// `None`: services are connected without proxies.
    links: Option<Vec<Link>>,
    folder: PathBuf,
    // Dropped last: the services write their logs here.
    _temporary: Option<TempDir>,
    _slot: File,
}

impl Shop {
    /// Opens the shop with `units` in its one sale, and waits until all is ready.
    pub async fn open(units: u32) -> Shop {
        Shop::without_a_sale().await.with_sale_of(units).await
    }

    /// The same, with a proxy on every link.
    pub async fn open_behind_proxies(units: u32) -> Shop {
        let opening = Opening { behind_proxies: true, ..Opening::default() };
        Shop::start(Servers::start().expect("Redis and Postgres start"), opening).await.with_sale_of(units).await
    }

    async fn with_sale_of(self, units: u32) -> Shop {
        let mut shop = self;
        shop.sale = shop.create_sale(json!({ "total": units })).await;
        shop.open_sale().await;
        shop
    }

    /// The same, with a sale that begins with a draw and is still to be opened.
    pub async fn ready_for_a_draw(units: u32) -> Shop {
        let mut shop = Shop::without_a_sale().await;
        shop.sale = shop.create_sale(json!({ "total": units, "order": "draw" })).await;
        shop
    }

    /// The same, with a sale in yield mode and a lane with this many invitations. Returns the
    /// arguments of a rush that name these guests.
    pub async fn with_guests(units: u32, guests: u32) -> (Shop, Vec<String>) {
        let mut shop = Shop::without_a_sale().await;
        let sale = json!({ "total": units, "mode": "yield", "risk": 0.01, "hold_s": 20 });
        shop.sale = shop.create_sale(sale).await;
        let guests = shop.invite(guests).await;
        shop.open_sale().await;
        (shop, guests)
    }

    async fn without_a_sale() -> Shop {
        Shop::start(Servers::start().expect("Redis and Postgres start"), Opening::default()).await
    }
}

impl<S: Backends> Shop<S> {
    /// Opens a shop with these servers, whose database may have been in use, without a sale.
    pub async fn start(servers: S, opening: Opening<'_>) -> Shop<S> {
        let mut servers = servers;
        let slot = wait_for_a_slot().await;
        let (folder, temporary) = match opening.folder {
            Some(folder) => (folder, None),
            None => {
                let folder = tempfile::tempdir().expect("a temporary folder can be made");
                (folder.path().to_owned(), Some(folder))
            }
        };
        let mut shop = Shop {
            services: Vec::new(),
            postgres_url: servers.postgres_url(),
            servers,
            sale: String::new(),
            links: opening.behind_proxies.then(Vec::new),
            folder,
            _temporary: temporary,
            _slot: slot,
        };
        shop.start_services((opening.controller, opening.checkout)).await;
        shop
    }

    async fn start_services(&mut self, (controller, checkout): (&[&str], &[&str])) {
        let key = self.folder.join("signing.pem");
        fs::write(&key, SigningKey::generate().to_pem()).expect("the shop's folder can be written to");
        let ticket_key = format!("--ticket-key={}", "5a".repeat(32));
        let (redis_url, postgres_url) = (self.servers.redis_url(), self.postgres_url.clone());
        self.postgres_url = self.through(ONLOOKER, "postgres", &postgres_url);
        let signing = format!("--signing-key-file={}", key.display());
        let admin = format!("--admin-token={ADMIN_TOKEN}");
        let [first, second] =
            CHECKOUTS.map(|name| format!("--webhook-url=http://{}/webhooks/stripe", self.door(GATEWAY, name)));
        self.launch(GATEWAY, &[&first, &second]);
        // One after the other: the first brings the schema up to date.
        for name in CONTROLLERS {
            let redis = format!("--redis-url={}", self.through(name, "redis", &redis_url));
            let postgres = format!("--postgres-url={}", self.through(name, "postgres", &postgres_url));
            let own = [&redis, &postgres, &signing, &admin, "--migrate=true", "--tick-ms=100"];
            self.launch(name, &[&own, controller].concat());
            self.ready(name).await;
        }
        for name in WAITING_ROOMS {
            let redis = format!("--redis-url={}", self.through(name, "redis", &redis_url));
            self.launch(name, &[&redis, &ticket_key, "--secure-cookies=false"]);
        }
        for (name, controller) in CHECKOUTS.into_iter().zip(CONTROLLERS) {
            let redis = format!("--redis-url={}", self.through(name, "redis", &redis_url));
            let postgres = format!("--postgres-url={}", self.through(name, "postgres", &postgres_url));
            let gateway = format!("--gateway-url=http://{}", self.door(name, GATEWAY));
            let jwks = format!("--jwks=http://{}/.well-known/jwks.json", self.door(name, controller));
            let own = [&postgres, &redis, &ticket_key, &gateway, &jwks, "--webhook-secrets=whsec_sandbox"];
            self.launch(name, &[&own, checkout].concat());
        }
        for name in [WAITING_ROOMS, CHECKOUTS].concat() {
            self.ready(name).await;
            self.door(SHOPPERS, name);
        }
        self.ready(GATEWAY).await;
    }

    /// The address of a server, as this service is given it.
    fn through(&mut self, from: &'static str, to: &'static str, url: &str) -> String {
        // Several servers have their own proxies.
        if self.links.is_none() || url.contains('?') {
            return url.to_owned();
        }
        let (proxy, url) = Proxy::before(url).expect("a proxy");
        self.links.get_or_insert_default().push(Link { from, to, proxy });
        url
    }

    /// The address of a service, as another is given it.
    fn door(&mut self, from: &'static str, to: &'static str) -> SocketAddr {
        let Some(links) = &mut self.links else { return address_of(to) };
        let proxy = Proxy::start(address_of(to)).expect("a proxy");
        let address = proxy.address();
        links.push(Link { from, to, proxy });
        address
    }

    fn launch(&mut self, name: &'static str, arguments: &[&str]) {
        self.services.push(ShopService::start(name, arguments, &self.folder));
    }
}

impl<S> Shop<S> {
    /// A link, by its two ends.
    pub fn link(&self, from: &str, to: &str) -> &Proxy {
        let link = self.links().iter().find(|link| link.from == from && link.to == to);
        &link.expect("the shop has this link").proxy
    }

    /// All links that go through proxies.
    pub fn links(&self) -> &[Link] {
        self.links.as_deref().unwrap_or_default()
    }

    /// The folder of logs and other files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The address of the database, over a link that is never broken.
    pub fn postgres_url(&self) -> &str {
        &self.postgres_url
    }

    /// The connection of a console.
    pub async fn console(&self, path: &str) -> impl Sized + use<S> {
        let mut request =
            format!("ws://{}{path}", address_of(CONTROLLERS[0])).into_client_request().expect("an address");
        let token = format!("Bearer {ADMIN_TOKEN}").parse().expect("a header");
        request.headers_mut().insert("authorization", token);
        let stream = TcpStream::connect(address_of(CONTROLLERS[0])).await.expect("a connection");
        client_async(request, stream).await.expect("a WebSocket").0
    }

    /// The arguments of a rush to this shop.
    pub fn arguments(&self) -> Vec<String> {
        let door = |name: &str| {
            let link = self.links().iter().find(|link| link.from == SHOPPERS && link.to == name);
            link.map_or_else(|| address_of(name), |link| link.proxy.address())
        };
        let waiting_rooms = WAITING_ROOMS.map(|name| format!("--waiting-room=http://{}", door(name)));
        let checkouts = CHECKOUTS.map(|name| format!("--checkout=http://{}", door(name)));
        let others = [
            format!("--admin=http://{}", address_of(CONTROLLERS[1])),
            format!("--admin-token={ADMIN_TOKEN}"),
            format!("--postgres-url={}", self.postgres_url),
            format!("--sale={}", self.sale),
        ];
        [waiting_rooms.as_slice(), checkouts.as_slice(), others.as_slice()].concat()
    }

    /// Ends a service as a crash would.
    pub fn kill(&mut self, name: &str) {
        let service = self.service(name);
        service.process.kill().expect("the service is our child");
        service.process.wait().expect("the service is our child");
    }

    /// Sends a service a signal.
    pub fn signal(&mut self, name: &str, signal: Signal) {
        self.service(name).signal(signal);
    }

    /// How a service ended, if it has; it has then been waited for.
    pub fn ended(&mut self, name: &str) -> Option<ExitStatus> {
        self.service(name).process.try_wait().expect("the service is our child")
    }

    /// The process of a service.
    pub fn process(&self, name: &str) -> u32 {
        self.services.iter().find(|service| service.name == name).map_or(0, |service| service.process.id())
    }

    /// Starts a killed service again.
    pub fn start_again(&mut self, name: &str) {
        self.service(name).start_again(None);
    }

    /// Restarts a killed service with a clock that is some seconds ahead.
    pub fn start_ahead(&mut self, name: &str, seconds: i64) {
        self.service(name).start_again(Some(seconds));
    }

    /// Starts a killed service again, and waits until it is ready.
    pub async fn restart(&mut self, name: &str) {
        self.start_again(name);
        self.ready(name).await;
    }

    fn service(&mut self, name: &str) -> &mut ShopService {
        self.services.iter_mut().find(|service| service.name == name).expect("a service by that name was started")
    }

    /// Why a service is not ready; nothing if it is.
    pub async fn unready(&self, name: &str) -> Option<String> {
        match call(address_of(name), ADMIN_TOKEN, (Method::GET, "/health/ready"), None).await {
            Ok((StatusCode::OK, _)) => None,
            answer => Some(format!("{answer:?}")),
        }
    }

    /// Waits until a service is ready.
    pub async fn ready(&self, name: &str) {
        let deadline = Instant::now() + READY_WITHIN;
        let mut last = self.unready(name).await;
        while last.is_some() && Instant::now() < deadline {
            sleep(POLL_EVERY).await;
            last = self.unready(name).await;
        }
        if let Some(last) = last {
            panic!("{name} is not ready: {last}\n{}", self.logs());
        }
    }

    /// Calls the admin API of the first controller that responds.
    pub async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        for name in CONTROLLERS {
            if let Ok(answer) = call(address_of(name), ADMIN_TOKEN, (method.clone(), path), body.as_ref()).await {
                return answer;
            }
        }
        (StatusCode::SERVICE_UNAVAILABLE, Value::Null)
    }

    /// Calls the first checkout.
    ///
    /// # Errors
    /// When it does not respond.
    pub async fn ask_checkout(
        &self,
        key: &str,
        to: (Method, &str),
        body: Option<Value>,
    ) -> Result<(StatusCode, Value), Box<dyn std::error::Error + Send + Sync>> {
        call(address_of(CHECKOUTS[0]), key, to, body.as_ref()).await
    }

    /// Calls the payment gateway.
    ///
    /// # Errors
    /// When it does not respond.
    pub async fn ask_gateway(&self, path: &str) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Ok(call(address_of(GATEWAY), "sk_test", (Method::GET, path), None).await?.1)
    }

    /// The last lines of every service's log.
    pub fn logs(&self) -> String {
        let tail = |service: &ShopService| {
            let log = fs::read_to_string(&service.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(25)..].join("\n");
            format!("── {} at {}\n{last}\n", service.name, service.address)
        };
        self.services.iter().map(tail).collect()
    }
}

impl<S> Drop for Shop<S> {
    fn drop(&mut self) {
        for service in &mut self.services {
            // A service that a test has killed has ended already.
            let _ = service.process.kill();
            let _ = service.process.wait();
        }
    }
}

/// Waits until fewer than [`SHOPS_AT_ONCE`] shops are open on this machine; the lock is released
/// when the file is dropped.
async fn wait_for_a_slot() -> File {
    loop {
        for slot in 0..SHOPS_AT_ONCE {
            let path = std::env::temp_dir().join(format!("fairline-shop-{slot}.lock"));
            let lock = File::create(path).expect("a lock file can be made");
            if lock.try_lock().is_ok() {
                return lock;
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
}
