//! `fairline demo`: all services in one process on one port, with a private Redis and a private
//! Postgres.

mod api;
mod crowd;
mod keys;
mod sample_sale;
mod servers;
mod services;
mod steps;

use std::{
    env, fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use clap::Args;
use fairline_private_servers::Folder;
use fairline_server::{JsonLines, Shutdown, StartError, raise_file_limit};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{failure::CommandError, private_file};
use {api::Api, keys::DemoKeys, sample_sale::SampleSale, servers::DemoServers, steps::Steps};

/// The file in the demo's folder with all addresses, for programs; it exists while the demo serves.
pub(crate) const READY_FILE: &str = "demo.json";
/// How long a stop waits for requests in progress.
const DRAIN: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Folder for data, keys and logs, kept between runs.
    #[arg(long, env = "FAIRLINE_DEMO_DIR", default_value = ".fairline")]
    dir: PathBuf,
    /// Port for all services; 0 selects a free one.
    #[arg(long, env = "FAIRLINE_DEMO_PORT", default_value_t = 8080)]
    port: u16,
    /// Start over: delete the data and keys of earlier runs.
    #[arg(long)]
    fresh: bool,
    /// Send this many simulated shoppers, print a report, and exit when the sale is over.
    #[arg(long, value_name = "SHOPPERS", value_parser = clap::value_parser!(u32).range(1..))]
    crowd: Option<u32>,
}

pub(crate) async fn run(settings: Settings, json: bool) -> Result<ExitCode, CommandError> {
    let shutdown = Shutdown::on_signals()
        .map_err(|error| CommandError::new(format!("The signal handlers can't be installed: {error}.")))?;
    let started = tokio::select! {
        started = Demo::start(&settings, json, &shutdown) => started,
        () = shutdown.triggered() => return Ok(ExitCode::SUCCESS),
    };
    let demo = match started {
        Ok(demo) => demo,
        Err(error) => {
            shutdown.trigger();
            shutdown.finished(DRAIN).await;
            return Err(error);
        }
    };
    let ended = demo.last(settings.crowd, json, &shutdown).await;
    let stopped = demo.stop(&shutdown).await;
    ended.and_then(|code| stopped.map(|()| code))
}

/// A running demo.
struct Demo {
    /// The base URL: `http://127.0.0.1:PORT`.
    url: String,
    keys: DemoKeys,
    sale: SampleSale,
    servers: DemoServers,
    folder: Arc<Folder>,
}

impl Demo {
    async fn start(settings: &Settings, json: bool, shutdown: &Shutdown) -> Result<Self, CommandError> {
        let steps = Steps::new(json);
        // Each shopper needs an open file.
        raise_file_limit();
        let folder = Arc::new(Folder::claim(&settings.dir)?);
        // A killed run may have left one.
        let _ = fs::remove_file(ready_file(&folder));
        if settings.fresh {
            folder.clear()?;
            DemoKeys::forget(folder.path())?;
            // Without an image, the folder is missing.
            let _ = fs::remove_dir_all(folder.path().join(servers::MEDIA));
        }
        let listener = listen(settings.port).await?;
        let address = listener.local_addr().map_err(|error| CommandError::new(format!("No port: {error}.")))?;
        let url = format!("http://{address}");
        log_to(&log_file(&folder))?;

        let servers = DemoServers::start(folder.clone(), &steps).await?;
        let schema = admission_controller::migrate(&servers.database_url);
        steps.step("schema", schema, |()| "up to date".to_owned()).await?;
        let keys = async { DemoKeys::in_folder(folder.path()) };
        let keys = steps.step("keys", keys, |_| "for tokens, tickets and the console".to_owned()).await?;
        let services = services::serve_all(listener, &servers, &keys, shutdown);
        steps.step("services", services, |()| format!("all on {address}")).await?;
        let api = Api::new(&url, keys.admin_token.clone());
        let sale = SampleSale::find_or_create(&api, settings.crowd.is_some());
        let sale = steps.step("sale", sale, SampleSale::describe).await?;
        Ok(Self { url, keys, sale, servers, folder })
    }

    /// Announces all addresses: to people on standard output, to programs in [`READY_FILE`].
    fn announce(&self, json: bool) -> Result<(), StartError> {
        let Self { url, keys, sale, servers, folder } = self;
        let place = json!({
            "shop_url": format!("{url}/"),
            "admin_url": format!("{url}/admin"),
            "admin_token": keys.admin_token.expose(),
            "postgres_url": servers.database_url,
            "redis_url": servers.redis_url,
            "sale_id": sale.id,
            "slug": sale.slug,
        })
        .to_string();
        private_file::replace(&ready_file(folder), &place)?;
        if json {
            println!("{place}");
            return Ok(());
        }
        let command = env::args().next().unwrap_or_else(|| "fairline".to_owned());
        let (dir, token, log) = (shown(folder.path()), shown(&keys.admin_token_file), shown(&log_file(folder)));
        println!();
        println!("  shop      {url}/");
        println!("  console   {url}/admin   (set up the first operator with the token in {token})");
        println!("  logs      {log}");
        println!("  crowd     {command} rush --demo {dir} --shoppers 200");
        println!();
        Ok(())
    }

    /// Serves, and keeps Redis and Postgres running, until the crowd is done or the demo is
    /// stopped.
    async fn last(&self, crowd: Option<u32>, json: bool, shutdown: &Shutdown) -> Result<ExitCode, CommandError> {
        self.announce(json)?;
        let end = async {
            match crowd {
                Some(shoppers) => crowd::send(self, shoppers, json, shutdown).await,
                None => {
                    if !json {
                        println!("Ctrl-C stops everything.");
                    }
                    shutdown.triggered().await;
                    Ok(ExitCode::SUCCESS)
                }
            }
        };
        tokio::select! {
            ended = end => ended,
            error = self.servers.keep_running() => Err(error.into()),
        }
    }

    async fn stop(self, shutdown: &Shutdown) -> Result<(), CommandError> {
        shutdown.trigger();
        let _ = fs::remove_file(ready_file(&self.folder));
        shutdown.finished(DRAIN).await;
        Ok(self.servers.stop().await?)
    }
}

fn ready_file(folder: &Folder) -> PathBuf {
    folder.path().join(READY_FILE)
}

fn log_file(folder: &Folder) -> PathBuf {
    folder.path().join("services.log")
}

/// A path relative to the current folder, if that is shorter.
fn shown(path: &Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

async fn listen(port: u16) -> Result<TcpListener, CommandError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => CommandError::new(format!(
            "Port {port} is in use. Stop the program that listens there, or choose another port: make demo PORT={} (PORT=0 selects a free one).",
            port.checked_add(1).unwrap_or(8080)
        )),
        _ => CommandError::new(format!("Could not listen on port {port}: {error}.")),
    })
}

/// Sends the services' logs to a file, to keep the terminal readable.
fn log_to(file: &Path) -> Result<(), StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::new(format!("Could not log to {}: {error}.", shown(file)));
    let file = fs::File::create(file).map_err(|error| failed(&error))?;
    let log = tracing_subscriber::fmt().event_format(JsonLines { service: "demo" }).with_writer(Mutex::new(file));
    log.try_init().map_err(|error| failed(&error))
}
