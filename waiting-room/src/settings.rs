//! The waiting room's settings.

use std::{net::SocketAddr, time::Duration};

use clap::{ArgAction, Parser};
use fairline_server::{LogSettings, ProxySettings, Secret};

use crate::line::grace::Grace;

/// The waiting room: keeps shoppers in line and notifies them of their turn.
#[derive(Debug, Clone, Parser)]
#[command(name = "waiting-room", version)]
pub struct Settings {
    /// Address to listen on.
    #[arg(long, env = "FAIRLINE_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// URL of the Redis that holds the lines.
    #[arg(long, env = "FAIRLINE_REDIS_URL", hide_env_values = true)]
    pub redis_url: Secret,
    /// Key that signs tickets: 64 hexadecimal digits (`fairline keys ticket`). All nodes and
    /// checkout share it.
    #[arg(long, env = "FAIRLINE_TICKET_KEY", hide_env_values = true)]
    pub ticket_key: Secret,
    /// Key with which the shop signs account tokens, 32 bytes or more. With it, each account has
    /// one place, on any device.
    #[arg(long, env = "FAIRLINE_ACCOUNT_KEY", hide_env_values = true)]
    pub account_key: Option<Secret>,
    /// Whether joining requires an account that the shop asserts.
    #[arg(long, env = "FAIRLINE_ACCOUNTS_ONLY", default_value_t = false, action = ArgAction::Set, requires = "account_key")]
    pub accounts_only: bool,
    /// Further origins whose pages may use the line, comma-separated: `https://shop.example`.
    /// Fairline's own pages are always allowed.
    #[arg(long, env = "FAIRLINE_ALLOWED_ORIGINS", value_delimiter = ',')]
    pub allowed_origins: Vec<String>,
    /// URL of the shop's own checkout (http:// or https://). Shoppers with a turn are redirected to
    /// it, with the token in the query (`fairline_token`). Without it, they buy in Fairline's
    /// checkout.
    #[arg(long, env = "FAIRLINE_CHECKOUT_URL")]
    pub checkout_url: Option<String>,
    /// Proxies and origins.
    #[command(flatten)]
    pub proxy: ProxySettings,
    /// Whether cookies are sent over HTTPS only. Disable it only for trials without TLS.
    #[arg(long, env = "FAIRLINE_SECURE_COOKIES", default_value_t = true, action = ArgAction::Set)]
    pub secure_cookies: bool,
    /// Grace period: seconds for which a disconnected shopper keeps the place, unless the sale sets
    /// its own.
    #[arg(long, env = "FAIRLINE_GRACE_S", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub grace_s: u64,
    /// Grace period in seconds for phones, which suspend hidden tabs and lose connections more
    /// often.
    #[arg(long, env = "FAIRLINE_GRACE_MOBILE_S", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub grace_mobile_s: u64,
    /// New tickets per second for one client address. Schools and mobile carriers put many people
    /// behind one address.
    #[arg(long, env = "FAIRLINE_JOIN_RATE_PER_S", default_value_t = 50.0)]
    pub join_rate_per_s: f64,
    /// Burst of new tickets for one client address.
    #[arg(long, env = "FAIRLINE_JOIN_BURST", default_value_t = 500)]
    pub join_burst: u32,
    /// Maximum open connections (WebSockets and event streams) of this node.
    #[arg(long, env = "FAIRLINE_SOCKETS_MAX", default_value_t = 18_000)]
    pub sockets_max: usize,
    /// Seconds over which a stopping node moves its connected shoppers to other nodes.
    #[arg(long, env = "FAIRLINE_DRAIN_S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=10))]
    pub drain_s: u64,
    /// Logging.
    #[command(flatten)]
    pub log: LogSettings,
}

impl Settings {
    pub(crate) fn grace(&self) -> Grace {
        Grace { desktop: Duration::from_secs(self.grace_s), phone: Duration::from_secs(self.grace_mobile_s) }
    }
}
