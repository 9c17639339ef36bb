//! What a test receives: responses, sockets and event streams.

use std::{collections::VecDeque, sync::LazyLock};

use axum::http::{HeaderMap, HeaderName, StatusCode};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::{
    io::{BufReader, Lines},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, protocol::frame::coding::CloseCode},
};

use super::PATIENCE;

static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema = include_str!("../../../../docs/line-protocol.schema.json");
    let schema = serde_json::from_str(schema).expect("the schema is JSON");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("the schema is a schema")
});

/// Validates a message against the schema of the protocol.
pub fn check(message: &Value) {
    let errors: Vec<_> = SCHEMA.iter_errors(message).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{message}: {errors:?}");
}

/// A response that is not a stream.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Answer {
    pub(super) fn new(status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Self {
        let body_json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Self { status, headers, text: String::from_utf8_lossy(&body).into_owned(), body: body_json }
    }

    pub(super) fn read(bytes: &[u8]) -> Self {
        let split = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an HTTP response");
        let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let name: HeaderName = name.parse().expect("a header");
            headers.append(name, value.parse().expect("a header"));
        }
        Self::new(status.parse().expect("a status"), headers, bytes[split + 4..].to_vec())
    }

    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
    }

    pub fn slug(&self) -> &str {
        self.body["type"].as_str().and_then(|kind| kind.rsplit('/').next()).unwrap_or_default()
    }

    /// The cookie that it sets, as a browser would send it back.
    pub fn cookie(&self) -> Option<String> {
        self.header("set-cookie").split(';').next().filter(|pair| pair.contains('=')).map(str::to_owned)
    }
}

/// A shopper's socket. Every received message is validated against the schema.
#[derive(Debug)]
pub struct Shopper {
    pub(super) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub cookie: String,
    pub(super) received: VecDeque<String>,
}

impl Shopper {
    /// The next message of a kind; others are skipped.
    pub async fn receive(&mut self, kind: &str) -> Value {
        self.receive_until(kind, |_| true).await
    }

    /// The next message of a kind that satisfies the condition; others are skipped.
    pub async fn receive_until(&mut self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let receiving = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        self.received.push_back(text.to_string());
                        let message: Value = serde_json::from_str(&text).expect("JSON");
                        check(&message);
                        if message["type"] == kind && wanted(&message) {
                            return message;
                        }
                    }
                    Some(Ok(_)) => {}
                    ended => panic!("the socket ended ({ended:?}) before `{kind}`; received {:?}", self.received),
                }
            }
        };
        let received = timeout(PATIENCE, receiving).await;
        received.unwrap_or_else(|_| panic!("no `{kind}` in time; received {:?}", self.received))
    }

    pub async fn send(&mut self, message: Value) {
        self.send_text(message.to_string()).await;
    }

    pub async fn send_text(&mut self, text: String) {
        self.socket.send(Message::text(text)).await.expect("sent");
    }

    /// Waits until the other side closes, and returns its code.
    pub async fn closed(&mut self) -> Option<CloseCode> {
        let closing = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        };
        timeout(PATIENCE, closing).await.expect("closed in time")
    }
}

/// A stream of events.
pub struct Events {
    pub(super) lines: Lines<BufReader<TcpStream>>,
}

impl Events {
    /// The next message of a kind; others are skipped.
    pub async fn receive(&mut self, kind: &str) -> Value {
        let receiving = async {
            while let Some(line) = self.lines.next_line().await.expect("a line") {
                let Some(data) = line.strip_prefix("data: ") else { continue };
                let message: Value = serde_json::from_str(data).expect("JSON");
                check(&message);
                if message["type"] == kind {
                    return message;
                }
            }
            panic!("the stream ended before `{kind}`");
        };
        timeout(PATIENCE, receiving).await.unwrap_or_else(|_| panic!("no `{kind}` in time"))
    }

    /// Waits until the stream ends.
    pub async fn ended(&mut self) {
        let ending = async { while matches!(self.lines.next_line().await, Ok(Some(_))) {} };
        timeout(PATIENCE, ending).await.expect("ended in time");
    }
}
