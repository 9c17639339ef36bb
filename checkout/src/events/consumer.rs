//! Consumers of events inside checkout. Each is a consumer group that all processes share.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use fairline_events::{Event, EventStream, stream::StreamError};
use fairline_sale::SaleId;
use fairline_server::Shutdown;
use fairline_telemetry::{Operation, OperationKind, SpanReport};
use tracing::warn;
use uuid::Uuid;

use crate::{db::StoreError, events::store::EventStore};

const EVERY: Duration = Duration::from_millis(300);
/// A round that takes longer counts as stalled.
const STALLED_AFTER: Duration = Duration::from_secs(120);
/// The interval, in rounds, at which all streams are read, to find what a dead process left pending
/// and what Redis had lost.
const FULL_SCAN_EVERY: u32 = 100;
/// A consumer that has been idle for this long belongs to an ended process.
const GONE_AFTER: Duration = Duration::from_secs(3600);
/// Events per batch.
const AT_ONCE: u64 = 500;

/// The consumer groups: webhooks and notifications.
pub(crate) const WEBHOOKS: &str = "webhooks";
pub(crate) const NOTIFICATIONS: &str = "notifications";

#[derive(Debug, thiserror::Error)]
enum ConsumeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Stream(#[from] StreamError),
}

/// A consumer group of the events of all sales.
pub(crate) struct ConsumerGroup {
    pub(crate) name: &'static str,
    pub(crate) store: EventStore,
    pub(crate) stream: EventStream,
}

impl ConsumerGroup {
    /// Delivers the events to a consumer until the process ends. Events that it failed to handle
    /// are delivered again, so it may see an event twice.
    pub(crate) fn start<H, W>(self, shutdown: &Shutdown, consume: H)
    where
        H: Fn(Vec<Event>) -> W + Send + Sync + 'static,
        W: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let Self { name: group, store, stream } = self;
        let consume = Arc::new(consume);
        shutdown.keep(group, STALLED_AFTER, move |stop| {
            let (store, stream, consume) = (store.clone(), stream.clone(), consume.clone());
            async move {
                let member = Member { stream, group, consumer: Uuid::new_v4().to_string() };
                let (mut rounds, mut nth, mut consumed) = (stop.rounds(EVERY), 0_u32, HashMap::new());
                while rounds.next().await {
                    let everywhere = nth % FULL_SCAN_EVERY == 0;
                    if everywhere {
                        consumed.clear();
                    }
                    nth = nth.wrapping_add(1);
                    let relayed = store.relayed(!everywhere).await;
                    if let Err(error) = round(&member, relayed, &mut consumed, &*consume).await {
                        metrics::counter!("checkout_consumer_failures_total", "group" => group).increment(1);
                        warn!(%error, group, "read relayed events failed");
                    }
                }
            }
        });
    }
}

/// This process as a member of a consumer group.
struct Member {
    stream: EventStream,
    group: &'static str,
    consumer: String,
}

/// Handles new events. `consumed` holds the last event read from each stream. A failure in one sale
/// does not delay the others.
async fn round<H, W>(
    member: &Member,
    relayed: Result<Vec<(SaleId, u64)>, StoreError>,
    consumed: &mut HashMap<SaleId, u64>,
    consume: &H,
) -> Result<(), StoreError>
where
    H: Fn(Vec<Event>) -> W,
    W: Future<Output = Result<(), StoreError>>,
{
    let Member { stream, group, .. } = member;
    let everywhere = consumed.is_empty();
    for (sale, relayed) in relayed? {
        if consumed.get(&sale).is_some_and(|&number| number >= relayed) {
            continue;
        }
        fairline_server::report_alive();
        let consumed_all = match consume_sale(member, sale, consume).await {
            Ok(()) if everywhere => {
                stream.forget_consumers(sale, group, GONE_AFTER).await.map(drop).map_err(ConsumeError::from)
            }
            outcome => outcome,
        };
        match consumed_all {
            Ok(()) => drop(consumed.insert(sale, relayed)),
            Err(error) => {
                metrics::counter!("checkout_consumer_failures_total", "group" => *group).increment(1);
                warn!(%sale, %error, group, "handle events failed; it will be retried");
            }
        }
    }
    Ok(())
}

async fn consume_sale<H, W>(member: &Member, sale: SaleId, consume: &H) -> Result<(), ConsumeError>
where
    H: Fn(Vec<Event>) -> W,
    W: Future<Output = Result<(), StoreError>>,
{
    let Member { stream, group, consumer } = member;
    loop {
        let events = stream.next(sale, group, consumer, AT_ONCE).await?;
        if events.is_empty() {
            return Ok(());
        }
        let consumed =
            events.iter().map(|event| (event.kind, Operation::begin_in(OperationKind::Consumer, event.trace)));
        let consumed: Vec<_> = consumed.collect();
        let numbers: Vec<u64> = events.iter().map(|event| event.number).collect();
        let outcome = consume(events).await;
        let result = if outcome.is_ok() { "consumed" } else { "failed" };
        for (kind, operation) in consumed {
            operation
                .end(result, outcome.is_err(), || SpanReport::named(format!("{group} consumes {}", kind.as_str())));
        }
        outcome?;
        stream.acknowledge(sale, group, &numbers).await?;
    }
}
