//! What a collector receives: a tenth of the traces that succeed, and all that fail.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use fairline_telemetry::{Operation, OperationKind, SpanReport, TraceContext, export};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use tokio::net::TcpListener;

const WELL: u128 = 1000;
const BADLY: u128 = 50;

type Spans = Arc<Mutex<Vec<Span>>>;

async fn take(State(spans): State<Spans>, headers: HeaderMap, body: Bytes) {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
    for resource in request.resource_spans {
        let attributes = resource.resource.expect("a resource").attributes;
        assert!(attributes.iter().any(|attribute| {
            attribute.key == "service.name" && format!("{:?}", attribute.value).contains("checkout")
        }));
        spans.lock().expect("no panic").extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
}

/// A request with a step inside.
async fn request(trace: u128, has_failed: bool) {
    let outer = Operation::begin_in(OperationKind::Server, Some(TraceContext::root(trace, 9)));
    outer
        .run(async { Operation::begin(OperationKind::Client).end("200", false, || SpanReport::named("POST gateway")) })
        .await;
    let status = if has_failed { "500" } else { "200" };
    outer.end(status, has_failed, || SpanReport {
        operation: "POST /purchase".to_owned(),
        attributes: vec![("http.route", "/purchase".to_owned())],
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_receives_a_tenth_of_successful_traces_and_all_failed_ones() {
    let spans = Spans::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().route("/v1/traces", post(take)).with_state(spans.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    for wrong in ["", "collector:4318", "https://collector:4318", "http://"] {
        assert!(export::start("checkout", wrong).is_err(), "{wrong}");
    }
    export::start("checkout", &format!("http://{address}/")).expect("started");
    assert_eq!(export::start("checkout", "http://localhost:1"), Err(export::ExportError::Started));
    assert_eq!(export::keep(1.5), Err(export::ExportError::Share));

    // Ids that are spread evenly over the bits that decide.
    let id = |nth: u128| (1 << 120) | (nth * ((1 << 56) / WELL));
    for nth in 0..WELL {
        request(id(nth), false).await;
    }
    for nth in 0..BADLY {
        // None of them among the tenth.
        request(id(500 + nth), true).await;
    }
    tokio::task::spawn_blocking(export::finish).await.expect("no panic");
    let spans = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let received = spans.lock().expect("no panic").clone();
            if received.len() >= 300 {
                return received;
            }
            tokio::task::yield_now().await;
        }
    });
    let spans = spans.await.expect("the collector has received it");

    let failed: Vec<&Span> = spans.iter().filter(|span| status(span) == StatusCode::Error).collect();
    assert_eq!(failed.len(), 50, "all that failed");
    let failed_traces: HashSet<&[u8]> = failed.iter().map(|span| &span.trace_id[..]).collect();
    let mut by_trace: HashMap<&[u8], Vec<&Span>> = HashMap::new();
    for span in &spans {
        by_trace.entry(&span.trace_id).or_default().push(span);
    }
    let well = by_trace.keys().filter(|trace| !failed_traces.contains(*trace)).count();
    assert!((99..=101).contains(&well), "{well} of {WELL} that went well");
    for (trace, spans) in by_trace {
        let [inner, outer] = spans[..] else { panic!("two steps each, also where the first went well: {trace:?}") };
        assert_eq!((inner.kind, outer.kind), (SpanKind::Client as i32, SpanKind::Server as i32));
        assert_eq!((&inner.parent_span_id, &outer.parent_span_id[..]), (&outer.span_id, &9_u64.to_be_bytes()[..]));
        assert_eq!((inner.name.as_str(), outer.name.as_str()), ("POST gateway", "POST /purchase"));
        assert!(outer.attributes.iter().any(|attribute| attribute.key == "http.route"));
        assert!(outer.start_time_unix_nano <= outer.end_time_unix_nano);
    }
}

fn status(span: &Span) -> StatusCode {
    span.status.as_ref().map_or(StatusCode::Unset, |status| status.code())
}
