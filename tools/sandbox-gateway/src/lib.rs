//! A payment company in memory, for the demo and for tests: it takes nobody's money and misbehaves on request.
//!
//! Its HTTP API and its webhooks are Stripe's, as far as a shop needs them: payment intents that are confirmed, then captured or
//! cancelled, and refunded; an `Idempotency-Key` on every call that changes something. Any key that begins with `sk_` is an
//! account. What it does wrong is chosen by the payment method of an intent:
//!
//! | payment method | what happens |
//! |---|---|
//! | `tok_tells_twice`, `tok_tells_late`, `tok_tells_shuffled` | all goes well, and webhooks come twice, 3 seconds late, or in the wrong order |
//! | `tok_visa` | all goes well |
//! | `tok_declined` | the intent is declined |
//! | `tok_slow` | authorised, but the answer takes 2 seconds |
//! | `tok_timeout` | authorising and capturing are done, and the first answer to each never comes |
//! | `tok_flaky` | the first try to authorise and to capture fails with 500, and nothing is done |
//! | `tok_broken` | the same key gets a 500 for ever, and nothing is done |
//! | `tok_uncapturable` | authorised, and capturing is refused for ever |
//! | `tok_refund_late`, `tok_refund_fails` | a refund is pending for 3 seconds, and then succeeds, or fails |
//! | `tok_action` | the shopper has to prove who they are first, and has done so after 3 seconds |
//! | `tok_no_action` | the same, and they never do |
//! | `tok_createDispute` | all goes well, and the bank disputes it as soon as it is captured; evidence `winning_evidence` wins, `losing_evidence` loses |
//!
//! Refunds may be made by hand (`POST /v1/refunds`), of all or of a part; less than Stripe's least amount is refused.

mod api;
mod company;
mod webhook;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use clap::Parser;
use fairline_server::{LogSettings, Readiness, Secret, ServeLimits, Shutdown, StartError, plumbing_routes, serve};
use tokio::net::TcpListener;

/// How long a stop waits for what is under way.
const DRAIN: Duration = Duration::from_secs(10);

/// The sandbox gateway: a payment company in memory that misbehaves on request.
#[derive(Debug, Clone, Parser)]
#[command(name = "sandbox-gateway", version)]
pub struct Settings {
    /// Where to listen.
    #[arg(long, env = "FAIRLINE_LISTEN", default_value = "127.0.0.1:8083")]
    pub listen: SocketAddr,
    /// Where to tell of payments, as they change: an http:// address.
    #[arg(long, env = "FAIRLINE_WEBHOOK_URL")]
    pub webhook_url: Option<String>,
    /// What it signs its webhooks with.
    #[arg(long, env = "FAIRLINE_WEBHOOK_SECRET", default_value = "whsec_sandbox", hide_env_values = true)]
    pub webhook_secret: Secret,
    /// How it logs.
    #[command(flatten)]
    pub log: LogSettings,
}

/// A started sandbox gateway.
pub struct Service {
    /// Its routes.
    pub routes: Router,
    /// Whether it can do its work: always.
    pub ready: Readiness,
}

impl Service {
    /// Opens the company's books.
    ///
    /// # Errors
    /// When the webhook's address is not an http:// one.
    pub async fn start(settings: &Settings, shutdown: &Shutdown) -> Result<Self, StartError> {
        let webhook = settings.webhook_url.as_deref();
        let webhook =
            webhook.map(|url| webhook::Webhook::start(url, settings.webhook_secret.clone(), shutdown)).transpose()?;
        Ok(Self { routes: api::routes(webhook), ready: Arc::new(|| Box::pin(async { Ok(()) })) })
    }
}

/// Runs the sandbox gateway until asked to stop.
///
/// # Errors
/// When it can't start.
pub async fn run(settings: Settings, listener: TcpListener, shutdown: Shutdown) -> Result<(), StartError> {
    let service = Service::start(&settings, &shutdown).await?;
    let router = plumbing_routes(service.routes, service.ready, &shutdown);
    serve(listener, router, ServeLimits::default(), &shutdown).await;
    shutdown.finished(DRAIN).await;
    Ok(())
}
