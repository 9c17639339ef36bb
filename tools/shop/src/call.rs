//! One HTTP exchange with a service.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Calls a service with a bearer token, and reads its response as JSON; `null` where it is not
/// JSON.
///
/// # Errors
/// When there is no response within five seconds.
pub async fn call(
    address: SocketAddr,
    token: &str,
    (method, path): (Method, &str),
    body: Option<&Value>,
) -> Result<(StatusCode, Value), Box<dyn std::error::Error + Send + Sync>> {
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", address.to_string())
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Full::new(body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()))))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    };
    timeout(ANSWER_WITHIN, exchange).await?
}
