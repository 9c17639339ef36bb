//! Sockets: one HTTP exchange, and the source and target of a connection.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    str::FromStr,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    client::conn::http1,
    header::{self, HeaderMap, HeaderName},
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    net::{TcpSocket, TcpStream, lookup_host},
    time::timeout,
};

use crate::messages::Problem;

/// Timeout of a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Timeout of a complete response; the slowest card of the sandbox takes two seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Maximum size of a response.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// The address of a service: `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceUrl {
    host: String,
    port: u16,
}

/// A URL that the simulator can't call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceUrlError {
    /// Not a URL.
    #[error("`{0}` is not an address like http://127.0.0.1:8080")]
    NotAnAddress(String),
    /// A scheme other than http.
    #[error("`{0}`: shoppers speak plain http; name the service behind the proxy that ends TLS")]
    NotPlainHttp(String),
    /// A path, which would be ignored.
    #[error("`{0}`: name the service only, without a path")]
    Path(String),
}

impl FromStr for ServiceUrl {
    type Err = ServiceUrlError;

    fn from_str(text: &str) -> Result<Self, ServiceUrlError> {
        let not_an_address = || ServiceUrlError::NotAnAddress(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| not_an_address())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some(_) => return Err(ServiceUrlError::NotPlainHttp(text.to_owned())),
            None => return Err(not_an_address()),
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(ServiceUrlError::Path(text.to_owned()));
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(not_an_address)?;
        Ok(ServiceUrl { host: host.to_owned(), port: uri.port_u16().unwrap_or(80) })
    }
}

impl TryFrom<String> for ServiceUrl {
    type Error = ServiceUrlError;

    fn try_from(text: String) -> Result<Self, ServiceUrlError> {
        text.parse()
    }
}

impl From<ServiceUrl> for String {
    fn from(target: ServiceUrl) -> String {
        target.to_string()
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

/// Why there was no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    #[error("no connection or response in time")]
    TooSlow,
    #[error("the connection broke: {0}")]
    Broke(#[from] hyper::Error),
    #[error("the response was too large or cut short: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
}

/// A complete response.
#[derive(Debug)]
pub(crate) struct FullResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl FullResponse {
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The last segment of the problem's `type`; empty if the response is not a problem document.
    pub(crate) fn problem(&self) -> (String, Problem) {
        let problem: Problem = self.read().unwrap_or_default();
        (problem.kind.rsplit('/').next().unwrap_or_default().to_owned(), problem)
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers)
    }
}

/// `Retry-After` in seconds, up to a day.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(86_400)))
}

/// The cookies that a response sets, as `name=value`.
pub(crate) fn set_cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok()?.split(';').next()?.split_once('='))
}

/// The source of one shopper's connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    source: Ipv4Addr,
}

impl Client {
    /// The shopper `index`, whose own address is in 127.0.0.0/8 outside 127.0.0.0/16.
    pub(crate) fn new(index: u32) -> Client {
        let [_, high, middle, low] = (index + 0x0001_0001).to_be_bytes();
        Client { source: Ipv4Addr::new(127, high, middle, low) }
    }

    /// Opens a connection, from the shopper's own address if the service is on this machine.
    pub(crate) async fn connect(self, target: &ServiceUrl) -> Result<TcpStream, RequestError> {
        let connecting = async {
            let address = resolve(target).await?;
            let stream = match address {
                SocketAddr::V4(address) if address.ip().is_loopback() => {
                    let socket = TcpSocket::new_v4()?;
                    // Choose the port at connect time; choosing it at bind time is slow with many
                    // sockets.
                    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true)?;
                    socket.bind(SocketAddrV4::new(self.source, 0).into())?;
                    socket.connect(address.into()).await?
                }
                address => TcpStream::connect(address).await?,
            };
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        timeout(CONNECT_WITHIN, connecting).await.map_err(|_| RequestError::TooSlow)?.map_err(RequestError::Connect)
    }

    /// One exchange on its own connection, complete and bounded.
    pub(crate) async fn call(
        self,
        target: &ServiceUrl,
        request: Request<Full<Bytes>>,
    ) -> Result<FullResponse, RequestError> {
        let exchange = async {
            let (parts, body) = self.send(target, request).await?.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(RequestError::Body)?.to_bytes();
            Ok(FullResponse { status: parts.status, headers: parts.headers, body })
        };
        timeout(ANSWER_WITHIN, exchange).await.map_err(|_| RequestError::TooSlow)?
    }

    /// Sends a request on its own connection, and returns the response head, and its body as a
    /// stream.
    pub(crate) async fn send(
        self,
        target: &ServiceUrl,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, RequestError> {
        let stream = self.connect(target).await?;
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(16 * 1024).handshake(TokioIo::new(stream)).await?;
        // Ends with the exchange: once the body is read or dropped, the connection has nothing left
        // to do.
        tokio::spawn(connection);
        Ok(timeout(ANSWER_WITHIN, sender.send_request(request)).await.map_err(|_| RequestError::TooSlow)??)
    }
}

async fn resolve(target: &ServiceUrl) -> std::io::Result<SocketAddr> {
    let host = target.host.trim_matches(['[', ']']);
    let unknown = || std::io::Error::new(std::io::ErrorKind::NotFound, format!("{host} has no address"));
    let addresses: Vec<SocketAddr> = lookup_host((host, target.port)).await?.collect();
    // `localhost` may resolve to ::1 first; shoppers have many addresses in 127.0.0.0/8 and one in
    // ::1.
    addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied().ok_or_else(unknown)
}

/// A request as the shopper's page would send it.
pub(crate) fn request(
    target: &ServiceUrl,
    method: Method,
    path: &str,
    headers: &[(HeaderName, &str)],
    json: Option<&serde_json::Value>,
) -> Request<Full<Bytes>> {
    let authority = format!("{}:{}", target.host, target.port);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::ORIGIN, format!("http://{authority}"))
        .header(header::HOST, authority);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let body = json.map_or_else(Bytes::new, |json| Bytes::from(json.to_string()));
    if json.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request.body(Full::new(body)).expect("paths are our own, and cookies and tokens came as valid header values")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_or_rejected() {
        let target: ServiceUrl = "http://127.0.0.1:8080/".parse().unwrap();
        assert_eq!(target.to_string(), "http://127.0.0.1:8080");
        let wrong = |text: &str| text.parse::<ServiceUrl>().unwrap_err().to_string();
        assert_eq!(wrong("127.0.0.1:8080"), "`127.0.0.1:8080` is not an address like http://127.0.0.1:8080");
        assert_eq!(
            wrong("https://shop.example"),
            "`https://shop.example`: shoppers speak plain http; name the service behind the proxy that ends TLS"
        );
        assert_eq!(
            wrong("http://shop.example/api"),
            "`http://shop.example/api`: name the service only, without a path"
        );
    }

    #[test]
    fn every_shopper_has_its_own_address() {
        assert_eq!(Client::new(0).source, Ipv4Addr::new(127, 1, 0, 1));
        assert_eq!(Client::new(65_536).source, Ipv4Addr::new(127, 2, 0, 1));
        assert_eq!(Client::new(999_999).source.octets()[0], 127);
    }
}
