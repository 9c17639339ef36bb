//! Logs: JSON for machines, text for people; and which traces are reported.

use std::{
    fmt::{self, Debug},
    io::stderr,
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use fairline_telemetry::{current, export};
use serde::ser::{SerializeMap, Serializer as _};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        self as layers, FmtContext, FormatEvent, FormatFields,
        format::Writer,
        writer::{BoxMakeWriter, MakeWriterExt as _},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use crate::StartError;

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// One line of text.
    Text,
}

/// Log settings of a service, and the traces that it exports.
#[derive(Debug, Clone, Args)]
pub struct LogSettings {
    /// Format of log lines.
    #[arg(long = "log", env = "FAIRLINE_LOG", value_enum, default_value = "json")]
    pub format: LogFormat,
    /// Log level, or tracing directives (`info,waiting_room=debug`).
    #[arg(long = "log-level", env = "FAIRLINE_LOG_LEVEL", default_value = "info")]
    pub level: String,
    /// Folder for daily log files, in addition to standard error.
    #[arg(long = "logs-folder", env = "FAIRLINE_LOGS_FOLDER")]
    pub folder: Option<PathBuf>,
    /// Days to keep log files.
    #[arg(long = "logs-kept-days", env = "FAIRLINE_LOGS_KEPT_DAYS", default_value_t = 90)]
    pub kept_days: u16,
    /// Share of traces, from 0 to 1, whose successful operations are logged and exported. Failed
    /// operations always are.
    #[arg(long = "traces-kept", env = "FAIRLINE_TRACES_KEPT", default_value_t = export::SHARE)]
    pub traces_kept: f64,
    /// URL of a collector that accepts OTLP over HTTP, such as `http://collector:4318`.
    #[arg(long = "otlp-url", env = "FAIRLINE_OTLP_URL")]
    pub collector: Option<String>,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Json,
            level: "info".to_owned(),
            folder: None,
            kept_days: 90,
            traces_kept: export::SHARE,
            collector: None,
        }
    }
}

/// Sends this process's logs to standard error and, if configured, to files and a collector. Must
/// be called within a runtime.
///
/// # Errors
/// When a setting is invalid, or logging was started before.
pub fn init_logging(service: &'static str, settings: &LogSettings) -> Result<(), StartError> {
    let filter = EnvFilter::try_new(&settings.level).map_err(|error| {
        StartError::new(format!("The log level `{}` is not valid: {error}. Try `info`.", settings.level))
    })?;
    let wrong = |error: export::ExportError| StartError::new(format!("Traces can't be exported: {error}."));
    export::keep(settings.traces_kept).map_err(wrong)?;
    if let Some(collector) = &settings.collector {
        export::start(service, collector).map_err(wrong)?;
    }
    let writer = match files(service, settings)? {
        Some(files) => BoxMakeWriter::new(stderr.and(files)),
        None => BoxMakeWriter::new(stderr),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let started = match settings.format {
        LogFormat::Json => {
            registry.with(layers::layer().event_format(JsonLines { service }).with_writer(writer)).try_init()
        }
        LogFormat::Text => registry.with(layers::layer().with_target(false).with_writer(writer)).try_init(),
    };
    started.map_err(|error| StartError::new(format!("Logging could not be started: {error}.")))
}

/// Opens the daily log files; the oldest ones are deleted.
fn files(service: &'static str, settings: &LogSettings) -> Result<Option<RollingFileAppender>, StartError> {
    let Some(folder) = &settings.folder else { return Ok(None) };
    let files = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(service)
        .filename_suffix("log")
        .max_log_files(usize::from(settings.kept_days.max(1)))
        .build(folder);
    let wrong = |error| StartError::new(format!("Can't log to the folder {}: {error}.", folder.display()));
    files.map(Some).map_err(wrong)
}

/// Formats an event as one JSON object: `timestamp`, `level`, `service`, the current `traceId`, and
/// the event's own fields. For an operation that has ended, these are `operation`, `duration` in
/// seconds, and `result`.
#[derive(Debug, Clone, Copy)]
pub struct JsonLines {
    /// The name of the logging service.
    pub service: &'static str,
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let line = self.line(event).map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", String::from_utf8(line).map_err(|_| fmt::Error)?)
    }
}

impl JsonLines {
    fn line(self, event: &Event<'_>) -> Result<Vec<u8>, serde_json::Error> {
        let mut line = Vec::with_capacity(256);
        let mut serializer = serde_json::Serializer::new(&mut line);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("timestamp", &OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default())?;
        map.serialize_entry("level", event.metadata().level().as_str())?;
        map.serialize_entry("service", self.service)?;
        // An operation that has ended carries its own trace id.
        if let Some(context) = current().filter(|_| event.metadata().fields().field("traceId").is_none()) {
            map.serialize_entry("traceId", &format_args!("{:032x}", context.trace))?;
        }
        let mut fields = FieldSerializer { map, failed: None };
        event.record(&mut fields);
        if let Some(error) = fields.failed {
            return Err(error);
        }
        fields.map.serialize_entry("target", event.metadata().target())?;
        SerializeMap::end(fields.map)?;
        Ok(line)
    }
}

struct FieldSerializer<M: SerializeMap> {
    map: M,
    failed: Option<M::Error>,
}

impl<M: SerializeMap> FieldSerializer<M> {
    fn record(&mut self, field: &Field, value: &(impl serde::Serialize + ?Sized)) {
        if self.failed.is_none() {
            self.failed = self.map.serialize_entry(field.name(), value).err();
        }
    }
}

impl<M: SerializeMap> Visit for FieldSerializer<M> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record(field, &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.record(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.record(field, &value);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use fairline_telemetry::{Operation, OperationKind, SpanReport};
    use serde_json::Value;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn read(&self) -> Vec<Value> {
            let text = String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text");
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
        }
    }

    #[tokio::test]
    async fn a_line_has_time_service_trace_message_and_result() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = layers::layer().event_format(JsonLines { service: "checkout" }).with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        let logs = tracing::subscriber::set_default(subscriber);
        tracing::info!(held = 3_u64, "outside any trace, \"quoted\"");
        let operation = Operation::begin(OperationKind::Server);
        let trace = format!("{:032x}", operation.context().trace);
        operation.run(async { tracing::warn!(is_late = true, "on the way") }).await;
        operation.end("503", true, || SpanReport::named("GET /products"));
        drop(logs);

        let [untraced, on_the_way, ended] = &lines.read()[..] else { panic!("three lines: {:?}", lines.read()) };
        assert_eq!((&untraced["level"], &untraced["service"]), (&"INFO".into(), &"checkout".into()));
        assert_eq!((&untraced["held"], &untraced["message"]), (&3.into(), &"outside any trace, \"quoted\"".into()));
        assert_eq!(untraced.get("traceId"), None);
        assert!(OffsetDateTime::parse(untraced["timestamp"].as_str().expect("text"), &Rfc3339).is_ok());
        assert_eq!((&on_the_way["traceId"], &on_the_way["is_late"]), (&trace.as_str().into(), &true.into()));
        assert_eq!((&ended["traceId"], &ended["level"]), (&trace.as_str().into(), &"WARN".into()));
        assert_eq!((&ended["operation"], &ended["result"]), (&"GET /products".into(), &"503".into()));
        assert!(ended["duration"].as_f64().is_some_and(|seconds| (0.0..60.0).contains(&seconds)));
    }

    #[test]
    fn files_older_than_the_kept_days_are_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        for day in 1..=9 {
            let old = folder.path().join(format!("checkout.2020-01-0{day}.log"));
            std::fs::write(old, "old").expect("written");
        }
        let settings = LogSettings { folder: Some(folder.path().to_owned()), kept_days: 3, ..LogSettings::default() };
        let files = files("checkout", &settings).expect("opened").expect("a folder was named");
        drop(files);
        let left = std::fs::read_dir(folder.path()).expect("read").count();
        assert!((1..=3).contains(&left), "{left} files are left");
        let nowhere = LogSettings { folder: Some("/dev/null/logs".into()), ..LogSettings::default() };
        assert!(super::files("checkout", &nowhere).expect_err("no folder").to_string().contains("/dev/null/logs"));
    }
}
