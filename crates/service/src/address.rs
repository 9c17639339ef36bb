//! Who is calling: the address that rate limits count by.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{Extensions, HeaderMap, request::Parts},
};
use ipnet::IpNet;

/// The proxies whose `X-Forwarded-For` is believed. Empty by default: anybody can write that header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl FromStr for TrustedProxies {
    type Err = String;

    /// Reads a comma-separated list of addresses and networks: `10.0.0.0/8,127.0.0.1`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let networks = parts.map(|part| {
            part.parse::<IpNet>()
                .or_else(|_| part.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| format!("`{part}` is neither an IP address nor a network such as 10.0.0.0/8"))
        });
        Ok(Self(networks.collect::<Result<Vec<_>, _>>()?.into()))
    }
}

impl TrustedProxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client: the peer itself, or, behind proxies that we trust, the right-most address that is not one of them.
    /// What stands further left was written by the client and proves nothing.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let lines: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            if !self.trusts(client) {
                break;
            }
            match hop.trim().parse::<IpAddr>() {
                Ok(address) => client = address.to_canonical(),
                Err(_) => break,
            }
        }
        client
    }

    /// The client that a request comes from, by its parts.
    #[must_use]
    pub fn client_of(&self, parts: &Parts) -> IpAddr {
        self.client(peer_of(&parts.extensions), &parts.headers)
    }
}

/// What a rate limit counts by: an IPv4 address, or the /64 network of an IPv6 one, since one customer has all of it.
pub(crate) fn limit_key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// The address of the other end of the connection; `serve` records it.
pub(crate) fn peer_of(extensions: &Extensions) -> IpAddr {
    // Requests that never crossed a socket (a router called in a test) count as one local caller.
    extensions.get::<ConnectInfo<SocketAddr>>().map_or(Ipv6Addr::LOCALHOST.into(), |info| info.0.ip())
}

/// The address of the client, as an extractor. Needs `TrustedProxies` in the request's extensions to look behind
/// proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// What belongs to one customer: an IPv4 address, or the /64 network of an IPv6 one.
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
    use axum::http::HeaderValue;

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
    fn forwarded_addresses_are_believed_only_from_trusted_proxies() {
        assert_eq!(client("", "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("10.0.0.0/8", "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("10.0.0.0/8", "10.1.2.3", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.0/8", "10.1.2.3", &["6.6.6.6, 198.51.100.1, 10.9.9.9"]), "198.51.100.1");
        assert_eq!(client("10.0.0.0/8", "10.1.2.3", &["6.6.6.6", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.0/8", "10.1.2.3", &["nonsense"]), "10.1.2.3");
        assert_eq!(client("10.0.0.0/8", "::ffff:10.1.2.3", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn an_ipv6_customer_is_one_network() {
        let key = |text: &str| limit_key(text.parse().expect("an address"));
        assert_eq!(key("2001:db8:1:2:3::4"), key("2001:db8:1:2:ffff::1"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[test]
    fn a_wrong_network_is_a_sentence() {
        let error = "10.0.0.0/8,somewhere".parse::<TrustedProxies>().expect_err("not a network");
        assert!(error.contains("`somewhere`"), "{error}");
    }
}
