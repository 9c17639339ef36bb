//! WebSockets: frames, slow readers, crowds, and shutdown.

use std::{collections::BTreeSet, time::Duration};

use axum::http::StatusCode;
use fairline_sale::Status;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::{PATIENCE, TestWaitingRoom};

const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const CLOSE: u8 = 0x88;

/// A frame as a browser sends it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x5a, 0x01, 0xff, 0x80];
    let mut frame = vec![first];
    match u16::try_from(payload.len()).expect("a short payload") {
        length @ 0..=125 => frame.push(0x80 | length.to_be_bytes()[1]),
        length => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// A socket without a library in between.
struct Raw {
    stream: TcpStream,
    arrived: Vec<u8>,
}

impl Raw {
    /// Sends the handshake and `early` in one write.
    async fn open(room: &TestWaitingRoom, early: &[u8]) -> Self {
        Self::open_on(TcpSocket::new_v4().expect("a socket"), room, early).await
    }

    async fn open_on(socket: TcpSocket, room: &TestWaitingRoom, early: &[u8]) -> Self {
        let stream = socket.connect(room.address).await.expect("a connection");
        let mut raw = Self { stream, arrived: Vec::new() };
        let handshake = format!(
            "GET /api/flash-sales/{}/line HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            room.card.id, room.address
        );
        raw.send(&[handshake.as_bytes(), early].concat()).await;
        let head = loop {
            if let Some(end) = raw.arrived.windows(4).position(|end| end == b"\r\n\r\n") {
                break raw.arrived.drain(..end + 4).collect::<Vec<_>>();
            }
            assert!(raw.more().await, "disconnected during the handshake");
        };
        let head = String::from_utf8(head).expect("text");
        assert!(head.starts_with("HTTP/1.1 101") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        raw
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("sent");
    }

    /// Waits for more bytes; `false` when there will be none.
    async fn more(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.arrived)).await.expect("in time");
        read.is_ok_and(|length| length > 0)
    }

    /// The next frame: its first byte and its payload. `None` when the other side has disconnected.
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let header = match self.arrived.get(1) {
                Some(0..=125) => Some((2, usize::from(self.arrived[1]))),
                Some(126) if self.arrived.len() >= 4 => {
                    Some((4, usize::from(u16::from_be_bytes([self.arrived[2], self.arrived[3]]))))
                }
                _ => None,
            };
            if let Some((start, length)) = header.filter(|(start, length)| self.arrived.len() >= start + length) {
                let frame: Vec<u8> = self.arrived.drain(..start + length).collect();
                return Some((frame[0], frame[start..].to_vec()));
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The next frame that is no message.
    async fn control(&mut self) -> (u8, Vec<u8>) {
        loop {
            let frame = self.frame().await.expect("still connected");
            if frame.0 != TEXT {
                return frame;
            }
        }
    }

    /// The code with which the other side closes. Then it disconnects.
    async fn closed(&mut self) -> CloseCode {
        let (first, payload) = self.control().await;
        assert_eq!(first, CLOSE);
        let code = u16::from_be_bytes([payload[0], payload[1]]);
        // It may be gone already, if we closed first.
        let _ = self.stream.write_all(&masked(CLOSE, &payload[..2])).await;
        assert!(self.frame().await.is_none(), "close is the last frame");
        code.into()
    }
}

#[tokio::test]
async fn frames_of_a_page_may_arrive_in_any_pieces() {
    let mut room = TestWaitingRoom::open().await;
    let claim = masked(TEXT, br#"{"type":"claim"}"#);
    // With the handshake, so that hyper reads it; the second half later, byte by byte.
    let mut page = Raw::open(&room, &[masked(PING, b"early"), claim[..9].to_vec()].concat()).await;
    assert_eq!(page.control().await, (PONG, b"early".to_vec()));
    room.admit(1).await;
    for byte in &claim[9..] {
        page.send(&[*byte]).await;
    }
    room.wait_for_claim(1).await;
    page.send(&[masked(PING, b"one"), masked(PONG, b""), masked(PING, b"two")].concat()).await;
    assert_eq!(page.control().await, (PONG, b"one".to_vec()));
    assert_eq!(page.control().await, (PONG, b"two".to_vec()));
    page.send(&masked(CLOSE, &1000_u16.to_be_bytes())).await;
    assert_eq!(page.closed().await, CloseCode::Normal);
}

#[tokio::test]
async fn invalid_frames_close_the_socket() {
    let room = TestWaitingRoom::open().await;
    let text = br#"{"type":"claim"}"#;
    for (what, frame, code) in [
        ("unmasked", [&[TEXT, 16], text.as_slice()].concat(), CloseCode::Protocol),
        ("a reserved bit", masked(TEXT | 0x40, text), CloseCode::Protocol),
        ("binary", masked(0x82, text), CloseCode::Policy),
        ("a fragment", masked(0x01, text), CloseCode::Policy),
        ("too long, as its header says", masked(TEXT, &[b' '; 1025])[..8].to_vec(), CloseCode::Policy),
        ("no message", masked(TEXT, b"{}"), CloseCode::Policy),
        ("a flood", masked(TEXT, text).repeat(500), CloseCode::Policy),
    ] {
        let mut page = Raw::open(&room, b"").await;
        page.send(&frame).await;
        assert_eq!(page.closed().await, code, "{what}");
    }
}

#[tokio::test]
async fn a_slow_reader_receives_the_newest_message_and_skips_older_ones() {
    let mut room = TestWaitingRoom::open().await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("set");
    let mut slow = Raw::open_on(socket, &room, b"").await;
    let mut quick = room.join().await;
    for number in 0..100 {
        let message = format!("{number} {}", "and so on ".repeat(150));
        room.card.message = Some(message.clone());
        room.publish(&[]).await;
        quick.receive_until("sale", |sale| sale["sale"]["message"] == json!(message)).await;
    }
    let mut received = Vec::new();
    while received.last() != Some(&99) {
        let (first, payload) = slow.frame().await.expect("still connected");
        let message: Value = serde_json::from_slice(&payload).expect("JSON");
        if let (TEXT, Some(message)) = (first, message["sale"]["message"].as_str()) {
            received.push(message.split(' ').next().and_then(|number| number.parse::<u32>().ok()).expect("a number"));
        }
    }
    assert!(received.len() < 50 && received.is_sorted(), "{received:?}");
}

#[tokio::test]
async fn a_crowd_receives_the_end_of_a_sale_and_every_socket_is_closed() {
    let mut room = TestWaitingRoom::open_with(|settings| settings.join_burst = 1000).await;
    let mut crowd = join_all((0..400).map(|_| room.join())).await;
    let ordinals = join_all(crowd.iter_mut().map(|shopper| shopper.receive("place"))).await;
    let ordinals: BTreeSet<_> = ordinals.iter().map(|place| place["ordinal"].as_u64()).collect();
    assert_eq!(ordinals.len(), 400);
    room.card.status = Status::SoldOut;
    room.publish(&[]).await;
    let ended = join_all(crowd.iter_mut().map(async |shopper| {
        let outcome = shopper.receive("over").await["outcome"].clone();
        (outcome, shopper.closed().await)
    }));
    assert!(ended.await.into_iter().all(|end| end == (json!("sold_out"), Some(CloseCode::Normal))));
}

#[tokio::test]
async fn a_node_that_stops_spreads_the_closing_of_its_sockets() {
    let room = TestWaitingRoom::open_with(|settings| settings.drain_s = 2).await;
    let mut crowd = join_all((0..40).map(|_| room.join())).await;
    let mut events = room.events("").await;
    events.receive("place").await;
    room.shutdown.trigger();
    let started = Instant::now();
    let mut gone: Vec<Duration> = join_all(crowd.iter_mut().map(async |shopper| {
        assert_eq!(shopper.closed().await, Some(CloseCode::Restart));
        started.elapsed()
    }))
    .await;
    events.ended().await;
    gone.sort_unstable();
    // A busy machine closes some of them late, and none early.
    assert!(gone[10] >= Duration::from_millis(350) && gone[39] >= Duration::from_millis(1800), "{gone:?}");
    assert!(room.shutdown.finished(Duration::from_secs(10)).await);
    assert_eq!(room.next().await.len(), 41, "every place is kept");
}

#[tokio::test]
async fn a_full_node_accepts_again_once_sockets_are_free() {
    let room = TestWaitingRoom::open_with(|settings| (settings.sockets_max, settings.join_burst) = (5, 1000)).await;
    let inside = join_all((0..5).map(|_| room.join())).await;
    let rejected = join_all((0..40).map(|_| room.connect("", &[]))).await;
    let mut pauses = BTreeSet::new();
    for rejected in rejected {
        let rejected = rejected.expect_err("full");
        assert_eq!(
            (rejected.status, rejected.header("connection")),
            (StatusCode::SERVICE_UNAVAILABLE, "close".to_owned())
        );
        pauses.insert(rejected.header("retry-after").parse::<u64>().expect("seconds"));
    }
    assert!(pauses.len() > 2 && pauses.iter().all(|pause| (2..=10).contains(pause)), "{pauses:?}");
    assert_eq!(room.next().await.len(), 5, "a rejected shopper has no place");
    drop(inside);
    for _ in 0..5 {
        room.until("a socket to be free", async || room.connect("", &[]).await.is_ok()).await;
    }
}

#[tokio::test]
async fn a_phone_keeps_its_place_for_longer() {
    let room = TestWaitingRoom::open_with(|settings| (settings.grace_s, settings.grace_mobile_s) = (1, 300)).await;
    let desk = room.join().await;
    let phone = room.connect("", &[("sec-ch-ua-mobile", "?1")]).await.expect("accepted");
    let other_phone =
        room.connect("", &[("user-agent", "Mozilla/5.0 (iPhone) Mobile/15E148")]).await.expect("accepted");
    drop((desk, phone, other_phone));
    room.depart(1).await;
    assert_eq!(room.next().await, [2, 3]);
}

#[tokio::test]
async fn open_lines_are_counted() {
    let room = TestWaitingRoom::open().await;
    let shopper = room.join().await;
    let counted = async |open: &str| {
        let metrics = room.get("/metrics", &[]).await.text;
        let line = metrics.lines().find(|line| line.starts_with(r#"line_connections{transport="websocket"}"#));
        line.is_some_and(|line| line.ends_with(open))
            && metrics.contains(r#"line_bytes_sent_total{transport="websocket"}"#)
    };
    room.until("the socket to be counted", async || counted(" 1").await).await;
    drop(shopper);
    room.until("no socket to be counted", async || counted(" 0").await).await;
}
