//! Logs: JSON for machines, text for people.

use std::io::stderr;

use clap::{Args, ValueEnum};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::StartError;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// One line of text.
    Text,
}

/// How a service logs.
#[derive(Debug, Clone, Args)]
pub struct LogSettings {
    /// How log lines look.
    #[arg(long = "log", env = "FAIRLINE_LOG", value_enum, default_value = "json")]
    pub format: LogFormat,
    /// What is logged: a level, or tracing's directives (`info,waiting_room=debug`).
    #[arg(long = "log-level", env = "FAIRLINE_LOG_LEVEL", default_value = "info")]
    pub level: String,
}

/// Sends this process's logs to standard error.
///
/// # Errors
/// When the level is not one that tracing knows, or logging was started already.
pub fn init_logging(settings: &LogSettings) -> Result<(), StartError> {
    let filter = EnvFilter::try_new(&settings.level).map_err(|error| {
        StartError::new(format!("The log level `{}` is not valid: {error}. Try `info`.", settings.level))
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let started = match settings.format {
        LogFormat::Json => registry.with(fmt::layer().json().flatten_event(true).with_writer(stderr)).try_init(),
        LogFormat::Text => registry.with(fmt::layer().with_target(false).with_writer(stderr)).try_init(),
    };
    started.map_err(|error| StartError::new(format!("Logging could not be started: {error}.")))
}
