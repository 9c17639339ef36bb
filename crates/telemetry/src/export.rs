//! Exports spans to a collector, as OTLP over HTTP (<https://opentelemetry.io/docs/specs/otlp/>).
//! The queue is bounded: while no collector responds, spans that do not fit are dropped, and no
//! caller waits.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanProcessor as _},
};
use tokio::runtime::Handle;

/// Default share of traces that are reported: 10 %.
pub const SHARE: f64 = 0.1;
/// Spans in the queue, at most.
const WAITING_MAX: usize = 8192;
const SENT_EVERY: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

static PROCESSOR: OnceLock<BatchSpanProcessor> = OnceLock::new();
static SHARE_BITS: AtomicU64 = AtomicU64::new(SHARE.to_bits());

/// Why traces can't be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The share is out of range.
    #[error("the share of traces that is kept is a number from 0 to 1")]
    Share,
    /// The URL is invalid.
    #[error("`{0}` is not a collector URL such as http://localhost:4318")]
    Address(String),
    /// Exporting was started before.
    #[error("trace export was already started")]
    Started,
}

/// Sets the share of traces that are logged.
///
/// # Errors
/// When it is not from 0 to 1.
pub fn keep(share: f64) -> Result<(), ExportError> {
    if !(0.0..=1.0).contains(&share) {
        return Err(ExportError::Share);
    }
    SHARE_BITS.store(share.to_bits(), Ordering::Relaxed);
    Ok(())
}

/// Starts exporting to a collector as well: `http://host:4318`, to which `/v1/traces` is appended.
/// Must be called within a runtime.
///
/// # Errors
/// When the URL is invalid, or exporting was started before.
pub fn start(service: &'static str, collector: &str) -> Result<(), ExportError> {
    let wrong = || ExportError::Address(collector.to_owned());
    let address: hyper::Uri = collector.parse().map_err(|_| wrong())?;
    if address.scheme_str() != Some("http") || address.host().is_none() {
        return Err(wrong());
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(TokioHttpClient {
            runtime: Handle::current(),
            client: Client::builder(TokioExecutor::new()).build(connector()),
        })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", collector.trim_end_matches('/')))
        .with_timeout(ANSWER_WITHIN)
        .build()
        .map_err(|_| wrong())?;
    let batches =
        BatchConfigBuilder::default().with_max_queue_size(WAITING_MAX).with_scheduled_delay(SENT_EVERY).build();
    let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    processor.set_resource(&Resource::builder_empty().with_service_name(service).build());
    PROCESSOR.set(processor).map_err(|_| ExportError::Started)
}

/// Connects so that the kernel, too, ends a connection whose collector is silent.
fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_WITHIN));
    connector.set_keepalive(Some(ANSWER_WITHIN));
    connector.set_keepalive_interval(Some(ANSWER_WITHIN));
    connector.set_keepalive_retries(Some(2));
    connector.set_tcp_user_timeout(Some(ANSWER_WITHIN));
    connector
}

/// Sends the queued spans and stops exporting. Blocks briefly; for the end of a process.
pub fn finish() {
    if let Some(processor) = PROCESSOR.get() {
        // Spans that the collector does not accept in time are lost, as when it is absent.
        let _ = processor.shutdown_with_timeout(ANSWER_WITHIN);
    }
}

pub(crate) fn is_on() -> bool {
    PROCESSOR.get().is_some()
}

pub(crate) fn share() -> f64 {
    f64::from_bits(SHARE_BITS.load(Ordering::Relaxed))
}

pub(crate) fn send(span: SpanData) {
    if let Some(processor) = PROCESSOR.get() {
        processor.on_end(span);
    }
}

/// The exporter's thread has no runtime, so the call runs on ours.
#[derive(Debug)]
struct TokioHttpClient {
    runtime: Handle,
    client: Client<HttpConnector, Full<Bytes>>,
}

#[async_trait::async_trait]
impl HttpClient for TokioHttpClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let call = async move {
            let (parts, body) = client.request(request.map(Full::from)).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(parts, body))
        };
        self.runtime.spawn(async { tokio::time::timeout(ANSWER_WITHIN, call).await }).await??
    }
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::net::TcpListener;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_connection_to_a_collector_has_keep_alive_and_a_limit_for_unacknowledged_data() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let stream = connector().oneshot(url.parse().expect("a URL")).await.expect("a connection");
        let socket = SockRef::from(stream.inner());
        assert!(socket.keepalive().expect("an option"));
        assert_eq!(socket.tcp_keepalive_time().expect("an option"), ANSWER_WITHIN);
        assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(ANSWER_WITHIN));
    }
}
