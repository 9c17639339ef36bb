//! `make bench-promises`: measures the load of many sales on one controller, one waiting room and
//! one checkout. Starts real processes, which end with this one; adds its figures to
//! `target/bench/promises.json`.

use std::{
    fmt, fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use clap::Parser;
use fairline_admission_token::{Jwk, Jwks, SigningKey};
use fairline_figures::{
    bench::{self, Failure, pause},
    table::{
        Measured,
        Reach::{self, AtLeast, AtMost},
    },
};
use fairline_line::store::{JoinRequest, LineStore};
use fairline_private_servers::{Folder, PrivatePostgres, PrivateRedis, ServiceProcess, Survives, address_of};
use fairline_sale::{SaleId, VisitorId};

/// Sales that open in the far future or are closed.
const IDLE_SALES: u32 = 1_000;
/// Settling time before a measurement, and its duration.
const SETTLES: Duration = Duration::from_secs(20);
const MEASURED: Duration = Duration::from_secs(30);
const GIVEN_UP_AFTER: Duration = Duration::from_secs(120);
/// The cap of an open sale, that of one among them, and the part of it that counts as full.
const CAP_PER_S: f64 = 2.0;
const FAST_CAP_PER_S: f64 = 100.0;
const FULL: f64 = 0.97;
/// Shoppers who join in one call.
const BATCH: usize = 500;
/// Every service has the same.
const TICKET_KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
/// Clock ticks per second in `/proc`.
const CLOCK_HZ: f64 = 100.0;

#[derive(Debug, Parser)]
#[command(name = "bench-promises")]
struct Arguments {
    /// Measure only these figures, comma-separated.
    #[arg(long, value_delimiter = ',', value_parser = FIGURES.map(|(key, _)| key))]
    only: Vec<String>,
    /// Open sales beside the idle ones, the fast one included.
    #[arg(long, default_value_t = 350)]
    open: u32,
    /// File for the figures; figures of other benchmarks in it are kept.
    #[arg(long, default_value = fairline_figures::PROMISES)]
    json: PathBuf,
}

/// Measures one figure; the number is that of the open sales.
type Measure = fn(&BenchShop, u32) -> Result<Measured, Failure>;

/// The figures in the order in which they can be measured, with their targets.
const FIGURES: [(&str, Reach); 2] =
    [("idle_sale_cpu_ms_per_s", AtMost(0.05)), ("open_sales_full_rate", AtLeast(300.0))];
const SCENES: [(&[&str], Measure); 2] = [
    (&["idle_sale_cpu_ms_per_s"], |shop, _| shop.idle_sale_cpu()),
    (&["open_sales_full_rate"], BenchShop::open_sales_at_full_rate),
];

/// All processes.
struct BenchShop {
    postgres: PrivatePostgres,
    database: String,
    redis: PrivateRedis,
    services: Vec<ServiceProcess>,
    _claim: Folder,
    folder: tempfile::TempDir,
}

fn main() -> ExitCode {
    bench::exit_code(run(&Arguments::parse()))
}

/// Returns whether the requested figures reach their targets.
fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let shop = BenchShop::start()?;
    pause(SETTLES);
    let results = bench::measure(&FIGURES, &SCENES, &arguments.only, |scene, found| {
        found(scene(&shop, arguments.open)?);
        Ok(())
    });
    println!("{}", results.to_table());
    bench::merge(&results, &arguments.json)?;
    Ok(results.are_reached())
}

impl BenchShop {
    fn start() -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("fairline-bench-").tempdir()?;
        let claim = Folder::claim(folder.path())?;
        let redis = PrivateRedis::start(&claim, Survives::PowerLoss)?;
        let postgres = PrivatePostgres::start(&claim, Survives::PowerLoss)?;
        let key = folder.path().join("signing.pem");
        let signing = SigningKey::generate();
        fs::write(&key, signing.to_pem())?;
        let jwks = folder.path().join("jwks.json");
        fs::write(&jwks, Jwks::new(vec![Jwk::new(&signing.verifying_key())])?.to_json())?;
        let database = postgres.create_database("shop")?;
        let mut shop = Self { postgres, database, redis, services: Vec::new(), _claim: claim, folder };
        let redis = format!("--redis-url={}", shop.redis.url());
        let controller = [
            redis.clone(),
            format!("--postgres-url={}", shop.database),
            format!("--signing-key-file={}", key.display()),
            "--admin-token=admin-token-of-the-measurements".to_owned(),
            "--migrate=true".to_owned(),
        ];
        shop.service("admission-controller", address_of(1), &controller)?;
        let ticket_key = format!("--ticket-key={TICKET_KEY}");
        shop.service("waiting-room", address_of(2), &[redis.clone(), ticket_key.clone()])?;
        let checkout = [
            redis,
            ticket_key,
            format!("--postgres-url={}", shop.database),
            format!("--jwks={}", jwks.display()),
            // No shopper pays in this benchmark.
            format!("--gateway-url=http://{}", address_of(4)),
        ];
        shop.service("checkout", address_of(3), &checkout)?;
        Ok(shop)
    }

    fn service(&mut self, name: &str, address: SocketAddr, arguments: &[String]) -> Result<(), Failure> {
        let program = bench::programs()?.join(name);
        let mut settings = vec![format!("--listen={address}")];
        settings.extend_from_slice(arguments);
        let service = ServiceProcess::start(name, &program, &settings, self.folder.path())?;
        self.services.push(service.listens(address)?);
        Ok(())
    }

    /// CPU milliseconds per second of a sale without shoppers.
    fn idle_sale_cpu(&self) -> Result<Measured, Failure> {
        let nothing = self.cpu()?;
        eprintln!("no sale: {nothing}");
        self.sales("idle", IDLE_SALES, "scheduled", 10.0)?;
        self.until("every sale is listed", "SELECT count(*) = 0 FROM lines WHERE epoch = 0 OR publication = 0")?;
        pause(SETTLES);
        let scheduled = self.cpu()?;
        eprintln!("{IDLE_SALES} scheduled sales: {scheduled}");
        self.sql("UPDATE sales SET status = 'closed'")?;
        self.until("every sale is settled", "SELECT count(*) = 0 FROM lines WHERE NOT settled")?;
        pause(SETTLES);
        let closed = self.cpu()?;
        eprintln!("{IDLE_SALES} closed sales: {closed}");
        let more = scheduled.total().max(closed.total()) - nothing.total();
        let note = format!("without sales {nothing}; {IDLE_SALES} scheduled {scheduled}; as many closed {closed}");
        Ok(Measured::plain("idle_sale_cpu_ms_per_s", more.max(0.0) / f64::from(IDLE_SALES), note))
    }

    /// How many of `open` sales admit at their full rate, beside sales that have not opened.
    fn open_sales_at_full_rate(&self, open: u32) -> Result<Measured, Failure> {
        self.sales("waits", IDLE_SALES, "scheduled", 10.0)?;
        self.sales("open", open.saturating_sub(1), "open", CAP_PER_S)?;
        self.sales("fast", 1, "open", FAST_CAP_PER_S)?;
        self.until("every line is listed", "SELECT count(*) = 0 FROM lines WHERE epoch = 0 OR publication = 0")?;
        self.join_all()?;
        pause(SETTLES);
        let counts = "SELECT rate_cap_per_s, count(admissions.id) FROM sales LEFT JOIN admissions ON sale_id = sales.id \
                      WHERE status = 'open' GROUP BY sales.id ORDER BY sales.id";
        let (before, began) = (self.sql(counts)?, Instant::now());
        let cpu = self.cpu()?;
        let (after, seconds) = (self.sql(counts)?, began.elapsed().as_secs_f64());
        let row = |line: &str| -> Option<(f64, f64)> {
            let (cap, count) = line.trim().split_once('|')?;
            Some((cap.parse().ok()?, count.parse().ok()?))
        };
        // The cap and the rate of each sale.
        let rates: Vec<(f64, f64)> = before
            .lines()
            .zip(after.lines())
            .filter_map(|(before, after)| Some((row(before)?, row(after)?)))
            .map(|((cap, before), (_, after))| (cap, (after - before) / seconds))
            .collect();
        let full = rates.iter().filter(|(cap, rate)| *rate >= cap * FULL).count();
        let of_cap = |wanted: f64| rates.iter().filter(move |(cap, _)| *cap == wanted).map(|(_, rate)| *rate);
        let (slow, fast) = (of_cap(CAP_PER_S), of_cap(FAST_CAP_PER_S).sum::<f64>());
        let mean = slow.clone().sum::<f64>() / slow.count().max(1) as f64;
        let note = format!(
            "{} open sales: {mean:.3} of {CAP_PER_S}/s in the mean, one {fast:.1} of {FAST_CAP_PER_S}/s: {cpu}",
            rates.len()
        );
        // The many sales must not starve the fast one.
        let full = if fast >= FAST_CAP_PER_S * FULL { full as f64 } else { 0.0 };
        Ok(Measured::plain("open_sales_full_rate", full, note))
    }

    /// The raw output of a statement.
    fn sql(&self, statement: &str) -> Result<String, Failure> {
        let mut psql = Command::new(self.postgres.program("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--command"]);
        let output = psql.arg(statement).arg(&self.database).output()?;
        if !output.status.success() {
            return Err(Failure::new(String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn until(&self, what: &str, is_so: &str) -> Result<(), Failure> {
        let began = Instant::now();
        while self.sql(is_so)?.trim() != "t" {
            if began.elapsed() > GIVEN_UP_AFTER {
                return Err(Failure::new(format!("gave up waiting until {what}")));
            }
            pause(Duration::from_millis(500));
        }
        Ok(())
    }

    fn sales(&self, slug: &str, count: u32, status: &str, cap_per_s: f64) -> Result<(), Failure> {
        self.sql(&format!(
            "WITH sale AS (INSERT INTO sales (id, slug, name, price_minor, currency, rate_cap_per_s, token_ttl_s, \
             claim_window_s, hold_s, opens_at, status) SELECT gen_random_uuid(), '{slug}-' || n, 'A sale', 100, 'EUR', \
             {cap_per_s}, 7200, 3600, 60, CASE '{status}' WHEN 'open' THEN now() ELSE '2100-01-01' END, '{status}' \
             FROM generate_series(1, {count}) AS n RETURNING id), \
             line AS (INSERT INTO lines (id, sale_id) SELECT id, id FROM sale), \
             item AS (INSERT INTO items (sale_id, item) SELECT id, 1 FROM sale), \
             counters AS (INSERT INTO sale_counters (sale_id) SELECT id FROM sale) \
             INSERT INTO stock (sale_id, item, total) SELECT id, 1, 1000000 FROM sale"
        ))?;
        Ok(())
    }

    /// Joins enough shoppers that no line runs empty during the measurement.
    fn join_all(&self) -> Result<(), Failure> {
        let seconds = (SETTLES + MEASURED).as_secs_f64() * 3.0 + 60.0;
        let joining: Vec<JoinRequest> = (0..(FAST_CAP_PER_S * seconds) as u128)
            .map(|n| JoinRequest { visitor: VisitorId((n + 1).to_be_bytes()), account: None })
            .collect();
        let open = self.sql("SELECT id, ceil(rate_cap_per_s) FROM sales WHERE status = 'open'")?;
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(async {
            let line = LineStore::connect(&self.redis.url()).await?;
            for row in open.lines() {
                let (sale, cap_per_s) =
                    row.trim().split_once('|').ok_or_else(|| Failure::new("a row without a cap"))?;
                let (sale, cap_per_s): (SaleId, f64) = (sale.parse()?, cap_per_s.parse()?);
                let wanted = joining.len().min((cap_per_s * seconds) as usize);
                for (nth, batch) in joining[..wanted].chunks(BATCH).enumerate() {
                    line.join(sale, (nth as u64 + 1).to_be_bytes(), batch).await?;
                }
            }
            Ok(())
        })
    }

    /// What the processes use now, over a while.
    fn cpu(&self) -> Result<Cpu, Failure> {
        let (before, began) = (self.cpu_ms()?, Instant::now());
        pause(MEASURED);
        let (after, seconds) = (self.cpu_ms()?, began.elapsed().as_secs_f64());
        Ok(Cpu(std::array::from_fn(|nth| (after[nth] - before[nth]) / seconds)))
    }

    /// CPU milliseconds of each of [`PROCESSES`] since its start.
    fn cpu_ms(&self) -> Result<[f64; PROCESSES.len()], Failure> {
        let postgres: u32 =
            self.sql("SELECT pg_read_file('postmaster.pid', 0, 20)")?.lines().next().unwrap_or("").parse()?;
        let redis_port = self.redis.port().to_string();
        let mut used = [0.0; PROCESSES.len()];
        for process in fs::read_dir("/proc")? {
            let path = process?.path();
            let Some(id) = path.file_name().and_then(|id| id.to_str()?.parse::<u32>().ok()) else { continue };
            // The process may have ended by now.
            let Ok(stat) = fs::read_to_string(path.join("stat")) else { continue };
            let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
            let fields: Vec<f64> = fields.split(' ').map(|field| field.parse().unwrap_or(0.0)).collect();
            let [parent, own, ended] = [fields[1], fields[11] + fields[12], fields[13] + fields[14]];
            let line = fs::read_to_string(path.join("cmdline")).unwrap_or_default();
            let ms = own / CLOCK_HZ * 1000.0;
            if let Some(nth) = self.services.iter().position(|each| each.id() == id) {
                used[nth] += ms;
            } else if id == postgres {
                // Includes its sessions that have ended.
                used[3] += ms + ended / CLOCK_HZ * 1000.0;
            } else if parent == f64::from(postgres) {
                used[3] += ms;
            } else if line.contains("redis-server") && line.contains(&redis_port) {
                used[4] += ms;
            }
        }
        Ok(used)
    }
}

/// The services in the order of their start, then the servers.
const PROCESSES: [&str; 5] = ["controller", "waiting room", "checkout", "Postgres", "Redis"];

/// CPU milliseconds per second of each of [`PROCESSES`].
struct Cpu([f64; PROCESSES.len()]);

impl Cpu {
    fn total(&self) -> f64 {
        self.0.iter().sum()
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} ms/s of CPU (", self.total())?;
        for (nth, (name, ms)) in PROCESSES.iter().zip(self.0).enumerate() {
            write!(f, "{}{name} {ms:.0}", if nth == 0 { "" } else { ", " })?;
        }
        f.write_str(")")
    }
}
