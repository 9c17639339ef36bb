//! What an operator sets.

use std::{net::SocketAddr, time::Duration};

use clap::{ArgAction, Parser};
use fairline_service::{FrontSettings, LogSettings, Secret};

use crate::line::grace::Grace;

/// The waiting room: gives shoppers a place in the line, and tells them when it is their turn.
#[derive(Debug, Clone, Parser)]
#[command(name = "waiting-room", version)]
pub struct Settings {
    /// Where to listen.
    #[arg(long, env = "FAIRLINE_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Redis, with the lines.
    #[arg(long, env = "FAIRLINE_REDIS_URL", hide_env_values = true)]
    pub redis_url: Secret,
    /// The key that tickets are signed with: 64 hexadecimal digits (`fairline keys ticket`), the same for all nodes and
    /// for checkout.
    #[arg(long, env = "FAIRLINE_TICKET_KEY", hide_env_values = true)]
    pub ticket_key: Secret,
    /// The key that the shop signs its shoppers' accounts with, 32 bytes or more: one account then has one place, on any
    /// device.
    #[arg(long, env = "FAIRLINE_ACCOUNT_KEY", hide_env_values = true)]
    pub account_key: Option<Secret>,
    /// Whether only shoppers whose account the shop names may join.
    #[arg(long, env = "FAIRLINE_ACCOUNTS_ONLY", default_value_t = false, action = ArgAction::Set, requires = "account_key")]
    pub accounts_only: bool,
    /// Further origins whose pages may use the line, comma-separated: https://shop.example. Our own pages always may.
    #[arg(long, env = "FAIRLINE_ALLOWED_ORIGINS", value_delimiter = ',')]
    pub allowed_origins: Vec<String>,
    /// Where a shop has a checkout of its own: shoppers whose turn has come are sent there, with the token in the query
    /// (`fairline_token`). An http:// or https:// address; without one they buy here.
    #[arg(long, env = "FAIRLINE_CHECKOUT_URL")]
    pub checkout_url: Option<String>,
    /// What stands in front of it.
    #[command(flatten)]
    pub front: FrontSettings,
    /// Whether cookies travel over HTTPS only. Switch it off for trials without TLS alone.
    #[arg(long, env = "FAIRLINE_SECURE_COOKIES", default_value_t = true, action = ArgAction::Set)]
    pub secure_cookies: bool,
    /// Seconds for which a shopper who went silent keeps the place, unless the sale says for how long.
    #[arg(long, env = "FAIRLINE_GRACE_S", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub grace_s: u64,
    /// The same for a shopper with a phone, whose tabs sleep out of sight and whose connections break more often.
    #[arg(long, env = "FAIRLINE_GRACE_MOBILE_S", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub grace_mobile_s: u64,
    /// New tickets for one address: a second. Schools and carriers put many people behind one.
    #[arg(long, env = "FAIRLINE_JOIN_RATE_PER_S", default_value_t = 50.0)]
    pub join_rate_per_s: f64,
    /// New tickets for one address: at once.
    #[arg(long, env = "FAIRLINE_JOIN_BURST", default_value_t = 500)]
    pub join_burst: u32,
    /// Open lines (WebSockets and event streams) of this node at most.
    #[arg(long, env = "FAIRLINE_SOCKETS_MAX", default_value_t = 18_000)]
    pub sockets_max: usize,
    /// Seconds over which a node that is asked to stop spreads the moment at which each open line is told to move to
    /// another.
    #[arg(long, env = "FAIRLINE_DRAIN_S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=10))]
    pub drain_s: u64,
    /// How it logs.
    #[command(flatten)]
    pub log: LogSettings,
}

impl Settings {
    pub(crate) fn grace(&self) -> Grace {
        Grace { desk: Duration::from_secs(self.grace_s), phone: Duration::from_secs(self.grace_mobile_s) }
    }
}
