//! What an operator sets.

use std::net::SocketAddr;

use clap::Parser;
use fairline_postgres::PostgresSettings;
use fairline_service::{FrontSettings, LogSettings, Secret};

/// Connections for redemptions by default: four batches, and some for what tokens became.
pub const REDEMPTION_CONNECTIONS: u32 = 6;
/// Connections for payments by default.
pub const PAYMENT_CONNECTIONS: u32 = 8;
/// Connections for all other requests by default.
pub const REQUEST_CONNECTIONS: u32 = 8;

/// Checkout: redeems admission tokens, holds units, takes payments, keeps orders.
#[derive(Debug, Clone, Parser)]
#[command(name = "checkout", version)]
pub struct Settings {
    /// Where to listen.
    #[arg(long, env = "FAIRLINE_LISTEN", default_value = "127.0.0.1:8082")]
    pub listen: SocketAddr,
    /// Postgres, with everything that money touches.
    #[arg(long, env = "FAIRLINE_POSTGRES_URL", hide_env_values = true)]
    pub postgres_url: Secret,
    /// How Postgres is reached.
    #[command(flatten)]
    pub postgres: PostgresSettings,
    /// Connections to Postgres for redemptions, at most.
    #[arg(long, env = "FAIRLINE_REDEMPTION_CONNECTIONS", default_value_t = REDEMPTION_CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub redemption_connections: u32,
    /// Connections to Postgres for payments, at most.
    #[arg(long, env = "FAIRLINE_PAYMENT_CONNECTIONS", default_value_t = PAYMENT_CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub payment_connections: u32,
    /// Connections to Postgres for all other requests, events and notifications, at most.
    #[arg(long, env = "FAIRLINE_REQUEST_CONNECTIONS", default_value_t = REQUEST_CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub request_connections: u32,
    /// Redis, for events on their way out and the catalogue's cache. No purchase waits for it.
    #[arg(long, env = "FAIRLINE_REDIS_URL", hide_env_values = true)]
    pub redis_url: Secret,
    /// The public keys of admission tokens: the controller's http://…/.well-known/jwks.json, or a file.
    #[arg(long, env = "FAIRLINE_JWKS")]
    pub jwks: String,
    /// The key that tickets are signed with: 64 hexadecimal digits (`fairline keys ticket`), the waiting rooms' own.
    #[arg(long, env = "FAIRLINE_TICKET_KEY", hide_env_values = true)]
    pub ticket_key: Secret,
    /// The payment gateway: https://api.stripe.com, or a sandbox gateway.
    #[arg(long, env = "FAIRLINE_GATEWAY_URL")]
    pub gateway_url: String,
    /// The secret key of the account there; any that begins with `sk_` for a sandbox gateway.
    #[arg(long, env = "FAIRLINE_GATEWAY_KEY", default_value = "sk_sandbox", hide_env_values = true)]
    pub gateway_key: Secret,
    /// What the gateway signs its webhooks with (`POST /webhooks/stripe`): up to two while one is rotated, comma-separated. Without
    /// one, none is heard.
    #[arg(long, env = "FAIRLINE_WEBHOOK_SECRETS", value_delimiter = ',', hide_env_values = true)]
    pub webhook_secrets: Vec<Secret>,
    /// The key of the shop's own systems, which may then redeem, confirm and release holds and reserve units: at least 32
    /// characters. Without one nobody may.
    #[arg(long, env = "FAIRLINE_SHOP_KEY", hide_env_values = true)]
    pub shop_key: Option<Secret>,
    /// The key that accounts are proved with: at least 32 characters, the same for all checkouts. Without one, none are offered.
    #[arg(long, env = "FAIRLINE_SIGN_IN_KEY", hide_env_values = true)]
    pub sign_in_key: Option<Secret>,
    /// The shop's own OpenID Connect issuer, whose ID tokens sign in: its address, exactly as its tokens name it.
    #[arg(long, env = "FAIRLINE_OIDC_ISSUER", requires_all = ["oidc_audience", "sign_in_key"])]
    pub oidc_issuer: Option<String>,
    /// What that issuer calls us: the client id.
    #[arg(long, env = "FAIRLINE_OIDC_AUDIENCE")]
    pub oidc_audience: Option<String>,
    /// The mail server that takes letters: smtps://user:password@host, or smtp://host:25 inside your own network.
    #[arg(long, env = "FAIRLINE_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<Secret>,
    /// Who letters are from: `Shop <shop@example.org>`.
    #[arg(long, env = "FAIRLINE_MAIL_FROM")]
    pub mail_from: Option<String>,
    /// The company that takes messages to phones, where it speaks Twilio's API: https://api.twilio.com/2010-04-01/Accounts/AC…/Messages.json
    #[arg(long, env = "FAIRLINE_SMS_URL")]
    pub sms_url: Option<String>,
    /// The account there, as user:password.
    #[arg(long, env = "FAIRLINE_SMS_KEY", hide_env_values = true)]
    pub sms_key: Option<Secret>,
    /// The number, or the name, that messages are from.
    #[arg(long, env = "FAIRLINE_SMS_FROM")]
    pub sms_from: Option<String>,
    /// The VAPID key pair that browsers are told with: the public key, as `npx web-push generate-vapid-keys` writes it.
    #[arg(long, env = "FAIRLINE_PUSH_PUBLIC_KEY")]
    pub push_public_key: Option<String>,
    /// And the private one.
    #[arg(long, env = "FAIRLINE_PUSH_KEY", hide_env_values = true)]
    pub push_key: Option<Secret>,
    /// Where browsers' makers reach us about it: a mailto: or https:// address.
    #[arg(long, env = "FAIRLINE_PUSH_CONTACT")]
    pub push_contact: Option<String>,
    /// The push services that are sent to, comma-separated: hosts, with `*.` for all below one.
    #[arg(
        long,
        env = "FAIRLINE_PUSH_MAKERS",
        value_delimiter = ',',
        default_value = "fcm.googleapis.com,updates.push.services.mozilla.com,*.push.apple.com,*.notify.windows.com"
    )]
    pub push_makers: Vec<String>,
    /// What the shop is called in letters.
    #[arg(long, env = "FAIRLINE_SHOP_NAME", default_value = "the shop")]
    pub shop_name: String,
    /// Where the shopper's pages are, for links in letters: https://sale.example.org
    #[arg(long, env = "FAIRLINE_PAGES_URL")]
    pub pages_url: Option<String>,
    /// Pages of these origins may buy, besides our own: such as https://shop.example, comma-separated.
    #[arg(long, env = "FAIRLINE_ALLOWED_ORIGINS", value_delimiter = ',')]
    pub allowed_origins: Vec<String>,
    /// Where the gate of a shop's own checkout sends browsers that were not let in: an http:// or https:// address.
    #[arg(long, env = "FAIRLINE_WAITING_ROOM_URL")]
    pub waiting_room_url: Option<String>,
    /// Whether the gate's cookie is for HTTPS only.
    #[arg(long, env = "FAIRLINE_SECURE_COOKIES", default_value_t = true, action = clap::ArgAction::Set)]
    pub secure_cookies: bool,
    /// What stands in front of it.
    #[command(flatten)]
    pub front: FrontSettings,
    /// Purchases and payments from one address: a second.
    #[arg(long, env = "FAIRLINE_PURCHASE_RATE_PER_S", default_value_t = 20.0)]
    pub purchase_rate_per_s: f64,
    /// Purchases and payments from one address: at once.
    #[arg(long, env = "FAIRLINE_PURCHASE_BURST", default_value_t = 200)]
    pub purchase_burst: u32,
    /// Codes to sign in with that one address may have sent, to whomever: a second.
    #[arg(long, env = "FAIRLINE_CODE_RATE_PER_S", default_value_t = 1.0)]
    pub code_rate_per_s: f64,
    /// The same: at once.
    #[arg(long, env = "FAIRLINE_CODE_BURST", default_value_t = 60)]
    pub code_burst: u32,
    /// Codes that one address may have sent to phones, whose messages cost: a second.
    #[arg(long, env = "FAIRLINE_PHONE_CODE_RATE_PER_S", default_value_t = 0.02)]
    pub phone_code_rate_per_s: f64,
    /// The same: at once.
    #[arg(long, env = "FAIRLINE_PHONE_CODE_BURST", default_value_t = 10)]
    pub phone_code_burst: u32,
    /// Days after which an order no longer leads to whoever made it. Units and amounts stay.
    #[arg(long, env = "FAIRLINE_ORDERS_KEPT_DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub orders_kept_days: u32,
    /// How it logs.
    #[command(flatten)]
    pub log: LogSettings,
}
