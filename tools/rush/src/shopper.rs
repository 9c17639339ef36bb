//! One shopper's visit: arrives, waits, follows its plan, receives its outcome.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hyper::Method;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use crate::{
    clock::now_us,
    crowd::Crowd,
    history::{HistoryEventKind, HistorySender},
    http::{Client, request},
    line::{ConnectionEnd, EnteredLine, EntryPoint, LineConnection},
    messages::{Claims, LineMessage, Over, SaleCard, SaleStatus, claims},
    plan::{ShopperModel, ShopperPlan},
    record::{ObservedTurn, RECORDED_MAX, ShopperRecord, VisitOutcome},
    stage_counts::ShopperStage,
};

/// What follows the end of a connection.
pub(crate) enum NextAction {
    /// The shopper has its outcome.
    Done(VisitOutcome),
    /// The shopper stays away as planned.
    Away(Duration),
    /// The connection was lost; the shopper reconnects.
    Again { retry_after: Option<Duration> },
}

/// One shopper.
pub(crate) struct Shopper<'a> {
    pub(crate) crowd: &'a Crowd,
    pub(crate) plan: ShopperPlan,
    pub(crate) caller: Client,
    pub(crate) record: ShopperRecord,
    pub(crate) backoff: Backoff,
    /// Like a page, a shopper pauses for at most twice the announced time to reconnect.
    pause_max: Duration,
    diary: HistorySender,
    cookies: BTreeMap<String, String>,
    stage: ShopperStage,
    arrived_at: Instant,
    away_since: Option<Instant>,
    connected_at_us: i64,
    /// When it performs its planned action other than buying; `None` before it has joined and
    /// afterwards.
    acts_at: Option<Instant>,
    has_acted: bool,
    /// The token that a `let-expire` shopper lets expire.
    expiring_token: Option<String>,
    calls: usize,
}

impl<'a> Shopper<'a> {
    pub(crate) fn new(crowd: &'a Crowd, plan: ShopperPlan) -> Shopper<'a> {
        Shopper {
            caller: Client::new(plan.index),
            record: ShopperRecord::new(plan.index, crowd.job.line(plan.index).0, plan.model, plan.transport),
            backoff: Backoff::default(),
            pause_max: Duration::from_secs(5),
            diary: HistorySender::of(plan.index),
            cookies: BTreeMap::new(),
            stage: ShopperStage::Coming,
            arrived_at: Instant::now(),
            away_since: None,
            connected_at_us: 0,
            acts_at: None,
            has_acted: false,
            expiring_token: None,
            calls: plan.index as usize,
            crowd,
            plan,
        }
    }

    /// Ends the visit, with the outcome if there is one.
    pub(crate) fn leaves_with(mut self, outcome: Option<VisitOutcome>) -> ShopperRecord {
        self.moves_to(if outcome == Some(VisitOutcome::Paid) { ShopperStage::Paid } else { ShopperStage::Over });
        self.note(HistoryEventKind::Ended { outcome: outcome.map(|outcome| outcome.name()) });
        self.record.outcome = outcome;
        self.record
    }

    /// Records an event, if a history is kept.
    pub(crate) fn note(&mut self, what: HistoryEventKind) {
        self.diary.note(&self.crowd.history, what);
    }

    /// The whole visit.
    pub(crate) async fn visit(&mut self) -> VisitOutcome {
        self.arrived_at = Instant::now();
        loop {
            let step = self.stay_connected().await;
            self.note(HistoryEventKind::Disconnected);
            self.away_since = Some(Instant::now());
            match step {
                NextAction::Done(outcome) => {
                    if outcome == VisitOutcome::Paid && self.plan.model == ShopperModel::BuyAgain {
                        self.attempts_to_exceed_limit().await;
                    }
                    return outcome;
                }
                NextAction::Away(time) => sleep(time).await,
                NextAction::Again { retry_after } => {
                    self.record.reconnects += 1;
                    self.pause(retry_after).await;
                }
            }
        }
    }

    /// One connection, from its start to its end.
    async fn stay_connected(&mut self) -> NextAction {
        let entrance = self.entrance(false);
        let room = self.calls % self.crowd.job.waiting_rooms.len();
        let EnteredLine { mut line, cookies } = match LineConnection::enter(self.plan.transport, entrance).await {
            Ok(entered) => entered,
            Err(ConnectionEnd::SaleOver) => return self.ask_how_it_ended().await,
            Err(lost) => return self.lost(lost),
        };
        self.note(HistoryEventKind::Connected { room });
        self.connected(cookies);
        loop {
            let acts_at = self.acts_at;
            let received = tokio::select! {
                received = line.next() => received,
                () = sleep_until(acts_at.unwrap_or_else(Instant::now)), if acts_at.is_some() => {
                    return self.act(&mut line).await;
                }
            };
            let step = match received {
                Ok(message) => self.handle(message, &mut line).await,
                Err(lost) => Some(self.lost(lost)),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    pub(crate) fn entrance(&mut self, rejoins: bool) -> EntryPoint {
        let waiting_rooms = &self.crowd.job.waiting_rooms;
        let (line, invitation) = self.crowd.job.line(self.plan.index);
        EntryPoint {
            caller: self.caller,
            waiting_room: waiting_rooms[self.next_call() % waiting_rooms.len()].clone(),
            line,
            invitation: invitation.map(str::to_owned),
            rejoins,
            cookie: self.cookie_header(),
        }
    }

    pub(crate) fn keep_cookies(&mut self, cookies: Vec<(String, String)>) {
        self.cookies.extend(cookies);
    }

    fn connected(&mut self, cookies: Vec<(String, String)>) {
        self.cookies.extend(cookies);
        self.connected_at_us = now_us();
        if let Some(since) = self.away_since.take()
            && self.record.join_ms.is_some()
            && self.record.turns.is_empty()
        {
            let away_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.record.away_ms_max = self.record.away_ms_max.max(away_ms);
        }
        if let Some(cookie) = self.cookie_header() {
            self.crowd.found_cookies.offer(self.plan.index, &cookie);
        }
    }

    pub(crate) fn lost(&mut self, lost: ConnectionEnd) -> NextAction {
        match lost {
            ConnectionEnd::Gone { retry_after } => NextAction::Again { retry_after },
            ConnectionEnd::Ended | ConnectionEnd::SaleOver => NextAction::Again { retry_after: None },
            ConnectionEnd::Unexpected { what, retry_after } => {
                self.record.record_unexpected(what);
                NextAction::Again { retry_after }
            }
        }
    }

    async fn handle(&mut self, message: LineMessage, line: &mut LineConnection) -> Option<NextAction> {
        self.backoff = Backoff::default();
        self.note(match &message {
            LineMessage::Place { ordinal } => HistoryEventKind::Place { ordinal: *ordinal },
            LineMessage::Turn { token } => claims(token).map_or(HistoryEventKind::Received, |claims| {
                HistoryEventKind::Turn { admission: claims.jti, expires_s: claims.exp }
            }),
            LineMessage::Over { outcome } => HistoryEventKind::Over { outcome: format!("{outcome:?}") },
            LineMessage::Sale { sale } => HistoryEventKind::Sale { status: sale.status },
            LineMessage::Heartbeat { .. } | LineMessage::Reconnecting {} => HistoryEventKind::Received,
        });
        match message {
            LineMessage::Sale { sale } => {
                self.crowd.stage_counts.remaining(sale.remaining);
                None
            }
            LineMessage::Place { ordinal } => {
                self.joined();
                let known = *self.record.ordinal.get_or_insert(ordinal);
                self.record.places_lost += u32::from(known != ordinal);
                self.moves_to(ShopperStage::Waiting);
                if self.plan.model == ShopperModel::Forge && !self.has_acted {
                    self.has_acted = true;
                    self.forge_out_of_nothing().await;
                }
                None
            }
            LineMessage::Turn { token } => {
                self.joined();
                self.take_turn(token, line).await
            }
            LineMessage::Over { outcome } => Some(self.over(outcome).await),
            LineMessage::Heartbeat { reconnect_within_ms } => {
                self.pause_max = Duration::from_millis(u64::from(reconnect_within_ms)) * 2;
                None
            }
            LineMessage::Reconnecting {} => None,
        }
    }

    fn joined(&mut self) {
        if self.record.join_ms.is_some() {
            return;
        }
        self.record.join_ms = Some(self.arrived_at.elapsed().as_secs_f64() * 1_000.0);
        self.moves_to(ShopperStage::Waiting);
        let acts = matches!(self.plan.model, ShopperModel::Leave | ShopperModel::Disconnect | ShopperModel::Reconnect);
        self.acts_at = acts.then(|| Instant::now() + self.plan.acts_after);
    }

    async fn over(&mut self, over: Over) -> NextAction {
        match over {
            Over::SoldOut => NextAction::Done(VisitOutcome::SoldOut),
            Over::Closed => NextAction::Done(VisitOutcome::Closed),
            Over::Left => NextAction::Done(VisitOutcome::Left),
            Over::Removed => NextAction::Done(VisitOutcome::Removed),
            Over::Missed => NextAction::Done(VisitOutcome::Missed),
            Over::Limit => NextAction::Done(VisitOutcome::Limit),
            Over::Expired => {
                if let Some(token) = self.expiring_token.take() {
                    self.try_dead_token(&token).await;
                }
                NextAction::Done(VisitOutcome::Expired)
            }
            // The token was redeemed, but the response was lost: the order is in the list.
            Over::Bought => match self.find_order().await {
                Ok(Some(order)) => self.pay(order).await,
                Ok(None) | Err(()) => NextAction::Again { retry_after: None },
            },
        }
    }

    async fn take_turn(&mut self, token: String, line: &mut LineConnection) -> Option<NextAction> {
        let Some(claims) = claims(&token) else {
            self.record.record_unexpected("a turn without a readable token".to_owned());
            return Some(NextAction::Again { retry_after: None });
        };
        self.record_turn(&claims);
        self.moves_to(ShopperStage::Admitted);
        if self.acts_at.is_some() && !self.has_acted {
            return Some(self.act(line).await);
        }
        if self.plan.model == ShopperModel::Visit {
            let job = &self.crowd.job;
            // A shopper whose turn came before its first place uses an assumed place.
            let ordinal = self.record.ordinal.unwrap_or_else(|| u64::from(self.plan.index) + 1);
            let visit = job.profile.visit(job.seed, ordinal);
            return self.make_visit(&visit, &token, &claims, line).await;
        }
        if let Err(lost) = line.claim().await {
            return Some(self.lost(lost));
        }
        if self.plan.model == ShopperModel::LetExpire {
            self.expiring_token = Some(token);
            return None;
        }
        tokio::select! {
            step = self.check_out(&token, &claims) => Some(step),
            never = line.stay_open() => match never {},
        }
    }

    fn record_turn(&mut self, claims: &Claims) {
        let turns = &mut self.record.turns;
        if turns.len() < RECORDED_MAX && turns.iter().all(|turn| turn.admission != claims.jti) {
            turns.push(ObservedTurn {
                admission: claims.jti,
                visitor: claims.sub.clone(),
                issued_at_s: claims.iat,
                connected_at_us: self.connected_at_us,
                seen_at_us: now_us(),
            });
        }
    }

    /// Performs the shopper's planned action other than buying.
    async fn act(&mut self, line: &mut LineConnection) -> NextAction {
        match (self.plan.model, self.plan.away) {
            (ShopperModel::Leave, _) => self.leave(line).await,
            (ShopperModel::Disconnect, None) => {
                self.record.walked_out = true;
                NextAction::Done(VisitOutcome::Disconnected)
            }
            (model, away) => {
                self.record.walked_out |= model == ShopperModel::Disconnect;
                (self.has_acted, self.acts_at) = (true, None);
                NextAction::Away(away.unwrap_or_default())
            }
        }
    }

    /// Leaves, until the line has confirmed it; a lost message is sent again.
    pub(crate) async fn leave(&mut self, line: &mut LineConnection) -> NextAction {
        self.record.walked_out = true;
        if let Err(lost) = line.leave().await {
            return self.lost(lost);
        }
        if !matches!(line, LineConnection::Socket(_)) {
            return NextAction::Done(VisitOutcome::Left);
        }
        loop {
            match line.next().await {
                Ok(LineMessage::Over { outcome }) => return self.over(outcome).await,
                Ok(_) => {}
                Err(ConnectionEnd::Ended) => return NextAction::Done(VisitOutcome::Left),
                Err(lost) => return self.lost(lost),
            }
        }
    }

    /// The line accepts no more shoppers: the sale's card shows why.
    async fn ask_how_it_ended(&mut self) -> NextAction {
        let waiting_rooms = &self.crowd.job.waiting_rooms;
        let waiting_room = &waiting_rooms[self.next_call() % waiting_rooms.len()];
        let path = format!("/api/flash-sales/{}/status", self.crowd.job.sale);
        let answer = self.caller.call(waiting_room, request(waiting_room, Method::GET, &path, &[], None)).await;
        match answer.ok().and_then(|answer| answer.read::<SaleCard>()).map(|card| card.status) {
            Some(SaleStatus::SoldOut) => NextAction::Done(VisitOutcome::SoldOut),
            Some(SaleStatus::Closed) => NextAction::Done(VisitOutcome::Closed),
            Some(SaleStatus::Scheduled | SaleStatus::Open | SaleStatus::Paused) | None => {
                NextAction::Again { retry_after: None }
            }
        }
    }

    pub(crate) fn moves_to(&mut self, stage: ShopperStage) {
        self.crowd.stage_counts.moves(self.stage, stage);
        self.stage = stage;
    }

    /// Waits before a retry: full jitter, and never less than the server asked for.
    pub(crate) async fn pause(&mut self, retry_after: Option<Duration>) {
        let jitter = self.plan.dice.up_to(self.backoff.grow().min(self.pause_max));
        sleep(retry_after.unwrap_or_default() + jitter).await;
    }

    pub(crate) fn cookie_header(&self) -> Option<String> {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!cookies.is_empty()).then(|| cookies.join("; "))
    }

    /// Distributes calls over several services in turn.
    pub(crate) fn next_call(&mut self) -> usize {
        self.calls = self.calls.wrapping_add(1);
        self.calls
    }
}

/// Maximum of the next pause: doubles from a fifth of a second to five seconds.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    tries: u32,
}

impl Backoff {
    fn grow(&mut self) -> Duration {
        let longest = Duration::from_millis(200) * 2_u32.pow(self.tries.min(10));
        self.tries += 1;
        longest.min(Duration::from_secs(5))
    }
}

/// Sends every shopper of a crowd, and sends the record of each as it ends.
pub(crate) async fn rush(crowd: Arc<Crowd>, records: mpsc::Sender<ShopperRecord>) {
    let until_start = u64::try_from(crowd.job.starts_at_us - now_us()).unwrap_or(0);
    let start = Instant::now() + Duration::from_micros(until_start);
    let deadline = start + crowd.job.time_limit;
    let mut shoppers = JoinSet::new();
    for index in crowd.job.first..crowd.job.first + crowd.job.shoppers {
        let (crowd, records) = (Arc::clone(&crowd), records.clone());
        shoppers.spawn(async move {
            let plan = ShopperPlan::new(crowd.job.seed, index, &crowd.job.profile);
            sleep_until((start + plan.arrives_after).min(deadline)).await;
            let mut shopper = Shopper::new(&crowd, plan);
            let outcome = timeout_at(deadline, shopper.visit()).await.ok();
            // The receiver is gone once the rush has ended.
            let _ = records.send(shopper.leaves_with(outcome)).await;
        });
    }
    while shoppers.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..7).map(|_| backoff.grow().as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    }
}
