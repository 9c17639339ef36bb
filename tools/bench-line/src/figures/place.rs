//! `place_vs_zrank`: places per second that a node computes, and ranks per second that Redis
//! returns.

use std::{
    fs,
    hint::black_box,
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Instant,
};

use fairline_line::places::LineView;
use fairline_private_servers::{ServiceProcess, address_of};
use rand::RngExt as _;

use crate::{
    Bench, Failure,
    figure::{Measured, median, number},
    redis::{RedisConnection, command},
};

/// One in this many tickets has departed.
const DEPARTED: u64 = 10;
/// Ranks per pipeline; two pipelines are in progress at any time, so that Redis never waits for the
/// client.
const PIPELINES: [usize; 2] = [100, 1_000];
const RANKS_A_ROUND: usize = 200_000;
const PLACES_A_ROUND: usize = 5_000_000;

pub(super) fn measure(bench: &Bench, found: &mut dyn FnMut(Measured)) -> Result<(), Failure> {
    let line = bench.size.line;
    let departed: Vec<bool> = (0..=line).map(|_| rand::rng().random_range(0..DEPARTED) == 0).collect();
    let waiting: Vec<u64> = (1..=line).filter(|&ordinal| !departed[ordinal as usize]).collect();
    let mut bitmap = vec![0_u8; departed.len().div_ceil(8)];
    departed
        .iter()
        .enumerate()
        .filter(|(_, departed)| **departed)
        .for_each(|(at, _)| bitmap[at / 8] |= 0x80 >> (at % 8));
    let view = LineView::new(1, 0, line).with_departed(&bitmap);
    let asked: Vec<u64> = (0..line).map(|_| waiting[rand::rng().random_range(0..waiting.len())]).collect();

    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("redis.sock");
    let address = address_of(0);
    // Read-only, so persistence makes no difference.
    let arguments = [
        "--bind".to_owned(),
        address.ip().to_string(),
        "--port".to_owned(),
        address.port().to_string(),
        "--unixsocket".to_owned(),
        socket.display().to_string(),
        "--save".to_owned(),
        String::new(),
        "--dir".to_owned(),
        folder.path().display().to_string(),
    ];
    let _redis =
        ServiceProcess::start("redis", "redis-server".as_ref(), &arguments, folder.path())?.listens(address)?;
    let mut redis = RedisConnection::connect(address)?;
    for some in waiting.chunks(1_000) {
        let pairs = some.iter().flat_map(|ordinal| [ordinal.to_string(), ordinal.to_string()]);
        let words: Vec<String> = ["ZADD", "line"].map(str::to_owned).into_iter().chain(pairs).collect();
        redis.ask(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
    }

    let (mut ratios, mut ours, mut theirs, mut best) = (Vec::new(), Vec::new(), Vec::new(), String::new());
    for _ in 0..bench.size.place_rounds {
        let places = places_a_second(&view, &asked);
        let mut fastest = 0.0;
        for pipeline in PIPELINES {
            let over_tcp = ranks_a_second(TcpStream::connect(address)?, &asked, pipeline)?;
            let over_unix = ranks_a_second(UnixStream::connect(&socket)?, &asked, pipeline)?;
            for (ranks, way) in [(over_tcp, "TCP"), (over_unix, "a Unix socket")] {
                if ranks > fastest {
                    (fastest, best) = (ranks, format!("{pipeline} at a time over {way}"));
                }
            }
        }
        ratios.push(places / fastest);
        ours.push(places);
        theirs.push(fastest);
    }
    fs::remove_file(&socket).or_else(|error| if socket.exists() { Err(error) } else { Ok(()) })?;
    let note =
        format!("{} of {} tickets wait; ZRANK was fastest {best}", number(waiting.len() as f64), number(line as f64));
    found(Measured::ratio("place_vs_zrank", median(ratios), median(ours), median(theirs), note));
    Ok(())
}

fn places_a_second(view: &LineView, asked: &[u64]) -> f64 {
    let started = Instant::now();
    let mut sum = 0;
    for &ordinal in asked.iter().cycle().take(PLACES_A_ROUND) {
        sum += view.place(black_box(ordinal)).map_or(0, |place| place.ahead);
    }
    black_box(sum);
    PLACES_A_ROUND as f64 / started.elapsed().as_secs_f64()
}

fn ranks_a_second(mut stream: impl Read + Write, asked: &[u64], pipeline: usize) -> Result<f64, Failure> {
    let asked = &asked[..asked.len().min(RANKS_A_ROUND)];
    // Built beforehand, so that the baseline does not include it.
    let requests: Vec<Vec<u8>> = asked
        .chunks(pipeline)
        .map(|some| some.iter().flat_map(|ordinal| command(&["ZRANK", "line", &ordinal.to_string()])).collect())
        .collect();
    let mut buffer = vec![0; 64 * 1024];
    let (mut sent, mut answers) = (0, 0);
    let started = Instant::now();
    for request in &requests {
        stream.write_all(request)?;
        sent += pipeline;
        while answers + pipeline < sent {
            answers += lines(&mut stream, &mut buffer)?;
        }
    }
    while answers < asked.len() {
        answers += lines(&mut stream, &mut buffer)?;
    }
    Ok(asked.len() as f64 / started.elapsed().as_secs_f64())
}

/// The number of received replies: one per line.
fn lines(stream: &mut impl Read, buffer: &mut [u8]) -> Result<usize, Failure> {
    match stream.read(buffer)? {
        0 => Err(Failure::new("Redis closed the connection")),
        count => Ok(buffer[..count].iter().filter(|&&byte| byte == b'\n').count()),
    }
}
