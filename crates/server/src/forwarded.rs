//! Parses the hops that proxies report: `X-Forwarded-For`, as used in practice, and `Forwarded`
//! (RFC 7239). Pure.
//!
//! Both list hops from the client to the nearest proxy. A hop without an address (`unknown`,
//! `_hidden`, malformed) is `None`; hops further left can't be trusted then.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::HeaderMap;

/// The header that the trusted proxies set. Only this one is read: a client may send the other, and
/// no proxy would overwrite it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`: addresses, with or without ports.
    #[default]
    XForwardedFor,
    /// `Forwarded`, of RFC 7239.
    Forwarded,
}

impl ForwardedHeader {
    /// The header's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }

    /// The hops of a request, the nearest first.
    pub(crate) fn hops(self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let lines = headers.get_all(self.name()).into_iter().map(|line| line.to_str().unwrap_or("unknown"));
        let mut hops: Vec<Option<IpAddr>> = lines
            .flat_map(|line| match self {
                Self::XForwardedFor => x_forwarded_for(line),
                // One misplaced quote changes the meaning of all that follows it.
                Self::Forwarded => forwarded(line).unwrap_or_else(|| vec![None]),
            })
            .collect();
        hops.reverse();
        hops
    }
}

fn x_forwarded_for(line: &str) -> Vec<Option<IpAddr>> {
    // Empty list elements are ignored (RFC 9110, section 5.6.1).
    line.split(',').map(str::trim).filter(|part| !part.is_empty()).map(address).collect()
}

/// Parses an address as proxies write it: bare, in brackets, with a port, with a zone, or IPv4
/// mapped into IPv6.
fn address(text: &str) -> Option<IpAddr> {
    let unbracketed = text.strip_prefix('[').and_then(|rest| {
        let (inside, port) = rest.split_once(']')?;
        is_port(port).then_some(inside)
    });
    let host = match unbracketed {
        Some(inside) => inside,
        // A single colon separates a port; several belong to an IPv6 address.
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => Some(host).filter(|_| is_node_port(port))?,
            _ => text,
        },
    };
    let host = host.split_once('%').map_or(host, |(host, _zone)| host);
    match unbracketed {
        Some(_) => host.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => host.parse().ok(),
    }
    .map(|address: IpAddr| address.to_canonical())
}

/// Whether the text is empty, or a colon and a port.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(is_node_port)
}

/// Whether the text is a port, or an obfuscated one (`_a1`).
fn is_node_port(text: &str) -> bool {
    text.parse::<u16>().is_ok() || (text.len() > 1 && text.starts_with('_'))
}

/// The hops of one `Forwarded` header, or `None` if it is malformed.
fn forwarded(line: &str) -> Option<Vec<Option<IpAddr>>> {
    let (mut hops, mut rest) = (Vec::new(), line);
    loop {
        let (mut names_something, mut hop) = (false, None);
        // The pairs of one element, up to a comma or the end.
        let more = loop {
            rest = rest.trim_start_matches([' ', '\t']);
            let end = rest.find(['=', ';', ',']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if let Some(after) = after.strip_prefix('=') {
                let (value, after) = value(after)?;
                names_something = true;
                if name.trim().eq_ignore_ascii_case("for") {
                    hop = address(&value);
                }
                rest = after.trim_start_matches([' ', '\t']);
            } else if name.trim().is_empty() {
                rest = after;
            } else {
                return None;
            }
            match rest.chars().next() {
                Some(';') => rest = &rest[1..],
                Some(',') => break true,
                None => break false,
                Some(_) => return None,
            }
        };
        if names_something {
            hops.push(hop);
        }
        if !more {
            return Some(hops);
        }
        rest = &rest[1..];
    }
}

/// Parses a token or a quoted string, and returns the rest.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', '"', ' ', '\t']).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let (mut value, mut chars) = (String::new(), quoted.char_indices());
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            char => value.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_read_as_proxies_write_them() {
        for (text, expected) in [
            ("198.51.100.1", Some("198.51.100.1")),
            ("198.51.100.1:4711", Some("198.51.100.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:4711", Some("2001:db8::1")),
            ("[2001:db8::1]:_a1", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("::ffff:198.51.100.1", Some("198.51.100.1")),
            ("[::ffff:198.51.100.1]:80", Some("198.51.100.1")),
            ("unknown", None),
            ("unknown:80", None),
            ("_hidden", None),
            ("[198.51.100.1]:80", None),
            ("198.51.100.1:", None),
            ("198.51.100.1:99999", None),
            ("198.51.100.1:80:80", None),
            ("[2001:db8::1", None),
            ("[2001:db8::1]80", None),
            ("198.51.100", None),
            ("", None),
        ] {
            assert_eq!(address(text), expected.map(|text| text.parse().expect("an address")), "{text}");
        }
    }

    #[test]
    fn forwarded_is_parsed_as_in_the_rfc() {
        let (v4, v6) = ("192.0.2.60".parse().ok(), "2001:db8:cafe::17".parse().ok());
        for (line, expected) in [
            ("for=192.0.2.60;proto=http;by=203.0.113.43", Some(vec![v4])),
            (r#"For="[2001:db8:cafe::17]:4711""#, Some(vec![v6])),
            (r#"proto=https; FOR="192.0.2.60:80" , by=_x;for="[2001:db8:cafe::17]""#, Some(vec![v4, v6])),
            (r#"for="\1\92.0.2.60""#, Some(vec![v4])),
            ("for=unknown, for=_hidden, for=192.0.2.60", Some(vec![None, None, v4])),
            ("by=203.0.113.43, for=192.0.2.60", Some(vec![None, v4])),
            (r#"host="a,b;c=\"d", for=192.0.2.60"#, Some(vec![None, v4])),
            (r#"host="a,b;c=\"d";for=192.0.2.60"#, Some(vec![v4])),
            (", ,for=192.0.2.60, ", Some(vec![v4])),
            ("", Some(vec![])),
            (r#"for=""#, None),
            ("for=, for=192.0.2.60", None),
            (r#"for="x"y"#, None),
            ("192.0.2.60", None),
        ] {
            assert_eq!(forwarded(line), expected, "{line}");
        }
    }

    fn ip() -> impl Strategy<Value = IpAddr> {
        prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
    }

    fn written(ip: IpAddr, port: Option<u16>) -> Vec<String> {
        match (ip, port) {
            (IpAddr::V4(ip), None) => vec![ip.to_string(), format!("::ffff:{ip}"), format!("[::ffff:{ip}]")],
            (IpAddr::V4(ip), Some(port)) => vec![format!("{ip}:{port}"), format!("[::ffff:{ip}]:{port}")],
            (IpAddr::V6(ip), None) => vec![ip.to_string(), format!("[{ip}]"), format!("{ip}%eth0")],
            (IpAddr::V6(ip), Some(port)) => vec![format!("[{ip}]:{port}")],
        }
    }

    proptest! {
        #[test]
        fn an_address_with_or_without_a_port_is_the_same_client(ip in ip(), port: Option<u16>) {
            for text in written(ip, port) {
                prop_assert_eq!(address(&text), Some(ip.to_canonical()), "{}", text);
                prop_assert_eq!(forwarded(&format!("for=\"{text}\";by=_x")), Some(vec![Some(ip.to_canonical())]));
            }
        }

        #[test]
        fn addresses_from_a_client_do_not_change_what_the_proxy_adds(
            written in "[ -~]{0,60}", ip in ip(), port: Option<u16>, quoted: bool, one_header: bool,
        ) {
            let text = super::tests::written(ip, port).pop().expect("one way at least");
            let added = if quoted || text.contains(':') { format!("for=\"{text}\"") } else { format!("for={text}") };
            for (kind, added) in [(ForwardedHeader::XForwardedFor, text), (ForwardedHeader::Forwarded, added)] {
                let lines = if one_header { vec![format!("{written}, {added}")] } else { vec![written.clone(), added] };
                let headers: HeaderMap = lines.iter().map(|line| {
                    (axum::http::HeaderName::from_static(kind.name()), line.parse().expect("visible"))
                }).collect();
                let nearest = kind.hops(&headers).first().copied().flatten();
                // A `Forwarded` line that the client has broken yields no address; it never yields
                // another client's.
                let broken = kind == ForwardedHeader::Forwarded && one_header && nearest.is_none();
                prop_assert!(broken || nearest == Some(ip.to_canonical()), "{:?} {:?}", headers, nearest);
            }
        }

        #[test]
        fn no_text_makes_it_panic(line in "\\PC{0,100}") {
            let _ = (x_forwarded_for(&line), forwarded(&line));
        }
    }
}
