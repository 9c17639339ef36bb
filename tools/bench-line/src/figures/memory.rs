//! `bytes_per_shopper` and `memory_vs_node_ws`: the resident memory of a process per additional
//! waiting shopper.

use std::{path::Path, process::Command};

use fairline_figures::bench::pause;
use fairline_private_servers::{ServiceProcess, address_of};

use crate::{
    Bench, Failure,
    crowd::{PageCrowd, PagesToConnect},
    figure::{Measured, median, number},
    process::resident_bytes,
    shop::{BenchShop, sources_of},
};

/// Admissions per second: slow, so that almost all shoppers wait for the whole time, in a line that
/// moves.
const RATE_PER_S: f64 = 1.0;

pub(super) fn measure(bench: &Bench, found: &mut dyn FnMut(Measured)) -> Result<(), Failure> {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("node-ws/server.mjs");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..bench.size.memory_rounds {
        let shop = BenchShop::start(bench, 1, RATE_PER_S)?;
        shop.act("open")?;
        ours.push(slope(bench, shop.nodes[0].id(), &shop.shoppers(0, 0))?);
        drop(shop);

        let (folder, to) = (tempfile::tempdir()?, address_of(1));
        let arguments =
            ["--expose-gc".to_owned(), server.display().to_string(), to.ip().to_string(), to.port().to_string()];
        let node = ServiceProcess::start("node", "node".as_ref(), &arguments, folder.path())?.listens(to)?;
        let join =
            PagesToConnect { to, path: "/".to_owned(), count: 0, wants_ticket: false, first_source: sources_of(1) };
        theirs.push(slope(bench, node.id(), &join)?);
    }
    let version = Command::new("node").arg("--version").output()?.stdout;
    let note = format!("slope of resident memory, Node {}", String::from_utf8_lossy(&version).trim());
    let all = |slopes: &[f64]| slopes.iter().map(|&slope| number(slope)).collect::<Vec<_>>().join(", ");
    let rounds = format!("rounds: ours {}; ws {}", all(&ours), all(&theirs));
    let (ours, theirs) = (median(ours), median(theirs));
    found(Measured::plain("bytes_per_shopper", ours, rounds));
    found(Measured::ratio("memory_vs_node_ws", ours / theirs, ours, theirs, note));
    Ok(())
}

/// Bytes per additional shopper, between few and many of them.
fn slope(bench: &Bench, server: u32, join: &PagesToConnect) -> Result<f64, Failure> {
    let (few, many) = bench.size.memory_shoppers;
    let mut crowd = PageCrowd::start(1)?;
    let mut at = |count: u32, after: u32| {
        let first_source = (join.first_source.to_bits() + after).into();
        crowd.join(|_| PagesToConnect { count, first_source, ..join.clone() })?;
        pause(bench.size.memory_settles);
        let counted = crowd.count()?;
        if counted.lost > 0 {
            return Err(Failure::new(format!("{} connections were lost", counted.lost)));
        }
        Ok((counted.connected as f64, resident_bytes(server)? as f64))
    };
    let (before, small) = at(few, 0)?;
    let (after, large) = at(many - few, few)?;
    Ok((large - small) / (after - before))
}
