//! A line over a WebSocket.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tracing::debug;

use crate::{
    door::Door,
    message::{LineMessage, PageMessage},
    session::Session,
};

/// The longest message of a page, in bytes.
const PAGE_BYTES_MAX: usize = 1024;
/// How often a quiet socket is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A socket that has said nothing for so long, not even a pong, is gone.
const SILENCE_MAX: Duration = Duration::from_secs(50);
/// How long a message may take to leave; a reader this slow reconnects to newer news.
const SEND_MAX: Duration = Duration::from_secs(10);
/// "Service Restart" in the registry of close codes: this node is going away, another one has the line.
const GOING_AWAY: u16 = 1012;

/// Buffers of a few kilobytes: by default each socket would take 128 kB.
pub(crate) fn small<F>(upgrade: WebSocketUpgrade<F>) -> WebSocketUpgrade<F> {
    upgrade
        .read_buffer_size(1024)
        .write_buffer_size(1024)
        .max_write_buffer_size(16 * 1024)
        .max_message_size(PAGE_BYTES_MAX)
        .max_frame_size(PAGE_BYTES_MAX)
}

enum End {
    Over,
    NotUnderstood,
    GoingAway,
    Gone,
}

/// Speaks with a page until one of the two has nothing more to say.
pub(crate) async fn attend(mut socket: WebSocket, mut session: Session, door: Door, place: OwnedSemaphorePermit) {
    let open = metrics::gauge!("line_open", "transport" => "websocket");
    open.increment(1.0);
    let end = converse(&mut socket, &mut session, &door).await;
    let (code, reason) = match end {
        End::Over => (close_code::NORMAL, "over"),
        End::NotUnderstood => (close_code::POLICY, "only claim and leave are understood"),
        End::GoingAway => (GOING_AWAY, "this node is going away; reconnect"),
        End::Gone => (close_code::NORMAL, ""),
    };
    if !matches!(end, End::Gone) {
        let close = Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }));
        let _ = timeout(Duration::from_secs(1), socket.send(close)).await;
    }
    open.decrement(1.0);
    drop((session, place));
}

async fn converse(socket: &mut WebSocket, session: &mut Session, door: &Door) -> End {
    let mut pings = interval(PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    let mut heard = Instant::now();
    loop {
        let sent = tokio::select! {
            // Everything that was to be said is said before a stop.
            biased;
            message = session.next() => send(socket, &message).await,
            received = socket.recv() => {
                heard = Instant::now();
                match received {
                    Some(Ok(Message::Text(text))) => match act(text.as_str(), session, door).await {
                        Some(end) => return end,
                        None => true,
                    },
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => true,
                    Some(Ok(Message::Binary(_))) => return End::NotUnderstood,
                    Some(Ok(Message::Close(_))) | None => false,
                    Some(Err(error)) => {
                        debug!(%error, "a socket broke");
                        return if is_too_long(&error) { End::NotUnderstood } else { End::Gone };
                    }
                }
            }
            _ = pings.tick() => {
                if heard.elapsed() > SILENCE_MAX {
                    return End::Gone;
                }
                deliver(socket, Message::Ping(Default::default())).await
            }
            () = door.shutdown.triggered() => return End::GoingAway,
        };
        if !sent {
            return End::Gone;
        }
        if session.is_over() {
            return End::Over;
        }
    }
}

async fn send(socket: &mut WebSocket, message: &LineMessage) -> bool {
    let json = serde_json::to_string(message).expect("messages are strings, numbers and dates");
    deliver(socket, Message::Text(json.into())).await
}

async fn deliver(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(SEND_MAX, socket.send(message)).await, Ok(Ok(())))
}

/// Does what the page asks; gives the end of the conversation when that is one.
async fn act(text: &str, session: &Session, door: &Door) -> Option<End> {
    let Ok(message) = serde_json::from_str(text) else { return Some(End::NotUnderstood) };
    let done = match message {
        PageMessage::Claim => door.store.claim(session.ticket()).await,
        PageMessage::Leave => door.store.leave(session.ticket()).await,
    };
    match done {
        // Who has left hears so as every other tab does: the line says it.
        Ok(()) => None,
        // The page hears nothing, and asks again when it reconnects.
        Err(error) => {
            debug!(%error, "the line did not hear a page");
            Some(End::GoingAway)
        }
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    error.to_string().contains("too long") || error.to_string().contains("too big")
}
