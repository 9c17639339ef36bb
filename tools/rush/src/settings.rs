//! The command line settings of a rush.

use std::{path::PathBuf, time::Duration};

use fairline_server::Secret;

use crate::{
    http::ServiceUrl,
    plan::{CrowdProfile, FirstPayment, Shares, ShopperModel, Transport},
};

/// Shoppers per process; each has a socket, and a process may open 20,000 files.
const SHOPPERS_PER_PROCESS: u32 = 5_000;

/// Send a crowd of simulated shoppers to a sale, and check that every promise was kept.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// Whether the report is printed only as JSON.
    #[arg(skip)]
    pub json: bool,

    /// Whether progress is hidden.
    #[arg(skip)]
    pub quiet: bool,

    /// Number of shoppers.
    #[arg(long, short = 'n', default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub shoppers: u32,

    /// URL of a waiting room; may be repeated.
    #[arg(long = "waiting-room", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub waiting_rooms: Vec<ServiceUrl>,

    /// URL of a checkout; may be repeated [default: the waiting rooms' URLs].
    #[arg(long = "checkout", value_name = "URL")]
    pub checkouts: Vec<ServiceUrl>,

    /// URL of an admission controller, whose counters are compared, too.
    #[arg(long, value_name = "URL", requires = "admin_token")]
    pub admin: Option<ServiceUrl>,

    /// Bearer token for the admin API.
    #[arg(long, value_name = "TOKEN", env = "FAIRLINE_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<Secret>,

    /// The sale, by slug or id [default: the only running or coming one].
    #[arg(long, value_name = "SLUG|ID")]
    pub sale: Option<String>,

    /// URL of the database, to compare with the shoppers' observations.
    #[arg(long, value_name = "URL", env = "FAIRLINE_POSTGRES_URL", hide_env_values = true)]
    pub postgres_url: Option<Secret>,

    /// Seed that repeats an earlier crowd [default: random, and printed].
    #[arg(long)]
    pub seed: Option<u64>,

    /// Shares of shopper models: buy, buy-again, let-expire, leave, disconnect, reconnect, replay,
    /// forge, cancel, visit.
    #[arg(
        long,
        value_name = "SHARES",
        default_value = "buy=65,buy-again=5,let-expire=5,leave=5,disconnect=5,reconnect=10,replay=3,forge=2"
    )]
    pub mix: Shares<ShopperModel>,

    /// Shares of page transports: websocket, sse, poll.
    #[arg(long, value_name = "SHARES", default_value = "websocket=90,sse=5,poll=5")]
    pub transports: Shares<Transport>,

    /// Shares of first payment results: visa, declined, slow, timeout, flaky, action.
    #[arg(long, value_name = "SHARES", default_value = "visa=70,declined=10,slow=5,timeout=5,flaky=5,action=5")]
    pub payments: Shares<FirstPayment>,

    /// Seconds within which all shoppers arrive.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub arrive_s: u64,

    /// Seconds after joining within which shoppers leave, disconnect or reconnect, or at the
    /// turn.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub act_within_s: u64,

    /// Approximate seconds for which a shopper stays disconnected; half of them never return.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub disconnected_s: u64,

    /// Maximum pause before each action in checkout.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(0..=600_000))]
    pub think_ms: u64,

    /// Percentage of `visit` shoppers who buy.
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub buy_percent: u32,

    /// Speed of `visit` shoppers relative to people; shorten the sale's time windows by the same
    /// factor.
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub speed: u32,

    /// Id of a lane of the sale, in which the invited shoppers wait.
    #[arg(long, value_name = "ID", requires = "invitations")]
    pub lane: Option<String>,

    /// File with invitations to the lane, one code per line; each invites one shopper.
    #[arg(long, value_name = "FILE", requires = "lane")]
    pub invitations: Option<PathBuf>,

    /// Shoppers who were disconnected for at most this long count as having stayed; must not exceed
    /// the waiting room's grace period.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub grace_s: u64,

    /// Maximum duration of the rush, even if shoppers still wait.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout_s: u64,

    /// Maximum time for payments in progress to complete at the end.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub settle_s: u64,

    /// File for the history of each shopper, one JSON document per line.
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,

    /// Number of processes for the crowd [default: one per 5000 shoppers].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub processes: Option<u32>,

    /// Run one part of a divided crowd, which is read from standard input.
    #[arg(long, hide = true)]
    pub part: bool,
}

impl Settings {
    /// The parameters of the crowd's plans.
    #[must_use]
    pub fn profile(&self) -> CrowdProfile {
        CrowdProfile {
            mix: self.mix.clone(),
            transports: self.transports.clone(),
            payments: self.payments.clone(),
            arrive_within: Duration::from_secs(self.arrive_s),
            act_within: Duration::from_secs(self.act_within_s),
            disconnected: Duration::from_secs(self.disconnected_s),
            think_up_to: Duration::from_millis(self.think_ms),
            chance_percent: self.buy_percent,
            faster: self.speed,
        }
    }

    pub(crate) fn processes(&self) -> u32 {
        self.processes.unwrap_or_else(|| self.shoppers.div_ceil(SHOPPERS_PER_PROCESS)).min(self.shoppers)
    }

    pub(crate) fn checkouts(&self) -> &[ServiceUrl] {
        if self.checkouts.is_empty() { &self.waiting_rooms } else { &self.checkouts }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }

    fn parse(arguments: &[&str]) -> Result<Settings, String> {
        let line = Line::try_parse_from([&["rush"], arguments].concat());
        line.map(|line| line.settings).map_err(|error| error.to_string())
    }

    #[test]
    fn a_bare_rush_goes_to_the_demo() {
        let settings = parse(&[]).unwrap();
        assert_eq!((settings.shoppers, settings.processes()), (500, 1));
        assert_eq!(settings.checkouts(), settings.waiting_rooms);
    }

    #[test]
    fn large_crowds_are_divided() {
        assert_eq!(parse(&["--shoppers", "20001"]).unwrap().processes(), 5);
        assert_eq!(parse(&["--shoppers", "2", "--processes", "8"]).unwrap().processes(), 2);
    }

    #[test]
    fn invalid_arguments_are_reported() {
        assert!(parse(&["--mix", "buy=0"]).unwrap_err().contains("all shares are 0, so no shopper would come"));
        assert!(parse(&["--mix", "steal=5"]).unwrap_err().contains("`steal` is not a shopper model"));
        assert!(parse(&["--shoppers", "0"]).unwrap_err().contains("0 is not in 1..=1000000"));
        assert!(parse(&["--waiting-room", "shop"]).unwrap_err().contains("`shop` is not an address"));
        assert!(parse(&["--admin", "http://127.0.0.1:1"]).unwrap_err().contains("--admin-token"));
    }
}
