//! What every service answers besides its own routes: health and metrics.

use std::{future::Future, pin::Pin, sync::Arc, sync::OnceLock, time::Duration};

use axum::{
    Router, extract::MatchedPath, extract::Request, middleware::Next, response::IntoResponse, response::Response,
    routing::get,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::time::Instant;

use crate::{Problem, Shutdown};

/// Says whether a service can do its work now: `Err` with what is missing.
pub type Readiness = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Upper bounds of the latency histograms, in seconds.
const LATENCY_BUCKETS_S: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// How often histograms are folded; without it the recorder grows for as long as nobody scrapes it.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// `/health/live`, `/health/ready` and `/metrics` beside the routes of a service, whose requests are timed.
pub fn plumbing_routes(routes: Router, ready: Readiness, shutdown: &Shutdown) -> Router {
    let recorder = recorder(shutdown);
    let stopping = shutdown.clone();
    let ready = move || {
        let (ready, stopping) = (ready.clone(), stopping.clone());
        async move {
            if stopping.is_triggered() {
                return Err(Problem::unavailable("This process is stopping."));
            }
            ready().await.map_err(Problem::unavailable)
        }
    };
    routes
        .route_layer(axum::middleware::from_fn(timed))
        .route("/health/live", get(|| async { "live" }))
        .route("/health/ready", get(move || async move { ready().await.map(|()| "ready") }))
        .route("/metrics", get(move || async move { recorder.render().into_response() }))
}

/// The process's one recorder: several services in one process share it.
fn recorder(shutdown: &Shutdown) -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    let handle = RECORDER.get_or_init(|| {
        PrometheusBuilder::new()
            .set_buckets(&LATENCY_BUCKETS_S)
            .expect("the list of buckets is not empty")
            .install_recorder()
            .expect("no other recorder is installed in this process")
    });
    let (handle, stop) = (handle.clone(), shutdown.clone());
    let upkeep = handle.clone();
    shutdown.spawn(async move {
        while tokio::time::timeout(UPKEEP_EVERY, stop.triggered()).await.is_err() {
            upkeep.run_upkeep();
        }
    });
    handle
}

/// Times a request by its route, never by its address: addresses are without bound.
async fn timed(request: Request, next: Next) -> Response {
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let started = Instant::now();
    let response = next.run(request).await;
    let labels = [("route", route), ("status", response.status().as_u16().to_string())];
    metrics::histogram!("http_request_duration_seconds", &labels).record(started.elapsed().as_secs_f64());
    response
}
