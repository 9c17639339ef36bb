//! Fuzz targets: the parsers of this service that face the network, each a function of arbitrary
//! bytes. `make fuzz` calls them.
//!
//! A target panics when its parser panics or returns a result that contradicts the parser's
//! contract.

use std::sync::LazyLock;

use axum::{
    extract::Query,
    http::{HeaderMap, HeaderValue, Uri, header},
};
use fairline_sale::SaleId;
use fairline_update_policy::PageMessage;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::{
    auth::account::ShopAccountKey,
    http::{api::EntryQuery, pages},
    line::shoppers::Browser,
    websocket::{frame, handshake},
};

/// A name, and a function that accepts arbitrary bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("websocket-frames", frames),
    ("websocket-handshake", websocket_handshake),
    ("page-message", page_message),
    ("shop-account", shop_account),
    ("line-query", query::<EntryQuery>),
    ("join-form", query::<pages::Joining>),
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
