//! The line of one test, and what its controller does.

use std::time::Duration;

use fairline_line::{
    change::{LiveTurn, Revision, Turn},
    places::{LineView, Place},
    store::{
        Claim, Inbox, JoinRequest, LineError, LineEvent, LineStore, NodeReport, Publication, Upcoming, UpcomingQuery,
    },
    ticket::{Ordinal, Ticket},
};
use fairline_private_servers::testing;
use fairline_record::{Hash, draw::Draw};
use fairline_sale::{SaleCard, SaleId, VisitorId};
use time::OffsetDateTime;

pub const NO_GRACE: Duration = Duration::ZERO;
pub const LONG_GRACE: Duration = Duration::from_secs(600);
/// How long a test waits for a condition.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn visitor(n: u64) -> VisitorId {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    VisitorId(id)
}

pub fn joining(n: u64) -> JoinRequest {
    JoinRequest { visitor: visitor(n), account: None }
}

/// The line of one test, with the publications that a controller would make.
pub struct Line {
    pub store: LineStore,
    pub card: SaleCard,
    pub publication: i64,
    pub epoch: u32,
    /// The Redis process in which a new epoch begins.
    pub begins: Option<String>,
    pub cursor: Ordinal,
    pub granted: Ordinal,
    pub recall_window: Duration,
    pub joined: u64,
    /// Once it is made.
    pub draw: Option<Draw>,
    /// What the record has.
    pub recorded: Revision,
}

impl Line {
    pub async fn unpublished() -> Self {
        Self::unpublished_at(&testing::redis_url()).await
    }

    pub async fn unpublished_at(redis_url: &str) -> Self {
        let store = LineStore::connect(redis_url).await.expect("a Redis");
        let id = SaleId(uuid::Uuid::new_v4());
        let card = SaleCard { id, slug: format!("sale-{}", id.0.simple()), ..SaleCard::example() };
        Self {
            store,
            card,
            publication: 0,
            epoch: 0,
            begins: None,
            cursor: 0,
            granted: 0,
            recall_window: LONG_GRACE,
            joined: 0,
            draw: None,
            recorded: Revision::default(),
        }
    }

    pub async fn published() -> Self {
        let mut line = Self::unpublished().await;
        line.begin().await;
        line
    }

    /// Begins a new epoch, as the controller does when Redis does not have the line.
    pub async fn begin(&mut self) {
        (self.epoch, self.begins) = (self.epoch + 1, Some(self.home().await));
        (self.cursor, self.granted) = (self.granted, self.granted + 1000);
        self.publish(&[], &[]).await;
        self.begins = None;
    }

    /// Begins a new epoch of a line before its draw: the cursor passes no ticket.
    pub async fn begin_before_draw(&mut self) {
        let above = self.granted;
        (self.epoch, self.granted) = (self.epoch + 1, above + 1000);
        self.publication += 1;
        let home = self.home().await;
        let publication = Publication {
            number: self.publication,
            epoch: self.epoch,
            begins: Some(&home),
            above,
            cursor: 0,
            drawn: 0,
            recorded: self.recorded,
            granted: self.granted,
            recall_window: self.recall_window,
            card: &self.card,
            handled_claims: &[],
            turns: &[],
        };
        self.store.publish(&publication).await.expect("published");
    }

    pub async fn home(&self) -> String {
        self.store.home(self.card.id).await.expect("read").run_id
    }

    pub async fn publish(&mut self, handled: &[(Ordinal, Claim)], turns: &[(Ordinal, Turn)]) {
        self.publication += 1;
        self.publish_as(self.publication, handled, turns).await.expect("published");
    }

    pub async fn publish_as(
        &self,
        number: i64,
        handled: &[(Ordinal, Claim)],
        turns: &[(Ordinal, Turn)],
    ) -> Result<(), LineError> {
        let publication = Publication {
            number,
            epoch: self.epoch,
            begins: self.begins.as_deref(),
            above: self.cursor,
            cursor: self.cursor,
            drawn: self.draw.as_ref().map_or(0, Draw::pool),
            recorded: self.recorded,
            granted: self.granted,
            recall_window: self.recall_window,
            card: &self.card,
            handled_claims: handled,
            turns,
        };
        self.store.publish(&publication).await
    }

    /// Makes a draw of all tickets, as the controller does.
    pub async fn make_draw(&mut self, key: [u8; 32]) {
        let pool = self.store.close_pool(self.card.id).await.expect("closed");
        self.store_draw_and_publish(Draw::new(Hash(key), pool).expect("small")).await;
    }

    pub async fn store_draw_and_publish(&mut self, draw: Draw) {
        self.store.store_draw(self.card.id, self.epoch, &draw).await.expect("stored");
        self.draw = Some(draw);
        self.publish(&[], &[]).await;
    }

    pub fn number_of(&self, ordinal: Ordinal) -> u64 {
        self.draw.as_ref().map_or(ordinal, |draw| draw.number_of(ordinal))
    }

    /// Joins `count` shoppers; returns the first ordinal.
    pub async fn join(&mut self, count: u64) -> Ordinal {
        let joining: Vec<_> = (self.joined..self.joined + count).map(joining).collect();
        let batch = self.joined.to_be_bytes();
        self.joined += count;
        self.store.join(self.card.id, batch, &joining).await.expect("joined")[0].ordinal
    }

    /// The ticket of an ordinal, in a line whose ordinals began at 1 without a gap.
    pub fn ticket(&self, ordinal: Ordinal) -> Ticket {
        Ticket { sale: self.card.id, epoch: 1, ordinal, visitor: visitor(ordinal - 1) }
    }

    /// A node reports its connected shoppers.
    pub async fn report(&self, name: &str, up_for: Duration, connected: Vec<u8>) {
        let node = NodeReport { name, up_for, connected };
        self.store.present(self.card.id, self.epoch, node).await.expect("reported");
    }

    pub async fn resume(&self, ordinal: Ordinal) -> Turn {
        self.resume_all(&[ordinal]).await.remove(0)
    }

    pub async fn resume_all(&self, ordinals: &[Ordinal]) -> Vec<Turn> {
        let tickets: Vec<_> = ordinals.iter().map(|&ordinal| self.ticket(ordinal)).collect();
        self.store.resume(self.card.id, &tickets).await.expect("resumed").turns
    }

    pub async fn depart(&self, ordinals: &[Ordinal]) {
        self.store.absent(self.card.id, NO_GRACE, true, ordinals).await.expect("a response");
        self.store.sweep(self.card.id, 1000).await.expect("swept");
    }

    pub async fn upcoming(&self, cursor: u64, wanted: u64, reach: u64) -> Upcoming {
        let query = UpcomingQuery { cursor, wanted, reach, record: None };
        self.store.upcoming(self.card.id, &query).await.expect("read")
    }

    pub async fn next(&self, wanted: u64) -> Vec<Ordinal> {
        let upcoming = self.upcoming(self.cursor, wanted, 10_000).await;
        upcoming.tickets.into_iter().map(|(ordinal, _)| ordinal).collect()
    }

    /// Admits the next `count`.
    pub async fn admit(&mut self, count: u64) -> Vec<Ordinal> {
        let upcoming = self.upcoming(self.cursor, count, 10_000).await;
        self.publish_admissions(&upcoming).await;
        upcoming.tickets.into_iter().map(|(ordinal, _)| ordinal).collect()
    }

    /// Publishes the turns of these tickets.
    pub async fn publish_admissions(&mut self, upcoming: &Upcoming) {
        self.cursor = upcoming.cursor;
        let turns: Vec<_> = upcoming.tickets.iter().map(|&(ordinal, _)| (ordinal, live(ordinal))).collect();
        self.publish(&upcoming.claims, &turns).await;
    }

    pub async fn snapshot(&self) -> LineView {
        self.store.snapshot(self.card.id).await.expect("a snapshot").view
    }
}

pub fn place(ahead: u64, recalled: u64, behind: u64) -> Option<Place> {
    Some(Place { ahead, recalled, behind })
}

pub fn live(ordinal: Ordinal) -> Turn {
    let at = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(ordinal);
    Turn::Now(LiveTurn { token: format!("token.of.{ordinal}"), quantity: 1, claim_by: at, expires_at: at })
}

/// The next change of a line.
pub async fn next_event(inbox: &mut Inbox) -> LineEvent {
    tokio::time::timeout(PATIENCE, inbox.next()).await.expect("an event arrives")
}
