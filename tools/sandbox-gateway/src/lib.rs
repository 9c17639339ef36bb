//! A payment gateway in memory, for the demo and for tests. It moves no money and misbehaves on
//! request.
//!
//! Its HTTP API and its webhooks are the part of Stripe's that a shop needs: payment intents that
//! are confirmed, then captured or cancelled, and refunded. Every modifying call requires an
//! `Idempotency-Key`. Any key that begins with `sk_` is an account. The payment method of an intent
//! selects a fault:
//!
//! | payment method | behaviour |
//! |---|---|
//! | `tok_webhooks_twice` | succeeds, and each webhook is sent twice |
//! | `tok_webhooks_late` | succeeds, and webhooks are 3 seconds late |
//! | `tok_webhooks_shuffled` | succeeds, and webhooks are sent in the wrong order |
//! | `tok_visa` | succeeds |
//! | `tok_declined` | the intent is declined |
//! | `tok_slow` | authorised, but the response takes 2 seconds |
//! | `tok_timeout` | authorised and captured, but the first response to each is lost |
//! | `tok_flaky` | the first attempt to authorise and to capture fails with 500; nothing is done |
//! | `tok_flaky_late` | the same, and the failure takes 2 seconds |
//! | `tok_broken` | every attempt with the same key fails with 500; nothing is done |
//! | `tok_uncapturable` | authorised, but every capture is rejected |
//! | `tok_refund_late` | a refund is pending for 3 seconds, then succeeds |
//! | `tok_refund_fails` | a refund is pending for 3 seconds, then fails |
//! | `tok_action` | the shopper has to authenticate, and has done so after 3 seconds |
//! | `tok_no_action` | the shopper has to authenticate, and never does |
//! | `tok_createDispute` | succeeds, and the bank opens a dispute at the capture |
//! | `tok_dispute_early` | the same; webhooks arrive 2 s before the response to the capture |
//!
//! Evidence `winning_evidence` wins a dispute, `losing_evidence` loses it. Refunds may be created
//! directly (`POST /v1/refunds`), in full or in part; amounts below Stripe's minimum are rejected.
//!
//! ```no_run
//! use clap::Parser as _;
//! use fairline_sandbox_gateway::{Settings, run};
//! use fairline_server::{Shutdown, StartError};
//! use tokio::net::TcpListener;
//!
//! # async fn start(listener: TcpListener) -> Result<(), StartError> {
//! let settings = Settings::parse_from(["sandbox-gateway", "--webhook-secret", "whsec_example"]);
//! run(settings, listener, Shutdown::new()).await
//! # }
//! ```

mod api;
mod bounded;
mod json;
mod processor;
mod webhook;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use clap::Parser;
use fairline_server::{LogSettings, Readiness, Secret, ServeLimits, Shutdown, StartError, common_routes, serve};
use tokio::net::TcpListener;

/// How long a stop waits for requests in progress.
const DRAIN: Duration = Duration::from_secs(10);

/// The sandbox gateway: a payment gateway in memory that misbehaves on request.
#[derive(Debug, Clone, Parser)]
#[command(name = "sandbox-gateway", version)]
pub struct Settings {
    /// Address to listen on.
    #[arg(long, env = "FAIRLINE_LISTEN", default_value = "127.0.0.1:8083")]
    pub listen: SocketAddr,
    /// URL for webhooks about payments: an http:// URL. Each of several receives every webhook.
    #[arg(long = "webhook-url", env = "FAIRLINE_WEBHOOK_URL", value_delimiter = ',')]
    pub webhook_urls: Vec<String>,
    /// Secret that signs the webhooks.
    #[arg(long, env = "FAIRLINE_WEBHOOK_SECRET", default_value = "whsec_sandbox", hide_env_values = true)]
    pub webhook_secret: Secret,
    /// Logging.
    #[command(flatten)]
    pub log: LogSettings,
}

/// A started sandbox gateway.
pub struct SandboxGateway {
    /// Its routes.
    pub routes: Router,
    /// Its readiness check, which always succeeds.
    pub ready: Readiness,
}

impl SandboxGateway {
    /// Starts the service with empty state.
    ///
    /// # Errors
    /// When a webhook URL is not an http:// URL.
    pub async fn start(settings: &Settings, shutdown: &Shutdown) -> Result<Self, StartError> {
        let start = || webhook::WebhookSender::start(&settings.webhook_urls, &settings.webhook_secret, shutdown);
        let webhook = (!settings.webhook_urls.is_empty()).then(start).transpose()?;
        Ok(Self { routes: api::routes(webhook), ready: Arc::new(|| Box::pin(async { Ok(()) })) })
    }
}

/// Runs the sandbox gateway until shutdown.
///
/// # Errors
/// When it can't start.
pub async fn run(settings: Settings, listener: TcpListener, shutdown: Shutdown) -> Result<(), StartError> {
    let service = SandboxGateway::start(&settings, &shutdown).await?;
    let router = common_routes(service.routes, service.ready, &shutdown);
    serve(listener, router, ServeLimits::default(), &shutdown).await;
    shutdown.finished(DRAIN).await;
    Ok(())
}
