//! The crowd simulator, `fairline rush`: simulated shoppers over real sockets who join, wait, buy,
//! let tokens expire, leave, disconnect, reconnect, replay, forge and cancel. Its report judges
//! every promise of the design, counted from the shoppers' observations and, separately, from the
//! database.
//!
//! - [`plan`](crate::plan::ShopperPlan), `count`, `forge` and `report` are pure: a crowd can be
//!   repeated from its seed, and the verdict is tested against every way to break a promise.
//! - `wire` and `line` are the sockets; `shopper` and `checkout` are one shopper; `crowd` is one
//!   process of them; `processes` is all of them; `database` reads the ledger.
//!
//! Invariant: the simulator shares no protocol code with the services; it implements their
//! documentation. The one exception is the replay of a sale's record, which is the code that anyone
//! would verify it with.

mod audit;
mod checkout;
mod clock;
mod crowd;
mod database;
mod forge;
mod history;
mod http;
mod ledger;
mod limit_attempt;
mod line;
mod messages;
mod plan;
mod processes;
mod progress_line;
mod record;
mod report;
mod settings;
mod shopper;
mod stage_counts;
mod statistics;
mod visit;
mod withdraw;

use std::{process::ExitCode, time::Duration};

use fairline_record::verify::{InvalidRecord, Verdict, Verifier};
use hyper::{Method, StatusCode, Uri, header};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

pub use audit::replay;
pub use history::{HistoryEvent, HistoryEventKind};
pub use http::{ServiceUrl, ServiceUrlError};
pub use messages::SaleStatus;
pub use plan::{Choice, CrowdProfile, Dice, FirstPayment, Shares, SharesError, ShopperModel, ShopperPlan, Transport};
pub use report::{DatabaseCount, Report};
pub use settings::Settings;
pub use statistics::counted;

use clock::now_us;
use crowd::{Guests, Job};
use database::SaleDatabase;
use history::HistoryFile;
use http::{Client, request};
use messages::{ActiveSales, AdminSale, SaleCard};
use progress_line::ProgressLine;
use report::ReportInputs;

/// Timeout for the services to become available.
const FIND_SALE_WITHIN: Duration = Duration::from_secs(10);
/// Timeout for the admin API to match the database.
const ADMIN_WITHIN: Duration = Duration::from_secs(5);
/// Delay before all processes start at once.
const START_AFTER: Duration = Duration::from_millis(300);

/// Why a rush could not run.
#[derive(Debug, thiserror::Error)]
pub enum RushError {
    /// No such sale, or no waiting room.
    #[error("find sale failed: {0}")]
    NoSale(String),
    /// The database can't be used.
    #[error("read database failed: {0}")]
    Database(String),
    /// The history can't be written.
    #[error("write history failed: {0}")]
    History(String),
    /// A process of the crowd failed.
    #[error("crowd process failed: {0}")]
    Part(String),
}

/// Runs a rush and prints its report; the last line of standard output is the report as JSON.
///
/// Exit codes: 0 if every promise was kept, 1 if one was broken, 2 if the rush could not run.
pub async fn run(settings: Settings) -> ExitCode {
    let held = if settings.part {
        processes::carry_part().await.map(|()| None)
    } else {
        send_crowd(&settings).await.map(Some)
    };
    match held {
        Ok(Some(report)) => {
            if !settings.json {
                println!("{report}");
            }
            println!("{}", report.to_json());
            ExitCode::from(report.exit_code())
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Sends the crowd and judges the result. Shows progress on standard error.
pub async fn send_crowd(settings: &Settings) -> Result<Report, RushError> {
    let card = find_sale(settings).await?;
    let database = match &settings.postgres_url {
        Some(url) => Some(SaleDatabase::of_sale(url, card.id).await?),
        None => None,
    };
    let seed = settings.seed.unwrap_or_else(|| Dice::new(now_us().cast_unsigned(), 0).below(1 << 32));
    let progress = ProgressLine::new(Instant::now(), settings.quiet);
    let shoppers = counted(settings.shoppers, "shopper", "shoppers");
    progress.print(&format!("{shoppers} for {} ({}), seed {seed}", card.name, counted(card.total, "unit", "units")));
    let started = Instant::now();
    let guests = guests(settings).await?;
    let lane = guests.as_ref().map(|guests| guests.lane);
    let history = settings.history.as_deref().map(HistoryFile::create).transpose();
    let history = history.map_err(|error| RushError::History(error.to_string()))?;
    let job = job(settings, &card, guests, seed);
    let (records, lost) = processes::send(job, settings.processes(), history, |now| progress.show(now)).await?;
    let elapsed_s = started.elapsed().as_secs_f64();
    progress.end();

    let ledger = match &database {
        Some(database) => {
            progress.print("comparing with the database");
            let ledger = database.settled_ledger(card.id, Duration::from_secs(settings.settle_s)).await;
            ledger.map(Some).map_err(|error| error.to_string())
        }
        None => Ok(None),
    };
    let admin = match (&settings.admin, &ledger) {
        (Some(admin), Ok(Some(ledger))) => Some(ask_admin(settings, admin, card.id, ledger).await),
        _ => None,
    };
    let record = match &settings.admin {
        Some(admin) => Some(read_records(admin, card.id, lane).await),
        None => None,
    };
    let mut report = Report::of(&ReportInputs {
        seed,
        total_on_card: card.total,
        per_shopper_limit: card.per_shopper_limit,
        mode: card.mode,
        grace_ms: settings.grace_s * 1_000,
        elapsed_s,
        records: &records,
        ledger: ledger.as_ref().map(Option::as_ref).map_err(Clone::clone),
        admin,
        record,
    });
    if lost > 0 {
        report.mismatches.push(format!("{lost} events are missing in the history"));
        report.ok = false;
    }
    Ok(report)
}

fn job(settings: &Settings, card: &SaleCard, guests: Option<Guests>, seed: u64) -> Job {
    let start_after = i64::try_from(START_AFTER.as_micros()).expect("a third of a second fits");
    Job {
        seed,
        first: 0,
        shoppers: settings.shoppers,
        sale: card.id,
        guests,
        per_shopper_limit: card.per_shopper_limit,
        waiting_rooms: settings.waiting_rooms.clone(),
        checkouts: settings.checkouts().to_vec(),
        profile: settings.profile(),
        starts_at_us: now_us() + start_after,
        time_limit: Duration::from_secs(settings.timeout_s),
        has_history: settings.history.is_some(),
    }
}

/// Finds the configured sale, or the only one there is.
async fn find_sale(settings: &Settings) -> Result<SaleCard, RushError> {
    let deadline = Instant::now() + FIND_SALE_WITHIN;
    loop {
        let found = query_sale(settings).await;
        if found.is_ok() || Instant::now() >= deadline {
            return found.map_err(RushError::NoSale);
        }
        sleep(Duration::from_millis(300)).await;
    }
}

/// The invited shoppers, and the lane in which they wait.
async fn guests(settings: &Settings) -> Result<Option<Guests>, RushError> {
    let Some((lane, file)) = settings.lane.as_deref().zip(settings.invitations.as_deref()) else { return Ok(None) };
    let text = tokio::fs::read_to_string(file)
        .await
        .map_err(|error| RushError::NoSale(format!("the invitations in {} can't be read: {error}", file.display())))?;
    let lane = Uuid::parse_str(lane)
        .map_err(|_| RushError::NoSale(format!("`{lane}` is not the id of a lane; the admin API shows it")))?;
    let invitations = text.split_whitespace().map(str::to_owned).collect();
    Ok(Some(Guests { lane, invitations }))
}

async fn query_sale(settings: &Settings) -> Result<SaleCard, String> {
    let waiting_room = &settings.waiting_rooms[0];
    let get = async |path: &str| {
        let request = request(waiting_room, Method::GET, path, &[], None);
        Client::new(0).call(waiting_room, request).await.map_err(|error| format!("{waiting_room}: {error}"))
    };
    if let Some(id) = settings.sale.as_deref().and_then(|sale| Uuid::parse_str(sale).ok()) {
        let answer = get(&format!("/api/flash-sales/{id}/status")).await?;
        return answer.read().ok_or_else(|| format!("{waiting_room} has no sale {id} ({})", answer.status));
    }
    let answer = get("/api/flash-sales/active").await?;
    let sales: Option<ActiveSales> = answer.read();
    let sales = sales.ok_or_else(|| format!("{waiting_room} lists no sales ({})", answer.status))?.sales;
    match (&settings.sale, sales.as_slice()) {
        (Some(slug), sales) => {
            let named = sales.iter().find(|sale| sale.slug == *slug);
            named.cloned().ok_or_else(|| format!("{waiting_room} has no running or coming sale `{slug}`"))
        }
        (None, [only]) => Ok(only.clone()),
        (None, []) => Err(format!("{waiting_room} has no running or coming sale")),
        (None, many) => {
            let slugs: Vec<&str> = many.iter().map(|sale| sale.slug.as_str()).collect();
            Err(format!("name one with --sale: {}", slugs.join(", ")))
        }
    }
}

/// The verdict on the records of a sale's lines: that of its own line, or the first dishonest one.
async fn read_records(
    controller: &ServiceUrl,
    sale: Uuid,
    lane: Option<Uuid>,
) -> Result<Result<Verdict, InvalidRecord>, String> {
    let own = read_record(controller, sale).await;
    match lane {
        Some(lane) if matches!(own, Ok(Ok(_))) => {
            let other = read_record(controller, lane).await;
            if matches!(other, Ok(Ok(_))) { own } else { other }
        }
        _ => own,
    }
}

/// The verdict on a line's public record, as soon as it can be read.
async fn read_record(controller: &ServiceUrl, sale: Uuid) -> Result<Result<Verdict, InvalidRecord>, String> {
    let address = format!("{controller}/api/flash-sales/{sale}/record").parse();
    let address: Uri = address.map_err(|error: hyper::http::uri::InvalidUri| error.to_string())?;
    let deadline = Instant::now() + ADMIN_WITHIN;
    loop {
        let replayed = audit::replay(&address, Verifier::new(None, Vec::new())).await;
        if replayed.is_ok() || Instant::now() >= deadline {
            return replayed;
        }
        sleep(Duration::from_millis(300)).await;
    }
}

/// The admin API's counters, as soon as they match the database, or their last values.
async fn ask_admin(
    settings: &Settings,
    admin: &ServiceUrl,
    sale: Uuid,
    ledger: &ledger::LedgerRows,
) -> Result<AdminSale, String> {
    let token = settings.admin_token.as_ref().map_or("", |token| token.expose());
    let bearer = format!("Bearer {token}");
    let deadline = Instant::now() + ADMIN_WITHIN;
    loop {
        let path = format!("/api/admin/sales/{sale}");
        let request = request(admin, Method::GET, &path, &[(header::AUTHORIZATION, bearer.as_str())], None);
        let shown = match Client::new(0).call(admin, request).await {
            Ok(answer) if answer.status == StatusCode::OK => {
                answer.read::<AdminSale>().ok_or_else(|| "its response is not a sale".to_owned())
            }
            Ok(answer) => Err(format!("{} {}", answer.status, answer.problem().0)),
            Err(error) => Err(error.to_string()),
        };
        let agrees = shown.as_ref().is_ok_and(|shown| {
            [shown.promised, shown.held, shown.sold].map(i64::from)
                == [ledger.stock.promised, ledger.stock.held, ledger.stock.sold].map(i64::from)
        });
        if agrees || Instant::now() >= deadline {
            return shown;
        }
        sleep(Duration::from_millis(300)).await;
    }
}
