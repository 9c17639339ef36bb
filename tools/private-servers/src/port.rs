//! Free ports.

use std::{
    net::{Ipv4Addr, TcpListener},
    ops::Range,
};

use uuid::Uuid;

use crate::ServerError;

/// Below the range that Linux uses for outgoing connections (from 32768 on): while a server
/// restarts, no client's connection attempt can take its port as a source port.
const PORTS: Range<u16> = 20_000..32_000;

/// A port of 127.0.0.1 on which no process listens.
pub(crate) fn free_port() -> Result<u16, ServerError> {
    (0..200)
        .map(|_| {
            let (random, ..) = Uuid::new_v4().as_fields();
            PORTS.start + (random % u32::from(PORTS.end - PORTS.start)) as u16
        })
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .ok_or(ServerError::NoPort { ports: PORTS })
}
