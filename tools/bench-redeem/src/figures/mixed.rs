//! `requests_per_s` and related figures: a busy shop, in which nine of ten requests only read, and
//! one buys.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use fairline_figures::bench::pause;
use fairline_sale::SaleId;

use crate::{
    Bench, Failure,
    client::{Response, RunResult, paced, run},
    figure::{Measured, median, number},
    shop::{ADMIN_TOKEN, BenchShop, OtherServices},
};

/// Purchases per hundred requests. Of the others, half request the sale's status, and half a place.
const WRITES: usize = 10;
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const PUBLISHED_WITHIN: Duration = Duration::from_secs(20);

pub(super) fn measure(bench: &mut Bench, found: &mut dyn FnMut(Measured)) -> Result<(), Failure> {
    let (shop, size) = (BenchShop::start(bench)?, bench.size.clone());
    let services = OtherServices::start(bench, &shop)?;
    let sale = create_sale(services.admin)?;
    until_published(services.waiting_room, sale)?;
    let cookies = (0..size.waiting).map(|_| join(services.waiting_room, sale)).collect::<Result<Vec<_>, _>>()?;

    let (offered, seconds) = (size.offered_per_s as f64, size.offered_for.as_secs_f64());
    let requests = (offered * seconds) as usize;
    let (writes, reads) = (requests * WRITES / 100, requests - requests * WRITES / 100);
    let reading: Vec<Vec<u8>> = (0..reads)
        .map(|nth| match nth % 2 {
            0 => format!("GET /api/flash-sales/{sale}/status HTTP/1.1\r\nHost: shop\r\n\r\n").into_bytes(),
            _ => place(sale, &cookies[nth / 2 % cookies.len()]),
        })
        .collect();
    let mut rounds: Vec<(RunResult, RunResult)> = Vec::new();
    for _ in 0..size.rounds {
        let shoppers = shop.admit(writes)?;
        shop.settle_with_controller()?;
        let per_s = |part: usize| offered * part as f64 / requests as f64;
        let buying = paced(shop.checkout_address, size.many / 10, shop.requests(&shoppers), per_s(writes));
        let looking = paced(services.waiting_room, size.many / 10, reading.clone(), per_s(reads));
        let (bought, looked) = (buying.ended()?, looking.ended()?);
        bench.note(shop.audit(&shoppers, &[&bought])?);
        rounds.push((bought, looked));
    }
    let failed =
        |run: &RunResult, right: u16| run.answers.iter().filter(|answer| answer.status != right).count() as f64;
    let middle = |of: &dyn Fn(&(RunResult, RunResult)) -> f64| median(rounds.iter().map(of).collect());
    let per_s = middle(&|(bought, looked)| requests as f64 / bought.took.max(looked.took).as_secs_f64());
    let note = format!(
        "answered while {} a second were offered, each at its own time, for {} s: a tenth redeem, the others ask for the sale's status or their place",
        number(offered),
        number(seconds)
    );
    found(Measured::plain("requests_per_s", per_s, note));
    let note = format!("from when each was due; of those that buy {}", number(middle(&|(bought, _)| bought.p99_ms())));
    let p99 = |(bought, looked): &(RunResult, RunResult)| {
        let mut all = [bought.latencies.as_slice(), looked.latencies.as_slice()].concat();
        all.sort_unstable();
        all[(all.len() * 99).div_ceil(100).saturating_sub(1)].as_secs_f64() * 1e3
    };
    found(Measured::plain("requests_p99_ms", middle(&p99), note));
    let share = middle(&|(bought, looked)| (failed(bought, 201) + failed(looked, 200)) / requests as f64);
    found(Measured::plain("requests_failed", share, "share that was answered otherwise than it should".to_owned()));
    Ok(())
}

/// Creates a sale with a very low rate, so that all shoppers keep waiting.
fn create_sale(admin: SocketAddr) -> Result<SaleId, Failure> {
    let body =
        r#"{"slug":"rush","name":"A rush","price_minor":4900,"currency":"EUR","total":1000,"rate_cap_per_s":0.01}"#;
    let create = format!(
        "POST /api/admin/sales HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let created = run(admin, 1, vec![create.into_bytes()])?.all_are(201)?;
    match created.answers.as_slice() {
        [Response { order: Some(id), .. }] => Ok(SaleId(*id)),
        _ => Err(Failure::new("a created sale has no id")),
    }
}

fn until_published(waiting_room: SocketAddr, sale: SaleId) -> Result<(), Failure> {
    let status = format!("GET /api/flash-sales/{sale}/status HTTP/1.1\r\nHost: shop\r\n\r\n").into_bytes();
    let deadline = Instant::now() + PUBLISHED_WITHIN;
    while run(waiting_room, 1, vec![status.clone()])?.answers.iter().any(|answer| answer.status != 200) {
        if Instant::now() > deadline {
            return Err(Failure::new("the waiting room has not received of the sale"));
        }
        pause(POLL_INTERVAL);
    }
    Ok(())
}

/// Joins the line; returns the ticket cookie.
fn join(waiting_room: SocketAddr, sale: SaleId) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(waiting_room)?;
    let request = format!("GET /api/flash-sales/{sale}/line HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next());
    cookie
        .map(str::to_owned)
        .ok_or_else(|| Failure::new(format!("no ticket: {}", answer.lines().next().unwrap_or_default())))
}

fn place(sale: SaleId, cookie: &str) -> Vec<u8> {
    format!("GET /api/flash-sales/{sale}/line?join=false HTTP/1.1\r\nHost: shop\r\nCookie: {cookie}\r\n\r\n")
        .into_bytes()
}
