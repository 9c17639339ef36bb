//! Client addresses, by which rate limits count requests.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{Extensions, HeaderMap, request::Parts},
};
use ipnet::IpNet;
use tracing::warn;

use crate::forwarded::ForwardedHeader;

/// The proxies that are trusted to report the client's address, and the header in which they do.
/// Empty by default: any client can send such a header.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Arc<[IpNet]>,
    header: ForwardedHeader,
    /// Whether a warning about a proxy that sets the other header was logged.
    warned: Arc<AtomicBool>,
}

impl FromStr for TrustedProxies {
    type Err = String;

    /// Parses a comma-separated list of addresses and networks: `10.0.0.0/8,127.0.0.1`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let networks = parts.map(|part| {
            part.parse::<IpNet>()
                .or_else(|_| part.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| format!("`{part}` is neither an IP address nor a network such as 10.0.0.0/8"))
        });
        Ok(Self { networks: networks.collect::<Result<Vec<_>, _>>()?.into(), ..Self::default() })
    }
}

impl TrustedProxies {
    /// The same proxies, trusted only through this header.
    #[must_use]
    pub fn by(self, header: ForwardedHeader) -> Self {
        Self { header, ..self }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client's address: the peer itself or, behind trusted proxies, the right-most address
    /// that is not a trusted proxy. Entries further left were written by the client and prove
    /// nothing.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let hops = self.header.hops(headers);
        if hops.is_empty() {
            self.warn_of_the_other_header(client, headers);
        }
        for hop in hops {
            match hop {
                Some(address) if self.trusts(client) => client = address,
                _ => break,
            }
        }
        client
    }

    /// Warns once if a proxy sets the other header: all its clients would share one limit.
    fn warn_of_the_other_header(&self, proxy: IpAddr, headers: &HeaderMap) {
        let other = match self.header {
            ForwardedHeader::XForwardedFor => ForwardedHeader::Forwarded,
            ForwardedHeader::Forwarded => ForwardedHeader::XForwardedFor,
        };
        if headers.contains_key(other.name()) && !self.warned.swap(true, Ordering::Relaxed) {
            warn!(
                %proxy,
                expected = self.header.name(),
                found = other.name(),
                "a trusted proxy does not name its clients in the expected header: see FAIRLINE_FORWARDED_HEADER"
            );
        }
    }

    /// The client's address, from the parts of a request.
    #[must_use]
    pub fn client_of(&self, parts: &Parts) -> IpAddr {
        self.client(peer_of(&parts.extensions), &parts.headers)
    }
}

/// The key that rate limits count by: an IPv4 address, or the /64 network of an IPv6 address, which
/// one customer owns.
pub(crate) fn limit_key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// The peer's address, which `serve` records.
pub(crate) fn peer_of(extensions: &Extensions) -> IpAddr {
    // Requests without a socket (a router called in a test) count as one local client.
    extensions.get::<ConnectInfo<SocketAddr>>().map_or(Ipv6Addr::LOCALHOST.into(), |info| info.0.ip())
}

/// Extracts the client's address. Requires `TrustedProxies` in the request's extensions to look
/// behind proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The address range of one customer: an IPv4 address, or the /64 network of an IPv6 address.
    #[must_use]
    pub fn network(self) -> IpAddr {
        limit_key(self.0)
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let proxies = parts.extensions.get::<TrustedProxies>().cloned().unwrap_or_default();
        Ok(Self(proxies.client_of(parts)))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn client(trusted: &str, peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).expect("a header"));
        }
        let proxies: TrustedProxies = trusted.parse().expect("networks");
        proxies.client(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn forwarded_addresses_count_only_from_trusted_proxies() {
        assert_eq!(client("", "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("10.0.0.0/8", "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("10.0.0.0/8", "10.1.2.3", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.0/8", "10.1.2.3", &["6.6.6.6, 198.51.100.1, 10.9.9.9"]), "198.51.100.1");
        assert_eq!(client("10.0.0.0/8", "10.1.2.3", &["6.6.6.6", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.0/8", "10.1.2.3", &["nonsense"]), "10.1.2.3");
        assert_eq!(client("10.0.0.0/8", "::ffff:10.1.2.3", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.0/8", "10.1.2.3", &["6.6.6.6, unknown"]), "10.1.2.3");
        assert_eq!(client("10.0.0.0/8", "10.1.2.3", &["198.51.100.1:4711,, 10.9.9.9:80"]), "198.51.100.1");
    }

    #[test]
    fn only_the_header_that_the_proxies_set_is_read() {
        let headers: HeaderMap = [("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=198.51.100.2")]
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let proxies: TrustedProxies = "10.0.0.0/8".parse().expect("a network");
        let peer = "10.1.2.3".parse().expect("an address");
        for (header, expected) in
            [(ForwardedHeader::XForwardedFor, "198.51.100.1"), (ForwardedHeader::Forwarded, "198.51.100.2")]
        {
            assert_eq!(proxies.clone().by(header).client(peer, &headers).to_string(), expected);
        }
    }

    #[test]
    fn an_ipv6_customer_is_one_network() {
        let key = |text: &str| limit_key(text.parse().expect("an address"));
        assert_eq!(key("2001:db8:1:2:3::4"), key("2001:db8:1:2:ffff::1"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[test]
    fn an_invalid_network_is_explained() {
        let error = "10.0.0.0/8,somewhere".parse::<TrustedProxies>().expect_err("not a network");
        assert!(error.contains("`somewhere`"), "{error}");
    }
}
