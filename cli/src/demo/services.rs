//! The three services, the sandbox gateway and the sandbox mail server in one process, on one port.

use std::{net::SocketAddr, sync::Arc};

use axum::Router;
use fairline_notification_channels::ChannelSettings;
use fairline_postgres::PostgresSettings;
use fairline_sandbox_notifications::NotificationSandbox;
use fairline_server::{
    LogSettings, ProxySettings, Readiness, Secret, ServeLimits, Shutdown, StartError, common_routes, serve,
};
use tokio::net::TcpListener;

use super::{keys::DemoKeys, servers::DemoServers};

/// Higher than in production: all shoppers of a crowd share a few local addresses.
const REQUESTS_PER_ADDRESS_PER_S: f64 = 1_000.0;
const REQUESTS_PER_ADDRESS_BURST: u32 = 10_000;

/// The secret with which the sandbox gateway signs its webhooks.
const WEBHOOK_SECRET: &str = "whsec_sandbox";

/// Starts the services and serves them until shutdown.
pub(super) async fn serve_all(
    listener: TcpListener,
    servers: &DemoServers,
    keys: &DemoKeys,
    shutdown: &Shutdown,
) -> Result<(), StartError> {
    let listen = listener.local_addr().map_err(|error| StartError::new(format!("No address to serve on: {error}.")))?;
    let notifications = TcpListener::bind(("127.0.0.1", 0)).await;
    let notifications =
        notifications.map_err(|error| StartError::new(format!("No port for the sandbox mail server: {error}.")))?;
    let mail = notifications
        .local_addr()
        .map_err(|error| StartError::new(format!("No address of the sandbox mail server: {error}.")))?;
    let sandbox = NotificationSandbox::open(notifications, shutdown);
    let demo = DemoServices { listen, mail, servers, keys };
    let gateway = fairline_sandbox_gateway::SandboxGateway::start(&demo.sandbox_gateway(), shutdown).await?;
    let controller = admission_controller::AdmissionController::start(&demo.admission_controller(), shutdown).await?;
    let checkout = checkout::Checkout::start(&demo.checkout(), shutdown).await?;
    let waiting_room = waiting_room::WaitingRoom::start(&demo.waiting_room(), shutdown).await?;

    let routes = Router::new()
        .merge(sandbox.routes())
        .merge(gateway.routes)
        .merge(controller.routes)
        .merge(checkout.routes)
        .merge(waiting_room.routes);
    let ready = all_ready(vec![gateway.ready, controller.ready, checkout.ready, waiting_room.ready]);
    let router = common_routes(routes, ready, shutdown);
    let stop = shutdown.clone();
    shutdown.spawn(async move { serve(listener, router, ServeLimits::default(), &stop).await });
    Ok(())
}

/// Where the demo listens, and what its services share.
struct DemoServices<'a> {
    listen: SocketAddr,
    mail: SocketAddr,
    servers: &'a DemoServers,
    keys: &'a DemoKeys,
}

impl DemoServices<'_> {
    fn waiting_room(&self) -> waiting_room::Settings {
        waiting_room::Settings {
            listen: self.listen,
            redis_url: Secret::new(&self.servers.redis_url),
            ticket_key: Secret::new(&self.keys.ticket_key),
            account_key: None,
            accounts_only: false,
            checkout_url: None,
            allowed_origins: Vec::new(),
            proxy: ProxySettings::default(),
            secure_cookies: false,
            grace_s: 120,
            grace_mobile_s: 300,
            join_rate_per_s: REQUESTS_PER_ADDRESS_PER_S,
            join_burst: REQUESTS_PER_ADDRESS_BURST,
            sockets_max: 18_000,
            // There is no other node to move clients to.
            drain_s: 0,
            log: LogSettings::default(),
        }
    }

    fn admission_controller(&self) -> admission_controller::Settings {
        let listen = self.listen;
        admission_controller::Settings {
            listen,
            redis_url: Secret::new(&self.servers.redis_url),
            postgres_url: Secret::new(&self.servers.database_url),
            postgres: PostgresSettings::default(),
            tick_connections: admission_controller::TICK_CONNECTIONS,
            admin_connections: admission_controller::ADMIN_CONNECTIONS,
            key_connections: admission_controller::KEY_CONNECTIONS,
            signing_key_files: vec![self.keys.signing_key_file.clone()],
            admin_token: self.keys.admin_token.clone(),
            tick_ms: 200,
            migrate: false,
            sales_kept_days: None,
            secure_cookies: false,
            // A rehearsal runs this program; its crowd uses the public address.
            rehearsal_program: std::env::current_exe().ok(),
            rehearsal_url: Some(format!("http://{listen}")),
            media_url: std::path::absolute(&self.servers.media_folder)
                .ok()
                .map(|folder| format!("file://{}", folder.display())),
            proxy: ProxySettings::default(),
            log: LogSettings::default(),
        }
    }

    fn checkout(&self) -> checkout::Settings {
        let (listen, keys) = (self.listen, self.keys);
        checkout::Settings {
            role: checkout::ProcessRole::All,
            listen,
            postgres_url: Secret::new(&self.servers.database_url),
            postgres: PostgresSettings::default(),
            redemption_connections: checkout::REDEMPTION_CONNECTIONS,
            payment_connections: checkout::PAYMENT_CONNECTIONS,
            request_connections: checkout::REQUEST_CONNECTIONS,
            background_connections: checkout::BACKGROUND_CONNECTIONS,
            heartbeat_connections: checkout::HEARTBEAT_CONNECTIONS,
            redis_url: Secret::new(&self.servers.redis_url),
            jwks: keys.jwks_file.display().to_string(),
            ticket_key: Secret::new(&keys.ticket_key),
            gateway_url: format!("http://{listen}"),
            gateway_key: Secret::new("sk_sandbox"),
            webhook_secrets: vec![Secret::new(WEBHOOK_SECRET)],
            merchant_key: Some(keys.merchant_key.clone()),
            sign_in_key: Some(keys.sign_in_key.clone()),
            oidc_issuer: None,
            oidc_audience: None,
            channels: ChannelSettings {
                smtp_url: Some(Secret::new(format!("smtp://{}", self.mail))),
                mail_from: Some("Fairline demo <demo@fairline.example>".to_owned()),
                sms_url: Some(format!("http://{listen}/sandbox/messages")),
                sms_from: Some("Fairline".to_owned()),
                ..ChannelSettings::default()
            },
            shop_name: "the demo shop".to_owned(),
            allowed_origins: Vec::new(),
            pages_url: Some(format!("http://{listen}")),
            waiting_room_url: None,
            secure_cookies: false,
            proxy: ProxySettings::default(),
            purchase_rate_per_s: REQUESTS_PER_ADDRESS_PER_S,
            purchase_burst: REQUESTS_PER_ADDRESS_BURST,
            code_rate_per_s: 1.0,
            code_burst: 60,
            phone_code_rate_per_s: 0.02,
            phone_code_burst: 10,
            orders_kept_days: 365,
            log: LogSettings::default(),
        }
    }

    fn sandbox_gateway(&self) -> fairline_sandbox_gateway::Settings {
        let listen = self.listen;
        fairline_sandbox_gateway::Settings {
            listen,
            webhook_urls: vec![format!("http://{listen}/webhooks/stripe")],
            webhook_secret: Secret::new(WEBHOOK_SECRET),
            log: LogSettings::default(),
        }
    }
}

/// Ready when all parts are; otherwise reports what the first one lacks.
fn all_ready(parts: Vec<Readiness>) -> Readiness {
    let parts: Arc<[Readiness]> = parts.into();
    Arc::new(move || {
        let parts = parts.clone();
        Box::pin(async move {
            for part in parts.iter() {
                part().await?;
            }
            Ok(())
        })
    })
}
