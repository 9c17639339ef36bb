//! Compares the law in live sales with the simulator: `fairline demo`, `fairline rush`, and the
//! same behaviour model.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use fairline_admission::{AdmissionMode, Prior};
use fairline_figures::table::number;
use fairline_shopper_model::live_profile;
use serde_json::{Value, json};

use crate::{
    figure::Values,
    policy::ControllerLaw,
    runs::RISK,
    sale::{PromiseMode, run},
    shopper::SimulatedCrowd,
};

/// Units, and the share of admitted shoppers who buy.
const STOCK: u32 = 200;
const CHANCE_PERCENT: u32 = 50;
/// Speed relative to people.
const FASTER: u32 = 5;
/// The cap admits as many as there are units within 90 s, sped up by the same factor.
const CAP_PER_S: f64 = STOCK as f64 / 90.0 * FASTER as f64;
/// More shoppers than any sale admits, so that the line never runs empty.
const SHOPPERS: u32 = 900;
/// Simulated sales that a live one is compared with: one more sale of the same kind would be their
/// minimum or maximum in every 150th case.
const SEEDS: u64 = 300;
/// Timeout for the demo to start.
const START_WITHIN: Duration = Duration::from_secs(120);

/// Timeout for a crowd to join.
const JOIN_WITHIN: Duration = Duration::from_secs(120);
const POLL_EVERY: Duration = Duration::from_millis(200);

/// The compared figures, and their values for one sale.
const KEYS: [&str; 3] = ["t99_s", "admitted", "turned_away_share"];
type Figures = [f64; 3];
/// The modes of a sale, as the admin API names them.
const MODES: [&str; 2] = ["guarantee", "yield"];

/// The demo, with its own servers. Ends when dropped.
struct LiveDemo(Child);

impl LiveDemo {
    fn start(fairline: &Path, folder: &Path) -> io::Result<Self> {
        let mut demo = Command::new(fairline);
        demo.arg("demo").arg("--dir").arg(folder).args(["--port", "0"]);
        demo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        demo.spawn().map(Self)
    }
}

impl Drop for LiveDemo {
    fn drop(&mut self) {
        // SIGTERM lets it stop its servers, too; SIGKILL would not.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Runs a number of live sales in each mode concurrently, and the simulated ones to compare with.
/// Returns the results as JSON, and as a table.
pub(crate) fn compare(fairline: &Path, runs: u64) -> io::Result<(Value, String)> {
    let folder = std::env::temp_dir().join(format!("fairline-live-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let compared = compare_in(&folder, fairline, runs);
    fs::remove_dir_all(&folder)?;
    compared
}

fn compare_in(folder: &Path, fairline: &Path, runs: u64) -> io::Result<(Value, String)> {
    let demo = LiveDemo::start(fairline, folder)?;
    let addresses = addresses(folder)?;
    let live = live_sales(fairline, folder, &addresses, runs)?;
    drop(demo);
    let mut found = json!({ "stock": STOCK, "chance": chance(), "faster": FASTER, "simulated_sales": SEEDS });
    let mut table = format!("{:10} {:18} {:>9} {:>9} {:>9}  live (simulated)\n", "mode", "", "least", "median", "most");
    for (mode, live) in MODES.into_iter().zip(&live) {
        let simulated: Vec<Figures> = (1..=SEEDS).map(|seed| simulate(mode, seed)).collect();
        let mut all_agree = true;
        for (at, key) in KEYS.iter().enumerate() {
            let mut values = Values::default();
            simulated.iter().for_each(|sale| values.add(sale[at]));
            let (least, most) = (values.least(), values.worst());
            let lived: Vec<f64> = live.iter().map(|sale| sale[at]).collect();
            // The same people, in the same order, admitted by the same law.
            let twins: Vec<f64> = simulated.iter().take(lived.len()).map(|sale| sale[at]).collect();
            let agree = lived.iter().all(|value| (least..=most).contains(value));
            all_agree &= agree;
            let pairs = lived.iter().zip(&twins).map(|(&lived, &twin)| format!("{} ({})", number(lived), number(twin)));
            table.push_str(&format!(
                "{mode:10} {key:18} {:>9} {:>9} {:>9}  {} {}\n",
                number(least),
                number(values.median()),
                number(most),
                pairs.collect::<Vec<_>>().join("  "),
                if agree { "✓" } else { "✗" }
            ));
            let spread = json!({ "least": least, "median": values.median(), "most": most });
            found[mode][key] = json!({ "live": lived, "simulated": twins, "of_all": spread });
        }
        found[mode]["agrees"] = json!(all_agree);
    }
    Ok((found, table))
}

/// The figures of the live sales, by mode and seed.
fn live_sales(fairline: &Path, folder: &Path, addresses: &Value, runs: u64) -> io::Result<[Vec<Figures>; 2]> {
    eprintln!("… {runs} live sales in each mode, side by side, until the last is sold out");
    let lived = thread::scope(|scope| {
        let of_mode = |mode: &'static str| -> Vec<_> {
            (1..=runs).map(|seed| scope.spawn(move || rush(fairline, folder, addresses, mode, seed))).collect()
        };
        MODES.map(of_mode).map(|sales| {
            let ended = |sale: thread::ScopedJoinHandle<'_, io::Result<Figures>>| {
                sale.join().unwrap_or_else(|_| Err(io::Error::other("the thread of a sale panicked")))
            };
            sales.into_iter().map(ended).collect::<io::Result<Vec<Figures>>>()
        })
    });
    let [guarantee, overbooked] = lived;
    Ok([guarantee?, overbooked?])
}

/// The demo's addresses, as soon as it is ready.
#[expect(clippy::disallowed_methods, reason = "there is no runtime here whose thread it could block")]
fn addresses(folder: &Path) -> io::Result<Value> {
    let started = Instant::now();
    loop {
        if let Ok(text) = fs::read_to_string(folder.join("demo.json")) {
            return Ok(serde_json::from_str(&text)?);
        }
        if started.elapsed() > START_WITHIN {
            return Err(io::Error::other("the demo did not start; try it alone: `fairline demo`"));
        }
        thread::sleep(POLL_EVERY);
    }
}

/// Creates a sale, sends it a crowd, and opens it when all shoppers wait.
fn rush(fairline: &Path, folder: &Path, addresses: &Value, mode: &str, seed: u64) -> io::Result<Figures> {
    let slug = format!("{mode}-{seed}");
    let [claim_window_s, token_ttl_s, hold_s] =
        live_profile(seed, chance(), f64::from(FASTER)).limits_s().map(|limit_s| limit_s as u32);
    let sale = json!({
        "slug": slug, "name": "A live sale", "price_minor": 100, "currency": "EUR", "total": STOCK, "mode": mode,
        "risk": RISK, "rate_cap_per_s": CAP_PER_S, "claim_window_s": claim_window_s, "token_ttl_s": token_ttl_s,
        "hold_s": hold_s, "opens_at": "2999-01-01T00:00:00Z",
    });
    let created = call(addresses, "POST", "/api/admin/sales", &sale)?;
    let path = format!("/api/admin/sales/{}", created["id"].as_str().unwrap_or_default());
    let mut crowd = Command::new(fairline)
        .args(["rush", "--sale", &slug, "--mix", "visit=1", "--transports", "websocket=1", "--payments", "visa=1"])
        .args(["--arrive-s", "2", "--timeout-s", "1200", "--settle-s", "90"])
        .args(["--shoppers", &SHOPPERS.to_string(), "--buy-percent", &CHANCE_PERCENT.to_string()])
        .args(["--speed", &FASTER.to_string(), "--seed", &seed.to_string()])
        .arg("--demo")
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Err(error) = open_when_all_wait(addresses, &path) {
        crowd.kill()?;
        crowd.wait()?;
        return Err(error);
    }
    let output = crowd.wait_with_output()?.stdout;
    let output = String::from_utf8_lossy(&output);
    let report: Option<Value> = output.lines().last().and_then(|line| serde_json::from_str(line).ok());
    let report = report.ok_or_else(|| io::Error::other(format!("the crowd left no report: {output}")))?;
    if report["ok"] != json!(true) {
        let (broken, mismatches) = (&report["broken"], &report["mismatches"]);
        return Err(io::Error::other(format!("the crowd of {slug} was not content: {broken} {mismatches}")));
    }
    let number = |key: &str| {
        let missing = || io::Error::other(format!("the crowd's report of {slug} has no number `{key}`: {report}"));
        report[key].as_f64().ok_or_else(missing)
    };
    let admitted = number("admitted")?;
    Ok([number("t99_s")?, admitted, number("no_unit")? / admitted])
}

/// The simulated line is endless and complete from the start, so the live one has to be complete,
/// too.
#[expect(clippy::disallowed_methods, reason = "there is no runtime here whose thread it could block")]
fn open_when_all_wait(addresses: &Value, path: &str) -> io::Result<()> {
    let started = Instant::now();
    loop {
        let waiting = call(addresses, "GET", path, &Value::Null)?["waiting"].clone();
        if waiting.as_u64() >= Some(SHOPPERS.into()) {
            return call(addresses, "POST", &format!("{path}/open"), &json!({})).map(drop);
        }
        if started.elapsed() > JOIN_WITHIN {
            return Err(io::Error::other(format!("only {waiting} of {SHOPPERS} shoppers joined in time")));
        }
        thread::sleep(POLL_EVERY);
    }
}

/// One call of the admin API; anything but success is an error.
fn call(addresses: &Value, method: &str, path: &str, body: &Value) -> io::Result<Value> {
    let text = |key: &str| addresses[key].as_str().unwrap_or_default().to_owned();
    let host = text("shop_url").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let token = text("admin_token");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = TcpStream::connect(&host)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.starts_with("HTTP/1.1 2") {
        return Err(io::Error::other(format!("{method} {path}: {head} {body}")));
    }
    Ok(serde_json::from_str(body)?)
}

fn chance() -> f64 {
    f64::from(CHANCE_PERCENT) / 100.0
}

/// The compared figures of one simulated sale, with the crowd that a rush of this seed would send.
fn simulate(mode: &str, seed: u64) -> Figures {
    let (mode, promise) = match mode {
        "yield" => (AdmissionMode::Yield { risk: RISK }, PromiseMode::WhilePaying),
        _ => (AdmissionMode::Guarantee, PromiseMode::Always),
    };
    let mut crowd = SimulatedCrowd::live(seed, chance(), f64::from(FASTER), SHOPPERS);
    let mut law = ControllerLaw::new(mode, CAP_PER_S, Prior::cautious()).within(crowd.limits_s());
    let outcome = run(&mut crowd, STOCK, promise, &mut law);
    [outcome.t99_s, outcome.admitted as f64, outcome.turned_away_share()]
}
