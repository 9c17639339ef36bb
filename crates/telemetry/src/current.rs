//! The trace of the running task.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry_sdk::trace::SpanData;

use crate::TraceContext;

/// Spans of one trace that a process retains, at most, until it knows whether one fails.
const KEPT_BACK_MAX: usize = 64;

/// Successful spans of a trace that is not kept. They are exported after all if a span above them
/// fails.
#[derive(Debug, Clone, Default)]
pub(crate) struct BufferedSpans(Arc<Mutex<Vec<SpanData>>>);

impl BufferedSpans {
    pub(crate) fn push(&self, span: SpanData) {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.len() < KEPT_BACK_MAX {
            spans.push(span);
        }
    }

    pub(crate) fn take(&self) -> Vec<SpanData> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Current {
    pub(crate) context: TraceContext,
    pub(crate) kept_back: Option<BufferedSpans>,
}

tokio::task_local! {
    static CURRENT: Current;
}

pub(crate) fn running() -> Option<Current> {
    CURRENT.try_with(Clone::clone).ok()
}

pub(crate) fn scope<F: Future>(current: Current, future: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(current, future)
}

/// The trace and span of this task.
#[must_use]
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|current| current.context).ok()
}

/// Carries the trace of this task to another one: a spawned task does not inherit it.
pub fn carried<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let current = running();
    async move {
        match current {
            Some(current) => scope(current, future).await,
            None => future.await,
        }
    }
}

/// Runs a future in a given trace, or in none.
pub async fn within<F: Future>(context: Option<TraceContext>, future: F) -> F::Output {
    match context {
        Some(context) => scope(Current { context, kept_back: None }, future).await,
        None => future.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_knows_its_trace_and_hands_it_on() {
        assert_eq!(current(), None);
        let context = TraceContext::root(3, 4);
        within(Some(context), async {
            assert_eq!(current(), Some(context));
            assert_eq!(tokio::spawn(async { current() }).await.expect("no panic"), None);
            assert_eq!(tokio::spawn(carried(async { current() })).await.expect("no panic"), Some(context));
        })
        .await;
        assert_eq!(current(), None);
    }
}
