//! For tools, behind the feature `testing`. The service uses none of it.
//!
//! - `tools/simulate` runs a [`Node`] with its [`TestPage`]s: the production room, its shoppers,
//!   the sync and the update policy, without sockets, tasks or a clock.
//! - `tools/fuzz` calls [`TARGETS`]: the parsers that face the network, each as a function of
//!   arbitrary bytes that panics if its parser panics or breaks its contract.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    extract::Query,
    http::{HeaderMap, HeaderValue, Uri, header},
};
use fairline_line::{
    change::{Change, Revision, Turn},
    store::{LineError, LineStore, Snapshot},
    ticket::{Ordinal, Ticket},
};
use fairline_sale::{SaleCard, SaleId};
use fairline_update_policy::{Inputs, LineMessage, PageMessage, SentState};
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::{
    auth::account::ShopAccountKey,
    http::{api::EntryQuery, pages},
    line::{
        grace::Grace,
        room::{Room, Tab},
        room_sync::{self, RoomSync},
        shoppers::Browser,
        wake_up::WakeUp,
    },
    websocket::{frame, handshake},
};

/// The room of one sale in a node.
#[derive(Clone)]
pub struct Node {
    room: Arc<Room>,
    sync: RoomSync,
}

/// A page that is open at a node, and the messages that it received.
pub struct TestPage {
    tab: Tab,
    sent: SentState,
}

/// What a page shows after a message.
#[derive(Debug, Clone, PartialEq)]
pub enum ShownOutcome {
    /// The sale's facts, or a heartbeat: neither removes anything from the page.
    Sale,
    /// A place, as the number of shoppers ahead.
    Place(u64),
    /// A draw that has not been made.
    Draw,
    /// A turn, with its token.
    Turn(String),
    /// The last message, with its reason.
    Over(String),
    /// The line can't be reached.
    Reconnecting,
}

impl Node {
    /// Opens the room.
    #[must_use]
    pub fn open(store: LineStore, name: String, grace: Duration, snapshot: Snapshot) -> Self {
        let grace = Grace { desktop: grace, phone: grace };
        let sync = RoomSync { store, grace, node: name };
        Self { room: Arc::new(Room::new(snapshot, WakeUp::default())), sync }
    }

    /// Applies a change of the line and does the work that follows from it.
    pub async fn apply(&self, at: Revision, change: Change) {
        self.sync.apply(&self.room, at, change).await;
    }

    /// The check of the line every half second. Returns the revision to expect at the next one.
    pub async fn check(&self, expected: Revision) -> Revision {
        self.sync.check(&self.room, expected).await
    }

    /// Reports the connected shoppers and calls the roll.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn answer_roll_call(&self) -> Result<(), LineError> {
        self.sync.answer_roll_call(&self.room).await
    }

    /// Reports shoppers whose last page has closed.
    pub async fn report_gone(&self) {
        self.sync.report_gone(&self.room).await;
    }

    /// Adds a ticket that this node issued.
    pub fn joined(&self, ordinal: Ordinal) {
        self.room.joined(ordinal);
    }

    /// Whether a ticket still waits, as far as this node knows.
    #[must_use]
    pub fn waits(&self, ordinal: Ordinal) -> bool {
        self.room.waits(ordinal)
    }

    /// Opens a page with a ticket.
    #[must_use]
    pub fn page(&self, ticket: &Ticket) -> TestPage {
        TestPage { tab: Tab::open(self.room.clone(), ticket, Browser::Desktop), sent: SentState::default() }
    }

    /// Presents a ticket to the line.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn resume(&self, ticket: Ticket) -> Result<(), LineError> {
        room_sync::resume(&self.sync.store, &self.room, &[ticket]).await
    }

    /// The turn of a connected ticket.
    #[must_use]
    pub fn turn(&self, ordinal: Ordinal) -> Turn {
        self.room.shoppers.turn(ordinal)
    }

    /// The revision that the next change must follow.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.room.revision()
    }

    /// Whether the line could be reached recently.
    #[must_use]
    pub fn is_line_reachable(&self) -> bool {
        self.room.is_line_reachable()
    }

    /// The sale's current card.
    #[must_use]
    pub fn card(&self) -> Arc<SaleCard> {
        self.room.card()
    }
}

impl TestPage {
    /// Whether there is nothing to send to the page: no place, no turn and no outcome.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        let Tab { room, ordinal } = &self.tab;
        let mut places = Vec::with_capacity(1);
        let snapshot = room.snapshot([*ordinal], &mut places);
        let waits = matches!(room.shoppers.turn(*ordinal), Turn::Waiting | Turn::Lapsed);
        waits && places.pop().flatten().is_none() && snapshot.in_draw.is_none() && !snapshot.card.status.is_over()
    }

    /// The next message, if there is one. `now` is the time since the node started.
    pub fn receive(&mut self, now: Duration) -> Option<ShownOutcome> {
        let Tab { room, ordinal } = &self.tab;
        let mut places = Vec::with_capacity(1);
        let snapshot = room.snapshot([*ordinal], &mut places);
        let message = self.sent.next(&Inputs {
            ordinal: *ordinal,
            card: &snapshot.card,
            news: snapshot.news,
            line_reachable: snapshot.line_reachable,
            turn: &room.shoppers.turn(*ordinal),
            place: places.pop().flatten(),
            in_draw: snapshot.in_draw,
            forecast: snapshot.forecast,
            now,
        })?;
        Some(match message {
            LineMessage::Sale { .. } | LineMessage::Heartbeat { .. } => ShownOutcome::Sale,
            LineMessage::Place { place, .. } => ShownOutcome::Place(place),
            LineMessage::Draw { .. } => ShownOutcome::Draw,
            LineMessage::Turn { token, .. } => ShownOutcome::Turn(token),
            LineMessage::Over { outcome } => ShownOutcome::Over(format!("{outcome:?}")),
            LineMessage::Reconnecting { .. } => ShownOutcome::Reconnecting,
        })
    }
}

/// A name, and a function that accepts arbitrary bytes.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[FuzzTarget] = &[
    ("websocket-frames", frames),
    ("websocket-handshake", websocket_handshake),
    ("page-message", page_message),
    ("shop-account", shop_account),
    ("line-query", query::<EntryQuery>),
    ("join-form", query::<pages::JoinForm>),
    ("line-page-query", query::<pages::Loading>),
    ("user-agent", user_agent),
];

/// A moment before the accounts of the corpus expire.
const NOW_UNIX_S: i64 = 1_800_000_000;

fn frames(bytes: &[u8]) {
    let mut rest = bytes.to_vec();
    loop {
        let length = match frame::read(&mut rest) {
            Ok(Some((_, length))) => length,
            Ok(None) => {
                assert!(rest.len() < frame::PARTIAL_BYTES_MAX, "an incomplete frame has a bound");
                return;
            }
            Err(_) => return,
        };
        assert!((1..=rest.len()).contains(&length), "a frame is some of what has arrived");
        rest.drain(..length);
    }
}

fn websocket_handshake(bytes: &[u8]) {
    let names = [header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_VERSION, header::SEC_WEBSOCKET_KEY];
    let values = bytes.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    let headers: HeaderMap = names.into_iter().cycle().zip(values).collect();
    let _ = handshake::acceptance(&headers);
}

fn page_message(bytes: &[u8]) {
    let _ = serde_json::from_slice::<PageMessage>(bytes);
}

fn shop_account(bytes: &[u8]) {
    static KEY: LazyLock<ShopAccountKey> =
        LazyLock::new(|| ShopAccountKey::new("the account key of the corpus, 40 bytes").expect("long enough"));
    let Ok(token) = std::str::from_utf8(bytes) else { return };
    let sale: SaleId = "00000000-0000-0000-0000-000000000001".parse().expect("a UUID");
    let now = OffsetDateTime::from_unix_timestamp(NOW_UNIX_S).expect("a moment");
    let _ = KEY.digest(sale, token, now);
}

fn query<T: DeserializeOwned>(bytes: &[u8]) {
    let Ok(uri) = Uri::try_from([b"/?", bytes].concat()) else { return };
    let _ = Query::<T>::try_from_uri(&uri);
}

fn user_agent(bytes: &[u8]) {
    let values = bytes.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    let names = ["user-agent", "sec-ch-ua-mobile"].map(header::HeaderName::from_static);
    let headers: HeaderMap = names.into_iter().cycle().zip(values).collect();
    let _ = Browser::of(&headers);
}
