//! The relay publishes events from the outbox to the streams in Redis.
//!
//! - Any number of processes may relay at once: a stream accepts each event once and in order
//!   (`fairline_events::stream`).
//! - A stream that lost events reports it; they are published again from the outbox, as far back as
//!   it reaches.
//! - No request waits for the relay. While Redis is down, events accumulate in the outbox.

use std::time::Duration;

use fairline_events::{EventStream, stream::StreamError};
use fairline_server::Shutdown;
use tracing::{info, warn};

use crate::{
    db::StoreError,
    events::store::{Backlog, EventStore},
    sales::service::SaleList,
};

const EVERY: Duration = Duration::from_millis(200);
/// The interval, in rounds, at which a round checks whether a stream has lost events: every 30 s.
const RESCAN_EVERY: u32 = 150;
/// A round that takes longer counts as stalled; it reports progress with each sale.
const STALLED_AFTER: Duration = Duration::from_secs(60);
/// Rows of the outbox that are read per query. A row has up to as many events as a batch of
/// redemptions.
const ROWS: i64 = 20;
/// Events that are appended in one call.
const APPENDED_AT_ONCE: usize = 500;

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Stream(#[from] StreamError),
}

/// The relay.
#[derive(Clone)]
pub(crate) struct Relay {
    pub(crate) store: EventStore,
    pub(crate) stream: EventStream,
    /// Shows what the events have changed.
    pub(crate) sale_list: SaleList,
}

/// Starts the relay; it ends with the process.
pub(crate) fn start(relay: Relay, shutdown: &Shutdown) {
    shutdown.keep("relay", STALLED_AFTER, move |stop| {
        let relay = relay.clone();
        async move {
            let (mut rounds, mut round) = (stop.rounds(EVERY), 0_u32);
            while rounds.next().await {
                round = round.wrapping_add(1);
                if let Err(error) = relay.relay(round % RESCAN_EVERY == 0).await {
                    metrics::counter!("checkout_relay_failures_total").increment(1);
                    warn!(%error, "read outbox failed; it will be retried");
                }
            }
        }
    });
}

impl Relay {
    /// With `looks_back`, also publishes the last event of each sale again, to learn whether its
    /// stream has lost any. A failure in one sale does not delay the others.
    async fn relay(&self, looks_back: bool) -> Result<(), StoreError> {
        let backlogs = self.store.backlogs(looks_back).await?;
        let waiting: u64 = backlogs.iter().map(|backlog| backlog.last - backlog.relayed).sum();
        metrics::gauge!("checkout_events_waiting").set(waiting as f64);
        for backlog in backlogs {
            fairline_server::report_alive();
            if let Err(error) = self.relay_sale(backlog).await {
                metrics::counter!("checkout_relay_failures_total").increment(1);
                warn!(sale = %backlog.sale, %error, "relay events failed; it will be retried");
            }
        }
        Ok(())
    }

    async fn relay_sale(&self, Backlog { sale, last, relayed }: Backlog) -> Result<(), RelayError> {
        let mut after = relayed.min(last.saturating_sub(1));
        loop {
            let (mut is_first, events) = self.store.events_after(sale, after, ROWS).await?;
            let Some(last) = events.last() else { return Ok(()) };
            let mut there = after;
            for events in events.chunks(APPENDED_AT_ONCE) {
                there = self.stream.append(is_first, events).await?;
                is_first = false;
            }
            // Before the progress is stored: a process that relays the events again then also marks
            // the list of sales again.
            self.sale_list.mark_stale();
            if there < after {
                info!(%sale, from = there + 1, "stream lost events; relaying them again");
            } else {
                self.store.record_relayed(sale, there.min(last.number)).await?;
                metrics::counter!("checkout_events_relayed_total").increment(there.min(last.number) - after);
                if there < last.number {
                    // A consumer has not handled them yet, or they were lost between two calls. The
                    // next round continues.
                    return Ok(());
                }
            }
            after = there;
        }
    }
}
