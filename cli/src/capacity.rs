//! `fairline capacity`: computes machines, cost and limits from measured figures. Pure arithmetic;
//! docs/capacity.md has the formulas and the source of each figure.

use std::{fmt::Write as _, process::ExitCode};

use clap::Args;
use fairline_rush::counted;
use serde::Serialize;

/// Measured figures, on two virtual cores: see docs/benchmarks.md, and docs/capacity.md for the
/// last two.
mod measured {
    /// `bytes_per_shopper`: memory of a waiting room, without the kernel's.
    pub(super) const ROOM_BYTES: f64 = 404.0;
    /// `joins_vs_bare_upgrade`: CPU time of a waiting room for one join, in seconds.
    pub(super) const ROOM_S_PER_JOIN: f64 = 37e-6;
    /// `cpu_growth`: CPU time of nodes and Redis for one shopper-minute, in seconds.
    pub(super) const S_PER_SHOPPER_MINUTE: f64 = 59.2e-6;
    /// `redis_us_per_join`, in seconds.
    pub(super) const REDIS_S_PER_JOIN: f64 = 1.63e-6;
    /// `redis_bytes_per_shopper`.
    pub(super) const REDIS_BYTES: f64 = 20.4;
    /// `messages_vs_1hz`: messages per second for one waiting shopper.
    pub(super) const MESSAGES_PER_S: f64 = 0.0198;
    /// `http_redeems_per_s`, on two cores shared with Postgres and the clients.
    pub(super) const REDEEMS_PER_CORE_S: f64 = 5_000.0;
    /// Bytes that one order adds to Postgres, and one ticket to the public record: 1,000 orders of
    /// 1,943 tickets.
    pub(super) const ORDER_BYTES: f64 = 3_700.0;
    pub(super) const TICKET_BYTES: f64 = 185.0;
    /// Compressed size of the shopper's page, with the script for waiting shoppers: the limit that
    /// a test enforces.
    pub(super) const PAGE_BYTES: f64 = 18_000.0;
}

/// Assumed figures, which were not measured.
mod assumed {
    /// Interval of heartbeats to pages without other messages, and their size: 40 bytes with TLS
    /// and TCP overhead.
    pub(super) const HEARTBEAT_EVERY_S: f64 = 20.0;
    pub(super) const HEARTBEAT_BYTES: f64 = 120.0;
    /// Kernel memory of an idle socket.
    pub(super) const KERNEL_BYTES: f64 = 8_000.0;
    /// Size of a message on the wire, with its frame, TLS, TCP and IP.
    pub(super) const MESSAGE_BYTES: f64 = 400.0;
    /// Maximum CPU utilisation.
    pub(super) const BUSY: f64 = 0.6;
    /// Memory of an idle process.
    pub(super) const PROCESS_BYTES: f64 = 64e6;
    /// Memory that is rented with a core.
    pub(super) const MB_PER_CORE: f64 = 2_000.0;
    /// CPU time of the TLS proxy for one handshake, in seconds; and its memory for one socket, with
    /// the kernel's for both ends.
    pub(super) const FRONT_S_PER_HANDSHAKE: f64 = 1e-3;
    pub(super) const FRONT_BYTES: f64 = 50_000.0;
}

/// Compute the machines, the cost and the first bottleneck of a sale.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// Shoppers in line at the same time.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    shoppers: u64,
    /// Units for sale.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    stock: u64,
    /// Seconds within which the shoppers arrive.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    arrive_s: u64,
    /// Seconds within which the stock has to be sold.
    #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    sell_s: u64,
    /// Maximum open sockets of one waiting room (FAIRLINE_SOCKETS_MAX).
    #[arg(long, default_value_t = 18_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    sockets: u64,
    /// Cores of one waiting room.
    #[arg(long, default_value_t = 0.5, value_parser = more_than_nothing)]
    room_cores: f64,
    /// Hours for which the machines are rented.
    #[arg(long, default_value_t = 4.0, value_parser = more_than_nothing)]
    hours: f64,
    /// Price of a core with 2 GB per hour.
    #[arg(long, default_value_t = 0.05, value_parser = more_than_nothing)]
    core_hour: f64,
    /// Price of a gigabyte of outgoing traffic.
    #[arg(long, default_value_t = 0.09, value_parser = more_than_nothing)]
    gigabyte: f64,
    /// Print values for the Helm chart: `fairline capacity … --values > size.yaml`.
    #[arg(long, conflicts_with = "json")]
    values: bool,
}

/// Parses a number that is safe to divide by.
fn more_than_nothing(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (0.001..=1e6).contains(&number) { Ok(number) } else { Err("it must be between 0.001 and 1000000".to_owned()) }
}

/// The requirements of a sale.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Requirements {
    /// Waiting rooms, by sockets or by CPU, whichever is more; plus one spare.
    waiting_rooms: u64,
    /// Memory of each in MB, with the kernel's.
    waiting_room_mb: f64,
    joins_per_s: f64,
    messages_per_s: f64,
    /// Utilisation of one Redis core while shoppers arrive.
    redis_busy: f64,
    redis_mb: f64,
    redemptions_per_s: f64,
    checkouts: u64,
    postgres_cores: f64,
    postgres_mb: f64,
    /// Cores of the TLS proxy, for handshakes or for the memory of sockets, whichever is more.
    front_cores: f64,
    front_mb: f64,
    controllers: u64,
    cores: f64,
    gigabytes_out: f64,
    money: f64,
    /// Shoppers that could arrive in the same time before one Redis process is saturated: the first
    /// bottleneck.
    shoppers_max: f64,
}

fn up(x: f64) -> u64 {
    // Inputs are bounded, so the cast is exact.
    x.ceil() as u64
}

fn needs(of: &Settings) -> Requirements {
    let (shoppers, stock) = (of.shoppers as f64, of.stock as f64);
    let joins_per_s = shoppers / of.arrive_s as f64;
    let room_cores =
        (joins_per_s * measured::ROOM_S_PER_JOIN + shoppers * measured::S_PER_SHOPPER_MINUTE / 60.0) / assumed::BUSY;
    let by_sockets = up(shoppers / of.sockets as f64);
    let waiting_rooms = by_sockets.max(up(room_cores / of.room_cores)).max(1) + 1;
    let each = shoppers / (waiting_rooms - 1) as f64;
    let redemptions_per_s = stock / of.sell_s as f64;
    let checkout_cores = redemptions_per_s / measured::REDEEMS_PER_CORE_S / assumed::BUSY;
    let checkouts = up(checkout_cores / 0.5).max(1) + 1;
    let postgres_cores = (checkout_cores / 2.0).max(1.0).ceil();
    let front_mb = (assumed::PROCESS_BYTES + shoppers * assumed::FRONT_BYTES) / 1e6;
    // Memory comes with cores, 2 GB each.
    let handshakes = joins_per_s * assumed::FRONT_S_PER_HANDSHAKE / assumed::BUSY;
    let front_cores = handshakes.max(front_mb / assumed::MB_PER_CORE).ceil();
    // Redis and Postgres have a replica each.
    let stores = 2.0 + 2.0 * postgres_cores;
    let cores = waiting_rooms as f64 * of.room_cores + checkouts as f64 * 0.5 + stores + 2.0 * 0.5 + front_cores;
    let messages_per_s = shoppers * measured::MESSAGES_PER_S;
    let waits_s = of.sell_s as f64;
    let heartbeats = shoppers * waits_s / assumed::HEARTBEAT_EVERY_S;
    let sent = messages_per_s * waits_s * assumed::MESSAGE_BYTES + heartbeats * assumed::HEARTBEAT_BYTES;
    let gigabytes_out = (shoppers * measured::PAGE_BYTES + sent) / 1e9;
    Requirements {
        waiting_rooms,
        waiting_room_mb: (assumed::PROCESS_BYTES + each * (measured::ROOM_BYTES + assumed::KERNEL_BYTES)) / 1e6,
        joins_per_s,
        messages_per_s,
        redis_busy: joins_per_s * measured::REDIS_S_PER_JOIN,
        // Doubled, for the copy while its log is rewritten.
        redis_mb: (assumed::PROCESS_BYTES + 2.0 * shoppers * measured::REDIS_BYTES) / 1e6,
        redemptions_per_s,
        checkouts,
        postgres_cores,
        postgres_mb: (stock * measured::ORDER_BYTES + shoppers * measured::TICKET_BYTES) / 1e6,
        front_cores,
        front_mb,
        controllers: 2,
        cores,
        gigabytes_out,
        money: cores * of.hours * of.core_hour + gigabytes_out * of.gigabyte,
        shoppers_max: assumed::BUSY / measured::REDIS_S_PER_JOIN * of.arrive_s as f64,
    }
}

/// Formats a number with separators: 1,234,567.
fn grouped(x: f64) -> String {
    let digits = format!("{x:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A grouped number with its noun, in the singular or the plural.
fn grouped_count(number: f64, one: &str, many: &str) -> String {
    let number = grouped(number);
    let noun = if number == "1" { one } else { many };
    format!("{number} {noun}")
}

fn cores(number: f64) -> String {
    grouped_count(number, "core", "cores")
}

/// The values for the Helm chart. All pods run before the shoppers arrive: no autoscaler is fast
/// enough.
fn as_values(of: &Settings, needs: &Requirements) -> String {
    let pods = |least: u64| format!("{{ enabled: true, min: {least}, max: {}, cpuPercent: 70", least * 2);
    let resources = |cores: f64, mb: f64| {
        let (cpu, memory) = (up(cores * 1000.0), up(mb));
        format!(
            "{{ requests: {{ cpu: {cpu}m, memory: {memory}M }}, limits: {{ cpu: {cpu}m, memory: {}M }} }}",
            memory * 2
        )
    };
    format!(
        "# For {} and {}: fairline capacity. Apply them before the sale opens.\n\
         waitingRoom:\n  socketsMax: {}\n  autoscaling: {}, socketsPerPod: {} }}\n  resources: {}\n\
         checkout:\n  autoscaling: {} }}\n  resources: {}\n",
        counted(of.shoppers, "shopper", "shoppers"),
        counted(of.stock, "unit", "units"),
        of.sockets,
        pods(needs.waiting_rooms),
        (of.sockets * 3 / 4).max(1),
        resources(of.room_cores, needs.waiting_room_mb),
        pods(needs.checkouts),
        resources(0.5, 512.0),
    )
}

fn in_words(of: &Settings, needs: &Requirements) -> String {
    let mut out = String::new();
    // Writing to text can't fail.
    let mut line = |what: &str, much: String| {
        let _ = writeln!(out, "{what:<22}{much}");
    };
    line(
        "waiting rooms",
        format!(
            "{}, each {} MB and {}",
            needs.waiting_rooms,
            grouped(needs.waiting_room_mb),
            counted(of.room_cores, "core", "cores")
        ),
    );
    line("joins", format!("{} a second", grouped(needs.joins_per_s)));
    line("messages", format!("{} a second", grouped(needs.messages_per_s)));
    line(
        "Redis",
        format!(
            "1 process, {:.1} % of a core while shoppers arrive, {} MB; and a replica",
            needs.redis_busy * 100.0,
            grouped(needs.redis_mb)
        ),
    );
    let redemptions = grouped_count(needs.redemptions_per_s, "redemption", "redemptions");
    line("checkouts", format!("{}, for {redemptions} a second", needs.checkouts));
    line(
        "Postgres",
        format!("{}, {} MB for this sale; and a replica", cores(needs.postgres_cores), grouped(needs.postgres_mb)),
    );
    line("TLS proxy", format!("{}, {} MB", cores(needs.front_cores), grouped(needs.front_mb)));
    line("controllers", format!("{}", needs.controllers));
    line("outgoing traffic", format!("{} GB", grouped(needs.gigabytes_out.ceil())));
    line(
        "cost",
        format!(
            "about {}, for {} of {} and the outgoing traffic",
            grouped(needs.money.ceil()),
            counted(of.hours, "hour", "hours"),
            cores(needs.cores.ceil())
        ),
    );
    line("first bottleneck", format!("Redis, if {} shoppers arrived in the same time", grouped(needs.shoppers_max)));
    out
}

pub(crate) fn run(settings: &Settings, json: bool) -> ExitCode {
    let needs = needs(settings);
    if settings.values {
        print!("{}", as_values(settings, &needs));
    } else if json {
        println!("{}", serde_json::to_string(&needs).expect("numbers"));
    } else {
        print!("{}", in_words(settings, &needs));
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(shoppers: u64, stock: u64) -> Settings {
        Settings {
            shoppers,
            stock,
            arrive_s: 60,
            sell_s: 900,
            sockets: 18_000,
            room_cores: 0.5,
            hours: 4.0,
            core_hour: 0.05,
            gigabyte: 0.09,
            values: false,
        }
    }

    #[test]
    fn rooms_are_counted_by_sockets_or_by_processor_and_one_is_spare() {
        assert_eq!(needs(&of(1, 1)).waiting_rooms, 2);
        assert_eq!(needs(&of(18_000, 1)).waiting_rooms, 2);
        assert_eq!(needs(&of(18_001, 1)).waiting_rooms, 3);
        // When all arrive in one second, CPU determines the number of waiting rooms.
        let rush = Settings { arrive_s: 1, ..of(100_000, 1) };
        assert!(needs(&rush).waiting_rooms > needs(&of(100_000, 1)).waiting_rooms);
        let larger = Settings { sockets: 100_000, room_cores: 4.0, ..of(1_000_000, 1) };
        assert_eq!(needs(&larger).waiting_rooms, 11);
    }

    #[test]
    fn a_larger_sale_never_costs_less() {
        for pair in
            [(1_000, 10), (10_000, 100), (100_000, 1_000), (1_000_000, 20_000), (14_000_000, 400_000)].windows(2)
        {
            let (less, more) = (needs(&of(pair[0].0, pair[0].1)), needs(&of(pair[1].0, pair[1].1)));
            assert!(less.money < more.money && less.cores <= more.cores && less.redis_mb < more.redis_mb);
        }
    }

    #[test]
    fn numbers_to_divide_by_are_positive() {
        assert_eq!(more_than_nothing("0.5"), Ok(0.5));
        for nonsense in ["0", "-1", "NaN", "inf", "1e300", "much"] {
            assert!(more_than_nothing(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(["0", "999", "1,000", "1,234,568"], [0.2, 999.0, 1_000.0, 1_234_567.8].map(grouped));
    }
}
