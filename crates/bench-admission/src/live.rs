//! The law in live sales beside the simulator: `fairline demo`, `fairline rush`, and the same behaviour.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use fairline_admission::{Mode, Prior};
use serde_json::{Value, json};

use crate::{
    bench::RISK,
    figure::{Values, short},
    policy::Law,
    sale::{Promise, run},
    shopper::Crowd,
};

/// Units, and the share of those let in who buy.
const STOCK: u32 = 200;
const CHANCE_PERCENT: u32 = 50;
/// So many times as fast as people.
const FASTER: u32 = 5;
/// The cap lets as many in within 90 s as there are units; five times as fast, too.
const CAP_PER_S: f64 = STOCK as f64 / 90.0 * FASTER as f64;
/// More than any sale lets in.
const SHOPPERS: u32 = 900;
/// Simulated sales that a live one is held against: of so many, one more is the least or the most of all in every 150th case.
const SEEDS: u64 = 300;
/// How long the demo may take to be there.
const START_WITHIN: Duration = Duration::from_secs(120);

/// What is compared.
const KEYS: [&str; 3] = ["t99_s", "admitted", "turned_away_share"];

/// The demo, with servers of its own. Dropped, it ends.
struct Demo(Child);

impl Demo {
    fn start(fairline: &Path, folder: &Path) -> io::Result<Self> {
        let mut demo = Command::new(fairline);
        demo.arg("demo").arg("--dir").arg(folder).args(["--port", "0"]);
        demo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        demo.spawn().map(Self)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Asked to stop, it stops its servers, too; killed, it could not.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Runs so many live sales in each mode, and as many simulated ones as it takes. Gives everything as JSON, and as a table.
pub(crate) fn compare(fairline: &Path, runs: u64) -> io::Result<(Value, String)> {
    let folder = std::env::temp_dir().join(format!("fairline-live-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let compared = compare_in(&folder, fairline, runs);
    fs::remove_dir_all(&folder)?;
    compared
}

fn compare_in(folder: &Path, fairline: &Path, runs: u64) -> io::Result<(Value, String)> {
    let demo = Demo::start(fairline, folder)?;
    let addresses = addresses(folder)?;
    let mut found = json!({});
    let mut table = format!("{:10} {:18} {:>9} {:>9} {:>9}  live\n", "mode", "", "least", "median", "most");
    for mode in ["guarantee", "yield"] {
        let mut live = Vec::new();
        for seed in 1..=runs {
            eprintln!("… a live sale in {mode} mode, {seed} of {runs}");
            live.push(rush(fairline, folder, &addresses, mode, seed)?);
        }
        let simulated = simulate(mode);
        let mut all_agree = true;
        for (key, values) in KEYS.iter().zip(&simulated) {
            let (least, most) = (values.least(), values.worst());
            let lived: Vec<f64> = live.iter().filter_map(|report| report[*key].as_f64()).collect();
            let agree = lived.len() == live.len() && lived.iter().all(|value| (least..=most).contains(value));
            all_agree &= agree;
            let shown: Vec<String> = lived.iter().map(|&value| short(value)).collect();
            table.push_str(&format!(
                "{mode:10} {key:18} {:>9} {:>9} {:>9}  {} {}\n",
                short(least),
                short(values.median()),
                short(most),
                shown.join(" "),
                if agree { "✓" } else { "✗" }
            ));
            found[mode][key] = json!({ "live": lived, "least": least, "median": values.median(), "most": most });
        }
        found[mode]["agrees"] = json!(all_agree);
    }
    drop(demo);
    Ok((found, table))
}

/// Where the demo is, once it says so.
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
        thread::sleep(Duration::from_millis(200));
    }
}

/// Creates a sale and sends it a crowd. Gives what is compared.
fn rush(fairline: &Path, folder: &Path, addresses: &Value, mode: &str, seed: u64) -> io::Result<Value> {
    let slug = format!("{mode}-{seed}");
    let [claim_window_s, token_ttl_s, hold_s] = limits_s().map(|limit_s| limit_s as u32);
    create(
        addresses,
        &json!({
            "slug": slug, "name": "A live sale", "price_minor": 100, "currency": "EUR", "total": STOCK, "mode": mode,
            "risk": RISK, "rate_cap_per_s": CAP_PER_S, "claim_window_s": claim_window_s, "token_ttl_s": token_ttl_s,
            "hold_s": hold_s,
        }),
    )?;
    let crowd = Command::new(fairline)
        .args(["rush", "--sale", &slug, "--mix", "visit=1", "--transports", "websocket=1", "--payments", "visa=1"])
        .args(["--arrive-s", "1", "--timeout-s", "1200", "--settle-s", "90"])
        .args(["--shoppers", &SHOPPERS.to_string(), "--chance", &CHANCE_PERCENT.to_string()])
        .args(["--faster", &FASTER.to_string(), "--seed", &seed.to_string()])
        .arg("--demo")
        .arg(folder)
        .stderr(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&crowd.stdout);
    let report: Option<Value> = said.lines().last().and_then(|line| serde_json::from_str(line).ok());
    let report = report.ok_or_else(|| io::Error::other(format!("the crowd left no report: {said}")))?;
    if report["ok"] != json!(true) {
        return Err(io::Error::other(format!(
            "the crowd was not content: {} {}",
            report["broken"], report["mismatches"]
        )));
    }
    let admitted = report["admitted"].as_f64().unwrap_or(f64::NAN);
    let no_unit = report["no_unit"].as_f64().unwrap_or(f64::NAN);
    Ok(json!({ "t99_s": report["t99_s"], "admitted": admitted, "turned_away_share": no_unit / admitted }))
}

/// Creates a sale by the admin API.
fn create(addresses: &Value, sale: &Value) -> io::Result<()> {
    let text = |key: &str| addresses[key].as_str().unwrap_or_default().to_owned();
    let host = text("shop_url").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let (body, token) = (sale.to_string(), text("admin_token"));
    let mut stream = TcpStream::connect(&host)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "POST /api/admin/sales HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 201") { Ok(()) } else { Err(io::Error::other(format!("no sale: {answer}"))) }
}

fn limits_s() -> [f64; 3] {
    Crowd::live(1, chance(), f64::from(FASTER)).limits_s()
}

fn chance() -> f64 {
    f64::from(CHANCE_PERCENT) / 100.0
}

/// What is compared, over many simulated sales.
fn simulate(mode: &str) -> [Values; 3] {
    let mut found: [Values; 3] = Default::default();
    let (mode, promise) = match mode {
        "yield" => (Mode::Yield { risk: RISK }, Promise::WhilePaying),
        _ => (Mode::Guarantee, Promise::Always),
    };
    for seed in 1..=SEEDS {
        let mut crowd = Crowd::live(seed, chance(), f64::from(FASTER));
        let mut law = Law::new(mode, CAP_PER_S, Prior::cautious()).within(crowd.limits_s());
        let outcome = run(&mut crowd, STOCK, promise, &mut law);
        let values = [outcome.t99_s, outcome.admitted as f64, outcome.turned_away_share()];
        found.iter_mut().zip(values).for_each(|(values, value)| values.add(value));
    }
    found
}
