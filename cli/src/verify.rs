//! `fairline verify`: replays the record of a sale, and checks that its order was honest.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
    process::ExitCode,
    str::FromStr,
};

use clap::Args;
use fairline_line::ticket::Ticket;
use fairline_record::{
    entry::Head,
    verify::{Holder, InvalidRecord, Verdict, Verifier},
};
use fairline_rush::counted;
use fairline_sale::LineOrder;
use hyper::Uri;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::failure::CommandError;

/// Maximum length of a line: an entry is below 50 kB.
const LINE_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// The record: a file, `-` for standard input, or the URL where a shop publishes it:
    /// `http://shop/api/flash-sales/ID/record`.
    #[arg(value_name = "FILE|URL")]
    record: String,
    /// A ticket to look up: the value of the cookie `fairline_ticket_…`, or ORDINAL:VISITOR.
    #[arg(long, value_name = "TICKET")]
    ticket: Option<TicketArgument>,
    /// A saved head that the record must contain, as SEQ:HASH. May be repeated.
    #[arg(long = "head", value_name = "SEQ:HASH")]
    heads: Vec<SavedHead>,
}

#[derive(Debug, Clone, Copy)]
struct TicketArgument(Holder);

impl FromStr for TicketArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a ticket is the value of the cookie `fairline_ticket_…`, or ORDINAL:VISITOR".to_owned();
        if let Some((ordinal, visitor)) = text.split_once(':') {
            let (ordinal, visitor) = ordinal.parse().ok().zip(visitor.parse().ok()).ok_or_else(wrong)?;
            return Ok(Self(Holder { ordinal, visitor }));
        }
        // Browsers may show the cookie with its name.
        let cookie = text.rsplit('=').next().unwrap_or(text).trim();
        let (ordinal, visitor) = Ticket::parse_unverified(cookie).ok_or_else(wrong)?;
        Ok(Self(Holder { ordinal, visitor }))
    }
}

#[derive(Debug, Clone, Copy)]
struct SavedHead(Head);

impl FromStr for SavedHead {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let head = text.split_once(':').and_then(|(seq, hash)| seq.parse().ok().zip(hash.parse().ok()));
        let (seq, hash) = head.ok_or("a head is SEQ:HASH, such as 12:9f86d081…, with 64 digits")?;
        Ok(Self(Head { seq, hash }))
    }
}

pub(crate) async fn run(settings: Settings, json: bool) -> Result<ExitCode, CommandError> {
    let heads = settings.heads.iter().map(|kept| kept.0).collect();
    let verifier = Verifier::new(settings.ticket.map(|ticket| ticket.0), heads);
    let replayed = if settings.record.starts_with("http://") || settings.record.starts_with("https://") {
        let uri: Uri =
            settings.record.parse().map_err(|_| CommandError::new("The URL of the record is invalid.".to_owned()))?;
        fairline_rush::replay(&uri, verifier).await.map_err(|why| CommandError::new(format!("{why}.")))?
    } else {
        replay_file(&settings.record, verifier)?
    };
    match replayed {
        Ok(verdict) => {
            if json {
                println!("{}", as_json(&verdict))
            } else {
                print!("{}", in_words(&verdict))
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(fault) if json => {
            println!("{}", json!({ "honest": false, "entry": fault.seq, "why": fault.why }));
            Ok(ExitCode::from(1))
        }
        Err(fault) => {
            println!("✗ The record does not prove an honest line. The first wrong entry is {}:", fault.seq);
            println!("  {}.", fault.why);
            Ok(ExitCode::from(1))
        }
    }
}

fn replay_file(name: &str, mut verifier: Verifier) -> Result<Result<Verdict, InvalidRecord>, CommandError> {
    let failed = |error: io::Error| CommandError::new(format!("{name} could not be read: {error}."));
    let mut reader: Box<dyn BufRead> = if name == "-" {
        Box::new(BufReader::new(io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(Path::new(name)).map_err(failed)?))
    };
    loop {
        let mut line = String::new();
        if reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut line).map_err(failed)? == 0 {
            return Ok(verifier.finish());
        }
        if let Err(fault) = verifier.take(line.trim_end_matches('\n')) {
            return Ok(Err(fault));
        }
    }
}

fn as_json(verdict: &Verdict) -> Value {
    let event = |(entry, at, what): &(u64, OffsetDateTime, String)| json!({ "entry": entry, "at": at.format(&Rfc3339).unwrap_or_default(), "what": what });
    json!({
        "honest": true,
        "sale": verdict.sale,
        "order": verdict.order,
        "status": verdict.status,
        "pool": verdict.pool,
        "joined": verdict.joined,
        "admitted": verdict.admitted,
        "preferred": verdict.preferred,
        "removed": verdict.removed,
        "redeemed": verdict.redeemed,
        "lapsed": verdict.lapsed,
        "losses": verdict.losses,
        "head": format!("{}:{}", verdict.head.seq, verdict.head.hash),
        "ticket": verdict.story.iter().map(event).collect::<Vec<_>>(),
    })
}

fn in_words(verdict: &Verdict) -> String {
    let Verdict { sale, head, joined, redeemed, lapsed, losses, .. } = verdict;
    let turns = counted(verdict.admitted, "turn", "turns");
    let order = match (verdict.order, verdict.pool) {
        (LineOrder::Fifo, _) => "first come, first served".to_owned(),
        (LineOrder::Draw, None) => "a draw, which has not been made yet".to_owned(),
        (LineOrder::Draw, Some(pool)) => format!("a draw of {pool} tickets, made with the committed seed"),
    };
    let mut out = format!(
        "✓ The order was honest.\n  sale      {sale}\n  order     {order}\n  \
         tickets   {joined} issued · {turns} · {redeemed} used · {lapsed} lapsed\n"
    );
    // Writing to text can't fail.
    if *losses > 0 {
        let times = counted(*losses, "time", "times");
        let _ = writeln!(out, "  losses    the line was lost and restored {times}");
    }
    let _ = writeln!(out, "  head      {}:{}", head.seq, head.hash);
    for (seq, at, what) in &verdict.story {
        let at = at.replace_nanosecond(0).unwrap_or(*at);
        let _ = writeln!(out, "  ticket    {at}  {what}  (entry {seq})");
    }
    out
}
