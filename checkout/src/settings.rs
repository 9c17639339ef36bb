//! Settings of the checkout process.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};
use fairline_notification_channels::ChannelSettings;
use fairline_postgres::PostgresSettings;
use fairline_server::{LogSettings, ProxySettings, Secret};

/// Default number of connections for redemptions: four for batches, and some for reads of admission
/// states.
pub const REDEMPTION_CONNECTIONS: u32 = 6;
/// Default number of connections for payments.
pub const PAYMENT_CONNECTIONS: u32 = 8;
/// Default number of connections for all other requests.
pub const REQUEST_CONNECTIONS: u32 = 8;
/// Default number of connections for background work.
pub const BACKGROUND_CONNECTIONS: u32 = 2;
/// Default number of connections for the heartbeat and for readiness checks.
pub const HEARTBEAT_CONNECTIONS: u32 = 2;

/// The role of a checkout process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProcessRole {
    /// Both.
    All,
    /// Serves requests, expires holds, completes payments and reports its health to the
    /// controllers.
    Serve,
    /// Relays events, sends notifications and webhooks, reconciles stocks and deletes old rows.
    Worker,
}

impl ProcessRole {
    pub(crate) fn serves(self) -> bool {
        matches!(self, Self::All | Self::Serve)
    }

    pub(crate) fn is_worker(self) -> bool {
        matches!(self, Self::All | Self::Worker)
    }
}

/// Checkout: redeems admission tokens, holds units, takes payments, keeps orders.
#[derive(Debug, Clone, Parser)]
#[command(name = "checkout", version)]
pub struct Settings {
    /// The role of this process.
    #[arg(long, value_enum, env = "FAIRLINE_ROLE", default_value = "all")]
    pub role: ProcessRole,
    /// Address to listen on.
    #[arg(long, env = "FAIRLINE_LISTEN", default_value = "127.0.0.1:8082")]
    pub listen: SocketAddr,
    /// Postgres URL: the database with all orders and payments.
    #[arg(long, env = "FAIRLINE_POSTGRES_URL", hide_env_values = true)]
    pub postgres_url: Secret,
    /// Connection settings of Postgres.
    #[command(flatten)]
    pub postgres: PostgresSettings,
    /// Maximum number of Postgres connections for redemptions.
    #[arg(long, env = "FAIRLINE_REDEMPTION_CONNECTIONS", default_value_t = REDEMPTION_CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub redemption_connections: u32,
    /// Maximum number of Postgres connections for payments.
    #[arg(long, env = "FAIRLINE_PAYMENT_CONNECTIONS", default_value_t = PAYMENT_CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub payment_connections: u32,
    /// Maximum number of Postgres connections for all other requests, events and notifications.
    #[arg(long, env = "FAIRLINE_REQUEST_CONNECTIONS", default_value_t = REQUEST_CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub request_connections: u32,
    /// Maximum number of Postgres connections for retention and reconciliation.
    #[arg(long, env = "FAIRLINE_BACKGROUND_CONNECTIONS", default_value_t = BACKGROUND_CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub background_connections: u32,
    /// Maximum number of Postgres connections for the heartbeat and for readiness checks.
    #[arg(long, env = "FAIRLINE_HEARTBEAT_CONNECTIONS", default_value_t = HEARTBEAT_CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub heartbeat_connections: u32,
    /// Redis URL, for outgoing events and the cache of the list of sales. No purchase waits for
    /// Redis.
    #[arg(long, env = "FAIRLINE_REDIS_URL", hide_env_values = true)]
    pub redis_url: Secret,
    /// Public keys of admission tokens: the controller's http://…/.well-known/jwks.json, or a file.
    #[arg(long, env = "FAIRLINE_JWKS")]
    pub jwks: String,
    /// Key that signs tickets: 64 hexadecimal digits (`fairline keys ticket`), the same as the
    /// waiting rooms'.
    #[arg(long, env = "FAIRLINE_TICKET_KEY", hide_env_values = true)]
    pub ticket_key: Secret,
    /// Payment gateway: `https://api.stripe.com`, or a sandbox gateway.
    #[arg(long, env = "FAIRLINE_GATEWAY_URL")]
    pub gateway_url: String,
    /// Secret key of the account at the gateway; for a sandbox gateway, any that begins with `sk_`.
    #[arg(long, env = "FAIRLINE_GATEWAY_KEY", default_value = "sk_sandbox", hide_env_values = true)]
    pub gateway_key: Secret,
    /// Secrets that sign the gateway's webhooks (`POST /webhooks/stripe`): up to two during a
    /// rotation, comma-separated. Without one, all are rejected.
    #[arg(long, env = "FAIRLINE_WEBHOOK_SECRETS", value_delimiter = ',', hide_env_values = true)]
    pub webhook_secrets: Vec<Secret>,
    /// Key of the merchant's systems, which may then redeem, confirm and release holds and reserve
    /// units: at least 32 characters. Without one, the merchant API rejects every request.
    #[arg(long, env = "FAIRLINE_MERCHANT_KEY", hide_env_values = true)]
    pub merchant_key: Option<Secret>,
    /// Key that signs accounts and sign-in codes: at least 32 characters, the same for all
    /// checkouts. Without one, accounts are disabled.
    #[arg(long, env = "FAIRLINE_SIGN_IN_KEY", hide_env_values = true)]
    pub sign_in_key: Option<Secret>,
    /// The shop's own OpenID Connect issuer, whose ID tokens sign shoppers in: its URL, exactly as
    /// in its tokens.
    #[arg(long, env = "FAIRLINE_OIDC_ISSUER", requires_all = ["oidc_audience", "sign_in_key"])]
    pub oidc_issuer: Option<String>,
    /// The shop's client id at that issuer.
    #[arg(long, env = "FAIRLINE_OIDC_AUDIENCE")]
    pub oidc_audience: Option<String>,
    /// Channels of notifications.
    #[command(flatten)]
    pub channels: ChannelSettings,
    /// Name of the shop in notifications.
    #[arg(long, env = "FAIRLINE_SHOP_NAME", default_value = "the shop")]
    pub shop_name: String,
    /// URL of the shopper's pages, for links in notifications, such as `https://sale.example.org`.
    #[arg(long, env = "FAIRLINE_PAGES_URL")]
    pub pages_url: Option<String>,
    /// Further origins whose pages may buy, comma-separated, such as `https://shop.example`.
    /// Fairline's own pages are always allowed.
    #[arg(long, env = "FAIRLINE_ALLOWED_ORIGINS", value_delimiter = ',')]
    pub allowed_origins: Vec<String>,
    /// URL to which forward auth redirects browsers that were not admitted: http:// or https://.
    #[arg(long, env = "FAIRLINE_WAITING_ROOM_URL")]
    pub waiting_room_url: Option<String>,
    /// Whether the cookie of forward auth is for HTTPS only.
    #[arg(long, env = "FAIRLINE_SECURE_COOKIES", default_value_t = true, action = clap::ArgAction::Set)]
    pub secure_cookies: bool,
    /// Proxies in front of checkout.
    #[command(flatten)]
    pub proxy: ProxySettings,
    /// Purchases and payments of one address: rate per second.
    #[arg(long, env = "FAIRLINE_PURCHASE_RATE_PER_S", default_value_t = 20.0)]
    pub purchase_rate_per_s: f64,
    /// Purchases and payments of one address: burst.
    #[arg(long, env = "FAIRLINE_PURCHASE_BURST", default_value_t = 200)]
    pub purchase_burst: u32,
    /// Sign-in codes per second, per client address, to any recipients.
    #[arg(long, env = "FAIRLINE_CODE_RATE_PER_S", default_value_t = 1.0)]
    pub code_rate_per_s: f64,
    /// Burst of sign-in codes, per client address.
    #[arg(long, env = "FAIRLINE_CODE_BURST", default_value_t = 60)]
    pub code_burst: u32,
    /// Sign-in codes by SMS, which cost money: per second, per client address.
    #[arg(long, env = "FAIRLINE_PHONE_CODE_RATE_PER_S", default_value_t = 0.02)]
    pub phone_code_rate_per_s: f64,
    /// Burst of sign-in codes by SMS, per client address.
    #[arg(long, env = "FAIRLINE_PHONE_CODE_BURST", default_value_t = 10)]
    pub phone_code_burst: u32,
    /// Days after which orders are anonymised. Units and amounts stay.
    #[arg(long, env = "FAIRLINE_ORDERS_KEPT_DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub orders_kept_days: u32,
    /// Logging.
    #[command(flatten)]
    pub log: LogSettings,
}
