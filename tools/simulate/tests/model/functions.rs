//! Random calls of the line's library through its store: replies, published messages and final keys
//! are those of a real Redis.

use std::{fmt::Debug, time::Duration};

use fairline_line::{
    change::{LiveTurn, Revision, Turn},
    port::LIBRARY,
    store::{
        Claim, JoinRequest, LineAccount, LineError, LineStore, NodeReport, Publication, RecordQuery, Upcoming,
        UpcomingQuery,
    },
    ticket::{Ordinal, Ticket},
};
use fairline_private_servers::testing;
use fairline_record::{Hash, draw::Draw};
use fairline_sale::{SaleCard, SaleId, Status, VisitorId};
use fairline_simulate::{
    gate::Gate,
    redis::Reply,
    rng::Rng,
    server::{RedisServer, complete},
};
use time::OffsetDateTime;

use crate::real::Real;

const SEQUENCES: u64 = 60;
const CALLS: usize = 60;
/// So long that no moment of the test matters: how often the cursor is noted depends on it.
const RECALL_WINDOW: Duration = Duration::from_secs(50_000_000);
const LONG: Duration = Duration::from_secs(600);

/// The line of one sale, pair.
struct Pair {
    rng: Rng,
    real: LineStore,
    raw: Real,
    subscriber: Real,
    model: LineStore,
    gate: Gate,
    server: RedisServer,
    card: SaleCard,
    calls: Vec<String>,
    published: Vec<Vec<u8>>,
    // The knowledge of a controller.
    epoch: u32,
    publication: i64,
    cursor: u64,
    granted: u64,
    above: u64,
    highest: u64,
    noted: Revision,
    drawn: Option<Draw>,
    batches: Vec<([u8; 8], Vec<JoinRequest>)>,
}

/// Does the same at both, and compares.
macro_rules! both {
    ($pair:ident, $store:ident => $call:expr) => {{
        let time = $pair.raw.command(&[b"TIME"]).expect("a time");
        let now_ms = milliseconds(&time);
        let $store = $pair.real.clone();
        let theirs = $call.await;
        let $store = $pair.model.clone();
        let ours = complete(&$pair.gate, &mut $pair.server, now_ms, $call);
        $pair.published.extend($pair.server.take_published().into_iter().map(|message| message.1));
        $pair.compare(stringify!($call), &ours, &theirs);
        ours
    }};
}

fn milliseconds(time: &Reply) -> u64 {
    let Reply::Array(parts) = time else { panic!("{time:?}") };
    let part = |at: usize| match &parts[at] {
        Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).parse::<u64>().expect("a number"),
        other => panic!("{other:?}"),
    };
    part(0) * 1000 + part(1) / 1000
}

fn visitor(n: u64) -> VisitorId {
    let mut id = [0xf0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    VisitorId(id)
}

/// Publishes; each server has a process of its own, whose name begins an epoch.
async fn publish(store: &LineStore, publication: &Publication<'_>, begins: bool) -> Result<(), LineError> {
    let home = store.home(publication.card.id).await?;
    let begins = begins.then_some(home.run_id.as_str());
    store.publish(&Publication { begins, ..publication.clone() }).await
}

/// The card of a new sale.
fn card() -> SaleCard {
    SaleCard { id: SaleId(uuid::Uuid::new_v4()), ..SaleCard::example() }
}

/// The fields of a hash have no order, and each server is a process of its own.
async fn in_order(store: &LineStore, sale: SaleId, query: &UpcomingQuery) -> Result<Upcoming, LineError> {
    let mut seen = store.upcoming(sale, query).await?;
    seen.claims.sort_by_key(|claim| claim.0);
    seen.home.clear();
    Ok(seen)
}

impl Pair {
    async fn new(seed: u64) -> Self {
        let card = card();
        let gate = Gate::default();
        let mut subscriber = Real::connect();
        let channel = format!("fairline:{{{}}}:changes", card.id);
        subscriber.command(&[b"SSUBSCRIBE", channel.as_bytes()]).expect("subscribed");
        Self {
            rng: Rng::new(seed),
            real: LineStore::connect(&testing::redis_url()).await.expect("a Redis"),
            raw: Real::connect(),
            subscriber,
            model: LineStore::over(std::sync::Arc::new(gate.clone())),
            gate,
            server: RedisServer::new(1, LIBRARY),
            card,
            calls: Vec::new(),
            published: Vec::new(),
            epoch: 0,
            publication: 0,
            cursor: 0,
            granted: 0,
            above: 0,
            highest: 0,
            noted: Revision::default(),
            drawn: None,
            batches: Vec::new(),
        }
    }

    fn compare(&mut self, what: &str, ours: &impl Debug, theirs: &impl Debug) {
        let (ours, theirs) = (format!("{ours:?}"), format!("{theirs:?}"));
        self.calls.push(format!("{} -> {ours}", what.split_whitespace().collect::<Vec<_>>().join(" ")));
        assert_eq!(ours, theirs, "after\n{}", self.calls.join("\n"));
    }

    fn ordinal(&mut self) -> Ordinal {
        1 + self.rng.below(self.highest + 2)
    }

    fn ticket(&mut self) -> Ticket {
        let ordinal = self.ordinal();
        Ticket { sale: self.card.id, epoch: self.epoch, ordinal, visitor: visitor(ordinal) }
    }

    fn ordinals(&mut self) -> Vec<Ordinal> {
        (0..1 + self.rng.below(3)).map(|_| self.ordinal()).collect()
    }

    fn batch(&mut self) -> ([u8; 8], Vec<JoinRequest>) {
        let joining = |rng: &mut Rng, n: u64| JoinRequest {
            visitor: visitor(n),
            account: rng.once_in(3).then(|| LineAccount { digest: [rng.below(4) as u8; 16], rejoins: rng.once_in(2) }),
        };
        let count = 1 + self.rng.below(5);
        let joins = (1..=count).map(|n| joining(&mut self.rng, self.highest + n)).collect();
        (self.rng.draw().to_be_bytes(), joins)
    }

    fn turn(&mut self) -> Turn {
        let at = OffsetDateTime::UNIX_EPOCH;
        match self.rng.below(6) {
            0 => Turn::Lapsed,
            1 => Turn::Bought,
            2 => Turn::Expired,
            3 => Turn::Removed,
            _ => Turn::Now(LiveTurn { token: "a/\"b\u{e9}".to_owned(), quantity: 1, claim_by: at, expires_at: at }),
        }
    }

    async fn publish(&mut self, begins: bool) {
        if begins {
            self.epoch += 1;
            let before_draw = self.drawn.is_none() && self.rng.once_in(2);
            (self.above, self.highest) = (self.granted, self.highest.max(self.granted));
            self.cursor = if before_draw { self.cursor } else { self.granted };
            self.granted += 12;
        }
        // Some come late, and some pair.
        self.publication += i64::try_from(self.rng.below(3)).expect("small") - i64::from(self.rng.once_in(9));
        let turns: Vec<(Ordinal, Turn)> = (0..self.rng.below(4)).map(|_| (self.ordinal(), self.turn())).collect();
        let handled: Vec<(Ordinal, Claim)> = (0..self.rng.below(3))
            .map(|_| (self.ordinal(), if self.rng.once_in(2) { Claim::Claimed } else { Claim::Left }))
            .collect();
        self.card.status = if self.rng.once_in(12) { Status::Closed } else { Status::Open };
        self.card.remaining = u32::try_from(self.rng.below(3)).expect("small");
        let card = self.card.clone();
        let publication = Publication {
            number: self.publication,
            epoch: self.epoch,
            begins: None,
            above: self.above,
            cursor: self.cursor,
            drawn: self.drawn.as_ref().map_or(0, Draw::pool),
            recorded: self.noted,
            granted: self.granted,
            recall_window: RECALL_WINDOW,
            card: &card,
            handled_claims: &handled,
            turns: &turns,
        };
        let _ = both!(self, store => publish(&store, &publication, begins));
        let ordinals: Vec<Ordinal> = (0..self.rng.below(3)).map(|_| self.ordinal()).collect();
        // Some of these come after a later publication.
        let publication = self.publication - i64::from(self.rng.once_in(4));
        let (id, number, turn) = (self.card.id, (self.epoch, publication), self.turn());
        if self.rng.once_in(4) {
            let _ = both!(self, store => store.republish_turns(id, number, &turn, &ordinals));
        }
    }

    async fn draw(&mut self) {
        let (id, epoch) = (self.card.id, self.epoch);
        let Ok(pool) = both!(self, store => store.close_pool(id)) else { return };
        if pool > 0 && self.drawn.is_none() && self.cursor == 0 {
            let draw = Draw::new(Hash([7; 32]), pool).expect("a draw");
            let _ = both!(self, store => store.store_draw(id, epoch, &draw));
            self.drawn = Some(draw);
            self.publish(false).await;
        }
    }

    async fn step(&mut self) {
        let id = self.card.id;
        match self.rng.below(24) {
            0..=3 => {
                let (name, joins) = self.batch();
                let joined = both!(self, store => store.join(id, name, &joins));
                let given = joined.iter().flatten().map(|ticket| ticket.ordinal);
                self.highest = given.fold(self.highest, Ordinal::max);
                self.batches.push((name, joins));
            }
            4 if !self.batches.is_empty() => {
                let at = self.rng.index(self.batches.len());
                let (name, joins) = self.batches[at].clone();
                let _ = both!(self, store => store.join(id, name, &joins));
            }
            5..=7 => {
                let tickets: Vec<Ticket> = (0..1 + self.rng.below(3)).map(|_| self.ticket()).collect();
                let _ = both!(self, store => store.resume(id, &tickets));
            }
            8 | 9 => {
                let (gone, reported) = (self.ordinals(), self.rng.once_in(2));
                let grace = if self.rng.once_in(3) { LONG } else { Duration::ZERO };
                let _ = both!(self, store => store.absent(id, grace, reported, &gone));
                // Swept immediately: deadlines that are a few ms apart on one server only would be
                // swept in another order.
                let _ = both!(self, store => store.sweep(id, 100));
            }
            12 => {
                let epoch = self.epoch;
                let (node, bitmap) = (["one", "two"][self.rng.index(2)], self.rng.draw().to_be_bytes().to_vec());
                let _ = both!(self, store => store.present(id, epoch, NodeReport { name: node, up_for: LONG, connected: bitmap.clone() }));
            }
            13 => {
                let after = both!(self, store => store.roll_call(id, Duration::ZERO, 0));
                let after = after.unwrap_or_default();
                let _ = both!(self, store => store.sweep(id, 100));
                let _ = both!(self, store => store.roll_call(id, LONG, after));
            }
            14 => {
                let ticket = self.ticket();
                let _ = both!(self, store => store.leave(&ticket));
            }
            15 => {
                let ticket = self.ticket();
                let _ = both!(self, store => store.claim(&ticket));
                let account = LineAccount { digest: [2; 16], rejoins: false };
                let _ = both!(self, store => store.bind_account(&ticket, &account));
            }
            16 => {
                let ordinal = self.ordinal();
                let _ = both!(self, store => store.find(id, ordinal));
            }
            17 | 18 => {
                let recorded = self.rng.below(self.highest + 1);
                let record =
                    RecordQuery { recorded, up_to: None, history_after: Some(self.noted), max: 1 + self.rng.below(20) };
                let record = self.rng.once_in(2).then_some(record);
                let query = UpcomingQuery { cursor: self.cursor, wanted: self.rng.below(4), reach: 8, record };
                if let Ok(seen) = both!(self, store => in_order(&store, id, &query)) {
                    self.cursor = seen.cursor;
                    self.noted = seen.history.last().map_or(self.noted, |noted| noted.at);
                }
            }
            19 if self.rng.once_in(4) => self.draw().await,
            20 if self.rng.once_in(3) => self.publish(true).await,
            21 => {
                let _ = both!(self, store => store.snapshot(id));
                let _ = both!(self, store => store.revision(id));
            }
            _ => self.publish(false).await,
        }
    }

    /// The keys as text, without the moments in them, which no two servers share.
    fn keys(&mut self) -> Vec<(String, String, String)> {
        let all: [(&str, &[&[u8]], bool); 14] = [
            ("line", &[b"HGETALL"], false),
            ("arrivals", &[b"XRANGE", b"-", b"+"], false),
            ("departed", &[b"GET"], false),
            ("recalled", &[b"ZRANGE", b"0", b"-1", b"WITHSCORES"], false),
            ("returned", &[b"ZRANGE", b"0", b"-1", b"WITHSCORES"], false),
            ("absent", &[b"ZRANGE", b"-inf", b"+inf", b"BYSCORE"], true),
            ("turns", &[b"HGETALL"], false),
            ("claims", &[b"HGETALL"], false),
            ("passed", &[b"XRANGE", b"-", b"+"], true),
            ("accounts", &[b"HGETALL"], false),
            ("present", &[b"ZRANGE", b"-inf", b"+inf", b"BYSCORE"], true),
            ("history", &[b"XRANGE", b"-", b"+"], false),
            ("drawn", &[b"GET"], false),
            ("shown", &[b"HGETALL"], false),
        ];
        let mut found = Vec::new();
        for (name, command, has_moments) in all {
            let key = format!("fairline:{{{}}}:{name}", self.card.id);
            let mut args = vec![command[0], key.as_bytes()];
            args.extend(&command[1..]);
            let text = |reply: Result<Reply, String>| {
                let mut parts: Vec<String> = match reply {
                    Ok(Reply::Array(parts)) if command[0] == b"HGETALL" => {
                        parts.chunks(2).map(|pair| format!("{pair:?}")).collect()
                    }
                    Ok(Reply::Array(parts)) if name == "passed" => {
                        let id = |entry: &Reply| match entry {
                            Reply::Array(entry) => format!("{:?}", entry[0]),
                            other => format!("{other:?}"),
                        };
                        parts.iter().map(id).collect()
                    }
                    Ok(Reply::Array(parts)) => parts.iter().map(|part| format!("{part:?}")).collect(),
                    other => vec![format!("{other:?}")],
                };
                if command[0] == b"HGETALL" || has_moments {
                    parts.sort();
                }
                // Every process has a name of its own, and a closed line is kept until a moment.
                for field in ["home", "kept_until"] {
                    parts.retain(|part| !part.starts_with(&format!("[Bulk({:?})", field.as_bytes())));
                }
                parts.join(", ")
            };
            found.push((name.to_owned(), text(Ok(self.server.read(&args))), text(self.raw.command(&args))));
            // How long a key is kept, in days: keys read here expire either at once or after days.
            let days = |reply: Result<Reply, String>| match reply {
                Ok(Reply::Int(ms)) if ms > 0 => format!("{} days", (ms + 43_200_000) / 86_400_000),
                other => format!("{other:?}"),
            };
            let kept: [&[u8]; 2] = [b"PTTL", key.as_bytes()];
            let (ours, theirs) = (days(Ok(self.server.read(&kept))), days(self.raw.command(&kept)));
            found.push((format!("{name}, kept for"), ours, theirs));
        }
        found
    }

    /// What both have published.
    fn compare_messages(&mut self) {
        for message in std::mem::take(&mut self.published) {
            let theirs = match self.subscriber.reply() {
                Ok(Reply::Array(parts)) => match parts.into_iter().next_back() {
                    Some(Reply::Bulk(bytes)) => bytes,
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            };
            let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).expect("JSON");
            let (ours, theirs) = (json(&message), json(&theirs));
            self.compare("a message", &ours, &theirs);
        }
        let pong = self.subscriber.command(&[b"PING"]);
        assert!(format!("{pong:?}").contains(&format!("{:?}", b"pong".to_vec())), "one message more: {pong:?}");
    }
}

#[tokio::test]
async fn every_function_of_the_library_does_the_same_as_in_a_real_redis() {
    let mut answered = 0;
    for seed in 0..SEQUENCES {
        let mut pair = Pair::new(seed).await;
        if !pair.rng.once_in(10) {
            pair.publish(true).await;
        }
        for _ in 0..CALLS {
            pair.step().await;
        }
        pair.compare_messages();
        for (name, ours, theirs) in pair.keys() {
            pair.compare(&format!("seed {seed}: the key {name}"), &ours, &theirs);
        }
        answered += pair.calls.iter().filter(|calls| calls.contains("-> Ok")).count();
    }
    assert!(answered > CALLS * 20, "only {answered} calls were answered");
}
