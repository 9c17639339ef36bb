//! Consumers of events inside checkout. Each is a consumer group that all processes share.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use fairline_events::{Event, EventStream, stream::StreamError};
use fairline_sale::SaleId;
use fairline_telemetry::{Kind, Operation, Report};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;
use uuid::Uuid;

use crate::{Checkout, db::StoreError};

const EVERY: Duration = Duration::from_millis(300);
/// A round that takes longer counts as stalled.
const STANDS_STILL: Duration = Duration::from_secs(120);
/// The interval, in rounds, at which all streams are read, to find what a dead process left pending
/// and what Redis had lost.
const LOOKS_EVERYWHERE_EVERY: u32 = 100;
/// A consumer that has been idle for this long has gone with its process.
const GONE_AFTER: Duration = Duration::from_secs(3600);
/// Events that are handled at once.
const AT_ONCE: u64 = 500;

/// The consumer groups: webhooks and notifications.
pub(crate) const WEBHOOKS: &str = "webhooks";
pub(crate) const LETTERS: &str = "letters";

/// The groups that consume in this process. The relay waits for them when a stream is full.
pub(crate) fn groups(checkout: &Checkout) -> Vec<&'static str> {
    let letters = (!checkout.channels.are_none()).then_some(LETTERS);
    [WEBHOOKS].into_iter().chain(letters).collect()
}

#[derive(Debug, thiserror::Error)]
enum NotHeard {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Stream(#[from] StreamError),
}

/// Delivers the events to a consumer until the process ends. Events that it failed to handle are
/// delivered again, so it may see an event twice.
pub(crate) fn start<H, W>(checkout: &Checkout, stream: EventStream, group: &'static str, hear: H)
where
    H: Fn(Vec<Event>) -> W + Send + Sync + 'static,
    W: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    let (known, hear) = (checkout.clone(), Arc::new(hear));
    checkout.shutdown.keep(group, STANDS_STILL, move |stop| {
        let (checkout, stream, hear) = (known.clone(), stream.clone(), hear.clone());
        async move {
            let consumer = Uuid::new_v4().to_string();
            let (mut beat, mut beats, mut heard) = (interval(EVERY), 0_u32, HashMap::new());
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = beat.tick() => {}
                    () = stop.triggered() => return,
                }
                fairline_server::beat();
                let everywhere = beats % LOOKS_EVERYWHERE_EVERY == 0;
                if everywhere {
                    heard.clear();
                }
                beats = beats.wrapping_add(1);
                let relayed = checkout.store.relayed(!everywhere).await;
                if let Err(error) = round(relayed, &stream, group, &consumer, &mut heard, &*hear).await {
                    metrics::counter!("checkout_hearing_failures_total", "group" => group).increment(1);
                    warn!(%error, group, "read relayed events failed");
                }
            }
        }
    });
}

/// Handles new events. `heard` holds the last event read from each stream. A failure in one sale
/// does not delay the others.
async fn round<H, W>(
    relayed: Result<Vec<(SaleId, u64)>, StoreError>,
    stream: &EventStream,
    group: &'static str,
    consumer: &str,
    heard: &mut HashMap<SaleId, u64>,
    hear: &H,
) -> Result<(), StoreError>
where
    H: Fn(Vec<Event>) -> W,
    W: Future<Output = Result<(), StoreError>>,
{
    let everywhere = heard.is_empty();
    for (sale, relayed) in relayed? {
        if heard.get(&sale).is_some_and(|&number| number >= relayed) {
            continue;
        }
        fairline_server::beat();
        let heard_all = match hear_sale(stream, group, consumer, sale, hear).await {
            Ok(()) if everywhere => {
                stream.forget_consumers(sale, group, GONE_AFTER).await.map(drop).map_err(NotHeard::from)
            }
            outcome => outcome,
        };
        match heard_all {
            Ok(()) => drop(heard.insert(sale, relayed)),
            Err(error) => {
                metrics::counter!("checkout_hearing_failures_total", "group" => group).increment(1);
                warn!(%sale, %error, group, "handle events failed; it will be retried");
            }
        }
    }
    Ok(())
}

async fn hear_sale<H, W>(
    stream: &EventStream,
    group: &'static str,
    consumer: &str,
    sale: SaleId,
    hear: &H,
) -> Result<(), NotHeard>
where
    H: Fn(Vec<Event>) -> W,
    W: Future<Output = Result<(), StoreError>>,
{
    loop {
        let events = stream.next(sale, group, consumer, AT_ONCE).await?;
        if events.is_empty() {
            return Ok(());
        }
        let heard = events.iter().map(|event| (event.kind, Operation::begin_in(Kind::Consumer, event.trace)));
        let heard: Vec<_> = heard.collect();
        let numbers: Vec<u64> = events.iter().map(|event| event.number).collect();
        let outcome = hear(events).await;
        let result = if outcome.is_ok() { "heard" } else { "not heard" };
        for (kind, operation) in heard {
            operation.end(result, outcome.is_err(), || Report::named(format!("{group} hears {}", kind.word())));
        }
        outcome?;
        stream.acknowledge(sale, group, &numbers).await?;
    }
}
