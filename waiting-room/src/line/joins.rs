//! Joins in batches: one call to the line carries every join of the last moment.

use std::{sync::Arc, time::Duration};

use fairline_line::{
    store::{Account, Joining, LineError, LineStore},
    ticket::Ticket,
};
use fairline_sale::{SaleId, VisitorId};
use fairline_service::Shutdown;
use tokio::sync::{mpsc, oneshot};

use crate::line::{
    batches::{self, Bounds},
    room::Room,
};

/// Beyond these shoppers are asked to try again.
const BOUNDS: Bounds = Bounds { waiting_max: 20_000, batch_max: 1000, calls_max: 8, gather: Duration::from_millis(2) };
/// How often a batch is sent at most, when the line does not say whether it had it.
const ATTEMPTS: u32 = 3;
/// The first pause between two attempts, at most; the next one is twice as long.
const PAUSE: Duration = Duration::from_millis(400);

struct Join {
    room: Arc<Room>,
    joining: Joining,
    answer: oneshot::Sender<Result<Ticket, LineError>>,
}

/// The door through which shoppers join lines.
#[derive(Clone)]
pub(crate) struct Joins(mpsc::Sender<Join>);

impl Joins {
    /// Starts the task that gathers batches.
    pub(crate) fn start(store: LineStore, shutdown: &Shutdown) -> Self {
        let sale = |join: &Join| join.room.sale;
        Self(batches::start(BOUNDS, shutdown, sale, move |sale, joins| join(store.clone(), sale, joins)))
    }

    /// Gives a visitor the next ordinal of a line, or the place that the account has already.
    ///
    /// # Errors
    /// When the line does not answer, or too many wait already.
    pub(crate) async fn join(
        &self,
        room: Arc<Room>,
        visitor: VisitorId,
        account: Option<Account>,
    ) -> Result<Ticket, LineError> {
        let (answer, answered) = oneshot::channel();
        let crowded = || LineError::Unavailable("too many are joining at this moment".to_owned());
        let joining = Joining { visitor, account };
        self.0.try_send(Join { room, joining, answer }).map_err(|_| crowded())?;
        answered.await.map_err(|_| crowded())?
    }
}

/// Joins of one sale.
async fn join(store: LineStore, sale: SaleId, joins: Vec<Join>) {
    let joining: Vec<Joining> = joins.iter().map(|join| join.joining).collect();
    // Under one name, so that a call whose answer was lost gives nobody a second ordinal.
    let batch = rand::random();
    let mut attempt = 0;
    let joined = loop {
        let joined = store.join(sale, batch, &joining).await;
        attempt += 1;
        if attempt == ATTEMPTS || !matches!(joined, Err(LineError::Unavailable(_))) {
            break joined;
        }
        // At random, so that the batches of all nodes do not come back at the same moment.
        let pause = PAUSE * 2_u32.pow(attempt - 1);
        tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
    };
    metrics::histogram!("line_join_batch_size").record(joins.len() as f64);
    match joined {
        Ok(tickets) => {
            metrics::counter!("line_joins_total").increment(tickets.len() as u64);
            for (join, ticket) in joins.into_iter().zip(tickets) {
                // A shopper who is gone by now holds an ordinal that nobody claims: the next roll call finds it.
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
    async fn one_join_too_many_is_told_to_come_back() {
        let room = Arc::new(room::tests::room());
        let (sender, _nobody_gathers) = mpsc::channel(2);
        let joins = Joins(sender);
        let join = || {
            let (joins, room) = (joins.clone(), room.clone());
            tokio::spawn(async move { joins.join(room, VisitorId([0; 16]), None).await })
        };
        let waiting = [join(), join()];
        while joins.0.capacity() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = join().await.expect("no panic").expect_err("full");
        let problem = fairline_service::Problem::from(RoomError::from(refused));
        assert_eq!(problem.status(), axum::http::StatusCode::SERVICE_UNAVAILABLE);
        assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    }
}
