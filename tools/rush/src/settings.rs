//! What a rush can be told on the command line.

use std::{path::PathBuf, time::Duration};

use fairline_server::Secret;

use crate::{
    plan::{Behaviour, Payment, Profile, Shares, Transport},
    wire::Target,
};

/// Shoppers that one process carries; each has a socket, and a process here may open 20,000 files.
const SHOPPERS_PER_PROCESS: u32 = 5_000;

/// Sends a crowd of simulated shoppers to a sale, and counts whether every promise was kept.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// Whether the report is printed as JSON alone.
    #[arg(skip)]
    pub json: bool,

    /// Whether no progress is shown.
    #[arg(skip)]
    pub quiet: bool,

    /// How many shoppers come.
    #[arg(long, short = 'n', default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub shoppers: u32,

    /// A waiting room; may be given several times.
    #[arg(long = "waiting-room", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub waiting_rooms: Vec<Target>,

    /// A checkout; may be given several times. The waiting rooms, if none is given.
    #[arg(long = "checkout", value_name = "URL")]
    pub checkouts: Vec<Target>,

    /// An admission controller, whose counters are then compared too.
    #[arg(long, value_name = "URL", requires = "admin_token")]
    pub admin: Option<Target>,

    /// What the admission controller's admin API wants to see.
    #[arg(long, value_name = "TOKEN", env = "FAIRLINE_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<Secret>,

    /// The sale, by slug or id. The only one that is running or coming, if none is given.
    #[arg(long, value_name = "SLUG|ID")]
    pub sale: Option<String>,

    /// The database to count in, and to compare with what the shoppers saw.
    #[arg(long, value_name = "URL", env = "FAIRLINE_POSTGRES_URL", hide_env_values = true)]
    pub postgres_url: Option<Secret>,

    /// Repeats an earlier crowd. Drawn and printed, if none is given.
    #[arg(long)]
    pub seed: Option<u64>,

    /// Who does what, in parts: buy, again, dawdle, leave, close-lid, come-back, replay, forge, visit.
    #[arg(
        long,
        value_name = "SHARES",
        default_value = "buy=65,again=5,dawdle=5,leave=5,close-lid=5,come-back=10,replay=3,forge=2"
    )]
    pub mix: Shares<Behaviour>,

    /// Whose page talks how, in parts: websocket, sse, poll.
    #[arg(long, value_name = "SHARES", default_value = "websocket=90,sse=5,poll=5")]
    pub transports: Shares<Transport>,

    /// Whose first payment goes how, in parts: visa, declined, slow, timeout, flaky, action.
    #[arg(long, value_name = "SHARES", default_value = "visa=70,declined=10,slow=5,timeout=5,flaky=5,action=5")]
    pub payments: Shares<Payment>,

    /// All shoppers arrive within this time.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub arrive_s: u64,

    /// Leaving, closing the lid and coming back happen within this time of joining, or at the turn.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub act_within_s: u64,

    /// About how long a closed lid stays closed; half of them stay closed for ever.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub lid_closed_s: u64,

    /// The longest moment of thought before each click at the checkout.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(0..=600_000))]
    pub think_ms: u64,

    /// Of those whose behaviour is `visit`, so many of a hundred buy.
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub chance: u32,

    /// They do everything so many times as fast as people; the sale's windows are to be as much shorter.
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub faster: u32,

    /// The id of a lane of the sale, where those who are invited wait.
    #[arg(long, value_name = "ID", requires = "invitations")]
    pub lane: Option<String>,

    /// A file with invitations to the lane, one code a line: as many of the shoppers are guests.
    #[arg(long, value_name = "FILE", requires = "lane")]
    pub invitations: Option<PathBuf>,

    /// Whoever was without a connection for no longer than this has stayed; not above the waiting room's grace.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub grace_s: u64,

    /// The rush ends after this time, whoever still waits.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout_s: u64,

    /// How long payments that are under way at the end may take to come to one.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub settle_s: u64,

    /// A file for what happened to each shopper, with times: a JSON document a line.
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,

    /// Processes that the crowd is divided among. One for every 5000 shoppers, if not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub processes: Option<u32>,

    /// One process of a divided crowd: takes its part from standard input.
    #[arg(long, hide = true)]
    pub part: bool,
}

impl Settings {
    /// What the plans of the crowd are drawn from.
    #[must_use]
    pub fn profile(&self) -> Profile {
        Profile {
            mix: self.mix.clone(),
            transports: self.transports.clone(),
            payments: self.payments.clone(),
            arrive_within: Duration::from_secs(self.arrive_s),
            act_within: Duration::from_secs(self.act_within_s),
            lid_closed: Duration::from_secs(self.lid_closed_s),
            think_up_to: Duration::from_millis(self.think_ms),
            chance_percent: self.chance,
            faster: self.faster,
        }
    }

    pub(crate) fn processes(&self) -> u32 {
        self.processes.unwrap_or_else(|| self.shoppers.div_ceil(SHOPPERS_PER_PROCESS)).min(self.shoppers)
    }

    pub(crate) fn checkouts(&self) -> &[Target] {
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
    fn nonsense_is_answered_with_a_sentence() {
        assert!(parse(&["--mix", "buy=0"]).unwrap_err().contains("all shares are 0, so nobody would come"));
        assert!(parse(&["--mix", "steal=5"]).unwrap_err().contains("`steal` is not a behaviour"));
        assert!(parse(&["--shoppers", "0"]).unwrap_err().contains("0 is not in 1..=1000000"));
        assert!(parse(&["--waiting-room", "shop"]).unwrap_err().contains("`shop` is not an address"));
        assert!(parse(&["--admin", "http://127.0.0.1:1"]).unwrap_err().contains("--admin-token"));
    }
}
