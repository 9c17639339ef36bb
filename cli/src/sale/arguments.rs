//! The arguments of `fairline sale`.

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};

use super::{SaleArgument, admin::ControllerArguments, admin_commands, items, orders};

#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(super) place: ControllerArguments,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a sale; it opens now unless --opens-at states otherwise.
    Create(Box<CreateArguments>),
    /// Create a copy of a sale, for another time.
    Copy(Copy),
    /// List all sales, the newest first.
    List,
    /// Show one sale.
    Show(SaleArgument),
    /// Open a sale now.
    Open(SaleArgument),
    /// Pause admissions.
    Pause(SaleArgument),
    /// Resume admissions.
    Resume(SaleArgument),
    /// Close a sale permanently.
    Close(SaleArgument),
    /// Change settings of a sale; it may be running.
    Set(ChangeArguments),
    /// Print a sale whenever it changes, until it is closed.
    Watch(SaleArgument),
    /// Admit a number of shoppers immediately, beyond the maximum rate.
    Admit {
        #[command(flatten)]
        named: SaleArgument,
        /// Number of shoppers.
        #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
        count: u32,
    },
    /// Remove a ticket from the line.
    Remove(TicketArguments),
    /// Serve a ticket before all others.
    Prefer(TicketArguments),
    /// Revoke all unused admission tokens; their shoppers go back to the front of the line.
    Revoke {
        #[command(flatten)]
        named: SaleArgument,
        /// Reason, for the audit log.
        #[arg(long)]
        reason: String,
    },
    /// List the orders of a sale, the newest first: all, or those that match a search.
    Orders(orders::ListArguments),
    /// Refund a paid order, in full or in part.
    Refund(orders::RefundArguments),
    /// Cancel an unpaid order.
    CancelOrder(orders::CancelArguments),
    /// Print the results of a sale.
    Report(SaleArgument),
    /// Rehearse a sale: send simulated shoppers to a copy of it, and wait for the result. Exit code
    /// 0: every promise was kept, 1: a promise was broken.
    Rehearse(admin_commands::RehearseArguments),
    /// Manage the items of a sale.
    Items {
        #[command(subcommand)]
        command: items::ItemsCommand,
    },
    /// Manage the lanes of a sale, and invitations to them.
    Lanes {
        #[command(subcommand)]
        command: admin_commands::LanesCommand,
    },
    /// Show the audit log, the newest entry first.
    Audit(admin_commands::AuditArguments),
    /// List the operators.
    Operators,
    /// Manage API tokens of programs.
    Tokens {
        #[command(subcommand)]
        command: admin_commands::Tokens,
    },
    /// Manage webhooks for events.
    Webhooks {
        #[command(subcommand)]
        command: admin_commands::WebhooksCommand,
    },
}

#[derive(Debug, Args)]
pub(super) struct TicketArguments {
    #[command(flatten)]
    pub(super) named: SaleArgument,
    /// Ticket number, as the shopper's page shows it.
    pub(super) ticket: u64,
    /// Reason, for the audit log.
    #[arg(long)]
    pub(super) reason: String,
}

/// The order in which the line is served.
#[derive(Debug, Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum OrderArgument {
    Fifo,
    Draw,
}

/// The admission mode.
#[derive(Debug, Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum ModeArgument {
    Guarantee,
    Yield,
}

#[derive(Debug, Args)]
pub(super) struct CreateArguments {
    /// Name of the product.
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// URL slug [default: derived from NAME].
    #[arg(long)]
    pub(super) slug: Option<String>,
    /// Description: a sentence or two.
    #[arg(long, default_value = "")]
    pub(super) description: String,
    /// Price of one unit, such as 49.00.
    #[arg(long, value_name = "AMOUNT")]
    pub(super) price: String,
    /// ISO 4217 currency code.
    #[arg(long, default_value = "EUR")]
    pub(super) currency: String,
    /// Units in stock.
    #[arg(long, value_name = "UNITS")]
    pub(super) total: u32,
    /// Units that one shopper may buy.
    #[arg(long, value_name = "UNITS", default_value_t = 1)]
    pub(super) per_shopper: u32,
    /// Units that one account may buy; requires shoppers to sign in.
    #[arg(long, value_name = "UNITS")]
    pub(super) per_account: Option<u32>,
    /// Maximum admissions per second.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 10.0)]
    pub(super) rate: f64,
    /// Maximum shoppers in checkout [default: unlimited].
    #[arg(long, value_name = "SHOPPERS")]
    pub(super) in_checkout_max: Option<u32>,
    /// Opening time: 2026-11-27T09:00:00+01:00 [default: now].
    #[arg(long, value_name = "TIME")]
    pub(super) opens_at: Option<String>,
    /// End time [default: none].
    #[arg(long, value_name = "TIME")]
    pub(super) ends_at: Option<String>,
    /// Time zone in which the console shows the sale, such as Europe/Berlin.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(super) time_zone: String,
    /// Time to pay, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(super) hold: u32,
    /// Time to reach checkout after admission, in seconds [default: 120].
    #[arg(long, value_name = "SECONDS")]
    pub(super) token_ttl: Option<u32>,
    /// Time for a page to claim its turn, in seconds [default: 15].
    #[arg(long, value_name = "SECONDS")]
    pub(super) claim_window: Option<u32>,
    /// Time to return after a missed turn, in seconds [default: 1800].
    #[arg(long, value_name = "SECONDS")]
    pub(super) recall_window: Option<u32>,
    /// Grace period after disconnecting, in seconds [default: the waiting rooms' setting].
    #[arg(long, value_name = "SECONDS")]
    pub(super) grace: Option<u32>,
    /// The order in which the line is served.
    #[arg(long, value_enum, default_value = "fifo")]
    pub(super) order: OrderArgument,
    /// Admission mode.
    #[arg(long, value_enum, default_value = "guarantee")]
    pub(super) mode: ModeArgument,
    /// In yield mode: maximum risk that a buyer finds no unit, from 0 to 1 [default: 0.001].
    #[arg(long, value_name = "SHARE")]
    pub(super) risk: Option<f64>,
    /// An earlier sale with similar shopper behaviour.
    #[arg(long, value_name = "SALE")]
    pub(super) prior_sale: Option<String>,
    #[command(flatten)]
    pub(super) theme: ThemeArgs,
}

/// The theme of a sale's pages.
#[derive(Debug, Args)]
pub(super) struct ThemeArgs {
    /// Colour of buttons and links: #rrggbb.
    #[arg(long, value_name = "COLOUR")]
    pub(super) accent: Option<String>,
    /// Background colour: #rrggbb.
    #[arg(long, value_name = "COLOUR")]
    pub(super) paper: Option<String>,
    /// Text for waiting shoppers.
    #[arg(long, value_name = "TEXT")]
    pub(super) waiting_text: Option<String>,
    /// Text for shoppers at their turn.
    #[arg(long, value_name = "TEXT")]
    pub(super) turn_text: Option<String>,
    /// Text for shoppers when the sale is sold out.
    #[arg(long, value_name = "TEXT")]
    pub(super) sold_out_text: Option<String>,
}

impl ThemeArgs {
    /// Applies the given settings to a theme; an empty text restores the default.
    pub(super) fn over(&self, theme: &Value) -> Option<Value> {
        let mut theme = theme.as_object().cloned().unwrap_or_default();
        let given = [
            ("accent", &self.accent),
            ("paper", &self.paper),
            ("waiting_text", &self.waiting_text),
            ("turn_text", &self.turn_text),
            ("sold_out_text", &self.sold_out_text),
        ];
        let mut is_changed = false;
        for (name, text) in given {
            let Some(text) = text else { continue };
            is_changed = true;
            if text.is_empty() {
                theme.remove(name)
            } else {
                theme.insert(name.to_owned(), json!(text))
            };
        }
        is_changed.then_some(Value::Object(theme))
    }
}

#[derive(Debug, Args)]
pub(super) struct Copy {
    #[command(flatten)]
    pub(super) named: SaleArgument,
    /// URL slug [default: that of the original with `-copy`].
    #[arg(long)]
    pub(super) slug: Option<String>,
    /// Name of the product [default: that of the original].
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Opening time: 2026-11-27T09:00:00+01:00 [default: now].
    #[arg(long, value_name = "TIME")]
    pub(super) opens_at: Option<String>,
    /// End time [default: none].
    #[arg(long, value_name = "TIME")]
    pub(super) ends_at: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ChangeArguments {
    #[command(flatten)]
    pub(super) named: SaleArgument,
    /// Maximum admissions per second.
    #[arg(long, value_name = "PER_SECOND")]
    pub(super) rate: Option<f64>,
    /// Units in stock.
    #[arg(long, value_name = "UNITS")]
    pub(super) total: Option<u32>,
    /// Maximum shoppers in checkout; `none` for unlimited.
    #[arg(long, value_name = "SHOPPERS")]
    pub(super) in_checkout_max: Option<String>,
    /// Message to all waiting shoppers; empty removes it.
    #[arg(long, value_name = "TEXT")]
    pub(super) message: Option<String>,
    /// Time to return after a missed turn, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(super) recall_window: Option<u32>,
    /// Grace period after disconnecting, in seconds; `none` for the waiting rooms' setting.
    #[arg(long, value_name = "SECONDS")]
    pub(super) grace: Option<String>,
    /// Opening time of a scheduled sale.
    #[arg(long, value_name = "TIME")]
    pub(super) opens_at: Option<String>,
    /// End time of a scheduled sale; `none` for no end time.
    #[arg(long, value_name = "TIME")]
    pub(super) ends_at: Option<String>,
    #[command(flatten)]
    pub(super) theme: ThemeArgs,
}
