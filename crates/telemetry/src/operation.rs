//! An operation: one span of a trace, from its start to its report.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::{
    TraceContext,
    current::{BufferedSpans, Current, running, scope},
    export,
};

/// Failures that are logged individually per second. Further ones are only counted, to spare an
/// overloaded service.
const FAILURES_PER_S_MAX: u64 = 100;
/// Successful operations that are logged per second.
const LOGGED_PER_S_MAX: u64 = 1000;

/// How an operation ended.
struct SpanResult<'a> {
    lasted: Duration,
    result: &'a str,
    has_failed: bool,
}

/// The role of an operation in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// An incoming request.
    Server,
    /// An outgoing request.
    Client,
    /// A consumed message.
    Consumer,
    /// Internal work.
    Internal,
}

/// The report on an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanReport {
    /// The operation's name, from a bounded set: never with an id in it.
    pub operation: String,
    /// Attributes, named by OpenTelemetry's semantic conventions. They identify no person.
    pub attributes: Vec<(&'static str, String)>,
}

impl SpanReport {
    /// A report with only a name.
    #[must_use]
    pub fn named(operation: impl Into<String>) -> Self {
        Self { operation: operation.into(), attributes: Vec::new() }
    }
}

/// A span of a trace that is in progress.
///
/// ```
/// use fairline_telemetry::{Operation, OperationKind, SpanReport, TraceContext};
///
/// let caller = TraceContext::root(7, 8);
/// let operation = Operation::begin_in(OperationKind::Server, Some(caller));
/// assert_eq!(operation.context().trace, caller.trace, "the trace continues");
/// operation.end("200", false, || SpanReport::named("GET /api/orders/{id}"));
/// ```
#[derive(Debug)]
pub struct Operation {
    kind: OperationKind,
    current: Current,
    parent: Option<TraceContext>,
    begun: Instant,
    /// Whether it is the first span of the trace in this process.
    is_first_here: bool,
}

impl Operation {
    /// Begins an operation in the trace of this task, or in a new one.
    #[must_use]
    pub fn begin(kind: OperationKind) -> Self {
        let running = running();
        let parent = running.as_ref().map(|running| running.context);
        Self::new(kind, parent, running.and_then(|running| running.kept_back))
    }

    /// Begins an operation in the trace of the given parent, or in a new one.
    #[must_use]
    pub fn begin_in(kind: OperationKind, parent: Option<TraceContext>) -> Self {
        Self::new(kind, parent, None)
    }

    fn new(kind: OperationKind, parent: Option<TraceContext>, kept_back: Option<BufferedSpans>) -> Self {
        let step = rand::random();
        let context = parent.map_or_else(|| TraceContext::root(rand::random(), step), |parent| parent.next(step));
        let is_first_here = kept_back.is_none();
        let kept_back = kept_back.or_else(|| export::is_on().then(BufferedSpans::default));
        Self { kind, current: Current { context, kept_back }, parent, begun: Instant::now(), is_first_here }
    }

    /// The context to propagate: the trace, with this operation as the parent.
    #[must_use]
    pub fn context(&self) -> TraceContext {
        self.current.context
    }

    /// Runs its work within its trace.
    pub fn run<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        scope(self.current.clone(), work)
    }

    /// Ends the operation. `result` is a word or a status from a bounded set; the closure is called
    /// only if the operation is reported.
    pub fn end(self, result: &str, has_failed: bool, report: impl FnOnce() -> SpanReport) {
        let is_kept = self.current.context.is_kept(export::share());
        let is_exported = export::is_on();
        if !is_kept && !has_failed && !is_exported {
            return;
        }
        let outcome = SpanResult { lasted: self.begun.elapsed(), result, has_failed };
        let report = report();
        if has_failed {
            self.log_failure(&report.operation, &outcome);
        } else if is_kept && is_within_bounds() {
            let operation = report.operation.as_str();
            tracing::info!(
                traceId = format_args!("{:032x}", self.current.context.trace),
                operation,
                duration = outcome.lasted.as_secs_f64(),
                result,
                "done"
            );
        }
        if is_exported {
            self.export(report, &outcome, is_kept);
        }
    }

    fn log_failure(&self, operation: &str, outcome: &SpanResult<'_>) {
        static SECOND_AND_COUNT: AtomicU64 = AtomicU64::new(0);
        let (before_s, not_logged) = note(&SECOND_AND_COUNT, now_s(), FAILURES_PER_S_MAX);
        if not_logged > 0 {
            tracing::warn!(
                not_logged,
                second = before_s,
                "failure log limit reached; further failures were only counted"
            );
        }
        if (SECOND_AND_COUNT.load(Ordering::Relaxed) & COUNT) <= FAILURES_PER_S_MAX {
            tracing::warn!(
                traceId = format_args!("{:032x}", self.current.context.trace),
                operation,
                duration = outcome.lasted.as_secs_f64(),
                result = outcome.result,
                "failed"
            );
        }
    }

    /// Exports the span. If it failed in a trace that is not kept, the retained spans of that trace
    /// are exported with it.
    fn export(self, report: SpanReport, outcome: &SpanResult<'_>, is_kept: bool) {
        let span = self.span(report, outcome);
        match self.current.kept_back {
            Some(kept_back) if !is_kept && !outcome.has_failed => {
                // The first span of this process succeeded, so failures below it were handled; drop
                // the retained spans.
                if !self.is_first_here {
                    kept_back.push(span);
                }
            }
            Some(kept_back) if outcome.has_failed => {
                for earlier in kept_back.take() {
                    export::send(earlier);
                }
                export::send(span);
            }
            _ => export::send(span),
        }
    }

    fn span(&self, report: SpanReport, outcome: &SpanResult<'_>) -> SpanData {
        let end_time = SystemTime::now();
        let mut attributes: Vec<KeyValue> =
            report.attributes.into_iter().map(|(name, value)| KeyValue::new(name, value)).collect();
        attributes.push(KeyValue::new("fairline.result", outcome.result.to_owned()));
        SpanData {
            span_context: SpanContext::new(
                self.current.context.trace.into(),
                self.current.context.step.into(),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: self.parent.map_or(SpanId::INVALID, |parent| parent.step.into()),
            parent_span_is_remote: self.is_first_here && self.parent.is_some(),
            span_kind: match self.kind {
                OperationKind::Server => SpanKind::Server,
                OperationKind::Client => SpanKind::Client,
                OperationKind::Consumer => SpanKind::Consumer,
                OperationKind::Internal => SpanKind::Internal,
            },
            name: report.operation.into(),
            start_time: end_time.checked_sub(outcome.lasted).unwrap_or(end_time),
            end_time,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if outcome.has_failed { Status::error(outcome.result.to_owned()) } else { Status::Unset },
            instrumentation_scope: InstrumentationScope::builder("fairline").build(),
        }
    }
}

/// Whether one more successful operation may be logged in this second. The limit matters because
/// callers choose trace ids, and with them which traces are kept.
fn is_within_bounds() -> bool {
    static SECOND_AND_COUNT: AtomicU64 = AtomicU64::new(0);
    note(&SECOND_AND_COUNT, now_s(), LOGGED_PER_S_MAX);
    (SECOND_AND_COUNT.load(Ordering::Relaxed) & COUNT) <= LOGGED_PER_S_MAX
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The low bits of the counter hold the count, the others the second.
const COUNT: u64 = (1 << 24) - 1;

/// Counts one in its second. At the start of a new second, returns the previous one and how many
/// exceeded its bound.
fn note(second_and_count: &AtomicU64, now_s: u64, bound: u64) -> (u64, u64) {
    let mut not_logged = (0, 0);
    let next = |before: u64| {
        let (second, count) = (before >> 24, before & COUNT);
        let is_same = second == now_s;
        not_logged = if is_same { (0, 0) } else { (second, count.saturating_sub(bound)) };
        Some(now_s << 24 | if is_same { (count + 1).min(COUNT) } else { 1 })
    };
    let _ = second_and_count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    not_logged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_step_within_a_step_is_of_the_same_trace() {
        let outer = Operation::begin_in(OperationKind::Server, Some(TraceContext::root(7, 8)));
        let (inner, parent) = outer
            .run(async {
                let inner = Operation::begin(OperationKind::Client);
                (inner.context(), inner.parent)
            })
            .await;
        assert_eq!((outer.context().trace, inner.trace), (7, 7));
        assert_eq!(parent, Some(outer.context()));
        assert_ne!(
            Operation::begin(OperationKind::Internal).context().trace,
            Operation::begin(OperationKind::Internal).context().trace
        );
    }

    #[test]
    fn failures_beyond_the_limit_per_second_are_counted() {
        let counter = AtomicU64::new(0);
        for _ in 0..FAILURES_PER_S_MAX + 3 {
            assert_eq!(note(&counter, 41, FAILURES_PER_S_MAX), (0, 0));
        }
        assert_eq!(note(&counter, 42, FAILURES_PER_S_MAX), (41, 3));
        assert_eq!(counter.load(Ordering::Relaxed), 42 << 24 | 1);
    }
}
