//! Batches of joins: one call to the line carries all recent joins.

use std::{sync::Arc, time::Duration};

use fairline_line::{
    store::{JoinRequest, LineAccount, LineError, LineStore},
    ticket::Ticket,
};
use fairline_sale::{SaleId, VisitorId};
use fairline_server::Shutdown;
use tokio::sync::{mpsc, oneshot};

use crate::line::{
    batches::{self, Bounds},
    room::Room,
};

/// A join beyond these bounds is rejected; the shopper tries again.
const BOUNDS: Bounds = Bounds { waiting_max: 20_000, batch_max: 1000, calls_max: 8, gather: Duration::from_millis(2) };
/// Attempts per batch while the line does not confirm it.
const ATTEMPTS: u32 = 3;
/// Longest pause after the first attempt; it doubles with each further one.
const PAUSE: Duration = Duration::from_millis(400);

struct Join {
    room: Arc<Room>,
    joining: JoinRequest,
    answer: oneshot::Sender<Result<Ticket, LineError>>,
}

/// Sends joins to the batching task.
#[derive(Clone)]
pub(crate) struct Joins(mpsc::Sender<Join>);

impl Joins {
    /// Starts the task that gathers batches.
    pub(crate) fn start(store: LineStore, shutdown: &Shutdown) -> Self {
        let sale = |join: &Join| join.room.sale;
        Self(batches::start(BOUNDS, shutdown, sale, move |sale, joins| join(store.clone(), sale, joins)))
    }

    /// Issues the next ordinal of a line to a visitor, or returns the account's existing place.
    ///
    /// # Errors
    /// When the line does not respond, or the queue is full.
    pub(crate) async fn join(
        &self,
        room: Arc<Room>,
        visitor: VisitorId,
        account: Option<LineAccount>,
    ) -> Result<Ticket, LineError> {
        let (answer, answered) = oneshot::channel();
        let crowded = || LineError::Unavailable("too many joins are waiting".to_owned());
        let joining = JoinRequest { visitor, account };
        self.0.try_send(Join { room, joining, answer }).map_err(|_| crowded())?;
        answered.await.map_err(|_| crowded())?
    }
}

/// Joins shoppers of one sale.
async fn join(store: LineStore, sale: SaleId, joins: Vec<Join>) {
    let joining: Vec<JoinRequest> = joins.iter().map(|join| join.joining).collect();
    // The batch id makes a retry idempotent: a call whose reply was lost issues no second ordinal.
    let batch = rand::random();
    let mut attempt = 0;
    let joined = loop {
        let joined = store.join(sale, batch, &joining).await;
        attempt += 1;
        if attempt == ATTEMPTS || !matches!(joined, Err(LineError::Unavailable(_))) {
            break joined;
        }
        // Random, so that the nodes do not retry at the same moment.
        let pause = PAUSE * 2_u32.pow(attempt - 1);
        tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
    };
    metrics::histogram!("line_join_batch_size").record(joins.len() as f64);
    match joined {
        Ok(tickets) => {
            metrics::counter!("line_joins_total").increment(tickets.len() as u64);
            for (join, ticket) in joins.into_iter().zip(tickets) {
                // If the shopper has disconnected, the ordinal stays unclaimed and the next roll
                // call finds it.
                let _ = join.answer.send(Ok(ticket));
            }
        }
        Err(error) => {
            for join in joins {
                let _ = join.answer.send(Err(error.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{http::error::RoomError, line::room};

    #[tokio::test]
    async fn a_join_beyond_the_limit_is_rejected() {
        let room = Arc::new(room::tests::room());
        let (sender, _no_batches) = mpsc::channel(2);
        let joins = Joins(sender);
        let join = || {
            let (joins, room) = (joins.clone(), room.clone());
            tokio::spawn(async move { joins.join(room, VisitorId([0; 16]), None).await })
        };
        let waiting = [join(), join()];
        while joins.0.capacity() > 0 {
            tokio::task::yield_now().await;
        }
        let rejected = join().await.expect("no panic").expect_err("full");
        let problem = fairline_server::Problem::from(RoomError::from(rejected));
        assert_eq!(problem.status(), axum::http::StatusCode::SERVICE_UNAVAILABLE);
        assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    }
}
