//! The parsers of the shared crates that face the network.

use std::{net::IpAddr, sync::LazyLock};

use axum::http::{HeaderMap, HeaderValue, header};
use fairline_admission_token::{Jwk, Jwks, SigningKey, named_holder, verify};
use fairline_events::Event;
use fairline_line::{
    change::{Change, Turn},
    invitation::{self, InvitationKey},
    ticket::{Ticket, TicketKey, cookie_name, line_of_cookie},
};
use fairline_record::{
    entry::{Entry, Head},
    verify::Verifier,
};
use fairline_sale::{SaleCard, SaleId, VisitorId};
use fairline_server::{ForwardedHeader, Origins, TrustedProxies, cookies};
use fairline_telemetry::TraceContext;
use uuid::Uuid;

use crate::FuzzTarget;

/// The targets, by name.
pub(crate) const TARGETS: &[FuzzTarget] = &[
    ("ticket", ticket),
    ("ticket-cookie-name", ticket_cookie_name),
    ("invitation", lane_invitation),
    ("admission-token", admission_token),
    ("key-set", key_set),
    ("forwarded-headers", forwarded_headers),
    ("cookie-header", cookie_header),
    ("trusted-proxies", trusted_proxies),
    ("origin", origin),
    ("trace-context", trace_context),
    ("line-change", line_change),
    ("turn", turn),
    ("event", event),
    ("record", record),
    ("sale-card", sale_card),
    ("ids", ids),
];

/// The key and the sale that the corpus is signed with and for.
static KEY: LazyLock<TicketKey> = LazyLock::new(|| "5a".repeat(32).parse().expect("64 digits"));
const SALE: SaleId = SaleId(Uuid::from_u128(1));
/// A key set that has signed none of the corpus.
static KEYS: LazyLock<Jwks> =
    LazyLock::new(|| Jwks::new(vec![Jwk::new(&SigningKey::generate().verifying_key())]).expect("a good key"));
/// A moment before the tokens of the corpus expire.
const NOW_UNIX_S: i64 = 1_800_000_000;
/// What the invitations of the corpus are verified with.
static LANE_KEY: LazyLock<String> = LazyLock::new(|| InvitationKey::new(&[7; 32]).public());

fn ticket(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let claimed = Ticket::parse_unverified(text);
    if let Ok(ticket) = KEY.verify(SALE, text) {
        assert_eq!(KEY.sign(&ticket), text, "a ticket has one encoding");
        assert_eq!(claimed, Some((ticket.ordinal, ticket.visitor)), "a genuine ticket says what it is");
    }
}

fn ticket_cookie_name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(line) = line_of_cookie(text) {
        assert_eq!(cookie_name(line), text, "a line has one cookie name");
    }
}

fn lane_invitation(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (public, code) = text.split_once('\n').unwrap_or((&LANE_KEY, text));
    let _ = invitation::verify(SALE, public, code);
}

fn admission_token(bytes: &[u8]) {
    let Ok(token) = std::str::from_utf8(bytes) else { return };
    let _ = named_holder(token);
    assert!(verify(token, &KEYS, NOW_UNIX_S).is_err(), "no input is signed with a key that has signed nothing");
}

fn key_set(bytes: &[u8]) {
    if let Ok(keys) = Jwks::from_json(bytes) {
        assert!(Jwks::from_json(keys.to_json().as_bytes()).is_ok(), "a key set survives its JSON");
    }
}

fn forwarded_headers(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for (name, line) in ["x-forwarded-for", "forwarded"].into_iter().cycle().zip(bytes.split(|byte| *byte == b'\n')) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    let stranger: IpAddr = "203.0.113.9".parse().expect("an address");
    for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
        let trusted = "10.0.0.0/8,fd00::/8".parse::<TrustedProxies>().expect("networks").by(header);
        assert_eq!(trusted.client(stranger, &headers), stranger, "headers of a peer that is not trusted mean nothing");
        let client = trusted.client("10.1.2.3".parse().expect("an address"), &headers);
        assert_eq!(client, client.to_canonical(), "an address has one form");
    }
}

/// The first line is a foreign cookie, which never hides ours.
fn cookie_header(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let ours = HeaderValue::from_static("ours=1");
    let headers: HeaderMap = [(header::COOKIE, value), (header::COOKIE, ours)].into_iter().collect();
    assert!(cookies(&headers).any(|(name, value)| (name, value) == ("ours", "1")), "a foreign cookie hides ours");
}

fn trusted_proxies(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = text.parse::<TrustedProxies>();
}

fn origin(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for (name, line) in ["origin", "host", "sec-fetch-site"].into_iter().zip(bytes.split(|byte| *byte == b'\n')) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    static ORIGINS: LazyLock<Origins> = LazyLock::new(|| {
        Origins::new(&["https://shop.example".to_owned()], &["https://partner.example".to_owned()]).expect("origins")
    });
    let _ = ORIGINS.is_foreign(&headers);
}

fn trace_context(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(context) = text.parse::<TraceContext>() {
        assert_eq!(context.to_string().parse(), Ok(context), "a context survives its text");
    }
}

fn line_change(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Change>(bytes);
}

fn turn(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(turn) = Turn::from_text(text) {
        assert_eq!(Turn::from_text(&turn.to_text()), Some(turn), "a turn survives its text");
    }
}

fn event(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = Event::from_json(text);
}

/// The lines of the input are the bodies of a record's entries: with hashes that fit, so that they
/// are replayed.
fn record(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut verifier = Verifier::new(None, Vec::new());
    let mut head = Head::default();
    for body in text.lines() {
        head = head.after(body);
        let line = Entry { head, body: body.to_owned() }.to_line();
        let taken = line.map(|line| verifier.take(&line));
        if !matches!(taken, Ok(Ok(()))) {
            let _ = verifier.take(body);
            return;
        }
    }
    let _ = verifier.finish();
}

fn sale_card(bytes: &[u8]) {
    if let Ok(card) = serde_json::from_slice::<SaleCard>(bytes) {
        let json = serde_json::to_string(&card).expect("a card is JSON");
        assert!(serde_json::from_str::<SaleCard>(&json).is_ok(), "a card survives its JSON");
        let _ = (card.theme.check(), card.theme.style_sheet());
    }
}

fn ids(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = text.parse::<SaleId>();
    if let Ok(visitor) = text.parse::<VisitorId>() {
        assert_eq!(visitor.to_string(), text, "a visitor id has one text");
    }
}
