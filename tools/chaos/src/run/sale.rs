//! The sale of a run and its crowd.

use clap::Parser as _;
use fairline_rush::Settings;
use fairline_shop::Shop;
use serde_json::json;

use crate::{plan::SaleKind, topology::Topology};

/// Long enough for a machine that is busy with other things.
const TOKEN_TTL_S: u32 = 20;
/// A page notices after 28 s that its link is dead, within the three turns that it is given.
const CLAIM_WINDOW_S: u32 = 12;
/// Few a second, so that the sale lasts as long as the faults.
const RATE_PER_S: f64 = 2.5;
const CROWD: [&str; 6] = [
    "--mix=buy=55,buy-again=5,let-expire=4,leave=5,disconnect=6,reconnect=15,replay=3,forge=2,cancel=5",
    "--disconnected-s=8",
    "--act-within-s=30",
    "--think-ms=500",
    "--timeout-s=600",
    "--settle-s=60",
];

/// How large a shop and its crowd are.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Units of the sale.
    pub units: u32,
    /// Shoppers.
    pub shoppers: u32,
    /// All of them arrive within this time.
    pub arrive_s: u32,
    /// A statement that breaks a promise on purpose, before the sale ends.
    pub sabotage: Option<&'static str>,
}

impl Scale {
    /// A sale that lasts as long as two dozen rounds of faults and their quiet times.
    pub const WHOLE: Scale = Scale { units: 620, shoppers: 860, arrive_s: 40, sabotage: None };
    /// One for a test.
    pub const SHORT: Scale = Scale { units: 100, shoppers: 150, arrive_s: 8, sabotage: None };

    /// Shoppers with an invitation to the lane, if the sale has one.
    pub(super) fn guests(self) -> u32 {
        self.shoppers / 4
    }

    /// Shoppers who wait when a sale with a draw is opened; the others come after it.
    pub(super) fn drawn(self) -> u32 {
        self.shoppers / 4
    }
}

#[derive(clap::Parser)]
struct RushArguments {
    #[command(flatten)]
    settings: Settings,
}

/// Makes the sale, and opens it unless it begins with a draw. Returns the arguments of a rush that
/// name its guests.
pub(super) async fn make_sale(shop: &mut Shop<Topology>, kind: SaleKind, scale: Scale) -> Vec<String> {
    let mut sale = json!({
        "total": scale.units, "rate_cap_per_s": RATE_PER_S, "token_ttl_s": TOKEN_TTL_S, "claim_window_s": CLAIM_WINDOW_S,
    });
    match kind {
        SaleKind::Draw => sale["order"] = json!("draw"),
        SaleKind::Yield => (sale["mode"], sale["risk"]) = (json!("yield"), json!(0.01)),
        SaleKind::Plain | SaleKind::Lane => {}
    }
    shop.sale = shop.create_sale(sale).await;
    let invited = if kind == SaleKind::Lane { shop.invite(scale.guests()).await } else { Vec::new() };
    if kind != SaleKind::Draw {
        shop.open_sale().await;
    }
    invited
}

pub(super) fn settings(shop: &Shop<Topology>, own: Vec<String>) -> Settings {
    let line = ["rush".to_owned()].into_iter().chain(shop.arguments()).chain(own);
    let mut settings = RushArguments::parse_from(line.chain(CROWD.map(str::to_owned))).settings;
    settings.quiet = true;
    settings
}
