//! A client of the admin API, for the terminal.

use std::{fs, path::Path, time::Duration};

use clap::Args;
use fairline_server::Secret;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, body::Bytes, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::POLL_INTERVAL;
use crate::{demo::READY_FILE, failure::CommandError};

/// Limits of an exchange with the controller.
#[derive(Clone, Copy)]
struct Limits {
    within: Duration,
    bytes_max: usize,
}

/// The longest response is a page of two hundred sales, with lanes.
const ANSWER: Limits = Limits { within: Duration::from_secs(10), bytes_max: 4 * 1024 * 1024 };
/// The longest file has all products.
const FILE: Limits = Limits { within: Duration::from_secs(120), bytes_max: 256 * 1024 * 1024 };
/// Consecutive failures of a polling request before the command gives up.
const FAILURES_MAX: u32 = 30;

/// The controller's URL and the credentials.
#[derive(Debug, Args)]
pub(crate) struct ControllerArguments {
    /// URL of the admission controller, such as `https://host:port`.
    #[arg(long, env = "FAIRLINE_ADMIN_URL", value_name = "URL", global = true)]
    admin: Option<String>,
    /// Bearer token for the admin API.
    #[arg(long, env = "FAIRLINE_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN", global = true)]
    admin_token: Option<Secret>,
    /// Folder of a running demo, instead of both.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["admin", "admin_token"], global = true)]
    demo: Option<std::path::PathBuf>,
}

/// A client of a controller.
pub(crate) struct Admin {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    address: String,
    token: Secret,
}

impl Admin {
    pub(crate) fn find(place: ControllerArguments) -> Result<Self, CommandError> {
        let (address, token) = match (place.demo, place.admin, place.admin_token) {
            (Some(folder), ..) => of_demo(&folder)?,
            (None, Some(address), Some(token)) => (address, token),
            _ => {
                return Err(CommandError::new(
                    "No controller given: use --admin URL and FAIRLINE_ADMIN_TOKEN, or --demo .fairline for a running demo.",
                ));
            }
        };
        let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("ring knows the default versions");
        let mut roots = rustls::RootCertStore::empty();
        // A certificate that can't be parsed is skipped.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.with_root_certificates(roots).with_no_client_auth())
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, address: address.trim_end_matches('/').to_owned(), token })
    }

    /// Polls a path once; tolerates failures, since a controller that is replaced is back in a
    /// moment.
    pub(super) async fn poll(&self, path: &str) -> Result<Value, CommandError> {
        let mut failures = 0;
        loop {
            match self.ask(Method::GET, path, None).await {
                Err(failure) if failures < FAILURES_MAX => {
                    failures += 1;
                    eprintln!("{failure} Trying again ({failures} of {FAILURES_MAX}).");
                    sleep(POLL_INTERVAL).await;
                }
                looked => return looked,
            }
        }
    }

    /// Sends a request and returns the response; a rejection carries the controller's own message.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, CommandError> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let body = self.exchange(method, path, ("application/json", body.into()), ANSWER).await?;
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Sends a table.
    pub(crate) async fn send_table(&self, path: &str, table: Vec<u8>) -> Result<Value, CommandError> {
        let body = self.exchange(Method::POST, path, ("text/csv", table.into()), FILE).await?;
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Downloads a file.
    pub(crate) async fn download(&self, path: &str) -> Result<Bytes, CommandError> {
        self.exchange(Method::GET, path, ("application/json", Bytes::new()), FILE).await
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        (kind, body): (&str, Bytes),
        limits: Limits,
    ) -> Result<Bytes, CommandError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/api/admin{path}", self.address))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.expose()))
            .header(header::CONTENT_TYPE, kind)
            .body(Full::from(body));
        let request =
            request.map_err(|error| CommandError::new(format!("`{}` is not a valid URL: {error}.", self.address)))?;
        let silent =
            |why: String| CommandError::new(format!("The controller at {} does not respond: {why}.", self.address));
        let answer = async {
            let answer = self.client.request(request).await.map_err(|error| silent(error.to_string()))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), limits.bytes_max).collect().await;
            Ok::<_, CommandError>((status, body.map_err(|error| silent(error.to_string()))?.to_bytes()))
        };
        let late = |_| silent(format!("nothing within {} s", limits.within.as_secs()));
        let (status, body) = timeout(limits.within, answer).await.map_err(late)??;
        if status.is_success() {
            return Ok(body);
        }
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (title, detail) = (problem["title"].as_str(), problem["detail"].as_str());
        Err(CommandError::new(match (title, detail) {
            (Some(title), Some(detail)) => format!("{title}. {detail}"),
            _ => format!("The server returned {status}. Check that {} is an admission controller.", self.address),
        }))
    }
}

fn of_demo(folder: &Path) -> Result<(String, Secret), CommandError> {
    let file = folder.join(READY_FILE);
    let none = |_| {
        CommandError::new(format!(
            "No demo runs in {} ({} is missing). Start one: make demo",
            folder.display(),
            file.display()
        ))
    };
    let demo: Value = serde_json::from_str(&fs::read_to_string(&file).map_err(none)?).unwrap_or_default();
    let address = demo["shop_url"].as_str().zip(demo["admin_token"].as_str());
    let (address, token) =
        address.ok_or_else(|| CommandError::new(format!("{} is not a valid demo.json.", file.display())))?;
    Ok((address.to_owned(), Secret::new(token)))
}
