//! Routes that every service has: health, metrics, and explanations of problems.

use std::{future::Future, pin::Pin, sync::Arc, sync::OnceLock, time::Duration};

use axum::{
    Router, extract::MatchedPath, extract::Request, middleware::Next, response::IntoResponse, response::Response,
    routing::get,
};
use fairline_telemetry::{Operation, OperationKind, SpanReport, TraceContext, context::TRACEPARENT};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::Instant;

use crate::{Problem, Shutdown, problem_page::problem_page};

/// A service's readiness check: `Err` names what is missing.
pub type Readiness = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Upper bounds of the histograms, in seconds or as ratios. 0.3 is the threshold of the alert for
/// slow responses.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.3, 0.5, 1.0, 2.5, 10.0];
/// Upper bounds of the histograms of batch sizes, whose names end in [`SIZES`].
const SIZE_BUCKETS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
const SIZES: &str = "_size";
/// How often histograms are folded; without this, the recorder grows while no scraper reads it.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// Deadline of a readiness check.
const READY_WITHIN: Duration = Duration::from_secs(3);

/// Adds `/health/live`, `/health/ready`, `/metrics` and `/problems/{slug}` to a service's routes,
/// and times all requests.
pub fn common_routes(routes: Router, ready: Readiness, shutdown: &Shutdown) -> Router {
    let recorder = recorder(shutdown);
    let stopping = shutdown.clone();
    let ready = move || {
        let (ready, stopping) = (ready.clone(), stopping.clone());
        async move {
            if stopping.is_triggered() {
                return Err(Problem::unavailable("This process is stopping."));
            }
            if let Some(name) = stopping.stalled_loop() {
                return Err(Problem::unavailable(format!("The loop `{name}` failed or stalls.")));
            }
            // Each check has its own deadline; this one covers checks that lack theirs.
            let ready = tokio::time::timeout(READY_WITHIN, ready()).await;
            ready.unwrap_or_else(|_| Err("The readiness check timed out.".to_owned())).map_err(Problem::unavailable)
        }
    };
    // A process without routes of its own, such as a worker, has nothing to observe.
    let routes = if routes.has_routes() { routes.route_layer(axum::middleware::from_fn(observed)) } else { routes };
    routes
        .route("/health/live", get(|| async { "live" }))
        .route("/health/ready", get(move || async move { ready().await.map(|()| "ready") }))
        .route("/problems/{slug}", get(problem_page))
        .route("/metrics", get(move || async move { recorder.render().into_response() }))
}

/// The process's only recorder; several services in one process share it.
fn recorder(shutdown: &Shutdown) -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    let handle = RECORDER.get_or_init(|| {
        PrometheusBuilder::new()
            .set_buckets(&BUCKETS)
            .and_then(|recorder| recorder.set_buckets_for_metric(Matcher::Suffix(SIZES.to_owned()), &SIZE_BUCKETS))
            .expect("the lists of buckets are not empty")
            .install_recorder()
            .expect("no other recorder is installed in this process")
    });
    let (handle, stop) = (handle.clone(), shutdown.clone());
    let upkeep = handle.clone();
    let run_upkeep = async move || {
        let mut rounds = stop.rounds(UPKEEP_EVERY);
        while rounds.next().await {
            stop.report_stalls();
            upkeep.run_upkeep();
        }
    };
    let watched = shutdown.watch("metrics");
    shutdown.spawn(async move { while watched.caught(run_upkeep()).await.is_none() {} });
    handle
}

/// Times and reports a request by its route, never by its path: paths are unbounded.
async fn observed(request: Request, next: Next) -> Response {
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let operation = Operation::begin_in(OperationKind::Server, handed_over(&request));
    let started = Instant::now();
    let response = operation.run(next.run(request)).await;
    let status = response.status();
    let labels = [("route", route.clone()), ("status", status.as_str().to_owned())];
    metrics::histogram!("http_request_duration_seconds", &labels).record(started.elapsed().as_secs_f64());
    operation.end(status.as_str(), status.is_server_error(), || SpanReport {
        operation: format!("{method} {route}"),
        attributes: vec![
            ("http.request.method", method.to_string()),
            ("http.route", route),
            ("http.response.status_code", status.as_str().to_owned()),
        ],
    });
    response
}

/// The trace of a request, from its header or its query: a page can't set headers on a WebSocket.
fn handed_over(request: &Request) -> Option<TraceContext> {
    if let Some(header) = request.headers().get(TRACEPARENT) {
        return header.to_str().ok()?.parse().ok();
    }
    let in_query = |pair: &str| pair.strip_prefix(TRACEPARENT)?.strip_prefix('=')?.parse().ok();
    request.uri().query()?.split('&').find_map(in_query)
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::{
        body::{Body, to_bytes},
        http::StatusCode,
    };
    use tower::ServiceExt as _;

    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[tokio::test(start_paused = true)]
    async fn a_process_with_a_stalled_loop_is_not_ready_until_it_runs_again() {
        let (shutdown, has_stalled) = (Shutdown::new(), AtomicBool::new(false));
        shutdown.keep("sweeper", Duration::from_secs(5), move |stop| {
            let stalls = !has_stalled.swap(true, Ordering::AcqRel);
            async move {
                if stalls {
                    pending::<()>().await;
                }
                let mut rounds = stop.rounds(Duration::from_secs(1));
                while rounds.next().await {}
            }
        });
        let routes = common_routes(Router::new(), Arc::new(|| Box::pin(async { Ok(()) })), &shutdown);
        let ready = async || {
            let request = Request::get("/health/ready").body(Body::empty()).expect("a request");
            let response = routes.clone().oneshot(request).await.expect("a router never fails");
            let status = response.status();
            let body = to_bytes(response.into_body(), 4096).await.expect("a short body");
            (status, String::from_utf8_lossy(&body).into_owned())
        };
        let until = async |status: StatusCode| {
            let begun = Instant::now();
            loop {
                let answer = ready().await;
                if answer.0 == status {
                    return answer.1;
                }
                assert!(begun.elapsed() < Duration::from_secs(60), "not {status}: {answer:?}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        until(StatusCode::OK).await;
        let reason = until(StatusCode::SERVICE_UNAVAILABLE).await;
        assert!(reason.contains("`sweeper`"), "{reason}");
        until(StatusCode::OK).await;
        shutdown.trigger();
    }

    #[test]
    fn a_trace_comes_in_the_header_or_in_the_query() {
        let request = |uri: &str| Request::builder().uri(uri);
        let trace = Some(TRACE.parse().expect("a trace"));
        let with_header = request("/?a=b").header(TRACEPARENT, TRACE).body(Body::empty()).expect("a request");
        assert_eq!(handed_over(&with_header), trace);
        let in_query = request(&format!("/?a=b&traceparent={TRACE}")).body(Body::empty()).expect("a request");
        assert_eq!(handed_over(&in_query), trace);
        for uri in ["/", "/?traceparent=1", "/?traceparents=2"] {
            assert_eq!(handed_over(&request(uri).body(Body::empty()).expect("a request")), None, "{uri}");
        }
    }
}
