//! The parts that every Fairline service shares: an accept loop with limits, graceful shutdown,
//! problem responses, bounded request bodies, rate limits by address, health, metrics and logs.
//!
//! Contains no business logic: nothing here depends on the concept of a sale.
//!
//! ```no_run
//! use std::{sync::Arc, time::Duration};
//!
//! use axum::{Router, routing::get};
//! use fairline_server::{ServeLimits, Shutdown, common_routes, serve};
//! use tokio::net::TcpListener;
//!
//! # async fn run() -> std::io::Result<()> {
//! let shutdown = Shutdown::on_signals()?;
//! let routes = Router::new().route("/", get(|| async { "hello" }));
//! let routes = common_routes(routes, Arc::new(|| Box::pin(async { Ok(()) })), &shutdown);
//! let listener = TcpListener::bind("127.0.0.1:8080").await?;
//! serve(listener, routes, ServeLimits::default(), &shutdown).await;
//! shutdown.finished(Duration::from_secs(10)).await;
//! # Ok(())
//! # }
//! ```

mod address;
mod body;
mod command;
mod common_routes;
mod cookies;
mod document;
mod files;
mod forwarded;
mod logging;
mod origin;
mod problem;
mod problem_page;
pub mod problem_types;
mod proxy_settings;
mod rate_limit;
mod request;
mod secret;
mod serve;
mod shutdown;
mod start;

pub use address::{ClientAddress, TrustedProxies};
#[doc(hidden)]
pub use axum::http::StatusCode;
pub use body::{BODY_BYTES_MAX, Json, LongJson, read as read_body};
pub use command::program;
pub use common_routes::{Readiness, common_routes};
pub use cookies::{cookies, cookies_named};
pub use document::{complete_document, list_problem, operations};
pub use files::raise_file_limit;
pub use forwarded::ForwardedHeader;
pub use logging::{JsonLines, LogFormat, LogSettings, init_logging};
pub use origin::Origins;
#[doc(hidden)]
pub use problem::NO_ACTION;
pub use problem::{Problem, ProblemType};
pub use proxy_settings::ProxySettings;
pub use rate_limit::{RateLimit, RateLimitLayer};
pub use request::{Path, Query};
pub use secret::Secret;
pub use serve::{ServeLimits, serve};
pub use shutdown::{
    Shutdown,
    watchdog::{REPORT_EVERY, Rounds, STALLED_AFTER, WatchedLoop, report_alive, watch_connection},
};
pub use start::StartError;
