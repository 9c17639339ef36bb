//! One connection to the line, over any of the three transports.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use hyper::{
    Method, StatusCode,
    body::Incoming,
    header::{self, HeaderMap},
};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Message, client::IntoClientRequest as _, protocol::WebSocketConfig, protocol::frame::coding::CloseCode,
    },
};
use uuid::Uuid;

use crate::{
    http::{Client, FullResponse, RequestError, ServiceUrl, request, retry_after, set_cookies},
    messages::{LineMessage, Snapshot, message},
    plan::Transport,
};

/// A shopper closes a connection that is silent for longer, as the page does: servers send a
/// message every 20 s, and may be late by 8.
const SILENT_FOR_AT_MOST: Duration = Duration::from_secs(28);
/// A shopper gives up a poll without a response by then, as the page does.
const POLL_ANSWERED_WITHIN: Duration = Duration::from_secs(4);
const SEND_WITHIN: Duration = Duration::from_secs(5);
const OPEN_WITHIN: Duration = Duration::from_secs(15);
/// Maximum size of a message, and of an incomplete event.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Why a connection ended or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConnectionEnd {
    /// It broke, or the server asked to retry later.
    Gone { retry_after: Option<Duration> },
    /// The server closed it after the last message.
    Ended,
    /// The sale is over and accepts no more shoppers.
    SaleOver,
    /// The server sent something that its documentation does not define.
    Unexpected { what: String, retry_after: Option<Duration> },
}

impl From<RequestError> for ConnectionEnd {
    fn from(_: RequestError) -> ConnectionEnd {
        ConnectionEnd::Gone { retry_after: None }
    }
}

/// A connected line, and the cookies that were set.
pub(crate) struct EnteredLine {
    pub(crate) line: LineConnection,
    pub(crate) cookies: Vec<(String, String)>,
}

/// The line and the credentials of a shopper.
#[derive(Debug, Clone)]
pub(crate) struct EntryPoint {
    pub(crate) caller: Client,
    pub(crate) waiting_room: ServiceUrl,
    /// The sale's own line, or a lane.
    pub(crate) line: Uuid,
    /// The invitation to a lane.
    pub(crate) invitation: Option<String>,
    /// Whether a ticket whose turn is over is exchanged for a new one.
    pub(crate) rejoins: bool,
    pub(crate) cookie: Option<String>,
}

impl EntryPoint {
    fn path(&self) -> String {
        format!("/api/flash-sales/{}/line", self.line)
    }

    /// The path and query to connect to.
    fn door(&self) -> String {
        let invitation = self.invitation.as_deref().map(|code| format!("invitation={code}"));
        let query: Vec<String> = invitation.into_iter().chain(self.rejoins.then(|| "rejoin=true".to_owned())).collect();
        if query.is_empty() { self.path() } else { format!("{}?{}", self.path(), query.join("&")) }
    }

    fn headers<'a>(&'a self, accept: &'static str) -> Vec<(header::HeaderName, &'a str)> {
        let cookie = self.cookie.as_deref().map(|cookie| (header::COOKIE, cookie));
        [(header::ACCEPT, accept)].into_iter().chain(cookie).collect()
    }
}

/// One connection to the line.
pub(crate) enum LineConnection {
    Socket(Box<WebSocketStream<TcpStream>>),
    Events(EventConnection),
    Polls(PollConnection),
}

/// Server-Sent Events, read as they arrive.
pub(crate) struct EventConnection {
    entrance: EntryPoint,
    body: Incoming,
    unread: Vec<u8>,
}

/// JSON snapshots, at the interval that the server recommends.
pub(crate) struct PollConnection {
    entrance: EntryPoint,
    pending: VecDeque<Result<LineMessage, ConnectionEnd>>,
    next_poll: Instant,
}

impl LineConnection {
    /// Joins, or resumes with the cookie.
    pub(crate) async fn enter(transport: Transport, entrance: EntryPoint) -> Result<EnteredLine, ConnectionEnd> {
        let entering = async {
            match transport {
                Transport::WebSocket => LineConnection::enter_by_socket(entrance).await,
                Transport::Sse => LineConnection::enter_by_events(entrance).await,
                Transport::Poll => LineConnection::enter_by_polls(entrance).await,
            }
        };
        timeout(OPEN_WITHIN, entering).await.unwrap_or(Err(ConnectionEnd::Gone { retry_after: None }))
    }

    async fn enter_by_socket(entrance: EntryPoint) -> Result<EnteredLine, ConnectionEnd> {
        let url = format!("{}{}", entrance.waiting_room, entrance.door()).replacen("http", "ws", 1);
        let mut upgrade = url.into_client_request().map_err(|_| ConnectionEnd::Gone { retry_after: None })?;
        let plain = request(&entrance.waiting_room, Method::GET, "/", &entrance.headers("*/*"), None);
        for (name, value) in plain.headers() {
            upgrade.headers_mut().insert(name, value.clone());
        }
        let stream = entrance.caller.connect(&entrance.waiting_room).await?;
        let limits = WebSocketConfig::default()
            .read_buffer_size(1024)
            .write_buffer_size(0)
            .max_write_buffer_size(16 * 1024)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        match client_async_with_config(upgrade, stream, Some(limits)).await {
            Ok((socket, response)) => {
                Ok(EnteredLine { cookies: cookies(response.headers()), line: LineConnection::Socket(Box::new(socket)) })
            }
            Err(tungstenite::Error::Http(response)) => {
                let (parts, body) = response.into_parts();
                let body = Bytes::from(body.unwrap_or_default());
                Err(not_entered(&FullResponse { status: parts.status, headers: parts.headers, body }))
            }
            Err(_) => Err(ConnectionEnd::Gone { retry_after: None }),
        }
    }

    async fn enter_by_events(entrance: EntryPoint) -> Result<EnteredLine, ConnectionEnd> {
        let request = request(
            &entrance.waiting_room,
            Method::GET,
            &entrance.door(),
            &entrance.headers("text/event-stream"),
            None,
        );
        let response = entrance.caller.send(&entrance.waiting_room, request).await?;
        let (parts, body) = response.into_parts();
        if parts.status != StatusCode::OK {
            let body = body.collect().await.map_err(|_| ConnectionEnd::Gone { retry_after: None })?.to_bytes();
            return Err(not_entered(&FullResponse { status: parts.status, headers: parts.headers, body }));
        }
        let cookies = cookies(&parts.headers);
        let entrance = with_cookies(entrance, &cookies);
        Ok(EnteredLine {
            line: LineConnection::Events(EventConnection { entrance, body, unread: Vec::new() }),
            cookies,
        })
    }

    async fn enter_by_polls(entrance: EntryPoint) -> Result<EnteredLine, ConnectionEnd> {
        let mut polls = PollConnection { entrance, pending: VecDeque::new(), next_poll: Instant::now() };
        let cookies = polls.poll().await?;
        polls.entrance = with_cookies(polls.entrance, &cookies);
        Ok(EnteredLine { line: LineConnection::Polls(polls), cookies })
    }

    /// The next message. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<LineMessage, ConnectionEnd> {
        match self {
            LineConnection::Socket(socket) => loop {
                let gone = ConnectionEnd::Gone { retry_after: None };
                let frame = timeout(SILENT_FOR_AT_MOST, socket.next()).await.map_err(|_| gone.clone())?;
                match frame.ok_or_else(|| gone.clone())?.map_err(|_| gone)? {
                    Message::Text(text) => return parse_message(&text),
                    Message::Close(frame) => return Err(closed(frame.map(|frame| frame.code))),
                    Message::Binary(_) => return Err(unexpected("a binary frame")),
                    Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                }
            },
            LineConnection::Events(events) => events.next().await,
            LineConnection::Polls(polls) => loop {
                if let Some(message) = polls.pending.pop_front() {
                    return message;
                }
                sleep_until(polls.next_poll).await;
                timeout(POLL_ANSWERED_WITHIN, polls.poll())
                    .await
                    .map_err(|_| ConnectionEnd::Gone { retry_after: None })??;
            },
        }
    }

    /// Reports that the page has received its turn.
    pub(crate) async fn claim(&mut self) -> Result<(), ConnectionEnd> {
        match self {
            LineConnection::Socket(socket) => send(socket, r#"{"type":"claim"}"#).await,
            LineConnection::Events(EventConnection { entrance, .. })
            | LineConnection::Polls(PollConnection { entrance, .. }) => post(entrance, Method::POST, "/claim").await,
        }
    }

    /// Leaves the line.
    pub(crate) async fn leave(&mut self) -> Result<(), ConnectionEnd> {
        match self {
            LineConnection::Socket(socket) => send(socket, r#"{"type":"leave"}"#).await,
            LineConnection::Events(EventConnection { entrance, .. })
            | LineConnection::Polls(PollConnection { entrance, .. }) => post(entrance, Method::DELETE, "").await,
        }
    }

    /// Keeps the page open while its shopper is in checkout: answers pings, ignores messages.
    pub(crate) async fn stay_open(&mut self) -> std::convert::Infallible {
        while self.next().await.is_ok() {}
        std::future::pending().await
    }
}

impl EventConnection {
    async fn next(&mut self) -> Result<LineMessage, ConnectionEnd> {
        loop {
            while let Some(event) = self.take_event() {
                if let Some(data) = event_data(&event) {
                    return parse_message(&data);
                }
            }
            if self.unread.len() > MESSAGE_BYTES_MAX {
                return Err(unexpected("an event without an end"));
            }
            let gone = ConnectionEnd::Gone { retry_after: None };
            let frame = timeout(SILENT_FOR_AT_MOST, self.body.frame()).await.map_err(|_| gone.clone())?;
            let frame = frame.ok_or_else(|| gone.clone())?.map_err(|_| gone)?;
            self.unread.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        }
    }

    fn take_event(&mut self) -> Option<String> {
        let end = self.unread.windows(2).position(|pair| pair == b"\n\n")?;
        let event = self.unread.drain(..end + 2).collect::<Vec<u8>>();
        Some(String::from_utf8_lossy(&event).into_owned())
    }
}

impl PollConnection {
    async fn poll(&mut self) -> Result<Vec<(String, String)>, ConnectionEnd> {
        let EntryPoint { caller, waiting_room, .. } = &self.entrance;
        let request =
            request(waiting_room, Method::GET, &self.entrance.door(), &self.entrance.headers("application/json"), None);
        let answer = caller.call(waiting_room, request).await?;
        if answer.status != StatusCode::OK {
            return Err(not_entered(&answer));
        }
        let snapshot: Snapshot = answer.read().ok_or_else(|| unexpected("a malformed snapshot"))?;
        self.next_poll = Instant::now() + Duration::from_millis(snapshot.poll_after_ms.clamp(100, 60_000));
        self.pending.extend(snapshot.messages.iter().map(|message| parse_message(&message.to_string())));
        Ok(cookies(&answer.headers))
    }
}

/// The `data` of one event of an event stream; `None` for a comment.
fn event_data(event: &str) -> Option<String> {
    let lines: Vec<&str> = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
    let lines: Vec<&str> = lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn parse_message(text: &str) -> Result<LineMessage, ConnectionEnd> {
    message(text)
        .map_err(|error| unexpected(&format!("message {}: {error}", text.chars().take(80).collect::<String>())))
}

fn unexpected(what: &str) -> ConnectionEnd {
    ConnectionEnd::Unexpected { what: what.to_owned(), retry_after: None }
}

fn closed(code: Option<CloseCode>) -> ConnectionEnd {
    match code {
        Some(CloseCode::Normal) => ConnectionEnd::Ended,
        Some(
            CloseCode::Policy | CloseCode::Unsupported | CloseCode::Protocol | CloseCode::Invalid | CloseCode::Size,
        ) => unexpected("the server closed the socket because of our fault"),
        _ => ConnectionEnd::Gone { retry_after: None },
    }
}

fn not_entered(answer: &FullResponse) -> ConnectionEnd {
    let (slug, _) = answer.problem();
    let retry_after = retry_after(&answer.headers);
    match answer.status {
        StatusCode::CONFLICT if slug == "sale-over" => ConnectionEnd::SaleOver,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => {
            ConnectionEnd::Gone { retry_after }
        }
        status => ConnectionEnd::Unexpected { what: format!("line: {} {slug}", status.as_u16()), retry_after },
    }
}

fn cookies(headers: &HeaderMap) -> Vec<(String, String)> {
    set_cookies(headers).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn with_cookies(entrance: EntryPoint, cookies: &[(String, String)]) -> EntryPoint {
    let fresh = cookies.iter().find(|(name, _)| name.starts_with("fairline_ticket_"));
    let cookie = fresh.map(|(name, value)| format!("{name}={value}")).or(entrance.cookie);
    EntryPoint { cookie, ..entrance }
}

async fn send(socket: &mut WebSocketStream<TcpStream>, text: &'static str) -> Result<(), ConnectionEnd> {
    match timeout(SEND_WITHIN, socket.send(Message::text(text))).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(ConnectionEnd::Gone { retry_after: None }),
    }
}

async fn post(entrance: &EntryPoint, method: Method, below: &str) -> Result<(), ConnectionEnd> {
    let path = format!("{}{below}", entrance.path());
    let request = request(&entrance.waiting_room, method, &path, &entrance.headers("application/json"), None);
    let answer = entrance.caller.call(&entrance.waiting_room, request).await?;
    if answer.status.is_success() { Ok(()) } else { Err(not_entered(&answer)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_and_comments_are_not() {
        assert_eq!(event_data("event: message\ndata: {\"a\":1}\n\n").as_deref(), Some("{\"a\":1}"));
        assert_eq!(event_data("data:one\ndata: two\n\n").as_deref(), Some("one\ntwo"));
        assert_eq!(event_data(": keep-alive\n\n"), None);
    }
}
