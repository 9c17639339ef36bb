//! The WebSocket handshake (RFC 6455, version 13), and the transfer of its socket from hyper and
//! tokio.

use std::net::TcpStream;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The headers that accept a handshake, or `None` when it is not supported.
pub(crate) fn acceptance(headers: &HeaderMap) -> Option<[(HeaderName, HeaderValue); 3]> {
    let lists = |name: HeaderName, token: &str| {
        let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    let is_supported = lists(header::CONNECTION, "upgrade")
        && lists(header::UPGRADE, "websocket")
        && lists(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| is_supported)?;
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()?;
    Some([
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ])
}

/// Detaches an upgraded connection from the runtime. Returns its socket and the bytes received so
/// far.
pub(crate) fn into_socket(upgraded: Upgraded) -> std::io::Result<(TcpStream, Vec<u8>)> {
    let parts = upgraded
        .downcast::<TokioIo<tokio::net::TcpStream>>()
        .map_err(|_| std::io::Error::other("the connection is not a plain TCP socket"))?;
    Ok((parts.io.into_inner().into_std()?, parts.read_buf.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(changed: &str, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        match value {
            "" => headers.remove(changed),
            _ => headers.insert(changed.parse::<HeaderName>().expect("a name"), HeaderValue::from_static(value)),
        };
        headers
    }

    #[test]
    fn a_handshake_equals_the_example_of_the_rfc() {
        let accepted = acceptance(&headers("origin", "https://shop.example")).expect("accepted");
        assert_eq!(accepted[2].1, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn invalid_handshakes_are_rejected() {
        for (name, value) in [
            ("connection", "keep-alive"),
            ("connection", ""),
            ("upgrade", "h2c"),
            ("sec-websocket-version", "8"),
            ("sec-websocket-version", ""),
            ("sec-websocket-key", ""),
        ] {
            assert!(acceptance(&headers(name, value)).is_none(), "{name}: {value}");
        }
    }
}
