//! A whole shop of real processes: two waiting rooms, two controllers, two checkouts, the sandbox gateway, and a Redis
//! and a Postgres of its own. Each can be killed as a crash would, and started again at its old address.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use clap::Parser as _;
use fairline_admission_token::SigningKey;
use fairline_private_servers::testing::{Proxy, Servers, programs};
use fairline_rush::{Report, Settings, send_crowd};
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{client_async, tungstenite::client::IntoClientRequest as _};

pub const WAITING_ROOMS: [&str; 2] = ["waiting-room-1", "waiting-room-2"];
pub const CONTROLLERS: [&str; 2] = ["admission-controller-1", "admission-controller-2"];
pub const CHECKOUTS: [&str; 2] = ["checkout-1", "checkout-2"];

pub const GATEWAY: &str = "sandbox-gateway-1";
const ADMIN_TOKEN: &str = "admin-token-of-the-fault-tests";
/// Sales are opened by hand.
const LATER: &str = "2999-01-01T00:00:00Z";
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Longer than checkout leaves a gateway alone that had been killed.
const COUNTED_WITHIN: Duration = Duration::from_secs(90);
const RUSH_WITHIN: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A whole shop. Everything ends when it is dropped, or when the test is killed.
pub struct Shop {
    services: Vec<Service>,
    pub servers: Servers,
    pub sale: String,
    postgres_url: String,
    /// The links of services to `redis` and `postgres`, where they can be broken.
    links: Option<Vec<(String, &'static str, Proxy)>>,
    // Dropped last: the services write their logs here.
    folder: TempDir,
    _alone: File,
}

struct Service {
    name: &'static str,
    address: SocketAddr,
    arguments: Vec<String>,
    log: PathBuf,
    process: Child,
}

impl Shop {
    /// Opens the shop with `units` in its one sale, and waits until all is ready.
    pub async fn open(units: u32) -> Shop {
        Shop::without_a_sale().await.with_sale_of(units).await
    }

    /// The same, where each service has links of its own to Redis and Postgres, which can be broken.
    pub async fn open_behind_proxies(units: u32) -> Shop {
        Shop::started(Some(Vec::new()), Servers::start().expect("Redis and Postgres start"), &[])
            .await
            .with_sale_of(units)
            .await
    }

    async fn with_sale_of(self, units: u32) -> Shop {
        let mut shop = self;
        shop.sale = shop.create_sale(json!({ "total": units, "opens_at": LATER })).await;
        shop.open_sale().await;
        shop
    }

    /// The same, with a sale that begins with a draw and is still to be opened.
    pub async fn ready_for_a_draw(units: u32) -> Shop {
        let mut shop = Shop::without_a_sale().await;
        let later = json!({ "total": units, "order": "draw", "opens_at": LATER });
        shop.sale = shop.create_sale(later).await;
        shop
    }

    /// The same, with a sale in yield mode and a lane that so many are invited to. Gives how a rush is told of these guests.
    pub async fn with_guests(units: u32, guests: u32) -> (Shop, Vec<String>) {
        let mut shop = Shop::without_a_sale().await;
        let sale = json!({ "total": units, "mode": "yield", "risk": 0.01, "hold_s": 20, "opens_at": LATER });
        shop.sale = shop.create_sale(sale).await;
        let path = format!("/api/admin/sales/{}/lanes", shop.sale);
        let lane = json!({ "name": "guests", "share": 0.3 });
        let (status, sale) = shop.admin(Method::POST, &path, Some(lane)).await;
        assert_eq!(status, StatusCode::CREATED, "{sale}");
        let invite = json!({ "count": guests });
        let (status, made) = shop.admin(Method::POST, &format!("{path}/guests/invitations"), Some(invite)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let codes: Vec<&str> = made["codes"].as_array().expect("codes").iter().filter_map(Value::as_str).collect();
        let file = shop.folder.path().join("invitations");
        fs::write(&file, codes.join("\n")).expect("the temporary folder can be written to");
        shop.open_sale().await;
        let lane = sale["lanes"][0]["id"].as_str().expect("an id");
        (shop, vec![format!("--lane={lane}"), format!("--invitations={}", file.display())])
    }

    /// A service's link to `redis` or `postgres`.
    pub fn link(&self, service: &str, to: &str) -> &Proxy {
        let links = self.links.as_ref().expect("this shop stands behind proxies");
        let link = links.iter().find(|(from, there, _)| from == service && *there == to);
        &link.expect("each service has this link").2
    }

    /// The address of a server, as this service is given it.
    fn through(&mut self, service: &str, to: &'static str, url: &str) -> String {
        let Some(links) = &mut self.links else { return url.to_owned() };
        let (proxy, url) = Proxy::before(url).expect("a proxy");
        links.push((service.to_owned(), to, proxy));
        url
    }

    async fn without_a_sale() -> Shop {
        Shop::started(None, Servers::start().expect("Redis and Postgres start"), &[]).await
    }

    /// Opens a shop with these servers, whose database may have been in use, and more settings for its checkouts.
    pub async fn in_business(servers: Servers, checkout: &[&str]) -> Shop {
        Shop::started(None, servers, checkout).await
    }

    async fn started(links: Option<Vec<(String, &'static str, Proxy)>>, servers: Servers, checkout: &[&str]) -> Shop {
        let alone = be_alone();
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let postgres_url = servers.postgres.create_database("shop").expect("a database can be made");
        let mut shop =
            Shop { services: Vec::new(), servers, sale: String::new(), postgres_url, links, folder, _alone: alone };
        shop.start_services(checkout).await;
        shop
    }

    /// What a console is told, for as long as this is held.
    pub async fn console(&self, path: &str) -> impl Sized + use<> {
        let mut request =
            format!("ws://{}{path}", address_of(CONTROLLERS[0])).into_client_request().expect("an address");
        let token = format!("Bearer {ADMIN_TOKEN}").parse().expect("a header");
        request.headers_mut().insert("authorization", token);
        let stream = TcpStream::connect(address_of(CONTROLLERS[0])).await.expect("a connection");
        client_async(request, stream).await.expect("a WebSocket").0
    }

    async fn start_services(&mut self, checkout: &[&str]) {
        let key = self.folder.path().join("signing.pem");
        fs::write(&key, SigningKey::generate().to_pem()).expect("the temporary folder can be written to");
        let ticket_key = format!("--ticket-key={}", "5a".repeat(32));
        let (redis_url, postgres_url) = (self.servers.redis.url(), self.postgres_url.clone());
        let signing = format!("--signing-key-file={}", key.display());
        let admin = format!("--admin-token={ADMIN_TOKEN}");
        let gateway = format!("--gateway-url=http://{}", address_of(GATEWAY));
        let jwks = format!("--jwks=http://{}/.well-known/jwks.json", address_of(CONTROLLERS[0]));
        let webhook = format!("--webhook-url=http://{}/webhooks/stripe", address_of(CHECKOUTS[0]));
        self.start(GATEWAY, &[&webhook]);
        // One after the other: the first brings the schema up to date.
        for name in CONTROLLERS {
            let redis = format!("--redis-url={}", self.through(name, "redis", &redis_url));
            let postgres = format!("--postgres-url={}", self.through(name, "postgres", &postgres_url));
            self.start(name, &[&redis, &postgres, &signing, &admin, "--migrate=true", "--tick-ms=100"]);
            self.ready(name).await;
        }
        for name in WAITING_ROOMS {
            let redis = format!("--redis-url={}", self.through(name, "redis", &redis_url));
            self.start(name, &[&redis, &ticket_key, "--secure-cookies=false"]);
        }
        for name in CHECKOUTS {
            let redis = format!("--redis-url={}", self.through(name, "redis", &redis_url));
            let postgres = format!("--postgres-url={}", self.through(name, "postgres", &postgres_url));
            let own = [&postgres, &redis, &ticket_key, &gateway, &jwks, "--webhook-secrets=whsec_sandbox"];
            self.start(name, &[&own, checkout].concat());
        }
        for name in [WAITING_ROOMS, CHECKOUTS].concat() {
            self.ready(name).await;
        }
        self.ready(GATEWAY).await;
    }

    async fn create_sale(&self, wishes: Value) -> String {
        let mut sale = json!({
            "slug": "lamp", "name": "A lamp", "description": "One lamp.", "price_minor": 4_900, "currency": "EUR",
            "rate_cap_per_s": 25, "token_ttl_s": 10, "claim_window_s": 5, "hold_s": 60,
        });
        for (field, value) in wishes.as_object().expect("wishes are an object") {
            sale[field] = value.clone();
        }
        let (status, made) = self.admin(Method::POST, "/api/admin/sales", Some(sale)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        made["id"].as_str().expect("a sale has an id").to_owned()
    }

    /// Opens the sale.
    pub async fn open_sale(&self) {
        let path = format!("/api/admin/sales/{}/open", self.sale);
        let (status, opened) = self.admin(Method::POST, &path, None).await;
        assert_eq!(status, StatusCode::OK, "{opened}");
    }

    /// Sends a crowd, and makes trouble meanwhile.
    pub async fn rush(&mut self, arguments: &[&str], trouble: impl AsyncFnOnce(&mut Shop)) -> Report {
        let settings = self.settings(arguments);
        let rush = tokio::spawn(async move { send_crowd(&settings).await });
        trouble(self).await;
        let report = timeout(RUSH_WITHIN, rush).await.expect("a rush ends in time").expect("a rush does not panic");
        report.expect("the rush can be held")
    }

    fn settings(&self, arguments: &[&str]) -> Settings {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            settings: Settings,
        }
        let line =
            ["rush".to_owned()].into_iter().chain(self.arguments()).chain(arguments.iter().map(|&a| a.to_owned()));
        Line::parse_from(line).settings
    }

    /// How `fairline rush` is told about this shop.
    pub fn arguments(&self) -> Vec<String> {
        let waiting_rooms = WAITING_ROOMS.map(|name| format!("--waiting-room=http://{}", address_of(name)));
        let checkouts = CHECKOUTS.map(|name| format!("--checkout=http://{}", address_of(name)));
        let others = [
            format!("--admin=http://{}", address_of(CONTROLLERS[1])),
            format!("--admin-token={ADMIN_TOKEN}"),
            format!("--postgres-url={}", self.postgres_url),
            format!("--sale={}", self.sale),
        ];
        [waiting_rooms.as_slice(), checkouts.as_slice(), others.as_slice()].concat()
    }

    /// How many tickets the sale's own line, and its lanes, have let in.
    pub async fn admitted(&self) -> (u64, u64) {
        let (_, sale) = self.admin(Method::GET, &format!("/api/admin/sales/{}", self.sale), None).await;
        let lanes = sale["lanes"].as_array().expect("lanes").iter().filter_map(|lane| lane["admitted"].as_u64());
        (sale["admitted"].as_u64().expect("a number"), lanes.sum())
    }

    /// A counter of the sale.
    pub async fn count(&self, counter: &str) -> u64 {
        self.until(counter, 0).await
    }

    /// Waits until so many units are sold: the middle of a rush.
    pub async fn until_sold(&self, units: u64) {
        self.until("sold", units).await;
    }

    /// Waits until a counter of the sale is so high.
    pub async fn until(&self, counter: &str, high: u64) -> u64 {
        let path = format!("/api/admin/sales/{}", self.sale);
        let mut last = Value::Null;
        let enough = async {
            while last[counter].as_u64().is_none_or(|count| count < high) {
                sleep(LOOK_EVERY).await;
                last = self.admin(Method::GET, &path, None).await.1;
            }
        };
        let in_time = timeout(COUNTED_WITHIN, enough).await.is_ok();
        assert!(in_time, "`{counter}` was not {high} in time: {last}\n{}", self.logs());
        last[counter].as_u64().expect("a number")
    }

    /// Lets so many in per second at most.
    pub async fn cap(&self, rate_cap_per_s: f64) {
        let change = json!({ "rate_cap_per_s": rate_cap_per_s });
        let path = format!("/api/admin/sales/{}", self.sale);
        let (status, sale) = self.admin(Method::PATCH, &path, Some(change)).await;
        assert_eq!(status, StatusCode::OK, "{sale}");
    }

    /// Ends a service as a crash would.
    pub fn kill(&mut self, name: &str) {
        let service = self.service(name);
        service.process.kill().expect("the service runs");
        service.process.wait().expect("the service is our child");
    }

    /// Starts a killed service again, and waits until it is ready.
    pub async fn restart(&mut self, name: &'static str) {
        let service = self.service(name);
        service.process = spawn(name, &service.arguments, &service.log);
        self.ready(name).await;
    }

    fn service(&mut self, name: &str) -> &mut Service {
        self.services.iter_mut().find(|service| service.name == name).expect("a service by that name was started")
    }

    fn start(&mut self, name: &'static str, arguments: &[&str]) {
        let address = address_of(name);
        let own = [format!("--listen={address}"), "--log=text".to_owned()];
        let arguments = own.into_iter().chain(arguments.iter().map(|&argument| argument.to_owned())).collect();
        let log = self.folder.path().join(format!("{name}.log"));
        let process = spawn(name, &arguments, &log);
        self.services.push(Service { name, address, arguments, log, process });
    }

    async fn ready(&self, name: &str) {
        let address = address_of(name);
        let deadline = Instant::now() + READY_WITHIN;
        let mut last = String::new();
        while Instant::now() < deadline {
            match call(address, Method::GET, "/health/ready", None).await {
                Ok((StatusCode::OK, _)) => return,
                answer => last = format!("{answer:?}"),
            }
            sleep(LOOK_EVERY).await;
        }
        panic!("{name} is not ready: {last}\n{}", self.logs());
    }

    pub async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut answer = (StatusCode::SERVICE_UNAVAILABLE, Value::Null);
        for name in CONTROLLERS {
            if let Ok(answered) = call(address_of(name), method.clone(), path, body.as_ref()).await {
                answer = answered;
                break;
            }
        }
        answer
    }

    /// The last lines of every service's log.
    pub fn logs(&self) -> String {
        let tail = |service: &Service| {
            let log = fs::read_to_string(&service.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(25)..].join("\n");
            format!("── {} at {}\n{last}\n", service.name, service.address)
        };
        self.services.iter().map(tail).collect()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        for service in &mut self.services {
            // A service that a test has killed is gone already.
            let _ = service.process.kill();
            let _ = service.process.wait();
        }
    }
}

/// One shop at a time on this machine: on two cores, several would only show how slow two cores are.
fn be_alone() -> File {
    let lock = File::create(std::env::temp_dir().join("fairline-fault-tests.lock")).expect("a lock file can be made");
    lock.lock().expect("a lock file can be locked");
    lock
}

/// Where a service listens: fixed ports, at an address of 127.0.0.0/8 that no other process uses.
fn address_of(name: &str) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let names = [WAITING_ROOMS, CONTROLLERS, CHECKOUTS].concat();
    let port = names.iter().position(|known| *known == name).unwrap_or(names.len());
    let port = 9_000 + u16::try_from(port).expect("there are few services");
    SocketAddr::from((Ipv4Addr::new(127, 200, high, low), port))
}

/// Starts a service that dies with this thread.
fn spawn(name: &str, arguments: &Vec<String>, log: &Path) -> Child {
    let (binary, _) = name.rsplit_once('-').expect("names end in a number");
    let log = File::options().create(true).append(true).open(log).expect("the temporary folder can be written to");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(programs().join(binary)).args(arguments);
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be cloned")).stderr(log);
    command.spawn().expect("setpriv is part of util-linux")
}

async fn call(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<(StatusCode, Value), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("authorization", format!("Bearer {ADMIN_TOKEN}"))
        .header("content-type", "application/json")
        .body(Full::new(body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()))))?;
    let response = timeout(Duration::from_secs(5), sender.send_request(request)).await??;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}
